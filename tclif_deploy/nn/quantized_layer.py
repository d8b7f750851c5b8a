"""One layer that computes with integers on the way forward, and goes back through the float layer that they mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tclif_deploy.fixed import LAYER_ARRAYS, FixedLayer, FixedNetwork, Int
from tclif_deploy.network import Float
from tclif_deploy.nn import fixed_scan
from tclif_deploy.nn.fused import HALF_ONE, Source, array_of, layer_gradients


@dataclass(frozen=True, eq=False)
class LayerScan:
    """One layer's integers as its scan takes them, and what they mean to the float network on the way back."""

    weight: NDArray[Any]
    """integers (sources, neurons)"""
    recurrent: NDArray[Any]
    """integers (neurons, neurons) as (from, to), or of 0 rows"""
    numbers: tuple[Any, ...]
    """the scan's arguments from ``i_unit`` to ``v_reset``"""
    hard: bool
    lsb_v: Float
    input_unit: float
    """what one integer of the source means"""
    real_weight: Tensor
    real_recurrent: Tensor
    real_coefficients: tuple[Any, ...]
    """a_u, b_u, a_v, b_v, fire_at, r_u, r_v, v_reset of the float network, float32"""
    real_threshold: Any
    surrogate: str = "triangle"
    detached: bool = False

    def run(self, x: Tensor, potential: NDArray[Any], lsb: Float, spikes: Tensor) -> int:
        """Fill ``potential`` (soma times ``lsb``) and ``spikes`` (bfloat16); how many values left their range."""
        binary = x.dtype == torch.bfloat16
        integers = array_of(x) if binary else array_of(x).astype(np.int32)
        return int(
            fixed_scan.forward(
                integers, binary, self.weight, self.recurrent, *self.numbers, self.hard, lsb, HALF_ONE, potential,
                array_of(spikes),
            )
        )  # fmt: skip


