"""Figures as data: what is drawn, without saying by which library.

The page draws them with plotly (`report.page`), papers get them from matplotlib (`report.static`): the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

Kind = Literal["line", "steps", "bars", "points"]
Role = Literal["float", "fixed", "both", "limit", "plain"]
"""what a colour means; the same in every figure"""


@dataclass(frozen=True, eq=False)
class Series:
    """One curve, or one set of bars, of a panel."""

    label: str
    x: NDArray[Any] | list[str]
    y: NDArray[Any]
    kind: Kind = "line"
    role: Role = "plain"
    low: NDArray[Any] | None = None
    """bars only: where they start (default 0)"""


@dataclass(frozen=True, eq=False)
class Cells:
    """A grid of values, drawn as colours with their text where there are few."""

    values: NDArray[Any]
    """(rows, columns); nan is left empty"""
    rows: list[str]
    columns: list[str]
    text: list[list[str]] | None = None
    maximum: float | None = None


@dataclass(frozen=True, eq=False)
class Panel:
    """One pair of axes."""

    title: str
    x: str
    """label of the axis, with its unit"""
    y: str
    series: tuple[Series, ...] = ()
    cells: Cells | None = None
    shade: tuple[float, float] | None = None
    """a range of x that is shaded: what the hardware can hold"""
    level: float | None = None
    """a horizontal line: the threshold"""
    mark: float | None = None
    """a vertical line: the step that the figure is about"""
    log: bool = False


@dataclass(frozen=True, eq=False)
class Figure:
    """Panels that belong together, side by side or one below another."""

    name: str
    """of its file, and of its element on the page"""
    title: str
    caption: str
    """the text alternative: what a reader who does not see it should know"""
    panels: tuple[Panel, ...]
    columns: int = 1
    height: int = 240
    """of one row, in pixels"""
    tags: dict[str, str] = field(default_factory=dict)
