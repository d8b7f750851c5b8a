"""One step of one layer as ONNX nodes: `simulation.reference.step`, in integers that provably suffice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tclif_deploy.backends.onnx.graph import OnnxGraphBuilder
from tclif_deploy.backends.onnx.ranges import DoesNotFit, Integers, Value
from tclif_deploy.bounds import state_limit
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import Arithmetic, FixedConnection, FixedLayer, FixedNetwork, Int
from tclif_deploy.network import INPUT
from tclif_deploy.simulation.reference import start_states

INPUT_DIGIT_BITS = 7
"""some CPUs add pairs of uint8*int8 products in saturating 16 bits: 2*127*128 still fits, 2*255*128 does not"""
WEIGHT_DIGIT_BITS = 8
FEW_SOURCES = 8
"""below this many a plain MatMul costs less than splitting the input into digits"""


@dataclass(frozen=True)
class LayerStep:
    """Names of the tensors that a step of a layer gives."""

    u: str
    v: str
    charged: str
    """the soma before its reset"""
    spikes: str | None
    """uint8 (batch, neurons); None for a readout"""
    unchanged: tuple[str | None, ...]
    """four bool tensors: where ovf changed nothing; None where it provably never does"""


def state_dtype(network: FixedNetwork, layer: FixedLayer) -> Any:
    """int32 where every intermediate of the layer fits in it, else int64. Raises `TclifError` if neither does."""
    for dtype in (np.int32, np.int64):
        try:
            sources = [c.source for c in layer.connections]
            layer_step(OnnxGraphBuilder(), network, layer, dtype, "u", "v", sources)
            return dtype
        except DoesNotFit as error:
            magnitude = error.magnitude
    raise TclifError(
        f"onnx: layer {layer.name}: a value can reach {magnitude}, 64 bits hold {np.iinfo(np.int64).max}",
        "use fewer weight, coefficient or input bits",
    )


def layer_step(
    graph: OnnxGraphBuilder, network: FixedNetwork, layer: FixedLayer, dtype: Any, u: str, v: str, sources: list[str]
) -> LayerStep:
    """Append one step of ``layer``; ``sources`` are the tensors that its connections carry in this step.

    Raises `DoesNotFit` where ``dtype`` is too narrow for some input or state.
    """
    m, ints = network.arithmetic, Integers(graph, dtype, layer.size, network.arithmetic.rounding)
    k = m.frac_bits
    start_u, start_v = start_states(layer, m)
    before_u = _state(ints, u, m.bits_u, m.overflow_u, (start_u,))
    others = (start_v, layer.v_reset) if layer.spiking and layer.reset == "hard" else (start_v,)
    before_v = _state(ints, v, m.bits_v, m.overflow_v, others)

    current = _current(ints, network, layer, sources)
    to_u, to_v = ([current], []) if layer.input_to == "dendrite" else ([], [current])
    wide_u = _sum(ints, [ints.product(before_u, layer.a_u, k), ints.product(before_v, layer.b_u, k), *to_u],
                  layer.bias_u, u)  # fmt: skip
    next_u = ints.overflow(wide_u, m.bits_u, m.overflow_u)
    wide_v = _sum(ints, [ints.product(before_v, layer.a_v, k), ints.product(next_u, layer.b_v, k), *to_v],
                  layer.bias_v, v)  # fmt: skip
    next_v = ints.overflow(wide_v, m.bits_v, m.overflow_v)
    charged = (_unchanged(graph, wide_u, next_u), _unchanged(graph, wide_v, next_v))
    if not layer.spiking:
        return LayerStep(next_u.tensor, next_v.tensor, next_v.tensor, None, (*charged, None, None))

    fired = graph.op("GreaterOrEqual", next_v.tensor, ints.constant(layer.threshold))
    spikes = graph.cast(fired, np.uint8)
    if layer.reset == "hard":
        v_out = graph.op("Where", fired, ints.constant(layer.v_reset), next_v.tensor)
        if not layer.r_u.any():
            return LayerStep(next_u.tensor, v_out, next_v.tensor, spikes, (*charged, None, None))
        taken = replace(layer, q=np.zeros_like(layer.q), r_v=np.zeros_like(layer.r_v))  # of u alone
        reset_u, _, wide_u, _ = _soft_reset(ints, taken, m, next_u, next_v, spikes)
        unchanged = (*charged, _unchanged(graph, wide_u, reset_u), None)
        return LayerStep(reset_u.tensor, v_out, next_v.tensor, spikes, unchanged)
    reset_u, reset_v, wide_reset_u, wide_reset_v = _soft_reset(ints, layer, m, next_u, next_v, spikes)
    return LayerStep(
        reset_u.tensor, reset_v.tensor, next_v.tensor, spikes,
        (*charged, _unchanged(graph, wide_reset_u, reset_u), _unchanged(graph, wide_reset_v, reset_v)),
    )  # fmt: skip


def _state(ints: Integers, tensor: str, bits: int, overflow: Any, others: tuple[Int, ...]) -> Value:
    """A state as it enters a step: what ovf lets through, and values that do not pass it."""
    limit = state_limit(bits, overflow)
    low, high = ints.exact(-limit), ints.exact(limit - (overflow == "wrap"))
    for values in others:
        low, high = np.minimum(low, ints.exact(values)), np.maximum(high, ints.exact(values))
    return ints.value(tensor, low, high)


def _sum(ints: Integers, terms: list[Value | None], bias: Int, like: str) -> Value:
    """The sum of the terms that are not 0, and a bias; ``like`` is a tensor of its shape."""
    present = [term for term in terms if term is not None]
    if not present:
        present = [ints.value(ints.graph.op("Mul", like, ints.constant(0)), 0, 0)]
    return ints.apply_offset(ints.plus(ints.add(present), bias))


def _unchanged(graph: OnnxGraphBuilder, wide: Value, after: Value) -> str | None:
    return None if wide.tensor == after.tensor else graph.op("Equal", wide.tensor, after.tensor)


def _soft_reset(
    ints: Integers, layer: FixedLayer, m: Arithmetic, u: Value, v: Value, spikes: str
) -> tuple[Value, Value, Value, Value]:
    """(u after reset, v after reset, both before ovf)."""
    graph = ints.graph
    s = graph.cast(spikes, ints.dtype)
    # Where it spikes, v has reached the threshold: that bounds what is left of it.
    fired_low = np.maximum(v.low, ints.exact(layer.threshold))
    share = ints.product(u, layer.q, m.frac_bits)

    def taken(name: str, low: Any, high: Any, amount_low: Any, amount_high: Any, before: Value) -> Value:
        """before - name, where ``name`` is the amount times s."""
        ints.value(name, np.minimum(0, amount_low), np.maximum(0, amount_high))
        low_bound, high_bound = before.low - np.maximum(0, amount_high), before.high - np.minimum(0, amount_low)
        difference = ints.value(graph.op("Sub", before.tensor, name), low_bound, high_bound)
        tight_low, tight_high = np.minimum(before.low, low - amount_high), np.maximum(before.high, high - amount_low)
        return Value(difference.tensor, tight_low, tight_high, difference.offset)

    r_u, r_v = ints.exact(layer.r_u), ints.exact(layer.r_v)
    if share is None:
        drop_v = graph.op("Mul", s, ints.constant(r_v)) if r_v.any() else None
        smallest_amount, largest_amount = r_v, r_v
    else:
        amount = ints.apply_offset(ints.plus(share, r_v))
        drop_v = graph.op("Mul", s, amount.tensor)
        smallest_amount, largest_amount = amount.low, amount.high
    wide_v = v if drop_v is None else taken(drop_v, fired_low, v.high, smallest_amount, largest_amount, v)
    wide_u = u
    if r_u.any():
        wide_u = taken(graph.op("Mul", s, ints.constant(r_u)), u.low, u.high, r_u, r_u, u)
    return (ints.overflow(wide_u, m.bits_u, m.overflow_u), ints.overflow(wide_v, m.bits_v, m.overflow_v),
            wide_u, wide_v)  # fmt: skip


def _current(ints: Integers, network: FixedNetwork, layer: FixedLayer, sources: list[str]) -> Value:
    """i = shift(acc, f)."""
    sums = []
    for connection, tensor in zip(layer.connections, sources, strict=True):
        weighted_sum = _input_sum if connection.source == INPUT else _spike_sum
        sums.append(ints.times(weighted_sum(ints, network, connection, tensor), 1 << connection.exponent))
    total = ints.add(sums)
    return ints.times(total, 1 << layer.shift) if layer.shift >= 0 else ints.rounded_shift(total, -layer.shift)


def _spike_sum(ints: Integers, network: FixedNetwork, connection: FixedConnection, tensor: str) -> Value:
    """W.s for spikes, uint8 (batch, sources)."""
    return ints.add([
        ints.times(_multiply(ints, tensor, digit, 1), 1 << (WEIGHT_DIGIT_BITS * n))
        for n, digit in enumerate(_weight_digits(connection))
    ])  # fmt: skip


def _input_sum(ints: Integers, network: FixedNetwork, connection: FixedConnection, tensor: str) -> Value:
    """W.x for integers, int32 (batch, sources), as uint8 digits of what lies above the lowest input."""
    graph, limit = ints.graph, network.input.limit
    if connection.conv is None and connection.sources < FEW_SOURCES:
        weight = connection.weight
        reach = np.abs(weight.astype(object)).sum(axis=1) * limit
        x = tensor if ints.dtype == np.int32 else graph.cast(tensor, ints.dtype)
        return ints.value(graph.op("MatMul", x, graph.constant(weight.T, ints.dtype)), -reach, reach)
    # 2*limit always fits: bits <= 31 here, and 32 bits are moved in int64.
    wide = np.int32 if network.input.bits < 32 else np.int64
    rest = graph.op("Add", tensor if wide == np.int32 else graph.cast(tensor, wide), graph.constant(limit, wide))
    base = graph.constant(1 << INPUT_DIGIT_BITS, wide)
    weight_digits = _weight_digits(connection)
    terms, left, place = [], 2 * limit, 0
    while left:
        digit, left = rest, left >> INPUT_DIGIT_BITS
        if left:
            rest = graph.op("Div", digit, base)
            digit = graph.op("Sub", digit, graph.op("Mul", rest, base))
        small = graph.cast(digit, np.uint8)
        for n, weight_digit in enumerate(weight_digits):
            scale = 1 << (WEIGHT_DIGIT_BITS * n + INPUT_DIGIT_BITS * place)
            terms.append(ints.times(_multiply(ints, small, weight_digit, (1 << INPUT_DIGIT_BITS) - 1), scale))
        place += 1
    # A convolution's padding is 0, not the lowest input: what was moved is what its kernel sees of the map.
    ones = np.ones((1, connection.sources), np.int64)
    moved = sum(digit.apply(ones)[0].astype(object) << (WEIGHT_DIGIT_BITS * n) for n, digit in enumerate(weight_digits))
    return ints.apply_offset(ints.plus(ints.add(terms), -limit * moved))


def _multiply(ints: Integers, tensor: str, weights: FixedConnection, largest: int) -> Value:
    """uint8 (batch, sources) of at most ``largest`` times int8 weights, in the layer's type."""
    graph, conv, rows = ints.graph, weights.conv, weights.shared_rows
    low, high = (weights.per_neuron(np.where(side, rows, 0).sum(axis=1)) * largest for side in (rows < 0, rows > 0))
    if max(-int(low.min()), int(high.max())) > np.iinfo(np.int32).max:
        raise DoesNotFit(max(-int(low.min()), int(high.max())))
    if conv is None:
        product = graph.op("MatMulInteger", tensor, graph.constant(weights.weight.T, np.int8))
    else:
        # In a shape, 0 keeps the batch axis.
        maps = graph.op("Reshape", tensor, graph.constant([0, *conv.input_shape], np.int64))
        product = graph.op(
            "ConvInteger", maps, graph.constant(weights.weight, np.int8), strides=conv.stride, pads=conv.padding,
            dilations=conv.dilation, group=conv.groups,
        )  # fmt: skip
        product = graph.op("Reshape", product, graph.constant([0, weights.neurons], np.int64))
    return ints.value(product if ints.dtype == np.int32 else graph.cast(product, ints.dtype), low, high)


def _weight_digits(connection: FixedConnection) -> list[FixedConnection]:
    """int8 weights d with weight = sum of d[n] * 256^n; at least one."""
    digits: list[FixedConnection] = []
    rest = connection.weight
    half_range = 1 << (WEIGHT_DIGIT_BITS - 1)
    while not digits or rest.any():
        digit = ((rest + half_range) & (2 * half_range - 1)) - half_range
        digits.append(replace(connection, weight=digit))
        rest = (rest - digit) >> WEIGHT_DIGIT_BITS
    return digits
