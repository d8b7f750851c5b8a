"""One layer: what is chosen for it, and the integers that follow from that.

Every number of a neuron is counted in that neuron's own LSBs, so per-neuron weight scales cost no hardware:
scaling a neuron's weights, bias, threshold and resets by one factor changes no spike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tclif_deploy.convolution import LinearMap
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedConnection, FixedLayer, InputEncoding, Int
from tclif_deploy.network import Float, Layer
from tclif_deploy.quantization.couplings import coupling_pair, with_share
from tclif_deploy.quantization.ranges import Ranges
from tclif_deploy.quantization.settings import QuantizeSettings
from tclif_deploy.target import Target, largest_factor, nearest_factor, nearest_held, unit_of

READOUT_BITS = 15
"""fractional bits of the multipliers that make readout neurons of unequal scales comparable"""
MOST = 2.0**62
"""integers are far below this, or something is wrong with the numbers that they stand for"""
TINY = 2.0**-1000
"""stands for 0 in a logarithm"""
SHIFT_LIMIT = 24
"""|f| beyond this would leave nothing of a 32-bit state"""


@dataclass(frozen=True, eq=False)
class QuantizationContext:
    """What quantizing any layer depends on besides the layer."""

    target: Target
    encoding: InputEncoding
    settings: QuantizeSettings
    find_ranges: Callable[[], Ranges]
    """a run of the float network, or a bound: nothing that layers which keep their own integers need"""

    @cached_property
    def ranges(self) -> Ranges:
        """How far the states go."""
        return self.find_ranges()


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """What is chosen for a layer; arrays are (neurons,)."""

    limit: int
    """largest magnitude of a weight"""
    scale: Float
    """what one unit of the accumulator means to the float network"""
    exponents: tuple[int, ...]
    """left shift of each connection's sum"""
    b_u: Int
    b_v: Int
    lsb_ratio: Float
    """rho = LSB_v / LSB_u"""
    bias: Float
    """current that is added to the neuron's own bias"""
    bias_gain: Float | float = 1.0
    """what one unit of that current is, added as a bias: less where a current decays before it is used"""
    weights: tuple[Int, ...] | None = None
    """each connection's integers; None rounds every weight to the nearest"""


def plan_layer(layer: Layer, context: QuantizationContext, bits: int) -> LayerPlan:
    """Scales by the largest weight, couplings by the best product."""
    target = context.target
    decays_first, layer = layer.neuron.a_u, as_the_target_steps(layer, target)
    n = layer.neuron
    for c in layer.connections:
        if c.delay > target.max_delay.value:
            raise TclifError(
                f"layer {layer.name}: connection from {c.source} has a delay of {c.delay} steps, "
                f"{target.name} has at most {target.max_delay.value}"
            )
    for name, a in (("a_u", n.a_u), ("a_v", n.a_v)):
        one = 1 << target.coefficient_bits.value
        wrong = (a < 0) | (np.rint(a * one) > largest_factor(target)) | ((a > 1) & (largest_factor(target) == one))
        if wrong.any():
            worst = a[wrong][np.argmax(np.abs(a[wrong] - 0.5))]
            raise TclifError(
                f"layer {layer.name}: {name} is {worst:.6g}",
                f"{target.name} holds factors from 0 to {largest_factor(target) / one:.6g}",
            )
    limit = 2 ** (bits - 1) - 1
    scale, exponents = weight_scales(layer, context, limit)

    # neurons that share couplings share the search
    couplings, inverse = np.unique(np.stack([n.b_u, n.b_v, n.q], axis=1), axis=0, return_inverse=True)
    k = target.coefficient_bits.value
    try:
        pairs = [with_share(coupling_pair(b_u, b_v, k), b_v, q, k) for b_u, b_v, q in couplings.tolist()]
    except TclifError as error:
        raise TclifError(f"layer {layer.name}: {error.what}", error.hint) from None
    inverse = inverse.reshape(-1)
    return LayerPlan(
        limit=limit,
        scale=scale,
        exponents=exponents,
        b_u=np.array([pair.b_u for pair in pairs], np.int64)[inverse],
        b_v=np.array([pair.b_v for pair in pairs], np.int64)[inverse],
        lsb_ratio=np.array([pair.lsb_ratio for pair in pairs])[inverse],
        bias=np.zeros(layer.size),
        bias_gain=decays_first if target.input_first is not None and target.input_first.value else 1.0,
    )


