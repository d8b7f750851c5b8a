"""The fixed-point network's arithmetic (`tclif_deploy.fixed`) over whole sequences of one layer, for training.

Integers up to 2^53 and their sums are exact in float64, whose units also round towards zero and down: so a step costs a
few instructions for eight neurons, where 64-bit products and shifts have none. `tclif_deploy.bounds` proves
that no number gets larger; the caller asks it.

What a machine may choose comes as the type of an argument, so that numba compiles each case by itself:
``rounding_offset`` is None where products round towards zero, else what is added before rounding down
(0, or 0.5 for nearest); a state's limit is its largest magnitude where it saturates, else two's complement's (half,
full) range.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from tclif_deploy.jit import helper, kernel
from tclif_deploy.nn.scan import gather


def _rounded(x: Any, rounding_offset: Any) -> Any:
    """x as a whole number."""


@overload(_rounded, inline="always")
def _rounded_any(x, rounding_offset):  # type: ignore[no-untyped-def]
    if isinstance(rounding_offset, types.NoneType):
        return lambda x, rounding_offset: np.trunc(x)
    return lambda x, rounding_offset: np.floor(x + rounding_offset)


def apply_overflow(x: Any, state_limit: Any) -> Any:
    """x as far as a state can hold it."""


@overload(apply_overflow, inline="always")
def _apply_overflow_any(x, state_limit):  # type: ignore[no-untyped-def]
    if isinstance(state_limit, types.Float):
        return lambda x, state_limit: min(max(x, -state_limit), state_limit)
    return lambda x, state_limit: x - np.floor((x + state_limit[0]) / state_limit[1]) * state_limit[1]


@helper
def _charge(u, v, acc, i_unit, bias, a_u, b_u, a_v, b_v, rounding_offset, limit_u, limit_v):  # type: ignore[no-untyped-def]
    """Both states take their step, before any spike; returns how many values did not fit."""
    changed = 0
    for b in range(u.shape[0]):
        for n in range(u.shape[1]):
            current = _rounded(acc[b, n] * i_unit, rounding_offset) + bias[n]
            wide = _rounded(a_u[n] * u[b, n], rounding_offset) + _rounded(b_u[n] * v[b, n], rounding_offset) + current
            dendrite = apply_overflow(wide, limit_u)
            changed += 1 if dendrite != wide else 0
            wide = _rounded(a_v[n] * v[b, n], rounding_offset) + _rounded(b_v[n] * dendrite, rounding_offset)
            soma = apply_overflow(wide, limit_v)
            changed += 1 if soma != wide else 0
            u[b, n] = dendrite
            v[b, n] = soma
    return changed


@helper
def _fire_soft(u, v, p, s, lsb, threshold, r_u, r_v, limit_u, limit_v, one):  # type: ignore[no-untyped-def]
    """Write the soma and the spikes, then reset; returns how many values did not fit."""
    changed = 0
    for b in range(u.shape[0]):
        for n in range(u.shape[1]):
            soma = v[b, n]
            fired = soma >= threshold[n]
            p[b, n] = soma * lsb[n]
            s[b, n] = one if fired else 0
            wide_u = u[b, n] - (r_u[n] if fired else 0.0)
            wide_v = soma - (r_v[n] if fired else 0.0)
            dendrite = apply_overflow(wide_u, limit_u)
            after = apply_overflow(wide_v, limit_v)
            changed += 1 if dendrite != wide_u else 0
            changed += 1 if after != wide_v else 0
            u[b, n] = dendrite
            v[b, n] = after
    return changed


@helper
def _fire_hard(v, p, s, lsb, threshold, v_reset, one):  # type: ignore[no-untyped-def]
    for b in range(v.shape[0]):
        for n in range(v.shape[1]):
            soma = v[b, n]
            fired = soma >= threshold[n]
            p[b, n] = soma * lsb[n]
            s[b, n] = one if fired else 0
            v[b, n] = v_reset[n] if fired else soma


@kernel
def forward(  # type: ignore[no-untyped-def]
    x, binary, weight, recurrent, i_unit, bias, a_u, b_u, a_v, b_v, rounding_offset, limit_u, limit_v, threshold, r_u,
    r_v, v_reset, hard, lsb, one, potential, spikes,
):  # fmt: skip
    """Run one layer over whole sequences; returns how many values did not fit their state.

    ``x`` (time, samples, sources) holds integers, its non-zero values being 1 where ``binary``; ``weight`` (sources,
    neurons) and ``recurrent`` (neurons, neurons) as (from, to), or of 0 rows, are integers wide enough for their sums;
    ``i_unit`` is 2^f; everything else of a neuron is float64 (neurons,), couplings as multiples of 2^-k. Writes
    ``potential``, the soma before its reset times ``lsb``, and ``spikes`` (``one`` where fired), both (time, samples,
    neurons). The states start at 0.
    """
    time, samples, sources = x.shape
    neurons = weight.shape[1]
    index = np.empty(max(sources, neurons) + 1, np.int64)
    u = np.zeros((samples, neurons), np.float64)
    v = np.zeros((samples, neurons), np.float64)
    acc = np.empty((samples, neurons), weight.dtype)
    changed = 0
    for t in range(time):
        acc[:] = 0
        gather(acc, x[t], binary, weight, index)
        if recurrent.shape[0] > 0 and t > 0:
            gather(acc, spikes[t - 1], True, recurrent, index)
        changed += _charge(u, v, acc, i_unit, bias, a_u, b_u, a_v, b_v, rounding_offset, limit_u, limit_v)
        if hard:
            _fire_hard(v, potential[t], spikes[t], lsb, threshold, v_reset, one)
        else:
            changed += _fire_soft(u, v, potential[t], spikes[t], lsb, threshold, r_u, r_v, limit_u, limit_v, one)
    return changed
