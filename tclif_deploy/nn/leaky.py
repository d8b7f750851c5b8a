"""A leaky readout over whole sequences: v <- decay*v + i at every step, differentiable, compiled on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Leaky(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, decay: Tensor) -> Tensor:
        from tclif_deploy.nn.scan import leak  # here, so that reading a checkpoint does not load numba

        v = torch.empty_like(current)
        leak(current.detach().numpy(), decay.detach().numpy(), v.numpy())
        ctx.save_for_backward(decay, v)
        return v

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        from tclif_deploy.nn.scan import leak

        decay, v = ctx.saved_tensors
        # the way back is the same loop with time turned round
        current = torch.empty_like(v)
        leak(grads[0].flip(0).numpy(), decay.numpy(), current.numpy())
        current = current.flip(0)
        return current, (current[1:] * v[:-1]).sum((0, 1))


def leaky(current: Tensor, decay: Tensor) -> Tensor:
    """v (time, samples, outputs) after each step of v <- decay*v + current, from 0; ``decay`` (outputs,)."""
    if current.device.type == "cpu":
        out: Tensor = _Leaky.apply(current.contiguous(), decay.to(current.dtype))  # type: ignore[no-untyped-call]
        return out
    v, steps = torch.zeros_like(current[0]), []
    for i in current:
        v = decay * v + i
        steps.append(v)
    return torch.stack(steps)
