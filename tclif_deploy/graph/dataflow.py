"""A graph of weights, delays and populations, as files and recordings show it, lowered to a `Network`.

Nodes do what NIR's do: a node takes the sum of all its incoming edges. Everything between two populations is linear,
so it becomes one connection for each pair of populations and each delay: a convolution where one does the same
exactly, else a matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tclif_deploy import neurons
from tclif_deploy.convolution import Kernel, scaling
from tclif_deploy.errors import TclifError
from tclif_deploy.graph.operators import Algebra, Linear, Operator
from tclif_deploy.graph.parts import unique_name
from tclif_deploy.network import INPUT, Connection, Float, Layer, Network, Neuron

LARGEST_DIAGONAL = 1 << 20
"""Elements of a matrix that only multiplies each source; larger ones become a convolution that does."""
LONGEST_CHAIN = 400
"""Linear nodes behind one another."""


@dataclass(frozen=True)
class Source:
    """The network's input."""

    size: int


@dataclass(frozen=True)
class Sink:
    """What the network says."""

    name: str = "readout"
    """of the layer that sums the output over time, where one must be added"""


@dataclass(frozen=True, eq=False)
class Weights:
    """``y = weight @ x + bias``; a ``weight`` of one dimension multiplies element by element, a kernel moves."""

    weight: Linear
    """(neurons, sources), or (neurons,), or a convolution"""
    bias: Float | None = None


