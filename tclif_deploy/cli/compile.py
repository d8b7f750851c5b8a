"""``tclif compile``: the main job."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.options import Calibration, Model, OptionalData, TargetName, command, command_line, refuse, saved
from tclif_deploy.cli.output import FELL_SHORT, Output, out
from tclif_deploy.errors import TclifError
from tclif_deploy.target import Overrides
from tclif_deploy.workflows.options import BuildOptions, CompileOptions

AUTO_MAX_DROP = 0.005
"""accuracy that ``--weight-bits auto`` may lose"""


@command("compile")
def compile_command(
    context: typer.Context,
    model: Model,
    *,
    target: TargetName = "loihi2",
    data: OptionalData = None,
    calibration: Calibration = None,
    output: Annotated[Path | None, saved("Build folder.", "build/<model>-<target>")] = None,
    weight_bits: Annotated[
        str | None,
        typer.Option(help="Width of a weight, sign included; auto chooses it layer by layer, on calibration data."),
    ] = None,
    overrides: Overrides,
    options: CompileOptions,
    printed: Output,
) -> None:
    """Compile a trained network: read, quantize, emit, and verify float against fixed against the backend.

    Exit code 0: compiled (and every requirement met); 1: the verdict falls short, or the network does not fit the
    target; 2: bad input; 130: interrupted.
    """
    from tclif_deploy.report.terminal.tables import print_build
    from tclif_deploy.target import load_target
    from tclif_deploy.workflows.compile import compile
    from tclif_deploy.workflows.widths import width_goal

    if data is None:
        refuse(context, "needs --data", "samples", "backend_samples", "backend_batched", "engine")
    refuse_unused(context, options)
    if weight_bits == "auto":
        if width_goal(options) is None:
            options = replace(options, auto_bits_max_drop=AUTO_MAX_DROP)
    elif weight_bits is not None and not weight_bits.isdecimal():
        raise TclifError(f"--weight-bits is {weight_bits!r}", "expected a number of bits, or auto")
    else:
        names = ("auto_bits_max_drop", "auto_bits_max_memory", "auto_bits_max_cores")
        refuse(context, "without --weight-bits auto", *names)
        overrides = replace(overrides, weight_bits=None if weight_bits is None else int(weight_bits))
    with printed.running() as reporter:
        build = compile(
            model, load_target(target).override(**asdict(overrides)), data=data, calibration=calibration, output=output,
            options=replace(options, command=command_line(context)),
            say=reporter.say, progress=reporter.progress,
        )  # fmt: skip
    printed.result(build.report, lambda: print_build(out, build))
    if build.shortfalls or not (build.report.fits or options.allow_misfit):
        raise typer.Exit(FELL_SHORT)


def refuse_unused(context: typer.Context, options: BuildOptions) -> None:
    """Refuse what is said about backends where none runs, or all samples run anyway."""
    if options.backend == "none":
        refuse(context, "has no effect with --backend none", "backend_samples", "backend_batched")
    if options.backend_batched:
        refuse(context, "has no effect with --backend-batched, which runs all samples", "backend_samples")
