"""How a network's answers depend on the exactness of its weights: each is off by a share of itself.

Where states forget nothing, a spike that moves moves others, and errors beyond some size all grow to nearly the same
one. There, integers of more bits win little: the network itself would have to be another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.analysis.samples import Subject, check_judged, network_of, samples_of, with_weights
from tclif_deploy.arguments import checked
from tclif_deploy.data import DataLike, Dataset
from tclif_deploy.data.dataset import Task
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.network import Float, Network
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.settings import Limits
from tclif_deploy.simulation import simulate
from tclif_deploy.simulation.floating import batches
from tclif_deploy.simulation.scores import NumberScore, answers, judged, task_of

LEVELS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""relative errors of weights, sigma"""
BATCH = 128
"""samples of which answers are held at once"""
Answers = tuple[Float, NDArray[np.int64]]
"""readouts (answers, outputs), in the float network's units, and classes (answers,), of what counts"""


@dataclass(frozen=True)
class Change:
    """How far a network's answers are from the float network's.

    Examples
    --------
    >>> from tclif_deploy.analysis.weight_sensitivity import Change
    >>> Change(0.992, 0.17).readout_error
    0.17
    """

    agreement: float | None
    """share of answers with the same class, in [0, 1]; None where answers are numbers, and where there are none"""
    readout_error: float | None
    """rms of the readout's difference over the float readout's standard deviation; None where that is 0, and where
    there are no answers: a weight beyond what one may be, or states that grow without end"""


@dataclass(frozen=True)
class Sensitivity:
    """What `sensitivity` measured.

    Examples
    --------
    >>> from tclif_deploy.analysis.weight_sensitivity import Change, Sensitivity
    >>> Sensitivity("data", 4, "label", 0, (0.1,), (Change(0.75, 0.5),), None).at(0.1).agreement
    0.75
    """

    data: str
    """name of the samples"""
    samples: int
    task: Task
    """what the answers are"""
    seed: int
    """of what each weight is off by"""
    levels: tuple[float, ...]
    """relative errors of weights, sigma"""
    floats: tuple[Change, ...]
    """of the float network with such weights, by level"""
    integers: Change | None
    """of the build's integers; None where there is no build"""

    def at(self, level: float) -> Change:
        """What a relative error of ``level``, one of `levels`, changes."""
        return self.floats[self.levels.index(level)]


@checked
def sensitivity(
    model: Subject,
    data: DataLike | None = None,
    *,
    samples: Annotated[int | None, Limits(1)] = None,
    seed: Annotated[int, Limits(0)] = 0,
    progress: Progress = no_progress,
) -> Sensitivity:
    """How a float network's answers change when its weights are off by shares of themselves, from 1e-6 to 0.1.

    A weight w becomes w * (1 + sigma * xi), xi normal, with each of these shares as sigma.
    ``model`` is a build, whose integers are compared with it too, its folder, or a float network; without ``data`` the
    samples that set the build's scales are taken. xi is drawn from ``seed``, once for each weight: it is the same at
    every sigma. All are read by the integers' rule; what the data's mask or lengths leave out is not compared. Raises
    `TclifError` where there are no samples, where the answers are numbers that never vary, and where no network is
    left whose weights are off by 1e-6.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> from tclif_deploy.analysis import sensitivity
    >>> digits, test = tc.load("fixtures/spoken_digits/checkpoint.pth.tar"), "fixtures/spoken_digits/test.npz"
    >>> found = sensitivity(digits, test, samples=32)
    >>> found.at(1e-6).agreement, found.at(1e-6).readout_error < found.at(0.1).readout_error
    (1.0, True)
    """
    network, build = network_of(model)
    chosen = samples_of(network, build, data, samples)
    check_judged(network, chosen)
    if build is not None:
        network = network.with_readout(build.fixed.readout)
    task = task_of(chosen, network.outputs)
    tallies = [_Tally(_with_errors(network, level, seed), task) for level in LEVELS]
    if build is not None:
        tallies.append(_Tally(build.fixed, task))
    done = 0
    for part in batches(chosen.samples, BATCH):
        batch = chosen[part]
        own = _answers(network, batch, task)
        for tally in tallies:
            tally.add(batch, own)
        done += batch.samples
        progress(done, chosen.samples)
    if tallies[0].network is None:
        raise TclifError(
            f"{chosen.name}: with weights off by {LEVELS[0]:g} of themselves the network has no answers",
            "are its weights, or its states, at the edge of what numbers hold?",
        )
    changes = [tally.change() for tally in tallies]
    integers = None if build is None else changes.pop()
    if task.endswith("value") and all(change.readout_error is None for change in changes):
        raise TclifError(f"{chosen.name}: the network says the same number to all", "give other samples: --data FILE")
    return Sensitivity(chosen.name, chosen.samples, task, seed, LEVELS, tuple(changes), integers)


class _Tally:
    """One network's answers beside the float network's, added up batch by batch."""

    def __init__(self, network: Network | FixedNetwork | None, task: Task) -> None:
        self.network, self.task = network, task
        """None: it has no answers"""
        self.same = self.count = 0
        self.readouts = NumberScore(1)

    def add(self, data: Dataset, own: Answers) -> None:
        if self.network is None:
            return
        try:
            readouts, classes = _answers(self.network, data, self.task)
        except TclifError:
            if isinstance(self.network, FixedNetwork):
                raise
            self.network = None
            return
        self.same, self.count = self.same + int((classes == own[1]).sum()), self.count + len(classes)
        with np.errstate(over="ignore", invalid="ignore"):
            self.readouts.add(own[0].reshape(-1, 1), readouts.reshape(-1, 1))

    def change(self) -> Change:
        """What all batches came to."""
        if self.network is None:
            return Change(None, None)
        error, scatter = float(self.readouts.error[0]), float(self.readouts.scatter[0])
        known = scatter > 0 and math.isfinite(error) and math.isfinite(scatter)
        agreement = self.same / self.count if self.task.endswith("label") else None
        return Change(agreement, math.sqrt(error / scatter) if known else None)


def _with_errors(network: Network, level: float, seed: int) -> Network | None:
    """``network`` with relative errors of its weights; None where one is beyond what a weight may be."""
    rng = np.random.default_rng(seed)
    weights = (connection.weight for layer in network.layers for connection in layer.connections)
    try:
        return with_weights(network, [w * (1 + level * rng.standard_normal(w.shape)) for w in weights])
    except TclifError:
        return None


def _answers(network: Network | FixedNetwork, data: Dataset, task: Task) -> Answers:
    by_step = task.startswith("step")
    numbers: Task = "step-value" if by_step else "value"
    classes: Task = "step-label" if by_step else "label"
    result, counts = simulate(network, data, readouts=by_step), judged(data, task)
    return answers(network, result, data, numbers)[counts], answers(network, result, data, classes)[counts]
