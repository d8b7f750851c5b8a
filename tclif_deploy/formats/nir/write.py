"""Network to NIR file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tclif_deploy.arguments import checked
from tclif_deploy.formats.nir import metadata
from tclif_deploy.formats.nir.form import check_expressible, layer_graph
from tclif_deploy.formats.nir.graph import NirGraph, NotInNir, Primitive
from tclif_deploy.formats.nir.write_file import node_name, save_graph
from tclif_deploy.formats.nir.write_standard import DT, check_round_trip, standard_graph
from tclif_deploy.network import INPUT, Float, Layer, Network, check_network

LONGEST_NAME = 10_000
"""Bytes of a node's name; HDF5 has room for some 60 kB."""


@checked
def write_nir(network: Network, path: Path | str) -> None:
    """Write ``network`` as a NIR file that an unmodified ``nir.read`` opens; the same network gives the same bytes.

    Every layer becomes a nested graph of primitives (see `tclif_deploy.formats.nir.form`), every connection a
    Linear or Affine before it. A network with convolutions is written as `export_nir` writes one, but with every layer
    as such a graph. A readout that is not the usual one stands in the metadata, which other tools do not read. Raises
    `NotInNir` (a `TclifError`) where NIR's primitives cannot express the network
    (a hard reset with b_u != 0, q != 0, a threshold of 0 or less, a delay other than that of recurrence by one step),
    and `TclifError` where the file cannot be written. Then nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import nir
    >>> from tclif_deploy import Connection, Layer, Network, neurons, write_nir
    >>> hidden = Layer("hidden", neurons.tclif(2, c1=0.0, c2=0.0, gamma=0.5, threshold=1.0),
    ...                (Connection("input", np.ones((2, 3))), Connection("hidden", np.ones((2, 2)), delay=1)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_nir(Network(3, (hidden,)), f"{folder}/network.nir")
    ...     graph = nir.read(f"{folder}/network.nir")
    >>> [f"{name} {type(node).__name__}" for name, node in graph.nodes.items()][1:4]
    ['1_0_weights Linear', '1_1_weights Linear', '1_2_hidden NIRGraph']
    """
    check_network(network)
    if any(c.conv is not None for layer in network.layers for c in layer.connections):
        graph, _ = standard_graph(network, DT, as_primitives=True)
        check_round_trip(network, graph)
    else:
        graph = network_graph(network)
    save_graph(graph, path)


def network_graph(network: Network) -> NirGraph:
    """The NIR graph of ``network``; raises `NotInNir` with the reason where there is none."""
    order = {INPUT: -1} | {layer.name: index for index, layer in enumerate(network.layers)}
    for layer in network.layers:
        _check(layer, order)
    if not any(c.source == INPUT for layer in network.layers for c in layer.connections):
        raise NotInNir("no layer reads the input, and NIR demands it", "connect a layer to the input")
    read = {c.source for layer in network.layers for c in layer.connections}
    for layer in network.layers[:-1]:
        if layer.name not in read:
            raise NotInNir(f"layer {layer.name}: nothing reads it, and NIR demands it", "leave the layer out")
    width = len(str(len(network.layers) + 1))
    digits = len(str(max(len(layer.connections) for layer in network.layers)))
    names = {INPUT: f"{0:0{width}}_input"}
    for index, layer in enumerate(network.layers, 1):
        prefix = f"{index:0{width}}_{len(layer.connections):0{digits}}"
        names[layer.name] = f"{prefix}_{node_name(layer.name)}"
        if len(names[layer.name]) > LONGEST_NAME:
            raise NotInNir(
                f"layer {layer.name[:40]}...: a name of {len(layer.name)} characters", "choose a shorter name"
            )
    end = f"{len(network.layers) + 1:0{width}}_output"
    nodes: dict[str, Primitive | NirGraph] = {
        names[INPUT]: Primitive("Input", {"shape": np.array([network.input_size])})
    }
    edges = []
    for index, layer in enumerate(network.layers, 1):
        n = layer.neuron
        bias = n.current_bias
        for number, c in enumerate(layer.connections):
            weights = f"{index:0{width}}_{number:0{digits}}_weights"
            if number == 0 and bias.any():
                nodes[weights] = Primitive("Affine", {"weight": c.weight, "bias": bias})
            else:
                nodes[weights] = Primitive("Linear", {"weight": c.weight})
            edges += [(names[c.source], weights), (weights, names[layer.name])]
        nodes[names[layer.name]] = layer_graph(n, metadata.of_layer(layer), _start_current(network, layer))
    nodes[end] = Primitive("Output", {"shape": np.array([network.layers[-1].size])})
    edges.append((names[network.layers[-1].name], end))
    return NirGraph(nodes, tuple(edges), metadata.of_network(network))


def _start_current(network: Network, layer: Layer) -> Float:
    """What connections of one step bring into ``layer`` of their sources' s0, (neurons,)."""
    current = np.zeros(layer.size)
    for c in layer.connections:
        if c.delay == 1:
            current += c.apply(network.layer(c.source).neuron.s0[None])[0]
    return current


def _check(layer: Layer, order: dict[str, int]) -> None:
    """Raise `NotInNir` where ``layer`` or a connection into it has no NIR form."""
    check_expressible(layer.neuron, f"layer {layer.name}")
    for c in layer.connections:
        # An edge backwards is late by one step in every scheduler. Other delays would need NIR's Delay node, of
        # which the standard does not say whether it adds to that step.
        wanted = 0 if order[c.source] < order[layer.name] else 1
        if c.delay != wanted:
            kind = "earlier" if wanted == 0 else "same or a later"
            raise NotInNir(
                f"layer {layer.name}: connection from {c.source}: a delay of {c.delay} cannot be written as NIR",
                f"from the {kind} layer it must be {wanted}",
            )
