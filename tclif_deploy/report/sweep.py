"""A sweep's rows, the best of them, and both as a picture: agreement against memory and energy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

from tclif_deploy import extras
from tclif_deploy.arguments import checked_fields
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import Rounding
from tclif_deploy.outputs import check_file_place, new_file
from tclif_deploy.settings import Limits
from tclif_deploy.text import wrap


@dataclass(frozen=True)
@checked_fields
class Point:
    """One choice of the grid: widths in bits, and how products are rounded; names as in a target file.

    Examples
    --------
    >>> from dataclasses import asdict
    >>> from tclif_deploy import load_target
    >>> from tclif_deploy.workflows.sweep import Point
    >>> point = Point(weight_bits=4, coefficient_bits=12, state_bits=16, rounding="floor")
    >>> load_target("loihi2").override(**asdict(point)).state_bits.value
    16
    """

    weight_bits: Annotated[int, Limits(1, 64)]
    """sign included"""
    coefficient_bits: Annotated[int, Limits(0, 64)]
    """fractional bits"""
    state_bits: Annotated[int, Limits(1, 64)]
    """of u and of v, sign included"""
    rounding: str
    """``toward_zero``, ``floor`` or ``nearest``"""

    def __post_init__(self) -> None:
        if self.rounding not in get_args(Rounding):
            raise TclifError(f"rounding is {self.rounding!r:.60}", f"known: {', '.join(get_args(Rounding))}")


@dataclass(frozen=True)
@checked_fields
class Row:
    """What one point came to; None where the target cannot hold the network, or states no such figure.

    Examples
    --------
    >>> from tclif_deploy.workflows.sweep import Row
    >>> row = Row("5f3c", 4, 12, 16, "floor", agreement=0.98, memory_bytes=30_000)
    >>> row.point, row.cores
    (Point(weight_bits=4, coefficient_bits=12, state_bits=16, rounding='floor'), None)
    """

    sweep: str
    """digest of the model, the data and all settings but the grid: rows of another sweep are not mixed in"""
    weight_bits: int
    coefficient_bits: int
    state_bits: int
    rounding: str
    agreement: Annotated[float | None, Limits(0, 1)] = None
    """share of samples for which float and fixed choose the same class"""
    accuracy: Annotated[float | None, Limits(0, 1)] = None
    """of the fixed-point network, in [0, 1]; None without labels"""
    saturations: Annotated[int | None, Limits(0)] = None
    """state values that overflowed"""
    memory_bytes: Annotated[int | None, Limits(0)] = None
    """synapses, parameters and states of all cores, at their bits"""
    cores: Annotated[int | None, Limits(1)] = None
    """in use"""
    energy_nj_low: Annotated[float | None, Limits(0)] = None
    """nJ an inference, from the lowest published figures"""
    energy_nj_high: Annotated[float | None, Limits(0)] = None
    """likewise, from the highest"""
    problem: str = ""
    """why the target cannot hold it; empty where it can"""

    def __post_init__(self) -> None:
        _ = self.point

    @property
    def point(self) -> Point:
        """The row's place in the grid."""
        return Point(self.weight_bits, self.coefficient_bits, self.state_bits, self.rounding)


def pareto(rows: Sequence[Row], cost: str = "memory_bytes") -> list[Row]:
    """Rows that no other beats in both agreement and ``cost``, cheapest first."""
    front: list[Row] = []
    usable = [row for row in rows if row.agreement is not None and getattr(row, cost) is not None]
    for row in sorted(usable, key=lambda row: (getattr(row, cost), -(row.agreement or 0.0))):
        if not front or (row.agreement or 0.0) > (front[-1].agreement or 0.0):
            front.append(row)
    return front


