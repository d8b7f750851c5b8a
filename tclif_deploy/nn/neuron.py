"""TC-LIF, LIF, PLIF and the recurrent container as torch modules, one step a call.

They keep the conventions and the parameter names of the paper's authors (reset at the end of the step,
``decay_factor``, ``w``, ``hid_weight``, ``sub_module``), so weights move between their code and ours by name.
Unlike theirs, every neuron owns its betas: modules never share the storage of ``decay_factor``.
`tclif_deploy.nn.sequence` runs the same modules over whole sequences, which is how to train them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor

from tclif_deploy.errors import TclifError
from tclif_deploy.nn.canonical import Coefficients, step
from tclif_deploy.nn.surrogate import check_surrogate

Reset = Literal["soft", "hard"]


class SpikingNeuron(torch.nn.Module, ABC):
    """What every neuron shares: how it fires and resets, and a state that lives between calls.

    Parameters
    ----------
    threshold : float
        Firing threshold of the soma.
    strict : bool
        Fire at v > threshold (what the authors' ``--sg gau`` does) instead of v >= threshold.
    reset : {"soft", "hard"}
        Take the threshold off the soma, or set it to ``v_reset``.
    v_reset : float
        The soma after a hard reset.
    detach_reset : bool
        Let no gradient through the reset.
    surrogate : str
        A name of `tclif_deploy.nn.surrogate`.
    """

    def __init__(
        self,
        threshold: float = 1.0,
        *,
        strict: bool = False,
        reset: Reset = "soft",
        v_reset: float = 0.0,
        detach_reset: bool = False,
        surrogate: str = "triangle",
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not 0 < threshold < float("inf"):
            raise TclifError(f"{name}: threshold is {threshold}", "a threshold must be a positive number")
        if reset not in ("soft", "hard"):
            raise TclifError(f"{name}: reset is {reset!r}", "soft or hard")
        self.threshold = threshold
        self.strict = strict
        self.reset = reset
        self.v_reset = v_reset
        self.detach_reset = detach_reset
        self.surrogate = check_surrogate(surrogate)
        self.u: Tensor | None = None
        self.v: Tensor | None = None

    @abstractmethod
    def coefficients(self, like: Tensor) -> Coefficients:
        """This population as the canonical neuron, with the dtype and on the device of ``like``."""

    def _canonical(self, like: Tensor, a_u: float, b_u: Tensor, a_v: Tensor, b_v: Tensor, gamma: float) -> Coefficients:
        def constant(value: float) -> Tensor:
            return torch.full((1,), value, dtype=like.dtype, device=like.device)

        hard = self.reset == "hard"
        return Coefficients(
            constant(a_u), b_u, a_v, b_v, constant(self.threshold), constant(0.0 if hard else gamma),
            constant(0.0 if hard else self.threshold), constant(self.v_reset if hard else 0.0),
            hard, self.strict, self.detach_reset, self.surrogate,
        )  # fmt: skip

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
                f"{type(self).__name__}: the input has shape {tuple(x.shape)}, the state {tuple(u.shape)}",
                "call reset_states(model) between sequences",
            )
        self.u, self.v, spikes = step(self.coefficients(x), u, v, x)
        return spikes

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        return f"threshold={self.threshold}, comparator='{'>' if self.strict else '>='}', reset='{self.reset}'"


class TCLIF(SpikingNeuron):
    """Two-compartment LIF: one call is one step, the state stays in the module until `reset_state`.

    With dendrite u, soma v and input current x of shape ``(batch, neurons)``::

        u <- u - sigmoid(c1)*v + x
        v <- v + sigmoid(c2)*u                  (the new u)
        s <- v >= threshold                     (v > threshold where ``strict``)
        soft reset:  u <- u - gamma*s ;  v <- v - threshold*s
        hard reset:  v <- v_reset where s, u untouched

    Parameters
    ----------
    gamma : float
        What a spike takes from the dendrite (soft reset only).
    decay_factor : Tensor, optional
        Initial (c1, c2) of shape ``(1, 2)`` for the whole layer or ``(neurons, 2)``; zeros by default. Copied.

    The other parameters are `SpikingNeuron`'s.

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
        reset: Reset = "soft",
        v_reset: float = 0.0,
        detach_reset: bool = False,
        surrogate: str = "triangle",
    ) -> None:
        super().__init__(
            threshold, strict=strict, reset=reset, v_reset=v_reset, detach_reset=detach_reset, surrogate=surrogate
        )
        initial = torch.zeros(1, 2) if decay_factor is None else decay_factor.detach().clone()
        if initial.ndim != 2 or initial.shape[1] != 2 or not initial.is_floating_point():
            raise TclifError(
                f"TCLIF: decay_factor is {initial.dtype} of shape {tuple(initial.shape)}",
                "expected floats of shape (1, 2) or (neurons, 2)",
            )
        self.decay_factor = torch.nn.Parameter(initial)
        self.gamma = gamma

    def coefficients(self, like: Tensor) -> Coefficients:
        """beta1 = -sigmoid(c1) couples soma to dendrite, beta2 = sigmoid(c2) dendrite to soma."""
        beta = torch.sigmoid(self.decay_factor)
        one = torch.ones(1, dtype=like.dtype, device=like.device)
        return self._canonical(like, 1.0, -beta[:, 0], one, beta[:, 1], self.gamma)

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        return f"{super().extra_repr()}, gamma={self.gamma}"


