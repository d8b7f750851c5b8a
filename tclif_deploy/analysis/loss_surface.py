"""A slice of a trained network's loss landscape (the paper's Fig. 5).

The slice is spanned by two random directions whose part for each neuron has the length of that neuron's weights
(filter normalization: Li et al., NeurIPS 2018), so that 1 along an axis is a change as large as the weights themselves.
Biases and the neurons' own coefficients stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.analysis.kept_points import KeptPoints, digest_of
from tclif_deploy.analysis.samples import Subject, check_targets, network_of, samples_of, with_weights
from tclif_deploy.arguments import checked
from tclif_deploy.data import DataLike, Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.network import Float, Network
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.settings import Limits
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.simulation.scores import judged, task_of
from tclif_deploy.simulation.session import fingerprint

Directions = list[list[list[Float]]]
"""[direction][layer][connection], each of its weight's shape"""


@dataclass(frozen=True)
class Ring:
    """The points of a square around the trained network.

    Examples
    --------
    >>> from tclif_deploy.analysis.loss_surface import Ring
    >>> Ring(0.5, 0.2, 0.4, 0.9, 8).distance
    0.5
    """

    distance: float
    """along the axes, at which the square's sides stand; its corners are about 1.41 times as far"""
    least: float
    mean: float
    greatest: float
    points: int
    """that have a loss"""


@dataclass(frozen=True)
class Landscape:
    """What `landscape` measured.

    Examples
    --------
    >>> from tclif_deploy.analysis.loss_surface import Landscape
    >>> flat = Landscape("data", 4, 0, (-1.0, 0.0, 1.0), ((2.0, 1.0, 2.0), (1.0, 0.5, 1.5), (3.0, 1.0, None)))
    >>> flat.centre, [(ring.distance, ring.mean, ring.points) for ring in flat.rings]
    (0.5, [(0.0, 0.5, 1), (1.0, 1.6428571428571428, 7)])
    """

    data: str
    """name of the samples"""
    samples: int
    seed: int
    """of both directions"""
    at: tuple[float, ...]
    """how far the weights are moved along either direction; the trained network is at 0"""
    loss: tuple[tuple[float | None, ...], ...]
    """mean over the samples (or steps) that count, by the second direction and then by the first; None where the states
    of the moved network grow without end"""

    @property
    def centre(self) -> float:
        """The trained network's loss."""
        middle = self.loss[len(self.at) // 2][len(self.at) // 2]
        assert middle is not None
        return middle

    @property
    def rings(self) -> tuple[Ring, ...]:
        """How the loss rises on squares around the trained network."""
        middle, rings = len(self.at) // 2, []
        for n in range(middle + 1):
            values = [
                value
                for y, row in enumerate(self.loss)
                for x, value in enumerate(row)
                if value is not None and max(abs(x - middle), abs(y - middle)) == n
            ]
            if values:
                rings.append(Ring(self.at[middle + n], min(values), float(np.mean(values)), max(values), len(values)))
        return tuple(rings)


@checked
def landscape(
    model: Subject,
    data: DataLike | None = None,
    *,
    samples: Annotated[int | None, Limits(1)] = 64,
    points: Annotated[int, Limits(3, 201)] = 11,
    span: Annotated[float, Limits(above=0, high=100)] = 1.0,
    seed: Annotated[int, Limits(0)] = 0,
    kept: Path | str | None = None,
    progress: Progress = no_progress,
) -> Landscape:
    """The loss of a float network whose weights are moved along two random directions, ``points`` along each.

    ``model`` is a build, its folder, or a float network; without ``data`` the samples that set the build's scales are
    taken. The loss is cross-entropy of the network's readout, or the squared error of numbers. Points that the file
    ``kept`` holds are not run again, and new ones are kept in it. Raises `TclifError` for samples without targets, an
    even number of points (the trained network is the middle one), and a file of another slice.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> from tclif_deploy.analysis import landscape
    >>> digits, test = tc.load("fixtures/spoken_digits/checkpoint.pth.tar"), "fixtures/spoken_digits/test.npz"
    >>> found = landscape(digits, test, samples=16, points=3)
    >>> found.centre < 0.1 < found.rings[1].least
    True
    """
    if points % 2 == 0:
        raise TclifError(f"points is {points}", "an odd number is needed: the trained network stands in the middle")
    network, build = network_of(model)
    chosen = samples_of(network, build, data, samples)
    check_targets(network, chosen, "the loss")
    at = tuple(float(value) for value in np.linspace(-span, span, points))
    directions = random_directions(network, seed)
    digest = digest_of(chosen, fingerprint(network), network.readout, points, span, seed)
    with KeptPoints(None if kept is None else Path(kept), "landscape", digest, Limits(0)) as known:
        for n in range(points * points):
            row, column = divmod(n, points)
            if f"{row},{column}" not in known:
                moved = _moved(network, directions, at[column], at[row])
                known.put(f"{row},{column}", loss_of(moved, chosen))
            progress(n + 1, points * points)
        loss = tuple(tuple(known[f"{row},{column}"] for column in range(points)) for row in range(points))
    found = Landscape(chosen.name, chosen.samples, seed, at, loss)
    if loss[points // 2][points // 2] is None:
        raise TclifError("the network's own loss is not finite on these samples", "is it trained, on such data?")
    return found


def random_directions(network: Network, seed: int) -> Directions:
    """Two directions in the space of weights; each neuron's (a kernel's: each channel's) part as long as its weights.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> digits = tc.load("fixtures/spoken_digits/checkpoint.pth.tar")
    >>> first, second = random_directions(digits, 0)
    >>> weight = digits.layers[0].connections[0].weight
    >>> np.allclose(np.linalg.norm(first[0][0], axis=1), np.linalg.norm(weight, axis=1))
    True
    """
    rng = np.random.default_rng(seed)
    return [[[_direction(c.weight, rng) for c in layer.connections] for layer in network.layers] for _ in range(2)]


def _direction(weight: Float, rng: np.random.Generator) -> Float:
    drawn = rng.standard_normal(weight.shape)
    axes = tuple(range(1, weight.ndim))
    length, own = (np.sqrt((array**2).sum(axis=axes, keepdims=True)) for array in (drawn, weight))
    return np.asarray(drawn * (own / length))


def _moved(network: Network, directions: Directions, first: float, second: float) -> Network:
    own = (connection.weight for layer in network.layers for connection in layer.connections)
    parts = ((part for layer in direction for part in layer) for direction in directions)
    return with_weights(network, [w + first * a + second * b for w, a, b in zip(own, *parts, strict=True)])


def loss_of(network: Network, data: Dataset) -> float | None:
    """Mean loss over the answers that count: cross-entropy of labels, squared error of numbers; None where states, or
    the loss, grow beyond all numbers."""
    task = task_of(data, network.outputs)
    by_step = task.startswith("step")
    try:
        result = simulate_float(network, data.values(), lengths=data.lengths, spikes=False, readouts=by_step)
    except TclifError:
        return None
    said: NDArray[np.float64] | None = result.readouts if by_step else result.readout
    assert said is not None
    assert data.y is not None
    counts = judged(data, task)
    said, y = said[counts], data.y[counts]
    with np.errstate(over="ignore", invalid="ignore"):
        if task.endswith("value"):
            loss = float(((said - y) ** 2).mean())
        else:
            greatest = said.max(axis=1, keepdims=True)
            log_sum = greatest[:, 0] + np.log(np.exp(said - greatest).sum(axis=1))
            loss = float((log_sum - said[np.arange(len(y)), y]).mean())
    return loss if np.isfinite(loss) else None
