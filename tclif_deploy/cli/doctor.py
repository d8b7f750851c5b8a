"""``tclif doctor``: what is installed, how to get the rest, and whether it works."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from tclif_deploy.cli.common import FELL_SHORT, Debug, Json, app, out


@app.command("doctor")
def doctor_command(
    test: Annotated[
        bool, typer.Option("--test/--no-test", help="Run a small network through every backend that is there.")
    ] = True,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what is installed, what is missing and the exact commands that install it; try every backend.

    Exit code 0: everything installed works; 1: a backend is broken or differs from the reference.
    """
    from tclif_deploy.report.terminal.doctor import print_parts, print_test
    from tclif_deploy.workflows import doctor

    if not as_json:
        print_parts(out, doctor.parts())
        if test:
            out.print("self-test: a small recurrent network against the reference, bit for bit", highlight=False)
    tests = []
    for found in doctor.self_tests() if test else ():
        tests.append(found)
        if not as_json:
            print_test(out, found)
    if as_json:
        sys.stdout.write(json.dumps(doctor.to_json(tests), indent=2) + "\n")
    if any(found.failed for found in tests):
        raise typer.Exit(FELL_SHORT)
