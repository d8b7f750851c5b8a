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


MARKS = {"shade": "what the width can hold", "level": "threshold", "mark": "the step where they first differ"}
"""what is drawn in a panel besides its series, and what it means"""


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
    top: float | None = None
    """where the vertical axis ends, for what cannot be more"""


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

    @property
    def key(self) -> tuple[tuple[str, str], ...]:
        """(how it is drawn, what it is) of every mark in any panel: the one legend of the figure.

        Examples
        --------
        >>> import numpy as np
        >>> curves = tuple(Series(name, np.arange(3), np.arange(3), "line", name) for name in ("float", "fixed"))
        >>> Figure("f", "Soma", "", (Panel("", "step", "v", curves, level=1.0),)).key
        (('line float', 'float'), ('line fixed', 'fixed'), ('level', 'threshold'))
        """
        marks: dict[str, str] = {}
        several = len({series.role for panel in self.panels for series in panel.series}) > 1
        for panel in self.panels:
            for series in panel.series:
                if several:
                    marks.setdefault(f"{series.kind} {series.role}", series.label)
        for name, text in MARKS.items():
            if any(getattr(panel, name) is not None for panel in self.panels):
                marks[name] = text
        return tuple(marks.items())