def as_the_target_steps(layer: Layer, target: Target) -> Layer:
    """``layer``, or one whose u is a_u times as large, which a target steps alike that lets a current decay at once.

    u <- a_u*(u + i) holds a_u times what u <- a_u*u + i does, so the soma takes 1/a_u of it. Raises `TclifError` where
    a_u is 0, so that nothing of a current is left, and where it enters the soma.
    """
    if target.input_first is None or not target.input_first.value:
        return layer
    n = layer.neuron
    if n.input_to == "soma":
        raise TclifError(f"layer {layer.name}: its input enters the soma", f"{target.name}'s enters the dendrite")
    one = 1 << target.coefficient_bits.value
    a = nearest_factor(target, rint(n.a_u * one)) / one  # what the target then multiplies by
    if (a <= 0).any():
        worst = int(np.flatnonzero(a <= 0)[0])
        raise TclifError(
            f"layer {layer.name}: a_u of neuron {worst} is {n.a_u[worst]:.3g}, which becomes 0",
            f"{target.name} lets a current decay before it is used, and nothing would be left: CUBA-LIF neurons fit",
        )
    neuron = replace(n, b_u=n.b_u * a, bias_u=n.bias_u * a, r_u=n.r_u * a, b_v=n.b_v / a, q=n.q / a, u0=n.u0 * a)
    return replace(layer, neuron=neuron)


def build_layer(layer: Layer, plan: LayerPlan, context: QuantizationContext) -> FixedLayer:
    """Integers of one layer: the state's scale from its load, then every number in its own LSBs."""
    shift = state_shift(layer, plan, context)
    layer = as_the_target_steps(layer, context.target)
    n, size, target = layer.neuron, layer.size, context.target
    one = 1 << target.coefficient_bits.value
    weights = plan.weights or tuple(
        np.clip(rint(c.weight / weight_steps(c, plan, m, context.encoding)), -plan.limit, plan.limit)
        for m, c in enumerate(layer.connections)
    )
    connections = tuple(
        FixedConnection(c.source, w, c.delay, e, c.conv)
        for c, w, e in zip(layer.connections, weights, plan.exponents, strict=True)
    )
    unit_u, unit_v = unshifted_lsbs(layer, plan)
    lsb_u, lsb_v = unit_u * 2.0**-shift, unit_v * 2.0**-shift
    bias_u, bias_v = biases(layer, plan)
    theta = np.zeros(size, np.int64)
    if n.spiking:
        exact = n.threshold / lsb_v
        theta = nearest_held(target, "threshold", whole_to_int64(np.floor(exact) + 1 if n.strict else np.ceil(exact)))
        step = unit_of(target, "threshold")
        least = 1.0 if step == 1 else step / 2  # half a step is rounded to none
        lost = (n.threshold != 0) & (np.abs(exact) < least)
        if lost.any():
            worst = int(np.argmin(np.where(lost, np.abs(exact), np.inf)))
            missing = math.ceil(math.log2(least / max(abs(exact[worst]), TINY)))
            unit = "one LSB" if step == 1 else f"half a step of {step} LSB"
            raise TclifError(
                f"layer {layer.name}: threshold of neuron {worst} is {n.threshold[worst]:.3g}, less than {unit} "
                f"({lsb_v[worst] * least:.3g})",
                f"{target.name}'s {target.state_bits.value}-bit state cannot hold this network's range: "
                f"at least {missing} more state bit{'s' if missing != 1 else ''} or calibration data help",
            )
    return FixedLayer(
        name=layer.name,
        connections=connections,
        shift=shift,
        a_u=nearest_factor(target, rint(n.a_u * one)),
        b_u=plan.b_u,
        a_v=nearest_factor(target, rint(n.a_v * one), "v"),
        b_v=plan.b_v,
        q=rint(n.q / plan.lsb_ratio * one),
        threshold=theta,
        r_u=rint(n.r_u / lsb_u),
        r_v=rint(n.r_v / lsb_v),
        v_reset=rint(n.v_reset / lsb_v),
        bias_u=nearest_held(target, "bias_u", rint(bias_u / lsb_u)),
        bias_v=nearest_held(target, "bias_v", rint(bias_v / lsb_v)),
        v0=nearest_held(target, "v0", rint(n.v0 / lsb_v)),
        lsb_u=lsb_u,
        lsb_v=lsb_v,
        multiplier=multipliers(layer, lsb_v),
        reset=n.reset,
        input_to=n.input_to,
        spiking=n.spiking,
        u0=nearest_held(target, "u0", rint(n.u0 / lsb_u)),
        s0=rint(n.s0),
    )


def multipliers(layer: Layer, lsb_v: Float) -> Int:
    """What makes outputs of unequal LSBs comparable; (neurons,)."""
    return np.ones(layer.size, np.int64) if layer.neuron.spiking else rint(2.0**READOUT_BITS * (lsb_v / lsb_v.max()))


