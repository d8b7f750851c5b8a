"""What came of `tclif_deploy.robust`, as tables and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from tclif_deploy.analysis.disturbances import DISTURBANCES
from tclif_deploy.arguments import checked_fields
from tclif_deploy.errors import TclifError
from tclif_deploy.report.content import Block, Note, Table
from tclif_deploy.report.figure import Figure, Panel, Series
from tclif_deploy.settings import Limits
from tclif_deploy.text import NONE, count, percent

NEARLY = 0.8
"""of a level, on average over runs: what is less is said"""


@dataclass(frozen=True)
@checked_fields
class Trial:
    """One disturbed run: a row of the table.

    Examples
    --------
    >>> from tclif_deploy.report.robustness import Trial
    >>> trial = Trial("5f3c", "bits", level=0.01, run=0, reached=0.011, accuracy=None, agreement=0.98)
    >>> trial.accuracy is None  # without labels
    True
    """

    robust: str
    """digest of the network, the data and the seed: rows of another job are not mixed in"""
    kind: str
    """a name of `DISTURBANCES`"""
    level: Annotated[float, Limits(above=0, high=1)]
    run: Annotated[int, Limits(0)]
    reached: Annotated[float, Limits(0)]
    """what was drawn came to, in the level's own unit: less than the level where integers are rounded, or places for
    events are few"""
    accuracy: Annotated[float | None, Limits(0, 1)]
    """None without labels"""
    agreement: Annotated[float, Limits(0, 1)]
    """share of samples for which the disturbed network chooses the class of the undisturbed one"""

    def __post_init__(self) -> None:
        if self.kind not in DISTURBANCES:
            raise TclifError(f"no disturbance is called {self.kind!r:.60}", f"known: {', '.join(DISTURBANCES)}")


@dataclass(frozen=True)
class Spread:
    """All runs of one kind at one level: shares in [0, 1], accuracies None without labels.

    Examples
    --------
    >>> from tclif_deploy.report.robustness import Robustness, Trial
    >>> runs = tuple(Trial("5f3c", "bits", 0.01, n, 0.01, accuracy, 1.0) for n, accuracy in enumerate((0.9, 0.7)))
    >>> (spread,) = Robustness(samples=10, accuracy=1.0, trials=runs).spreads()
    >>> round(spread.accuracy, 3), round(spread.accuracy_std, 3), spread.accuracy_low, spread.accuracy_high
    (0.8, 0.141, 0.7, 0.9)
    """

    kind: str
    level: float
    runs: int
    reached: float
    """mean"""
    accuracy: float | None
    """mean"""
    accuracy_std: float | None
    """standard deviation (over runs - 1; 0 of one run)"""
    accuracy_low: float | None
    accuracy_high: float | None
    agreement: float
    """mean"""


@dataclass(frozen=True)
class Robustness:
    """What came of it.

    Examples
    --------
    >>> import tempfile
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = tc.robust(fixed, test[:40], f"{folder}/robust.csv", kinds=("bits",), levels=(0.001, 0.05), runs=3,
    ...                       jobs=1)
    >>> found.accuracy, [(spread.level, spread.runs) for spread in found.spreads()]
    (1.0, [(0.001, 3), (0.05, 3)])
    """

    samples: int
    accuracy: float | None
    """undisturbed"""
    trials: tuple[Trial, ...]
    """by kind, level and run"""

    def spreads(self) -> tuple[Spread, ...]:
        """The trials of each kind and level together."""
        found = []
        for kind, level in dict.fromkeys((trial.kind, trial.level) for trial in self.trials):
            some = [trial for trial in self.trials if (trial.kind, trial.level) == (kind, level)]
            values = np.array([trial.accuracy for trial in some if trial.accuracy is not None])
            mean = std = low = high = None
            if values.size:
                mean, low, high = float(values.mean()), float(values.min()), float(values.max())
                std = float(values.std(ddof=1)) if len(values) > 1 else 0.0
            agreement = float(np.mean([trial.agreement for trial in some]))
            reached = float(np.mean([trial.reached for trial in some]))
            found.append(Spread(kind, level, len(some), reached, mean, std, low, high, agreement))
        return tuple(found)


def robustness_blocks(found: Robustness) -> list[Block]:
    """A table for each kind of disturbance."""
    labelled = found.accuracy is not None
    columns = ("level", "reached", *(("accuracy", "spread", "lowest", "highest") if labelled else ()), "agreement")
    blocks: list[Block] = []
    spreads = found.spreads()
    for kind in dict.fromkeys(spread.kind for spread in spreads):
        some = [spread for spread in spreads if spread.kind == kind]
        rows = tuple(
            (
                f"{s.level:g}",
                f"{s.reached:.3g}",
                *(
                    (percent(s.accuracy), _points(s.accuracy_std), percent(s.accuracy_low), percent(s.accuracy_high))
                    if labelled
                    else ()
                ),
                percent(s.agreement),
            )
            for s in some
        )
        title = f"{kind}: {DISTURBANCES[kind].meaning} ({count(some[0].runs, 'run')} each)"
        blocks.append(Table(title, columns, rows))
    blocks += [Note(line, "not reached", "open") for line in short_of(spreads)]
    text = f"accuracy {percent(found.accuracy)}, {count(found.samples, 'sample')}"
    if not labelled:
        text = f"{count(found.samples, 'sample')}, no labels"
    blocks.append(Note(text, "undisturbed"))
    blocks.append(Note("of the class that the undisturbed network chooses; means over runs", "agreement"))
    blocks.append(Note("what was drawn came to, in the level's own unit", "reached"))
    if labelled:
        blocks.append(Note("standard deviation over runs, in points of a hundred", "spread"))
    return blocks


def short_of(spreads: Sequence[Spread]) -> list[str]:
    """A line for each level of which much less was reached: the network was hardly disturbed there.

    Examples
    --------
    >>> few = Spread("added", 0.2, 20, 0.004, None, None, None, None, 1.0)
    >>> short_of([few])
    ['added of 0.2 came to 0.004: the input has few empty places']
    """
    return [
        f"{s.kind} of {s.level:g} came to {s.reached:.2g}: {DISTURBANCES[s.kind].limit}"
        for s in spreads
        if DISTURBANCES[s.kind].limit and s.reached < NEARLY * s.level
    ]


def _points(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.2f}"


def robustness_figure(found: Robustness) -> Figure:
    """Accuracy (without labels: agreement) over the level, a panel for each kind: every run, and their mean."""
    labelled = found.accuracy is not None
    undisturbed = 1.0 if found.accuracy is None else found.accuracy
    what = "accuracy, %" if labelled else "agreement, %"
    panels = []
    spreads = found.spreads()
    for kind in dict.fromkeys(spread.kind for spread in spreads):
        trials = [trial for trial in found.trials if trial.kind == kind]
        some = sorted((spread for spread in spreads if spread.kind == kind), key=lambda spread: spread.level)
        levels = np.array([spread.level for spread in some])
        at = np.array([trial.level for trial in trials])
        each = 100 * np.array([trial.accuracy if labelled else trial.agreement for trial in trials], float)
        means = 100 * np.array([spread.accuracy if labelled else spread.agreement for spread in some], float)
        panels.append(
            Panel(
                kind, DISTURBANCES[kind].meaning, what,
                (
                    Series("a run", at, each, "points", "plain"),
                    Series("mean", levels, means, "line", "fixed"),
                    Series("undisturbed", levels, np.full(len(levels), 100 * undisturbed), "line", "limit"),
                ),
                top=100.0,
            )
        )  # fmt: skip
    worst = min(spreads, key=lambda s: s.agreement)
    caption = (
        f"{'Accuracy' if labelled else 'Agreement'} under {', '.join(panel.title for panel in panels)}; undisturbed "
        f"{percent(undisturbed)}. The lowest mean agreement is {percent(worst.agreement)}, under {worst.kind} of "
        f"{worst.level:g}."
    )
    caption = " ".join([caption, *(f"{line}." for line in short_of(spreads))])
    return Figure("robustness", "Robustness", caption, tuple(panels), columns=2)
