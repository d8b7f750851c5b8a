"""Deciding early: how right a build is after fewer steps, and what stopping there saves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy import mapping
from tclif_deploy.arguments import checked
from tclif_deploy.builds import Build
from tclif_deploy.data import DataLike, Dataset, as_dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.network import Float
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.report.anytime import Anytime, Stop
from tclif_deploy.settings import Limits
from tclif_deploy.simulation import simulate
from tclif_deploy.simulation.result import Result
from tclif_deploy.simulation.scores import answers, check_classes, check_labels

BATCH = 128
"""samples in memory at a time, with their readout after each step"""
ACTIVITY_SAMPLES = 32
"""samples whose spikes are counted for the energy"""


@checked
def anytime(
    build: Build | Path | str,
    data: DataLike,
    *,
    samples: Annotated[int | None, Limits(1)] = None,
    points: Annotated[int, Limits(2, 1000)] = 16,
    progress: Progress = no_progress,
) -> Anytime:
    """Run a build's integers on ``data`` and look at the readout after each step.

    The samples that set the build's scales are left out; ``samples`` takes the first of the others. Raises
    `TclifError` for data whose targets are no labels of samples, or that do not fit.

    Examples
    --------
    >>> import tempfile
    >>> import tclif_deploy as tc
    >>> test, quick = tc.load_data("fixtures/spoken_digits/test.npz")[:40], tc.QuantizeSettings(passes=())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     build = tc.compile("fixtures/spoken_digits/checkpoint.pth.tar", data=test, output=f"{folder}/build",
    ...                        options=tc.CompileOptions(quantize=quick, backend="none"))
    ...     early = tc.anytime(build, test, points=4)
    >>> [round(stop.steps) for stop in early.by_steps], early.by_steps[-1].accuracy
    ([7, 13, 16, 16], 1.0)
    """
    build = build if isinstance(build, Build) else Build.open(build)
    test = build.unseen(as_dataset(data, needed=True))[:samples]
    check_labels(test, "tclif anytime")
    fixed = build.fixed
    if test.features != fixed.input.size:
        raise TclifError(f"{test.name}: {test.features} features a step, the network takes {fixed.input.size}")
    if fixed.readout.outputs(fixed.output.size) == 1:
        raise TclifError("the network has one output, and no classes to decide between", "see tclif verify")
    check_classes(test, fixed.readout.outputs(fixed.output.size))
    lengths = np.full(test.samples, test.time) if test.lengths is None else test.lengths
    ends = np.unique(np.ceil(np.arange(1, points + 1) / points * int(lengths.max())).astype(np.int64))
    energy = _EnergyOverSteps(build, test, ends, progress)
    classes = np.zeros((test.samples, test.time), np.int64)
    margins = np.zeros((test.samples, test.time))
    decided: list[Any] = []
    for start in range(0, test.samples, BATCH):
        batch = test[start : start + BATCH]
        result = simulate(fixed, batch, readouts=True)
        rows = slice(start, start + batch.samples)
        assert result.step_classes is not None
        classes[rows], margins[rows] = result.step_classes, _margins(fixed, result, batch)
        decided.append(result.decided)
        progress(len(ends) + rows.stop, len(ends) + test.samples)
    final = classes[np.arange(test.samples), lengths - 1]

    def stopped(at: NDArray[np.int64], margin: float | None = None) -> Stop:
        """Stopping each sample after ``at`` steps, (samples,)."""
        chosen = classes[np.arange(test.samples), at - 1]
        right = None if test.y is None else float((chosen == test.y).mean())
        return Stop(float(at.mean()), right, float((chosen == final).mean()), *energy.at(at), margin)

    by_steps = tuple(stopped(np.minimum(lengths, end)) for end in ends.tolist())
    valid = np.arange(test.time) < lengths[:, None]
    by_margin: list[Stop] = []
    for margin in np.unique(np.quantile(margins[valid], np.linspace(0, 1, points + 1)[1:])):
        reached = (margins >= margin) & valid
        first = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, lengths)
        by_margin.append(stopped(first, float(margin)))
    own = None
    if fixed.readout.decides:
        at = np.concatenate(decided)
        own = stopped(np.where(at < 0, lengths, at + 1))
    return Anytime(str(fixed.readout), test.samples, by_steps, tuple(by_margin), own, build.target.figures)


def _margins(fixed: FixedNetwork, result: Result, batch: Dataset) -> Float:
    """By how much the largest output leads the second after each step, in the float network's units."""
    values = answers(fixed, result, batch, "step-value")
    two = np.sort(values, axis=2)[:, :, -2:]
    return np.asarray(two[:, :, 1] - two[:, :, 0])


class _EnergyOverSteps:
    """Modelled energy of reading so many steps of a sample: between two ends, each step costs the same."""

    def __init__(self, build: Build, data: Dataset, ends: NDArray[np.int64], progress: Progress) -> None:
        self.ends = np.concatenate([[0], ends])
        self.low, self.high = np.zeros(len(self.ends)), np.zeros(len(self.ends))
        self.known = True
        some = data[:ACTIVITY_SAMPLES]
        try:
            placement = mapping.place(build.fixed, build.target)
        except mapping.CannotFit:
            self.known = False
            return
        before, spent, a_step = 0, (0.0, 0.0), (0.0, 0.0)
        for n, end in enumerate(ends.tolist(), 1):
            lengths = None if some.lengths is None else np.minimum(some.lengths, end)
            part = replace(some, x=some.x[:, :end], lengths=lengths)
            total = mapping.cost(build.fixed, build.target, placement, mapping.measure(build.fixed, part)).energy.total
            if total is None:
                self.known = False
                return
            # a sample that is over by then costs nothing more
            left = np.full(some.samples, end) if lengths is None else lengths
            read = float(np.clip(left, before, end).mean()) - before
            if read > 0:  # else none of them is that long: a step costs what it did before
                a_step = ((total[0] - spent[0]) / read, (total[1] - spent[1]) / read)
            self.low[n] = self.low[n - 1] + a_step[0] * (end - before)
            self.high[n] = self.high[n - 1] + a_step[1] * (end - before)
            before, spent = end, total
            progress(n, len(ends) + data.samples)

    def at(self, steps: NDArray[np.int64]) -> tuple[float | None, float | None]:
        """The mean over samples that were each read for so many ``steps``."""
        if not self.known:
            return None, None
        low, high = (float(np.interp(steps, self.ends, energy).mean()) for energy in (self.low, self.high))
        return low, high