def weight_scales(layer: Layer, context: QuantizationContext, limit: int) -> tuple[Float, tuple[int, ...]]:
    """What one accumulator unit means for each neuron (neurons,), and each connection's left shift.

    A graded input's weights, counted for one input unit, are often far smaller than recurrent ones; the coarser
    connection's exponent spares the finer one its bits. Neurons that share a convolution's weights share their scale.
    """
    unit = context.encoding.unit
    largest_steps = [
        c.per_neuron(np.abs(c.shared_rows).max(axis=1)) * unit(c.source) / limit for c in layer.connections
    ]
    coarsest = [float(steps.max()) for steps in largest_steps]
    finest = min((value for value in coarsest if value > 0), default=0.0)
    if finest == 0.0:
        return np.ones(layer.size), (0,) * len(largest_steps)
    exponents = tuple(max(0, math.floor(math.log2(value / finest))) if value > 0 else 0 for value in coarsest)
    scale = np.max([steps / 2.0**e for steps, e in zip(largest_steps, exponents, strict=True)], axis=0)
    block = math.lcm(*(c.neurons_per_row for c in layer.connections))
    scale = np.repeat(scale.reshape(-1, block).max(axis=1), block)
    floor = context.settings.scale_floor if context.target.per_neuron_parameters.value else 1.0
    scale = np.maximum(scale, floor * scale.max())
    return np.where(scale > 0, scale, scale.max()), exponents  # without a floor, a row of zeros takes any


def weight_steps(connection: LinearMap, plan: LayerPlan, m: int, encoding: InputEncoding) -> Float:
    """What one integer of each weight of the ``m``-th connection means; it broadcasts with the weights."""
    return np.asarray(connection.per_row(plan.scale) * 2.0 ** plan.exponents[m] / encoding.unit(connection.source))


def unshifted_lsbs(layer: Layer, plan: LayerPlan) -> tuple[Float, Float]:
    """LSBs of u and v but for 2^-f: the state that the current enters counts in the accumulator's unit."""
    lsb_u = plan.scale if layer.neuron.input_to == "dendrite" else plan.scale / plan.lsb_ratio
    return lsb_u, lsb_u * plan.lsb_ratio


def biases(layer: Layer, plan: LayerPlan) -> tuple[Float, Float]:
    """The layer's biases of u and v, with what the plan adds where the current enters."""
    n = layer.neuron
    if n.input_to == "dendrite":
        return n.bias_u + plan.bias * plan.bias_gain, n.bias_v
    return n.bias_u, n.bias_v + plan.bias


def width_utilization(layer: Layer, plan: LayerPlan, context: QuantizationContext) -> dict[str, Float]:
    """The share of its width that each kind of number takes at a shift of 0; each (neurons,).

    The states are those of calibration with headroom, or bounds.
    """
    layer = as_the_target_steps(layer, context.target)
    n, target, ranges = layer.neuron, context.target, context.ranges
    (max_u, max_v), (unit_u, unit_v) = ranges.max_abs[layer.name], unshifted_lsbs(layer, plan)
    bias_u, bias_v = biases(layer, plan)
    headroom = context.settings.headroom if ranges.calibrated else 1.0
    resets = np.maximum(np.abs(n.r_v), np.abs(n.v_reset))
    constants = np.maximum(np.abs(bias_v), np.abs(n.v0))
    needs = {
        "states": (np.maximum(max_u * headroom / unit_u, max_v * headroom / unit_v), target.state_bits.value, 1),
        "threshold": (np.abs(n.threshold) / unit_v, target.threshold_bits.value, unit_of(target, "threshold")),
        "resets": (np.maximum(np.abs(n.r_u) / unit_u, resets / unit_v), target.reset_bits.value, 1),
        "biases": (
            np.maximum(np.maximum(np.abs(bias_u), np.abs(n.u0)) / unit_u, constants / unit_v),
            target.bias_bits.value, unit_of(target, "bias_u"),
        ),
    }  # fmt: skip
    # one unit of room: a threshold is rounded up
    return {name: need / (max(2.0 ** (bits - 1) - 2, 1.0) * unit) for name, (need, bits, unit) in needs.items()}


def state_shift(layer: Layer, plan: LayerPlan, context: QuantizationContext) -> int:
    """f: the largest shift at which the calibrated states (with headroom) and every parameter fit their widths."""
    return largest_shift(float(max(share.max() for share in width_utilization(layer, plan, context).values())))


def largest_shift(load: float) -> int:
    """The largest shift at which a share of ``load`` still fits; `OverflowError` for what is beyond floats."""
    if not load < math.inf:
        raise OverflowError(f"{load:.3g}")
    return max(-SHIFT_LIMIT, min(SHIFT_LIMIT, math.floor(-math.log2(load)))) if load > 0 else 0


def rint(x: Float) -> Int:
    """Nearest integer, half to even, as int64; `OverflowError` for what int64 does not hold."""
    return whole_to_int64(np.rint(x))


def whole_to_int64(x: Float) -> Int:
    """Whole numbers of float64 as int64; `OverflowError` for what that does not hold."""
    largest = float(np.abs(x).max(initial=0.0))
    if not largest < MOST:
        raise OverflowError(f"{largest:.3g}")
    return x.astype(np.int64)
