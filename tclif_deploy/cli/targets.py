"""``tclif targets``: what machines there are, and where their numbers come from."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from tclif_deploy.cli.common import Debug, Json, app, out


@app.command("targets")
def targets_command(
    name: Annotated[str | None, typer.Argument(help="Target by name or file; all are listed without.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the targets, or show one with every number's unit, source and evidence."""
    from tclif_deploy.report.terminal.tables import print_target, print_targets
    from tclif_deploy.target import known_targets, load_target

    if name is None:
        targets = [load_target(known) for known in known_targets()]
        if as_json:
            sys.stdout.write(
                json.dumps({t.name: t.model_dump(mode="json", exclude_none=True) for t in targets}, indent=2) + "\n"
            )
        else:
            print_targets(out, targets)
        return
    target = load_target(name)
    if as_json:
        sys.stdout.write(json.dumps(target.model_dump(mode="json", exclude_none=True), indent=2) + "\n")
    else:
        print_target(out, target)
