"""What placement must know of a network: sizes, states and synapses, but no weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tclif_deploy.fixed import FixedConnection, FixedNetwork
from tclif_deploy.mapping.connectivity import Connectivity, Dense, Shared, Sparse
from tclif_deploy.mapping.memory import parameter_bits, states_of
from tclif_deploy.network import INPUT
from tclif_deploy.target.schema import Target


@dataclass(frozen=True, eq=False)
class SynapseGroup:
    """Synapses into a group from one source."""

    source: str
    """a group's name, or ``input``"""
    connectivity: Connectivity
    delay: int = 0
    width: int = 0
    """bits, sign included, that its weights need; 0 where that is not known"""


@dataclass(frozen=True, eq=False)
class Group:
    """A population of like neurons, and everything that ends at it."""

    name: str
    neurons: int
    synapse_groups: tuple[SynapseGroup, ...]
    states: int = 2
    """state variables of a neuron"""
    parameter_bits: int = 0
    """bits of a neuron's own parameters"""


@dataclass(frozen=True, eq=False)
class Workload:
    """Groups in evaluation order.

    Examples
    --------
    >>> Workload.synthetic(neurons=1000, fan_in=10, layers=4, seed=0).synapses
    10000
    """

    inputs: int
    groups: tuple[Group, ...]

    @property
    def neurons(self) -> int:
        """All neurons."""
        return sum(group.neurons for group in self.groups)

    @property
    def synapses(self) -> int:
        """All synapses."""
        return sum(s.connectivity.synapses for group in self.groups for s in group.synapse_groups)

    def group(self, name: str) -> Group:
        """The group of that name."""
        return next(group for group in self.groups if group.name == name)

    @classmethod
    def of(cls, fixed: FixedNetwork, target: Target) -> Workload:
        """What ``fixed`` asks of ``target``; a weight of 0 is no synapse."""
        groups = []
        for layer in fixed.layers:
            synapse_groups = []
            for c in layer.connections:
                synapse_groups.append(SynapseGroup(c.source, _connectivity(c, target), c.delay, _width(c)))
            groups.append(
                Group(layer.name, layer.size, tuple(synapse_groups), states_of(layer), parameter_bits(layer, target))
            )
        return cls(fixed.input.size, tuple(groups))

    @classmethod
    def synthetic(
        cls, *, neurons: int, fan_in: int, layers: int, seed: int, inputs: int = 1024, reach: int | None = None
    ) -> Workload:
        """A chain of equal layers in which every neuron has ``fan_in`` synapses from random sources before it.

        The sources lie among the ``reach`` around the neuron's own place (default: anywhere).
        """
        from tclif_deploy.mapping.kernels import random_rows

        sizes = [neurons // layers + (n < neurons % layers) for n in range(layers)]
        groups: list[Group] = []
        rng = np.random.default_rng(seed)
        for n, size in enumerate(sizes):
            sources = inputs if n == 0 else sizes[n - 1]
            degree = min(fan_in, sources)
            indptr = np.arange(size + 1, dtype=np.int64) * degree
            around = min(max(reach or sources, degree), sources)
            rows = Sparse(sources, indptr, random_rows(size, sources, degree, around, rng))
            groups.append(Group(f"layer{n}", size, (SynapseGroup(INPUT if n == 0 else f"layer{n - 1}", rows),)))
        return cls(inputs, tuple(groups))

    def subsampled(self, density: float, seed: int = 0) -> Workload:
        """The same with each synapse kept with that probability."""
        groups = []
        for n, group in enumerate(self.groups):
            kept = (replace(s, connectivity=s.connectivity.subsampled(density, seed + n)) for s in group.synapse_groups)
            groups.append(replace(group, synapse_groups=tuple(kept)))
        return replace(self, groups=tuple(groups))


def _width(connection: FixedConnection) -> int:
    return int(np.abs(connection.weight).max(initial=0)).bit_length() + 1


def _connectivity(connection: FixedConnection, target: Target) -> Connectivity:
    """Its synapses; ``target`` keeps those of a convolution one by one, or the kernel."""
    if connection.conv is None and connection.weight.all():
        return Dense(*connection.weight.shape)
    indptr, indices, _ = connection.synapses()
    if connection.conv is None or target.shared_kernels is None or not target.shared_kernels.value:
        return Sparse(connection.sources, indptr, indices)
    return Shared(connection.sources, indptr, indices, connection.neurons_per_row, connection.shared_rows.shape[1])
