"""The float network with some of its numbers quantized: what tells which of them an error comes from.

Everything is counted in the fixed-point network's LSBs, in float64. With no part quantized this is the float network
(but for the last bits of float64), with every part it is the fixed-point network, exactly, as long as its products
stay below 2^53.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.fixed import COEFFICIENTS, FixedConnection, FixedLayer, FixedNetwork
from tclif_deploy.jit import helper, kernel
from tclif_deploy.network import INPUT, Connection, Float, Layer, Network
from tclif_deploy.readout import decide
from tclif_deploy.simulation.engine.readout import read_step, readout_code
from tclif_deploy.simulation.floating import float_readout
from tclif_deploy.simulation.result import check_lengths

Part = Literal["weights", "coefficients", "states", "thresholds", "bias", "input"]

LAYER_PARTS: tuple[Part, ...] = ("weights", "coefficients", "states", "thresholds", "bias")
"""what is quantized in a layer: its weights, with what calibration added to its bias for their sake; a, b and q; the
states, by rounding every product and by their width; the threshold, the resets, v(0) and a readout's multipliers; the
bias"""
INPUT_PART: tuple[str, Part] = (INPUT, "input")
"""the input's integers, as a part of the network"""

ROUNDINGS = ("toward_zero", "floor", "nearest")
BATCH = 16
"""samples that a thread takes at a time"""


@dataclass(frozen=True, eq=False)
class MixedResult:
    """Outcome of a mixed run."""

    readout: Float
    """in the float network's units; (samples, classes)"""
    classes: NDArray[np.int64]
    spikes: NDArray[np.bool_]
    """(samples, time, neurons of all layers), or of no steps"""
    probed: Float
    """u and v before any reset, in LSBs; (2,)"""
    peaks: Float
    """largest |u| and |v| met before or after a reset, in the float network's units; (2, neurons of all layers)"""


def parts_of(network: Network) -> tuple[tuple[str, Part], ...]:
    """Everything that can be quantized: (layer, part), the input's first."""
    return (INPUT_PART, *((layer.name, part) for layer in network.layers for part in LAYER_PARTS))


