"""The canonical neuron (`tclif_deploy.network`) in torch: coefficients, one step, and a plain loop over time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tclif_deploy.nn.surrogate import spike


@dataclass(frozen=True)
class Coefficients:
    """One population's coefficients, each broadcastable to (neurons,); b_u, a_v and b_v may be learned.

    ::

        u <- a_u*u + b_u*v + i ;  v <- a_v*v + b_v*u ;  s <- v >= threshold (> where ``strict``)
        soft reset:  u <- u - r_u*s ,  v <- v - r_v*s       hard reset:  v <- v_reset where s
    """

    a_u: Tensor
    b_u: Tensor
    a_v: Tensor
    b_v: Tensor
    threshold: Tensor
    r_u: Tensor
    r_v: Tensor
    v_reset: Tensor
    hard: bool = False
    strict: bool = False
    detached: bool = False
    """no gradient through the reset"""
    surrogate: str = "triangle"


def step(c: Coefficients, u: Tensor, v: Tensor, i: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One step of states and current (samples, neurons): (u, v, spikes), states after the reset."""
    u = c.a_u * u + c.b_u * v + i
    v = c.a_v * v + c.b_v * u
    s = spike(v - c.threshold, c.strict, c.surrogate)
    reset = s.detach() if c.detached else s
    if c.hard:
        return u, (1 - reset) * v + reset * c.v_reset, s
    return u - c.r_u * reset, v - c.r_v * reset, s


def loop(
    x: Tensor, weight: Tensor, bias: Tensor, recurrent: Tensor | None, c: Coefficients, dtype: torch.dtype | None = None
) -> Tensor:
    """Spikes (time, samples, neurons) of a layer driven by ``x`` (time, samples, sources), by torch operations.

    One product makes all input currents; the time steps inside the layer are a loop under autograd. Runs on any
    device; the way on CPU is `tclif_deploy.nn.fused`.
    """
    current = torch.nn.functional.linear(x.to(weight.dtype), weight, bias)
    u = v = s = torch.zeros_like(current[0])
    out = []
    for t in range(len(current)):
        i = current[t] if recurrent is None or t == 0 else current[t] + s @ recurrent.t()
        u, v, s = step(c, u, v, i)
        out.append(s)
    return torch.stack(out).to(dtype or weight.dtype)
