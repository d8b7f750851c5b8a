"""Blocks on a terminal: the one printer."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from tclif_deploy.errors import one_line
from tclif_deploy.report.content import Bars, Block, Drawing, Level, Note, Plots, Raster, Table, Tiles, label_block
from tclif_deploy.report.figure import Panel
from tclif_deploy.report.terminal.layout import Medium, bar_lines, indented, medium, table_lines
from tclif_deploy.text import layer_labels, wrap

if TYPE_CHECKING:
    from tclif_deploy.builds import Build

TICKS = " ▁▂▃▄▅▆▇█"
SPARK_WIDTH = 40
COLORS: dict[Level, str] = {"good": "green", "bad": "red", "open": "yellow", "plain": "default"}


def show_text(console: Console, text: str, style: str = "", *, whole: bool = False) -> None:
    """Print a text, wrapped at spaces where the console has a width; ``whole`` leaves it in one line, to be copied."""
    shown = medium(console)
    for line in wrap(shown.text(one_line(text)), None if whole else shown.width):
        print_line(console, Text(line, style=style))


def show_blocks(
    console: Console, blocks: Iterable[Block], build: Build | None = None, *, layers: Sequence[str] = ()
) -> None:
    """Print blocks one after another; rasters are drawn from the record of ``build``.

    ``layers`` are the network's, in order, where the blocks still name them as its file does.
    """
    shown, previous = medium(console), None
    labels = layer_labels(layers) if layers else {}
    for block in blocks:
        lines = list(_lines(label_block(block, labels), shown, build))
        if lines and previous is not None and not (isinstance(block, Note) and previous is Note):
            console.print()  # notes follow each other, everything else stands apart
        for line in lines:
            print_line(console, line)
        previous = type(block) if lines else previous


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


def print_line(console: Console, line: Text) -> None:
    """Print a line that is laid out already."""
    line.rstrip()
    console.print(line, soft_wrap=True, highlight=False)  # rich shall neither wrap nor pad it


def _lines(block: Block, shown: Medium, build: Build | None) -> Iterator[Text]:
    """The lines of one block."""
    if isinstance(block, Note):
        yield from labelled(block.label, block.text, f"bold {COLORS[block.level]}", shown)
    elif isinstance(block, Table):
        yield from _titled(block.title, shown)
        cells = tuple(tuple(map(one_line, row)) for row in block.rows)
        head, rows = table_lines(replace(block, rows=cells), shown)
        yield from (Text(line, style="bold") for line in head)
        yield from map(Text, rows)
    elif isinstance(block, Tiles):
        for tile in block.tiles:
            yield from labelled(tile.name, f"{tile.figure} ({tile.note})", "bold", shown)
    elif isinstance(block, Bars):
        yield from _titled(block.title, shown)
        for label, bar, text, over in bar_lines(block, shown):
            yield Text.assemble(label, (bar, "bold red" if over else "blue"), text)
    elif isinstance(block, Drawing):
        yield from map(Text, indented(shown.text(one_line(" → ".join(box.name for box in block.boxes))), shown.width))
    elif isinstance(block, Plots):
        curves = list(_curves(_drawn(block.figure.panels), shown))
        if curves:  # a grid or a set of bars stands in a table already
            yield from labelled(block.figure.title, block.figure.caption, "bold", shown, ". ")
            yield from curves
    elif isinstance(block, Raster) and build is not None and build.record is not None:
        yield from _rates(build, shown)


def _titled(title: str, shown: Medium) -> Iterator[Text]:
    if title:
        yield from (Text(line, style="bold") for line in wrap(shown.text(one_line(title)), shown.width))


def labelled(label: str, text: str, style: str, shown: Medium, end: str = ": ") -> Iterator[Text]:
    """``label: text``, wrapped, with the label in ``style``."""
    start = shown.text(one_line(label) + end) if label else ""
    for n, line in enumerate(indented(start + shown.text(one_line(text)), shown.width)):
        drawn = Text(line)
        if n == 0:
            drawn.stylize(style, 0, min(len(start), len(line)))
        yield drawn


def _drawn(panels: Iterable[Panel]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Name and values of each curve."""
    for panel in panels:
        for series in panel.series:
            if series.kind in ("line", "steps"):
                yield f"{panel.title}, {series.label}", np.log10(1 + series.y) if panel.log else series.y


def _curves(drawn: Iterable[tuple[str, NDArray[Any]]], shown: Medium) -> Iterator[Text]:
    """A line a curve, all of which begin at the same column."""
    curves = [(shown.text(one_line(label)), values) for label, values in drawn]
    column = max((cell_len(label) for label, _ in curves), default=0)
    below = shown.width is not None and column + 4 + SPARK_WIDTH > shown.width
    for label, values in curves:
        start, size = f"  {label}{' ' * (column - cell_len(label))}  ", SPARK_WIDTH
        if below and shown.width is not None:
            yield from (Text(f"  {line}") for line in wrap(label, shown.width - 2))
            start, size = "    ", max(1, min(size, shown.width - 4))
        yield Text.assemble(start, (shown.text(spark(values, size)), "cyan"))


def _rates(build: Build, shown: Medium) -> Iterator[Text]:
    """How many neurons of each layer fire over the time of the first stored sample."""
    record = build.record
    assert record is not None
    labels = layer_labels([layer.name for layer in build.fixed.layers])
    yield Text(f"Spikes a step in sample {record.samples[0]}:")
    drawn = [
        (f"{labels[layer.name]}, {network}", layer.spikes[n, 0, : record.lengths[0]].sum(axis=1))
        for layer in record.layers
        if layer.spikes.shape[1]
        for n, network in enumerate(("float", "fixed"))
    ]
    yield from _curves(drawn, shown)
