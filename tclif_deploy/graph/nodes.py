"""The graph that every reader fills: inputs, weights, batch norms, delays, constants, populations, and their edges.

Nodes do what NIR's do: a node takes the sum of all its incoming edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError
from tclif_deploy.graph.operators import LinearOperator
from tclif_deploy.network import Float, Neuron

NO_BIAS = -0.0
"""The bias of a population that takes its weights' bias bit for bit: to add it to 0.0 would make 0.0 of -0.0."""


@dataclass(frozen=True)
class Input:
    """The network's input."""

    size: int


@dataclass(frozen=True)
class Output:
    """What the network says."""

    name: str = "readout"
    """of the layer that sums the output over time, where one must be added"""
    size: int | None = None
    """where it must be a certain one"""


@dataclass(frozen=True, eq=False)
class Affine:
    """``y = weight @ x + bias``; a ``weight`` of one dimension multiplies element by element, a kernel moves."""

    weight: LinearOperator
    """(neurons, sources), or (neurons,), or a convolution"""
    bias: Float | None = None
    """(neurons,)"""


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """``y = (x - mean)/sqrt(var + eps)*weight + bias``, with the running statistics; every array is (neurons,)."""

    path: str
    """of the module in the model, for messages"""
    mean: Float
    var: Float
    weight: Float | None = None
    bias: Float | None = None
    eps: float = 1e-5
    """torch's default, which the authors leave as it is; a state_dict does not hold it"""

    def affine(self) -> Affine:
        """``y = x*scale + shift``; raises `TclifError` for a negative variance."""
        if (self.var < 0).any() or self.eps <= 0:
            raise TclifError(f"{self.path}: running_var reaches {self.var.min()}", "a variance cannot be negative")
        scale = 1.0 / np.sqrt(self.var + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        shift = -self.mean * scale
        return Affine(scale, shift if self.bias is None else shift + self.bias)


@dataclass(frozen=True, eq=False)
class Delay:
    """Each element comes so many steps later."""

    steps: NDArray[np.int64]
    """(neurons,)"""


@dataclass(frozen=True, eq=False)
class Constant:
    """A current in every step, into which nothing leads; an edge's delay says how many steps later it begins."""

    value: Float
    """(neurons,)"""


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons; ``gain`` multiplies whatever comes in, where the neuron itself has no coefficient for that."""

    neuron: Neuron
    """whose bias joins that of the weights before it"""
    gain: Float | None = None
    delay: int = 0
    """steps that the neurons wait before they see their input"""
    name: str | None = None
    """of its layer, where the format has one; by default it is made of the node's"""


Node = Input | Output | Affine | BatchNorm | Delay | Constant | Population


@dataclass(frozen=True, eq=False)
class NetworkGraph:
    """What a reader found; an edge is (source, target, delay in steps)."""

    where: str
    """the file or the model, for messages"""
    nodes: Mapping[str, Node]
    """exactly one `Input` and one `Output` among them"""
    edges: tuple[tuple[str, str, int], ...]
    notices: tuple[str, ...] = ()
    order: tuple[str, ...] | None = None
    """The populations in evaluation order, where the format says it, the one at the output last: then no population is
    left out, no loop is given a delay, and every edge into a population is a connection of its own."""
