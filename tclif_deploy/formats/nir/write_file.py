"""Graphs as files, by the nir package."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nir

from tclif_deploy.formats.nir.graph import NirGraph, Primitive
from tclif_deploy.outputs import write_file

_READABLE = " !#$&'()*+,;<=>@[]^{|}"
"""Characters that stay as they are in a node's name; slash, percent and non-ASCII become %XX."""


def save_graph(graph: NirGraph, path: Path | str) -> None:
    """Write ``graph`` into a file that appears whole or not at all; raises `TclifError` where it cannot be written."""
    buffer = io.BytesIO()
    nir.write(buffer, _to_nir(graph))
    write_file(path, buffer.getvalue())


def node_name(name: str) -> str:
    """A layer's name as HDF5 and NIR can hold it."""
    return quote(name, safe=_READABLE, errors="surrogatepass")


def _to_nir(node: Primitive | NirGraph) -> Any:
    """The object of the nir package."""
    if isinstance(node, NirGraph):
        nodes = {name: _to_nir(inner) for name, inner in node.nodes.items()}
        # Without the type check, which adds an Output node for each layer that nothing reads.
        return nir.NIRGraph(nodes, list(node.edges), metadata=dict(node.metadata), type_check=False)
    if node.kind in ("Input", "Output"):
        return getattr(nir, node.kind)(node.arrays["shape"])
    if node.kind == "Flatten":
        shape, start = node.arrays["input_type"], int(node.arrays["start_dim"])
        return nir.Flatten({"input": shape}, start_dim=start, end_dim=int(node.arrays["end_dim"]))
    if node.kind in ("Conv1d", "Conv2d"):
        a = node.arrays
        settings = {name: tuple(a[name].tolist()) for name in ("input_shape", "stride", "padding", "dilation")}
        plain = {name: values if len(values) > 1 else values[0] for name, values in settings.items()}
        return getattr(nir, node.kind)(weight=a["weight"], bias=a["bias"], groups=int(a["groups"]), **plain)
    return getattr(nir, node.kind)(**node.arrays)
