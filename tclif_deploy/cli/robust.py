"""``tclif robust``: accuracy under random faults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.options import BuildFolder, Data, ParallelOption, Samples, command
from tclif_deploy.cli.output import Output, keeps, out


@command("robust")
def robust_command(
    build: BuildFolder,
    *,
    data: Data,
    sigma: Annotated[
        str, typer.Option(help="Levels: one, such as 0.05; 0.01..0.1 (in steps of the first); or 0.01,0.05.")
    ] = "0.01,0.02,0.05,0.1",
    kinds: Annotated[
        str, typer.Option(help="Disturbances: mismatch, lost, added, silent, firing, bits.", show_default="all")
    ] = "",
    runs: Annotated[int, typer.Option(min=1, max=100_000, help="Random draws at each level.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws: the same seed gives the same table.")] = 0,
    samples: Samples = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="CSV table; what it holds already is not run again.")
    ] = Path("build/robust.csv"),
    plot: Annotated[Path | None, typer.Option(help="Draw accuracy over the level (.png, .svg, .pdf).")] = None,
    jobs: Annotated[int, typer.Option(help="Processes, or workers with --parallel; -1 takes every core.")] = -1,
    parallel: ParallelOption = None,
    printed: Output,
) -> None:
    """Disturb a build's integers and its input at random, many times: accuracy under mismatch, faults and flipped
    bits."""
    from dataclasses import asdict

    from tclif_deploy.analysis.disturbances import DISTURBANCES
    from tclif_deploy.builds import Build
    from tclif_deploy.data import load_data
    from tclif_deploy.outputs import check_file_place
    from tclif_deploy.report.robustness import robustness_blocks, robustness_figure
    from tclif_deploy.report.static import write_figure
    from tclif_deploy.report.sweep import check_plot
    from tclif_deploy.report.terminal.blocks import show_blocks
    from tclif_deploy.workers import check_parallel
    from tclif_deploy.workflows.robust import levels_of, robust

    check_parallel(parallel)
    check_file_place(output, (build, data))
    if plot is not None:
        check_plot(plot, (build, data, output))
    levels = levels_of(sigma)
    chosen = tuple(kind.strip() for kind in kinds.split(",") if kind.strip()) or tuple(DISTURBANCES)
    fixed, test = Build.open(build).fixed, load_data(data)
    test = test if samples is None else test[:samples]
    with printed.running() as reporter:
        reporter.say(f"{len(chosen) * len(levels) * runs:,} disturbed runs of {test.samples} samples, into {output}")
        keeps(output)
        found = robust(
            fixed, test, output, levels=levels, kinds=chosen, runs=runs, seed=seed, jobs=jobs, parallel=parallel,
            progress=reporter.progress("runs"),
        )  # fmt: skip
    if plot is not None:
        write_figure(robustness_figure(found), plot)
    result = {
        "samples": found.samples, "accuracy": found.accuracy, "spreads": [asdict(spread) for spread in found.spreads()],
        "trials": [asdict(trial) for trial in found.trials],
    }  # fmt: skip
    printed.result(result, lambda: show_blocks(out, robustness_blocks(found)))
