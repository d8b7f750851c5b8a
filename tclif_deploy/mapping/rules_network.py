"""Design rules about the network on the machine: neurons, connections, traffic and room."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tclif_deploy.fixed import FixedLayer, FixedNetwork, Int
from tclif_deploy.mapping.findings import Context, Finding, over
from tclif_deploy.mapping.operations import Counter
from tclif_deploy.network import INPUT
from tclif_deploy.target.schema import Target

KINDS = ("if", "lif", "cuba", "two_compartment")
"""each can do what those before it do"""
NEARLY_FULL = 0.9
"""a resource above this share of its limit is worth knowing"""


def neuron_kind(c: Context) -> Iterator[Finding]:
    """The target's neuron can do what the layer's neuron does."""
    kinds, resets = c.target.neuron_kinds, c.target.reset_kinds
    for layer in c.fixed.layers:
        kind = kind_of(layer, c.fixed.arithmetic.one)
        if not offers(c.target, kind):
            remedy = "train another neuron, or choose a target with programmable neurons (loihi2, spinnaker2)"
            limit = ", ".join(kinds.value) if kinds else ""
            yield Finding("neuron_kind", "error", layer.name, f"a {kind} neuron", limit, remedy, excess=1e6)
        if resets is not None and layer.spiking and layer.reset not in resets.value:
            remedy = f"train with a {resets.value[0]} reset, or choose a target that offers both"
            yield Finding("neuron_kind", "error", layer.name, f"{layer.reset} reset", ", ".join(resets.value), remedy)


def delays(c: Context) -> Iterator[Finding]:
    """No connection is later than the target allows."""
    for layer in c.fixed.layers:
        for connection in layer.connections:
            if connection.delay > c.target.max_delay.value:
                subject, remedy = f"{layer.name} from {connection.source}", "train with a shorter delay"
                yield over("delays", subject, connection.delay, c.target.max_delay.value, "step", remedy)


def fan(c: Context) -> Iterator[Finding]:
    """No neuron has more synapses, in or out, than the target allows."""
    into = {la.name: np.sum([connection.fan_in() for connection in la.connections], axis=0) for la in c.fixed.layers}
    out: dict[str, Int] = {la.name: np.zeros(la.size, np.int64) for la in c.fixed.layers}
    for layer in c.fixed.layers:
        for connection in layer.connections:
            if connection.source != INPUT:
                out[connection.source] += connection.fan_out()
    for name, limit, counts in (("fan_in", c.target.max_fan_in, into), ("fan_out", c.target.max_fan_out, out)):
        for layer_name, count in counts.items():
            if limit is not None and int(count.max()) > limit.value:
                worst = int(count.argmax())
                yield over(name, f"{layer_name}: neuron {worst}", int(count[worst]), limit.value, "synapses",
                            "prune, or train a sparser connection")  # fmt: skip


def terminals(c: Context) -> Iterator[Finding]:
    """Inputs and outputs fit the target's channels."""
    for rule, limit, count in (
        ("inputs", c.target.max_inputs, c.fixed.input.size),
        ("outputs", c.target.max_outputs, c.fixed.output.size),
    ):
        if limit is not None and count > limit.value:
            yield over(rule, rule, count, limit.value, f"{limit.unit}s", f"reduce the network's {rule}")


def separate_outputs(c: Context) -> Iterator[Finding]:
    """Where outputs are neurons apart, the last layer hears hidden layers alone, and nobody hears it."""
    limit = c.target.separate_outputs
    if limit is None or not limit.value:
        return
    remedy = "train a network with a hidden layer, whose last layer nobody hears, or choose a target without this"
    for layer, source in beside_outputs(c.fixed):
        bound = "outputs hear hidden neurons alone" if source == INPUT else "nobody hears the outputs"
        yield Finding("separate_outputs", "error", f"{layer} from {source}", "a connection", bound, remedy)


def beside_outputs(fixed: FixedNetwork) -> Iterator[tuple[str, str]]:
    """(layer, source) of each connection from the last layer, and from the input to it."""
    output = fixed.output.name
    for layer in fixed.layers:
        for connection in layer.connections:
            if connection.source == output or (connection.source == INPUT and layer.name == output):
                yield layer.name, connection.source


def mesh_rate(c: Context) -> Iterator[Finding]:
    """The busiest step's input enters the mesh within the step's own time."""
    bandwidth, barrier = c.target.mesh_bandwidth, c.target.time_barrier
    if c.activity is None or c.placement is None or bandwidth is None or barrier is None:
        return
    messages = Counter(c.fixed, c.target, c.placement).peak_input(c.activity)
    needed, step = messages / bandwidth.value * 1e9, barrier.value[0]
    if needed > step:
        yield Finding("mesh_rate", "warning", "input", f"{messages:,} messages take {needed:,.0f} ns to enter",
                      f"a step lasts {step:,.0f} ns at least",
                      "the step waits for its input: fewer input events, or fewer cores behind the input",
                      needed / step)  # fmt: skip


def near_capacity(c: Context) -> Iterator[Finding]:
    """Resources that are nearly used up are named: the next change may not fit."""
    if c.placement is None:
        return
    for name, row in c.placement.utilization().items():
        share = row.peak
        if share is not None and len(c.placement.cores) == 1 and share > NEARLY_FULL:
            yield Finding("near_capacity", "info", name, f"{row.most:,} ({share:.0%})", f"{row.available:,}",
                          "a larger network takes another core", share)  # fmt: skip


def offers(target: Target, kind: str) -> bool:
    """Whether the target has neurons of that kind, or of a more general one."""
    if target.neuron_kinds is None:
        return True
    return any(KINDS.index(has) >= KINDS.index(kind) for has in target.neuron_kinds.value)


def kind_of(layer: FixedLayer, one: int) -> str:
    """``if``, ``lif``, ``cuba`` or ``two_compartment``: the simplest neuron that does what the layer's does.

    ``one`` is the integer that means a factor of 1.
    """
    resets_dendrite = layer.spiking and layer.reset == "hard" and layer.r_u.any()
    if layer.b_u.any() or layer.q.any() or resets_dendrite:
        return "two_compartment"
    if layer.a_u.any():
        return "cuba"
    return "if" if (layer.a_v == one).all() else "lif"
