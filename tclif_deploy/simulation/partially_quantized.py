"""The float network with some of its numbers quantized: what tells which of them an error comes from.

Everything is counted in the fixed-point network's LSBs, in float64. With no part quantized this is the float network
(but for the last bits of float64), with every part it is the fixed-point network, exactly, as long as its products
stay below 2^53.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.fixed import COEFFICIENTS, Arithmetic, FixedConnection, FixedLayer, FixedNetwork
from tclif_deploy.network import Connection, Float, Layer, Network
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.readout import RunningReadout
from tclif_deploy.simulation.engine.block import unpack
from tclif_deploy.simulation.engine.float_plan import (
    NEURON_ROWS,
    FloatLayer,
    FloatPlan,
    PlannedLayer,
    choices_of,
    firing_threshold,
    rounding_choice,
)
from tclif_deploy.simulation.engine.float_run import Block, Peaks, Variant, run_blocks
from tclif_deploy.simulation.engine.float_tile import CHARGED_U, CHARGED_V, Choice
from tclif_deploy.simulation.engine.floating import read_block
from tclif_deploy.simulation.engine.scatter import flat, shape_of
from tclif_deploy.simulation.float_result import float_readout
from tclif_deploy.simulation.quantized_parts import INPUT_PART, Part
from tclif_deploy.simulation.result import check_lengths

ROWS = ("a_u", "b_u", "a_v", "b_v", "q", "threshold", "r_u", "r_v", "v_reset", "bias_u", "bias_v", "v0", "u0", "s0")
"""a neuron's numbers, in the order of `layer_numbers`"""


Values = Callable[[slice], NDArray[Any]]
"""a block's input, (samples, time, features)"""


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
    """largest |u| and |v| met before or after a reset, in the float network's units; (2, neurons of all layers);
    without meaning where they were not asked for"""


def simulate_mixed(
    network: Network,
    fixed: FixedNetwork,
    data: Dataset,
    quantized: Collection[tuple[str, Part]],
    *,
    spikes: bool = False,
    peaks: bool = True,
    probe: tuple[int, int, int] = (-1, 0, 0),
    jobs: int = 2,
) -> MixedResult:
    """Run ``data`` through ``network`` with the ``quantized`` parts of it as in ``fixed``; without ``peaks`` a little
    faster.

    ``probe`` (layer's index, neuron, step) names the state that `MixedResult.probed` is, of the last sample.

    Examples
    --------
    >>> from tclif_deploy import load, load_data, quantize, simulate
    >>> from tclif_deploy.simulation.quantized_parts import parts_of
    >>> network, test = load("fixtures/spoken_digits/checkpoint.pth.tar"), load_data("fixtures/spoken_digits/test.npz")
    >>> fixed = quantize(network, "loihi2", "fixtures/spoken_digits/calibration.npz")
    >>> result = simulate_mixed(network, fixed, test, parts_of(network))
    >>> bool((result.readout == simulate(fixed, test).readout * fixed.output.lsb_v).all())
    True
    """
    mixture = _Mixture(network, fixed, data)
    kept = np.empty((data.samples, data.time if spikes else 0, mixture.starts[-1]), np.bool_)
    layer_probed, neuron, step = probe
    probed = np.zeros(2)
    outcome = mixture.outcome(frozenset(quantized))
    largest = Peaks(outcome.plan)

    def keep(block: Block) -> None:
        if peaks:
            largest.add(block)
        if spikes:
            for n, layer in enumerate(fixed.layers):
                kept[block.at, :, mixture.starts[n] : mixture.starts[n + 1]] = unpack(block.masks[n], layer.size)
        if layer_probed >= 0 and block.at.stop == data.samples:
            probed[:] = block.traces[layer_probed][-1, step, [CHARGED_U, CHARGED_V], neuron]
        outcome.read(block)

    traced = {len(fixed.layers) - 1, *([layer_probed] if layer_probed >= 0 else [])}
    run_blocks([Variant(outcome.plan, outcome.values, keep)], data.samples, data.time, traced, jobs, with_peaks=peaks)
    lsb = np.stack([np.concatenate([getattr(la, name) for la in fixed.layers]) for name in ("lsb_u", "lsb_v")])
    return MixedResult(
        outcome.readout(), outcome.classes(), kept, probed, np.concatenate(largest.by_layer(), axis=1) * lsb
    )


