"""Learning curves of several trainings, from their logs (the paper's Fig. 4)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tclif_deploy.arguments import checked
from tclif_deploy.errors import TclifError
from tclif_deploy.files import as_path, read_bytes, read_json

ARGS = "args.json"
"""says beside a log how its training went"""
NEARLY = 0.95
"""of the lesser of the runs' best figures: how soon a run comes to it tells how fast it learns"""
MOST_RUNS = 4
"""that a figure can tell apart"""
LINE = re.compile(
    r"epoch +(?P<epoch>\d+)  lr \S+  loss (?P<loss>\S+)  train (?:rmse (?P<rmse>\S+)|(?P<train>\S+)%)"
    r".*?  test (?:R2 (?P<r2>\S+) rmse (?P<test_rmse>\S+)|(?P<test>\S+)%)"
)
"""an epoch, as `tclif_deploy.nn.config.Epoch.line` writes it"""
HINT = "expected the log that tclif train writes beside its checkpoint"


@dataclass(frozen=True)
class Curve:
    """One training.

    Examples
    --------
    >>> from tclif_deploy.analysis.learning_curves import Curve
    >>> Curve("a.log", 0, (0.9, 0.3), (0.5, 0.8)).best
    0.8
    """

    log: str
    seed: int | None
    """None where no args.json beside the log tells it"""
    loss: tuple[float, ...]
    """of each epoch on the training data, as logged; nan never is"""
    test: tuple[float | None, ...]
    """accuracy in [0, 1], or R2 where targets are numbers, of each epoch on the test data; None: undefined"""
    legs: int = 1
    """how often its epochs begin at 1: trainings that were written one after another"""

    @property
    def best(self) -> float:
        """The greatest of ``test``."""
        return self.best_of(len(self.test))

    def best_of(self, epochs: int) -> float:
        """The greatest of the first ``epochs`` of ``test``."""
        return max((value for value in self.test[:epochs] if value is not None), default=-np.inf)


@dataclass(frozen=True)
class TrainingRun:
    """Trainings that differ in nothing but their seed.

    Examples
    --------
    >>> from tclif_deploy.analysis.learning_curves import Curve, TrainingRun
    >>> curves = Curve("a.log", 0, (0.9, 0.3), (0.5, 0.8)), Curve("b.log", 1, (0.8, 0.4), (0.6, 0.7))
    >>> run = TrainingRun("tclif", curves)
    >>> run.epochs, run.last, run.epochs_to(0.6)
    (2, (0.7, 0.75, 0.8), (1, 1.5, 2))
    """

    name: str
    """what it differs in from the other runs"""
    curves: tuple[Curve, ...]

    @property
    def epochs(self) -> int:
        """That all its trainings have: those of the shortest."""
        return min(len(curve.test) for curve in self.curves)

    @property
    def longest(self) -> int:
        """Epochs of its longest training."""
        return max(len(curve.test) for curve in self.curves)

    @property
    def best(self) -> float:
        """The greatest test figure within the epochs that all its trainings have."""
        return max(curve.best_of(self.epochs) for curve in self.curves)

    @property
    def last(self) -> tuple[float | None, float | None, float | None]:
        """Least, mean and greatest test figure after the last epoch that all its trainings have."""
        values = [curve.test[self.epochs - 1] for curve in self.curves]
        known = [value for value in values if value is not None]
        return (min(known), float(np.mean(known)), max(known)) if len(known) == len(values) else (None, None, None)

    def epochs_to(self, figure: float) -> tuple[int, float, int] | None:
        """Least, mean and greatest number of epochs after which a training's test figure is at least ``figure``; None
        where one does not come to it within the epochs that all have."""
        firsts = []
        for curve in self.curves:
            reached = [
                n for n, value in enumerate(curve.test[: self.epochs], 1) if value is not None and value >= figure
            ]
            if not reached:
                return None
            firsts.append(reached[0])
        return min(firsts), float(np.mean(firsts)), max(firsts)


@dataclass(frozen=True)
class Convergence:
    """What `convergence` read.

    Examples
    --------
    >>> from tclif_deploy.analysis.learning_curves import Convergence, Curve, TrainingRun
    >>> slow, fast = ((0.1, 0.4, 0.8), (0.7, 0.8, 0.8))
    >>> runs = [TrainingRun(n, (Curve(n, None, test, test),)) for n, test in (("lif", slow), ("tclif", fast))]
    >>> found = Convergence("accuracy", tuple(runs))
    >>> round(found.nearly, 2), [run.epochs_to(found.nearly)[0] for run in found.runs]
    (0.76, [3, 2])
    """

    figure: str
    """``accuracy``, or ``R2`` where targets are numbers"""
    runs: tuple[TrainingRun, ...]

    @property
    def nearly(self) -> float:
        """95 % of the best figure of the run whose best is least."""
        return NEARLY * min(run.best for run in self.runs)


