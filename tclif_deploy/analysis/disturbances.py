"""What analog and faulty hardware does to a fixed-point network: random disturbances of its integers and its input.

Each is drawn anew from a random generator; the same generator gives the same disturbance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedConnection, FixedLayer, FixedNetwork, weight_bits
from tclif_deploy.fixed.mismatch import mismatch

Valid = NDArray[np.bool_]
"""(samples, time): the step belongs to the sample"""


@dataclass(frozen=True)
class Disturbance:
    """One kind."""

    meaning: str
    """what its level says, in words"""
    of_network: Callable[[FixedNetwork, float, Generator], FixedNetwork] | None = None
    of_input: Callable[[NDArray[Any], Valid, float, Generator], NDArray[Any]] | None = None
    """input integers (samples, time, features) to others; what follows a sample's end stays"""
    limit: str = ""
    """why less than the level may be reached; empty: it always is, but for chance"""


def flipped_bits(fixed: FixedNetwork, share: float, rng: Generator) -> FixedNetwork:
    """Each bit of weight memory flips with probability ``share``: two's complement, as wide as a layer's widest."""

    def flipped(c: FixedConnection, bits: int) -> FixedConnection:
        flips = rng.random((bits, *c.weight.shape)) < share
        stored = c.weight ^ np.asarray(sum(flips[bit].astype(np.int64) << bit for bit in range(bits)))
        low = stored & (1 << bits) - 1
        return replace(c, weight=np.where(low >> (bits - 1), low - (1 << bits), low))

    layers = (
        replace(la, connections=tuple(flipped(c, weight_bits(la)) for c in la.connections)) for la in fixed.layers
    )
    return replace(fixed, layers=tuple(layers))


def silent_neurons(fixed: FixedNetwork, share: float, rng: Generator) -> FixedNetwork:
    """Each spiking neuron is stuck at 0, with probability ``share``: nothing reaches its soma."""
    return _stuck(fixed, share, rng, firing=False)


def firing_neurons(fixed: FixedNetwork, share: float, rng: Generator) -> FixedNetwork:
    """Each spiking neuron is stuck at 1, with probability ``share``: it fires in every step."""
    return _stuck(fixed, share, rng, firing=True)


def _stuck(fixed: FixedNetwork, share: float, rng: Generator, firing: bool) -> FixedNetwork:
    def stuck(layer: FixedLayer) -> FixedLayer:
        if not layer.spiking:
            return layer
        broken = rng.random(layer.size) < share
        links = layer.connections
        if layer.input_to == "soma":  # else b_v of 0 keeps all from the soma
            if any(c.conv is not None for c in links):
                raise TclifError(
                    f"layer {layer.name}: neurons of a convolution into the soma cannot be stuck one by one",
                    "leave silent and firing out",
                )
            links = tuple(replace(c, weight=np.where(broken[:, None], 0, c.weight)) for c in links)
        zero = ("b_v", "a_v", "v0", "v_reset", "q")
        one = dict.fromkeys(("bias_v", "r_v", "s0"), int(firing))
        values = {**dict.fromkeys(zero, 0), **one, "threshold": 1}
        arrays: Any = {name: np.where(broken, value, getattr(layer, name)) for name, value in values.items()}
        return replace(layer, connections=links, **arrays)

    return replace(fixed, layers=tuple(map(stuck, fixed.layers)))


def lost_events(x: NDArray[Any], valid: Valid, share: float, rng: Generator) -> NDArray[Any]:
    """Each input value other than 0 is lost with probability ``share``."""
    return np.where((rng.random(x.shape) < share) & valid[:, :, None], 0, x)


def added_events(x: NDArray[Any], valid: Valid, share: float, rng: Generator) -> NDArray[Any]:
    """Values come where there are none: as many as ``share`` of a sample's own, of the sizes of its own."""
    out = x.copy()
    for sample, steps in zip(out, valid, strict=True):
        heard = steps[:, None]
        free, own = np.flatnonzero((sample == 0) & heard), sample[(sample != 0) & heard]
        count = min(int(rng.binomial(own.size, share)), free.size)
        if count:
            sample.flat[rng.choice(free, count, replace=False)] = rng.choice(own, count)
    return out


def reached(
    kind: str, before: FixedNetwork, after: FixedNetwork, x: NDArray[Any], given: NDArray[Any], valid: Valid
) -> float:
    """What a disturbance came to, in the unit of its level: of all weights, neurons, bits or events together.

    ``before`` and ``after`` are the network, ``x`` and ``given`` its input, without and with it.
    """
    pairs = list(zip(before.layers, after.layers, strict=True))
    if DISTURBANCES[kind].of_input is not None:
        heard, told = ((values != 0) & valid[:, :, None] for values in (x, given))
        changed = int((heard != told).sum())
        return changed / max(int(heard.sum()), 1)
    if kind == "bits":
        flips, bits = 0, 0
        for a, b in pairs:
            width = weight_bits(a)
            for c, d in zip(a.connections, b.connections, strict=True):
                flips += sum(int(((c.weight ^ d.weight) >> bit & 1).sum()) for bit in range(width))
                bits += width * c.weight.size
        return flips / max(bits, 1)
    if kind == "mismatch":
        return _spread_of_mismatch(before, after)
    spiking = [(a, b) for a, b in pairs if a.spiking]
    names = ("b_v", "a_v", "v0", "v_reset", "q", "bias_v", "r_v", "s0", "threshold")
    stuck = sum(int(np.any([getattr(a, name) != getattr(b, name) for name in names], axis=0).sum()) for a, b in spiking)
    return stuck / max(sum(a.size for a, _ in spiking), 1)


def _spread_of_mismatch(before: FixedNetwork, after: FixedNetwork) -> float:
    """Root of the mean squared relative change of all that `mismatch` draws, and that is not 0."""
    squares, drawn = 0.0, 0
    one = before.arithmetic.one
    for a, b in zip(before.layers, after.layers, strict=True):
        both = [(c.weight, d.weight) for c, d in zip(a.connections, b.connections, strict=True)]
        both += [(getattr(a, name), getattr(b, name)) for name in ("threshold", "a_u", "b_u", "a_v", "b_v", "q")]
        for n, (old, new) in enumerate(both):
            factor = n > len(a.connections)
            counts = (old != 0) & ~(factor & (np.abs(old) == one))
            squares += float(((new[counts] / old[counts] - 1) ** 2).sum())
            drawn += int(counts.sum())
    return float(np.sqrt(squares / max(drawn, 1)))


DISTURBANCES: dict[str, Disturbance] = {
    "mismatch": Disturbance(
        "standard deviation of weights, thresholds and factors",
        mismatch,
        limit="the integers are so small that most are rounded back",
    ),
    "lost": Disturbance(
        "share of input events that are lost", of_input=lost_events, limit="the input has hardly any events"
    ),
    "added": Disturbance(
        "events that are added, as a share of a sample's own",
        of_input=added_events,
        limit="the input has few empty places",
    ),
    "silent": Disturbance("share of neurons that never fire", silent_neurons),
    "firing": Disturbance("share of neurons that fire in every step", firing_neurons),
    "bits": Disturbance("share of bits of weight memory that are flipped", flipped_bits),
}
"""by name"""