def layer_scan(
    network: FixedNetwork,
    layer: FixedLayer,
    accumulator: type[np.signedinteger[Any]],
    surrogate: str,
    detached: bool,
) -> LayerScan:
    """What `LayerScan` holds of a layer of ``network``, its weights as integers of the type ``accumulator``."""
    m = network.arithmetic
    rounding_offset = {"toward_zero": None, "floor": 0.0, "nearest": 0.5}[m.rounding]
    state_limits = [
        float(2 ** (bits - 1) - 1) if overflow == "saturate" else (float(2 ** (bits - 1)), float(2**bits))
        for bits, overflow in ((m.bits_u, m.overflow_u), (m.bits_v, m.overflow_v))
    ]
    steps = [network.weight_step(layer, c) for c in layer.connections]
    weights = [
        (np.ascontiguousarray((c.weight << c.exponent).T, dtype=accumulator), torch.from_numpy(c.weight * step).float())
        for c, step in zip(layer.connections, steps, strict=True)
    ]
    if layer.connections[0].source == layer.name:
        weights.reverse()
    none = np.zeros((0, layer.size), accumulator), torch.zeros(0, layer.size)
    (weight, real_weight), (recurrent, real_recurrent) = weights[0], weights[1] if len(weights) > 1 else none

    def real64(values: Int) -> Float:
        return values.astype(np.float64)

    fire_at = real64(layer.threshold) if layer.spiking else np.full(layer.size, np.inf)
    couplings = tuple(getattr(layer, name) / m.one for name in ("a_u", "b_u", "a_v", "b_v"))
    numbers = (
        float(2.0**layer.shift), real64(layer.bias_u), *couplings, rounding_offset, *state_limits, fire_at,
        real64(layer.r_u), real64(layer.r_v), real64(layer.v_reset),
    )  # fmt: skip
    real_values = {name: network.to_real(layer, name) for name in LAYER_ARRAYS}
    real_values["fire_at"] = network.to_real(layer, "threshold", layer.threshold - 0.5)
    backward = ("a_u", "b_u", "a_v", "b_v", "fire_at", "r_u", "r_v", "v_reset")
    feed = next(c.source for c in layer.connections if c.source != layer.name)
    return LayerScan(
        weight, recurrent, numbers, layer.reset == "hard" and layer.spiking, layer.lsb_v,
        network.source_unit(feed), real_weight, real_recurrent,
        tuple(real_values[name].astype(np.float32) for name in backward),
        real_values["threshold"].astype(np.float32),
        surrogate, detached,
    )  # fmt: skip


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        recurrent: Tensor | None,
        b_u: Tensor | None,
        a_v: Tensor | None,
        b_v: Tensor | None,
        r_u: Tensor | None,
        gain: Tensor,
        scan: LayerScan,
        count_overflows: Callable[[int], None],
        source: Source | None,
    ) -> tuple[Tensor, Tensor]:
        x = x.contiguous()
        spikes = torch.empty(*x.shape[:2], len(weight), dtype=torch.bfloat16)
        potential = torch.empty(spikes.shape, dtype=torch.float32)
        count_overflows(scan.run(x, potential.numpy(), scan.lsb_v, spikes))
        ctx.save_for_backward(x, potential, spikes, source and source.potential)
        ctx.scan, ctx.source = scan, source and source[1:]
        ctx.shapes = [None if value is None else value.shape for value in (b_u, a_v, b_v, r_u, gain)]
        ctx.mark_non_differentiable(potential)
        ctx.set_materialize_grads(False)  # or the potential's would be made, of zeros
        return spikes, potential

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, potential, spikes, below = ctx.saved_tensors
        scan: LayerScan = ctx.scan
        _, bias, recurrent = ctx.needs_input_grad[1:4]
        g = layer_gradients(
            x, scan.real_weight, scan.real_recurrent, scan.real_coefficients, scan.hard, scan.real_threshold,
            scan.detached, scan.surrogate, potential, spikes, grads[0], want_input=ctx.needs_input_grad[0],
            source=None if below is None else Source(below, *ctx.source), want_gain=True,
            want_r_u=ctx.shapes[3] is not None,
        )  # fmt: skip
        numbers = (g.b_u, g.a_v, g.b_v / torch.as_tensor(scan.real_coefficients[3]), g.r_u, g.gain)
        learned = (
            None if shape is None else one.sum().expand(shape) if shape.numel() == 1 else one
            for one, shape in zip(numbers, ctx.shapes, strict=True)
        )  # fmt: skip
        return (
            g.x, g.weight * scan.input_unit, g.bias if bias else None, g.recurrent if recurrent else None, *learned,
            None, None, None,
        )  # fmt: skip


class LearnedNumbers(NamedTuple):
    """A layer's masters of (1,) or (neurons,) as the float network has them; None: this number is not learned."""

    b_u: Tensor | None = None
    a_v: Tensor | None = None
    b_v: Tensor | None = None
    r_u: Tensor | None = None
    """what a soft reset takes from the dendrite"""


def quantized_layer(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    recurrent: Tensor | None,
    numbers: LearnedNumbers,
    gain: Tensor,
    scan: LayerScan,
    count_overflows: Callable[[int], None],
    source: Source | None = None,
) -> tuple[Tensor, Source]:
    """Spikes (time, samples, neurons), bfloat16, of the integers ``scan`` driven by ``x`` (time, samples, sources); and
    the layer as the next one's source, as ``source`` is of ``x``.

    All other tensors are masters, which only gradients reach; ``gain`` (neurons,) or (1,) is of threshold and resets.
    ``count_overflows`` is called with how many values left their state's range.
    """
    spikes, potential = _Layer.apply(  # type: ignore[no-untyped-call]
        x, weight, bias, recurrent, *numbers, gain, scan, count_overflows, source
    )
    return spikes, Source(potential, scan.real_threshold, scan.surrogate)


class _StraightThrough(torch.autograd.Function):
    """The value of ``exact`` with the gradient of ``smooth``."""

    @staticmethod
    def forward(ctx: Any, smooth: Tensor, exact: Tensor) -> Tensor:
        return exact

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


def straight_through(smooth: Tensor, exact: Tensor) -> Tensor:
    """``exact``, differentiated as if it were ``smooth``."""
    out: Tensor = _StraightThrough.apply(smooth, exact.to(smooth.dtype))  # type: ignore[no-untyped-call]
    return out
