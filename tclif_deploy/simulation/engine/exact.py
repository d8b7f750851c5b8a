"""Fixed-point networks on the float64 kernels, where these are exact.

Integers below 2^53, their sums, and a product divided by a power of two fit a float64; `plan_exact` checks once that no
number of a network can pass that as long as its states stay in their range, and a block of samples in which one leaves
it runs again in `general`. So convolutions, feedback between layers, states of more than 24 bits and traces, which the
fast kernels do not cover, run on vectors too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.convolution import LinearMap
from tclif_deploy.fixed import FixedLayer, FixedNetwork, Int
from tclif_deploy.network import INPUT
from tclif_deploy.readout import RunningReadout
from tclif_deploy.simulation.engine.block import counted, unpack
from tclif_deploy.simulation.engine.float_plan import (
    NEURON_ROWS,
    FloatLayer,
    FloatPlan,
    firing_threshold,
    rounding_choice,
)
from tclif_deploy.simulation.engine.float_run import Block, Variant, run_blocks
from tclif_deploy.simulation.engine.float_tile import A_U, A_V, THRESHOLD, TRACED_U, TRACED_V, Choice, Q
from tclif_deploy.simulation.engine.floating import read_block
from tclif_deploy.simulation.engine.outputs import Outputs
from tclif_deploy.simulation.engine.scatter import shape_of, weights_of
from tclif_deploy.simulation.reference import start_states
from tclif_deploy.simulation.result import check_input

EXACT_BITS = 52
"""float64 holds every integer of so many bits and a half beside it"""
FEWEST_NEURON_STEPS = 1 << 16
"""for fewer, making kernels and laying numbers out takes longer than the general kernel takes"""


def plan_exact(network: FixedNetwork) -> FloatPlan | None:
    """The plan of ``network``, or None where float64 might not hold one of its numbers."""
    if network.arithmetic.unusual:
        return None
    layers = [_exact_layer(network, layer) for layer in network.layers]
    if any(layer is None for layer in layers):
        return None
    return FloatPlan(network.input.size, layers)  # type: ignore[arg-type]


def _exact_layer(network: FixedNetwork, layer: FixedLayer) -> FloatLayer | None:
    m = network.arithmetic
    constants = np.stack([getattr(layer, name).astype(np.float64) for name in NEURON_ROWS])
    coefficients = np.abs(constants[: Q + 1]).max()
    state, most = 2.0 ** (max(m.bits_u, m.bits_v) - 1), 2.0**EXACT_BITS
    current = sum(_largest_sum(network, c) * 2.0**c.exponent for c in layer.connections)
    whole = current * 2.0 ** max(layer.shift, 0)
    if max(coefficients * state * 2, whole + 4 * coefficients * state / m.one + np.abs(constants).max()) >= most:
        return None
    if layer.shift < -EXACT_BITS:
        return None
    choices = Choice.ROUNDED | Choice.PEAKS | rounding_choice(m.rounding)
    choices |= Choice.HARD * (layer.reset == "hard") | Choice.TO_SOMA * (layer.input_to == "soma")
    choices |= Choice.GENERAL * bool((constants[[A_U, A_V]] != m.one).any() or constants[Q].any())
    constants[: Q + 1] /= m.one
    constants[THRESHOLD] = firing_threshold(constants[THRESHOLD], False, layer.spiking)
    return FloatLayer(
        layer.name, constants, np.stack(start_states(layer, m)).astype(np.float64), layer.s0 == 1, Choice(choices),
        np.array([2.0**layer.shift, 0.0, 0.0]),
        tuple(c.source for c in layer.connections), tuple(c.delay for c in layer.connections),
        tuple(shape_of(c) for c in layer.connections),
        tuple(weights_of(c) * 2.0**c.exponent for c in layer.connections),
        tuple(c.sources for c in layer.connections),
    )  # fmt: skip


def _largest_sum(network: FixedNetwork, connection: LinearMap) -> float:
    """What the sum of one step cannot pass."""
    rows = np.abs(connection.shared_rows.astype(np.float64)).sum(axis=1).max()
    return float(rows) * (network.input.limit if connection.source == INPUT else 1.0)


def run_exact(plan: FloatPlan, out: Outputs, x: NDArray[Any], last: Int, jobs: int | None) -> list[slice]:
    """Run all samples of ``x``, read at steps ``last`` (samples,), and write their rows of ``out``; returns those that
    must run again, since a state of one of them left its range."""
    network = out.network
    m, layers = network.arithmetic, network.layers
    samples, time, _ = x.shape
    traced = {n for n in range(len(layers)) if out.trace_at[n] >= 0}
    limits = np.array([2.0 ** (bits - 1) - 1 for bits in (m.bits_u, m.bits_v)])
    answer = RunningReadout(
        network.readout, network.output.threshold.astype(np.float64), samples=samples, dtype=np.float64,
        spiking=network.output.spiking, time=out.readouts.shape[1],
    )  # fmt: skip
    again: list[slice] = []

    def keep(block: Block) -> None:
        at = block.at
        if any((peaks > limits[:, None]).any() for peaks in block.peaks):
            again.append(at)
            return
        for n, layer in enumerate(layers):
            out.u[n][at], out.v[n][at] = block.state(n, layer.size)
            if out.keeps_spikes(layer):
                out.spikes[n][at] = unpack(block.masks[n], layer.size)
            if out.keeps_counts(layer):
                out.counts[n][at] = counted(block.masks[n], 0, last[at], layer.size)
            if n in traced:
                columns = slice(out.trace_at[n], out.trace_at[n] + layer.size)
                for row, of in enumerate((TRACED_U, TRACED_V)):
                    out.trace[row, at, :, columns] = block.traces[n][:, :, of, : layer.size]
        read_block(network.readout, answer, network.output.size, network.output.spiking, last, block)
        out.readout[at], out.decided[at], out.readouts[at] = answer.value[at], answer.decided[at], answer.steps[at]

    variant = Variant(plan, lambda at: check_input(network, x[at]).astype(np.float64), keep)
    run_blocks([variant], samples, time, traced | {len(layers) - 1}, jobs)
    return again
