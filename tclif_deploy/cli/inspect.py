"""``tclif inspect``: what is in a model file."""

from __future__ import annotations

import json
import sys

from tclif_deploy.cli import reading
from tclif_deploy.cli.common import Debug, Json, app, out


@app.command("inspect")
def inspect_command(
    model: reading.Model,
    args: reading.Args = None,
    threshold: reading.Threshold = None,
    gamma: reading.Gamma = None,
    comparator: reading.Comparator = None,
    reset: reading.Reset = None,
    neuron: reading.Neuron = None,
    decay: reading.Decay = None,
    dt: reading.Dt = None,
    convention: reading.Convention = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what a model file holds: layers, neurons, coefficients, conventions, and what had to be assumed."""
    from tclif_deploy.frontends import ReadOptions, load
    from tclif_deploy.frontends.summary import file_kind, summary
    from tclif_deploy.report.network import print_summary

    given = ReadOptions(args, threshold, gamma, comparator, reset, neuron, decay, dt, convention)
    found = summary(load(model, given))
    kind = file_kind(model)
    if as_json:
        sys.stdout.write(json.dumps({"file": str(model), "kind": kind, **found}, indent=2) + "\n")
    else:
        print_summary(out, str(model), kind, found)
