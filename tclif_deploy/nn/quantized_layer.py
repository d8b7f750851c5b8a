"""One layer that computes with integers on the way forward, and goes back through the float layer that they mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tclif_deploy.network import Float
from tclif_deploy.nn import fixed_scan
from tclif_deploy.nn.fused import HALF_ONE, array_of, layer_gradients


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


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        recurrent: Tensor | None,
        b_u: Tensor | None,
        b_v: Tensor | None,
        gain: Tensor,
        scan: LayerScan,
        count_overflows: Callable[[int], None],
    ) -> Tensor:
        x = x.contiguous()
        spikes = torch.empty(*x.shape[:2], len(weight), dtype=torch.bfloat16)
        potential = torch.empty(spikes.shape, dtype=torch.float32)
        count_overflows(scan.run(x, potential.numpy(), scan.lsb_v, spikes))
        ctx.save_for_backward(x, potential, spikes)
        ctx.scan = scan
        ctx.shapes = [None if b is None else b.shape for b in (b_u, b_v)]
        return spikes

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, potential, spikes = ctx.saved_tensors
        scan: LayerScan = ctx.scan
        _, bias, recurrent = ctx.needs_input_grad[1:4]
        g = layer_gradients(
            x, scan.real_weight, scan.real_recurrent, scan.real_coefficients, scan.hard, scan.real_threshold,
            scan.detached, scan.surrogate, potential, spikes, grads[0], want_input=ctx.needs_input_grad[0],
            want_gain=True,
        )  # fmt: skip
        couplings = (g.b_u, g.b_v / torch.as_tensor(scan.real_coefficients[3]))
        learned = (
            None if shape is None else one.sum().expand(shape) if shape.numel() == 1 else one
            for one, shape in zip(couplings, ctx.shapes, strict=True)
        )  # fmt: skip
        return (
            g.x, g.weight * scan.input_unit, g.bias if bias else None, g.recurrent if recurrent else None, *learned,
            g.gain, None, None,
        )  # fmt: skip


def quantized_layer(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    recurrent: Tensor | None,
    couplings: tuple[Tensor, Tensor] | None,
    gain: Tensor,
    scan: LayerScan,
    count_overflows: Callable[[int], None],
) -> Tensor:
    """Spikes (time, samples, neurons), bfloat16, of the integers ``scan`` driven by ``x`` (time, samples, sources).

    All other tensors are masters, which only gradients reach: ``couplings`` b_u and b_v, where they are learned, and
    ``gain`` (neurons,) of threshold and resets. ``count_overflows`` is called with how many values left their state's
    range.
    """
    b_u, b_v = couplings or (None, None)
    out: Tensor = _Layer.apply(x, weight, bias, recurrent, b_u, b_v, gain, scan, count_overflows)  # type: ignore[no-untyped-call]
    return out


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
