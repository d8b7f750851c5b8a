"""``tclif sweep``: a grid of widths and roundings."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.common import Debug, Json, Quiet, Reporter, app, out
from tclif_deploy.cli.reading import AS_THE_FILE_SAYS, reads_models
from tclif_deploy.frontends import ReadOptions


@app.command("sweep")
@reads_models
def sweep_command(
    model: Annotated[Path, typer.Argument(help="Checkpoint or .nir file.", show_default=False)],
    data: Annotated[Path, typer.Option(help="Data to measure agreement on.", show_default=False)],
    target: Annotated[str, typer.Option("--target", "-t", help="Target by name, or a .toml file.")] = "loihi2",
    weight_bits: Annotated[str, typer.Option(help="Such as 2..8 or 4,6,8. [default: the target's]")] = "",
    coef_bits: Annotated[str, typer.Option(help="Such as 6..16..2. [default: the target's]")] = "",
    state_bits: Annotated[str, typer.Option(help="Such as 12..24..4. [default: the target's]")] = "",
    rounding: Annotated[str, typer.Option(help="Such as toward_zero,nearest. [default: the target's]")] = "",
    calibration: Annotated[
        Path | None, typer.Option(help="Data that set the state scales. [default: calibration.npz, else 1/4 of --data]")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=2, help="Use only the first samples of --data.")] = None,
    output: Annotated[
        Path, typer.Option("--out", "-o", help="CSV table; what it holds already is not run again.")
    ] = Path("build/sweep.csv"),
    plot: Annotated[Path | None, typer.Option(help="Draw agreement against memory and energy (.png, .svg).")] = None,
    read: ReadOptions = AS_THE_FILE_SAYS,
    jobs: Annotated[int, typer.Option(help="Processes; -1 takes every core.")] = -1,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Quantize, run and place a network at every point of a grid: agreement against memory and energy."""
    from tclif_deploy.data import load_data
    from tclif_deploy.errors import TclifError
    from tclif_deploy.frontends import load
    from tclif_deploy.quantization.calibration import choose_calibration
    from tclif_deploy.report.sweep import draw, pareto
    from tclif_deploy.report.terminal.tables import print_sweep
    from tclif_deploy.target import load_target
    from tclif_deploy.workflows.sweep import grid, sweep

    machine = load_target(target)
    points = grid(machine, weight_bits, coef_bits, state_bits, rounding)
    test = load_data(data)
    test = test if samples is None else test[:samples]
    network = load(model, read)
    choice = choose_calibration(model, calibration, test)
    if choice.data is None or choice.left is None:
        raise TclifError(f"{data}: one sample is too few", "give --calibration FILE, or more samples")
    with Reporter(quiet or as_json).running() as reporter:
        reporter.say(
            f"{len(points)} points on {choice.left.samples} samples, calibrated on {choice.calibration}, into {output}"
        )
        rows = sweep(
            network, machine, points, choice.left, choice.data, output, jobs=jobs, progress=reporter.progress("points")
        )
    best = pareto(rows)
    if plot is not None:
        draw(rows, plot)
    if as_json:
        front = [asdict(row) for row in best]
        sys.stdout.write(json.dumps({"rows": [asdict(row) for row in rows], "pareto": front}, indent=2) + "\n")
    else:
        print_sweep(out, rows, best)
