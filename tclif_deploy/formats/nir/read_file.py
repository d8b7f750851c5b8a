"""NIR file, or graph of the nir package in memory, to `NirGraph`, with all the care of `tclif_deploy.hdf5`."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from tclif_deploy.errors import TclifError
from tclif_deploy.files import as_path
from tclif_deploy.formats.nir.graph import SAME, Edges, NirGraph, Primitive
from tclif_deploy.formats.nir.grids import PREFIX
from tclif_deploy.formats.nir.metadata import EXPORT, KEY
from tclif_deploy.hdf5 import FileReader
from tclif_deploy.network import NEURON_ARRAYS, Float

FIELDS: dict[str, frozenset[str]] = {
    "Input": frozenset({"shape"}),
    "Output": frozenset({"shape"}),
    "Linear": frozenset({"weight"}),
    "Affine": frozenset({"weight", "bias"}),
    "Scale": frozenset({"scale"}),
    "Threshold": frozenset({"threshold"}),
    "I": frozenset({"r"}),
    "IF": frozenset({"r", "v_reset", "v_threshold"}),
    "LIF": frozenset({"r", "tau", "v_leak", "v_reset", "v_threshold"}),
    "LI": frozenset({"r", "tau", "v_leak"}),
    "CubaLIF": frozenset({"r", "tau_mem", "tau_syn", "v_leak", "v_reset", "v_threshold", "w_in"}),
    "CubaLI": frozenset({"r", "tau_mem", "tau_syn", "v_leak", "w_in"}),
    "Delay": frozenset({"delay"}),
    "Conv1d": frozenset({"bias", "dilation", "groups", "input_shape", "padding", "stride", "weight"}),
    "Conv2d": frozenset({"bias", "dilation", "groups", "input_shape", "padding", "stride", "weight"}),
    "SumPool2d": frozenset({"kernel_size", "padding", "stride"}),
    "AvgPool2d": frozenset({"kernel_size", "padding", "stride"}),
    "Flatten": frozenset({"end_dim", "input_type", "start_dim"}),
}
"""NIR's node types that are read, and their parameters."""

OPTIONAL = frozenset({"v_reset", "w_in", "end_dim", "input_type", "start_dim", "input_shape"})
"""Parameters that files of older versions leave out; NIR's defaults serve."""

DEEPEST = 16
"""Graphs within graphs; a layer's graph is one deep."""

MOST_NODES = 50_000
"""In all graphs together: a graph may contain itself, and itself again."""


_EXPECTED = "expected a NIR file (HDF5)"


def model_name(model: Path | str | nir.NIRGraph) -> str:
    """What messages call a file, or a graph that is in none."""
    return str(model) if isinstance(model, Path | str) else "NIRGraph"


def read_graph(model: Path | str | nir.NIRGraph) -> NirGraph:
    """The graph of a NIR file, or of the nir package: as the file that it writes of it would be read.

    Raises `TclifError` with the path in the graph.
    """
    source: Path | bytes
    if not isinstance(model, nir.NIRGraph):
        source = as_path(model, "expected the path of a .nir file, or a nir.NIRGraph")
    else:
        try:
            source = _written(model)
        except Exception as error:  # of users' own nodes
            try:
                source = _written(_in_full(model))
            except Exception:
                raise TclifError(
                    f"NIRGraph: nir cannot write it ({error!s:.150})", "give a graph of NIR's own nodes"
                ) from error
    with _GraphReader.opened(source, model_name(model), _EXPECTED) as reader:
        return reader.root()


def _written(graph: nir.NIRGraph) -> bytes:
    buffer = io.BytesIO()
    nir.write(buffer, graph)
    return buffer.getvalue()


def _in_full(graph: nir.NIRGraph) -> nir.NIRGraph:
    """A copy that nir can write: without scalars, as Sinabs' to_nir leaves them, and without shapes that are None."""
    graph = copy.deepcopy(graph)
    waiting = [graph]
    for inner in waiting:
        for node in inner.nodes.values():
            if isinstance(node, nir.NIRGraph):
                waiting.append(node)
                continue
            for name, value in vars(node).items():
                if getattr(value, "shape", None) == () and name not in ("input_type", "output_type"):
                    setattr(node, name, np.asarray(value).reshape(1))
                elif value is None and name == "input_shape":
                    setattr(node, name, 0)  # which no map has
    return graph