class LIF(SpikingNeuron):
    """Leaky integrate and fire, v <- decay*v + x; the authors' decay is 0.8, and is not learned.

    Examples
    --------
    >>> neuron = LIF(threshold=1.0, decay=0.8)
    >>> [int(neuron(torch.tensor([[0.6]])).item()) for _ in range(3)]
    [0, 1, 0]
    """

    def __init__(
        self,
        threshold: float = 1.0,
        decay: float = 0.8,
        *,
        strict: bool = False,
        reset: Reset = "soft",
        v_reset: float = 0.0,
        detach_reset: bool = False,
        surrogate: str = "triangle",
    ) -> None:
        super().__init__(
            threshold, strict=strict, reset=reset, v_reset=v_reset, detach_reset=detach_reset, surrogate=surrogate
        )
        self.decay = decay

    def coefficients(self, like: Tensor) -> Coefficients:
        """a_v = decay, b_v = 1, no memory in the dendrite."""
        one = torch.ones(1, dtype=like.dtype, device=like.device)
        return self._canonical(like, 0.0, 0 * one, self.decay * one, one, 0.0)

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        return f"{super().extra_repr()}, decay={self.decay}"


class PLIF(SpikingNeuron):
    """LIF that learns its decay: v <- (1 - sigmoid(w))*v + x, or + sigmoid(w)*x where ``decay_input``.

    The authors' default is a hard reset to 0 and w = -1.4 (decay 0.80).

    Examples
    --------
    >>> round(PLIF().coefficients(torch.zeros(1)).a_v.item(), 3)
    0.802
    """

    def __init__(
        self,
        threshold: float = 1.0,
        w: float = -1.4,
        *,
        decay_input: bool = False,
        strict: bool = False,
        reset: Reset = "hard",
        v_reset: float = 0.0,
        detach_reset: bool = False,
        surrogate: str = "triangle",
    ) -> None:
        super().__init__(
            threshold, strict=strict, reset=reset, v_reset=v_reset, detach_reset=detach_reset, surrogate=surrogate
        )
        self.w = torch.nn.Parameter(torch.tensor(w))
        self.decay_input = decay_input

    def coefficients(self, like: Tensor) -> Coefficients:
        """a_v = 1 - sigmoid(w), b_v = 1 or sigmoid(w), no memory in the dendrite."""
        rate = torch.sigmoid(self.w).reshape(1)
        one = torch.ones(1, dtype=like.dtype, device=like.device)
        return self._canonical(like, 0.0, 0 * one, 1 - rate, rate if self.decay_input else one, 0.0)

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        return f"{super().extra_repr()}, decay_input={self.decay_input}"


class LeakyReadout(torch.nn.Module):
    """The last Linear's neurons where they forget: v <- (1 - sigmoid(leak))*v + x, without spikes.

    What a network says after each step is then of the steps just before it; without this module the last Linear's
    neurons are the sum over all steps.

    Parameters
    ----------
    size : int
        Number of outputs.
    decay : float
        Initial share of v that a step keeps, above 0 and below 1. ``leak`` (size,), which is learned, begins with it.

    Examples
    --------
    >>> readout = LeakyReadout(1, decay=0.5)
    >>> [round(readout(torch.ones(1, 1)).item(), 4) for _ in range(3)]
    [1.0, 1.5, 1.75]
    """

    def __init__(self, size: int, decay: float = 0.9) -> None:
        super().__init__()
        if not 0 < decay < 1:
            raise TclifError(f"LeakyReadout: decay is {decay}", "above 0 and below 1; a sum needs no such module")
        self.leak = torch.nn.Parameter(torch.full((size,), math.log((1 - decay) / decay)))
        self.v: Tensor | None = None

    @property
    def decay(self) -> Tensor:
        """The share of v that a step keeps, (size,)."""
        return torch.sigmoid(-self.leak)

    def reset_state(self) -> None:
        """Forget v: the next call starts a new sequence."""
        self.v = None

    def forward(self, x: Tensor) -> Tensor:
        """v after one step of input current ``x``, shape ``(batch, size)``."""
        self.v = x if self.v is None else self.decay * self.v + x
        return self.v

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        return f"size={len(self.leak)}"


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
    for child in module.modules():
        reset = getattr(child, "reset_state", None)
        if callable(reset):
            reset()
