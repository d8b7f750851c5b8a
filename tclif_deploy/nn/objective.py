"""What a training makes small, and what it measures, by what the data's targets mean: labels or numbers, of a sample or
of each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tclif_deploy.data.dataset import Dataset, Task
from tclif_deploy.simulation.scores import NumberScore, judged


def losses(said: Tensor, y: Tensor, task: Task, counts: Tensor, smoothing: float = 0.0) -> Tensor:
    """Each sample's loss, (samples,): cross-entropy of labels, mean squared error of numbers; where steps have targets,
    the mean over the steps that count.

    ``said`` is (samples, outputs) or (samples, time, outputs), ``y`` of the task's shape, ``counts`` (samples, time).
    ``smoothing`` spreads that share of each label over all classes.
    """
    if task == "label":
        return torch.nn.functional.cross_entropy(said, y, reduction="none", label_smoothing=smoothing)
    if task == "value":
        return ((said - y) ** 2).mean(1)
    if task == "step-label":
        # what does not count may hold any number
        y = torch.where(counts, y, 0)
        steps = torch.nn.functional.cross_entropy(said.transpose(1, 2), y, reduction="none", label_smoothing=smoothing)
    else:
        steps = ((said - y) ** 2).mean(2)
    return (steps * counts).sum(1) / counts.sum(1).clamp(min=1)


def distilled(said: Tensor, teacher: Tensor, temperature: float, task: Task, counts: Tensor) -> Tensor:
    """Each sample's distance from what a ``teacher`` says, (samples,): the Kullback-Leibler divergence of the classes'
    probabilities at a ``temperature``, times its square (Hinton, Vinyals and Dean, arXiv:1503.02531), the mean over the
    steps that count where each is read.

    ``said`` and ``teacher`` are (samples, classes) or (samples, time, classes).
    """
    target = (teacher / temperature).log_softmax(-1)
    each = (target.exp() * (target - (said / temperature).log_softmax(-1))).sum(-1) * temperature**2
    return each if task == "label" else (each * counts).sum(1) / counts.sum(1).clamp(min=1)


def correct(said: Tensor, y: Tensor, task: Task, counts: Tensor) -> int:
    """How many labels are found, of samples or of the steps that count; 0 for numbers."""
    if task == "label":
        return int((said.argmax(1) == y).sum())
    if task == "step-label":
        return int(((said.argmax(2) == y) & counts).sum())
    return 0


def counting(data: Dataset, index: Any) -> NDArray[np.bool_]:
    """Which steps of the samples ``index`` are judged, (samples, time), whatever the task."""
    lengths = np.full(data.samples, data.time) if data.lengths is None else data.lengths
    valid = np.arange(data.time) < lengths[index][:, None]
    return np.asarray(valid if data.mask is None else valid & data.mask[index])


def weight_of(data: Dataset) -> Tensor:
    """What each sample weighs, (samples,): as many as it has targets, so that a mean is that over all targets."""
    assert data.task is not None
    counts = judged(data, data.task)
    return torch.from_numpy(counts.reshape(len(counts), -1).sum(1).astype(np.float32))


def spread(data: Dataset) -> float:
    """The size of a loss: 1 for labels, the variance of the targets that count for numbers (1 where there is none)."""
    if data.y is None or data.task not in ("value", "step-value"):
        return 1.0
    variance = float(data.y[judged(data, data.task)].var(axis=0).mean())
    return variance if variance > 0 else 1.0


@dataclass(frozen=True)
class Score:
    """How good answers are on some data."""

    accuracy: float | None = None
    """share of labels found, in [0, 1]; None for numbers"""
    rmse: float | None = None
    """of numbers, in the targets' unit"""
    r2: float | None = None
    smape: float | None = None


def score(answers: NDArray[np.generic], data: Dataset) -> Score:
    """How good ``answers`` are: classes, or numbers, of samples or of steps, as `Trainer.answers` gives them."""
    assert data.y is not None
    assert data.task is not None
    counts = judged(data, data.task)
    said, truth = answers[counts], data.y[counts]
    if data.task in ("label", "step-label"):
        return Score(float(np.mean(said == truth)))
    numbers = NumberScore(truth.shape[1])
    numbers.add(truth, np.asarray(said, np.float64))
    return Score(None, numbers.rmse, numbers.r2, numbers.smape)
