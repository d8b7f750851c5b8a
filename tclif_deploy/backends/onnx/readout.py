"""The running value of a readout rule as ONNX nodes: `tclif_deploy.readout.RunningReadout`, in 64 bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tclif_deploy.backends.onnx.graph import OnnxGraphBuilder, State, column
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.readout import OF_SPIKES, SUMS

DECISION, STEPS = "decision", "steps"
"""states of a rule that waits for a threshold: the step that decided, or -1; steps until now; both (batch,)"""


@dataclass(frozen=True)
class OutputStep:
    """Tensors of the last layer in one step, (batch, neurons)."""

    v: str
    charged: str
    """the soma before its reset"""
    spikes: str | None


def accumulates(network: FixedNetwork) -> bool:
    """Whether each step changes the running value, instead of replacing it."""
    return running_name(network) is not None


def running_name(network: FixedNetwork) -> str | None:
    """What the step model calls the running value that it carries; None where a step alone says it."""
    readout = network.readout
    if readout.rule in OF_SPIKES:
        return "count"
    if readout.decides:
        return "charged"
    return "sum" if readout.rule in SUMS else "max" if readout.rule == "max" else None


def running_state(network: FixedNetwork, name: str) -> State:
    """The running value under a ``name``; before the first step it is 0, a maximum what no soma is below."""
    outputs = network.readout.outputs(network.output.size)
    least = min(-(1 << network.arithmetic.bits_v), int(network.output.v_reset.min()))
    start = np.full(outputs, least if network.readout.rule == "max" else 0, np.int64)
    return State(name, np.dtype(np.int64), (outputs,), start)


def decision_states(network: FixedNetwork) -> tuple[State, ...]:
    """What a rule that waits carries beside the running value."""
    starts = {DECISION: -1, STEPS: 0} if network.readout.decides else {}
    return tuple(State(name, np.dtype(np.int64), (), np.array(start, np.int64)) for name, start in starts.items())


def next_value(
    graph: OnnxGraphBuilder, network: FixedNetwork, step: OutputStep, before: str, reads: str | None = None
) -> tuple[str, dict[str, str]]:
    """(the running value after a step, the next `decision_states`); ``before`` is the value before it.

    ``reads`` is bool (batch,): of which samples a decision still counts (default: all).
    """
    readout = network.readout
    if readout.decides:
        return _decided(graph, network, graph.cast(step.charged, np.int64), before, reads)
    if readout.counts_spikes(network.output.spiking):
        assert step.spikes is not None
        fired = graph.cast(step.spikes, np.int64)
        if readout.votes > 1:
            # In a shape, 0 keeps the batch axis.
            shape = graph.constant([0, readout.outputs(network.output.size), readout.votes], np.int64)
            fired = graph.op("ReduceSum", graph.op("Reshape", fired, shape), graph.constant([2], np.int64), keepdims=0)
        return (fired if readout.rule == "step" else graph.op("Add", before, fired)), {}
    v = graph.cast(step.v, np.int64)
    if readout.rule in SUMS:
        return graph.op("Add", before, v), {}
    if readout.rule == "max":
        # onnxruntime's Max looks at the low half of an int64; its comparisons are right.
        return graph.op("Where", graph.op("Greater", v, before), v, before), {}
    return v, {}


def _decided(
    graph: OnnxGraphBuilder, network: FixedNetwork, charged: str, before: str, reads: str | None
) -> tuple[str, dict[str, str]]:
    """`next_value` of a rule that waits."""
    waits = graph.op("Less", DECISION, graph.constant(0, np.int64))
    if reads is not None:
        waits = graph.op("And", waits, reads)
    value = graph.op("Where", graph.op("Unsqueeze", waits, graph.constant([1], np.int64)), charged, before)
    decides = graph.op("And", waits, _any(graph, reached(graph, network, charged)))
    decision = graph.op("Where", decides, STEPS, DECISION)
    return value, {DECISION: decision, STEPS: graph.op("Add", STEPS, graph.constant(1, np.int64))}


def reached(graph: OnnxGraphBuilder, network: FixedNetwork, charged: str) -> str:
    """bool (batch, neurons): where a soma has reached its threshold."""
    return graph.op("GreaterOrEqual", charged, graph.constant(column(network.output.threshold), np.int64))


def classes(graph: OnnxGraphBuilder, network: FixedNetwork, readout: str) -> str:
    """int64 (batch,): argmax of readout * multiplier in 64 bits, ties to the lowest index; of ``first`` the lowest
    index that has reached its threshold, if one has."""
    scaled = graph.op("Mul", readout, graph.constant(column(network.readout_multiplier), np.int64))
    # By how many others each is beaten, since onnxruntime has no ArgMax of 64 bits before 1.20.
    rivals, own = (graph.op("Unsqueeze", scaled, graph.constant([axis], np.int64)) for axis in (1, 2))
    beaten = graph.cast(graph.op("Greater", rivals, own), np.int32)
    rank = graph.op("ReduceSum", beaten, graph.constant([2], np.int64), keepdims=0)
    best = graph.op("ArgMin", rank, axis=1, keepdims=0)
    if network.readout.rule != "first":
        return best
    there = reached(graph, network, readout)
    first = graph.op("ArgMax", graph.cast(there, np.int32), axis=1, keepdims=0)
    return graph.op("Where", _any(graph, there), first, best)


def _any(graph: OnnxGraphBuilder, there: str) -> str:
    """bool (batch,): whether any of (batch, neurons) is true."""
    total = graph.op("ReduceSum", graph.cast(there, np.int32), graph.constant([1], np.int64), keepdims=0)
    return graph.cast(total, np.bool_)
