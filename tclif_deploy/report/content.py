"""What a report says, as data: sections of notes, tables and figures. The page and the terminal print the same ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tclif_deploy.report.figure import Figure

Level = Literal["good", "bad", "open", "plain"]
"""what a colour means"""


@dataclass(frozen=True)
class Note:
    """A sentence: something missing, or something to know; ``label`` says what kind of thing, ``level`` colours it."""

    text: str
    label: str = ""
    level: Level = "plain"
    kind: Literal["note"] = field(default="note", init=False)


@dataclass(frozen=True)
class Table:
    """Rows of text; columns named in ``left`` hold words, the others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: tuple[str, ...] = ()
    kind: Literal["table"] = field(default="table", init=False)


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
    says: str
    kind: Literal["drawing"] = field(default="drawing", init=False)


@dataclass(frozen=True, eq=False)
class Plots:
    """A figure."""

    figure: Figure
    kind: Literal["plots"] = field(default="plots", init=False)


@dataclass(frozen=True)
class Raster:
    """The spikes of the record, layer by layer and sample by sample; ``neurons`` of each layer are shown at most."""

    neurons: int
    kind: Literal["raster"] = field(default="raster", init=False)


Block = Note | Table | Bars | Drawing | Plots | Raster


@dataclass(frozen=True)
class Section:
    """One part of the report."""

    name: str
    title: str
    says: str
    """one line: what this section shows and how to read it"""
    blocks: tuple[Block, ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The figures among the blocks."""
        return tuple(block.figure for block in self.blocks if isinstance(block, Plots))
