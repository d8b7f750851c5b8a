"""A NIR graph, free of any library's types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError
from tclif_deploy.network import Float

SAME = -1.0
"""Stands for a convolution's padding ``same`` where numbers are read."""

NEURONS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF")
"""NIR's own populations."""

Edges = tuple[tuple[str, str], ...]


class NotInNir(TclifError):
    """The network is sound, but NIR's primitives cannot say what it does."""


@dataclass(frozen=True, eq=False)
class Primitive:
    """One NIR node that is not a graph."""

    kind: str
    """NIR's name of the type"""
    arrays: Mapping[str, NDArray[Any]]
    """its parameters by NIR's names; ``shape`` for Input and Output"""


@dataclass(frozen=True, eq=False)
class NirGraph:
    """A NIR graph, free of any library's types."""

    nodes: Mapping[str, Primitive | NirGraph]
    edges: Edges
    metadata: Mapping[str, Float | str] = field(default_factory=dict)


def shaped(node: Primitive, shape: tuple[int, ...]) -> Primitive:
    """A neuron's node with parameters of the ``shape`` of its map."""
    arrays = {k: np.array(shape) if k == "shape" else v.reshape(shape) for k, v in node.arrays.items()}
    return replace(node, arrays=arrays)


def shaped_layer(graph: NirGraph, shape: tuple[int, ...]) -> NirGraph:
    """A layer's graph with parameters of the ``shape`` of its map."""
    nodes = {name: shaped(node, shape) for name, node in graph.nodes.items() if isinstance(node, Primitive)}
    return replace(graph, nodes=nodes)


def flattened(graph: NirGraph, entry: str) -> NirGraph:
    """A layer's graph whose parameters have the shape of a map, as one whose neurons stand in a row.

    ``entry`` is its Input, which has the shape.
    """
    ends = graph.nodes.get(entry)
    if not isinstance(ends, Primitive) or ends.kind != "Input" or ends.arrays["shape"].size < 2:
        return graph
    shape = tuple(int(v) for v in ends.arrays["shape"].reshape(-1))
    nodes = {
        name: replace(node, arrays={k: _in_a_row(v, shape) for k, v in node.arrays.items()})
        if isinstance(node, Primitive) else node
        for name, node in graph.nodes.items()
    }  # fmt: skip
    return replace(graph, nodes=nodes)


def _in_a_row(value: Float, shape: tuple[int, ...]) -> Float:
    """A parameter of a map of ``shape``, or that shape itself, for its neurons in a row; all else as it is."""
    if value.shape == shape:
        return value.reshape(-1)
    return np.array([math.prod(shape)]) if value.tolist() == list(shape) else value
