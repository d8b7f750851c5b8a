"""Whether a circuit fits an FPGA, by what is certain before Yosys is started."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tclif_deploy.backends.rtl.block_ram import BLOCK_BITS, memories, most_blocks, narrower_blocks, sure_blocks
from tclif_deploy.backends.rtl.layout import ANY, LANES, PIPELINES, ZERO, LayerShape, Layout, bits_of, layout
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import COEFFICIENTS, FixedLayer, FixedNetwork, Int
from tclif_deploy.target import Target, load_target
from tclif_deploy.text import count

FPGAS = ("ecp5-25f", "ecp5-45f", "ecp5-85f")
"""shipped targets that are FPGAs, the smallest first"""
LUTS_OF_LAYER, LUTS_OF_LANE_BIT, FULL = 1500, 2.5, 0.85
"""lookup tables of a layer without its lanes, and for each bit of a lane's sum, a little more than was measured; and
how full a device may be by them"""
LOW_BITS = 17
"""of a state's lower part, where it is wider than a multiplier takes (LOW of tclif_product)"""
LEAST_PRODUCT = 9
"""bits of a product for which Yosys takes a multiplier; a narrower one is made of lookup tables"""
OF_V = ("b_u", "a_v")
"""coefficients of v; the others are of u"""


def check_multipliers(fixed: FixedNetwork, target: Target, lanes: int, pipelines: int = 1) -> None:
    """Raise `TclifError`, with the numbers and the lanes and pipelines that would fit, where more multipliers are sure
    to be needed than ``target`` has."""
    most = target.multipliers
    if most is None:
        return
    needed = sure_multipliers(fixed, layout(fixed, lanes, pipelines))
    if needed <= most.value:
        return

    # What is said to fit does so by the count of all products, of which Yosys may make some without a multiplier.
    def fits(plan: Layout) -> bool:
        return rough_count(plan)[1] <= most.value

    ways = smaller_circuits(fixed, lanes, pipelines, fits)
    ways += [f"a larger --device ({needed:,} multipliers and more)"]
    raise TclifError(
        f"{target.name}: {named(lanes, pipelines)} take {needed:,} multipliers of {most.value:,}",
        f"fits: {' or '.join(ways)}",
    )


def named(lanes: int, pipelines: int) -> str:
    """Lanes, and pipelines where there are several, in words."""
    return count(lanes, "lane") + (f" and {pipelines} pipelines" if pipelines > 1 else "")


def smaller_circuits(fixed: FixedNetwork, lanes: int, pipelines: int, fits: Callable[[Layout], bool]) -> list[str]:
    """The options that make of a circuit the largest one of fewer lanes, and of fewer pipelines, that fits."""
    ways = []
    tried = range(lanes - pipelines, 0, -pipelines)
    fewer = next((n for n in tried if fits(layout(fixed, n, pipelines))), None)
    if fewer is not None:
        ways.append(f"--rtl-lanes {fewer}")
    slower = next((n for n in reversed(PIPELINES) if n < pipelines and fits(layout(fixed, lanes, n))), None)
    if slower is not None:
        ways.append(f"--rtl-pipelines {slower}")
    return ways


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
            state = fixed.arithmetic.bits_v if name in OF_V else fixed.arithmetic.bits_u
            parts = (state,) if state <= LOW_BITS + 1 else (LOW_BITS + 1, state - LOW_BITS)
            for n in range(shape.pipelines):
                bits = factor_bits(getattr(layer, name)[n :: shape.pipelines])
                total += sum(bits > 1 and part > 1 and part + bits >= LEAST_PRODUCT for part in parts)
    return total


def factor_bits(values: Int) -> int:
    """Bits of a factor that some multiplier must take: trailing zeros of a constant are a shift."""
    if (values != values[0]).any():
        return bits_of(values)
    value = abs(int(values[0]))
    return (value // (value & -value)).bit_length() if value else 0


def used_lanes(layer: FixedLayer, shape: LayerShape) -> int:
    """Lanes that have a weight other than 0."""
    heard = np.zeros(shape.groups * shape.lanes, np.bool_)
    for c in layer.connections:
        heard[: layer.size] |= np.asarray(c.matrix()).any(axis=1)
    return int(heard.reshape(shape.groups, shape.lanes).any(axis=0).sum())


def check_block_rams(fixed: FixedNetwork, target: Target, lanes: int, pipelines: int = 1) -> None:
    """Raise `TclifError`, with the numbers and what would fit, where memories are sure to need more block RAM than
    ``target`` has."""
    most = target.block_rams
    if most is None:
        return
    plan = layout(fixed, lanes, pipelines)
    needed = sure_blocks(fixed, plan)
    if needed <= most.value:
        return

    # What is said to fit does so by a count of every bit, whatever Yosys may leave out.
    def fits(plan: Layout) -> bool:
        return most_blocks(fixed, plan) <= most.value

    held = BLOCK_BITS * most.value
    full = sum(memory.least * memory.depth for memory in memories(fixed, plan)) > held  # were no bit of a block wasted
    ways = [] if full else smaller_circuits(fixed, lanes, pipelines, fits)
    widest = max(shape.weight_bits for shape in plan.layers)
    width = next((w for w in range(widest - 1, 1, -1) if narrower_blocks(fixed, plan, w) <= most.value), None)
    if width is not None:
        ways.append(f"--weight-bits {width}")
    larger = larger_device(most_blocks(fixed, plan))
    if larger is not None:
        ways.append(f"--device {larger}")
    raise TclifError(
        f"{target.name}: memories take {needed:,} block RAMs of {most.value:,}",
        f"fits: {' or '.join(ways)}" if ways else f"no device that is known has {needed:,}: use a smaller network",
    )


def larger_device(block_rams: int) -> str | None:
    """The smallest shipped FPGA with so many block RAMs."""
    held = {name: load_target(name).block_rams for name in FPGAS}
    return next((name for name, limit in held.items() if limit is not None and limit.value >= block_rams), None)


def fitting_lanes(fixed: FixedNetwork, target: Target, pipelines: int = 1) -> int:
    """The most lanes, up to `LANES`, of which a rough count says that they fit the FPGA ``target``; at least one a
    pipeline.

    Block RAM decides where some number of lanes has enough of it: fewer lanes make memories narrower and deeper, which
    often leaves less of a block unused.
    """
    lanes, roughly = LANES, None
    # Of multipliers, which several pipelines were asked to take more of, all may be used.
    full = FULL if pipelines == 1 else 1.0
    while lanes >= pipelines:
        plan = layout(fixed, lanes, pipelines)
        luts, multipliers = rough_count(plan)
        if lanes == pipelines or all(
            limit is None or used <= limit.value * share
            for used, limit, share in ((luts, target.luts, FULL), (multipliers, target.multipliers, full))
        ):
            if target.block_rams is None or most_blocks(fixed, plan) <= target.block_rams.value:
                return lanes
            roughly = roughly or lanes
        lanes //= 2
    return roughly or pipelines


def rough_count(plan: Layout) -> tuple[float, int]:
    """(lookup tables, multipliers) that a circuit may take: enough to choose lanes, no more."""
    luts, multipliers = 0.0, 0
    for shape in plan.layers:
        luts += LUTS_OF_LAYER * shape.pipelines + shape.lanes * shape.sum_bits * LUTS_OF_LANE_BIT
        products = sum(kind == ANY for kind in shape.kinds.values())
        multipliers += 2 * products * shape.pipelines + shape.lanes * shape.multiply
    return luts, multipliers
