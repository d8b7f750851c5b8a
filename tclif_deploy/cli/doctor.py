"""``tclif doctor``: what is installed, how to get the rest, and whether it works."""

from __future__ import annotations

from typing import Annotated

import typer

from tclif_deploy.cli.options import command
from tclif_deploy.cli.output import FELL_SHORT, Printed, out


@command("doctor")
def doctor_command(
    *,
    test: Annotated[
        bool, typer.Option("--test/--no-test", help="Run a small network through every backend that is there.")
    ] = True,
    printed: Printed,
) -> None:
    """Say what is installed, what is missing and the exact commands that install it; try every backend.

    Exit code 0: everything installed works; 1: a backend is broken or differs from the reference.
    """
    from tclif_deploy.report.terminal.doctor import print_dependencies, print_test
    from tclif_deploy.workflows import doctor

    if not printed.as_json:
        print_dependencies(out, doctor.dependencies(), doctor.untested_platform())
        if test:
            out.print("self-test: a small recurrent network against the reference, bit for bit", highlight=False)
    tests = []
    for result in doctor.self_tests() if test else ():
        tests.append(result)
        if not printed.as_json:
            print_test(out, result)
    printed.result(doctor.to_json(tests))
    if any(result.failed for result in tests):
        raise typer.Exit(FELL_SHORT)
