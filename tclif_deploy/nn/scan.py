"""The fused scans over time: one spiking layer's whole sequence forward, and backward, in two compiled loops.

Layout is time-major, ``(time, samples, neurons)``; a call takes few samples (some 8), so that a step's states stay
in the first cache levels. Input currents are sums of the weight rows of the *active* inputs (spikes are 1 to 25 %
dense), which is several times less work than a dense product; the same holds for the weights' gradient. What comes
down to a spike is summed only where the spike's derivative is not 0.

The layer is the canonical neuron of `tclif_deploy.network` (dendrite input, no q, states start at 0), and a spike's
derivative is a surrogate, ``slope``. With ``gu``, ``gv`` the gradients of the states after the reset, a step backward
is::

    gs <- the spike's gradient from above, from the next step's recurrence, and from the reset (unless detached)
    gv <- gv*(dv_after/dv) + gs*slope(v - threshold)
    gu <- gu + b_v*gv                                   (the current's gradient)
    gv <- a_v*gv + b_u*gu ;  gu <- a_u*gu               (one step earlier)

Coefficients are scalars where a layer shares them and arrays (neurons,) where it does not: `_at` reads both, and numba
compiles each case by itself. Half-size tensors are bfloat16 seen as uint16 (`tclif_deploy.nn.bfloat16`). Each loop over
neurons stands in a function of its own without branches, which is what LLVM vectorizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from tclif_deploy.jit import helper, kernel
from tclif_deploy.nn.bfloat16 import put, widen
from tclif_deploy.nn.surrogate import ATAN, EXPONENTIAL, RECTANGLE, SIGMOID, TRIANGLE


def _at(c: Any, n: int) -> Any:
    """The coefficient of neuron n: ``c`` itself where it is a scalar."""


@overload(_at, inline="always")
def _at_any(c, n):  # type: ignore[no-untyped-def]
    if isinstance(c, types.Float):
        return lambda c, n: c
    return lambda c, n: c[n]


@helper
def _active(row, index):  # type: ignore[no-untyped-def]
    """Write where ``row`` is not 0 to the first of ``index``, without a branch; returns how many there are."""
    count = 0
    for k in range(row.shape[0]):
        index[count] = k
        count += 1 if row[k] != 0 else 0
    return count


@helper(fastmath={"contract"})
def gather(total, x, binary, weight, index):  # type: ignore[no-untyped-def]
    """total[b] += sum over the non-zero x[b, k] of x[b, k] * weight[k], the factor being 1 where ``binary``."""
    one = weight.dtype.type(1)
    neurons = total.shape[1]
    for b in range(total.shape[0]):
        count = _active(x[b], index)
        e = 0
        while e + 4 <= count:
            p, q, r, s = index[e], index[e + 1], index[e + 2], index[e + 3]
            if binary:
                for n in range(neurons):
                    total[b, n] += (weight[p, n] + weight[q, n]) + (weight[r, n] + weight[s, n])
            else:
                xp, xq, xr, xs = one * x[b, p], one * x[b, q], one * x[b, r], one * x[b, s]
                for n in range(neurons):
                    total[b, n] += (xp * weight[p, n] + xq * weight[q, n]) + (xr * weight[r, n] + xs * weight[s, n])
            e += 4
        while e < count:
            p = index[e]
            xp = one if binary else one * x[b, p]
            for n in range(neurons):
                total[b, n] += xp * weight[p, n]
            e += 1


@helper(fastmath={"contract"})
def _scatter(target, x, binary, g, index):  # type: ignore[no-untyped-def]
    """target[k] += x[b, k] * g[b] over the non-zero x[b, k], the factor being 1 where ``binary``."""
    one = g.dtype.type(1)
    neurons = g.shape[1]
    for b in range(g.shape[0]):
        count = _active(x[b], index)
        for e in range(count):
            k = index[e]
            scale = one if binary else one * x[b, k]
            for n in range(neurons):
                target[k, n] += scale * g[b, n]


@helper(fastmath={"contract"})
def _soft_step(u, v, i, p, s, a_u, b_u, a_v, b_v, fire_at, r_u, r_v, one):  # type: ignore[no-untyped-def]
    zero = p.dtype.type(0)
    for b in range(u.shape[0]):
        for n in range(u.shape[1]):
            dendrite = _at(a_u, n) * u[b, n] + _at(b_u, n) * v[b, n] + i[b, n]
            soma = _at(a_v, n) * v[b, n] + _at(b_v, n) * dendrite
            fired = soma >= _at(fire_at, n)
            p[b, n] = soma
            s[b, n] = one if fired else 0
            u[b, n] = dendrite - (_at(r_u, n) if fired else zero)
            v[b, n] = soma - (_at(r_v, n) if fired else zero)


@helper(fastmath={"contract"})
def _hard_step(u, v, i, p, s, a_u, b_u, a_v, b_v, fire_at, v_reset, one):  # type: ignore[no-untyped-def]
    for b in range(u.shape[0]):
        for n in range(u.shape[1]):
            u[b, n] = _at(a_u, n) * u[b, n] + _at(b_u, n) * v[b, n] + i[b, n]
            soma = _at(a_v, n) * v[b, n] + _at(b_v, n) * u[b, n]
            fired = soma >= _at(fire_at, n)
            p[b, n] = soma
            s[b, n] = one if fired else 0
            v[b, n] = _at(v_reset, n) if fired else soma


@kernel
def forward(  # type: ignore[no-untyped-def]
    x, binary, weight, recurrent, bias, a_u, b_u, a_v, b_v, fire_at, r_u, r_v, v_reset, hard, one, potential, spikes,
):  # fmt: skip
    """Run one layer over whole sequences.

    ``x`` (time, samples, sources), its non-zero values being 1 where ``binary``; ``weight`` (sources, neurons);
    ``recurrent`` (neurons, neurons) as (from, to), or of 0 rows; coefficients scalars or (neurons,); ``fire_at``
    the least soma that fires. Writes ``potential``, the soma before its reset, and ``spikes`` (``one`` where
    fired), both (time, samples, neurons).
    """
    time, samples, sources = x.shape
    neurons = weight.shape[1]
    index = np.empty(max(sources, neurons) + 1, np.int64)
    u = np.zeros((samples, neurons), weight.dtype)
    v = np.zeros((samples, neurons), weight.dtype)
    i = np.empty((samples, neurons), weight.dtype)
    for t in range(time):
        i[:] = bias
        gather(i, x[t], binary, weight, index)
        if recurrent.shape[0] > 0 and t > 0:
            gather(i, spikes[t - 1], True, recurrent, index)
        if hard:
            _hard_step(u, v, i, potential[t], spikes[t], a_u, b_u, a_v, b_v, fire_at, v_reset, one)
        else:
            _soft_step(u, v, i, potential[t], spikes[t], a_u, b_u, a_v, b_v, fire_at, r_u, r_v, one)


@helper(fastmath={"contract"})
def _surrogate(kind, p, threshold, slope):  # type: ignore[no-untyped-def]
    """Write the surrogate derivative at ``p - threshold`` to ``slope``."""
    one = p.dtype.type(1)
    zero = p.dtype.type(0)
    half = p.dtype.type(0.5)
    for b in range(p.shape[0]):
        if kind == TRIANGLE:
            for n in range(p.shape[1]):
                slope[b, n] = max(one - abs(p[b, n] - _at(threshold, n)), zero)
        elif kind == RECTANGLE:
            for n in range(p.shape[1]):
                slope[b, n] = one if abs(p[b, n] - _at(threshold, n)) < half else zero
        elif kind == EXPONENTIAL:
            for n in range(p.shape[1]):
                slope[b, n] = np.exp(-abs(p[b, n] - _at(threshold, n)))
        elif kind == SIGMOID:
            for n in range(p.shape[1]):
                y = one / (one + np.exp(-4 * (p[b, n] - _at(threshold, n))))
                slope[b, n] = 4 * y * (one - y)
        elif kind == ATAN:
            for n in range(p.shape[1]):
                y = np.pi * (p[b, n] - _at(threshold, n))
                slope[b, n] = one / (one + y * y)
        else:
            for n in range(p.shape[1]):
                y = p[b, n] - _at(threshold, n)
                far = np.exp(-((y - half) ** 2) / 18) + np.exp(-((y + half) ** 2) / 18)
                slope[b, n] = half * (1.15 * np.exp(-2 * y * y) - 0.025 * far) / np.sqrt(0.5 * np.pi)


@helper(fastmath={"contract", "reassoc", "nsz"})
def _back_through(gs, g, weight, slope, index):  # type: ignore[no-untyped-def]
    """gs[b, k] += sum over n of g[b, n] * weight[k, n] where slope[b, k] is not 0; the others would be lost."""
    zero = gs.dtype.type(0)
    neurons = weight.shape[1]
    for b in range(gs.shape[0]):
        count = _active(slope[b], index)
        e = 0
        while e + 4 <= count:
            p, q, r, s = index[e], index[e + 1], index[e + 2], index[e + 3]
            at_p = at_q = at_r = at_s = zero
            for n in range(neurons):
                at_p += weight[p, n] * g[b, n]
                at_q += weight[q, n] * g[b, n]
                at_r += weight[r, n] * g[b, n]
                at_s += weight[s, n] * g[b, n]
            gs[b, p] += at_p
            gs[b, q] += at_q
            gs[b, r] += at_r
            gs[b, s] += at_s
            e += 4
        while e < count:
            p = index[e]
            at_p = zero
            for n in range(neurons):
                at_p += weight[p, n] * g[b, n]
            gs[b, p] += at_p
            e += 1


@helper(fastmath={"contract"})
def _load(above, gs):  # type: ignore[no-untyped-def]
    for b in range(gs.shape[0]):
        for n in range(gs.shape[1]):
            gs[b, n] = widen(above[b, n])


@helper(fastmath={"contract"})
def _store(g, out):  # type: ignore[no-untyped-def]
    for b in range(g.shape[0]):
        for n in range(g.shape[1]):
            put(out, b, n, g[b, n])


@helper(fastmath={"contract"})
def _soft_spike(gs, gu, gv, slope, r_u, r_v, live):  # type: ignore[no-untyped-def]
    for b in range(gv.shape[0]):
        for n in range(gv.shape[1]):
            reset = live * (_at(r_u, n) * gu[b, n] + _at(r_v, n) * gv[b, n])
            gv[b, n] += (widen(gs[b, n]) - reset) * slope[b, n]


@helper(fastmath={"contract"})
def _hard_spike(gs, gv, slope, p, fire_at, v_reset, live):  # type: ignore[no-untyped-def]
    zero = p.dtype.type(0)
    for b in range(gv.shape[0]):
        for n in range(gv.shape[1]):
            spike = widen(gs[b, n]) + live * gv[b, n] * (_at(v_reset, n) - p[b, n])
            gv[b, n] = (zero if p[b, n] >= _at(fire_at, n) else gv[b, n]) + spike * slope[b, n]


@helper(fastmath={"contract"})
def _soft_gain(gs, gu, gv, slope, p, fire_at, threshold, r_u, r_v, live, g_gain):  # type: ignore[no-untyped-def]
    zero = p.dtype.type(0)
    for b in range(gv.shape[0]):
        for n in range(gv.shape[1]):
            reset = _at(r_u, n) * gu[b, n] + _at(r_v, n) * gv[b, n]
            g_gain[n] -= (widen(gs[b, n]) - live * reset) * slope[b, n] * _at(threshold, n)
            g_gain[n] -= reset if p[b, n] >= _at(fire_at, n) else zero


@helper(fastmath={"contract"})
def _hard_gain(gs, gv, slope, p, fire_at, threshold, v_reset, live, g_gain):  # type: ignore[no-untyped-def]
    zero = p.dtype.type(0)
    for b in range(gv.shape[0]):
        for n in range(gv.shape[1]):
            spike = widen(gs[b, n]) + live * gv[b, n] * (_at(v_reset, n) - p[b, n])
            g_gain[n] -= spike * slope[b, n] * _at(threshold, n)
            g_gain[n] += _at(v_reset, n) * gv[b, n] if p[b, n] >= _at(fire_at, n) else zero


@helper(fastmath={"contract"})
def _taken(gu, p, fire_at, g_r_u):  # type: ignore[no-untyped-def]
    zero = p.dtype.type(0)
    for b in range(gu.shape[0]):
        for n in range(gu.shape[1]):
            g_r_u[n] -= gu[b, n] if p[b, n] >= _at(fire_at, n) else zero


@helper(fastmath={"contract"})
def _soft_earlier(  # type: ignore[no-untyped-def]
    old, p, a_u, b_u, a_v, b_v, fire_at, r_v, gu, gv, g, g_bias, g_b_u, g_a_v, g_b_v,
):  # fmt: skip
    """From the soma's gradient ``gv`` to the current's, ``g``, the coefficients', and the states' one step earlier.

    The soma after the last step's reset is recomputed from ``old``, the one before it.
    """
    zero = p.dtype.type(0)
    for b in range(p.shape[0]):
        for n in range(p.shape[1]):
            v = old[b, n] - (_at(r_v, n) if old[b, n] >= _at(fire_at, n) else zero)
            soma = gv[b, n]
            current = gu[b, n] + _at(b_v, n) * soma
            g_a_v[n] += soma * v
            g_b_v[n] += soma * (p[b, n] - _at(a_v, n) * v)
            g_b_u[n] += current * v
            g_bias[n] += current
            g[b, n] = current
            gv[b, n] = _at(a_v, n) * soma + _at(b_u, n) * current
            gu[b, n] = _at(a_u, n) * current


@helper(fastmath={"contract"})
def _hard_earlier(  # type: ignore[no-untyped-def]
    old, p, a_u, b_u, a_v, b_v, fire_at, v_reset, gu, gv, g, g_bias, g_b_u, g_a_v, g_b_v,
):  # fmt: skip
    """As `_soft_earlier`, after a hard reset."""
    for b in range(p.shape[0]):
        for n in range(p.shape[1]):
            v = _at(v_reset, n) if old[b, n] >= _at(fire_at, n) else old[b, n]
            soma = gv[b, n]
            current = gu[b, n] + _at(b_v, n) * soma
            g_a_v[n] += soma * v
            g_b_v[n] += soma * (p[b, n] - _at(a_v, n) * v)
            g_b_u[n] += current * v
            g_bias[n] += current
            g[b, n] = current
            gv[b, n] = _at(a_v, n) * soma + _at(b_u, n) * current
            gu[b, n] = _at(a_u, n) * current


@kernel
def count(spikes, counts):  # type: ignore[no-untyped-def]
    """counts (samples, neurons) += how often each fired in ``spikes`` (time, samples, neurons)."""
    for t in range(spikes.shape[0]):
        for b in range(counts.shape[0]):
            for n in range(counts.shape[1]):
                counts[b, n] += 1 if spikes[t, b, n] != 0 else 0


@kernel
def backward(  # type: ignore[no-untyped-def]
    x, binary, weight, recurrent, a_u, b_u, a_v, b_v, fire_at, r_u, r_v, v_reset, hard, threshold, detached, kind,
    potential, spikes, g_spikes, x_potential, x_threshold, x_kind, g_x, g_weight, g_recurrent, g_bias, g_b_u, g_a_v,
    g_b_v, g_gain, g_r_u,
):  # fmt: skip
    """Gradients of one layer over whole sequences, from ``g_spikes`` (time, samples, neurons), or of 1 step for all.

    ``weight`` and ``recurrent`` are as in `forward`. Writes ``g_x`` (time, samples, sources; of 0 steps where nobody
    wants it) and adds to the gradients of the weights, (sources, neurons) and (from, to), and of the coefficients,
    each (neurons,); that of b_v comes out multiplied by b_v. ``g_gain`` is that of a factor of a neuron's threshold
    and resets together, ``g_r_u`` that of what a soft reset takes from the dendrite (each of 0 neurons where nobody
    wants it). The states are recomputed from ``potential``, which needs threshold > 0 and b_v != 0.

    Where ``x`` are the spikes of a layer, ``x_potential`` (time, samples, sources) is its somas before their resets:
    ``g_x`` stays 0 where its surrogate, ``x_kind`` at ``x_threshold``, is 0. Of 0 steps: all of it is wanted.
    """
    time, samples, sources = x.shape
    neurons = g_bias.shape[0]
    dtype = potential.dtype
    index = np.empty(max(sources, neurons) + 1, np.int64)
    gu = np.zeros((samples, neurons), dtype)
    gv = np.zeros((samples, neurons), dtype)
    gs = np.empty((samples, neurons), dtype)
    g = np.empty((samples, neurons), dtype)
    slope = np.empty((samples, neurons), dtype)
    down = np.empty((samples, sources), dtype)
    x_slope = np.ones((samples, sources), dtype)
    zeros = np.zeros((samples, neurons), dtype)
    live = dtype.type(0 if detached else 1)
    for t in range(time - 1, -1, -1):
        p, above = potential[t], g_spikes[t if g_spikes.shape[0] > 1 else 0]
        old = potential[t - 1] if t > 0 else zeros
        recurs = recurrent.shape[0] > 0 and t < time - 1
        _surrogate(kind, p, threshold, slope)
        if recurs:
            _load(above, gs)
            # g still holds the current's gradient one step later
            _back_through(gs, g, recurrent, slope, index)
        if g_r_u.shape[0] > 0:
            _taken(gu, p, fire_at, g_r_u)
        if g_gain.shape[0] > 0:
            if not recurs:
                _load(above, gs)
            if hard:
                _hard_gain(gs, gv, slope, p, fire_at, threshold, v_reset, live, g_gain)
            else:
                _soft_gain(gs, gu, gv, slope, p, fire_at, threshold, r_u, r_v, live, g_gain)
        if hard and recurs:
            _hard_spike(gs, gv, slope, p, fire_at, v_reset, live)
        elif hard:
            _hard_spike(above, gv, slope, p, fire_at, v_reset, live)
        elif recurs:
            _soft_spike(gs, gu, gv, slope, r_u, r_v, live)
        else:
            _soft_spike(above, gu, gv, slope, r_u, r_v, live)
        if hard:
            _hard_earlier(old, p, a_u, b_u, a_v, b_v, fire_at, v_reset, gu, gv, g, g_bias, g_b_u, g_a_v, g_b_v)
        else:
            _soft_earlier(old, p, a_u, b_u, a_v, b_v, fire_at, r_v, gu, gv, g, g_bias, g_b_u, g_a_v, g_b_v)
        if g_x.shape[0] > 0:
            if x_potential.shape[0] > 0:
                _surrogate(x_kind, x_potential[t], x_threshold, x_slope)
            down[:] = 0
            _back_through(down, g, weight, x_slope, index)
            _store(down, g_x[t])
        _scatter(g_weight, x[t], binary, g, index)
        if recurrent.shape[0] > 0 and t > 0:
            _scatter(g_recurrent, spikes[t - 1], True, g, index)


@kernel
def leak(current, decay, v):  # type: ignore[no-untyped-def]
    """Write ``v`` (time, samples, outputs) of v <- decay*v + current, which starts at 0; ``decay`` (outputs,)."""
    v[0] = current[0]
    for t in range(1, current.shape[0]):
        for b in range(current.shape[1]):
            for n in range(current.shape[2]):
                v[t, b, n] = decay[n] * v[t - 1, b, n] + current[t, b, n]
