"""What synapses, axons and states take of a core's memory, in bits.

Synapses lie in lists, one for each source that sends into the core: blocks of at most ``synapse_block`` synapses
behind a header, each block rounded up to whole memory words (the form of nengo-loihi's ``bits_per_axon``). A dense
list holds a weight for every neuron of the slice; a sparse list holds a weight and an index for each synapse.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.fixed import FixedLayer, Int
from tclif_deploy.target.schema import Limit, Target

RESOURCES = ("neurons", "synaptic_memory", "state_memory", "core_memory", "axons_in", "axons_out")
"""What a core has: the order of every usage vector."""
LIMIT_NAMES = ("neurons_per_core", "synaptic_memory", "state_memory", "core_memory", "axons_in", "axons_out")
"""The target's name of each resource's limit."""
UNBOUNDED = np.int64(1) << 60
"""Stands for "no limit" in vectors of limits."""

PARAMETERS = {
    "threshold": "threshold_bits", "r_u": "reset_bits", "r_v": "reset_bits", "v_reset": "reset_bits",
    "bias_u": "bias_bits", "bias_v": "bias_bits", "v0": "bias_bits", "u0": "bias_bits",
    "a_u": "coefficient_bits", "b_u": "coefficient_bits", "a_v": "coefficient_bits", "b_v": "coefficient_bits",
    "q": "coefficient_bits",
}  # fmt: skip
"""Parameter of a layer -> the target's width of it."""


def number(limit: Limit[int] | None, default: int) -> int:
    """A limit's value, or ``default`` where the target states none."""
    return default if limit is None else limit.value


@dataclass(frozen=True)
class SynapseFormat:
    """How one connection's synapses are stored."""

    weight_bits: int
    """of one synapse, its delay included"""
    index_bits: int
    word: int
    block: int
    header: int

    @classmethod
    def of(cls, target: Target, delay: int, width: int = 0) -> SynapseFormat:
        """The target's format for a connection of that delay, whose integers need ``width`` bits (0: the target's)."""
        bits = number(target.stored_weight_bits, target.weight_bits.value)
        if width and target.mixed_weight_bits is not None and target.mixed_weight_bits.value:
            bits = min(bits, width)
        delay_bits = number(target.delay_bits, 0) if delay > 1 else 0
        return cls(
            weight_bits=bits + delay_bits,
            index_bits=number(target.index_bits, 0),
            word=number(target.memory_word, 1),
            block=number(target.synapse_block, 1 << 62),
            header=number(target.synapse_header, 0),
        )

    def list_bits(self, counts: Int | int, *, sparse: bool) -> Int:
        """Bits of a list of that many synapses (any shape); 0 for none.

        Examples
        --------
        >>> int(SynapseFormat(8, 10, 64, 64, 10).list_bits(600, sparse=False))
        5440
        """
        counts = np.asarray(counts, dtype=np.int64)
        bits = self.weight_bits + (self.index_bits if sparse else 0)
        full, rest = counts // self.block, counts % self.block
        full_block = self._words(min(self.block, int(counts.max(initial=0))) * bits + self.header)
        return np.asarray(full * full_block + np.where(rest > 0, self._words(rest * bits + self.header), 0))

    def prefix_bits(self, count: int, *, sparse: bool) -> Int:
        """`list_bits` of lists of 0, 1, ..., ``count`` synapses, (count + 1,)."""
        return _table(self, 1 << count.bit_length(), sparse)[: count + 1]

    def _words(self, bits: Int | int) -> Int:
        return np.asarray(-(-np.asarray(bits) // self.word) * self.word)


@lru_cache(maxsize=64)
def _table(form: SynapseFormat, size: int, sparse: bool) -> Int:
    return form.list_bits(np.arange(size, dtype=np.int64), sparse=sparse)


def limits_of(target: Target) -> Int:
    """A core's limits as a vector in the order of `RESOURCES`."""
    return np.array([number(getattr(target, name), int(UNBOUNDED)) for name in LIMIT_NAMES], dtype=np.int64)


def pooled(target: Target, usage: Int) -> Int:
    """``usage`` (..., 6) with its ``core_memory`` column filled in from the others."""
    synaptic, state, axons_in, axons_out = (usage[..., n] for n in (1, 2, 4, 5))
    usage[..., 3] = (
        synaptic + state + axons_in * number(target.axon_in_bits, 0) + axons_out * number(target.axon_out_bits, 0)
    )
    return usage


def states_of(layer: FixedLayer) -> int:
    """State variables that a neuron keeps from step to step: u only where it remembers something."""
    return 2 if layer.a_u.any() else 1


def parameter_bits(layer: FixedLayer, target: Target) -> int:
    """Bits a neuron needs for what differs within its layer; what the layer shares is in the program."""
    bits = 0
    for name, width in PARAMETERS.items():
        values: NDArray[np.int64] = getattr(layer, name)
        if (values != values[0]).any():
            bits += getattr(target, width).value + (1 if width == "coefficient_bits" else 0)
    return bits
