"""``tclif check``: will it fit? Every design rule, worst finding first."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.common import FELL_SHORT, Debug, Json, Quiet, Reporter, app, choice, out
from tclif_deploy.cli.reading import AS_THE_FILE_SAYS, reads_models
from tclif_deploy.errors import TclifError
from tclif_deploy.frontends import ReadOptions


@app.command("check")
@reads_models
def check_command(
    model: Annotated[Path, typer.Argument(help="Model file, or a build folder.", show_default=False)],
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", help="Target by name, or a .toml file. [default: the build's, loihi2]"),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Data that show silent layers, overflows and input rates.")] = None,
    calibration: Annotated[Path | None, typer.Option(help="Data that set the state scales of a model.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Use only the first samples of --data.")] = 32,
    strategy: Annotated[str, typer.Option(help="Placement: 'greedy', 'balanced' or 'traffic'.")] = "greedy",
    read: ReadOptions = AS_THE_FILE_SAYS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Say whether a model or a build fits a target: every design rule is run, and every finding is told.

    Exit code 0: no errors; 1: at least one; 2: bad input.
    """
    from tclif_deploy.data import load_data
    from tclif_deploy.mapping import STRATEGIES, Finding, check, measure
    from tclif_deploy.mapping.report import print_findings
    from tclif_deploy.target import load_target
    from tclif_deploy.workflows.subject import subject

    choice("--strategy", strategy, tuple(STRATEGIES))
    test = load_data(data)[:samples] if data is not None else None
    found = subject(model, read, calibration, test)
    machine = load_target(target) if target is not None else found.own_target()
    with Reporter(quiet or as_json).running() as reporter:
        try:
            fixed = found.compiled() if found.is_build else found.integers(machine)
        except TclifError as error:
            if found.is_build or not error.what.startswith("layer "):
                raise
            findings: tuple[Finding, ...] = (
                Finding("quantize", "error", machine.name, error.what, "", error.hint or "choose another target"),
            )
        else:
            activity = None
            if test is not None:
                reporter.say(f"running {test.samples} samples")
                activity = measure(fixed, test, progress=reporter.progress("samples"))
            findings = check(fixed, machine, None, activity, strategy)
    if as_json:
        result = {"target": machine.name, "findings": [f.to_json() for f in findings]}
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    else:
        print_findings(out, findings, machine.name)
    if any(f.severity == "error" for f in findings):
        raise typer.Exit(FELL_SHORT)
