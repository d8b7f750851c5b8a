"""How good answers are, by what the data's targets mean: labels or numbers, of a sample or of each step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.data.dataset import Dataset, Task
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.network import Float, Network
from tclif_deploy.simulation.float_result import FloatResult
from tclif_deploy.simulation.result import Result


def task_of(data: Dataset, outputs: int) -> Task:
    """What the answers of a network of so many ``outputs`` are judged as: what y means, else a label of a sample; a
    number where there is a single output, whose class is always 0.

    Raises `TclifError` where y has another number of values than the network has outputs, or labels that are none of
    its classes.
    """
    if data.task is None:
        return "value" if outputs == 1 else "label"
    if data.task in ("value", "step-value") and data.y is not None and data.y.shape[-1] != outputs:
        raise TclifError(
            f"{data.name}: y has {data.y.shape[-1]} values a {'step' if data.task == 'step-value' else 'sample'}, the "
            f"network has {outputs} output{'s' if outputs > 1 else ''}",
            "as many are needed; --task says what y means",
        )
    check_classes(data, outputs)
    return data.task


def check_labels(data: Dataset, what: str) -> None:
    """Raise `TclifError` for data whose targets are no labels of samples; ``what`` compares classes of samples."""
    if data.task not in (None, "label"):
        each = "the answers of every step" if data.task.startswith("step") else "numbers"
        raise TclifError(
            f"{data.name}: y is of task {data.task}, {what} compares classes of samples",
            f"leave y out to compare those; tclif verify judges {each}",
        )


def check_classes(data: Dataset, classes: int) -> None:
    """Raise `TclifError` where labels that count are none of a network's ``classes``, which are 0 to ``classes`` - 1.

    There is no label for no label: a mask leaves steps out, and samples without one are left out of the data.
    """
    if data.y is None or data.task not in ("label", "step-label"):
        return
    labels = data.y[judged(data, data.task)]
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise TclifError(
            f"{data.name}: labels lie in {labels.min()}..{labels.max()}",
            f"this network has the classes 0..{classes - 1}",
        )


def judged(data: Dataset, task: Task) -> NDArray[np.bool_]:
    """Which answers count: (samples, time) of a step's, (samples,) of a sample's."""
    if not task.startswith("step"):
        return np.ones(data.samples, np.bool_)
    return data.valid() if data.mask is None else data.valid() & data.mask


def check_any_judged(data: Dataset, task: Task) -> None:
    """Raise `TclifError` where no answer counts."""
    if not judged(data, task).any():
        raise TclifError(f"{data.name}: mask leaves no step to judge", "true is what counts")


def answers(network: Network | FixedNetwork, result: Result | FloatResult, data: Dataset, task: Task) -> NDArray[Any]:
    """What a run says on ``data``: classes or, in the float network's units, numbers; (samples[, time][, outputs]).

    A step's need a run that kept ``readouts``.
    """
    by_step = task.startswith("step")
    if task.endswith("label"):
        classes = result.step_classes if by_step else result.classes
        assert classes is not None
        return classes
    readout = result.readouts if by_step else result.readout
    assert readout is not None
    if isinstance(network, Network):
        return np.asarray(readout)
    lengths = np.full(data.samples, data.time) if data.lengths is None else data.lengths
    steps = np.minimum(np.arange(data.time)[None] + 1, lengths[:, None]) if by_step else lengths
    return np.asarray(readout * network.readout_unit / network.readout.divisor(steps)[..., None])


class NumberScore:
    """Numbers against the truth, added up batch by batch.

    Examples
    --------
    >>> score = NumberScore(1)
    >>> score.add(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [2.0]]))
    >>> score.r2, round(score.rmse, 4), round(score.smape, 4)
    (0.5, 0.5774, 13.3333)
    """

    def __init__(self, outputs: int) -> None:
        self.count, self.ratios = 0, 0.0
        self.mean, self.scatter, self.error = (np.zeros(outputs) for _ in range(3))

    def add(self, truth: Float, said: Float) -> None:
        """Both (numbers, outputs)."""
        if not len(truth):
            return
        batch = NumberScore(self.error.size)
        batch.count, batch.mean = len(truth), truth.mean(axis=0)
        batch.scatter, batch.error = ((truth - batch.mean) ** 2).sum(axis=0), ((said - truth) ** 2).sum(axis=0)
        size = np.abs(said) + np.abs(truth)
        batch.ratios = float((np.abs(said - truth) / np.where(size > 0, size, 1.0)).sum())
        self.merge(batch)

    def merge(self, other: NumberScore) -> None:
        """Add what ``other`` counted."""
        count = self.count + other.count
        if not other.count:
            return
        self.scatter += other.scatter + (other.mean - self.mean) ** 2 * (self.count * other.count / count)
        self.mean += (other.mean - self.mean) * (other.count / count)
        self.error += other.error
        self.count, self.ratios = count, self.ratios + other.ratios

    @property
    def r2(self) -> float | None:
        """1 - error / scatter, the mean over the outputs; None where one never varies."""
        if not self.count or not (self.scatter > 0).all():
            return None
        return float((1 - self.error / self.scatter).mean())

    @property
    def rmse(self) -> float | None:
        """Root of the mean squared error."""
        return math.sqrt(float(self.error.mean()) / self.count) if self.count else None

    @property
    def smape(self) -> float | None:
        """Symmetric mean absolute percentage error, 0 to 200: the mean of 200*|said - truth| / (|said| + |truth|)."""
        return 200 * self.ratios / (self.count * self.error.size) if self.count else None
