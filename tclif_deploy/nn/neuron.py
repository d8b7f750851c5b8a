"""The TC-LIF neuron and its recurrent container as torch modules, one step a call.

They keep the conventions and the parameter names of the paper's authors (reset at the end of the step,
``decay_factor``, ``hid_weight``, ``sub_module``), so weights move between their code and ours by name.
Unlike theirs, every neuron owns its betas: modules never share the storage of ``decay_factor``.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from tclif_deploy.errors import TclifError


class _Spike(torch.autograd.Function):
    """Step function of v - threshold with the triangle surrogate max(1 - |x|, 0) (paper, Eq. 21)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strict: bool) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0 if strict else x >= 0).to(x)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad[0] * (1 - x.abs()).clamp(min=0), None


class TCLIF(torch.nn.Module):
    """Two-compartment LIF: one call is one step, the state stays in the module until `reset_state`.

    With dendrite u, soma v and input current x of shape ``(batch, neurons)``::

        u <- u - sigmoid(c1)*v + x
        v <- v + sigmoid(c2)*u                  (the new u)
        s <- v >= threshold                     (v > threshold where ``strict``)
        soft reset:  u <- u - gamma*s ;  v <- v - threshold*s
        hard reset:  v <- v_reset where s, u untouched

    Parameters
    ----------
    threshold : float
        Firing threshold of the soma.
    gamma : float
        What a spike takes from the dendrite (soft reset only).
    decay_factor : Tensor, optional
        Initial (c1, c2) of shape ``(1, 2)`` for the whole layer or ``(neurons, 2)``; zeros by default. Copied.
    strict : bool
        Fire at v > threshold (what the authors' ``--sg gau`` does) instead of v >= threshold.
    reset : {"soft", "hard"}
    v_reset : float
        The soma after a hard reset.

    Examples
    --------
    >>> neuron = TCLIF(threshold=1.0, gamma=0.5)
    >>> [int(neuron(torch.tensor([[0.9]])).item()) for _ in range(4)]
    [0, 1, 1, 1]
    """

    def __init__(
        self,
        threshold: float = 1.0,
        gamma: float = 0.5,
        *,
        decay_factor: Tensor | None = None,
        strict: bool = False,
        reset: Literal["soft", "hard"] = "soft",
        v_reset: float = 0.0,
    ) -> None:
        super().__init__()
        initial = torch.zeros(1, 2) if decay_factor is None else decay_factor.detach().clone()
        if initial.ndim != 2 or initial.shape[1] != 2 or not initial.is_floating_point():
            raise TclifError(
                f"TCLIF: decay_factor is {initial.dtype} of shape {tuple(initial.shape)}",
                "expected floats of shape (1, 2) or (neurons, 2)",
            )
        if not 0 < threshold < float("inf"):
            raise TclifError(f"TCLIF: threshold is {threshold}", "a threshold must be a positive number")
        if reset not in ("soft", "hard"):
            raise TclifError(f"TCLIF: reset is {reset!r}", "soft or hard")
        self.decay_factor = torch.nn.Parameter(initial)
        self.threshold = threshold
        self.gamma = gamma
        self.strict = strict
        self.reset = reset
        self.v_reset = v_reset
        self.u: Tensor | None = None
        self.v: Tensor | None = None

    def reset_state(self) -> None:
        """Forget u and v: the next call starts a new sequence."""
        self.u = self.v = None

    def forward(self, x: Tensor) -> Tensor:
        """Spikes (0 or 1, dtype of ``x``) of one step of input current ``x``, shape ``(batch, neurons)``."""
        u, v = self.u, self.v
        if u is None or v is None:
            u = v = torch.zeros_like(x)
        elif u.shape != x.shape:
            raise TclifError(
                f"TCLIF: the input has shape {tuple(x.shape)}, the state {tuple(u.shape)}",
                "call reset_states(model) between sequences",
            )
        beta = torch.sigmoid(self.decay_factor)
        u = u - beta[:, 0] * v + x
        v = v + beta[:, 1] * u
        spikes: Tensor = _Spike.apply(v - self.threshold, self.strict)  # type: ignore[no-untyped-call]
        if self.reset == "soft":
            u, v = u - spikes * self.gamma, v - spikes * self.threshold
        else:
            v = (1 - spikes) * v + spikes * self.v_reset
        self.u, self.v = u, v
        return spikes

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        comparator = ">" if self.strict else ">="
        return f"threshold={self.threshold}, gamma={self.gamma}, comparator='{comparator}', reset='{self.reset}'"


class Recurrent(torch.nn.Module):
    """A spiking module whose own spikes of the step before come back through ``hid_weight``.

    ``y[t] = sub_module(hid_weight(y[t-1]) + x[t])`` with ``y[-1] = 0``, so that ``hid_weight``'s bias acts
    from the first step (the authors' ``RecurrentContainer``).

    Examples
    --------
    >>> layer = Recurrent(TCLIF(), size=3)
    >>> layer(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """

    def __init__(self, sub_module: torch.nn.Module, size: int, *, bias: bool = True) -> None:
        super().__init__()
        self.hid_weight = torch.nn.Linear(size, size, bias)
        self.sub_module = sub_module
        self.y: Tensor | None = None

    def reset_state(self) -> None:
        """Forget the last spikes (the inner module's state is reset by `reset_states`)."""
        self.y = None

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of one step of input current ``x``, shape ``(batch, neurons)``."""
        y = torch.zeros_like(x) if self.y is None else self.y
        spikes: Tensor = self.sub_module(self.hid_weight(y) + x)
        self.y = spikes
        return spikes


def reset_states(module: torch.nn.Module) -> None:
    """Call ``reset_state()`` of ``module`` and of every module in it that has one."""
    for part in module.modules():
        reset = getattr(part, "reset_state", None)
        if callable(reset):
            reset()
