"""The fused scans over time: one spiking layer's whole sequence forward, and backward, in two compiled loops.

Layout is time-major, ``(time, samples, neurons)``; a call takes few samples (some 8), so that a step's states stay
in the first cache levels. Input currents are sums of the weight rows of the *active* inputs (spikes are 1 to 25 %
dense), which is several times less work than a dense product; the same holds for the weights' gradient.

The layer is the canonical neuron of `tclif_deploy.network` (dendrite input, no q, states start at 0), and a spike's
derivative is a surrogate ``g``. With ``gu``, ``gv`` the gradients of the states after the reset, a step backward is::

    gs <- the spike's gradient from above, from the next step's recurrence, and from the reset (unless detached)
    gv <- gv*(dv_after/dv) + gs*g(v - threshold)
    gu <- gu + b_v*gv                                   (the current's gradient)
    gv <- a_v*gv + b_u*gu ;  gu <- a_u*gu               (one step earlier)

Every inner loop stands in a function of its own with few arrays: LLVM gives up vectorizing where too many pointers
might overlap. Half-size tensors are bfloat16 seen as uint16 (``packed``); the kernels widen them by a shift.
"""

from __future__ import annotations

import numpy as np
from numba import njit

TRIANGLE, RECTANGLE, EXPONENTIAL, SIGMOID, ATAN, GAUSSIAN = range(6)
"""Codes of the surrogate derivatives, see `tclif_deploy.nn.surrogate`."""

ROWS = 4
"""samples that the loops over neurons take at once: their states fit the first cache level"""


@njit(cache=True, nogil=True, fastmath={"contract"})
def _gather(total, x, binary, weight, index):  # type: ignore[no-untyped-def]
    """total[b] += sum over the non-zero x[b, k] of x[b, k] * weight[k], the factor being 1 where ``binary``."""
    one = weight.dtype.type(1)
    neurons = total.shape[1]
    for b in range(total.shape[0]):
        count = 0
        for k in range(x.shape[1]):
            index[count] = k
            count += 1 if x[b, k] != 0 else 0
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


@njit(cache=True, nogil=True, fastmath={"contract"})
def _scatter(target, x, binary, g, index):  # type: ignore[no-untyped-def]
    """target[k] += x[b, k] * g[b] over the non-zero x[b, k], the factor being 1 where ``binary``."""
    one = g.dtype.type(1)
    neurons = g.shape[1]
    for b in range(g.shape[0]):
        count = 0
        for k in range(x.shape[1]):
            index[count] = k
            count += 1 if x[b, k] != 0 else 0
        for e in range(count):
            k = index[e]
            scale = one if binary else one * x[b, k]
            for n in range(neurons):
                target[k, n] += scale * g[b, n]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _advance(lo, hi, u, v, i, p, a_u, b_u, a_v, b_v):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        for n in range(u.shape[1]):
            u[b, n] = a_u[n] * u[b, n] + b_u[n] * v[b, n] + i[b, n]
            v[b, n] = a_v[n] * v[b, n] + b_v[n] * u[b, n]
            p[b, n] = v[b, n]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _fire(lo, hi, p, fire_at, s, one):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        for n in range(p.shape[1]):
            s[b, n] = one if p[b, n] >= fire_at[n] else 0


@njit(cache=True, nogil=True, fastmath={"contract"})
def _reset_dendrite(lo, hi, p, fire_at, u, r_u):  # type: ignore[no-untyped-def]
    zero = p.dtype.type(0)
    for b in range(lo, hi):
        for n in range(p.shape[1]):
            u[b, n] -= r_u[n] if p[b, n] >= fire_at[n] else zero


@njit(cache=True, nogil=True, fastmath={"contract"})
def _after_reset(lo, hi, p, fire_at, r_v, v_reset, hard, v):  # type: ignore[no-untyped-def]
    """The soma ``v`` after the reset out of ``p`` before it."""
    zero = p.dtype.type(0)
    for b in range(lo, hi):
        if hard:
            for n in range(p.shape[1]):
                v[b, n] = v_reset[n] if p[b, n] >= fire_at[n] else p[b, n]
        else:
            for n in range(p.shape[1]):
                v[b, n] = p[b, n] - (r_v[n] if p[b, n] >= fire_at[n] else zero)


