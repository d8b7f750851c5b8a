"""Blocks on a terminal: the one printer, and a build's whole story by it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from tclif_deploy.builds import Build
from tclif_deploy.errors import one_line
from tclif_deploy.report.compare import differences
from tclif_deploy.report.content import Bars, Block, Drawing, Level, Note, Plots, Raster, Table
from tclif_deploy.report.figure import Panel
from tclif_deploy.report.sections import story
from tclif_deploy.report.verdict_text import headline

TICKS = " ▁▂▃▄▅▆▇█"
SPARK_WIDTH = 40
COLORS: dict[Level, str] = {"good": "green", "bad": "red", "open": "yellow", "plain": "default"}


def show(console: Console, build: Build) -> None:
    """Print every section of a build."""
    console.print(_verdict("", build))
    for section in story(build):
        console.print()
        console.print(Text(section.title, style="bold underline"))
        console.print(Text(section.says, style="dim"))
        show_blocks(console, section.blocks, build)


def show_blocks(
    console: Console, blocks: Iterable[Block], build: Build | None = None, *, whole_lines: bool = False
) -> None:
    """Print blocks one after another; rasters are drawn from the record of ``build``.

    ``whole_lines`` leaves notes unwrapped, so that each is one line in a pipe.
    """
    for block in blocks:
        if isinstance(block, Note):
            label = (f"{one_line(block.label)}: " if block.label else "", f"bold {COLORS[block.level]}")
            console.print(Text.assemble(label, one_line(block.text)), soft_wrap=whole_lines)
        elif isinstance(block, Table):
            console.print(_table(block))
        elif isinstance(block, Bars):
            console.print(_bars(block))
        elif isinstance(block, Drawing):
            console.print(Text(one_line(" → ".join(box.name for box in block.boxes))))
        elif isinstance(block, Plots):
            figure = block.figure
            console.print(Text.assemble((one_line(f"{figure.title}. "), "bold"), one_line(figure.says)))
            for panel in figure.panels:
                for line in _spark_lines(panel):
                    console.print(line)
        elif isinstance(block, Raster) and build is not None and build.record is not None:
            for line in _rates(build):
                console.print(line)


def show_differences(console: Console, a: Build, b: Build) -> None:
    """Print two builds' verdicts and what differs between them."""
    for name, build in (("A", a), ("B", b)):
        console.print(_verdict(f"{name}: {build.folder}: ", build))
    console.print(_table(differences(a, b)))


def spark(values: NDArray[Any], width: int = SPARK_WIDTH) -> str:
    """``values`` as bars of text, averaged down to ``width``; the lowest is blank unless all are equal.

    Examples
    --------
    >>> spark(np.array([0, 1, 2, 4]))
    ' ▂▄█'
    """
    if len(values) > width:
        edges = np.linspace(0, len(values), width + 1).astype(int)
        values = np.array([values[a:b].mean() for a, b in itertools.pairwise(edges.tolist())])
    low, high = float(np.min(values)), float(np.max(values))
    if high == low:
        return TICKS[1 if high else 0] * len(values)
    return "".join(TICKS[int((v - low) / (high - low) * (len(TICKS) - 1))] for v in values)


def _verdict(prefix: str, build: Build) -> RenderableType:
    verdict = headline(build)
    title = one_line(f"{prefix}{build.report.model} on {build.target.name}")
    word = (f" {one_line(verdict.word)} ", f"bold reverse {COLORS[verdict.level]}")
    return Text.assemble((title, "bold"), "\n", word, f" {one_line(verdict.sentence)}")


def _table(table: Table) -> RichTable:
    drawn = RichTable(
        title=Text(one_line(table.title)) if table.title else None, title_justify="left", title_style="bold",
        box=SIMPLE_HEAD, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for column in table.columns:
        justify: JustifyMethod = "left" if column in table.left else "right"
        drawn.add_column(Text(column), justify=justify, overflow="fold", no_wrap=column == "layer")
    for row in table.rows:
        drawn.add_row(*(Text(one_line(cell)) for cell in row))
    return drawn


def _bars(bars: Bars) -> RichTable:
    drawn = RichTable(title=Text(bars.title), title_justify="left", title_style="bold", show_header=False, box=None)
    for bar in bars.bars:
        full = round(24 * min(1.0, bar.share))
        style = "bold red" if bar.share > 1 else "blue"
        drawn.add_row(Text(bar.label), Text("█" * full + "·" * (24 - full), style=style), Text(bar.text))
    return drawn


def _spark_lines(panel: Panel) -> list[Text]:
    """A line a curve; a grid or a set of bars stands in its table already."""
    lines = []
    for series in panel.series:
        if series.kind in ("line", "steps"):
            y = np.log10(1 + series.y) if panel.log else series.y
            lines.append(Text.assemble(f"  {panel.title + ', ' + series.label:<32} ", (spark(y), "cyan")))
    return lines


def _rates(build: Build) -> list[Text]:
    """How many neurons of each layer fire over the time of the first stored sample."""
    record = build.record
    assert record is not None
    lines = [Text(f"Spikes a step in sample {record.samples[0]}:")]
    for layer in record.layers:
        if layer.spikes.shape[1]:
            for n, kind in enumerate(("float", "fixed")):
                counts = layer.spikes[n, 0, : record.lengths[0]].sum(axis=1)
                lines.append(Text.assemble(f"  {one_line(layer.name) + ', ' + kind:<32} ", (spark(counts), "cyan")))
    return lines
