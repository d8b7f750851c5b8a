"""Runs a graph of NIR primitives as its documentation defines them; shares nothing with the package.

Forward Euler with dt = 1 turns each primitive's equation into a step:

- I:          v <- v + r*I
- LI:         v <- v + ((v_leak - v) + r*I)/tau
- IF, LIF:    like I, LI; then z = v > v_threshold and v <- v_reset where z; the output is z
- Threshold:  z = I > threshold;   Scale, Linear, Affine as they say

The outer graph's nodes run in alphabetical order. A graph in it runs under one of two schedulers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np

STATEFUL = (nir.I, nir.LI, nir.IF, nir.LIF)


class Machine:
    """A graph whose nodes run one after the other by name, each from the newest outputs of the nodes it reads."""

    def __init__(self, graph: nir.NIRGraph, samples: int, inner: Callable[..., Any]) -> None:
        self.nodes = dict(sorted(graph.nodes.items()))
        self.sources = {name: [a for a, b in graph.edges if b == name] for name in self.nodes}
        self.machines = {n: inner(g, samples, inner) for n, g in self.nodes.items() if isinstance(g, nir.NIRGraph)}
        self.outputs = {name: np.zeros((samples, _width(node))) for name, node in self.nodes.items()}
        self.state = {n: np.zeros_like(self.outputs[n]) for n, node in self.nodes.items() if isinstance(node, STATEFUL)}

    def step(self, x: np.ndarray) -> np.ndarray:
        """Inputs (samples, features) to the Output's values."""
        for name, node in self.nodes.items():
            drive = x if isinstance(node, nir.Input) else sum(self.outputs[source] for source in self.sources[name])
            if name in self.machines:
                self.outputs[name] = self.machines[name].step(drive)
            elif name in self.state:
                self.state[name], self.outputs[name] = _integrate(node, self.state[name], drive)
            else:
                self.outputs[name] = _apply(node, drive)
            last = self.outputs[name]
        return last


class Simultaneous(Machine):
    """A graph whose states all step at once, from the states before the step."""

    def step(self, x: np.ndarray) -> np.ndarray:
        before = {name: self.outputs[name] for name in self.state}
        drives = {name: self._drive(name, x, before) for name in self.state}
        for name, drive in drives.items():
            self.state[name], self.outputs[name] = _integrate(self.nodes[name], self.state[name], drive)
        (end,) = (name for name, node in self.nodes.items() if isinstance(node, nir.Output))
        return self._drive(end, x, {name: self.outputs[name] for name in self.state})

    def _drive(self, name: str, x: np.ndarray, states: dict[str, np.ndarray]) -> np.ndarray:
        return sum(self._value(source, x, states) for source in self.sources[name])

    def _value(self, name: str, x: np.ndarray, states: dict[str, np.ndarray]) -> np.ndarray:
        if name in states:
            return states[name]
        node = self.nodes[name]
        return x if isinstance(node, nir.Input) else _apply(node, self._drive(name, x, states))


def run(graph: nir.NIRGraph, x: np.ndarray, inner: type[Machine]) -> list[np.ndarray]:
    """Outputs (samples, time, neurons) of each graph inside ``graph``, by name, for ``x`` (samples, time, features)."""
    interpreter = Machine(graph, len(x), inner)
    outputs = []
    for t in range(x.shape[1]):
        interpreter.step(x[:, t])
        outputs.append([interpreter.outputs[name] for name in interpreter.machines])
    return [np.stack(layer, axis=1) for layer in zip(*outputs, strict=True)]


def _width(node: nir.NIRNode) -> int:
    (shape,) = node.output_type.values()
    return int(np.prod(shape))


def _integrate(node: nir.NIRNode, v: np.ndarray, drive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(state, output) after a step."""
    leaky = isinstance(node, (nir.LI, nir.LIF))
    v = v + ((node.v_leak - v) + node.r * drive) / node.tau if leaky else v + node.r * drive
    if isinstance(node, (nir.I, nir.LI)):
        return v, v
    z = v > node.v_threshold
    return np.where(z, node.v_reset, v), z.astype(float)


def _apply(node: nir.NIRNode, drive: np.ndarray) -> np.ndarray:
    match node:
        case nir.Output() | nir.Input():
            return drive
        case nir.Scale():
            return node.scale * drive
        case nir.Threshold():
            return (drive > node.threshold).astype(float)
        case nir.Affine():
            return drive @ node.weight.T + node.bias
        case nir.Linear():
            return drive @ node.weight.T
    raise AssertionError(f"the interpreter does not know {node}")
