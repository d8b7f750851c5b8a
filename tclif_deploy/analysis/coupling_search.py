"""Which signs of the couplings learn: small networks trained over all quadrants of beta (the paper's Fig. 2)."""

from __future__ import annotations

import itertools
import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from tclif_deploy.analysis.kept_points import KeptPoints, digest_of
from tclif_deploy.analysis.samples import Subject, check_targets, network_of, samples_of
from tclif_deploy.arguments import checked
from tclif_deploy.data import DataLike, Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.network import Network
from tclif_deploy.nn.canonical import Coefficients
from tclif_deploy.nn.config import MOST_LR, TrainConfig, rate_at
from tclif_deploy.nn.neuron import TCLIF, LeakyReadout, Recurrent
from tclif_deploy.nn.sequence import SequenceNetwork
from tclif_deploy.nn.trainer import Trainer, one_thread_each
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.settings import Limits
from tclif_deploy.simulation.scores import judged, task_of
from tclif_deploy.text import count

LARGEST = 0.8
"""of a coupling's size at the start, as in the paper's Table 7"""
QUADRANTS = ("first: β1 > 0, β2 > 0", "second: β1 < 0, β2 > 0", "third: β1 < 0, β2 < 0", "fourth: β1 > 0, β2 < 0")


class SignedTCLIF(TCLIF):
    """TC-LIF neurons whose couplings have any signs and keep them: beta1 = ±sigmoid(c1), beta2 = ±sigmoid(c2).

    Parameters
    ----------
    beta1, beta2 : float
        Couplings at the start, of the whole layer, each between -1 and 1 and not 0.
    threshold, gamma : float
        As for `TCLIF`.

    Examples
    --------
    >>> neuron = SignedTCLIF(0.5, -0.25)
    >>> [round(getattr(neuron.coefficients(torch.zeros(1)), name).item(), 2) for name in ("b_u", "b_v")]
    [0.5, -0.25]
    """

    def __init__(self, beta1: float, beta2: float, threshold: float = 1.0, gamma: float = 0.5) -> None:
        logits = [math.log(abs(beta) / (1 - abs(beta))) for beta in (beta1, beta2)]
        super().__init__(threshold, gamma, decay_factor=torch.tensor([logits]))
        self.signs = math.copysign(1.0, beta1), math.copysign(1.0, beta2)

    def coefficients(self, like: Tensor) -> Coefficients:
        """With the signs that were given."""
        beta = torch.sigmoid(self.decay_factor)
        one = torch.ones(1, dtype=like.dtype, device=like.device)
        return self._canonical(like, 1.0, self.signs[0] * beta[:, 0], one, self.signs[1] * beta[:, 1], self.gamma)


@dataclass(frozen=True)
class QuadrantPoint:
    """What networks came to that began at one pair of couplings.

    Examples
    --------
    >>> from tclif_deploy.analysis.coupling_search import QuadrantPoint
    >>> point = QuadrantPoint(-0.4, 0.4, (0.75, None))
    >>> point.quadrant, point.mean
    (1, 0.75)
    """

    beta1: float
    beta2: float
    figures: tuple[float | None, ...]
    """of each seed; None where the training diverged"""

    @property
    def quadrant(self) -> int:
        """Index of its quadrant in `QUADRANTS`."""
        return (0 if self.beta1 > 0 else 1) if self.beta2 > 0 else (3 if self.beta1 > 0 else 2)

    @property
    def mean(self) -> float | None:
        """Over the seeds that did not diverge; None where all did."""
        known = [figure for figure in self.figures if figure is not None]
        return float(np.mean(known)) if known else None


@dataclass(frozen=True)
class Quadrants:
    """What `quadrants` trained and measured.

    Examples
    --------
    >>> from tclif_deploy.analysis.coupling_search import Quadrants, QuadrantPoint
    >>> points = (QuadrantPoint(-0.8, 0.8, (0.75,)), QuadrantPoint(0.8, 0.8, (None,)))
    >>> found = Quadrants("accuracy", 30, 10, 16, True, 2, (0,), points)
    >>> found.best, [found.of(n)[1:] for n in (0, 1)]
    (QuadrantPoint(beta1=-0.8, beta2=0.8, figures=(0.75,)), [(None, None, None, 1), (0.75, 0.75, 0.75, 0)])
    """

    figure: str
    """``accuracy`` on the held-out samples, or ``R2`` where targets are numbers"""
    trained: int
    """samples that each network is trained on"""
    tested: int
    """samples held out"""
    neurons: int
    """of the hidden layer"""
    recurrent: bool
    epochs: int
    seeds: tuple[int, ...]
    points: tuple[QuadrantPoint, ...]

    @property
    def best(self) -> QuadrantPoint | None:
        """The point of the greatest mean; None where everything diverged."""
        known = [point for point in self.points if point.mean is not None]
        return max(known, key=lambda point: point.mean or 0.0) if known else None

    def of(self, quadrant: int) -> tuple[str, float | None, float | None, float | None, int]:
        """Name, least, mean and greatest figure, and number of diverged trainings of a quadrant, 0 to 3."""
        figures = [figure for point in self.points if point.quadrant == quadrant for figure in point.figures]
        known = [figure for figure in figures if figure is not None]
        if not known:
            return QUADRANTS[quadrant], None, None, None, len(figures)
        return QUADRANTS[quadrant], min(known), float(np.mean(known)), max(known), len(figures) - len(known)


