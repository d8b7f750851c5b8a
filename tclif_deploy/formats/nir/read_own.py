"""A NIR graph in our own form, read as a `Network`: with its metadata bit for bit, else from the primitives."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

import numpy as np

from tclif_deploy.errors import TclifError
from tclif_deploy.formats.nir import form, metadata
from tclif_deploy.formats.nir.graph import NEURONS, NirGraph, Primitive
from tclif_deploy.graph.lower import lower
from tclif_deploy.graph.nodes import Affine, Input, NetworkGraph, Node, Output, Population
from tclif_deploy.network import Connection, Float, Network, Neuron

_FORM = "expected a network as write_nir makes it"

MOST_LISTED = 3
"""So many disagreements are spelled out; of the rest only the number."""


def is_ours(graph: NirGraph) -> bool:
    """Whether every layer is spelled as `write_nir` spells it (with or without metadata)."""
    if metadata.KEY in graph.metadata or metadata.EXPORT in graph.metadata:
        return metadata.KEY in graph.metadata
    inner = [node for node in graph.nodes.values() if isinstance(node, NirGraph)]
    standard = any(isinstance(node, Primitive) and node.kind in NEURONS for node in graph.nodes.values())
    return bool(inner) and not standard and all(is_layer(node) for node in inner)


def is_layer(graph: NirGraph) -> bool:
    """Whether a graph is one layer in our own form."""
    return metadata.KEY in graph.metadata or form.U_TO_V in graph.nodes


def read_own(graph: NirGraph, where: str) -> Network:
    """The network of a graph of `write_nir`; raises `TclifError`, which names the node."""
    metadata.check_network(graph.metadata, where)
    return lower(_Outline.of(graph, where).network_graph())


@dataclass(frozen=True)
class _Weights:
    """Weights from one node of the outer graph into a layer's."""

    name: str
    source: str
    weight: Float
    bias: Float