@checked
def convergence(logs: Sequence[Path | str]) -> Convergence:
    """Read the logs of two or more trainings; those whose args.json differ only in the seed are one run.

    A log in which the epochs begin anew (legs of one training, written one after another) is counted on, and says so
    (``legs``). Trainings of one run are compared at the last epoch that all of them have. Raises `TclifError` for files
    that are no such logs, fewer than two, more than four runs, two of the same settings and seed, and figures of
    different kinds.

    Examples
    --------
    >>> from tclif_deploy.analysis import convergence
    >>> found = convergence([f"fixtures/{name}/train.log" for name in ("smnist_rec", "psmnist_rec")])
    >>> [(run.name, run.epochs, run.epochs_to(found.nearly)) for run in found.runs]
    [('smnist-rec', 28, (2, 2.0, 2)), ('psmnist-rec', 39, (7, 7.0, 7))]
    """
    paths = [as_path(log, "expected a file's name") for log in logs]
    if len(paths) < 2:
        raise TclifError(f"convergence compares trainings, {len(paths)} log was given", "give two logs or more")
    if len({path.resolve() for path in paths}) < len(paths):
        raise TclifError("a log was given twice", "give each once")
    read = [_read(path) for path in paths]
    kinds = {figure for figure, *_ in read}
    if len(kinds) > 1:
        raise TclifError("some logs have accuracies, others R2", "compare trainings of one kind of targets")
    settings = [_args(path) for path in paths]
    for n, args in enumerate(settings):
        twin = settings.index(args) if _seed(args) is not None and args.get("start") is None else n
        if twin < n:
            raise TclifError(
                f"{paths[n]}: is of the same settings and seed ({_seed(args)}) as {paths[twin]}",
                "leave one out: one training would count twice",
            )
    groups: dict[str, list[int]] = {}
    for n, args in enumerate(settings):
        known = {key: value for key, value in args.items() if key != "seed"}
        groups.setdefault(repr(sorted(known.items())) if args else f"log {n}", []).append(n)
    if len(groups) > MOST_RUNS:
        raise TclifError(f"{len(groups)} different runs were given", f"at most {MOST_RUNS} can be told apart")
    names = _names([settings[group[0]] for group in groups.values()], [paths[group[0]] for group in groups.values()])
    runs = []
    for name, group in zip(names, groups.values(), strict=True):
        curves = tuple(Curve(str(paths[n]), _seed(settings[n]), *read[n][1:]) for n in group)
        runs.append(TrainingRun(name, curves))
    return Convergence(kinds.pop(), tuple(runs))


def _read(path: Path) -> tuple[str, tuple[float, ...], tuple[float | None, ...], int]:
    """(which figure, losses, figures, legs) of a log."""
    try:
        lines = read_bytes(path, HINT).decode().splitlines()
    except UnicodeDecodeError:
        raise TclifError(f"{path}: is no text", HINT) from None
    losses: list[float] = []
    tests: list[float | None] = []
    kinds = set()
    before = legs = 0
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = LINE.match(line)
        try:
            if found is None:
                raise ValueError
            epoch, loss = int(found["epoch"]), float(found["loss"])
            if epoch not in (before + 1, 1) or not np.isfinite(loss):
                raise ValueError
            numbers = found["r2"] is not None
            tests.append(_test(found))
        except ValueError:
            raise TclifError(f"{path}: line {number} is no epoch of a training ({line.strip():.60})", HINT) from None
        losses.append(loss)
        kinds.add("R2" if numbers else "accuracy")
        legs += epoch == 1
        before = epoch
    if len(kinds) != 1:
        raise TclifError(f"{path}: {'holds no epoch' if not kinds else 'its epochs are of different tasks'}", HINT)
    return kinds.pop(), tuple(losses), tuple(tests), legs


def _test(found: re.Match[str]) -> float | None:
    """The test figure of an epoch; None: undefined. Raises `ValueError` for a loss or a figure that none can be."""
    if float(found["loss"]) < 0:
        raise ValueError
    if found["r2"] is None:
        shares = [float(found[name]) / 100 for name in ("train", "test") if found[name] is not None]
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError
        return float(found["test"]) / 100
    if found["r2"] == "undefined":
        return None
    if not float(found["r2"]) <= 1:
        raise ValueError
    return float(found["r2"])


def _args(path: Path) -> dict[str, Any]:
    """What args.json beside a log holds; nothing where there is none."""
    args = path.parent / ARGS
    if not args.exists():
        return {}
    stored = read_json(args, "move it away to compare by the logs alone")
    if not isinstance(stored, dict):
        raise TclifError(f"{args}: is of no training", "move it away to compare by the logs alone")
    return stored


def _seed(args: dict[str, Any]) -> int | None:
    seed = args.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None


def _names(settings: list[dict[str, Any]], paths: list[Path]) -> list[str]:
    """What each run differs in from the others: its model, its neuron, or else the folder of its log."""
    for keys in (("model",), ("neuron",), ("model", "neuron")):
        told = [[args.get(key) for key in keys] for args in settings]
        names = [" ".join(map(str, parts)) for parts in told]
        if len(set(names)) == len(names) and all(isinstance(part, str) and part for parts in told for part in parts):
            return names
    for made in (lambda path: path.parent.name, lambda path: path.name, str):
        names = [str(made(path)) for path in paths]
        if len(set(names)) == len(names) and all(names):
            return names
    return [str(path) for path in paths]
