"""Who sends to whom: the axons between cores, and an arrangement of the cores that shortens their way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tclif_deploy.fixed import Int
from tclif_deploy.mapping.mesh import Mesh
from tclif_deploy.mapping.partition import Cores
from tclif_deploy.mapping.workload import Workload
from tclif_deploy.network import INPUT

PASSES = 3
"""how often every core may be moved"""
NEAR_TILES = 6
"""tiles tried for a core in a pass"""


@dataclass(frozen=True, eq=False)
class Traffic:
    """Axons between different cores, both ways: core c's partners are ``partners[indptr[c]:indptr[c + 1]]``."""

    indptr: Int
    """(cores + 1,)"""
    partners: Int
    axons: Int
    """between the two, both ways together"""

    def hops(self, mesh: Mesh, slots: Int) -> int:
        """Axons times tiles travelled, over all pairs of cores."""
        x, y = mesh.position(slots)
        core = np.repeat(np.arange(self.indptr.size - 1), np.diff(self.indptr))
        far = np.abs(x[self.partners] - x[core]) + np.abs(y[self.partners] - y[core])
        return int((self.axons * far).sum()) // 2


def core_of_neuron(workload: Workload, cores: Cores) -> dict[str, Int]:
    """Layer -> the core of each of its neurons, (neurons,)."""
    cores_of = {group.name: np.zeros(group.neurons, np.int64) for group in workload.groups}
    for number, core in enumerate(cores):
        for neuron_range in core:
            cores_of[neuron_range.layer][neuron_range.start : neuron_range.stop] = number
    return cores_of


def traffic(workload: Workload, cores: Cores) -> Traffic:
    """Axons between cores, were every neuron to fire alike."""
    home = core_of_neuron(workload, cores)
    synapse_groups = {group.name: group.synapse_groups for group in workload.groups}
    pairs_of: list[Int] = [np.zeros((3, 0), np.int64)]
    for number, core in enumerate(cores):
        for neuron_range in core:
            for synapses in synapse_groups[neuron_range.layer]:
                if synapses.source == INPUT:
                    continue
                axons = np.bincount(
                    home[synapses.source][synapses.connectivity.senders(neuron_range.start, neuron_range.stop)]
                )
                origin = np.flatnonzero(axons)
                origin = origin[origin != number]
                pairs_of.append(np.stack([origin, np.full(origin.size, number), axons[origin]]))
    pairs = np.concatenate(pairs_of, axis=1)
    pairs = np.concatenate([pairs, pairs[[1, 0, 2]]], axis=1)
    key, inverse = np.unique(pairs[0] * len(cores) + pairs[1], return_inverse=True)
    axons = np.bincount(inverse, pairs[2], key.size).astype(np.int64)
    indptr = np.searchsorted(key // len(cores), np.arange(len(cores) + 1))
    return Traffic(indptr.astype(np.int64), key % len(cores), axons)


def arrange(traffic: Traffic, mesh: Mesh) -> Int:
    """A slot for every core, (cores,): each is moved towards its partners while that shortens the way.

    Starts from the order of the cores, changes places with whoever is there, and keeps only what helps, so the
    result is never worse than the order. Deterministic.
    """
    from tclif_deploy.mapping.kernels import improve_placement

    count = traffic.indptr.size - 1
    slots = np.arange(count, dtype=np.int64)
    holder = np.full(mesh.slots, -1, np.int64)
    holder[:count] = slots
    x, y = mesh.position(np.arange(mesh.slots))
    span = int(y.max()) + 1
    tiles, tile_of = np.unique(x * span + y, return_inverse=True)
    members = np.argsort(tile_of, kind="stable")
    first = np.searchsorted(tile_of[members], np.arange(tiles.size + 1))
    talk = np.add.reduceat(np.append(traffic.axons, 0), traffic.indptr[:-1]) * (np.diff(traffic.indptr) > 0)
    busiest = np.argsort(-talk, kind="stable")
    improve_placement(
        traffic.indptr, traffic.partners, traffic.axons, tile_of, tiles // span, tiles % span, first, members, busiest,
        slots, holder, PASSES, NEAR_TILES,
    )  # fmt: skip
    return slots
