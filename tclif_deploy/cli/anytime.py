"""``tclif anytime``: accuracy and energy over steps read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.options import BuildFolder, Data, Samples, command
from tclif_deploy.cli.output import Output, out


@command("anytime")
def anytime_command(
    build: BuildFolder,
    *,
    data: Data,
    samples: Samples = None,
    points: Annotated[int, typer.Option(min=2, max=1000, help="Stops on each curve.")] = 16,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves (.png, .svg, .pdf).")] = None,
    printed: Output,
) -> None:
    """Decide early: accuracy and modelled energy over steps read, by the network's rule and at a margin."""
    from dataclasses import asdict

    from tclif_deploy.report.anytime import anytime_blocks, anytime_figure
    from tclif_deploy.report.static import write_figure
    from tclif_deploy.report.sweep import check_plot
    from tclif_deploy.report.terminal.blocks import show_blocks
    from tclif_deploy.workflows.anytime import anytime

    if plot is not None:
        check_plot(plot, (build, data))
    with printed.running() as reporter:
        early = anytime(build, data, samples=samples, points=points, progress=reporter.progress("samples"))
    if plot is not None:
        write_figure(anytime_figure(early), plot)
    printed.result(asdict(early), lambda: show_blocks(out, anytime_blocks(early)))
