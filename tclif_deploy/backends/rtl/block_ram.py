"""How many block RAMs of an ECP5 the memories of a circuit take, by the shapes that a block RAM has.

Yosys (`memory_libmap`, with its library for the ECP5) takes for each memory what costs least: of every shape of a block
RAM, or of lookup tables, cells and the multiplexers between them. This counts the same; Yosys 0.70 does so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from tclif_deploy.backends.rtl.layout import FIELDS, ZERO, LayerShape, Layout, Part, arrays, stored, weight_groups
from tclif_deploy.fixed import FixedLayer, FixedNetwork, Int

BLOCK_BITS = 18432
ADDRESS_BITS = 14
"""of a block RAM whose words have one bit; twice the width leaves half the words"""
SHAPES = ((1, 0), (2, 1), (4, 2), (9, 3), (18, 4), (36, 5))
"""(bits of a word, halvings of the words): 16384 x 1, 8192 x 2, 4096 x 4, 2048 x 9, 1024 x 18, 512 x 36"""
PORTED = SHAPES[:5]
"""with two ports of any kind (DP16KD)"""
WRITABLE = SHAPES[3:]
"""with one port that writes and one that reads (PDPW16KD)"""
BYTE = 9
"""bits that are written together: a word that is written takes a multiple of these"""
BLOCK_COST, MUX_COST = 128.0, 0.5
READ_COST, READ_FIRST_COST = 2.0, 14.0
"""of a reading port, and of a written memory that gives the old word when both ports have one address"""
ROM_BIT_COST = 1 / 16
"""of a constant bit in lookup tables"""
TABLE_WORDS, TABLE_BITS, TABLE_COST = 16, 4, 4.0
"""of a memory in lookup tables (TRELLIS_DPR16X4)"""
READOUT_BITS = 32
GROWTH = 8
"""bits by which words of parameters and of graded events may become wider where weights become narrower: scales move"""
DENDRITE = ("a_u", "b_u", "bias_u", "r_u", "u0")
"""parameters of a compartment that Yosys leaves out where it reaches nothing"""


@dataclass(frozen=True)
class Memory:
    """One memory of a circuit."""

    least: int
    """bits of a word that Yosys does not leave out: they are not the same in every word, and something reads them"""
    width: int
    """all bits of a word"""
    depth: int
    written: bool
    grows: bool = False
    """whether words depend on scales"""


@lru_cache(maxsize=1 << 14)
def blocks(width: int, depth: int, written: bool) -> int:
    """Block RAMs that one memory takes; 0 where lookup tables cost less."""
    if written:
        own = min(_in_blocks(width, depth, True, WRITABLE), _in_blocks(width, depth, True, PORTED))
        other = min(_in_tables(width, depth), float(width * depth))
    else:
        own, other = _in_blocks(width, depth, False, SHAPES), width * depth * ROM_BIT_COST
    return 0 if other <= own[0] else own[1]


def _in_blocks(width: int, depth: int, written: bool, shapes: tuple[tuple[int, int], ...]) -> tuple[float, int]:
    """(cost, block RAMs) of the best of some shapes."""
    found = []
    for bits, halvings in shapes:
        rows = -(-depth // (1 << (ADDRESS_BITS - halvings)))
        byte = min(BYTE, bits) if written else 1
        # Rows share blocks: what a row leaves free of its last block holds bits of the next.
        count = -(-rows * (-(-width // byte) * byte) // bits)
        extra = READ_FIRST_COST if written else READ_COST
        found.append((BLOCK_COST * count + _muxes(width, rows, written) + extra, count))
    return min(found)


def _in_tables(width: int, depth: int) -> float:
    """Cost of a written memory in lookup tables."""
    rows = -(-depth // TABLE_WORDS)
    return TABLE_COST * rows * -(-width // TABLE_BITS) + _muxes(width, rows, True) + READ_COST


def _muxes(width: int, rows: int, written: bool) -> float:
    """Cost of choosing among rows of cells, to read and to write."""
    return MUX_COST * ((rows - 1) * width + (rows if written and rows > 1 else 0))


def sure_blocks(fixed: FixedNetwork, plan: Layout) -> int:
    """Block RAMs that a circuit takes at least, whatever bits Yosys leaves out."""
    return sum(min(_counts(memory, memory.least, memory.width)) for memory in memories(fixed, plan))


def most_blocks(fixed: FixedNetwork, plan: Layout) -> int:
    """Block RAMs that a circuit takes at most."""
    return sum(max(_counts(memory, memory.least, memory.width)) for memory in memories(fixed, plan))


def narrower_blocks(fixed: FixedNetwork, plan: Layout, weight_bits: int) -> int:
    """Block RAMs that a circuit takes at most when its weights are quantized anew to so many bits."""
    layers = tuple(replace(shape, weight_bits=min(shape.weight_bits, weight_bits)) for shape in plan.layers)
    return sum(
        max(_counts(memory, 1, memory.width + GROWTH * memory.grows))
        for memory in memories(fixed, replace(plan, layers=layers))
    )


def _counts(memory: Memory, least: int, most: int) -> Iterator[int]:
    """Of every width from ``least`` to ``most``: a wider memory may take fewer blocks, where tables then cost less."""
    return (blocks(width, memory.depth, memory.written) for width in range(least, most + 1))


def memories(fixed: FixedNetwork, plan: Layout) -> Iterator[Memory]:
    """Every memory of a circuit that shows no spikes and states (`tclif synth` places one)."""
    m = fixed.arithmetic
    for layer, shape in zip(fixed.layers, plan.layers, strict=True):
        unread = shape.kinds["b_v"] == shape.kinds["q"] == ZERO  # the dendrite reaches nothing, and is left out
        own = arrays(layer, m)
        for part in shape.parts:
            words, neurons = max(part.groups * shape.rows, 2), max(part.neurons, 2)
            weights = part.lanes * shape.weight_bits
            yield Memory(min(_moving_weights(layer, plan, shape, part), weights), weights, words, False)
            parameters = sum(
                _moving(
                    stored(own, name, shape.reset_relative)[part.number :: shape.pipelines], shape.fields[name].bits
                )
                for name in FIELDS
                if shape.fields[name].bits and not (unread and name in DENDRITE)
            )
            yield Memory(parameters, shape.word_bits, neurons, False, grows=True)
            yield Memory(m.bits_v + (0 if unread else m.bits_u), m.bits_u + m.bits_v, neurons, True)
        for item in shape.lists:
            value = shape.value_bits if item.source < 0 else 0
            bits = item.position_bits
            yield Memory(bits, bits + value, item.frames << bits, True, grows=value > 0)
            yield Memory(0, bits + 1, item.frames, True)  # how many events a step has
            if item.starts:
                yield Memory(0, bits, max(item.starts, 2), False)
    outputs = max(plan.layers[-1].neurons, 2)
    yield Memory(0, READOUT_BITS, outputs, True)
    yield Memory(0, READOUT_BITS, outputs, False, grows=True)  # multipliers


def _moving_weights(layer: FixedLayer, plan: Layout, shape: LayerShape, part: Part) -> int:
    """Bits of a word of weights that are not the same in every word."""
    words = weight_groups(layer, plan, shape, part)
    return sum(_moving(words[:, lane].ravel(), shape.weight_bits) for lane in range(part.lanes))


def _moving(values: Int, bits: int) -> int:
    """How many of the lowest ``bits`` are not the same in all values."""
    return (int(np.bitwise_or.reduce(values ^ values[0])) & ((1 << bits) - 1)).bit_count()
