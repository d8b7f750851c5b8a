"""``tclif check``: will it fit? Every design rule, worst finding first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.options import AnyTarget, Calibration, ModelOrBuild, SomeSamples, Strategy, command, refuse
from tclif_deploy.cli.output import FELL_SHORT, Output, out
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.read_options import ReadOptions


@command("check")
def check_command(
    context: typer.Context,
    model: ModelOrBuild,
    *,
    target: AnyTarget = None,
    data: Annotated[Path | None, typer.Option(help="Data that show silent layers, overflows and input rates.")] = None,
    calibration: Calibration = None,
    samples: SomeSamples = 32,
    strategy: Strategy = "greedy",
    read: ReadOptions,
    printed: Output,
) -> None:
    """Say whether a model or a build fits a target: every design rule is run, and every finding is told.

    Exit code 0: no errors; 1: at least one; 2: bad input.
    """
    from tclif_deploy.data import load_data
    from tclif_deploy.mapping import Finding, check, measure
    from tclif_deploy.mapping.report import print_findings
    from tclif_deploy.target import load_target
    from tclif_deploy.workflows.subject import subject

    if model.is_dir():
        refuse(context, f"is for a model file, {model} is a build", ReadOptions, "calibration")
    if data is None:
        refuse(context, "needs --data", "samples")
    test = load_data(data)[:samples] if data is not None else None
    found = subject(model, read, calibration, test)
    machine = load_target(target) if target is not None else found.own_target()
    with printed.running() as reporter:
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
    printed.result(
        {"target": machine.name, "findings": [f.to_json() for f in findings]},
        lambda: print_findings(out, findings, machine.name),
    )
    if any(f.severity == "error" for f in findings):
        raise typer.Exit(FELL_SHORT)
