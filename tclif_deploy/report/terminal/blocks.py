"""The report on a terminal: the page's story in tables and sparklines."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from tclif_deploy.builds import Build
from tclif_deploy.report.compare import differences
from tclif_deploy.report.content import Bars, Block, Drawing, Headline, Note, Plots, Raster, Table, headline
from tclif_deploy.report.figure import Panel
from tclif_deploy.report.sections import story

TICKS = " ▁▂▃▄▅▆▇█"
SPARK_WIDTH = 40
COLORS = {"good": "green", "bad": "red", "open": "yellow"}


def show(console: Console, build: Build) -> None:
    """Print every section of a build."""
    console.print(_verdict(f"{build.report.model} on {build.target.name}", headline(build)))
    for section in story(build):
        console.print()
        console.print(Text(section.title, style="bold underline"))
        console.print(Text(section.says, style="dim"))
        show_blocks(console, section.blocks, build)


def show_blocks(console: Console, blocks: Sequence[Block], build: Build | None = None) -> None:
    """Print blocks one after another; rasters are drawn from the record of ``build``."""
    for block in blocks:
        if isinstance(block, Note):
            console.print(Text(printable(block.text)))
        elif isinstance(block, Table):
            console.print(_table(block))
        elif isinstance(block, Bars):
            console.print(_bars(block))
        elif isinstance(block, Drawing):
            console.print(Text(printable(" → ".join(box.name for box in block.boxes))))
        elif isinstance(block, Plots):
            figure = block.figure
            console.print(Text.assemble((printable(f"{figure.title}. "), "bold"), printable(figure.says)))
            for panel in figure.panels:
                for line in _spark_lines(panel):
                    console.print(line)
        elif isinstance(block, Raster) and build is not None and build.record is not None:
            for line in _rates(build):
                console.print(line)


def show_differences(console: Console, a: Build, b: Build) -> None:
    """Print two builds' verdicts and what differs between them."""
    for name, build in (("A", a), ("B", b)):
        console.print(_verdict(f"{name}: {build.folder}: {build.report.model} on {build.target.name}", headline(build)))
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


def printable(text: str) -> str:
    """``text`` with terminal codes escaped: names come out of files from anywhere.

    Examples
    --------
    >>> printable("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _verdict(title: str, found: Headline) -> RenderableType:
    word = (f" {found.word} ", f"bold reverse {COLORS[found.level]}")
    return Text.assemble((printable(title), "bold"), "\n", word, f" {printable(found.sentence)}")


def _table(table: Table) -> RichTable:
    found = RichTable(
        title=Text(table.title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for column in table.columns:
        found.add_column(
            escape(column),
            justify="left" if column in table.left else "right",
            overflow="fold",
            no_wrap=column == "layer",
        )
    for row in table.rows:
        found.add_row(*(escape(printable(cell)) for cell in row))
    return found


def _bars(bars: Bars) -> RichTable:
    found = RichTable(title=Text(bars.title), title_justify="left", title_style="bold", show_header=False, box=None)
    for bar in bars.bars:
        full = round(24 * min(1.0, bar.share))
        style = "bold red" if bar.share > 1 else "blue"
        found.add_row(escape(bar.label), Text("█" * full + "·" * (24 - full), style=style), escape(bar.text))
    return found


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
                lines.append(Text.assemble(f"  {printable(layer.name) + ', ' + kind:<32} ", (spark(counts), "cyan")))
    return lines
