"""The general kernel: every `FixedNetwork`, sample by sample and step by step in int64, driven by events.

It does in numba what `simulation.reference` does in numpy, so it carries whatever the other kernels don't cover:
states that overflow, rules of other machines, sums that float64 might not hold, single steps of a session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import LAYER_ARRAYS, FixedNetwork, Int
from tclif_deploy.jit import kernel
from tclif_deploy.network import INPUT
from tclif_deploy.simulation.engine.addends import (
    A_U,
    A_V,
    B_U,
    B_V,
    BIAS_U,
    BIAS_V,
    OVERFLOWS,
    R_U,
    R_V,
    ROUNDINGS,
    THRESHOLD,
    V_RESET,
    Q,
    add_source,
    begin_addends,
    decayed,
    end_addends,
    overflowed,
    rounded,
)  # fmt: skip
from tclif_deploy.simulation.engine.readout import read_step, readout_code
from tclif_deploy.simulation.engine.scatter import OUTPUTS, POSITIONS, scatter, shape_of, weights_of
from tclif_deploy.simulation.reference import start_states

MAX_SHIFT = 62
"""Shifts beyond this would leave nothing of an int64, in numpy and in this kernel alike."""


@dataclass(frozen=True, eq=False)
class GeneralPlan:
    """A network as the flat arrays that the kernel walks through."""

    arithmetic: Int
    """(12,): frac_bits, rounding, bits_u, bits_v, overflow of u and of v, rounding of products into u and into v, least
    step, ovf after each addend, input before the decay, most spikes of a step"""
    neurons: Int
    """(14, all neurons): `LAYER_ARRAYS` of all layers, side by side"""
    start: Int
    """(2, all neurons): u and v at the beginning of the first step"""
    layers: Int
    """(layers, 8): first neuron, end, shift, hard reset, input to soma, spiking, first connection, end"""
    connections: Int
    """(connections, 4): source layer (-1: input), delay, exponent, where its weights start; then `shape_of`"""
    weights: Int
    """all connections' `weights_of`"""
    ring: int
    """steps of spikes that must be remembered, the present one among them"""
    input_delay: int
    """steps of input that must be remembered, before the present one"""
    code: Int
    """`readout_code` of the network's readout"""


def plan_general(network: FixedNetwork) -> GeneralPlan:
    """Lay ``network`` out for `run_general`."""
    m = network.arithmetic
    arithmetic = np.array(
        [
            m.frac_bits, ROUNDINGS.index(m.rounding), m.bits_u, m.bits_v, OVERFLOWS.index(m.overflow_u),
            OVERFLOWS.index(m.overflow_v), ROUNDINGS.index(m.rounding_u or m.rounding),
            ROUNDINGS.index(m.rounding_v or m.rounding), m.least_step, m.each_addend, m.input_first,
            m.most_spikes,
        ],
        dtype=np.int64,
    )  # fmt: skip
    order = {INPUT: -1} | {layer.name: n for n, layer in enumerate(network.layers)}
    neurons = np.concatenate([np.stack([getattr(la, f) for f in LAYER_ARRAYS]) for la in network.layers], axis=1)
    layers: list[tuple[int, ...]] = []
    connections: list[tuple[int, ...]] = []
    weights: list[Int] = []
    first, placed = 0, 0
    for layer in network.layers:
        begin = len(connections)
        for c in layer.connections:
            if max(c.exponent, abs(layer.shift)) > MAX_SHIFT:
                raise TclifError(
                    f"layer {layer.name}: shift {layer.shift} and exponent {c.exponent} are out of range",
                    f"shifts of up to {MAX_SHIFT} bits are supported",
                )
            connections.append((order[c.source], c.delay, c.exponent, placed, *shape_of(c)))
            weights.append(weights_of(c))
            placed += c.weight.size
        flags = (layer.shift, layer.reset == "hard", layer.input_to == "soma", layer.spiking)
        layers.append((first, first + layer.size, *flags, begin, len(connections)))
        first += layer.size
    delays = {is_input: longest_delay(network, is_input) for is_input in (False, True)}
    return GeneralPlan(
        arithmetic, np.ascontiguousarray(neurons),
        np.concatenate([np.stack(start_states(la, m)) for la in network.layers], axis=1),
        np.array(layers, np.int64), np.array(connections, np.int64),
        np.concatenate(weights), 1 + delays[False], delays[True], readout_code(network.readout, network.output.spiking),
    )  # fmt: skip


def longest_delay(network: FixedNetwork, of_input: bool) -> int:
    """Of all connections from the input, or of all from layers."""
    connections = [c for layer in network.layers for c in layer.connections if (c.source == INPUT) == of_input]
    return max((c.delay for c in connections), default=0)


