"""Models of one network: a step (states in, states out), a whole sequence (Scan over that step), and its trace."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from onnx import GraphProto, ModelProto, ValueInfoProto, checker, helper

from tclif_deploy.backends.onnx import readout as rules
from tclif_deploy.backends.onnx.graph import OnnxGraphBuilder, State, column, info
from tclif_deploy.backends.onnx.layer import layer_step, state_dtype
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.network import INPUT
from tclif_deploy.readout import SUMS
from tclif_deploy.simulation.reference import start_spikes, start_states
from tclif_deploy.simulation.result import most_readout_steps
from tclif_deploy.version import __version__

OPSET = 18
IR_VERSION = 8
"""what onnx 1.13, the first with opset 18, writes"""


@dataclass(frozen=True)
class _Step:
    """Tensors of one step of the whole network."""

    states: dict[str, str]
    """state -> its next value"""
    spikes: dict[str, str]
    """layer's name -> uint8 (batch, neurons)"""
    overflows: dict[str, str]
    """output's name -> int64 (4,)"""
    output: rules.OutputStep
    """of the last layer"""


def tensor_names(network: FixedNetwork) -> dict[str, str]:
    """Source -> a unique C identifier, as ONNX asks of names; close to the layer's own name."""
    names = {INPUT: INPUT}
    for layer in network.layers:
        stem = name = re.sub(r"[^0-9A-Za-z_]", "_", layer.name)
        n = 2
        while name in names.values():
            name, n = f"{stem}_{n}", n + 1
        names[layer.name] = name
    return names


class ModelLayout:
    """What all models of a network share: names, types and states."""

    def __init__(self, network: FixedNetwork) -> None:
        self.network = network
        self.names = tensor_names(network)
        self.dtypes = {layer.name: state_dtype(network, layer) for layer in network.layers}
        self.past = dict(self._past())
        self.states = (*self._compartments(), *self.past.values())

    def _compartments(self) -> Iterator[State]:
        for layer in self.network.layers:
            name, dtype = self.names[layer.name], self.dtypes[layer.name]
            for state, values in zip("uv", start_states(layer, self.network.arithmetic), strict=True):
                yield State(f"{state}_{name}", dtype, (layer.size,), values.astype(dtype))

    def _past(self) -> Iterator[tuple[str, State]]:
        """The last steps of every source that a delay reads, the newest first."""
        connections = [c for layer in self.network.layers for c in layer.connections]
        s0 = start_spikes(self.network)
        for source, name in self.names.items():
            depth = max((c.delay for c in connections if c.source == source), default=0)
            if depth:
                shape = (depth, self.network.source_size(source))
                dtype = np.dtype(np.int32 if source == INPUT else np.uint8)
                start = np.zeros(shape, dtype)
                start[0] = s0.get(source, 0)
                yield source, State(f"past_{name}", dtype, shape, start)


def _network_step(graph: OnnxGraphBuilder, layout: ModelLayout, x: str, *, counting: bool) -> _Step:
    """Append one step of all layers; ``x`` is int32 (batch, features); states enter under their own names.

    ``counting`` overflows costs a sixth of the time, so a model that does not report them leaves it out.
    """
    network, names = layout.network, layout.names
    now = {INPUT: x}
    states: dict[str, str] = {}
    spikes: dict[str, str] = {}
    overflows: dict[str, str] = {}
    one_a_sample = _ones(graph, x) if counting else ""

    def delayed(source: str, delay: int) -> str:
        if delay == 0:
            return now[source]
        return graph.op("Gather", layout.past[source].name, graph.constant(delay - 1, np.int64), axis=1)

    for layer in network.layers:
        name = names[layer.name]
        sources = [delayed(c.source, c.delay) for c in layer.connections]
        updated = layer_step(graph, network, layer, layout.dtypes[layer.name], f"u_{name}", f"v_{name}", sources)
        states[f"u_{name}"], states[f"v_{name}"] = updated.u, updated.v
        if updated.spikes is not None:
            now[layer.name] = spikes[layer.name] = updated.spikes
        if counting:
            overflows[f"overflows_{name}"] = _counts(graph, updated.unchanged, one_a_sample, layer.size)
    first = graph.constant([1], np.int64)
    for source, state in layout.past.items():
        newest = graph.op("Unsqueeze", now[source], first)
        if state.shape[0] > 1:
            end = graph.constant([state.shape[0] - 1], np.int64)
            older = graph.op("Slice", state.name, graph.constant([0], np.int64), end, first)
            newest = graph.op("Concat", newest, older, axis=1)
        states[state.name] = newest
    return _Step(states, spikes, overflows, rules.OutputStep(updated.v, updated.charged, updated.spikes))


