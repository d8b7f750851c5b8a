"""Whether a circuit fits an FPGA, by what is certain before Yosys is started."""

from __future__ import annotations

import numpy as np

from tclif_deploy.backends.rtl.description import Description
from tclif_deploy.backends.rtl.layout import ANY, ZERO, LayerShape, Layout, bits_of, layout
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import COEFFICIENTS, FixedLayer, FixedNetwork
from tclif_deploy.target import Target
from tclif_deploy.text import count

BLOCK_RAM_BITS = 18432
LOW_BITS = 17
"""of a state's lower part, where it is wider than a multiplier takes (LOW of tclif_product)"""
LEAST_PRODUCT = 9
"""bits of a product for which Yosys takes a multiplier; a narrower one is made of lookup tables"""
OF_V = ("b_u", "a_v")
"""coefficients of v; the others are of u"""


def check_multipliers(fixed: FixedNetwork, target: Target, lanes: int) -> None:
    """Raise `TclifError`, with the numbers and the lanes that would fit, where more multipliers are sure to be needed
    than ``target`` has."""
    most = target.multipliers
    if most is None:
        return
    needed = sure_multipliers(fixed, layout(fixed, lanes))
    if needed <= most.value:
        return
    fewer = next((n for n in range(lanes, 0, -1) if sure_multipliers(fixed, layout(fixed, n)) <= most.value), None)
    ways = [] if fewer is None else [f"--rtl-lanes {fewer}"]
    ways += [f"a larger --device ({needed:,} multipliers and more)"]
    raise TclifError(
        f"{target.name}: {count(lanes, 'lane')} take {needed:,} multipliers of {most.value:,}",
        f"fits: {' or '.join(ways)}",
    )


def sure_multipliers(fixed: FixedNetwork, plan: Layout) -> int:
    """Multipliers that the circuit needs at least: Yosys makes no product of them in another way.

    One a lane, where events have values; for each coefficient that is neither 0 nor 1 two, or one where a state is
    narrow enough. Constants that are powers of two are shifts, and short products are left out.
    """
    total = 0
    for layer, shape in zip(fixed.layers, plan.layers, strict=True):
        if shape.multiply and shape.value_bits + shape.weight_bits >= LEAST_PRODUCT:
            total += used_lanes(layer, shape)
        unread = shape.kinds["b_v"] == shape.kinds["q"] == ZERO  # the dendrite reaches nothing, and is left out
        for name in COEFFICIENTS:
            if shape.kinds[name] != ANY or (unread and name in ("a_u", "b_u")):
                continue
            values = getattr(layer, name)
            bits = bits_of(values)
            if shape.fields[name].bits == 0:
                value = abs(int(values[0]))
                bits = (value // (value & -value)).bit_length()  # trailing zeros of a constant are a shift
            if bits < 2:
                continue
            state = fixed.arithmetic.bits_v if name in OF_V else fixed.arithmetic.bits_u
            parts = (state,) if state <= LOW_BITS + 1 else (LOW_BITS + 1, state - LOW_BITS)
            total += sum(part > 1 and part + bits >= LEAST_PRODUCT for part in parts)
    return total


def used_lanes(layer: FixedLayer, shape: LayerShape) -> int:
    """Lanes that have a weight other than 0."""
    heard = np.zeros(shape.groups * shape.lanes, np.bool_)
    for c in layer.connections:
        heard[: layer.size] |= np.asarray(c.matrix()).any(axis=1)
    return int(heard.reshape(shape.groups, shape.lanes).any(axis=0).sum())


def check_fits(description: Description, target: Target) -> None:
    """Raise `TclifError`, with the numbers and what would fit, where weights alone exceed all block RAM."""
    rams = target.block_rams
    if rams is None:
        return
    weights = {name: bits for name, bits in description.memory_bits.items() if name.endswith("_weights")}
    needed = blocks(sum(weights.values()))
    if needed > rams.value:
        raise TclifError(
            f"{target.name}: weights alone take {needed:,} block RAMs ({BLOCK_RAM_BITS:,} bits) of {rams.value:,}",
            _what_fits(description, sum(weights.values()), rams.value),
        )


def blocks(bits: int) -> int:
    """Block RAMs that hold so many bits, were none of them wasted."""
    return -(-bits // BLOCK_RAM_BITS)


def _what_fits(description: Description, bits: int, rams: int) -> str:
    """The smallest change after which the weights fit."""
    widest = description.weight_bits
    width = next((w for w in range(widest - 1, 1, -1) if blocks(bits * w // widest) <= rams), None)
    ways = [] if width is None else [f"--weight-bits {width}"]
    ways += [f"a larger device ({blocks(bits):,} block RAMs and more)"]
    return f"fits: {' or '.join(ways)}"
