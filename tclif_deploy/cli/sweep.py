"""``tclif sweep``: a grid of widths and roundings."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.options import Calibration, Data, Model, ParallelOption, TargetName, command
from tclif_deploy.cli.output import Output, keeps, out
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.quantization.settings import QuantizeSettings


@command("sweep", without=["bound_steps"])  # there always are calibration data
def sweep_command(
    model: Model,
    *,
    data: Data,
    target: TargetName = "loihi2",
    weight_bits: Annotated[str, typer.Option(help="Such as 2..8 or 4,6,8.", show_default="the target's")] = "",
    coefficient_bits: Annotated[str, typer.Option(help="Such as 6..16..2.", show_default="the target's")] = "",
    state_bits: Annotated[str, typer.Option(help="Such as 12..24..4.", show_default="the target's")] = "",
    rounding: Annotated[str, typer.Option(help="Such as toward_zero,nearest.", show_default="the target's")] = "",
    calibration: Calibration = None,
    samples: Annotated[int | None, typer.Option(min=2, help="Use only the first samples of --data.")] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="CSV table; what it holds already is not run again.")
    ] = Path("build/sweep.csv"),
    plot: Annotated[Path | None, typer.Option(help="Draw agreement against memory and energy (.png, .svg).")] = None,
    jobs: Annotated[int, typer.Option(help="Processes, or workers with --parallel; -1 takes every core.")] = -1,
    parallel: ParallelOption = None,
    read: ReadOptions,
    settings: QuantizeSettings,
    printed: Output,
) -> None:
    """Quantize, run and place a network at every point of a grid: agreement against memory and energy."""
    from tclif_deploy.data import load_data
    from tclif_deploy.frontends import load
    from tclif_deploy.outputs import check_file_place
    from tclif_deploy.report.sweep import check_plot, draw, pareto
    from tclif_deploy.report.terminal.tables import print_sweep
    from tclif_deploy.target import load_target
    from tclif_deploy.workers import check_parallel
    from tclif_deploy.workflows.sweep import grid, sweep, sweep_data

    check_parallel(parallel)
    check_file_place(output, (model, data, calibration))
    if plot is not None:
        check_plot(plot, (model, data, calibration, output))
    machine = load_target(target)
    points = grid(machine, weight_bits, coefficient_bits, state_bits, rounding)
    test = load_data(data)
    test = test if samples is None else test[:samples]
    network = load(model, read)
    chosen, scales, left = sweep_data(model, test, calibration)
    with printed.running() as reporter:
        reporter.say(f"{len(points)} points on {left.samples} samples, calibrated on {chosen}, into {output}")
        keeps(output)
        rows = sweep(
            network, machine, points, left, scales, output, settings=settings, jobs=jobs, parallel=parallel,
            progress=reporter.progress("points"),
        )  # fmt: skip
    best = pareto(rows)
    if plot is not None:
        draw(rows, plot)
    printed.result(
        {
            "calibration": asdict(chosen),
            "rows": [asdict(row) for row in rows],
            "pareto": [asdict(row) for row in best],
        },
        lambda: print_sweep(out, rows, best, chosen, machine.figures),
    )
