"""Layers whose numbers are integers already (`tclif_deploy.grid`): kept as they are where the target holds them.

Nothing is chosen here and nothing is rounded. Where a number does not lie on its own grid, or the target does not hold
it, `NotHeld` says which and by how much, and the layer is quantized like any other.
"""

from __future__ import annotations

import math

import numpy as np

from tclif_deploy.data import Dataset
from tclif_deploy.fixed import COEFFICIENTS, OF_DENDRITE, FixedConnection, FixedLayer, InputEncoding, Int
from tclif_deploy.grid import SAME, InputGrid, LayerGrid
from tclif_deploy.network import NEURON_ARRAYS, Connection, Float, Layer
from tclif_deploy.quantization.layer_plan import (
    MOST,
    SHIFT_LIMIT,
    QuantizationContext,
    as_the_target_steps,
    multipliers,
)
from tclif_deploy.target import WIDTHS, Target, largest_factor, largest_held, nearest_factor, nearest_held


class NotHeld(Exception):
    """Why a layer's own integers are not kept."""


def carried_layer(layer: Layer, grid: LayerGrid, context: QuantizationContext, bits: int) -> FixedLayer:
    """The layer's own integers, its weights within ``bits``. Raises `NotHeld`."""
    layer, target = as_the_target_steps(layer, context.target), context.target
    n = layer.neuron
    for c in layer.connections:
        if c.delay > target.max_delay.value:
            raise NotHeld(f"its delay of {c.delay} steps from {c.source} is more than {target.max_delay.value}")
    if not target.per_neuron_parameters.value and max(np.ptp(grid.lsb_u), np.ptp(grid.lsb_v)) > 0:
        raise NotHeld(f"its neurons' LSBs differ, and {target.name} has one threshold a layer")
    _check_states(layer, grid, context)
    numbers = _numbers(layer, grid, target)
    shift, exponents = _shift(layer, grid, context)
    connections = []
    for c, steps, exponent in zip(layer.connections, grid.steps, exponents, strict=True):
        per_weight = steps.reshape(-1, *[1] * (c.weight.ndim - 1))
        weight = _whole(c.weight / per_weight, f"the weight from {c.source} at")
        weight, more = _narrowed(weight, c, (1 << (bits - 1)) - 1)
        connections.append(FixedConnection(c.source, weight, c.delay, exponent + more, c.conv))
    return FixedLayer(
        name=layer.name, connections=tuple(connections), shift=shift, **numbers, lsb_u=grid.lsb_u, lsb_v=grid.lsb_v,
        multiplier=multipliers(layer, grid.lsb_v), reset=n.reset, input_to=n.input_to, spiking=n.spiking,
    )  # fmt: skip


def carried_encoding(grid: InputGrid, features: int, data: Dataset | None, target: Target) -> InputEncoding:
    """The input's own integers. Raises `NotHeld`."""
    payload = target.input_bits.value
    if grid.bits is not None:
        if grid.bits > payload:
            raise NotHeld(f"they have {grid.bits} bits, {target.name} carries {payload}")
        return InputEncoding(features, lsb=grid.lsb, bits=grid.bits)
    if data is None:
        return InputEncoding(features, lsb=grid.lsb, bits=min(payload, 16))
    counts = data.x.astype(np.float64) * (data.scale / grid.lsb)
    apart = np.abs(counts - np.rint(counts))
    if apart.max() > SAME * max(1.0, np.abs(counts).max()):
        worst = np.unravel_index(int(apart.argmax()), apart.shape)
        raise NotHeld(f"{data.name} has {counts[worst] * grid.lsb:.6g}, no whole number of {grid.lsb:g}")
    largest = int(np.abs(np.rint(counts)).max())
    if largest > 2 ** (payload - 1) - 1:
        raise NotHeld(f"{data.name} reaches {largest:,}, {2 ** (payload - 1) - 1:,} is the most of {target.name}")
    return InputEncoding(features, lsb=grid.lsb, bits=max(2, min(largest.bit_length() + 3, payload)))


def _check_states(layer: Layer, grid: LayerGrid, context: QuantizationContext) -> None:
    """Raise `NotHeld` where states narrower than those of the grid overflow."""
    bits = context.target.state_bits.value
    if bits >= grid.state_bits:
        return
    for name, reach, lsb in zip("uv", context.ranges.max_abs[layer.name], (grid.lsb_u, grid.lsb_v), strict=True):
        worst, top = int((reach / lsb).argmax()), (1 << (bits - 1)) - 1
        if reach[worst] / lsb[worst] > top:
            raise NotHeld(
                f"{name} of neuron {worst} reaches {reach[worst] / lsb[worst]:,.0f}, {bits} bits hold {top:,}"
            )


