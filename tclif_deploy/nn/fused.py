"""One spiking layer over whole sequences as a single differentiable operation on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tclif_deploy.errors import TclifError
from tclif_deploy.nn import scan
from tclif_deploy.nn.canonical import Coefficients
from tclif_deploy.nn.surrogate import CODES

HALF_ONE = np.uint16(0x3F80)
"""1 as bfloat16's bits"""


def array_of(x: Tensor) -> NDArray[Any]:
    """The tensor's memory as numpy sees it, bfloat16 as its uint16 bits."""
    x = x.detach()
    return x.view(torch.int16).numpy().view(np.uint16) if x.dtype == torch.bfloat16 else x.numpy()


def _one_step_if_all_equal(grad: Tensor) -> Tensor:
    """A gradient (time, samples, neurons) that is the same at every step (a sum over time's) as one step."""
    return (grad[:1] if grad.stride(0) == 0 else grad).contiguous()


class _Count(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.shape, ctx.dtype = spikes.shape, spikes.dtype
        counts = torch.zeros(spikes.shape[1:], dtype=dtype)
        scan.count(array_of(spikes.contiguous()), array_of(counts))
        return counts

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0].to(ctx.dtype).expand(ctx.shape), None


def spike_counts(spikes: Tensor, dtype: torch.dtype) -> Tensor:
    """Sum over time of ``spikes`` (time, samples, neurons), each 0 or 1, on the CPU; its gradient takes no memory."""
    out: Tensor = _Count.apply(spikes, dtype)  # type: ignore[no-untyped-call]
    return out


class Source(NamedTuple):
    """The layer whose spikes an input is. Where its surrogate is 0, what comes down to the spikes would be lost: those
    gradients stay 0, and are no work."""

    potential: Tensor
    """somas before their resets, (time, samples, neurons)"""
    threshold: Any
    """a scalar or (neurons,), of the potential's dtype"""
    surrogate: str


@dataclass(frozen=True)
class Gradients:
    """What one layer's parameters and its input are to be moved by."""

    x: Tensor | None
    weight: Tensor
    recurrent: Tensor
    bias: Tensor
    b_u: Tensor
    """coefficients' gradients are (neurons,)"""
    a_v: Tensor
    b_v: Tensor
    """multiplied by b_v"""
    gain: Tensor
    """of a factor of a neuron's threshold and resets together; empty where not wanted"""
    r_u: Tensor
    """of what a soft reset takes from the dendrite; empty where not wanted"""


def layer_gradients(
    x: Tensor,
    weight: Tensor,
    back: Tensor,
    coefficients: tuple[Any, ...],
    hard: bool,
    threshold: Any,
    detached: bool,
    surrogate: str,
    potential: Tensor,
    spikes: Tensor,
    grad: Tensor,
    *,
    want_input: bool,
    source: Source | None = None,
    want_gain: bool = False,
    want_r_u: bool = False,
) -> Gradients:
    """The way back through a layer, from the gradient ``grad`` of its spikes.

    ``coefficients`` are a_u, b_u, a_v, b_v, fire_at, r_u, r_v and v_reset as `scan.forward` takes them; ``back``
    (neurons, neurons) as in `torch.nn.Linear`, or of 0 rows; ``source`` is the layer that ``x`` comes from.
    """
    neurons, sources = weight.shape
    g_x = x.new_empty(len(x) if want_input else 0, *x.shape[1:])
    if source is None:
        source = Source(potential.new_empty(0, *x.shape[1:]), threshold, surrogate)
    g_weight = weight.new_zeros(sources, neurons)
    g_back = torch.zeros_like(back)
    g_bias, g_b_u, g_a_v, g_b_v = (weight.new_zeros(neurons) for _ in range(4))
    g_gain, g_r_u = (weight.new_zeros(neurons if wanted else 0) for wanted in (want_gain, want_r_u))
    scan.backward(
        array_of(x), x.dtype == torch.bfloat16, _from_to(weight), _from_to(back), *coefficients, hard, threshold,
        detached, CODES[surrogate], array_of(potential), array_of(spikes), array_of(_one_step_if_all_equal(grad)),
        array_of(source.potential), source.threshold, CODES[source.surrogate],
        *(array_of(g) for g in (g_x, g_weight, g_back, g_bias, g_b_u, g_a_v, g_b_v, g_gain, g_r_u)),
    )  # fmt: skip
    given = g_x if want_input else None
    return Gradients(given, g_weight.t(), g_back.t(), g_bias, g_b_u, g_a_v, g_b_v, g_gain, g_r_u)


def _from_to(weight: Tensor) -> NDArray[Any]:
    """Weights as in `torch.nn.Linear`, or of 0 rows, as the loops read them: a row for each source."""
    return array_of(weight if len(weight) == 0 else weight.detach().t().contiguous())