def _ones(graph: OnnxGraphBuilder, x: str) -> str:
    """uint8 ones (1, batch): its product with a 0/1 matrix counts, faster than a sum of integers does."""
    batch = graph.op("Gather", graph.op("Shape", x), graph.constant([0], np.int64))
    shape = graph.op("Concat", graph.constant([1], np.int64), batch, axis=0)
    return graph.op("Expand", graph.constant([[1]], np.uint8), shape)


def _counts(graph: OnnxGraphBuilder, unchanged: tuple[str | None, ...], ones: str, size: int) -> str:
    """int64 (4,): how many values each ovf changed."""
    zero = graph.constant(np.zeros((1, size)), np.int32)
    changed = [
        zero if same is None
        else graph.op("MatMulInteger", ones, graph.cast(graph.op("Not", same), np.uint8))
        for same in unchanged
    ]  # fmt: skip
    rows = graph.cast(graph.op("Concat", *changed, axis=0), np.int64)
    return graph.op("ReduceSum", rows, graph.constant([1], np.int64), keepdims=0)


def step_model(layout: ModelLayout) -> ModelProto:
    """One step: ``x`` (batch, features) and all states in, next states, spikes, readout and classes out.

    Where the readout is made of many steps, its value so far is one more state: ``count`` (of spikes), ``sum`` or
    ``max``; where it waits for a threshold, ``charged`` (the soma), ``decision`` (the step, or -1) and ``steps``.
    """
    network = layout.network
    graph = OnnxGraphBuilder()
    step = _network_step(graph, layout, "x", counting=True)
    loop_states = list(layout.states)
    running = rules.running_name(network)
    readout, decision = rules.next_value(graph, network, step.output, running or "")
    step.states.update(decision)
    if running is not None:
        loop_states += [rules.running_state(network, running), *rules.decision_states(network)]
        step.states[running] = readout
    outputs = {f"{state.name}_next": (step.states[state.name], state.info("_next")) for state in loop_states}
    outputs |= _verdict(graph, layout, readout, decision.get(rules.DECISION))
    for layer in network.layers:
        if layer.spiking:
            name = f"spikes_{layout.names[layer.name]}"
            outputs[name] = step.spikes[layer.name], info(name, np.uint8, ("batch", layer.size))
    for name, counts in step.overflows.items():
        outputs[name] = counts, info(name, np.int64, (4,))
    inputs = [info("x", np.int32, ("batch", network.input.size)), *(state.info() for state in loop_states)]
    return _model(layout, graph.finish("tclif_step", inputs, outputs), "step", loop_states)


def sequence_model(layout: ModelLayout, *, trace: bool) -> ModelProto:
    """A whole run: ``x`` (batch, time, features) and ``lengths`` (batch,) in, readout, classes and last states out.

    ``trace`` adds every spike and the counts of overflows.
    """
    network, names = layout.network, layout.names
    counters = [f"overflows_{names[layer.name]}" for layer in network.layers] if trace else []
    spiking = {f"spikes_{names[layer.name]}": layer for layer in network.layers if layer.spiking and trace}
    loop_states = [*layout.states, rules.running_state(network, "readout"), *rules.decision_states(network)]
    body = _scan_body(layout, loop_states, trace)

    graph = OnnxGraphBuilder()
    zero, one, first = (graph.constant(value, np.int64) for value in (0, 1, [1]))
    shape = graph.op("Shape", "x")
    batch = graph.op("Slice", shape, graph.constant([0], np.int64), first)
    start = []
    for state in loop_states:
        full = graph.op("Concat", batch, graph.constant(state.shape, np.int64), axis=0)
        start.append(graph.op("Expand", graph.constant(column(state.start), state.dtype), full))
    start += [graph.constant(np.zeros(4), np.int64) for _ in counters]
    # Whether a step of a sample changes its readout: (time, batch).
    steps = graph.op("Unsqueeze", graph.op("Range", zero, graph.op("Gather", shape, one), one), first)
    reads = graph.op("LessOrEqual" if rules.accumulates(network) else "Equal", steps, graph.op("Sub", "lengths", one))
    by_time = graph.op("Transpose", "x", perm=[1, 0, 2])
    finals = {state.name: f"final_{state.name}" for state in loop_states} | {name: f"final_{name}" for name in counters}
    stacked = {name: f"by_time_{name}" for name in spiking}
    graph.nodes.append(helper.make_node(
        "Scan", [*start, by_time, reads], [*finals.values(), *stacked.values()], num_scan_inputs=2,
        body=body, name="Scan",
    ))  # fmt: skip

    outputs = _verdict(graph, layout, finals["readout"], finals.get(rules.DECISION))
    for state in loop_states:
        if state.name.startswith(("u_", "v_")):
            outputs[state.name] = finals[state.name], state.info()
    for name, layer in spiking.items():
        tensor = graph.op("Transpose", stacked[name], perm=[1, 0, 2])
        outputs[name] = tensor, info(name, np.uint8, ("batch", "time", layer.size))
    for name in counters:
        outputs[name] = finals[name], info(name, np.int64, (4,))
    inputs = [info("x", np.int32, ("batch", "time", network.input.size)), info("lengths", np.int64, ("batch",))]
    kind = "trace" if trace else "sequence"
    return _model(layout, graph.finish(f"tclif_{kind}", inputs, outputs), kind, list(layout.states))