class _GraphReader(FileReader):
    nodes = 0
    """read until now"""

    def root(self) -> NirGraph:
        return self.graph(self.child(self.file, "node", h5py.Group, self.path), "", 0)

    def graph(self, group: Any, name: str, depth: int) -> NirGraph:
        """The graph of the HDF5 group of a node ``name``."""
        where = self.where(name)
        kind = self.text(group, "type", where)
        if kind != "NIRGraph":
            raise TclifError(f"{where}: is a {kind[:40]!r}, expected a NIRGraph")
        inside = self.child(group, "nodes", h5py.Group, where)
        nodes = {key: self.node(inside, key, f"{name}/{key}" if name else key, depth) for key in sorted(inside)}
        edges = self.edges(group, len(nodes), where)
        for edge in edges:
            for end in edge:
                if end not in nodes:
                    raise TclifError(
                        f"{where}: there is an edge {edge[0][:40]!r} -> {edge[1][:40]!r}, but no node {end[:40]!r}"
                    )
        metadata: dict[str, Float | str] = {}
        if "metadata" in group:
            members = self.child(group, "metadata", h5py.Group, where)
            if EXPORT in members:
                metadata[EXPORT] = self.text(members, EXPORT, where)
            if KEY in members:
                metadata[KEY] = self.text(members, KEY, where)
                metadata |= {
                    key: self.array(members, key, f"{where}: metadata") for key in NEURON_ARRAYS if key in members
                }
            units = [key for key in members if key.startswith(PREFIX)]
            metadata |= {key: self.array(members, key, f"{where}: metadata") for key in units}
        return NirGraph(nodes, edges, metadata)

    def node(self, parent: Any, key: str, name: str, depth: int) -> Primitive | NirGraph:
        """The node in the member ``key`` of a graph's ``nodes``; ``name`` is its path in the graph."""
        if not key.isprintable():
            raise TclifError(f"{self.path}: node name {name[:40]!r} has unprintable characters", "rename the node")
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise TclifError(f"{self.path}: more than {MOST_NODES} nodes", f"at most {MOST_NODES} nodes are read")
        where = self.where(name)
        group = self.child(parent, key, h5py.Group, where)
        kind = self.text(group, "type", where)
        if kind == "NIRGraph":
            if depth >= DEEPEST:
                raise TclifError(f"{where}: graphs within graphs, more than {DEEPEST} deep", "flatten the graph")
            return self.graph(group, name, depth + 1)
        if kind not in FIELDS:
            raise TclifError(
                f"{where}: is of type {kind[:40]!r}, which is not read", f"read are {', '.join(FIELDS)}, NIRGraph"
            )
        unknown = set(group) - FIELDS[kind] - {"type", "metadata"}
        if unknown:
            raise TclifError(
                f"{where}: a {kind} has no parameter {min(unknown)[:40]!r}", f"known: {', '.join(sorted(FIELDS[kind]))}"
            )
        fields = sorted(field for field in FIELDS[kind] if field in group or field not in OPTIONAL)
        return Primitive(kind, {field: self.parameter(group, field, where) for field in fields})

    def where(self, name: str) -> str:
        return f"{self.path}: node {name}" if name else self.path

    def parameter(self, group: Any, name: str, where: str) -> Float:
        """A node's parameter; a convolution's padding may be given in words."""
        data = self.child(group, name, h5py.Dataset, where)
        if name != "padding" or h5py.check_string_dtype(data.dtype) is None:
            return self.array(group, name, where)
        word = self.text(group, name, where)
        if word not in ("same", "valid"):
            raise TclifError(f"{where}: padding is {word[:40]!r}", "expected numbers, same or valid")
        return np.array([SAME if word == "same" else 0.0])

    def edges(self, group: Any, nodes: int, where: str) -> Edges:
        """Pairs of names."""
        data = self.child(group, "edges", h5py.Dataset, where)
        if h5py.check_string_dtype(data.dtype) is None or len(data.shape) != 2 or data.shape[1] != 2:
            raise TclifError(f"{where}: edges have shape {data.shape}, expected (edges, 2) strings")
        if data.shape[0] > nodes**2:
            raise TclifError(f"{where}: {data.shape[0]} edges between {nodes} nodes")
        names = self.strings(data, "edges", where)
        return tuple(zip(names[::2], names[1::2], strict=True))