@kernel
def run_general(
    arithmetic: Int,
    neurons: Int,
    layers: Int,
    connections: Int,
    weights: Int,
    code: Int,
    x: NDArray[Any],
    first: int,
    last: Int,
    taken: int,
    u_all: Int,
    v_all: Int,
    fired_all: NDArray[np.uint8],
    readout_now: Int,
    decided_now: Int,
    readout: Int,
    decided: Int,
    overflows: Int,
    spikes: NDArray[np.uint8],
    counts: Int,
    trace_at: Int,
    trace: Int,
    readouts: Int,
) -> None:
    """Run ``x`` (samples, time, features) from step ``first`` on; before that is input that delays still bring.

    From one call to the next go on: ``u_all, v_all`` (samples, neurons); ``fired_all`` (samples, ring, neurons), where
    the spikes of step t stand in row t % ring, ``taken`` steps having been run before ``first``; ``readout_now``
    (samples, outputs), the readout after each step, and ``decided_now`` (samples,); ``overflows`` (samples, layers, 4).

    Outputs: ``readout`` (samples, outputs) and ``decided`` (samples,), as they are after step ``last`` of the sample;
    ``spikes`` (samples, time from ``first`` on, neurons) and ``counts`` (samples, neurons) up to step ``last``, each of
    size 0 where not wanted, else of zeros; ``trace`` (2, samples, time, traced neurons), where layer n's stand from
    ``trace_at[n]`` on (not traced where negative); ``readouts`` (samples, time, outputs) after each step, of no steps
    where not wanted. ``last`` counts as ``x`` does.
    """
    k, rounding, wrap_u, wrap_v = arithmetic[0], arithmetic[1], arithmetic[4], arithmetic[5]
    rounding_u, rounding_v, least = arithmetic[6], arithmetic[7], arithmetic[8]
    each, input_first = arithmetic[9], arithmetic[10]
    limit_u, limit_v = (np.int64(1) << (arithmetic[2] - 1)) - 1, (np.int64(1) << (arithmetic[3] - 1)) - 1
    total, ring = neurons.shape[1], fired_all.shape[1]
    count = layers.shape[0]
    acc = np.empty(total, np.int64)
    partial_sum = np.empty(total, np.int64)
    output = layers[count - 1, 0]
    charged, answer = np.zeros(total - output, np.int64), np.zeros(total - output, np.int64)
    for sample in range(x.shape[0]):
        u, v, fired = u_all[sample], v_all[sample], fired_all[sample]
        for t in range(first, x.shape[1]):
            step = taken + t - first
            now = step % ring
            for layer in range(count):
                begin, end, shift = layers[layer, 0], layers[layer, 1], layers[layer, 2]
                hard, to_soma, spiking = layers[layer, 3], layers[layer, 4], layers[layer, 5]
                size = end - begin
                most = arithmetic[11] if layer < count - 1 else 1
                acc[:size] = 0
                if each:
                    begin_addends(
                        u,
                        v,
                        neurons,
                        begin,
                        to_soma,
                        arithmetic,
                        limit_u,
                        limit_v,
                        acc[:size],
                        overflows[sample, layer],
                    )
                for c in range(layers[layer, 6], layers[layer, 7]):
                    source, delay, exponent, first_weight = (
                        connections[c, 0],
                        connections[c, 1],
                        connections[c, 2],
                        connections[c, 3],
                    )
                    if delay > step + (source >= 0):  # layers fired just before the first step too
                        continue
                    partial_sum[:size] = 0
                    shape = connections[c, 4:]
                    is_convolution = shape[OUTPUTS] > 0
                    if each:
                        then = (step - delay) % ring
                        offset = layers[source, 0] if source >= 0 else 0
                        width = layers[source, 1] - offset if source >= 0 else x.shape[2]
                        for j in range(width):
                            value = (
                                np.int64(fired[then, offset + j]) if source >= 0 else np.int64(x[sample, t - delay, j])
                            )
                            if value == 0:
                                continue
                            if is_convolution:
                                partial_sum[:size] = 0
                                scatter(partial_sum, value, j, shape, weights[first_weight:])
                            else:
                                row = weights[first_weight + j * size : first_weight + (j + 1) * size]
                                for n in range(size):
                                    partial_sum[n] = value * row[n]
                            overflows[sample, layer, to_soma] += add_source(
                                acc[:size], partial_sum, shape[OUTPUTS], shape[POSITIONS], exponent, shift, rounding,
                                limit_v if to_soma else limit_u, wrap_v if to_soma else wrap_u,
                            )  # fmt: skip
                        continue
                    if source < 0:
                        for j in range(x.shape[2]):
                            value = np.int64(x[sample, t - delay, j])
                            if value != 0 and is_convolution:
                                scatter(partial_sum, value, j, shape, weights[first_weight:])
                            elif value != 0:
                                row = weights[first_weight + j * size : first_weight + (j + 1) * size]
                                for n in range(size):
                                    partial_sum[n] += value * row[n]
                    else:
                        then, offset = (step - delay) % ring, layers[source, 0]
                        for j in range(layers[source, 1] - offset):
                            value = np.int64(fired[then, offset + j])
                            if value == 0:
                                continue
                            if is_convolution:
                                scatter(partial_sum, value, j, shape, weights[first_weight:])
                            elif value == 1:
                                row = weights[first_weight + j * size : first_weight + (j + 1) * size]
                                for n in range(size):
                                    partial_sum[n] += row[n]
                            else:
                                row = weights[first_weight + j * size : first_weight + (j + 1) * size]
                                for n in range(size):
                                    partial_sum[n] += value * row[n]
                    if is_convolution:
                        outputs, positions = shape[OUTPUTS], shape[POSITIONS]
                        for n in range(size):
                            acc[n] += partial_sum[n % positions * outputs + n // positions] << exponent
                    else:
                        for n in range(size):
                            acc[n] += partial_sum[n] << exponent
                fired[now, begin:end] = 0
                for n in range(begin, end):
                    if each:
                        new_u, new_v, changed_u, changed_v = end_addends(
                            u[n], v[n], acc[n - begin], neurons[:, n], to_soma, arithmetic, limit_u, limit_v
                        )
                        overflows[sample, layer, 0] += changed_u
                        overflows[sample, layer, 1] += changed_v
                    else:
                        i = acc[n - begin] << shift if shift >= 0 else rounded(acc[n - begin], -shift, rounding)
                        i_u, i_v = (0, i) if to_soma else (i, 0)
                        old_u, old_v = u[n], v[n]
                        if input_first and not to_soma:
                            wide = old_u + i_u
                            old_u, i_u = overflowed(wide, limit_u, wrap_u), 0
                            overflows[sample, layer, 0] += old_u != wide
                        wide = (
                            decayed(old_u, neurons[A_U, n], k, rounding_u, least)
                            + rounded(neurons[B_U, n] * old_v, k, rounding_u) + i_u + neurons[BIAS_U, n]
                        )  # fmt: skip
                        new_u = overflowed(wide, limit_u, wrap_u)
                        overflows[sample, layer, 0] += new_u != wide
                        if input_first and to_soma:
                            wide = old_v + i_v
                            old_v, i_v = overflowed(wide, limit_v, wrap_v), 0
                            overflows[sample, layer, 1] += old_v != wide
                        wide = (
                            decayed(old_v, neurons[A_V, n], k, rounding_v, least)
                            + rounded(neurons[B_V, n] * new_u, k, rounding_v) + i_v + neurons[BIAS_V, n]
                        )  # fmt: skip
                        new_v = overflowed(wide, limit_v, wrap_v)
                        overflows[sample, layer, 1] += new_v != wide
                    if layer == count - 1:
                        charged[n - begin] = new_v
                        answer[n - begin] = spiking and new_v >= neurons[THRESHOLD, n]
                    times = 0
                    while spiking and times < most and new_v >= neurons[THRESHOLD, n]:
                        times += 1
                        if hard:
                            new_v = neurons[V_RESET, n]
                        else:
                            wide = new_v - (neurons[R_V, n] + rounded(neurons[Q, n] * new_u, k, rounding))
                            new_v = overflowed(wide, limit_v, wrap_v)
                            overflows[sample, layer, 3] += new_v != wide
                        wide = new_u - neurons[R_U, n]
                        new_u = overflowed(wide, limit_u, wrap_u)
                        overflows[sample, layer, 2] += new_u != wide
                        if hard:
                            break
                    if times:
                        fired[now, n] = times
                        if spikes.size:
                            spikes[sample, t - first, n] = times
                        if counts.size and t <= last[sample]:
                            counts[sample, n] += times
                    u[n], v[n] = new_u, new_v
                if trace_at[layer] >= 0:
                    at = trace_at[layer]
                    trace[0, sample, t - first, at : at + size] = u[begin:end]
                    trace[1, sample, t - first, at : at + size] = v[begin:end]
            read_step(
                code, step, v[output:], charged, answer, neurons[THRESHOLD, output:], False, readout_now[sample],
                decided_now[sample : sample + 1],
            )  # fmt: skip
            if t == last[sample]:
                readout[sample], decided[sample] = readout_now[sample], decided_now[sample]
            if readouts.shape[1]:
                readouts[sample, t - first] = readout_now[sample] if t <= last[sample] else readout[sample]


@kernel
def step_general(
    arithmetic: Int,
    neurons: Int,
    layers: Int,
    connections: Int,
    weights: Int,
    code: Int,
    limit: int,
    x: Int,
    last: Int,
    taken: int,
    u_all: Int,
    v_all: Int,
    fired_all: NDArray[np.uint8],
    readout_now: Int,
    decided_now: Int,
    readout: Int,
    decided: Int,
    overflows: Int,
    spikes: NDArray[np.uint8],
    counts: Int,
    trace_at: Int,
    trace: Int,
    readouts: Int,
) -> bool:
    """`run_general` for the last step of ``x`` alone, or False, and nothing done, where that is beyond ``limit``."""
    now = x.shape[1] - 1
    for sample in range(x.shape[0]):
        for j in range(x.shape[2]):
            if x[sample, now, j] > limit or x[sample, now, j] < -limit:
                return False
    run_general(
        arithmetic, neurons, layers, connections, weights, code, x, now, last, taken, u_all, v_all, fired_all,
        readout_now, decided_now, readout, decided, overflows, spikes, counts, trace_at, trace, readouts,
    )  # fmt: skip
    return True