def _scan_body(layout: ModelLayout, loop_states: list[State], trace: bool) -> GraphProto:
    """A step inside Scan: ``loop_states`` and a trace's counters are carried, its spikes are stacked."""
    body = OnnxGraphBuilder("step_")
    step = _network_step(body, layout, "x_t", counting=trace)
    fresh, decision = rules.next_value(body, layout.network, step.output, "readout", "reads")
    step.states.update(decision)
    if not decision:
        reads = body.op("Unsqueeze", "reads", body.constant([1], np.int64))
        fresh = body.op("Where", reads, fresh, "readout")
    step.states["readout"] = fresh
    outputs = {f"{state.name}_next": (step.states[state.name], state.info("_next")) for state in loop_states}
    inputs = [state.info() for state in loop_states]
    for name, counts in step.overflows.items():
        inputs.append(info(name, np.int64, (4,)))
        outputs[f"{name}_next"] = body.op("Add", name, counts), info(f"{name}_next", np.int64, (4,))
    for layer in layout.network.layers:
        if layer.spiking and trace:
            name = f"spikes_{layout.names[layer.name]}"
            outputs[name] = step.spikes[layer.name], info(name, np.uint8, ("batch", layer.size))
    inputs += [info("x_t", np.int32, ("batch", layout.network.input.size)), info("reads", np.bool_, ("batch",))]
    return body.finish("step", inputs, outputs)


def _verdict(
    graph: OnnxGraphBuilder, layout: ModelLayout, readout: str, decision: str | None
) -> dict[str, tuple[str, ValueInfoProto]]:
    """Outputs ``readout`` and ``classes``; and ``decided``, where the rule waits for a threshold."""
    network = layout.network
    best = rules.classes(graph, network, readout)
    outputs = {
        "readout": (readout, info("readout", np.int64, ("batch", network.readout.outputs(network.output.size)))),
        "classes": (best, info("classes", np.int64, ("batch",))),
    }
    if decision is not None:
        outputs["decided"] = decision, info("decided", np.int64, ("batch",))
    return outputs


def _model(layout: ModelLayout, graph: GraphProto, kind: str, loop_states: list[State]) -> ModelProto:
    """The checked model, with all that a stranger needs to use it in its metadata."""
    network = layout.network
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
        producer_name="tclif_deploy", producer_version=__version__,
    )  # fmt: skip
    layers = [
        {
            "name": layer.name, "tensor": layout.names[layer.name], "neurons": layer.size, "spiking": layer.spiking,
            "lsb_u": layer.lsb_u.tolist(), "lsb_v": layer.lsb_v.tolist(),
        }
        for layer in network.layers
    ]  # fmt: skip
    ruled = {}
    if not network.usual_readout:
        most = most_readout_steps(network) if network.readout.rule in SUMS else None
        ruled["readout"] = json.dumps({**asdict(network.readout), "most_steps": most})
    helper.set_model_props(model, {
        "kind": kind,
        "input": json.dumps(asdict(network.input)),
        "arithmetic": json.dumps(network.arithmetic.plain()),
        "layers": json.dumps(layers),
        "multiplier": json.dumps(network.readout_multiplier.tolist()),
        "initial_states": json.dumps({state.name: column(state.start).tolist() for state in loop_states}),
        **ruled,
    })  # fmt: skip
    checker.check_model(model, full_check=True)
    return model