def _coefficient(value: Tensor, dtype: torch.dtype) -> Any:
    """A neuron's number as the loops take it: a scalar where the layer shares it."""
    array = array_of(value.detach().to(dtype).contiguous())
    return array.reshape(-1)[0] if array.size == 1 else array


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        recurrent: Tensor | None,
        b_u: Tensor,
        a_v: Tensor,
        b_v: Tensor,
        fixed: Coefficients,
        spike_dtype: torch.dtype,
        source: Source | None,
    ) -> tuple[Tensor, Tensor]:
        neurons, dtype = weight.shape[0], weight.dtype

        coefficient = partial(_coefficient, dtype=dtype)
        x = x.contiguous()
        spikes = torch.empty(*x.shape[:2], neurons, dtype=spike_dtype)
        potential = torch.empty(*x.shape[:2], neurons, dtype=dtype)
        back = weight.new_empty(0, neurons) if recurrent is None else recurrent.detach().contiguous()
        threshold = coefficient(fixed.threshold)
        fire_at = np.nextafter(threshold, threshold.dtype.type(np.inf)) if fixed.strict else threshold
        states = map(coefficient, (fixed.a_u, b_u, a_v, b_v))
        resets = map(coefficient, (fixed.r_u, fixed.r_v, fixed.v_reset))
        coefficients = (*states, fire_at, *resets)
        one = HALF_ONE if spike_dtype == torch.bfloat16 else threshold.dtype.type(1)
        scan.forward(
            array_of(x), x.dtype == torch.bfloat16, _from_to(weight), _from_to(back), array_of(bias.contiguous()),
            *coefficients, fixed.hard, one, array_of(potential), array_of(spikes),
        )  # fmt: skip
        ctx.save_for_backward(x, weight, back, potential, spikes, source and source.potential)
        ctx.fixed, ctx.coefficients, ctx.threshold = fixed, coefficients, threshold
        ctx.shapes = b_u.shape, a_v.shape, b_v.shape
        ctx.b_v = b_v.detach()
        ctx.source = source and source[1:]
        ctx.mark_non_differentiable(potential)
        ctx.set_materialize_grads(False)  # or the potential's would be made, of zeros
        return spikes, potential

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, back, potential, spikes, below = ctx.saved_tensors
        g = layer_gradients(
            x, weight, back, ctx.coefficients, ctx.fixed.hard, ctx.threshold, ctx.fixed.detached, ctx.fixed.surrogate,
            potential, spikes, grads[0], want_input=ctx.needs_input_grad[0],
            source=None if below is None else Source(below, *ctx.source),
        )  # fmt: skip
        shared = (g.b_u, g.a_v, g.b_v / ctx.b_v)  # the loops leave the division by b_v to us
        learned = (
            one.sum().expand(shape) if shape.numel() == 1 else one
            for one, shape in zip(shared, ctx.shapes, strict=True)
        )
        return g.x, g.weight, g.bias, g.recurrent if len(back) else None, *learned, None, None, None


def fused_layer(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    recurrent: Tensor | None,
    neuron: Coefficients,
    *,
    dtype: torch.dtype | None = None,
    source: Source | None = None,
) -> tuple[Tensor, Source]:
    """Spikes (time, samples, neurons) of a layer driven by ``x`` (time, samples, sources); and it as a source of the
    next layer's, as ``source`` is of ``x``.

    ``weight`` (neurons, sources), float32 or float64, and ``recurrent`` (neurons, neurons) as in `torch.nn.Linear`;
    ``bias`` holds the recurrent bias too. Spikes have the weights' dtype, or bfloat16 where ``dtype`` says so: they
    lose nothing (they are 0 or 1, and sums stay in the weights' dtype), and gradients from layer to layer keep 8
    bits of mantissa at half the memory. A bfloat16 ``x`` must hold spikes.

    Raises `TclifError` where a threshold is not positive or b_v is 0 (states are recomputed through both).
    """
    if weight.dtype not in (torch.float32, torch.float64) or (
        dtype == torch.bfloat16 and weight.dtype == torch.float64
    ):
        raise TclifError(f"fused layer: weights are {weight.dtype}, spikes {dtype}", "use float32 or float64 weights")
    if x.dtype != torch.bfloat16:
        x = x.to(weight.dtype)
    if bool((neuron.threshold <= 0).any()) or bool((neuron.b_v == 0).any()):
        raise TclifError("fused layer: a threshold <= 0 or a b_v of 0", "train such a neuron with canonical.loop")
    learned = (neuron.b_u, neuron.a_v, neuron.b_v)
    spikes, potential = _Fused.apply(  # type: ignore[no-untyped-call]
        x, weight, bias, recurrent, *learned, neuron, dtype or weight.dtype, source
    )
    return spikes, Source(potential, _coefficient(neuron.threshold, weight.dtype), neuron.surrogate)