@dataclass(frozen=True, eq=False)
class Delay:
    """Each element comes so many steps later."""

    steps: NDArray[np.int64]
    """(neurons,)"""


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons; ``gain`` multiplies whatever comes in, where the neuron itself has no coefficient for that."""

    neuron: Neuron
    gain: Float | None = None
    late: int = 0
    """steps that the neurons wait before they see their input"""


Node = Source | Sink | Weights | Delay | Population


@dataclass(frozen=True, eq=False)
class Flow:
    """The graph; an edge is (source, target, delay in steps)."""

    where: str
    """the file or the model, for messages"""
    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str, int], ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Term:
    """What comes from one population: ``matrix`` None is the identity, one dimension a diagonal."""

    source: str
    delay: int
    matrix: Operator


def lower(flow: Flow) -> Network:
    """The network that ``flow`` describes.

    A loop without any delay gets one step where it closes, as all NIR tools do, with a notice. Where the output is not
    a population's by itself, a readout that sums it over time is put there. Raises `TclifError`, which names the node.
    """
    return _Lowering(flow).network()


class _Lowering:
    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.into: dict[str, list[tuple[str, int]]] = {name: [] for name in flow.nodes}
        for source, target, delay in flow.edges:
            self.into[target].append((source, delay))
        self.sizes: dict[str, int] = {}
        self.done: dict[str, tuple[list[_Term], Float]] = {}
        self.notices = list(flow.notices)
        self.algebra = Algebra(flow.where, self.notices)

    def network(self) -> Network:
        flow = self.flow
        (source,) = [name for name, node in flow.nodes.items() if isinstance(node, Source)]
        (sink,) = [name for name, node in flow.nodes.items() if isinstance(node, Sink)]
        terms, bias = self.incoming(sink, ())
        if not terms:
            raise TclifError(f"{flow.where}: nothing leads to the output {sink}", "is an edge missing?")
        feeds = {name: self.incoming(name, ()) for name in self.reached(sink)}
        output = self.plain_output(terms, bias)
        if not feeds:
            raise TclifError(f"{flow.where}: no neurons between its input and its output", "is this a spiking network?")
        order, late = self.evaluation_order(feeds, source)
        if output is not None and order[-1] != output:
            order.remove(output)
            order.append(output)
        width = flow.nodes[source]
        assert isinstance(width, Source)
        names, taken = {source: INPUT}, {INPUT}
        for name in order:
            names[name] = unique_name(name, taken)
        layers = []
        for name in order:
            node = flow.nodes[name]
            assert isinstance(node, Population)
            incoming, own = feeds[name]
            links = [replace(t, delay=t.delay + node.late + ((name, t.source) in late)) for t in incoming]
            if not links:
                raise TclifError(f"{flow.where}: node {name}: nothing leads into it", "is an edge missing?")
            neuron = node.neuron
            if node.gain is not None:
                links = [replace(t, matrix=self.algebra.times(node.gain, t.matrix, name)) for t in links]
                own = own * node.gain
            which = "bias_u" if neuron.input_to == "dendrite" else "bias_v"
            neuron = replace(neuron, **{which: getattr(neuron, which) + own})
            layers.append(Layer(names[name], neuron, self.connections(links, names, neuron.size)))
        if output is None:
            silent = [t.source for t in terms if t.source != source and not self.population(t.source).neuron.spiking]
            if silent:
                raise TclifError(
                    f"{flow.where}: node {silent[0]} does not spike, but weights follow it", "only an output may not"
                )
            self.notices.append(
                f"the output is a current: a readout that sums it over time was added ({len(bias)} classes)"
            )
            readout = neurons.readout(len(bias), bias=bias)
            end = flow.nodes[sink]
            assert isinstance(end, Sink)
            layers.append(Layer(unique_name(end.name, taken), readout, self.connections(terms, names, len(bias))))
        return Network(width.size, tuple(layers), tuple(self.notices))

    def population(self, name: str) -> Population:
        node = self.flow.nodes[name]
        assert isinstance(node, Population)
        return node

    def plain_output(self, terms: list[_Term], bias: Float) -> str | None:
        """The population that is the output by itself."""
        if len(terms) == 1 and terms[0].matrix is None and terms[0].delay == 0 and not bias.any():
            name = terms[0].source
            return name if isinstance(self.flow.nodes[name], Population) else None
        return None

    def reached(self, sink: str) -> list[str]:
        """Populations from which something reaches the output; the others are left out, with a notice."""
        found, waiting = [], [sink]
        seen = set(waiting)
        while waiting:
            for source, _ in self.into[waiting.pop()]:
                if source not in seen:
                    seen.add(source)
                    waiting.append(source)
        found = [name for name, node in self.flow.nodes.items() if isinstance(node, Population) and name in seen]
        lost = [name for name, node in self.flow.nodes.items() if isinstance(node, Population) and name not in seen]
        if lost:
            self.notices.append(f"left out, as nothing of it reaches the output: {', '.join(lost):.200}")
        return found

    def evaluation_order(
        self, feeds: Mapping[str, tuple[list[_Term], Float]], source: str
    ) -> tuple[list[str], set[tuple[str, str]]]:
        """(populations in order, (target, source) pairs that get a step of delay because they close a loop)."""
        ahead: dict[str, list[str]] = {name: [] for name in (source, *feeds)}
        for target, (terms, _) in feeds.items():
            for term in terms:
                if term.delay + self.population(target).late == 0 and term.source in ahead:
                    ahead[term.source].append(target)
        late: set[tuple[str, str]] = set()
        self.cut_loops(ahead, source, late)
        order = self.sorted_by_need(feeds, ahead, source, late)
        for target, origin in sorted(late):
            self.notices.append(f"the loop from {origin} back to {target} takes one step")
        return order, late

    def cut_loops(self, ahead: Mapping[str, list[str]], source: str, late: set[tuple[str, str]]) -> None:
        """Walk depth first from the input; edges back into the path that is being walked go to ``late``."""
        state: dict[str, int] = {}
        for root in (source, *ahead):
            if root in state:
                continue
            state[root] = 1
            stack = [(root, iter(ahead[root]))]
            while stack:
                name, rest = stack[-1]
                following = next(rest, None)
                if following is None:
                    state[name] = 2
                    stack.pop()
                elif state.get(following) == 1:
                    late.add((following, name))
                elif following not in state:
                    state[following] = 1
                    stack.append((following, iter(ahead[following])))

    def sorted_by_need(
        self,
        feeds: Mapping[str, tuple[list[_Term], Float]],
        ahead: Mapping[str, list[str]],
        source: str,
        late: set[tuple[str, str]],
    ) -> list[str]:
        """Each population after those that it needs in the same step; else the nearer to the input the earlier."""
        readers: dict[str, list[str]] = {name: [] for name in (source, *feeds)}
        for target, (terms, _) in feeds.items():
            for term in terms:
                readers[term.source].append(target)
        near, waiting = {source: 0}, [source]
        for name in waiting:
            for target in readers[name]:
                if target not in near:
                    near[target] = len(near)
                    waiting.append(target)
        needs = {name: {a for a in feeds if name in ahead[a] and (name, a) not in late} for name in feeds}
        order: list[str] = []
        left = sorted(feeds, key=lambda name: near.get(name, len(near)))
        while left:
            following = next(name for name in left if needs[name] <= set(order))
            left.remove(following)
            order.append(following)
        return order

    def incoming(self, name: str, path: tuple[str, ...]) -> tuple[list[_Term], Float]:
        """(what the populations and the input bring to node ``name``, the constant current there)."""
        size = self.size_in(name)
        merged: dict[tuple[str, int], list[Operator]] = {}
        total = np.zeros(size)
        for source, delay in self.into[name]:
            terms, bias = self.outgoing(source, (*path, name))
            if len(bias) != size:
                raise TclifError(
                    f"{self.flow.where}: edge {source} -> {name}: {len(bias)} values meet a node of {size}",
                    "shapes must fit",
                )
            total = total + bias
            for term in terms:
                self.algebra.join(merged.setdefault((term.source, term.delay + delay), []), term.matrix, size)
        return [_Term(source, delay, m) for (source, delay), parts in merged.items() for m in parts], total

    def outgoing(self, name: str, path: tuple[str, ...]) -> tuple[list[_Term], Float]:
        """The same for what leaves the node."""
        node = self.flow.nodes[name]
        if isinstance(node, Source | Population):
            return [_Term(name, 0, None)], np.zeros(self.size(name))
        if name in self.done:
            return self.done[name]
        if name in path:
            loop = " -> ".join((*path[path.index(name) :], name))
            raise TclifError(
                f"{self.flow.where}: a loop without a neuron in it: {loop:.200}", "no such loop can be run"
            )
        if len(path) > LONGEST_CHAIN:
            raise TclifError(f"{self.flow.where}: more than {LONGEST_CHAIN} weights in a row before {path[0]}")
        terms, bias = self.incoming(name, path)
        if isinstance(node, Weights):
            if isinstance(node.weight, Kernel):
                bias = node.weight.apply(bias[None])[0]
            else:
                bias = node.weight @ bias if node.weight.ndim == 2 else node.weight * bias
            bias = bias if node.bias is None else bias + node.bias
            terms = [replace(t, matrix=self.algebra.times(node.weight, t.matrix, name)) for t in terms]
        elif isinstance(node, Delay):
            steps = np.unique(node.steps).tolist()
            if len(steps) == 1:
                terms = [replace(t, delay=t.delay + steps[0]) for t in terms]
            else:
                terms = [
                    _Term(
                        t.source, t.delay + d, self.algebra.times((node.steps == d).astype(np.float64), t.matrix, name)
                    )
                    for t in terms
                    for d in steps
                ]
        self.done[name] = (terms, bias)
        return terms, bias

    def size(self, name: str) -> int:
        """Elements that leave a node."""
        node = self.flow.nodes[name]
        if isinstance(node, Source):
            return node.size
        if isinstance(node, Population):
            return node.neuron.size
        if isinstance(node, Weights):
            return node.weight.neurons if isinstance(node.weight, Kernel) else len(node.weight)
        return self.size_in(name)

    def size_in(self, name: str) -> int:
        """Elements that enter a node."""
        node = self.flow.nodes[name]
        if isinstance(node, Weights):
            return node.weight.sources if isinstance(node.weight, Kernel) else int(node.weight.shape[-1])
        if isinstance(node, Delay):
            return int(node.steps.size)
        if isinstance(node, Sink):
            return self.size(self.into[name][0][0]) if self.into[name] else 0
        return self.size(name)

    def connections(self, terms: list[_Term], names: Mapping[str, str], size: int) -> tuple[Connection, ...]:
        return tuple(self.connection(names[t.source], t, size) for t in terms)

    def connection(self, source: str, term: _Term, size: int) -> Connection:
        matrix = term.matrix
        if not isinstance(matrix, Kernel) and size * size > LARGEST_DIAGONAL and (matrix is None or matrix.ndim == 1):
            matrix = scaling((size, 1, 1), np.ones(size) if matrix is None else matrix)
        if isinstance(matrix, Kernel):
            return Connection(source, matrix.weight, term.delay, matrix.conv)
        return Connection(source, self.algebra.dense(matrix, size), term.delay)
