"""NIR file to network."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nir
import numpy as np

from tclif_deploy.errors import TclifError
from tclif_deploy.files import as_path
from tclif_deploy.formats.nir import form, metadata
from tclif_deploy.formats.nir.foreign import is_ours, read_foreign
from tclif_deploy.formats.nir.form import Graph, Primitive
from tclif_deploy.formats.nir.hdf5 import DAMAGE, graph_of, read_graph
from tclif_deploy.formats.nir.save import file_bytes
from tclif_deploy.network import INPUT, Connection, Float, Layer, Network, Neuron

_FORM = "expected a network as write_nir makes it"

_SAID = 3
"""So many disagreements are spelled out; of the rest only the number."""


def read_nir(
    source: Path | str | nir.NIRGraph,
    *,
    dt: float | None = None,
    convention: str | None = None,
    comparator: str | None = None,
    reset: str | None = None,
) -> Network:
    """Read a NIR file, or a graph in memory as its file is read: one of `write_nir`, or one of any other tool.

    With its metadata our own form comes back bit for bit, after a check that the nodes say the same. Without, the
    coefficients come from the primitives, to 1e-12 (see `tclif_deploy.formats.nir.form.read_layer`).

    Other graphs are discretised with ``dt``, by a ``convention`` of `tclif_deploy.formats.nir.discretise`, which
    ``comparator`` (``>=`` or ``>``) and ``reset`` (``soft`` or ``hard``) can change; the notices say how. Raises
    `TclifError` where the file is missing, damaged, or holds nodes or edges that cannot be read; it names the node.
    """
    if isinstance(source, nir.NIRGraph):
        where, graph = "NIR graph", _in_memory(source)
    else:
        path = as_path(source, "expected the path of a .nir file, or a nir.NIRGraph")
        where, graph = str(path), read_graph(path)
    if not is_ours(graph):
        return read_foreign(graph, where, dt=dt, convention=convention, comparator=comparator, reset=reset)
    said = {"dt": dt, "convention": convention, "comparator": comparator, "reset": reset}
    for name, value in said.items():
        if value is not None:
            raise TclifError(f"{where}: a .nir file of ours says everything itself, {name} included", "leave it out")
    metadata.check_network(graph.metadata, where)
    return _Outline.of(graph, where).network()


def _in_memory(graph: nir.NIRGraph) -> Graph:
    """``graph`` by way of a file's bytes, so that it cannot be read in another way than its file."""
    try:
        return graph_of(file_bytes(graph), "NIR graph")
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise TclifError(f"NIR graph: nir.write cannot write it ({reason})", "it must hold numpy arrays") from error