def decide_mixed(
    network: Network,
    fixed: FixedNetwork,
    data: Dataset,
    quantized: Collection[frozenset[tuple[str, Part]]],
    *,
    progress: Progress = no_progress,
    jobs: int = 2,
) -> dict[frozenset[tuple[str, Part]], tuple[Float, NDArray[np.int64]]]:
    """Readout and classes, as in `MixedResult`, with each of the sets ``quantized``: `simulate_mixed` of each.

    All run together, block by block: where two sets have the same numbers in the first layers, these run once.
    ``progress`` counts sets in blocks.
    """
    mixture = _Mixture(network, fixed, data)
    outcomes = {chosen: mixture.outcome(chosen) for chosen in sorted(quantized, key=mixture.order)}
    done, lock = 0, threading.Lock()

    def keep(outcome: _Outcome, block: Block) -> None:
        nonlocal done
        outcome.read(block)
        with lock:
            done += block.at.stop - block.at.start
            progress(done, data.samples * len(outcomes))

    variants = [Variant(each.plan, each.values, partial(keep, each)) for each in outcomes.values()]
    run_blocks(variants, data.samples, data.time, {len(fixed.layers) - 1}, jobs, with_peaks=False)
    return {chosen: (outcome.readout(), outcome.classes()) for chosen, outcome in outcomes.items()}


class _Mixture:
    """What runs of the same networks on the same data share."""

    def __init__(self, network: Network, fixed: FixedNetwork, data: Dataset) -> None:
        self.network, self.fixed, self.data = network, fixed, data
        self.last = check_lengths(data.lengths, data.samples, data.time) - 1
        self.starts = np.cumsum([0, *(layer.size for layer in fixed.layers)])
        self._layers: dict[tuple[int, frozenset[Part]], FloatLayer] = {}
        self._planned: dict[FloatLayer, PlannedLayer] = {}
        self.encoded: Values = lambda at: fixed.input.encode(data.x[at], data.scale)[0]
        self.exact: Values = lambda at: data[at].values() / fixed.input.lsb

    def parts(self, n: int, chosen: Collection[tuple[str, Part]]) -> frozenset[Part]:
        """Those of layer ``n``."""
        return frozenset(part for name, part in chosen if name == self.fixed.layers[n].name)

    def order(self, chosen: Collection[tuple[str, Part]]) -> tuple[bool, list[list[Part]]]:
        """Sorted by this, sets with the same parts in the first layers stand side by side."""
        return INPUT_PART in chosen, [sorted(self.parts(n, chosen)) for n in range(len(self.fixed.layers))]

    def outcome(self, chosen: frozenset[tuple[str, Part]]) -> _Outcome:
        """Of a run with the parts ``chosen`` quantized, before it is run."""
        layers = [self._layer(n, self.parts(n, chosen)) for n in range(len(self.fixed.layers))]
        plan = FloatPlan(self.network.input_size, layers, self._planned)
        return _Outcome(self, plan, self.encoded if INPUT_PART in chosen else self.exact, chosen)

    def _layer(self, n: int, on: frozenset[Part]) -> FloatLayer:
        if (n, on) not in self._layers:
            self._layers[n, on] = _float_layer(self.network.layers[n], self.fixed.layers[n], self.fixed, on)
        return self._layers[n, on]


class _Outcome:
    """What comes of a run, block by block."""

    def __init__(
        self, mixture: _Mixture, plan: FloatPlan, values: Values, chosen: Collection[tuple[str, Part]]
    ) -> None:
        self.mixture, self.plan, self.values = mixture, plan, values
        network, fixed, out = mixture.network, mixture.fixed, mixture.fixed.output
        self.quantizes_threshold = (out.name, "thresholds") in chosen
        self.answer = RunningReadout(
            fixed.readout, _decision_threshold(network, fixed, self.quantizes_threshold), samples=mixture.data.samples,
            dtype=np.float64, spiking=out.spiking,
            strict=network.layers[-1].neuron.strict and out.spiking and not self.quantizes_threshold,
        )  # fmt: skip

    def read(self, block: Block) -> None:
        """Take what a block came to."""
        out = self.mixture.fixed.output
        read_block(self.mixture.fixed.readout, self.answer, out.size, out.spiking, self.mixture.last, block)

    def readout(self) -> Float:
        """`MixedResult.readout`."""
        fixed = self.mixture.fixed
        return np.asarray(
            self.answer.value * fixed.readout_unit / fixed.readout.divisor(self.mixture.last + 1)[:, None]
        )

    def classes(self) -> NDArray[np.int64]:
        """`MixedResult.classes`."""
        fixed = self.mixture.fixed
        quantized = not fixed.counts_spikes and self.quantizes_threshold
        return self.answer.classes(fixed.readout_multiplier if quantized else fixed.readout_unit)


