"""What a report says, as data: sections of notes, tables and figures. The page and the terminal print the same ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tclif_deploy.builds import Build
from tclif_deploy.report.figure import Figure, percent

Level = Literal["good", "bad", "open"]


@dataclass(frozen=True)
class Note:
    """A sentence: something missing, or something to know."""

    text: str
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


@dataclass(frozen=True)
class Headline:
    """The verdict: a word, a colour for it, and one sentence with the numbers."""

    word: str
    level: Level
    sentence: str


def headline(build: Build) -> Headline:
    """The verdict of a stored build, in the words of the compiler's last line."""
    report = build.report
    if not report.verified:
        return Headline("COMPILED, NOT VERIFIED", "open", "No data were given, so nothing was compared.")
    asked = any(value is not None for value in vars(build.requirements).values())
    parts = [f"Agreement {percent(report.agreement.argmax)} on {report.samples:,} samples"]
    accuracy = report.accuracy
    if accuracy.original is not None:
        parts.append(f"accuracy {percent(accuracy.original)} → {percent(accuracy.quantized)}")
    checks = report.backends
    agree = [n for n, c in checks.items() if c.equal]
    if agree:
        steps = sum(checks[name].neuron_steps for name in agree)
        verb = "equals" if len(agree) == 1 else "equal"
        parts.append(f"{', '.join(agree)} {verb} the reference in every bit of {steps:,} neuron steps")
    parts += [f"{name} DIFFERS from the reference" for name in checks if name not in agree]
    sentence = ", ".join(parts) + "."
    level: Level = "good"
    if report.shortfalls:
        word, level, sentence = "FALLS SHORT", "bad", f"{sentence} {'; '.join(report.shortfalls)}."
    elif asked:
        word = "PASS"
    else:
        word, sentence = "VERIFIED", f"{sentence} Nothing was required."
    if not report.fits:
        word, level = f"{word}, BUT DOES NOT FIT {build.target.name}", "bad"
    return Headline(word, level, sentence)
