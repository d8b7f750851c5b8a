"""Random small networks of the neurons that a target has, driven to where its rules show."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tclif_deploy.fixed import MOST_SPIKES, FixedConnection, FixedLayer, FixedNetwork, InputEncoding, Int
from tclif_deploy.mapping.registers import LOIHI, SPECK, held_by
from tclif_deploy.target import Target, largest_held, nearest_factor, nearest_held

STEPS = 300
HIDDEN = (8, 48)
"""neurons of a recurrent layer, from and to"""


@dataclass(frozen=True, eq=False)
class Case:
    """A network of the target's arithmetic, and what it is given."""

    network: FixedNetwork
    x: Int
    """(time, features)"""


def _layer(
    target: Target, name: str, connections: tuple[FixedConnection, ...], shift: int, threshold: Int, *, a_u: Int,
    a_v: Int, bias: Int, reset: str,
) -> FixedLayer:  # fmt: skip
    """A current-based layer whose numbers are what the target's registers hold nearest to those given."""
    size = threshold.size
    zero, one = np.zeros(size, np.int64), np.full(size, target.arithmetic.one)
    threshold = nearest_held(target, "threshold", np.maximum(threshold, 1))
    threshold = np.minimum(threshold, largest_held(target, "threshold"))
    return FixedLayer(
        name, connections, shift, a_u=a_u, b_u=zero, a_v=a_v, b_v=one, q=zero, threshold=threshold, r_u=zero,
        r_v=threshold, v_reset=zero, bias_u=zero, bias_v=nearest_held(target, "bias_v", bias), v0=zero,
        lsb_u=np.ones(size), lsb_v=np.ones(size), multiplier=np.ones(size, np.int64),
        reset="hard" if reset == "hard" else "soft",
    )  # fmt: skip


def _weights(target: Target, rng: np.random.Generator, size: int, sources: int) -> Int:
    """Up to the target's width, some small, some sparse, some of one sign."""
    top = min((1 << (target.weight_bits.value - 1)) - 1, int(2 ** rng.uniform(2, 16)))
    low = 0 if rng.random() < 0.15 else -top
    return rng.integers(low, top + 1, (size, sources)) * (rng.random((size, sources)) < rng.uniform(0.2, 1))


def _reset(target: Target, rng: np.random.Generator) -> str:
    """One that the target has, of those that its file says are proven, if any is."""
    has = ("soft", "hard") if target.reset_kinds is None else target.reset_kinds.value
    proven = [kind for kind in has if target.proof is not None and kind in target.proof.resets]
    return str(rng.choice(proven or list(has)))


