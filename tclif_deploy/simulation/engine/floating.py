"""Runs of the float network on compiled kernels, equal to `tclif_deploy.simulation.float_session` in every bit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.fixed import Int
from tclif_deploy.network import Network
from tclif_deploy.readout import Readout, RunningReadout
from tclif_deploy.simulation.engine.block import counted, unpack
from tclif_deploy.simulation.engine.float_layers import read
from tclif_deploy.simulation.engine.float_plan import FloatPlan, plan_float
from tclif_deploy.simulation.engine.float_run import Block, Peaks, Variant, run_blocks
from tclif_deploy.simulation.engine.float_tile import TRACED_U, TRACED_V
from tclif_deploy.simulation.engine.readout import readout_code
from tclif_deploy.simulation.float_result import FloatResult, float_readout, float_result

_plans: WeakKeyDictionary[Network, FloatPlan] = WeakKeyDictionary()


def run_float(
    network: Network,
    x: NDArray[Any],
    scale: float,
    last: Int,
    rules: Sequence[Readout],
    spikes: bool,
    counts: bool,
    traces: Collection[str],
    readouts: bool,
    jobs: int | None,
) -> FloatResult:
    """``x`` (samples, time, features) times ``scale``, checked, read up to steps ``last`` (samples,) by ``rules``."""
    samples, time, _ = x.shape
    layers, out = network.layers, network.layers[-1]
    plan = _plans.get(network)
    if plan is None:
        plan = _plans[network] = plan_float(network)
    spiking = {n: layer for n, layer in enumerate(layers) if layer.neuron.spiking}
    kept = {n: np.empty((samples, time, la.size), np.bool_) for n, la in spiking.items() if spikes}
    fired = {n: np.empty((samples, la.size), np.int64) for n, la in spiking.items() if counts}
    traced = {name: np.empty((2, samples, time, network.layer(name).size)) for name in traces}
    answers = [float_readout(rule, out, samples, time * readouts) for rule in rules]

    peaks = Peaks(plan)

    def keep(block: Block) -> None:
        at = block.at
        peaks.add(block)
        for n, array in kept.items():
            array[at] = unpack(block.masks[n], array.shape[2])
        for n, sums in fired.items():
            sums[at] = counted(block.masks[n], 0, last[at], sums.shape[1])
        for n, layer in enumerate(layers):
            if layer.name in traced:
                for row, of in enumerate((TRACED_U, TRACED_V)):
                    traced[layer.name][row, at] = block.traces[n][:, :, of, : layer.size]
        for rule, answer in zip(rules, answers, strict=True):
            read_block(rule, answer, out.size, out.neuron.spiking, last, block)

    wanted = {n for n, layer in enumerate(layers) if layer.name in traced} | {len(layers) - 1}
    variant = Variant(plan, lambda at: x[at].astype(np.float64) * scale, keep)
    run_blocks([variant], samples, time, wanted, jobs)
    return float_result(
        rules, answers, 0, last,
        spikes={layers[n].name: array for n, array in kept.items()},
        peaks={layer.name: each for layer, each in zip(layers, peaks.by_layer(), strict=True)},
        traces=traced,
        counts={layers[n].name: sums for n, sums in fired.items()},
    )  # fmt: skip


def read_block(rule: Readout, answer: RunningReadout, size: int, spiking: bool, last: Int, block: Block) -> None:
    """Fill a block's rows of ``answer``, read up to steps ``last`` (samples,)."""
    trace, at = block.traces[-1], block.at
    if rule.rule != "softmax":
        read(
            readout_code(rule, spiking), size, last[at], block.masks[-1], trace, answer.threshold, answer.strict,
            answer.value[at], answer.decided[at], answer.steps[at],
        )  # fmt: skip
        return
    mine = RunningReadout(
        rule, answer.threshold, samples=at.stop - at.start, dtype=np.float64, time=answer.steps.shape[1]
    )
    for t in range(trace.shape[1]):
        mine.add(t, t <= last[at], trace[:, t, TRACED_V, :size])
    answer.value[at], answer.steps[at] = mine.value, mine.steps
