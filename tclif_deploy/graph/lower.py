"""A `NetworkGraph` lowered to a `Network`.

Everything between two populations is linear, so it becomes one connection for each pair of populations and each delay:
a convolution where one does the same exactly, else a matrix. Sums have only the terms that are there: what needs no
product and no sum comes out bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tclif_deploy import neurons
from tclif_deploy.convolution import Kernel, scaling
from tclif_deploy.errors import TclifError
from tclif_deploy.graph.layer_names import unique_name
from tclif_deploy.graph.nodes import Affine, BatchNorm, Constant, Delay, Input, NetworkGraph, Node, Output, Population
from tclif_deploy.graph.operators import Algebra, LinearOperator, Operator
from tclif_deploy.network import INPUT, Connection, Float, Layer, Network

LARGEST_DIAGONAL = 1 << 20
"""Elements of a matrix that only multiplies each source; larger ones become a convolution that does."""
LONGEST_CHAIN = 400
"""Linear nodes behind one another."""


@dataclass(frozen=True, eq=False)
class _Term:
    """What comes from one population: ``matrix`` None is the identity, one dimension a diagonal."""

    source: str
    delay: int
    matrix: Operator


_Constants = Mapping[int, Float]
"""constant currents (neurons,) by the steps after which they begin: a bias waits in a delay as spikes do"""
_Sum = tuple[list[_Term], _Constants]
"""(what the populations and the input bring, the constant currents)"""
CLOCK = "clock"
"""name of the layer of one neuron that fires in every step, where a constant current begins later than the first"""


@np.errstate(all="ignore")  # what floats do not hold becomes inf or NaN, which no neuron or weight may be
def lower(graph: NetworkGraph) -> Network:
    """The network that ``graph`` describes.

    Where the graph has no `NetworkGraph.order` of its own: a loop without any delay gets one step where it closes, as
    all NIR tools do, with a notice, and connections with the same ends and delay become one. Where the output is not a
    population's by itself, a readout that sums it over time is put there. Where a bias stands before a delay, a neuron
    that fires in every step is added, whose spikes bring it as late. Raises `TclifError`, which names the node.

    Examples
    --------
    >>> lif = Population(neurons.lif(2, decay=0.9, threshold=1.0))
    >>> nodes = {"in": Input(3), "fc": Affine(np.ones((2, 3))), "lif": lif, "out": Output()}
    >>> network = lower(NetworkGraph("model", nodes, (("in", "fc", 0), ("fc", "lif", 0), ("lif", "out", 0))))
    >>> [(layer.name, layer.connections[0].source) for layer in network.layers]
    [('lif', 'input')]
    """
    return _Lowering(graph).network()


class _Lowering:
    def __init__(self, graph: NetworkGraph) -> None:
        self.graph = graph
        self.nodes = dict(graph.nodes)
        self.into: dict[str, list[tuple[str, int]]] = {name: [] for name in graph.nodes}
        for source, target, delay in graph.edges:
            self.into[target].append((source, delay))
        self.done: dict[str, _Sum] = {}
        self.notices = list(graph.notices)
        self.algebra = Algebra(graph.where, self.notices)

    def network(self) -> Network:
        where = self.graph.where
        ((source, entry),) = [(name, node) for name, node in self.nodes.items() if isinstance(node, Input)]
        ((sink, end),) = [(name, node) for name, node in self.nodes.items() if isinstance(node, Output)]
        terms, constants = self.incoming(sink, ())
        if not terms:
            raise TclifError(f"{where}: nothing leads to the output {sink}", "is an edge missing?")
        feeds = {name: self.incoming(name, ()) for name in self.populations(sink)}
        if not feeds:
            raise TclifError(f"{where}: no neurons between its input and its output", "is this a spiking network?")
        order, loop_edges = self.evaluation_order(feeds, source)
        output = self.plain_output(terms, constants)
        if output is not None:
            order.remove(output)
            order.append(output)
        names, taken = {source: INPUT}, {INPUT}
        for name in order:
            own = self.population(name).name
            names[name] = unique_name(name, taken) if own is None else own
        if output is None:
            size = self.size(sink)
            self.notices.append(f"the output is a current: a readout that sums it over time was added ({size} classes)")
            self.nodes[sink], feeds[sink] = Population(neurons.readout(size)), (terms, constants)
            names[sink] = unique_name(end.name, taken)
            order.append(sink)
        clock = unique_name(CLOCK, taken)
        layers = tuple(self.layer(name, feeds[name], names, loop_edges, clock) for name in order)
        if any(connection.source == clock for layer in layers for connection in layer.connections):
            layers = (_clock(clock), *layers)
            self.notices.append(
                f"a bias begins later than the first step: layer {clock}, which always fires, brings it"
            )
        try:
            return Network(entry.size, layers, tuple(self.notices))
        except TclifError as error:
            raise TclifError(f"{where}: {' '.join(error.what.split())}", error.hint) from error

    def layer(
        self, name: str, feed: _Sum, names: Mapping[str, str], loop_edges: set[tuple[str, str]], clock: str
    ) -> Layer:
        """A population with all that leads into it; ``loop_edges`` are (target, source) pairs that take a step more."""
        node, (terms, constants) = self.population(name), feed
        if not terms:
            raise TclifError(f"{self.graph.where}: node {name}: nothing leads into it", "is an edge missing?")
        terms = [replace(t, delay=t.delay + node.delay + ((name, t.source) in loop_edges)) for t in terms]
        if node.gain is not None:
            terms = [replace(t, matrix=self.algebra.times(node.gain, t.matrix, name)) for t in terms]
            constants = {delay: constant * node.gain for delay, constant in constants.items()}
        neuron, late = node.neuron, []
        for delay, constant in sorted(constants.items()):
            if delay + node.delay == 0:
                neuron = neuron.with_current_bias(neuron.current_bias + constant)
            elif constant.any():
                late.append(Connection(clock, constant[:, None], delay + node.delay))
        return Layer(names[name], neuron, (*(self.connection(names[t.source], t, neuron.size) for t in terms), *late))

    def population(self, name: str) -> Population:
        node = self.nodes[name]
        assert isinstance(node, Population)
        return node

    def plain_output(self, terms: list[_Term], constants: _Constants) -> str | None:
        """The population that is the output by itself."""
        term = terms[0]
        if len(terms) > 1 or term.matrix is not None or term.delay or any(c.any() for c in constants.values()):
            return None
        return term.source if isinstance(self.nodes[term.source], Population) else None

    def populations(self, sink: str) -> list[str]:
        """Populations from which something reaches the output; the others are left out, with a notice."""
        if self.graph.order is not None:
            return list(self.graph.order)
        waiting = [sink]
        seen = set(waiting)
        while waiting:
            for source, _ in self.into[waiting.pop()]:
                if source not in seen:
                    seen.add(source)
                    waiting.append(source)
        every = [name for name, node in self.nodes.items() if isinstance(node, Population)]
        lost = [name for name in every if name not in seen]
        if lost:
            self.notices.append(f"left out, as nothing of it reaches the output: {', '.join(lost):.200}")
        return [name for name in every if name in seen]

    def evaluation_order(self, feeds: Mapping[str, _Sum], source: str) -> tuple[list[str], set[tuple[str, str]]]:
        """(populations in order, (target, source) pairs that get a step of delay because they close a loop).

        Each comes after those that it needs in the same step; else the nearer to the input the earlier.
        """
        if self.graph.order is not None:
            return list(feeds), set()
        readers: dict[str, list[str]] = {name: [] for name in (source, *feeds)}
        ahead: dict[str, list[str]] = {name: [] for name in readers}
        for target, (terms, _) in feeds.items():
            for term in terms:
                readers[term.source].append(target)
                if term.delay + self.population(target).delay == 0:
                    ahead[term.source].append(target)
        loop_edges = _find_loop_edges(ahead)
        self.notices += [
            f"the loop from {origin} back to {target} takes one step" for target, origin in sorted(loop_edges)
        ]
        near, waiting = {source: 0}, [source]
        for name in waiting:
            for target in readers[name]:
                if target not in near:
                    near[target] = len(near)
                    waiting.append(target)
        needs = {name: {a for a in feeds if name in ahead[a] and (name, a) not in loop_edges} for name in feeds}
        order: list[str] = []
        left = sorted(feeds, key=lambda name: near.get(name, len(near)))
        while left:
            following = next(name for name in left if needs[name] <= set(order))
            left.remove(following)
            order.append(following)
        return order, loop_edges

    def incoming(self, name: str, path: tuple[str, ...]) -> _Sum:
        """What enters node ``name``."""
        size = self.size_in(name)
        merged: dict[tuple[str, int, int], list[Operator]] = {}
        total: dict[int, Float] = {}
        for number, (source, delay) in enumerate(self.into[name]):
            terms, constants = self.outgoing(source, (*path, name))
            self.check_edge(source, name, size)
            for begins, constant in constants.items():
                at = begins + delay
                total[at] = total[at] + constant if at in total else constant
            apart = 0 if self.graph.order is None else number
            for term in terms:
                operators = merged.setdefault((term.source, term.delay + delay, apart), [])
                self.algebra.join(operators, term.matrix, size)
        return [_Term(source, delay, m) for (source, delay, _), parts in merged.items() for m in parts], total

    def outgoing(self, name: str, path: tuple[str, ...]) -> _Sum:
        """What leaves it."""
        node = self.nodes[name]
        if isinstance(node, Input | Population):
            return [_Term(name, 0, None)], {}
        if isinstance(node, Constant):
            return [], {0: node.value}
        if name in self.done:
            return self.done[name]
        if name in path:
            loop = " -> ".join((*path[path.index(name) :], name))
            raise TclifError(
                f"{self.graph.where}: a loop without a neuron in it: {loop:.200}", "no such loop can be run"
            )
        if len(path) > LONGEST_CHAIN:
            raise TclifError(f"{self.graph.where}: more than {LONGEST_CHAIN} weights in a row before {path[0]}")
        self.done[name] = self.after(name, node, *self.incoming(name, path))
        return self.done[name]

    def after(self, name: str, node: Node, terms: list[_Term], constants: _Constants) -> _Sum:
        """What node ``name`` makes of what enters it."""
        if isinstance(node, BatchNorm):
            node = node.affine()
        if isinstance(node, Affine):
            after = {delay: _product(node.weight, constant) for delay, constant in constants.items()}
            if node.bias is not None:
                after[0] = after[0] + node.bias if 0 in after else node.bias
            return [replace(t, matrix=self.algebra.times(node.weight, t.matrix, name)) for t in terms], after
        if isinstance(node, Delay):
            steps = np.unique(node.steps).tolist()
            if len(steps) == 1:
                late = {delay + steps[0]: constant for delay, constant in constants.items()}
                return [replace(t, delay=t.delay + steps[0]) for t in terms], late
            chosen = {d: (node.steps == d).astype(np.float64) for d in steps}
            late = {}
            for delay, constant in constants.items():
                for d in steps:
                    part = constant * chosen[d]
                    late[delay + d] = late[delay + d] + part if delay + d in late else part
            return [
                _Term(t.source, t.delay + d, self.algebra.times(chosen[d], t.matrix, name))
                for t in terms
                for d in steps
            ], late
        return terms, constants

    def check_edge(self, source: str, target: str, size: int) -> None:
        """Raise `TclifError` unless ``source`` gives the ``size`` values that ``target`` takes."""
        if self.size(source) != size:
            node = self.nodes[target]
            matrix = node.weight if isinstance(node, Affine) and isinstance(node.weight, np.ndarray) else None
            taker = f"a node of {size}" if matrix is None else f"a weight of shape {matrix.shape}"
            raise TclifError(
                f"{self.graph.where}: edge {source} -> {target}: {self.size(source)} values meet {taker}",
                "shapes must fit",
            )

    def size(self, name: str) -> int:
        """Elements that leave a node."""
        node = self.nodes[name]
        if isinstance(node, Input):
            return node.size
        if isinstance(node, Population):
            return node.neuron.size
        if isinstance(node, Constant):
            return int(node.value.size)
        if isinstance(node, Affine):
            return node.weight.neurons if isinstance(node.weight, Kernel) else len(node.weight)
        return self.size_in(name)

    def size_in(self, name: str) -> int:
        """Elements that enter a node."""
        node = self.nodes[name]
        if isinstance(node, Affine):
            return node.weight.sources if isinstance(node.weight, Kernel) else int(node.weight.shape[-1])
        if isinstance(node, BatchNorm | Delay):
            return int((node.mean if isinstance(node, BatchNorm) else node.steps).size)
        if isinstance(node, Output):
            return node.size or (self.size(self.into[name][0][0]) if self.into[name] else 0)
        return self.size(name)

    def connection(self, source: str, term: _Term, size: int) -> Connection:
        matrix = term.matrix
        if not isinstance(matrix, Kernel) and size * size > LARGEST_DIAGONAL and (matrix is None or matrix.ndim == 1):
            matrix = scaling((size, 1, 1), np.ones(size) if matrix is None else matrix)
        if isinstance(matrix, Kernel):
            return Connection(source, matrix.weight, term.delay, matrix.conv)
        return Connection(source, self.algebra.dense(matrix, size), term.delay)


def _clock(name: str) -> Layer:
    """A neuron that fires in every step, by its bias; a layer must hear something, so it hears itself."""
    neuron = neurons.lif(1, decay=0.0, threshold=0.5, reset="hard", bias=1.0)
    return Layer(name, neuron, (Connection(name, np.ones((1, 1)), 1),))


def _find_loop_edges(ahead: Mapping[str, list[str]]) -> set[tuple[str, str]]:
    """The edges, as (target, source), that lead back into the path of a walk, depth first, from the first name on."""
    loop_edges: set[tuple[str, str]] = set()
    state: dict[str, int] = {}
    for root in ahead:
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
                loop_edges.add((following, name))
            elif following not in state:
                state[following] = 1
                stack.append((following, iter(ahead[following])))
    return loop_edges


def _product(weight: LinearOperator, x: Float) -> Float:
    """``weight @ x``, by whatever the weight is."""
    if isinstance(weight, Kernel):
        return np.asarray(weight.apply(x[None])[0])
    return np.asarray(weight @ x if weight.ndim == 2 else weight * x)
