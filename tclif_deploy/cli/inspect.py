"""``tclif inspect``: what is in a model file."""

from __future__ import annotations

import json
import sys

from tclif_deploy.cli.common import Debug, Json, app, out
from tclif_deploy.cli.reading import AS_THE_FILE_SAYS, Model, reads_models
from tclif_deploy.frontends import ReadOptions


@app.command("inspect")
@reads_models
def inspect_command(
    model: Model,
    read: ReadOptions = AS_THE_FILE_SAYS,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what a model file holds: layers, neurons, coefficients, conventions, and what had to be assumed."""
    from tclif_deploy.frontends.reader import read_model
    from tclif_deploy.frontends.summary import summary
    from tclif_deploy.report.terminal.network import print_summary

    kind, network = read_model(model, read)
    found = summary(network)
    if as_json:
        sys.stdout.write(json.dumps({"file": str(model), "kind": kind, **found}, indent=2) + "\n")
    else:
        print_summary(out, str(model), kind, found)
