"""``tclif check``: will it fit? Every design rule, worst finding first."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy import json_form
from tclif_deploy.cli.common import FELL_SHORT, Debug, Json, Quiet, Reporter, app, choice, out
from tclif_deploy.cli.reading import AS_THE_FILE_SAYS, reads_models
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
    from tclif_deploy.mapping import STRATEGIES
    from tclif_deploy.report.terminal.hardware import print_findings
    from tclif_deploy.workflows.check import check

    choice("--strategy", strategy, tuple(STRATEGIES))
    with Reporter(quiet or as_json).running() as reporter:
        result = check(
            model, target, data, calibration=calibration, samples=samples, strategy=strategy, read=read,
            say=reporter.say, progress=reporter.progress,
        )  # fmt: skip
    if as_json:
        sys.stdout.write(json_form.text_of(result))
    else:
        print_findings(out, result.findings, result.target)
    if not result.passed:
        raise typer.Exit(FELL_SHORT)