@njit(cache=True, nogil=True)
def forward(  # type: ignore[no-untyped-def]
    x, binary, weight, recurrent, bias, a_u, b_u, a_v, b_v, fire_at, r_u, r_v, v_reset, hard, one, potential, spikes,
):  # fmt: skip
    """Run one layer over whole sequences.

    ``x`` (time, samples, sources), its non-zero values being 1 where ``binary``; ``weight`` (sources, neurons);
    ``recurrent`` (neurons, neurons) as (from, to), or of 0 rows; coefficients (neurons,); ``fire_at`` the least
    soma that fires. Writes ``potential``, the soma before its reset, and ``spikes`` (``one`` where fired), both
    (time, samples, neurons).
    """
    time, samples, sources = x.shape
    neurons = weight.shape[1]
    index = np.empty(max(sources, neurons) + 1, np.int64)
    u = np.zeros((samples, neurons), weight.dtype)
    v = np.zeros((samples, neurons), weight.dtype)
    i = np.empty((samples, neurons), weight.dtype)
    for t in range(time):
        i[:] = bias
        _gather(i, x[t], binary, weight, index)
        if recurrent.shape[0] > 0 and t > 0:
            _gather(i, spikes[t - 1], True, recurrent, index)
        p, s = potential[t], spikes[t]
        for lo in range(0, samples, ROWS):
            hi = min(lo + ROWS, samples)
            _advance(lo, hi, u, v, i, p, a_u, b_u, a_v, b_v)
            _fire(lo, hi, p, fire_at, s, one)
            if not hard:
                _reset_dendrite(lo, hi, p, fire_at, u, r_u)
            _after_reset(lo, hi, p, fire_at, r_v, v_reset, hard, v)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _surrogate(lo, hi, kind, p, threshold, g):  # type: ignore[no-untyped-def]
    """Write the surrogate derivative at ``p - threshold`` to ``g``."""
    one = p.dtype.type(1)
    zero = p.dtype.type(0)
    half = p.dtype.type(0.5)
    for b in range(lo, hi):
        if kind == TRIANGLE:
            for n in range(p.shape[1]):
                g[b, n] = max(one - abs(p[b, n] - threshold[n]), zero)
        elif kind == RECTANGLE:
            for n in range(p.shape[1]):
                g[b, n] = one if abs(p[b, n] - threshold[n]) < half else zero
        elif kind == EXPONENTIAL:
            for n in range(p.shape[1]):
                g[b, n] = np.exp(-abs(p[b, n] - threshold[n]))
        elif kind == SIGMOID:
            for n in range(p.shape[1]):
                y = one / (one + np.exp(-4 * (p[b, n] - threshold[n])))
                g[b, n] = 4 * y * (one - y)
        elif kind == ATAN:
            for n in range(p.shape[1]):
                y = np.pi * (p[b, n] - threshold[n])
                g[b, n] = one / (one + y * y)
        else:
            for n in range(p.shape[1]):
                y = p[b, n] - threshold[n]
                far = np.exp(-((y - half) ** 2) / 18) + np.exp(-((y + half) ** 2) / 18)
                g[b, n] = half * (1.15 * np.exp(-2 * y * y) - 0.025 * far) / np.sqrt(0.5 * np.pi)


@njit(cache=True, nogil=True, fastmath={"contract"})
def _load(lo, hi, above, packed, gs):  # type: ignore[no-untyped-def]
    bits = gs.view(np.uint32)
    for b in range(lo, hi):
        if packed:
            for n in range(gs.shape[1]):
                bits[b, n] = np.uint32(above[b, n]) << np.uint32(16)
        else:
            for n in range(gs.shape[1]):
                gs[b, n] = above[b, n]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _store(lo, hi, g, packed, out):  # type: ignore[no-untyped-def]
    bits = g.view(np.uint32)
    for b in range(lo, hi):
        if packed:
            for n in range(g.shape[1]):
                # round to nearest, ties to even
                tie = (bits[b, n] >> np.uint32(16)) & np.uint32(1)
                out[b, n] = (bits[b, n] + np.uint32(0x7FFF) + tie) >> np.uint32(16)
        else:
            for n in range(g.shape[1]):
                out[b, n] = g[b, n]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _recur(gs, g, recurrent):  # type: ignore[no-untyped-def]
    """gs += g @ recurrent, four rows at a time."""
    sources, neurons = recurrent.shape
    for k in range(0, sources - sources % 4, 4):
        for b in range(gs.shape[0]):
            p, q, r, s = g[b, k], g[b, k + 1], g[b, k + 2], g[b, k + 3]
            for n in range(neurons):
                gs[b, n] += (p * recurrent[k, n] + q * recurrent[k + 1, n]) + (
                    r * recurrent[k + 2, n] + s * recurrent[k + 3, n]
                )
    for k in range(sources - sources % 4, sources):
        for b in range(gs.shape[0]):
            p = g[b, k]
            for n in range(neurons):
                gs[b, n] += p * recurrent[k, n]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _soft_spike(lo, hi, gs, gu, gv, g, r_u, r_v, live):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        for n in range(gs.shape[1]):
            gv[b, n] += (gs[b, n] - live * (r_u[n] * gu[b, n] + r_v[n] * gv[b, n])) * g[b, n]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _hard_spike(lo, hi, gs, gv, g, p, fire_at, v_reset, live):  # type: ignore[no-untyped-def]
    zero = p.dtype.type(0)
    for b in range(lo, hi):
        for n in range(gs.shape[1]):
            spike = gs[b, n] + live * gv[b, n] * (v_reset[n] - p[b, n])
            gv[b, n] = (zero if p[b, n] >= fire_at[n] else gv[b, n]) + spike * g[b, n]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _soma_coefficients(lo, hi, gv, v, p, a_v, over_b_v, g_a_v, g_b_v):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        for n in range(gv.shape[1]):
            g_a_v[n] += gv[b, n] * v[b, n]
            g_b_v[n] += gv[b, n] * (p[b, n] - a_v[n] * v[b, n]) * over_b_v[n]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _dendrite(lo, hi, gu, gv, v, b_v, g, g_b_u, g_bias):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        for n in range(gu.shape[1]):
            g[b, n] = gu[b, n] + b_v[n] * gv[b, n]
            g_b_u[n] += g[b, n] * v[b, n]
            g_bias[n] += g[b, n]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _earlier(lo, hi, gu, gv, g, a_u, b_u, a_v):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        for n in range(gu.shape[1]):
            gv[b, n] = a_v[n] * gv[b, n] + b_u[n] * g[b, n]
            gu[b, n] = a_u[n] * g[b, n]


