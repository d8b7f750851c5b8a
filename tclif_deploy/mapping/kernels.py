"""Loops over synapse lists that numpy has no single call for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.jit import kernel

Array = NDArray[Any]


@kernel
def grow(
    indptr: Array, indices: Array, start: int, stop: int, list_bits: Array, stamp: Array, count: Array, axons: Array,
    bits: Array,
) -> None:  # fmt: skip
    """For every prefix of the neurons start..stop: distinct sources, and bits of their sparse lists.

    ``list_bits[n]`` is what a list of n synapses takes. ``stamp`` (sources,) is all 0 before and after; ``count``
    (sources,) is scratch.
    """
    distinct, total = 0, 0
    for neuron in range(start, stop):
        for j in range(indptr[neuron], indptr[neuron + 1]):
            source = indices[j]
            if stamp[source] == 0:
                stamp[source] = 1
                count[source] = 0
                distinct += 1
            total += list_bits[count[source] + 1] - list_bits[count[source]]
            count[source] += 1
        axons[neuron - start] = distinct
        bits[neuron - start] = total
    for neuron in range(start, stop):
        for j in range(indptr[neuron], indptr[neuron + 1]):
            stamp[indices[j]] = 0


@kernel
def list_lengths(indptr: Array, indices: Array, start: int, stop: int, count: Array) -> None:
    """Add to ``count`` (sources,) how many synapses each source has into the neurons start..stop."""
    for j in range(indptr[start], indptr[stop]):
        count[indices[j]] += 1


@kernel
def senders(indptr: Array, indices: Array, start: int, stop: int, stamp: Array) -> Array:
    """Sources with a synapse into the neurons start..stop, each once; ``stamp`` is all 0 before and after."""
    out = np.empty(indptr[stop] - indptr[start], np.int64)
    distinct = 0
    for j in range(indptr[start], indptr[stop]):
        source = indices[j]
        if stamp[source] == 0:
            stamp[source] = 1
            out[distinct] = source
            distinct += 1
    for n in range(distinct):
        stamp[out[n]] = 0
    return out[:distinct]


@kernel
def random_rows(neurons: int, sources: int, fan_in: int, reach: int, rng: np.random.Generator) -> Array:
    """Sources of each neuron, (neurons * fan_in,) int32: ``fan_in`` different ones of the ``reach`` around it."""
    out = np.empty(neurons * fan_in, np.int32)
    taken = np.full(sources, -1, np.int32)
    for neuron in range(neurons):
        base = neuron * sources // neurons - reach // 2
        for k in range(fan_in):
            source = (base + rng.integers(0, reach)) % sources
            while taken[source] == neuron:
                source = (base + rng.integers(0, reach)) % sources
            taken[source] = neuron
            out[neuron * fan_in + k] = source
    return out


@kernel
def improve_placement(
    indptr: Array, partners: Array, axons: Array, tile_of: Array, x: Array, y: Array, first: Array, members: Array,
    order: Array, slots: Array, holder: Array, passes: int, near: int,
) -> None:  # fmt: skip
    """Move each core, in ``order``, to the best slot of the ``near`` tiles nearest its partners, changing places.

    Row c of ``indptr``/``partners``/``axons`` lists whom core c talks to. ``x`` and ``y`` are the tiles' places,
    ``tile_of`` each slot's tile, row t of ``first``/``members`` the slots of tile t; ``slots`` each core's slot,
    ``holder`` each slot's core or -1: both are changed in place.
    """
    distance = np.empty(x.size, np.float64)
    for _ in range(passes):
        moved = False
        for core in order:
            if indptr[core] == indptr[core + 1]:
                continue
            aim_x, aim_y, total = 0.0, 0.0, 0.0
            for j in range(indptr[core], indptr[core + 1]):
                at = tile_of[slots[partners[j]]]
                aim_x += axons[j] * x[at]
                aim_y += axons[j] * y[at]
                total += axons[j]
            for tile in range(x.size):
                distance[tile] = abs(x[tile] - aim_x / total) + abs(y[tile] - aim_y / total)
            old = slots[core]
            old_tile = tile_of[old]
            best, gain = old, 1e-9
            for _ in range(min(near, x.size)):
                new_tile = np.argmin(distance)
                distance[new_tile] = np.inf
                if new_tile == old_tile:
                    continue
                leave = 0.0
                for j in range(indptr[core], indptr[core + 1]):
                    at = tile_of[slots[partners[j]]]
                    leave += axons[j] * (
                        abs(x[at] - x[old_tile])
                        + abs(y[at] - y[old_tile])
                        - abs(x[at] - x[new_tile])
                        - abs(y[at] - y[new_tile])
                    )
                for m in range(first[new_tile], first[new_tile + 1]):
                    other = holder[members[m]]
                    saved = leave
                    if other >= 0:
                        for j in range(indptr[other], indptr[other + 1]):
                            at = tile_of[slots[partners[j]]]
                            way = abs(x[at] - x[new_tile]) + abs(y[at] - y[new_tile])
                            if partners[j] == core:
                                saved -= axons[j] * way  # `leave` counted it, but the two stay as far apart
                            else:
                                saved += axons[j] * (way - abs(x[at] - x[old_tile]) - abs(y[at] - y[old_tile]))
                    if saved > gain:
                        best, gain = members[m], saved
            if best != old:
                other = holder[best]
                slots[core], holder[best], holder[old] = best, core, other
                if other >= 0:
                    slots[other] = old
                moved = True
        if not moved:
            break