@checked
def quadrants(
    model: Subject,
    data: DataLike | None = None,
    *,
    samples: Annotated[int | None, Limits(4)] = None,
    points: Annotated[int, Limits(1, 20)] = 2,
    neurons: Annotated[int, Limits(1, 4096)] = 32,
    epochs: Annotated[int, Limits(1)] = 10,
    lr: Annotated[float, Limits(above=0, high=MOST_LR)] = 5e-3,
    seeds: Annotated[int, Limits(1, 100)] = 1,
    seed: Annotated[int, Limits(0)] = 0,
    kept: Path | str | None = None,
    progress: Progress = no_progress,
) -> Quadrants:
    """Train a small network from couplings of every sign, ``points`` sizes of each up to 0.8, and measure each.

    ``model`` is a build, its folder, or a float network: its inputs, outputs, threshold, gamma and whether its first
    layer is recurrent are those of the networks, which have one hidden layer of so many ``neurons``. They are trained
    on three quarters of ``data`` (without any: the samples that set the build's scales) and measured on the others,
    once for each of the seeds ``seed``, ``seed`` + 1, ... Trainings that the file ``kept`` holds are not done again,
    and new ones are kept in it. Raises `TclifError` for samples without targets, fewer than four, and a file of another
    search.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> from tclif_deploy.analysis import quadrants
    >>> digits, test = tc.load("fixtures/spoken_digits/checkpoint.pth.tar"), "fixtures/spoken_digits/test.npz"
    >>> found = quadrants(digits, test, samples=40, points=1, neurons=4, epochs=1)
    >>> [(point.beta1, point.beta2) for point in found.points], found.trained, found.tested
    ([(-0.8, -0.8), (-0.8, 0.8), (0.8, -0.8), (0.8, 0.8)], 30, 10)
    """
    network, build = network_of(model)
    chosen = samples_of(network, build, data, samples)
    check_targets(network, chosen, "training")
    if chosen.samples < 4:
        raise TclifError(f"{chosen.name}: {chosen.samples} samples are too few", "at least 4 are needed")
    order = np.random.default_rng(0).permutation(chosen.samples)
    held_out = max(1, chosen.samples // 4)
    train, test = chosen[np.sort(order[held_out:])], chosen[np.sort(order[:held_out])]
    task = task_of(chosen, network.outputs)
    if not task.endswith("label"):
        assert test.y is not None
        if (np.ptp(test.y[judged(test, task)], axis=0) == 0).any():
            what = f"{chosen.name}: the targets of the {count(held_out, 'held-out sample')} do not vary"
            raise TclifError(what, "R2 needs some that do: give more samples")
    sizes = [LARGEST * n / points for n in range(1, points + 1)]
    values = [round(value, 6) for value in (*(-size for size in reversed(sizes)), *sizes)]
    first = network.spiking_layers[0] if network.spiking_layers else None
    if first is None:
        raise TclifError("no layer of this network fires", "a spiking network is needed")
    recurrent = any(c.source == first.name for c in first.connections)
    threshold, gamma = float(first.neuron.threshold[0]), float(first.neuron.r_u[0])
    tried = tuple(range(seed, seed + seeds))
    settings = (network.input_size, network.outputs, threshold, gamma, recurrent, task, neurons, epochs, lr)
    pairs = list(itertools.product(values, values))
    limits = Limits(0, 1) if task.endswith("label") else Limits(high=1)
    with KeptPoints(None if kept is None else Path(kept), "quadrants", digest_of(chosen, *settings), limits) as known:
        for done, ((beta1, beta2), number) in enumerate(itertools.product(pairs, tried), 1):
            name = f"{beta1:g},{beta2:g},{number}"
            if name not in known:
                fresh = _network(network, neurons, recurrent, (beta1, beta2), threshold, gamma, task, number)
                known.put(name, _trained(fresh, train, test, epochs, lr, number))
            progress(done, len(pairs) * seeds)
        found = tuple(
            QuadrantPoint(*pair, tuple(known[f"{pair[0]:g},{pair[1]:g},{n}"] for n in tried)) for pair in pairs
        )
    return Quadrants(
        "accuracy" if task.endswith("label") else "R2", train.samples, test.samples, neurons, recurrent, epochs, tried,
        found,
    )  # fmt: skip


def _network(
    like: Network, neurons: int, recurrent: bool, betas: tuple[float, float], threshold: float, gamma: float, task: str,
    seed: int,
) -> SequenceNetwork:  # fmt: skip
    """A fresh network, drawn from ``seed`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        spiking = SignedTCLIF(*betas, threshold, gamma)
        modules: list[torch.nn.Module] = [
            torch.nn.Linear(like.input_size, neurons),
            Recurrent(spiking, neurons) if recurrent else spiking,
            torch.nn.Linear(neurons, like.outputs),
        ]
    if task.startswith("step"):
        modules.append(LeakyReadout(like.outputs))
    return SequenceNetwork(modules)


def _trained(
    network: SequenceNetwork, train: Dataset, test: Dataset, epochs: int, lr: float, seed: int
) -> float | None:
    """Accuracy, or R2, on ``test`` after so many epochs; None where the loss was not a number before, or a step so
    large that a coupling became 0."""
    config = TrainConfig("quadrants", epochs=epochs, batch_size=16, lr=lr, seed=seed)
    # what the data may be was checked before: only a neuron that cannot be trained is left to be refused
    with one_thread_each(), Trainer(network, config) as trainer, suppress(TclifError):
        for epoch in range(epochs):
            order = np.random.default_rng((seed, epoch)).permutation(train.samples)
            steps = math.ceil(train.samples / config.batch_size)
            for n in range(steps):
                index = order[n * config.batch_size : (n + 1) * config.batch_size]
                losses, _ = trainer.step(train, index, rate_at(config, epoch + (n + 1) / steps))
                if not bool(torch.isfinite(losses).all()):
                    return None
        score = trainer.score(test)
        figure = score.accuracy if score.accuracy is not None else score.r2
        return figure if figure is not None and math.isfinite(figure) else None
    return None
