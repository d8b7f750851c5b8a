"""A sweep's rows, the best of them, and both as a picture: agreement against memory and energy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

from tclif_deploy import extras
from tclif_deploy.arguments import checked_fields
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import Rounding
from tclif_deploy.outputs import check_file_place, new_file
from tclif_deploy.settings import Limits


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
    agreement: float | None = None
    """share of samples for which float and fixed choose the same class"""
    accuracy: float | None = None
    """of the fixed-point network, in [0, 1]; None without labels"""
    saturations: int | None = None
    """state values that overflowed"""
    memory_bytes: int | None = None
    """synapses, parameters and states of all cores, at their bits"""
    cores: int | None = None
    """in use"""
    energy_nj_low: float | None = None
    """nJ an inference, from the lowest published figures"""
    energy_nj_high: float | None = None
    """likewise, from the highest"""
    problem: str = ""
    """why the target cannot hold it; empty where it can"""

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
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    for axis, cost, label in zip(
        figure.subplots(1, 2, sharey=True), ("memory_bytes", "energy_nj_high"),
        ("memory, bytes", "energy an inference, high estimate, nJ"), strict=True,
    ):  # fmt: skip
        usable = [row for row in rows if row.agreement is not None and getattr(row, cost) is not None]
        axis.scatter([getattr(row, cost) for row in usable], [row.agreement for row in usable], s=18, color="#999999")
        front = pareto(rows, cost)
        axis.plot([getattr(row, cost) for row in front], [row.agreement for row in front], "o-", color="#0072B2")
        for row in front:
            text = f"w{row.weight_bits} c{row.coefficient_bits} s{row.state_bits}"
            axis.annotate(
                text, (getattr(row, cost), row.agreement), textcoords="offset points", xytext=(4, -10), fontsize=7
            )
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    figure.axes[0].set_ylabel("argmax agreement with the float network")
    with new_file(path) as part:
        figure.savefig(part, format=path.suffix.lower()[1:], dpi=150)