def _numbers(layer: Layer, grid: LayerGrid, target: Target) -> dict[str, Int]:
    """Every array of the neurons in its own units, all of which the target holds."""
    n, ratio = layer.neuron, grid.lsb_v / grid.lsb_u
    one = 1 << target.coefficient_bits.value
    numbers: dict[str, Int] = {}
    for name in NEURON_ARRAYS:
        values: Float = getattr(n, name)
        if name in COEFFICIENTS:
            values = values * ratio if name == "b_u" else values / ratio if name in ("b_v", "q") else values
            numbers[name] = _whole(values * one, f"{name} of neuron", f"counts of 1/{one}")
            own_decay = name in ("a_u", "a_v")
            held = nearest_factor(target, numbers[name], name[-1]) if own_decay else numbers[name]
            if (held != numbers[name]).any():
                worst = int(np.abs(held - numbers[name]).argmax())
                own, nearest = int(numbers[name][worst]), int(held[worst])
                raise NotHeld(
                    f"{name} of neuron {worst} is {own:,}, the nearest that {target.name} holds is {nearest:,}"
                )
            low, high = (0, largest_factor(target)) if own_decay else (-one, one)
            for bound, beyond in ((low, numbers[name] < low), (high, numbers[name] > high)):
                if beyond.any():
                    worst = int(np.flatnonzero(beyond)[0])
                    raise NotHeld(f"{name} of neuron {worst} is {int(numbers[name][worst])}, beyond {bound}")
            continue
        if name != "s0":
            values = values / (grid.lsb_u if name in OF_DENDRITE else grid.lsb_v)
        if name == "threshold" and not n.spiking:
            values = np.zeros(layer.size)
        numbers[name] = _whole(values, f"{name} of neuron") + (n.strict and n.spiking and name == "threshold")
        _check_width(name, numbers[name], layer, target)
    return numbers


def _check_width(name: str, values: Int, layer: Layer, target: Target) -> None:
    if name not in WIDTHS or (name == "threshold" and not layer.neuron.spiking):
        return
    top, worst = largest_held(target, name), int(np.abs(values).argmax())
    if abs(int(values[worst])) > top:
        raise NotHeld(f"{name} of neuron {worst} is {int(values[worst]):,}, {target.name} holds {top:,}")
    held = nearest_held(target, name, values)
    worst = int(np.abs(held - values).argmax())
    if held[worst] != values[worst]:
        raise NotHeld(
            f"{name} of neuron {worst} is {int(values[worst]):,}, the nearest that {target.name} holds is "
            f"{int(held[worst]):,}"
        )


def _shift(layer: Layer, grid: LayerGrid, context: QuantizationContext) -> tuple[int, tuple[int, ...]]:
    """The layer's shift, and each connection's exponent: units are powers of two apart, alike in all neurons."""
    units = [
        c.per_neuron(steps) * context.encoding.unit(c.source)
        for c, steps in zip(layer.connections, grid.steps, strict=True)
    ]
    finest = np.min(units, axis=0)
    into = grid.lsb_u if layer.neuron.input_to == "dendrite" else grid.lsb_v
    exponents = tuple(
        _power(unit / finest, f"a weight from {c.source}", "finest weight")
        for c, unit in zip(layer.connections, units, strict=True)
    )
    shift = _power(finest / into, "its finest weight", "LSB")
    if abs(shift) > SHIFT_LIMIT or max(exponents) > SHIFT_LIMIT:
        raise NotHeld(f"shifts by {shift} and {max(exponents)} are more than {SHIFT_LIMIT}")
    return shift, exponents


def _power(ratios: Float, what: str, of: str) -> int:
    """The one exponent of two that all ``ratios`` have. Raises `NotHeld` for one that has it not."""
    exponent = round(math.log2(ratios[0])) if 0 < ratios[0] < MOST else SHIFT_LIMIT + 1
    apart = np.abs(ratios / 2.0**exponent - 1.0)
    if not apart.max() <= SAME:
        ratio = ratios[int(apart.argmax())]
        raise NotHeld(f"one unit of {what} is {ratio:.6g} {of}, which is no power of two that all its neurons share")
    return exponent


def _narrowed(weight: Int, connection: Connection, limit: int) -> tuple[Int, int]:
    """Weights within ``limit``, and how far they are to be shifted left: only zeros are shifted out."""
    worst = np.unravel_index(int(np.abs(weight).argmax()), weight.shape)
    largest = abs(int(weight[worst]))
    more = max(0, math.ceil(math.log2(largest / limit))) if largest > limit else 0
    if (weight & ((1 << more) - 1)).any():
        at = ", ".join(map(str, worst))
        raise NotHeld(f"the weight from {connection.source} at {at} is {int(weight[worst])}, {limit} is the most")
    return weight >> more, more


def _whole(values: Float, name: str, unit: str = "units") -> Int:
    """``values`` as integers. Raises `NotHeld` for one that is none: what ``name`` and its place say."""
    nearest = np.rint(values)
    wrong = ~(np.abs(values - nearest) <= SAME * np.maximum(1.0, np.abs(values))) | ~(np.abs(values) < MOST)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise NotHeld(f"{name} {', '.join(map(str, at))} is {values[at]:.9g} {unit}, not a whole number")
    return nearest.astype(np.int64)