def simulate_mixed(
    network: Network,
    fixed: FixedNetwork,
    data: Dataset,
    quantized: Collection[tuple[str, Part]],
    *,
    spikes: bool = False,
    probe: tuple[int, int, int] = (-1, 0, 0),
    jobs: int = 2,
) -> MixedResult:
    """Run ``data`` through ``network`` with the ``quantized`` parts of it as in ``fixed``.

    ``probe`` (layer's index, neuron, step) names the state that `MixedResult.probed` is, of the last sample.

    Examples
    --------
    >>> from tclif_deploy import load, load_data, quantize, simulate
    >>> network, test = load("fixtures/spoken_digits/checkpoint.pth.tar"), load_data("fixtures/spoken_digits/test.npz")
    >>> fixed = quantize(network, "loihi2", "fixtures/spoken_digits/calibration.npz")
    >>> result = simulate_mixed(network, fixed, test, parts_of(network))
    >>> bool((result.readout == simulate(fixed, test).readout * fixed.output.lsb_v).all())
    True
    """
    m, chosen = fixed.arithmetic, frozenset(quantized)
    encoded, _ = fixed.input.encode(data.x, data.scale)
    x = encoded if INPUT_PART in chosen else data.values() / fixed.input.lsb
    x = np.ascontiguousarray(x, np.float64)
    last = check_lengths(data.lengths, data.samples, data.time) - 1
    starts = np.cumsum([0, *(layer.size for layer in fixed.layers)])
    index = {INPUT: -1, **{layer.name: n for n, layer in enumerate(fixed.layers)}}
    numbers, flags, connections, weights = [], [], [], []
    offset = 0
    for n, (original, layer) in enumerate(zip(network.layers, fixed.layers, strict=True)):
        on = {part for name, part in chosen if name == layer.name}
        own, matrices = layer_numbers(original, layer, fixed, on)
        numbers.append(own)
        strict = original.neuron.strict and "thresholds" not in on
        flags.append(
            (starts[n], layer.size, layer.spiking, layer.reset == "hard", layer.input_to == "soma", strict,
             "states" in on)
        )  # fmt: skip
        for c, matrix in zip(layer.connections, matrices, strict=True):
            connections.append((n, index[c.source], c.delay, offset, matrix.shape[1]))
            weights.append(matrix.T.ravel())
            offset += matrix.size
    limits = (2.0 ** (m.bits_u - 1), 2.0 ** (m.bits_v - 1), m.overflow_u == "wrap", m.overflow_v == "wrap")
    neurons = int(starts[-1])
    out, rule = fixed.output, fixed.readout
    readout = np.zeros((data.samples, rule.outputs(out.size)))
    decided = np.full(data.samples, -1, np.int64)
    waits_for = _decision_threshold(network, fixed, (out.name, "thresholds") in chosen)
    strict = network.layers[-1].neuron.strict and out.spiking and (out.name, "thresholds") not in chosen
    code = readout_code(rule, out.spiking)
    kept = np.zeros((data.samples, data.time, neurons) if spikes else (data.samples, 0, neurons), np.uint8)
    peaks = np.zeros((-(-data.samples // BATCH), 2, neurons))
    probed = np.zeros(2)
    probed_at = (int(starts[probe[0]]) + probe[1] if probe[0] >= 0 else -1, probe[2])
    arguments = (
        np.concatenate(weights), np.array(connections, np.int64), np.concatenate(numbers, axis=1),
        np.array(flags, np.int64), np.array([2.0**layer.shift for layer in fixed.layers]),
        ROUNDINGS.index(m.rounding), limits,
    )  # fmt: skip

    def run(start: int) -> None:
        batch = slice(start, start + BATCH)
        _run(
            x[batch], *arguments, last[batch], code, waits_for, strict, readout[batch], decided[batch], kept[batch],
            peaks[start // BATCH], probed, *probed_at,
        )  # fmt: skip

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run, range(0, data.samples, BATCH)))
    unit = fixed.readout_unit
    compared = fixed.readout_multiplier if not fixed.counts_spikes and (out.name, "thresholds") in chosen else unit
    lsb = np.stack([np.concatenate([getattr(la, name) for la in fixed.layers]) for name in ("lsb_u", "lsb_v")])
    return MixedResult(
        readout * unit / rule.divisor(last + 1)[:, None], decide(rule, readout, compared, waits_for, strict),
        kept.astype(np.bool_), probed, peaks.max(axis=0) * lsb,
    )  # fmt: skip


def _decision_threshold(network: Network, fixed: FixedNetwork, quantized: bool) -> Float:
    """What a rule that waits for a threshold compares the last layer's soma with, in LSBs, (neurons,)."""
    if quantized:
        return fixed.output.threshold.astype(np.float64)
    return np.asarray(float_readout(fixed.readout, network.layers[-1], 0).threshold / fixed.output.lsb_v)


def layer_numbers(
    original: Layer, layer: FixedLayer, fixed: FixedNetwork, on: Collection[Part]
) -> tuple[Float, tuple[Float, ...]]:
    """What a layer computes with when the parts ``on`` are quantized: `_numbers`, and each connection's weights."""
    connections = zip(original.connections, layer.connections, strict=True)
    return _numbers(original, layer, fixed, on), tuple(
        _weights(a, b, layer, fixed, "weights" in on) for a, b in connections
    )


def _numbers(original: Layer, layer: FixedLayer, fixed: FixedNetwork, on: Collection[Part]) -> Float:
    """a_u, b_u, a_v, b_v, q, threshold, r_u, r_v, v_reset, bias_u, bias_v, v0 as (12, neurons), in LSBs."""

    def counted(name: str, part: Part) -> Float:
        if part in on:
            return np.asarray(getattr(layer, name), np.float64)
        return fixed.from_real(layer, name, getattr(original.neuron, name))

    rows = [counted(name, "coefficients") / fixed.arithmetic.one for name in COEFFICIENTS]
    rows += [counted(name, "thresholds") for name in ("threshold", "r_u", "r_v", "v_reset")]
    for name in ("bias_u", "bias_v"):
        exact = fixed.from_real(layer, name, getattr(original.neuron, name))
        rounded = np.rint(exact)
        own = rounded if "bias" in on else exact
        rows.append(own + (getattr(layer, name) - rounded if "weights" in on else 0.0))
    return np.stack([*rows, counted("v0", "thresholds")])


def _weights(
    original: Connection, quantized: FixedConnection, layer: FixedLayer, fixed: FixedNetwork, on: bool
) -> Float:
    """Weights in units of the accumulator, (neurons, sources)."""
    if on:
        return quantized.matrix().astype(np.float64) * 2.0**quantized.exponent
    return np.asarray(original.matrix() * (fixed.source_unit(original.source) / layer.accumulator_lsb)[:, None])


@helper
def _rnd(p, rounding):  # type: ignore[no-untyped-def]
    if rounding == 0:
        return np.trunc(p)
    return np.floor(p) if rounding == 1 else np.floor(p + 0.5)


@helper
def _ovf(value, half_range, wrap):  # type: ignore[no-untyped-def]
    if wrap:
        return value - 2.0 * half_range * np.floor((value + half_range) / (2.0 * half_range))
    return min(max(value, 1.0 - half_range), half_range - 1.0)


@helper
def _add(row, acc):  # type: ignore[no-untyped-def]
    for n in range(len(acc)):
        acc[n] += row[n]


@helper
def _charge(numbers, acc, u, v, scale, to_soma):  # type: ignore[no-untyped-def]
    into_u, into_v = (0.0, scale) if to_soma else (scale, 0.0)
    a_u, b_u, a_v, b_v, bias_u, bias_v = numbers[0], numbers[1], numbers[2], numbers[3], numbers[9], numbers[10]
    for n in range(len(u)):
        u[n] = a_u[n] * u[n] + b_u[n] * v[n] + bias_u[n] + into_u * acc[n]
        v[n] = a_v[n] * v[n] + b_v[n] * u[n] + bias_v[n] + into_v * acc[n]


@helper
def _charge_rounded(  # type: ignore[no-untyped-def]
    numbers, acc, u, v, scale, to_soma, rounding, limit_u, limit_v, wrap_u, wrap_v
):
    into_u, into_v = (0.0, 1.0) if to_soma else (1.0, 0.0)
    a_u, b_u, a_v, b_v, bias_u, bias_v = numbers[0], numbers[1], numbers[2], numbers[3], numbers[9], numbers[10]
    for n in range(len(u)):
        current = _rnd(acc[n] * scale, rounding)
        charged = _rnd(a_u[n] * u[n], rounding) + _rnd(b_u[n] * v[n], rounding)
        u[n] = _ovf(charged + bias_u[n] + into_u * current, limit_u, wrap_u)
        charged = _rnd(a_v[n] * v[n], rounding) + _rnd(b_v[n] * u[n], rounding)
        v[n] = _ovf(charged + bias_v[n] + into_v * current, limit_v, wrap_v)


@helper
def _widen(peaks, values):  # type: ignore[no-untyped-def]
    for n in range(len(values)):
        peaks[n] = max(peaks[n], abs(values[n]))


@kernel
def _run(  # type: ignore[no-untyped-def]
    x, weights, connections, numbers, flags, scales, rounding, limits, last, code, waits_for, decides_above, readout,
    decided, kept, peaks, probed, probed_neuron, probed_step,
) -> Any:  # fmt: skip
    """Every sample of ``x`` (samples, time, features); fills ``readout``, ``peaks`` and ``kept``, if that has steps."""
    samples, time, features = x.shape
    layers, neurons = flags.shape[0], numbers.shape[1]
    history = np.zeros((time, neurons), np.uint8)
    acc, u, v = np.zeros(neurons), np.zeros(neurons), np.zeros(neurons)
    output = flags[layers - 1, 0]
    charged = np.zeros(neurons - output)

    for sample in range(samples):
        history[:] = 0
        for n in range(neurons):
            u[n], v[n] = 0.0, numbers[11, n]
        for t in range(time):
            for layer in range(layers):
                start, size, spiking, hard, to_soma, strict, rounded = flags[layer]
                own = slice(start, start + size)
                acc_, u_, v_ = acc[:size], u[own], v[own]
                acc_[:] = 0.0
                for connection in range(connections.shape[0]):
                    target, source, delay, offset, width = connections[connection]
                    if target != layer or t < delay:
                        continue
                    if source < 0:
                        for j in range(features):
                            value = x[sample, t - delay, j]
                            if value != 0.0:
                                row = weights[offset + j * size : offset + (j + 1) * size]
                                for n in range(len(acc_)):
                                    acc_[n] += row[n] * value
                    else:
                        first = flags[source, 0]
                        for j in range(width):
                            if history[t - delay, first + j]:
                                _add(weights[offset + j * size : offset + (j + 1) * size], acc_)
                if rounded:
                    _charge_rounded(numbers[:, own], acc_, u_, v_, scales[layer], to_soma, rounding, *limits)
                else:
                    _charge(numbers[:, own], acc_, u_, v_, scales[layer], to_soma)
                _widen(peaks[0, own], u_)
                _widen(peaks[1, own], v_)
                if t == probed_step and start <= probed_neuron < start + size:
                    probed[0], probed[1] = u[probed_neuron], v[probed_neuron]
                if layer == layers - 1:
                    charged[:] = v_
                if not spiking:
                    continue
                for n in range(start, start + size):
                    if v[n] < numbers[5, n] or (strict and v[n] == numbers[5, n]):
                        continue
                    history[t, n] = 1
                    if hard:
                        v[n] = numbers[8, n]
                        continue
                    taken = numbers[4, n] * u[n]
                    v[n] -= numbers[7, n] + (_rnd(taken, rounding) if rounded else taken)
                    u[n] -= numbers[6, n]
                    if rounded:
                        u[n], v[n] = _ovf(u[n], limits[0], limits[2]), _ovf(v[n], limits[1], limits[3])
                _widen(peaks[0, own], u_)
                _widen(peaks[1, own], v_)
            if t <= last[sample]:
                read_step(
                    code,
                    t,
                    v[output:],
                    charged,
                    history[t, output:],
                    waits_for,
                    decides_above,
                    readout[sample],
                    decided[sample : sample + 1],
                )
        if kept.shape[1]:
            kept[sample] = history
