"""How exactly weights must be kept: what a float network still answers alike when they are off by some share.

Where states forget nothing a network may be chaotic: an error of any size grows to the same one. Integers that are
finer than such a share keep no more answers than it does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.analysis.samples import Subject, check_judged, network_of, samples_of
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
from tclif_deploy.simulation.scores import answers, judged, task_of

LEVELS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""shares that weights are off by"""
BATCH = 256
"""samples of a run"""


@dataclass(frozen=True)
class Kept:
    """What is kept of the float network's answers.

    Examples
    --------
    >>> from tclif_deploy.analysis.weight_sensitivity import Kept
    >>> Kept(0.992, 0.17).error
    0.17
    """

    agreement: float | None
    """share of labels that stay, in [0, 1]; None where the answers are numbers, or the states grow without end"""
    error: float | None
    """rms of the readout's change, over the readout's own standard deviation; None where the states grow without end,
    and where the readout never varies"""


@dataclass(frozen=True)
class Sensitivity:
    """What `sensitivity` measured.

    Examples
    --------
    >>> from tclif_deploy.analysis.weight_sensitivity import Kept, Sensitivity
    >>> Sensitivity("data", 4, 0, (0.1,), (Kept(0.75, 0.5),), None).at(0.1).agreement
    0.75
    """

    data: str
    """name of the samples"""
    samples: int
    seed: int
    """of what each weight is off by"""
    levels: tuple[float, ...]
    """standard deviation of that, as shares of the weight"""
    floats: tuple[Kept, ...]
    """of the float network, by level"""
    integers: Kept | None
    """of the build's integers; None where there is no build"""

    def at(self, level: float) -> Kept:
        """What is kept where weights are off by ``level``, one of `levels`."""
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
    """How many answers a float network keeps when every weight w becomes w·(1 + σ·ξ), ξ normal, for σ from 10⁻⁶ to 0.1.

    ``model`` is a build, whose integers are measured too, its folder, or a float network; without ``data`` the samples
    that set the build's scales are taken. ξ is drawn once from ``seed`` and is the same at every σ. Readouts are taken
    by the integers' rule; what the data's mask or lengths leave out is not compared. Raises `TclifError` where there
    are no samples, or where the float network's own states grow without end.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> from tclif_deploy.analysis import sensitivity
    >>> digits, test = tc.load("fixtures/spoken_digits/checkpoint.pth.tar"), "fixtures/spoken_digits/test.npz"
    >>> found = sensitivity(digits, test, samples=32)
    >>> found.at(1e-6).agreement, found.at(1e-6).error < found.at(0.1).error
    (1.0, True)
    """
    network, build = network_of(model)
    chosen = samples_of(network, build, data, samples)
    check_judged(network, chosen)
    if build is not None:
        network = replace(network, readout=build.fixed.readout)
    task = task_of(chosen, network.outputs)
    by_step, labels = task.startswith("step"), task.endswith("label")
    total, done = chosen.samples * (1 + len(LEVELS) + (build is not None)), 0

    def said(of: Network | FixedNetwork) -> tuple[Float, NDArray[np.int64]]:
        """(readouts, classes), a row an answer that counts."""
        nonlocal done
        parts = []
        for part in batches(chosen.samples, BATCH):
            batch = chosen[part]
            parts.append(_answers(of, batch, by_step))
            done += batch.samples
            progress(done, total)
        readouts, classes = (np.concatenate(column) for column in zip(*parts, strict=True))
        return readouts, classes

    own = said(network)
    size = float(np.abs(own[0]).max()) or 1.0  # squares of readouts that no network should have are finite in this unit
    spread = float((own[0] / size).std())

    def kept(of: Network | FixedNetwork) -> Kept:
        readouts, classes = said(of)
        error = float(np.sqrt(((readouts / size - own[0] / size) ** 2).mean())) / spread if spread > 0 else None
        return Kept(float((classes == own[1]).mean()) if labels else None, error)

    floats = []
    for level in LEVELS:
        try:
            floats.append(kept(_moved(network, level, seed)))
        except TclifError:
            floats.append(Kept(None, None))  # its weights, or its states, leave what a network may have
    integers = None if build is None else kept(build.fixed)
    return Sensitivity(chosen.name, chosen.samples, seed, LEVELS, tuple(floats), integers)


def _moved(network: Network, level: float, seed: int) -> Network:
    """``network`` with its weights off by shares of standard deviation ``level``, always in the same direction."""
    rng, layers = np.random.default_rng(seed), []
    for layer in network.layers:
        connections = tuple(
            replace(c, weight=c.weight * (1 + level * rng.standard_normal(c.weight.shape))) for c in layer.connections
        )
        layers.append(replace(layer, connections=connections, grid=None))
    return replace(network, layers=tuple(layers))


def _answers(network: Network | FixedNetwork, data: Dataset, by_step: bool) -> tuple[Float, NDArray[np.int64]]:
    """Readouts (answers, outputs), in the float network's units, and classes (answers,) of what counts."""
    numbers: Task = "step-value" if by_step else "value"
    classes: Task = "step-label" if by_step else "label"
    result, counts = simulate(network, data, readouts=by_step), judged(data, classes)
    return answers(network, result, data, numbers)[counts], answers(network, result, data, classes)[counts]
