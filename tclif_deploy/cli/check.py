"""``tclif check``: will it fit? Every design rule, worst finding first."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.options import AnyTarget, Calibration, ModelOrBuild, SomeSamples, Strategy, command, refuse
from tclif_deploy.cli.output import FELL_SHORT, Output, out
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.quantization.settings import QuantizeSettings
from tclif_deploy.target import Overrides


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
    overrides: Overrides,
    read: ReadOptions,
    settings: QuantizeSettings,
    printed: Output,
) -> None:
    """Say whether a model or a build fits a target: every design rule is run, and every finding is printed.

    Exit code 0: no errors; 1: at least one; 2: bad input.
    """
    from tclif_deploy.report.terminal.hardware import print_findings
    from tclif_deploy.target import load_target
    from tclif_deploy.workflows.check import check
    from tclif_deploy.workflows.integers import opened, own_target

    if model.is_dir():
        refuse(context, f"is for a model file, {model} is a build", ReadOptions, QuantizeSettings)
    if data is None:
        refuse(context, "needs --data", "samples")
    with printed.running() as reporter:
        subject = opened(model)
        machine = load_target(target) if target else own_target(subject)
        result = check(
            subject, machine.override(**asdict(overrides)), data, calibration=calibration, samples=samples,
            strategy=strategy, read=read, settings=settings, say=reporter.say, progress=reporter.progress,
        )  # fmt: skip
    printed.result(
        result, lambda: print_findings(out, result.findings, result.target, result.calibration, result.layers)
    )
    if not result.passed:
        raise typer.Exit(FELL_SHORT)
