"""Which numbers of a layer the chips that others simulate have registers for, and how far those were compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tclif_deploy.fixed import FixedLayer, Int, Overflow
from tclif_deploy.target import Target, largest_held, load_target, nearest_held
from tclif_deploy.target.proof import OracleName

LARGEST_WEIGHT = (1 << 7) - 1
"""of every chip below"""


@dataclass(frozen=True)
class Compared:
    """What the random networks that are run in a chip's simulators reach (`tclif_deploy.oracles.draw`)."""

    input_bits: int
    """signed width of the widest input"""
    input_delay: int
    """steps until it is heard"""
    overflow_u: Overflow
    """what the simulators do with a u beyond its bits"""
    populations: bool = False
    """whether there are hidden neurons, which hear the input and each other, and outputs, which hear hidden neurons:
    each of the three kinds of connections with one shift of its weights"""


XYLO = Compared(input_bits=5, input_delay=0, overflow_u="saturate_full", populations=True)
LOIHI = Compared(input_bits=2, input_delay=1, overflow_u="wrap")
SPECK = Compared(input_bits=2, input_delay=0, overflow_u="saturate")
COMPARED: dict[OracleName, Compared] = {
    "xylosim": XYLO, "nengo-loihi": LOIHI, "brian2-loihi": LOIHI, "lava": LOIHI, "sinabs": SPECK,
}  # fmt: skip
WRAP_SUMS: frozenset[OracleName] = frozenset({"nengo-loihi"})
"""those that wrap a step's sum, and that of u and a bias, where the target does not: what is drawn stays below"""


def held_by(target: Target, compared: Compared) -> Target:
    """Whose thresholds and biases the simulators hold: the target's own, or Loihi 1's, where a target of that family
    (Loihi 2, whose simulator has its registers too) states no step of a threshold."""
    return load_target("loihi1") if compared is LOIHI and target.threshold_step is None else target


def without_register(layer: FixedLayer, one: int) -> Iterator[str]:
    """What of ``layer`` no such chip has: clauses of which the layer is the subject.

    ``one`` is the integer that means a factor of 1.
    """
    if any(values.any() for values in (layer.u0, layer.v0, layer.s0)):
        yield "starts from other states than 0 (u0, v0, s0), the chip from 0"
    if layer.input_to != "dendrite":
        yield "hears its sources in v, the chip in u"
    if layer.b_u.any() or layer.q.any():
        yield "feeds v back into u (b_u) or resets by a share of u (q), the chip has neither"
    if (layer.b_v != one).any():
        yield "takes another share of u into v than all of it (b_v)"
    if layer.bias_u.any():
        yield "has biases of u (bias_u), the chip has none"
    for name, largest in (("a_u", one - 1), ("a_v", one)):
        factors = getattr(layer, name)
        if (wrong := np.flatnonzero((factors < 0) | (factors > largest))).size:
            at = int(wrong[0])
            yield f"has {name} {int(factors[at])} at neuron {at}, the chip 0 to {largest}"
    if layer.shift < 0:
        yield f"shifts its sum right by {-layer.shift} bits, the chip left"
    for connection in layer.connections:
        if (np.abs(connection.weight) > LARGEST_WEIGHT).any():
            yield f"has a weight from {connection.source} beyond {LARGEST_WEIGHT}"
    if layer.r_u.any():
        yield "resets u (r_u), the chip v alone"
    if layer.reset == "hard" and layer.v_reset.any():
        yield "resets v to other values than 0 (v_reset)"
    if layer.reset == "soft" and (layer.r_v != layer.threshold).any():
        yield "takes off another amount than its threshold when it fires (r_v)"


def beyond_registers(layer: FixedLayer, held: Target) -> Iterator[str]:
    """Which threshold or bias of ``layer`` is none that ``held`` holds: clauses, as above."""
    for name in ("threshold", "bias_v"):
        values: Int = getattr(layer, name)
        wrong = (nearest_held(held, name, values) != values) | (np.abs(values) > largest_held(held, name))
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            yield f"has {name} {int(values[at])} at neuron {at}, which no register of the simulated chip holds"