@njit(cache=True, nogil=True)
def count(spikes, counts):  # type: ignore[no-untyped-def]
    """counts (samples, neurons) += how often each fired in ``spikes`` (time, samples, neurons)."""
    for t in range(spikes.shape[0]):
        for b in range(counts.shape[0]):
            for n in range(counts.shape[1]):
                counts[b, n] += 1 if spikes[t, b, n] != 0 else 0


@njit(cache=True, nogil=True)
def backward(  # type: ignore[no-untyped-def]
    x, binary, recurrent, a_u, b_u, a_v, b_v, fire_at, r_u, r_v, v_reset, hard, threshold, detached, kind, potential,
    spikes, g_spikes, packed, g_current, g_weight, g_recurrent, g_bias, g_b_u, g_a_v, g_b_v,
):  # fmt: skip
    """Gradients of one layer over whole sequences, from ``g_spikes`` (time, samples, neurons), or of 1 step for all.

    ``recurrent`` is (to, from) here. Writes ``g_current`` (time, samples, neurons; of 0 steps where nobody wants
    it) and adds to the gradients of the weights, (sources, neurons) and (from, to), and of the coefficients. The
    states are recomputed from ``potential``, which needs threshold > 0 and b_v != 0.
    """
    time, samples, sources = x.shape
    neurons = threshold.shape[0]
    dtype = potential.dtype
    index = np.empty(max(sources, neurons) + 1, np.int64)
    gu = np.zeros((samples, neurons), dtype)
    gv = np.zeros((samples, neurons), dtype)
    gs = np.empty((samples, neurons), dtype)
    g = np.empty((samples, neurons), dtype)
    v = np.empty((samples, neurons), dtype)
    zeros = np.zeros((samples, neurons), dtype)
    over_b_v = dtype.type(1) / b_v
    live = dtype.type(0 if detached else 1)
    for t in range(time - 1, -1, -1):
        p, above = potential[t], g_spikes[t if g_spikes.shape[0] > 1 else 0]
        old = potential[t - 1] if t > 0 else zeros
        _load(0, samples, above, packed, gs)
        if recurrent.shape[0] > 0 and t < time - 1:
            # g still holds the current's gradient one step later
            _recur(gs, g, recurrent)
        for lo in range(0, samples, ROWS):
            hi = min(lo + ROWS, samples)
            _surrogate(lo, hi, kind, p, threshold, g)
            if hard:
                _hard_spike(lo, hi, gs, gv, g, p, fire_at, v_reset, live)
            else:
                _soft_spike(lo, hi, gs, gu, gv, g, r_u, r_v, live)
            _after_reset(lo, hi, old, fire_at, r_v, v_reset, hard, v)
            _soma_coefficients(lo, hi, gv, v, p, a_v, over_b_v, g_a_v, g_b_v)
            _dendrite(lo, hi, gu, gv, v, b_v, g, g_b_u, g_bias)
            _earlier(lo, hi, gu, gv, g, a_u, b_u, a_v)
            if g_current.shape[0] > 0:
                _store(lo, hi, g, packed, g_current[t])
        _scatter(g_weight, x[t], binary, g, index)
        if recurrent.shape[0] > 0 and t > 0:
            _scatter(g_recurrent, spikes[t - 1], True, g, index)
