"""What a report says, as data: sections of notes, tables and figures. The page and the terminal print the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from tclif_deploy.report.figure import Figure, Panel
from tclif_deploy.text import WARNING, label_layers, short_labels

Level = Literal["good", "bad", "open", "plain"]
"""what a colour means"""


@dataclass(frozen=True)
class Note:
    """A sentence: something missing, or something to know; ``label`` says what kind of thing, ``level`` colours it."""

    text: str
    label: str = ""
    level: Level = "plain"
    kind: Literal["note"] = field(default="note", init=False)


def notice_note(text: str) -> Note:
    """A notice, or the warning that it is, as a sentence."""
    warns = text.startswith(WARNING)
    return Note(text.removeprefix(WARNING), "warning" if warns else "notice", "open")


@dataclass(frozen=True)
class Table:
    """Rows of text; columns named in ``left`` hold words, the others numbers.

    Where there is no room, words wrap at spaces, but for those of the columns in ``whole``; numbers never do.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    kind: Literal["table"] = field(default="table", init=False)

    @property
    def spans(self) -> tuple[int, ...]:
        """How many rows the first cell of each row stands for, where it holds words: 0 below one that says the same.

        Examples
        --------
        >>> Table("", ("layer", "state"), (("a", "u"), ("a", "v"), ("b", "u")), left=("layer",)).spans
        (2, 0, 1)
        """
        spans = [1] * len(self.rows)
        if self.columns[0] in self.left:
            for n in range(len(self.rows) - 1, 0, -1):
                if self.rows[n][0] and self.rows[n][0] == self.rows[n - 1][0]:
                    spans[n - 1], spans[n] = spans[n - 1] + spans[n], 0
        return tuple(spans)


@dataclass(frozen=True)
class Tile:
    """One figure with its name, and below it of what, or by what limit."""

    name: str
    figure: str
    note: str


@dataclass(frozen=True)
class Tiles:
    """Figures side by side."""

    tiles: tuple[Tile, ...]
    kind: Literal["tiles"] = field(default="tiles", init=False)


@dataclass(frozen=True)
class Bar:
    """A share of something: drawn as a bar."""

    label: str
    share: float
    text: str


@dataclass(frozen=True)
class Bars:
    """Shares below one another."""

    title: str
    bars: tuple[Bar, ...]
    kind: Literal["bars"] = field(default="bars", init=False)


@dataclass(frozen=True)
class Box:
    """A layer in the network's drawing."""

    name: str
    lines: tuple[str, ...]
    links: tuple[tuple[int, str], ...]
    """(index of the source box, what the connection is); a source at or after the box itself is a loop"""


@dataclass(frozen=True)
class Drawing:
    """The network: boxes from the input down, with their connections."""

    boxes: tuple[Box, ...]
    caption: str
    kind: Literal["drawing"] = field(default="drawing", init=False)


@dataclass(frozen=True, eq=False)
class Plots:
    """A figure."""

    figure: Figure
    on_page: bool = True
    """False where a table of the same section says the same: it is drawn for papers alone"""
    kind: Literal["plots"] = field(default="plots", init=False)


@dataclass(frozen=True)
class Raster:
    """The spikes of the record, layer by layer and sample by sample; ``neurons`` of each layer are shown at most."""

    neurons: int
    kind: Literal["raster"] = field(default="raster", init=False)


Block = Note | Table | Tiles | Bars | Drawing | Plots | Raster


@dataclass(frozen=True)
class Section:
    """One part of the report."""

    name: str
    title: str
    caption: str
    """one line: what this section shows and how to read it"""
    blocks: tuple[Block, ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The figures among the blocks."""
        return tuple(block.figure for block in self.blocks if isinstance(block, Plots))


def label_section(section: Section, labels: Mapping[str, str]) -> Section:
    """The section with the labels of `tclif_deploy.text.layer_labels` in the place of the layers' names."""
    blocks = tuple(label_block(block, labels) for block in section.blocks)
    return replace(section, caption=label_layers(section.caption, labels), blocks=blocks)


def label_block(block: Block, labels: Mapping[str, str]) -> Block:
    """The block with labels in the place of the layers' names.

    A table whose first columns name the layer in full names it by its place alone in the others.
    """
    if isinstance(block, Note):
        return replace(block, text=label_layers(block.text, labels))
    if isinstance(block, Table):
        return _label_table(block, labels)
    if isinstance(block, Drawing):
        boxes = tuple(replace(box, name=labels.get(box.name, box.name)) for box in block.boxes)
        return replace(block, boxes=boxes)
    if isinstance(block, Plots):
        f = block.figure
        title, caption = label_layers(f.title, labels), label_layers(f.caption, labels)
        panels = tuple(_label_panel(p, labels) for p in f.panels)
        return replace(block, figure=replace(f, title=title, caption=caption, panels=panels))
    return block


def _label_table(table: Table, labels: Mapping[str, str]) -> Table:
    short = short_labels(labels) if "layer" in table.columns else labels

    def cell(column: str, text: str) -> str:
        chosen = labels if column == "layer" else short
        return chosen.get(text) or label_layers(text, chosen)

    rows = tuple(tuple(map(cell, table.columns, row)) for row in table.rows)
    return replace(table, title=label_layers(table.title, labels), rows=rows)


def _label_panel(panel: Panel, labels: Mapping[str, str]) -> Panel:
    series = tuple(
        replace(s, x=[labels.get(x, x) for x in s.x]) if isinstance(s.x, list) else s for s in panel.series
    )  # fmt: skip
    cells = panel.cells
    if cells is not None:
        text = cells.text and [[label_layers(value, labels) for value in row] for row in cells.text]
        cells = replace(cells, rows=[labels.get(name, name) for name in cells.rows], text=text)
    return replace(panel, series=series, cells=cells)
