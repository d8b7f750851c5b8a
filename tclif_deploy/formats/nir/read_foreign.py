"""A NIR graph that other tools wrote, read as a `Network`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tclif_deploy.errors import TclifError
from tclif_deploy.files import parse_json
from tclif_deploy.formats.nir import form, metadata
from tclif_deploy.formats.nir.discretise import Reading, population, reading
from tclif_deploy.formats.nir.graph import NEURONS, NirGraph, Primitive, flattened
from tclif_deploy.formats.nir.read_own import is_layer
from tclif_deploy.formats.nir.read_spatial import SPATIAL, Shapes, without_time
from tclif_deploy.graph.lower import lower
from tclif_deploy.graph.nodes import Affine, Constant, Delay, Input, NetworkGraph, Node, Output, Population
from tclif_deploy.network import LEAST, MOST, Float, Network, Neuron

TIMED = ("LI", "LIF", "CubaLI", "CubaLIF", "Delay")
"""Nodes whose numbers are in units of time."""
MOST_DELAY = 1 << 16
"""Steps."""


def read_foreign(
    graph: NirGraph,
    where: str,
    *,
    dt: float | None = None,
    convention: str | None = None,
    comparator: str | None = None,
    reset: str | None = None,
) -> Network:
    """The network of any graph of the nodes that are read; raises `TclifError`, which names node and reason."""
    written = _written_with(graph, where)
    if written is not None and dt is None and convention is None:
        dt = written
    flat: dict[str, Primitive] = {}
    layers: dict[str, NirGraph] = {}
    edges: list[tuple[str, str]] = []
    _flatten(graph, "", where, flat, layers, edges)
    choice = reading(dt, convention, comparator, reset, not any(node.kind in TIMED for node in flat.values()), where)
    doubled = len(edges) - len(set(edges))
    edges = list(dict.fromkeys(edges))
    found = _Nodes(where, flat, layers, edges, choice)
    nodes = found.all()
    notices = [choice.describe(), *found.notices]
    if written is None or convention is not None:  # what `export_nir` wrote is said in full by its dt
        notices += [*choice.warnings(), *found.warnings]
    if doubled:
        notices.append(f"{doubled} edges occur twice: each counts once")
    timed = [(a, b, 0) for a, b in edges]
    if not choice.convention.loop_bias:
        timed += _wait_for_loops(nodes, edges)
    return lower(NetworkGraph(where, nodes, tuple(timed), tuple(notices)))


def _wait_for_loops(nodes: dict[str, Node], edges: list[tuple[str, str]]) -> list[tuple[str, str, int]]:
    """Edges of the biases of weights that feed a population back to itself, which begin in its second step.

    nirtorch, by which Norse and SpikingJelly run a graph, leaves the loop out of the first.
    """
    late = []
    for name, node in list(nodes.items()):
        if isinstance(node, Affine) and node.bias is not None:
            ends = {a for a, b in edges if b == name} | {b for a, b in edges if a == name}
            (end,) = ends if len(ends) == 1 else ("",)
            if isinstance(nodes.get(end), Population):
                nodes[name], nodes[f"{name}/bias"] = replace(node, bias=None), Constant(node.bias)
                late.append((f"{name}/bias", end, 1))
    return late


def _written_with(graph: NirGraph, where: str) -> float | None:
    """The dt in the metadata of a file of `export_nir`."""
    text = graph.metadata.get(metadata.EXPORT)
    if text is None:
        return None
    try:
        dt = parse_json(text)["dt"] if isinstance(text, str) else None
    except (ValueError, LookupError, TypeError):
        dt = None
    if isinstance(dt, bool) or not isinstance(dt, int | float) or not LEAST <= dt <= MOST:
        raise TclifError(f"{where}: metadata {metadata.EXPORT} says no dt", "export the network again")
    return float(dt)


def _flatten(
    graph: NirGraph,
    prefix: str,
    where: str,
    flat: dict[str, Primitive],
    layers: dict[str, NirGraph],
    edges: list[tuple[str, str]],
) -> None:
    """All nodes of all graphs under their paths; a graph's Input and Output are where edges pass through it."""
    ends: dict[str, tuple[str, str]] = {}
    graph_where = f"{where}: node {prefix[:-1]}" if prefix else where
    for kind in ("Input", "Output"):
        names = [n for n, node in graph.nodes.items() if isinstance(node, Primitive) and node.kind == kind]
        if len(names) != 1:
            listed = ", ".join(names[:3]) or "none"
            raise TclifError(
                f"{graph_where}: {len(names)} {kind} nodes ({listed})", "networks with exactly one are read"
            )
    for name, node in graph.nodes.items():
        path = prefix + name
        if isinstance(node, Primitive):
            flat[path] = node
            ends[name] = (path, path)
        elif is_layer(node):
            layers[path] = flattened(node, form.IN)
            ends[name] = (path, path)
        else:
            _flatten(node, f"{path}/", where, flat, layers, edges)
            inner = {
                sub.kind: f"{path}/{key}"
                for key, sub in node.nodes.items()
                if isinstance(sub, Primitive) and sub.kind in ("Input", "Output")
            }
            ends[name] = (inner["Input"], inner["Output"])
    edges += [(ends[a][1], ends[b][0]) for a, b in graph.edges]


