"""Networks as NIR files that other tools run: neurons that NIR has become NIR's own nodes.

NIR's neurons reset hard and fire at v > threshold. A gain goes into the weights and each resistance is tau/dt, so that
the input of a step is added as it is: the form that snnTorch, Norse (for CubaLIF) and SpikingJelly agree on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tclif_deploy.arguments import checked
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.nir import metadata
from tclif_deploy.formats.nir.form import check_expressible, layer_graph
from tclif_deploy.formats.nir.graph import NirGraph, NotInNir, Primitive, shaped, shaped_layer
from tclif_deploy.formats.nir.read_foreign import read_foreign
from tclif_deploy.formats.nir.write_file import node_name, save_graph
from tclif_deploy.formats.nir.write_spatial import map_shapes, weights_node
from tclif_deploy.network import INPUT, Connection, Float, Layer, Network, Neuron, check_network

DT = 1e-4
"""The time step in seconds that snnTorch has built in."""


@dataclass(frozen=True, eq=False)
class _Standard:
    """A NIR node, and what its incoming weights must be multiplied by."""

    node: Primitive
    gain: Float
    bias: Float
    """constant current, already multiplied"""


@checked
def export_nir(network: Network, path: Path | str, dt: float = DT) -> tuple[str, ...]:
    """Write ``network`` for other tools, and return what each layer became, in words.

    LIF, IF, CUBA-LIF and leaky readouts become NIR's own nodes with time constants for steps of ``dt``; TC-LIF and all
    others, the nested graph of primitives that `write_nir` writes. `load` reads the file with the same spikes. NIR has
    no word for a readout: one that is not the usual one stands in the metadata for `load`, and the words say so. Raises
    `NotInNir` where neither can say what a layer does, `TclifError` for a dt that is no time step.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from tclif_deploy import Connection, Layer, Network, export_nir, neurons
    >>> out = Layer("out", neurons.lif(2, decay=0.9, threshold=1.0, reset="hard", strict=True),
    ...             (Connection("input", np.ones((2, 3))),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_nir(Network(3, (out,)), f"{folder}/network.nir")
    ('out: LIF',)
    """
    check_network(network)
    if not 0 < dt < np.inf:
        raise TclifError(f"dt is {dt:g}", "a time step must be a positive number")
    graph, messages = standard_graph(network, dt)
    check_round_trip(network, graph)
    save_graph(graph, path)
    return messages


def standard_graph(network: Network, dt: float, *, as_primitives: bool = False) -> tuple[NirGraph, tuple[str, ...]]:
    """(the graph, what each layer became); see `export_nir`. ``as_primitives`` uses none of NIR's own neurons."""
    order = {INPUT: -1} | {layer.name: index for index, layer in enumerate(network.layers)}
    names = {INPUT: "input"} | {layer.name: node_name(layer.name) for layer in network.layers}
    taken = {"output"} & {layer.name for layer in network.layers}
    if taken:
        raise NotInNir("a layer is called output, which is the name of the graph's own end", "rename it")
    shapes = map_shapes(network)
    nodes: dict[str, Primitive | NirGraph] = {"input": Primitive("Input", {"shape": np.array(shapes[INPUT])})}
    edges: list[tuple[str, str]] = []
    messages = []
    for layer in network.layers:
        standard = None if as_primitives else _standard(layer.neuron, dt)
        name = names[layer.name]
        if standard is None:
            n = layer.neuron
            check_expressible(n, f"layer {layer.name}")
            nodes[name] = shaped_layer(layer_graph(n, metadata.of_layer(layer)), shapes[layer.name])
            gain, bias = np.ones(n.size), n.current_bias
            messages.append(f"{layer.name}: {n.type} as a graph of primitives")
        else:
            nodes[name] = shaped(standard.node, shapes[layer.name])
            gain, bias = standard.gain, standard.bias
            messages.append(f"{layer.name}: {standard.node.kind}")
        for number, c in enumerate(layer.connections):
            weights = f"{name}_w{number}" if number else f"{name}_w"
            where = f"layer {layer.name}"
            nodes[weights] = weights_node(c, gain, bias * (number == 0), len(shapes[layer.name]) == 2, where)
            before = names[c.source]
            late = _is_late(layer, c, order)
            if c.delay and c.source != INPUT and network.layer(c.source).neuron.s0.any():
                raise NotInNir(
                    f"{where}: connection from {c.source}: a spike before the first step (s0) that comes late cannot "
                    "be written in this form of NIR",
                    "let its neurons start without s0",
                )
            if late and number == 0 and bias.any():  # behind the weights the bias would wait too
                nodes[f"{weights}_delay"] = _delay(c, shapes[c.source], dt)
                edges.append((before, f"{weights}_delay"))
                before, late = f"{weights}_delay", False
            if c.conv is None and len(shapes[layer.name]) > 1:
                raise NotInNir(
                    f"{where}: a matrix from {c.source} leads into a map of {shapes[layer.name]}",
                    "NIR has no node that makes a map of a row of neurons",
                )
            if c.conv is None and len(shapes[c.source]) > 1:
                shape = {"input_type": np.array(shapes[c.source]), "start_dim": np.array(0), "end_dim": np.array(-1)}
                nodes[f"{weights}_flat"] = Primitive("Flatten", shape)
                edges.append((before, f"{weights}_flat"))
                before = f"{weights}_flat"
            edges.append((before, weights))
            if late:
                nodes[f"{weights}_delay"] = _delay(c, shapes[layer.name], dt)
                edges.append((weights, f"{weights}_delay"))
                weights = f"{weights}_delay"
            edges.append((weights, name))
    nodes["output"] = Primitive("Output", {"shape": np.array(shapes[network.layers[-1].name])})
    edges.append((names[network.layers[-1].name], "output"))
    if not network.usual_readout:
        messages.append(f"readout {network.readout}: stands in the metadata, which other tools do not read")
    return NirGraph(nodes, tuple(edges), metadata.of_export(network, dt)), tuple(messages)


def _is_late(layer: Layer, c: Connection, order: dict[str, int]) -> bool:
    """Whether a connection needs a Delay; the edge that closes a loop is one itself."""
    if order[c.source] >= order[layer.name]:
        if c.delay != 1:
            raise NotInNir(
                f"layer {layer.name}: connection from {c.source}: NIR's loops take one step, this one takes {c.delay}",
                "recurrence of one step can be written",
            )
        return False
    return c.delay > 0


def _delay(c: Connection, shape: tuple[int, ...], dt: float) -> Primitive:
    """A connection's Delay, of the elements of ``shape``."""
    return Primitive("Delay", {"delay": np.full(shape, c.delay * dt)})


def _standard(n: Neuron, dt: float) -> _Standard | None:
    """The node of NIR's own that steps as ``n`` does; None where there is none."""
    leaks_u, leaks_v = n.a_u.any(), (n.a_v != 1).any()
    fits = (
        not (n.b_u.any() or n.v0.any() or n.u0.any() or n.s0.any()) and n.input_to == "dendrite" and (n.b_v != 0).all()
    )
    if n.spiking and (n.reset == "soft" or n.r_u.any() or (n.threshold <= 0).any()):
        return None
    inside = (n.a_v >= 0).all() and (n.a_u >= 0).all() and (n.a_u < 1).all()
    if not fits or not inside or (leaks_v and (n.a_v >= 1).any()) or (leaks_u and not leaks_v):
        return None
    gain, bias = n.b_v, n.b_v * n.bias_u
    arrays: dict[str, Float] = {}
    if n.spiking:
        theta = n.threshold if n.strict else np.nextafter(n.threshold, -np.inf)
        arrays = {"v_threshold": theta, "v_reset": n.v_reset}
    if not leaks_v:
        node = Primitive("IF" if n.spiking else "I", {"r": np.full(n.size, 1 / dt), **arrays})
        return _Standard(node, gain, bias + n.bias_v)
    tau = dt / (1 - n.a_v)
    if not leaks_u:
        arrays |= {"tau": tau, "r": tau / dt, "v_leak": np.zeros(n.size)}
        return _Standard(Primitive("LIF" if n.spiking else "LI", arrays), gain, bias + n.bias_v)
    tau_syn = dt / (1 - n.a_u)
    arrays |= {
        "tau_mem": tau, "r": tau / dt, "tau_syn": tau_syn, "w_in": tau_syn / dt, "v_leak": n.bias_v / (1 - n.a_v),
    }  # fmt: skip
    return _Standard(Primitive("CubaLIF" if n.spiking else "CubaLI", arrays), gain, bias)


def check_round_trip(network: Network, graph: NirGraph) -> None:
    """Raise `NotInNir` where a reader cannot know which of the loops' edges is the late one."""
    back = read_foreign(graph, "the exported graph")
    names = {INPUT: INPUT} | {b.name: a.name for a, b in zip(network.layers, back.layers, strict=False)}
    wanted = [{(c.source, c.delay) for c in layer.connections} for layer in network.layers]
    read_back = [
        {(names[c.source], c.delay) for c in layer.connections} for layer in back.layers if layer.name in names
    ]
    if read_back != wanted:
        raise NotInNir(
            "feedback between layers cannot be written so that every tool closes the same loop with its step",
            "recurrence within a layer can be written",
        )
