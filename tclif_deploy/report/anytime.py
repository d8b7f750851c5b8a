"""Deciding early, as tables and as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tclif_deploy.report.content import Block, Note, Plots, Table
from tclif_deploy.report.figure import Figure, Panel, Series
from tclif_deploy.text import count, microjoules, modelled, percent

COLUMNS = ("steps read", "accuracy", "settled", "energy, µJ")


@dataclass(frozen=True)
class Stop:
    """What comes of stopping after so many steps, or as soon as the margin is so large.

    Energies are modelled, in nJ an inference, from the lowest and the highest public figures of the target; None where
    it has none, or where the network does not fit it.

    Examples
    --------
    >>> from tclif_deploy.report.anytime import Stop
    >>> Stop(12.5, 0.9, 0.95, None, None).energy_nj_low is None
    True
    """

    steps: float
    """steps read, the mean over the samples"""
    accuracy: float | None
    """share of samples whose class is their label; None without labels"""
    settled: float
    """share of samples whose class is the one after their last step"""
    energy_nj_low: float | None
    energy_nj_high: float | None
    margin: float | None = None
    """stopped when the largest output led the second by so much, in the float network's units; None: after so many
    steps"""


@dataclass(frozen=True)
class Anytime:
    """Accuracy and energy over steps read, by the network's own rule, and stopping at a margin.

    Examples
    --------
    >>> import tempfile
    >>> import tclif_deploy as tc
    >>> test, quick = tc.load_data("fixtures/spoken_digits/test.npz")[:40], tc.QuantizeSettings(passes=())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     build = tc.compile("fixtures/spoken_digits/checkpoint.pth.tar", data=test, output=f"{folder}/build",
    ...                        options=tc.CompileOptions(quantize=quick, backend="none"))
    ...     early = tc.anytime(build, test, points=2)
    >>> early.rule, [round(stop.steps) for stop in early.by_margin], early.decided
    ('last', [9, 16], None)
    """

    rule: str
    """the network's readout"""
    samples: int
    by_steps: tuple[Stop, ...]
    """stopping after 1/points, 2/points, ... of the longest sample"""
    by_margin: tuple[Stop, ...]
    """stopping at a margin, the smallest first"""
    decided: Stop | None
    """where the rule itself decides: ``first`` and ``threshold``"""
    figures: str | None = None
    """whose figures the energy is modelled from, as the target says it"""


def anytime_blocks(early: Anytime) -> list[Block]:
    """Both ways to stop as tables, the curves, and where the rule itself decides."""
    title = f"Stopping after so many steps ({count(early.samples, 'sample')}, readout {early.rule})"
    blocks: list[Block] = [
        Table(title, COLUMNS, tuple(_cells(stop) for stop in early.by_steps)),
        Table(
            "Stopping when the largest output leads by a margin (float units)", ("margin", *COLUMNS),
            tuple((f"{stop.margin:.4g}", *_cells(stop)) for stop in early.by_margin),
        ),
        Plots(anytime_figure(early)),
        Note("settled: share of samples whose class is the one after their last step"),
    ]  # fmt: skip
    if early.by_steps[-1].energy_nj_high is not None:
        blocks.append(Note(modelled(early.figures), "energy"))
    if early.decided is not None:
        steps, accuracy, settled, energy = _cells(early.decided)
        text = f"{steps} steps on average, accuracy {accuracy}, settled {settled}, {energy} µJ"
        blocks.append(Note(text, f"{early.rule} decides after"))
    return blocks


def _cells(stop: Stop) -> tuple[str, str, str, str]:
    energy = microjoules(stop.energy_nj_low, stop.energy_nj_high)
    return f"{stop.steps:.1f}", percent(stop.accuracy), percent(stop.settled), energy


def anytime_figure(early: Anytime) -> Figure:
    """Accuracy (without labels: what is settled) over steps read, and over energy where it is known."""
    labelled = early.by_steps[-1].accuracy is not None
    what = "accuracy, %" if labelled else "settled, %"

    def curve(label: str, stops: Sequence[Stop], x: str, role: str) -> Series:
        at = np.array([getattr(stop, x) for stop in stops], np.float64)
        right = np.array([100 * (stop.accuracy if labelled else stop.settled) for stop in stops])  # type: ignore[operator]
        order = np.argsort(at, kind="stable")
        scale = 1000 if x == "energy_nj_high" else 1
        return Series(label, at[order] / scale, right[order], "line", role)  # type: ignore[arg-type]

    axes = [("steps", "steps read")]
    if early.by_steps[-1].energy_nj_high is not None:
        axes.append(("energy_nj_high", "modelled energy, µJ"))
    panels = tuple(
        Panel(
            label, label, what,
            (
                curve("after so many steps", early.by_steps, x, "fixed"),
                curve("at a margin", early.by_margin, x, "float"),
            ),
            top=100.0,
        )
        for x, label in axes
    )  # fmt: skip
    last, first = early.by_steps[-1], early.by_steps[0]
    caption = (
        f"{'Accuracy' if labelled else 'Settled'} after {first.steps:.0f} steps "
        f"{percent(first.accuracy if labelled else first.settled)}, after {last.steps:.0f} "
        f"{percent(last.accuracy if labelled else last.settled)}."
    )
    return Figure("anytime", "Deciding early", caption, panels, columns=2)
