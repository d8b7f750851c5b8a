"""The Jacobians of a trained network's neurons and their norms (the paper's Eq. 13-15 and Table 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.analysis.samples import Subject, network_of
from tclif_deploy.arguments import checked
from tclif_deploy.errors import TclifError
from tclif_deploy.network import Layer, Neuron
from tclif_deploy.settings import Limits

LIF_DECAY = 0.8
"""of the LIF neuron for comparison: the authors'"""
LARGEST = 1e300
"""where a norm ends that grows without end"""


@dataclass(frozen=True)
class LayerDynamics:
    """One spiking layer's step below threshold: u <- a_u*u + b_u*v, then v <- a_v*v + b_v*u (the new u).

    Its Jacobian is J = [[a_u, b_u], [a_u*b_v, a_v + b_u*b_v]]. Figures of a neuron are the median over the layer's,
    ranges have the least and the greatest.

    Examples
    --------
    >>> from tclif_deploy.analysis.jacobians import LayerDynamics
    >>> LayerDynamics("hidden", 4, (-0.5, -0.5), (0.5, 0.5), 1.0, 1.0, 12.4, 1.5, 1.375, (1.0, 1.5)).grows
    False
    """

    layer: str
    neurons: int
    beta1: tuple[float, float]
    """b_u, soma to dendrite"""
    beta2: tuple[float, float]
    """b_v, dendrite to soma"""
    determinant: float
    """of J: 1 where a step neither grows nor decays areas of the state plane"""
    spectral_radius: float
    """greatest of the layer: above 1 states and gradients grow without end"""
    period: float | None
    """steps of a whole turn of (u, v); None where they do not turn"""
    norm: float
    """infinite norm of J"""
    table7_norm: float | None
    """what Table 7 lists as norm; None for neurons that are no TC-LIF (a_u = a_v = 1)"""
    growth: tuple[float, ...]
    """infinite norm of J to the power of 0, 1, 2, ...: what many steps make of a gradient"""

    @property
    def grows(self) -> bool:
        """Whether states and gradients of a neuron grow without end."""
        return self.spectral_radius > 1 + 1e-9


@dataclass(frozen=True)
class Dynamics:
    """What `dynamics` found.

    Examples
    --------
    >>> from tclif_deploy.analysis.jacobians import Dynamics
    >>> len(Dynamics(50, ()).lif_growth), Dynamics(50, ()).lif_growth[:2]
    (51, (1.0, 0.8))
    """

    steps: int
    """how many steps the growth is told for"""
    layers: tuple[LayerDynamics, ...]
    """the spiking ones, in order"""

    @property
    def lif_growth(self) -> tuple[float, ...]:
        """The same growth of a LIF neuron of decay 0.8."""
        return tuple(float(LIF_DECAY**n) for n in range(self.steps + 1))


@checked
def dynamics(model: Subject, *, steps: Annotated[int, Limits(1, 100_000)] = 50) -> Dynamics:
    """Jacobian, rotation and norms of every spiking layer of a build or a float network; no samples are needed.

    Raises `TclifError` for a network without a spiking layer.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> from tclif_deploy.analysis import dynamics
    >>> first = dynamics(tc.load("fixtures/smnist_rec/checkpoint.pth.tar")).layers[0]
    >>> round(first.determinant, 9), round(first.spectral_radius, 9), round(first.table7_norm, 2)
    (1.0, 1.0, 1.36)
    """
    network, _ = network_of(model)
    if not network.spiking_layers:
        raise TclifError("no layer of this network fires", "these are the dynamics of spiking neurons")
    return Dynamics(steps, tuple(_layer(layer, steps) for layer in network.spiking_layers))


def jacobians(neuron: Neuron) -> NDArray[np.float64]:
    """J of every neuron, (neurons, 2, 2), states (dendrite, soma)."""
    a, b, c, d = neuron.a_u, neuron.b_u, neuron.a_v, neuron.b_v
    return np.asarray(np.stack([np.stack([a, b], 1), np.stack([d * a, c + d * b], 1)], 1), dtype=np.float64)


def _layer(layer: Layer, steps: int) -> LayerDynamics:
    n = layer.neuron
    each = jacobians(n)
    roots = np.linalg.eigvals(each)
    turning = np.abs(np.angle(roots)).max(axis=1)
    # a negative root is a sign that alternates, no turn
    turns = (np.abs(roots.imag).max(axis=1) > 0) & (turning > 0)
    tclif = bool((n.a_u == 1).all() and (n.a_v == 1).all())
    b = n.b_u * n.b_v
    return LayerDynamics(
        layer.name, layer.size, _range(n.b_u), _range(n.b_v), float(np.median(np.linalg.det(each))),
        float(np.abs(roots).max()), float(np.median(2 * np.pi / turning[turns])) if turns.any() else None,
        float(np.median(_norms(each))),
        float(np.median(np.abs(n.b_v * (2 + b)) + np.abs(1 + b))) if tclif else None, _growth(each, steps),
    )  # fmt: skip


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _norms(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Infinite norms, (neurons,)."""
    return np.asarray(np.abs(matrices).sum(axis=2).max(axis=1), dtype=np.float64)


def _growth(each: NDArray[np.float64], steps: int) -> tuple[float, ...]:
    power, norms = np.broadcast_to(np.eye(2), each.shape), [1.0]
    for _ in range(steps):
        power = np.clip(power @ each, -LARGEST, LARGEST)
        norms.append(float(np.median(_norms(power))))
    return tuple(norms)
