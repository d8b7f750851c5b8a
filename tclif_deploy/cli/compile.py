"""``tclif compile``: the main job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy import json_form
from tclif_deploy.cli.common import FELL_SHORT, Debug, Json, Quiet, Reporter, Verbose, app, choice, command_line, out
from tclif_deploy.cli.reading import AS_THE_FILE_SAYS, reads_models
from tclif_deploy.errors import TclifError
from tclif_deploy.frontends import ReadOptions


@app.command("compile")
@reads_models
def compile_command(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(help="Checkpoint (.pt, .pth.tar) or .nir file.", show_default=False)],
    target: Annotated[str, typer.Option("--target", "-t", help="Target by name, or a .toml file.")] = "loihi2",
    data: Annotated[
        Path | None, typer.Option(help="Data to verify on: .npz with x (samples, time, features), y, scale, lengths.")
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Data that set the state scales. [default: calibration.npz beside the model, else 1/4 of --data]"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Build folder. [default: build/<model>-<target>]")
    ] = None,
    read: ReadOptions = AS_THE_FILE_SAYS,
    samples: Annotated[int | None, typer.Option(min=1, help="Use only the first samples of --data.")] = None,
    backend: Annotated[
        str, typer.Option(help="lava, onnx, c, engine, several by commas, all, or none. [default: the target's]")
    ] = "default",
    backend_samples: Annotated[int, typer.Option(min=1, help="Samples that every backend runs, bit for bit.")] = 4,
    backend_batched: Annotated[
        bool, typer.Option("--backend-batched", help="Run the backend's fast simulation-only form on all samples.")
    ] = False,
    engine: Annotated[str, typer.Option(help="'engine' (fast) or 'reference' (the specification).")] = "auto",
    weight_bits: Annotated[
        str | None, typer.Option(help="Override the target's weight width; 'auto' finds the least, layer by layer.")
    ] = None,
    min_accuracy_drop: Annotated[
        float | None,
        typer.Option(help="With --weight-bits auto: points of accuracy that may be lost on --data. [default: 0.5]"),
    ] = None,
    coefficient_bits: Annotated[int | None, typer.Option(help="Override the target's coefficient width.")] = None,
    state_bits: Annotated[int | None, typer.Option(help="Override the target's state width.")] = None,
    rounding: Annotated[str | None, typer.Option(help="'toward_zero', 'floor' or 'nearest'.")] = None,
    headroom: Annotated[float, typer.Option(help="States may grow to this multiple of what calibration saw.")] = 1.5,
    passes: Annotated[
        str, typer.Option(help="What betters the integers: scales, compensate, bias, by commas, or none.")
    ] = "scales,compensate,bias",
    min_agreement: Annotated[float | None, typer.Option(help="Exit 1 below this argmax agreement (0 to 1).")] = None,
    min_accuracy: Annotated[float | None, typer.Option(help="Exit 1 below this fixed-point accuracy (0 to 1).")] = None,
    max_accuracy_drop: Annotated[
        float | None, typer.Option(help="Exit 1 above this loss of accuracy (0 to 1).")
    ] = None,
    min_jaccard: Annotated[float | None, typer.Option(help="Exit 1 if any layer's spike Jaccard is below.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Compile a trained network: read, quantize, emit, and verify float against fixed against the backend.

    Exit code 0: compiled (and every requirement met); 1: the verdict falls short; 2: bad input; 130: interrupted.
    """
    from tclif_deploy import CompileOptions, QuantizeSettings, Requirements, compile
    from tclif_deploy.report.terminal.tables import print_build
    from tclif_deploy.target import load_target

    for name, value in (("--min-agreement", min_agreement), ("--min-accuracy", min_accuracy),
                        ("--max-accuracy-drop", max_accuracy_drop), ("--min-jaccard", min_jaccard)):  # fmt: skip
        if value is not None and not 0 <= value <= 1:
            raise TclifError(f"{name} is {value:g}", "expected a fraction from 0 to 1")
    automatic = weight_bits == "auto"
    if min_accuracy_drop is not None and not automatic:
        raise TclifError("--min-accuracy-drop without --weight-bits auto", "it says what auto may lose, in points")
    if min_accuracy_drop is not None and not 0 <= min_accuracy_drop <= 100:
        raise TclifError(f"--min-accuracy-drop is {min_accuracy_drop:g}", "expected points of accuracy, 0 to 100")
    if weight_bits is not None and not automatic and not weight_bits.isdecimal():
        raise TclifError(f"--weight-bits is {weight_bits!r}", "expected a number of bits, or auto")
    machine = load_target(target).override(
        weight_bits=None if weight_bits is None or automatic else int(weight_bits),
        coefficient_bits=coefficient_bits,
        state_bits=state_bits,
        rounding=rounding,
    )
    options = CompileOptions(
        read=read,
        quantize=QuantizeSettings(headroom=headroom, passes=() if passes == "none" else tuple(passes.split(","))),
        narrowest=(0.5 if min_accuracy_drop is None else min_accuracy_drop) / 100 if automatic else None,
        requirements=Requirements(min_agreement, min_accuracy, max_accuracy_drop, min_jaccard),
        backend=backend, backend_samples=backend_samples, backend_batched=backend_batched,
        samples=samples, engine=choice("--engine", engine, ("auto", "engine", "reference")),
        command=command_line(context),
    )  # fmt: skip
    with Reporter(quiet or as_json, verbose).running() as reporter:
        build = compile(
            model, machine, data=data, calibration=calibration, output=output, options=options,
            say=reporter.say, progress=reporter.progress,
        )  # fmt: skip
    if as_json:
        sys.stdout.write(json_form.text_of(build.report))
    else:
        print_build(out, build)
    if build.shortfalls:
        raise typer.Exit(FELL_SHORT)
