"""One neuron's arithmetic as the general kernel computes it, and that of machines where ovf follows each addend."""

from __future__ import annotations

import numpy as np

from tclif_deploy.fixed import LAYER_ARRAYS, Int
from tclif_deploy.jit import helper

ROUNDINGS = ("floor", "nearest", "toward_zero", "ceiling")
FLOOR, NEAREST, TOWARD_ZERO, CEILING = range(4)
OVERFLOWS = ("saturate", "wrap", "saturate_full")
SATURATE, WRAP, SATURATE_FULL = range(3)
(A_U, B_U, A_V, B_V, Q, THRESHOLD, R_U, R_V, V_RESET, BIAS_U, BIAS_V, V0, U0, S0) = range(len(LAYER_ARRAYS))
"""Rows of `general.GeneralPlan.neurons`."""


@helper
def rounded(p: int, k: int, rounding: int) -> int:
    if k == 0 or rounding == FLOOR:
        return p >> k
    if rounding == NEAREST:
        return (p + (1 << (k - 1))) >> k
    if rounding == CEILING:
        return -((-p) >> k)
    return p >> k if p >= 0 else -((-p) >> k)


@helper
def overflowed(x: int, limit: int, way: int) -> int:
    if way == WRAP:
        return ((x + limit + 1) & (2 * limit + 1)) - limit - 1
    return min(max(x, -limit - (way == SATURATE_FULL)), limit)


@helper
def decayed(x: int, factor: int, k: int, rounding: int, least: int) -> int:
    result: int = rounded(factor * x, k, rounding)
    if least and x > 0 and factor < np.int64(1) << k and result > x - 1:
        return x - 1
    return result


@helper
def added(x: int, addend: int, limit: int, way: int) -> tuple[int, int]:
    """(the sum within its state, whether that changed it)."""
    wide = x + addend
    within = overflowed(wide, limit, way)
    return within, int(within != wide)


@helper
def _gain(x: int, factor: int, share: int, arithmetic: Int, rounding: int, limit: int, way: int) -> tuple[int, int]:
    """What a state gains by its decay and by the other's share, where ovf follows each addend."""
    left = decayed(x, factor, arithmetic[0], rounding, arithmetic[8])
    gain, changed = added(left - x, share, limit, way)
    return gain, changed


@helper
def _gained(x: int, gain: int, bias: int, limit: int, way: int) -> tuple[int, int]:
    """A state that takes its bias and its gain, where ovf follows each addend."""
    gain, within = added(gain, bias, limit, way)
    x, changed = added(x, gain, limit, way)
    return x, within + changed


@helper
def begin_addends(
    u: Int, v: Int, neurons: Int, first: int, to_soma: int, arithmetic: Int, limit_u: int, limit_v: int, sums: Int,
    overflows: Int,
) -> None:  # fmt: skip
    """Where ovf follows each addend: ``sums`` (neurons of the layer) becomes what its sources add to, one by one. That
    is a state which takes its input first, or the state's gain; where the soma takes it, u is charged before."""
    k, rounding_u, rounding_v, input_first = arithmetic[0], arithmetic[6], arithmetic[7], arithmetic[10]
    for n in range(sums.size):
        at = first + n
        if not to_soma and input_first:
            sums[n], changed = added(u[at], 0, limit_u, arithmetic[4])
            overflows[0] += changed
            continue
        share = rounded(neurons[B_U, at] * v[at], k, rounding_u)
        gain, changed = _gain(u[at], neurons[A_U, at], share, arithmetic, rounding_u, limit_u, arithmetic[4])
        overflows[0] += changed
        if not to_soma:
            sums[n] = gain
            continue
        u[at], changed = _gained(u[at], gain, neurons[BIAS_U, at], limit_u, arithmetic[4])
        overflows[0] += changed
        if input_first:
            sums[n], changed = added(v[at], 0, limit_v, arithmetic[5])
            overflows[1] += changed
            continue
        share = rounded(neurons[B_V, at] * u[at], k, rounding_v)
        sums[n], changed = _gain(v[at], neurons[A_V, at], share, arithmetic, rounding_v, limit_v, arithmetic[5])
        overflows[1] += changed


@helper
def add_source(
    sums: Int, share: Int, outputs: int, positions: int, exponent: int, shift: int, rounding: int, limit: int, way: int
) -> int:
    """Add one source's ``share`` to ``sums``; how many sums ovf changed. A convolution's has ``outputs`` channels."""
    changed = 0
    for n in range(sums.size):
        i = share[n % positions * outputs + n // positions if outputs else n] << exponent
        sums[n], more = added(sums[n], i << shift if shift >= 0 else rounded(i, -shift, rounding), limit, way)
        changed += more
    return changed


@helper
def end_addends(
    u: int, v: int, total: int, neuron: Int, to_soma: int, arithmetic: Int, limit_u: int, limit_v: int
) -> tuple[int, int, int, int]:
    """The states charged, when all sources are in ``total``: (u, v, how many addends ovf changed in each)."""
    k, rounding_u, rounding_v, input_first = arithmetic[0], arithmetic[6], arithmetic[7], arithmetic[10]
    changed_u = changed_v = more = 0
    if not to_soma:
        gain = total
        if input_first:
            share = rounded(neuron[B_U] * v, k, rounding_u)
            u = total
            gain, changed_u = _gain(u, neuron[A_U], share, arithmetic, rounding_u, limit_u, arithmetic[4])
        u, more = _gained(u, gain, neuron[BIAS_U], limit_u, arithmetic[4])
        changed_u += more
    gain = total
    if not to_soma or input_first:
        share = rounded(neuron[B_V] * u, k, rounding_v)
        v = total if to_soma else v
        gain, changed_v = _gain(v, neuron[A_V], share, arithmetic, rounding_v, limit_v, arithmetic[5])
    v, more = _gained(v, gain, neuron[BIAS_V], limit_v, arithmetic[5])
    return u, v, changed_u, changed_v + more