@dataclass(frozen=True)
class _Outline:
    """The outer graph, all of its nodes and edges accounted for."""

    where: str
    """the file, for messages"""
    graph: NirGraph
    order: dict[str, int]
    """the input's and the layers' nodes; the input has -1"""
    weights_into: dict[str, list[_Weights]]
    """layer node -> what leads into it, in order of the weights' names"""
    input: str
    output: str

    @staticmethod
    def of(graph: NirGraph, where: str) -> _Outline:
        """Sort out the nodes of ``graph``; raises `TclifError` where one has no place in a network."""
        ends = []
        for kind in ("Input", "Output"):
            names = [name for name, node in graph.nodes.items() if isinstance(node, Primitive) and node.kind == kind]
            if len(names) != 1:
                raise TclifError(f"{where}: {len(names)} {kind} nodes ({_listed(names)})", f"one is needed: {_FORM}")
            ends += names
        layers = [name for name in sorted(graph.nodes) if isinstance(graph.nodes[name], NirGraph)]
        order = {name: index for index, name in enumerate([ends[0], *layers], -1)}
        outline = _Outline(where, graph, order, {name: [] for name in layers}, ends[0], ends[1])
        for name in sorted(graph.nodes):
            node = graph.nodes[name]
            if isinstance(node, Primitive) and name not in ends:
                target, weights = outline._weights_node(name, node)
                outline.weights_into[target].append(weights)
        for source, target in graph.edges:
            if (source in order and target in layers) or source == ends[1] or target == ends[0]:
                raise TclifError(f"{where}: edge {source} -> {target}: does not belong here", _FORM)
        fed = [source for source, target in graph.edges if target == ends[1]]
        if fed != layers[-1:]:
            raise TclifError(f"{where}: node {ends[1]}: reads {_listed(fed)}", f"expected {_listed(layers[-1:])} alone")
        return outline

    def _weights_node(self, name: str, node: Primitive) -> tuple[str, _Weights]:
        """(layer node, what leads into it) for the node ``name``, which must be weights."""
        where = f"{self.where}: node {name}"
        if "weight" not in node.arrays:
            raise TclifError(f"{where}: is a {node.kind} outside a layer", _FORM)
        sources = [source for source, target in self.graph.edges if target == name]
        targets = [target for source, target in self.graph.edges if source == name]
        if (
            len(sources) != 1
            or len(targets) != 1
            or sources[0] not in self.order
            or targets[0] not in self.weights_into
        ):
            raise TclifError(
                f"{where}: leads from {_listed(sources)} to {_listed(targets)}",
                "weights must lead from the input or one layer to one layer",
            )
        weight = node.arrays["weight"]
        size = form.layer_size(self._layer_graph(targets[0]), f"{self.where}: node {targets[0]}")
        bias = node.arrays.get("bias", np.zeros(size))
        if weight.ndim != 2 or len(weight) != size or bias.shape != (size,):
            shapes = f"weight is {weight.shape}" + (f", bias is {bias.shape}" if "bias" in node.arrays else "")
            raise TclifError(f"{where}: {shapes}, but it feeds {size} neurons", "expected (neurons, sources)")
        return targets[0], _Weights(name, sources[0], weight, bias)

    def _layer_graph(self, name: str) -> NirGraph:
        node = self.graph.nodes[name]
        assert isinstance(node, NirGraph)
        return node

    def network_graph(self) -> NetworkGraph:
        """The graph, whose weights have no bias: the neurons have it, bit for bit.

        Raises `TclifError` where a layer is not of the known form, or not as its metadata says.
        """
        nodes: dict[str, Node] = {self.input: Input(self._width(self.input))}
        nodes[self.output] = Output(size=self._width(self.output))
        layers = {node: self._layer(node) for node in self.weights_into}
        for node in layers:
            self._check(node, {name: neuron for name, (_, neuron) in layers.items()})
        edges = [(source, target, 0) for source, target in self.graph.edges if target == self.output]
        for node, incoming in self.weights_into.items():
            nodes[node] = Population(layers[node][1], name=layers[node][0])
            for weights in incoming:
                nodes[weights.name] = Affine(weights.weight)
                delay = int(self.order[weights.source] >= self.order[node])
                edges += [(weights.source, weights.name, delay), (weights.name, node, 0)]
        return NetworkGraph(self.where, nodes, tuple(edges), order=tuple(self.weights_into))

    def _layer(self, node: str) -> tuple[str, Neuron]:
        """(name, neurons) of a layer, from its metadata or else from its primitives."""
        graph, where = self._layer_graph(node), f"{self.where}: node {node}"
        form.layer_size(graph, where)
        stored = metadata.read_layer(graph.metadata, where)
        if stored is None:
            return _layer_name(node), form.read_layer(graph, where).with_current_bias(self._bias(node))
        form.check_expressible(stored[1], where)
        return stored

    def _bias(self, node: str) -> Float:
        """What the weights into a layer add in every step."""
        size = form.layer_size(self._layer_graph(node), self.where)
        return np.asarray(sum((weights.bias for weights in self.weights_into[node]), start=np.zeros(size)))

    def _check(self, node: str, neurons: dict[str, Neuron]) -> None:
        """Raise `TclifError` unless a layer's nodes are just those of its ``neurons``."""
        graph, where, neuron = self._layer_graph(node), f"{self.where}: node {node}", neurons[node]
        exact = metadata.KEY in graph.metadata
        start = np.zeros(form.layer_size(graph, where))
        for weights in self.weights_into[node]:
            if (
                self.order[weights.source] >= self.order[node]
                and neurons[weights.source].size == weights.weight.shape[1]
            ):
                start += Connection(weights.source, weights.weight).apply(neurons[weights.source].s0[None])[0]
        wrong = form.differences(graph, form.layer_graph(neuron, start_current=start), exact=exact)
        if not exact:
            if wrong:
                raise TclifError(f"{where}: not a layer that this program knows: {_some(wrong)}", _FORM)
            return
        current = self._bias(node)
        if neuron.size == current.size and not np.array_equal(neuron.current_bias, current):
            largest = np.abs(neuron.current_bias - current).max()
            biased = self.weights_into[node][0].name if self.weights_into[node] else node
            wrong.append(f"the bias of {biased} is off by {largest:.3g}")
        if wrong:
            hint = "write the file again, or remove the metadata where the nodes are right"
            raise TclifError(f"{where}: its metadata and its nodes disagree: {_some(wrong)}", hint)

    def _width(self, name: str) -> int:
        """The one number in the shape of an Input or Output node."""
        node = self.graph.nodes[name]
        shape = node.arrays["shape"] if isinstance(node, Primitive) else np.zeros(0)
        if shape.size != 1 or shape.reshape(()) < 1 or shape.reshape(()) % 1:
            raise TclifError(f"{self.where}: node {name}: shape is {shape.tolist()}", "expected one number of features")
        return int(shape.reshape(()))


def _layer_name(node: str) -> str:
    """The layer's name that `write_nir` made the node's name from."""
    numbered = re.fullmatch(r"\d+_\d+_(.*)", node, re.DOTALL)
    try:
        return unquote(numbered[1], errors="surrogatepass") if numbered else node
    except UnicodeDecodeError:
        return node


def _listed(names: list[str]) -> str:
    return ", ".join(names[:MOST_LISTED]) + (", ..." if len(names) > MOST_LISTED else "") if names else "nothing"


def _some(wrong: list[str]) -> str:
    rest = len(wrong) - MOST_LISTED
    return ", ".join(wrong[:MOST_LISTED]) + (f" and {rest} more" if rest > 0 else "")