def check_plot(path: Path, inputs: Iterable[object]) -> None:
    """Raise the `TclifError` with which `draw` would end, before any work; none of ``inputs`` may be ``path``."""
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise TclifError(f"{path}: no picture is called so", "choose a .png, .svg or .pdf")
    extras.need("--plot", "leave --plot out", "matplotlib")
    check_file_place(path, inputs)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Two panels with every point and the Pareto front; see `check_plot`."""
    figure = picture(rows)
    with new_file(path) as part:
        figure.savefig(part, format=path.suffix.lower()[1:], dpi=150)


def picture(rows: Sequence[Row]) -> Any:
    """The matplotlib figure that `draw` saves: agreement in percent, over memory and over energy.

    Points of the fronts are numbered, and one list below both panels says what the numbers are. Points that lie so
    close that their numbers would meet share one label.
    """
    from matplotlib.figure import Figure

    fronts = {cost: pareto(rows, cost) for cost in COSTS}
    best = list(dict.fromkeys(row.point for front in fronts.values() for row in front))
    figure = Figure(figsize=SIZE, layout="constrained")
    for axis, (cost, (label, scale)) in zip(figure.subplots(1, 2, sharey=True), COSTS.items(), strict=True):
        usable = [row for row in rows if row.agreement is not None and getattr(row, cost) is not None]
        places = [_place(row, cost, scale) for row in usable]
        axis.scatter(*zip(*places, strict=True) if places else ((), ()), s=18, color="#999999", label="every point")
        front = [_place(row, cost, scale) for row in fronts[cost]]
        name = "best: none is cheaper and agrees as well"
        axis.plot(*zip(*front, strict=True) if front else ((), ()), "o-", ms=5, color="#0072B2", label=name)
        axis.set_xlabel(label)
        axis.margins(x=0.12)
        axis.grid(alpha=0.3)
    axis = figure.axes[0]
    axis.set_ylabel("agreement with the float network, %")
    axis.set_ylim(max(0.0, min(axis.get_ylim()[0], 99.0) - 1.0), 100.0)
    for axis, (cost, (_, scale)) in zip(figure.axes, COSTS.items(), strict=True):
        points = [(best.index(row.point) + 1, _place(row, cost, scale)) for row in fronts[cost]]
        for text, at in labels(points, axis.get_xlim(), axis.get_ylim()):
            axis.annotate(text, at, textcoords="offset points", xytext=(5, -10), fontsize=7)
        for mark in (*axis.lines, *axis.collections):  # one on the upper edge is drawn whole
            mark.set_clip_on(False)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False)
    if best:
        listed = "; ".join(f"{n}: {_bits(point)}" for n, point in enumerate(best, 1))
        words = "\n".join(wrap(f"bits of weights/coefficients/states, rounding: {listed}", 150))
        figure.supxlabel(words, x=0.01, ha="left", fontsize=7)
    return figure


SIZE = (10.0, 4.6)
"""inches"""
PANEL = (300.0, 220.0)
"""about the size of one panel, in points of 1/72 inch"""
NEAR = (30.0, 11.0)
"""labels so close to each other, in the same unit, would meet"""
COSTS = {"memory_bytes": ("memory, KiB", 1024), "energy_nj_high": ("modelled energy of an inference, high, µJ", 1000)}
"""what a point costs -> the name of its axis, and what it is divided by there"""
At = tuple[float, float]


def labels(points: Sequence[tuple[int, At]], x: At, y: At) -> list[tuple[str, At]]:
    """The numbers of a front's ``points``, cheapest first, with the place of each label on axes of limits ``x``, ``y``.

    Examples
    --------
    >>> labels([(1, (0.0, 0.0)), (2, (50.0, 50.0)), (3, (51.0, 50.5))], (0.0, 100.0), (0.0, 100.0))
    [('1', (0.0, 0.0)), ('2, 3', (51.0, 50.5))]
    """
    groups: list[tuple[list[int], At]] = []
    units = PANEL[0] / (x[1] - x[0]), PANEL[1] / (y[1] - y[0])
    for number, at in points:
        if groups and all(abs(at[n] - groups[-1][1][n]) * units[n] < NEAR[n] for n in (0, 1)):
            groups[-1] = ([*groups[-1][0], number], at)
        else:
            groups.append(([number], at))
    return [(", ".join(map(str, numbers)), at) for numbers, at in groups]


def _place(row: Row, cost: str, scale: float) -> At:
    return getattr(row, cost) / scale, 100 * (row.agreement or 0.0)


def _bits(point: Point) -> str:
    rounding = point.rounding.replace("_", " ")
    return f"{point.weight_bits}/{point.coefficient_bits}/{point.state_bits} {rounding}"