def _float_layer(original: Layer, layer: FixedLayer, fixed: FixedNetwork, on: Collection[Part]) -> FloatLayer:
    """A layer with its parts ``on`` quantized, as the kernels take it."""
    m = fixed.arithmetic
    numbers, weights = layer_numbers(original, layer, fixed, on)
    rows = dict(zip(ROWS, numbers, strict=True))
    strict = original.neuron.strict and "thresholds" not in on
    rows["threshold"] = firing_threshold(rows["threshold"], strict, layer.spiking)
    scale = 2.0**layer.shift
    if "states" not in on:  # a power of two: what is not rounded is the same before and after
        weights = tuple(weight * scale for weight in weights)
    constants = np.stack([rows[name] for name in NEURON_ROWS])
    choices = choices_of(constants, layer.reset == "hard", layer.input_to == "soma", "states" in on)
    if "states" in on:
        choices |= Choice.BOUNDED | rounding_choice(m.rounding)
        choices |= Choice.WRAP_U * (m.overflow_u == "wrap") | Choice.WRAP_V * (m.overflow_v == "wrap")
    return FloatLayer(
        layer.name, constants, _start(layer, rows, m, "states" in on), rows["s0"] != 0,
        choices | Choice.BIAS_FIRST, np.array([scale, 2.0 ** (m.bits_u - 1), 2.0 ** (m.bits_v - 1)]),
        tuple(c.source for c in layer.connections), tuple(c.delay for c in layer.connections),
        tuple(shape_of(c) for c in layer.connections),
        tuple(flat(weight, c.conv) for weight, c in zip(weights, layer.connections, strict=True)),
        tuple(c.sources for c in layer.connections),
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
    """`ROWS` as (14, neurons), in LSBs but for s0."""

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
    return np.stack([*rows, *(counted(name, "thresholds") for name in ("v0", "u0", "s0"))])


def _start(layer: FixedLayer, rows: dict[str, Float], m: Arithmetic, quantized: bool) -> Float:
    """u and v at the beginning of the first step, (2, neurons): `reference.start_states` of what ``rows`` hold."""
    share = rows["q"] * rows["u0"]
    u, v = rows["u0"] - rows["r_u"], rows["v0"] - (rows["r_v"] + share)
    if quantized:
        share = np.trunc(share) if m.rounding == "toward_zero" else np.floor(share + 0.5 * (m.rounding == "nearest"))
        v = _within(rows["v0"] - (rows["r_v"] + share), m.bits_v, m.overflow_v)
        u = _within(u, m.bits_u, m.overflow_u)
    if layer.reset == "hard":
        v = rows["v_reset"]
    return np.where(rows["s0"] != 0, np.stack([u, v]), np.stack([rows["u0"], rows["v0"]]))


def _within(x: Float, bits: int, overflow: str) -> Float:
    """A state as its range holds it."""
    half = 2.0 ** (bits - 1)
    if overflow == "wrap":
        return np.asarray(x - 2 * half * np.floor((x + half) / (2 * half)))
    return np.asarray(np.clip(x, 1 - half, half - 1))


def _weights(
    original: Connection, quantized: FixedConnection, layer: FixedLayer, fixed: FixedNetwork, on: bool
) -> Float:
    """Weights in units of the accumulator, in the form of the connection's own: a convolution is a kernel, since its
    matrix would have a number for each pair of pixels."""
    if on:
        return quantized.weight.astype(np.float64) * 2.0**quantized.exponent
    unit = fixed.source_unit(original.source) / quantized.per_row(layer.accumulator_lsb)
    return np.asarray(original.weight * unit)