class _Nodes:
    """Nodes of the network's graph, from those of the flat graph; sizes that a file leaves open come from the edges."""

    def __init__(
        self,
        where: str,
        flat: dict[str, Primitive],
        layers: dict[str, NirGraph],
        edges: list[tuple[str, str]],
        choice: Reading,
    ) -> None:
        self.where, self.flat, self.layers, self.choice = where, flat, layers, choice
        self.warnings: list[str] = []
        self.notices: list[str] = []
        self.before: dict[str, list[str]] = {}
        self.shapes = Shapes(flat, layers, self.before)
        for source, target in edges:
            self.before.setdefault(target, []).append(source)
        cut = without_time(flat, edges)
        for name, shape in cut.items():
            flat[name] = Primitive("Input", {"shape": np.array(shape)})
            declared = "x".join(map(str, shape))
            if "/" not in name:
                self.notices.append(f"{name}: its shape has an axis of time or of samples: {declared} a step is read")

    def all(self) -> dict[str, Node]:
        nodes: dict[str, Node] = {name: self.node(name, node) for name, node in self.flat.items()}
        for name, graph in self.layers.items():
            nodes[name] = Population(self.layer(graph, f"{self.where}: node {name}"))
        return nodes

    def layer(self, graph: NirGraph, where: str) -> Neuron:
        """A layer in this program's own form; the bias that enters with its current is the weights' before it."""
        form.layer_size(graph, where)
        stored = metadata.read_layer(graph.metadata, where)
        if stored is None:
            return form.read_layer(graph, where)
        neuron = stored[1]
        wrong = form.differences(graph, form.layer_graph(neuron), exact=True)
        if wrong:
            raise TclifError(f"{where}: its metadata and its nodes disagree: {wrong[0]}", "export the network again")
        return neuron.with_current_bias(np.zeros(neuron.size))

    def node(self, name: str, node: Primitive) -> Node:
        where, a = f"{self.where}: node {name}", self.shapes.spread(name, node)
        if node.kind == "Input":
            return Input(self.shape(name)) if "/" not in name else Affine(np.ones(self.shape(name)))
        if node.kind == "Output":
            return Output() if "/" not in name else Affine(np.ones(self.size(name)))
        if node.kind in ("Linear", "Affine"):
            return self.weights(a, where)
        if node.kind in SPATIAL:
            return self.shapes.weights(name, node, where)
        if node.kind == "Scale":
            return Affine(self.per_element(a["scale"], name))
        if node.kind == "Flatten":
            return Affine(np.ones(self.size(name)))
        if node.kind == "Delay":
            return Delay(self.steps(self.per_element(a["delay"], name), where))
        if node.kind in NEURONS:
            return population(node.kind, a, self.size(name), self.choice, where, self.warnings)
        raise TclifError(f"{where}: a {node.kind} outside a layer of this program's own", "spikes come from IF or LIF")

    def weights(self, a: Mapping[str, Float], where: str) -> Affine:
        weight, bias = a["weight"], a.get("bias")
        if weight.ndim != 2 or 0 in weight.shape:
            raise TclifError(f"{where}: weight has shape {weight.shape}", "expected (neurons, sources), none of them 0")
        if bias is not None and bias.shape != weight.shape[:1]:
            raise TclifError(f"{where}: bias has shape {bias.shape}, weight {weight.shape}")
        return Affine(weight, bias)

    def steps(self, delay: Float, where: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        exact = delay / self.choice.dt
        steps = np.rint(exact)
        if (np.abs(exact - steps) > 1e-3).any() or (steps < 0).any() or (steps > MOST_DELAY).any():
            worst = delay[int(np.abs(exact - steps).argmax())]
            raise TclifError(
                f"{where}: a delay of {worst:g} is {worst / self.choice.dt:g} steps of {self.choice.dt:g}",
                f"delays must be whole steps, from 0 to {MOST_DELAY}",
            )
        return steps.astype(np.int64)

    def per_element(self, value: Float, name: str) -> Float:
        """A parameter as one value for each element."""
        size = self.size(name)
        if value.size not in (1, size):
            raise TclifError(f"{self.where}: node {name}: {value.size} values meet {size}", "shapes must fit")
        return np.broadcast_to(value.reshape(-1), size).astype(np.float64)

    def shape(self, name: str) -> int:
        """Elements of an Input's or Output's declared shape."""
        shape = self.flat[name].arrays["shape"].reshape(-1)
        if shape.size == 0 or (shape < 1).any() or (shape % 1).any() or np.prod(shape) > 1 << 31:
            raise TclifError(f"{self.where}: node {name}: shape is {shape.tolist()}", "expected positive whole numbers")
        return int(np.prod(shape))

    def size(self, name: str) -> int:
        """Elements of a node that works element by element: its own, or those of what leads into it."""
        waiting, seen = [name], {name}
        while waiting:
            current = waiting.pop(0)
            if current in self.layers:
                return form.layer_size(self.layers[current], f"{self.where}: node {current}")
            node = self.flat[current]
            if node.kind in SPATIAL:
                return int(np.prod(self.shapes.after(current, f"{self.where}: node {current}")))
            if node.kind in ("Linear", "Affine"):
                return len(node.arrays["weight"]) if node.arrays["weight"].ndim else 0
            arrays = self.shapes.spread(current, node)
            own = [v.size for k, v in arrays.items() if k not in ("shape", "start_dim", "end_dim", "input_type")]
            if max(own, default=1) > 1:
                return max(own)
            if node.kind == "Input":
                return self.shape(current)
            for source in self.before.get(current, []):
                if source not in seen:
                    seen.add(source)
                    waiting.append(source)
        return 1