@dataclass(frozen=True)
class _Link:
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
    graph: Graph
    order: dict[str, int]
    """the input's and the layers' nodes; the input has -1"""
    links: dict[str, list[_Link]]
    """layer node -> what leads into it, in order of the weights' names"""
    input: str
    output: str

    @staticmethod
    def of(graph: Graph, where: str) -> _Outline:
        """Sort out the nodes of ``graph``; raises `TclifError` where one has no place in a network."""
        ends = []
        for kind in ("Input", "Output"):
            found = [name for name, node in graph.nodes.items() if isinstance(node, Primitive) and node.kind == kind]
            if len(found) != 1:
                raise TclifError(f"{where}: {len(found)} {kind} nodes ({_listed(found)})", f"one is needed: {_FORM}")
            ends += found
        layers = [name for name in sorted(graph.nodes) if isinstance(graph.nodes[name], Graph)]
        order = {name: index for index, name in enumerate([ends[0], *layers], -1)}
        outline = _Outline(where, graph, order, {name: [] for name in layers}, ends[0], ends[1])
        for name in sorted(graph.nodes):
            node = graph.nodes[name]
            if isinstance(node, Primitive) and name not in ends:
                target, link = outline._link(name, node)
                outline.links[target].append(link)
        for source, target in graph.edges:
            if (source in order and target in layers) or source == ends[1] or target == ends[0]:
                raise TclifError(f"{where}: edge {source} -> {target}: does not belong here", _FORM)
        fed = [source for source, target in graph.edges if target == ends[1]]
        if fed != layers[-1:]:
            raise TclifError(f"{where}: node {ends[1]}: reads {_listed(fed)}", f"expected {_listed(layers[-1:])} alone")
        return outline

    def _link(self, name: str, node: Primitive) -> tuple[str, _Link]:
        """(layer node, what leads into it) for the node ``name``, which must be weights."""
        where = f"{self.where}: node {name}"
        if "weight" not in node.arrays:
            raise TclifError(f"{where}: is a {node.kind} outside a layer", _FORM)
        sources = [source for source, target in self.graph.edges if target == name]
        targets = [target for source, target in self.graph.edges if source == name]
        if len(sources) != 1 or len(targets) != 1 or sources[0] not in self.order or targets[0] not in self.links:
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
        return targets[0], _Link(name, sources[0], weight, bias)

    def _layer_graph(self, name: str) -> Graph:
        node = self.graph.nodes[name]
        assert isinstance(node, Graph)
        return node

    def network(self) -> Network:
        """The network; raises `TclifError` where a layer is not of the known form, or not as its metadata says."""
        found = {name: self._layer(name) for name in self.links}
        names = {self.input: INPUT} | {node: name for node, (name, _) in found.items()}
        layers = []
        for node, (name, neuron) in found.items():
            try:
                connections = tuple(
                    Connection(names[link.source], link.weight, int(self.order[link.source] >= self.order[node]))
                    for link in self.links[node]
                )
            except TclifError as error:
                raise TclifError(f"{self.where}: node {node}: {error.what}", error.hint) from error
            layers.append(Layer(name, neuron, connections))
        size = self._width(self.input)
        try:
            network = Network(size, tuple(layers))
        except TclifError as error:
            raise TclifError(f"{self.where}: {' '.join(error.what.split())}", error.hint) from error
        if self._width(self.output) != layers[-1].size:
            raise TclifError(
                f"{self.where}: node {self.output}: {self._width(self.output)} values, "
                f"but the last layer has {layers[-1].size} neurons"
            )
        return network

    def _layer(self, node: str) -> tuple[str, Neuron]:
        """(name, neurons) of a layer, from its metadata or else from its primitives."""
        graph, where = self._layer_graph(node), f"{self.where}: node {node}"
        size = form.layer_size(graph, where)
        current = sum((link.bias for link in self.links[node]), start=np.zeros(size))
        said = metadata.read_layer(graph.metadata, where)
        try:
            if said is None:
                neuron = form.read_layer(graph, where)
                bias: dict[str, Any] = {_current_bias(neuron): current}
                neuron = replace(neuron, **bias)
            else:
                neuron = said[1]
                form.check_expressible(neuron)
        except form.NotInNir as error:
            raise TclifError(f"{where}: {error.what}", error.hint) from error
        wrong = form.differences(graph, form.layer_graph(neuron), exact=said is not None)
        if said is None:
            if wrong:
                raise TclifError(f"{where}: not a layer that this program knows: {_some(wrong)}", _FORM)
            return _layer_name(node), neuron
        if neuron.size == size and not np.array_equal(getattr(neuron, _current_bias(neuron)), current):
            largest = np.abs(getattr(neuron, _current_bias(neuron)) - current).max()
            wrong.append(
                f"the bias of {self.links[node][0].name if self.links[node] else node} is off by {largest:.3g}"
            )
        if wrong:
            hint = "write the file again, or remove the metadata where the nodes are right"
            raise TclifError(f"{where}: its metadata and its nodes disagree: {_some(wrong)}", hint)
        return said[0], neuron

    def _width(self, name: str) -> int:
        """The one number in the shape of an Input or Output node."""
        node = self.graph.nodes[name]
        shape = node.arrays["shape"] if isinstance(node, Primitive) else np.zeros(0)
        if shape.size != 1 or shape.reshape(()) < 1 or shape.reshape(()) % 1:
            raise TclifError(f"{self.where}: node {name}: shape is {shape.tolist()}", "expected one number of features")
        return int(shape.reshape(()))


def _current_bias(neuron: Neuron) -> str:
    """The bias that enters with the current, which the Affine before the layer carries."""
    return "bias_u" if neuron.input_to == "dendrite" else "bias_v"


def _layer_name(node: str) -> str:
    """The layer's name that `write_nir` made the node's name from."""
    numbered = re.fullmatch(r"\d+_\d+_(.*)", node, re.DOTALL)
    try:
        return unquote(numbered[1], errors="surrogatepass") if numbered else node
    except UnicodeDecodeError:
        return node


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SAID]) + (", ..." if len(names) > _SAID else "") if names else "nothing"


def _some(wrong: list[str]) -> str:
    rest = len(wrong) - _SAID
    return ", ".join(wrong[:_SAID]) + (f" and {rest} more" if rest > 0 else "")
