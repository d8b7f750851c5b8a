"""Neuron types as named constructors of the canonical neuron.

Conventions (reset before or after the comparison is used, soft or hard, > or >=) are folded into
coefficients here, once, and never seen again. Parameters are scalars or arrays of shape ``(neurons,)``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tclif_deploy.errors import TclifError
from tclif_deploy.network import NEURON_ARRAYS, Float, InputTo, Neuron, Reset


def sigmoid(x: ArrayLike) -> Float:
    """Logistic function in float64, stable for large |x|."""
    x = np.asarray(x, dtype=np.float64)
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, e) / (1.0 + e), dtype=np.float64)


def canonical(
    size: int,
    type: str,
    *,
    strict: bool = False,
    reset: Reset = "soft",
    input_to: InputTo = "dendrite",
    spiking: bool = True,
    **coefficients: ArrayLike,
) -> Neuron:
    """A `Neuron` of ``size`` neurons; a coefficient not named is 0, a scalar serves all neurons."""
    unknown = set(coefficients) - set(NEURON_ARRAYS)
    if unknown:
        raise TypeError(f"no such coefficient: {', '.join(sorted(unknown))}")
    arrays = {}
    for name in NEURON_ARRAYS:
        value = np.asarray(coefficients.get(name, 0.0), dtype=np.float64)
        if value.ndim == 0 or value.size == 1:
            value = np.full(size, value.reshape(()))
        if value.shape != (size,):
            raise TclifError(f"neuron {type}: {name} has shape {value.shape}, expected ({size},) or a scalar")
        arrays[name] = np.array(value)
    return Neuron(**arrays, strict=strict, reset=reset, input_to=input_to, spiking=spiking, type=type)


def _positive_threshold(type: str, threshold: ArrayLike) -> Float:
    value = np.asarray(threshold, dtype=np.float64)
    if not np.isfinite(value).all() or (value <= 0).any():
        raise TclifError(f"neuron {type}: threshold is {value.min()}", "a threshold must be a positive number")
    return value


def tclif(
    size: int,
    *,
    c1: ArrayLike,
    c2: ArrayLike,
    gamma: ArrayLike,
    threshold: ArrayLike,
    strict: bool = False,
    reset: Reset = "soft",
    v_reset: ArrayLike = 0.0,
    literal: bool = False,
    bias: ArrayLike = 0.0,
) -> Neuron:
    """TC-LIF (Zhang et al., AAAI 2024): beta1 = -sigmoid(c1), beta2 = sigmoid(c2).

    ``literal`` reads Eq. 10-12 to the letter (the dendrite sees U_S[t-1] *before* its reset, so the reset
    adds beta1*threshold); otherwise the reset is applied at the end of the step, as in the authors' code.
    """
    theta = _positive_threshold("tclif", threshold)
    if literal and reset == "hard":
        raise TclifError("neuron tclif: a hard reset with the literal equations is not defined", "use reset soft")
    r_u = np.asarray(gamma, dtype=np.float64) + (sigmoid(c1) * theta if literal else 0.0)
    return canonical(
        size, "tclif", a_u=1.0, b_u=-sigmoid(c1), a_v=1.0, b_v=sigmoid(c2), threshold=theta,
        r_u=0.0 if reset == "hard" else r_u, r_v=0.0 if reset == "hard" else theta,
        v_reset=v_reset if reset == "hard" else 0.0,
        bias_u=bias, strict=strict, reset=reset,
    )  # fmt: skip


def lif(
    size: int,
    *,
    decay: ArrayLike,
    threshold: ArrayLike,
    strict: bool = False,
    reset: Reset = "soft",
    v_reset: ArrayLike = 0.0,
    bias: ArrayLike = 0.0,
) -> Neuron:
    """LIF as the authors run it: v <- decay*v + i, then compare, then reset."""
    theta = _positive_threshold("lif", threshold)
    return canonical(
        size, "lif", a_v=decay, b_v=1.0, threshold=theta,
        r_v=0.0 if reset == "hard" else theta, v_reset=v_reset if reset == "hard" else 0.0,
        bias_u=bias, strict=strict, reset=reset,
    )  # fmt: skip


def plif(
    size: int,
    *,
    w: ArrayLike,
    threshold: ArrayLike,
    strict: bool = False,
    reset: Reset = "hard",
    v_reset: ArrayLike = 0.0,
    decay_input: bool = False,
    bias: ArrayLike = 0.0,
) -> Neuron:
    """PLIF (Fang et al., ICCV 2021): v <- v - (v - v_reset)*sigmoid(w) + i, then compare, then reset.

    ``decay_input`` multiplies the input by sigmoid(w) too. The soma starts at ``v_reset``; with a soft
    reset ``v_reset`` is 0, as in SpikingJelly and in the authors' code.
    """
    theta = _positive_threshold("plif", threshold)
    decay = sigmoid(w)
    rest = np.asarray(v_reset if reset == "hard" else 0.0, dtype=np.float64)
    return canonical(
        size, "plif", a_v=1.0 - decay, b_v=decay if decay_input else 1.0, threshold=theta,
        r_v=0.0 if reset == "hard" else theta, v_reset=rest, bias_v=decay * rest, v0=rest,
        bias_u=bias, strict=strict, reset=reset,
    )  # fmt: skip


def readout(size: int, *, decay: ArrayLike = 1.0, bias: ArrayLike = 0.0) -> Neuron:
    """Leaky-integrator readout v <- decay*v + i + bias; with decay 1 the sum over time (the authors' readout)."""
    return canonical(size, "readout", a_v=decay, b_v=1.0, bias_u=bias, spiking=False)