def draw_xylo(target: Target, rng: np.random.Generator) -> Case:
    """A recurrent population that hears events, and an output."""
    one, top = target.arithmetic.one, (1 << (target.state_bits.value - 1)) - 1
    features, size, outputs = int(rng.integers(1, 17)), int(rng.integers(*HIDDEN)), int(rng.integers(1, 9))
    wide = rng.random() < 0.5  # else within the states' range
    exponents = rng.integers(0, 9 if wide else 3, 3).tolist()
    layers = []
    for name, n in (("hidden", size), ("out", outputs)):
        longest = int(rng.integers(2, 16))
        decays = [one - (one >> rng.integers(1, longest, n)) for _ in "uv"]
        if target.shift_decays is None or not target.shift_decays.value:
            decays = [rng.integers(0, one, n) for _ in "uv"]
        reach = top if wide else max(1, top // 8)
        highest = max(reach, largest_held(target, "threshold")) if wide else reach
        threshold = np.exp2(rng.uniform(min(5, np.log2(reach)), np.log2(highest), n)).astype(np.int64)
        widest = largest_held(target, "bias_v")
        far = max(reach, widest)
        bias = rng.integers(-far, far + 1, n) * (rng.random(n) < (0.3 if wide else 0)) + rng.integers(-30, 31, n)
        bias = np.clip(bias, -widest, widest)
        connections = [FixedConnection("hidden", _weights(target, rng, n, size), 1, exponents[0])]
        if name == "hidden":
            events = FixedConnection("input", _weights(target, rng, n, features), 0, exponents[1])
            connections = [events, replace(connections[0], exponent=exponents[2])]
        layers.append(
            _layer(
                target, name, tuple(connections), 0, threshold, a_u=nearest_factor(target, decays[0]),
                a_v=nearest_factor(target, decays[1], "v"), bias=bias, reset=_reset(target, rng),
            )
        )  # fmt: skip
    most = 1 << (target.input_bits.value - 1)
    x = rng.integers(1, most, (STEPS, features)) * (rng.random((STEPS, features)) < rng.uniform(0.02, 0.5))
    network = FixedNetwork(InputEncoding(features, 1.0, target.input_bits.value), target.arithmetic, tuple(layers))
    return Case(network, x)


def draw_loihi(
    target: Target,
    rng: np.random.Generator,
    *,
    regimes: tuple[str, ...] = ("plain", "whole", "wide u", "wide v"),
    alike: bool = False,
    biases: bool = True,
) -> Case:
    """One or two recurrent layers and an output; all connections are heard a step late, the input's too.

    A network is of one of the ``regimes``: ``plain`` decays; ``whole`` keeps v, in multiples of its weights' step, so
    that it often is just at the threshold; ``wide u`` and ``wide v`` overflow u and v. Only the first has ``biases``,
    since the simulators of the others differ there. ``alike``: the neurons of a layer have the same registers.
    """
    one, top = target.arithmetic.one, (1 << (target.state_bits.value - 1)) - 1
    held = held_by(target, LOIHI)
    features, hidden = int(rng.integers(1, 13)), int(rng.integers(1, 3))
    sizes = [*(int(rng.integers(*HIDDEN)) for _ in range(hidden)), int(rng.integers(1, 11))]
    regime = regimes[int(rng.integers(len(regimes)))]
    nearly = max(0, one - 12)
    lowest_u, forgetful = {"plain": (0, 0.2), "whole": (0, 1), "wide u": (nearly, 0), "wide v": (0, 1)}[regime]
    lowest_v = {"plain": 0, "whole": one, "wide u": nearly, "wide v": one - 1}[regime]
    widest = {"plain": 6, "whole": 6, "wide u": 14, "wide v": 12}[regime]
    low, high = (9.0, 18.0) if regime in ("plain", "whole") else (17.0, float(np.log2(top)))
    low = min(low, high - 1)  # where the states are narrower than a chip's
    largest_bias = largest_held(held, "bias_v")
    largest = target.accumulator_bits.value - 1 if target.accumulator_bits is not None else 31
    layers: list[FixedLayer] = []
    for n, size in enumerate(sizes):
        name, before = f"layer{n}", "input" if n == 0 else f"layer{n - 1}"
        a_u = rng.integers(lowest_u, one + 1, size) * (rng.random(size) >= forgetful)
        a_v = rng.integers(lowest_v, one + 1, size)
        threshold = np.exp2(rng.uniform(low, high, size)).astype(np.int64)
        bias = np.exp2(rng.uniform(0, np.log2(largest_bias), size)).astype(np.int64) * rng.choice([-1, 0, 0, 1], size)
        bias *= int(biases and regime == "plain")
        if alike:
            a_u, a_v, threshold = (np.full_like(values, values[0]) for values in (a_u, a_v, threshold))
        connections = [FixedConnection(before, _weights(target, rng, size, features if n == 0 else sizes[n - 1]), 1)]
        if n < hidden:
            connections.append(FixedConnection(name, _weights(target, rng, size, size), 1))
        most = int(np.sum([np.abs(c.weight).sum(axis=1) for c in connections], axis=0).max())
        shift = min(widest, largest - max(most, 1).bit_length())  # within the chip's sum of a step
        if shift < 0:  # of a sum narrower than a chip's: smaller weights, since a chip shifts to the left
            connections = [replace(c, weight=np.sign(c.weight) * (np.abs(c.weight) >> -shift)) for c in connections]
            most, shift = most >> -shift, 0
        if regime != "wide u":  # u stays within its range, and so does its sum with a bias
            room = max(1, top - largest_bias)
            a_u = np.minimum(a_u, max(0, one - 1 - (most << shift) * one // room))
        layers.append(
            _layer(
                held, name, tuple(connections), shift, threshold, a_u=nearest_factor(held, a_u),
                a_v=nearest_factor(held, a_v, "v"), bias=bias, reset=_reset(target, rng),
            )
        )  # fmt: skip
    x = (rng.random((STEPS, features)) < rng.uniform(0.02, 0.5)).astype(np.int64)
    network = FixedNetwork(InputEncoding(features, 1.0, LOIHI.input_bits), target.arithmetic, tuple(layers))
    return Case(network, x)


def draw_speck(target: Target, rng: np.random.Generator) -> Case:
    """Layers without leak, each heard by the next in the same step; the first neurons fire as often as they can.

    No sum of a step reaches the upper end of a state, which the simulator has not. The last layer, which fires once a
    step here, has thresholds that no sum reaches twice.
    """
    top = (1 << (target.state_bits.value - 1)) - 1
    features, hidden = int(rng.integers(1, 17)), int(rng.integers(1, 3))
    sizes = [*(int(rng.integers(*HIDDEN)) for _ in range(hidden)), int(rng.integers(1, 11))]
    layers: list[FixedLayer] = []
    sources, often = features, 1
    for n, size in enumerate(sizes):
        name, before = ("out", layers[-1].name) if n == hidden else (f"layer{n}", layers[-1].name if n else "input")
        room = top // (3 * often * sources)  # for a weight
        weight = np.clip(_weights(target, rng, size, sources), -max(1, room), max(1, room))
        widest = largest_held(target, "bias_v")
        bias = rng.integers(-widest, widest + 1, size) * (rng.random(size) < 0.3)
        if rng.random() < 0.3:
            bias = np.clip(bias - 100, -widest, widest)  # down to the lower end
        arriving = max(1, int((np.maximum(weight, 0).sum(axis=1) * often + np.maximum(bias, 0)).max()))
        low = arriving + 1 if n == hidden else max(1, 2 * arriving // MOST_SPIKES)
        threshold = int(np.exp2(rng.uniform(np.log2(low), np.log2(max(low, min(top - arriving, 16 * low))))))
        held = np.full(size, np.clip(threshold, low, top - arriving))
        often, sources = max(1, (int(held[0]) - 1 + arriving) // int(held[0])), size
        zero = np.zeros(size, np.int64)
        layers.append(
            _layer(
                target, name, (FixedConnection(before, weight),), 0, held, a_u=zero,
                a_v=np.full(size, target.arithmetic.one), bias=bias, reset=_reset(target, rng),
            )
        )  # fmt: skip
    x = (rng.random((STEPS, features)) < rng.uniform(0.02, 0.5)).astype(np.int64)
    network = FixedNetwork(InputEncoding(features, 1.0, SPECK.input_bits), target.arithmetic, tuple(layers))
    return Case(network, x)
