"""Untrusted HDF5 file to `Graph`: what is read is checked before memory is taken for it.

Nothing outside the file is ever followed, and no array is larger than the bytes in the file can unpack to.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from tclif_deploy.errors import TclifError
from tclif_deploy.formats.nir import heap
from tclif_deploy.formats.nir.form import SAME, Edges, Graph, Primitive
from tclif_deploy.formats.nir.metadata import EXPORT, KEY
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

UNPACKING = 1032
"""No more bytes can deflate make of one (zlib's technical note)."""

LONGEST_TEXT = 100_000
"""Characters of a string in the file; names and JSON of ours are far shorter."""

_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF}

DAMAGE = (
    OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError, MemoryError,
    NotImplementedError, SystemError,
)  # fmt: skip
"""What h5py raises on a damaged file, one or another."""

_EXPECTED = "expected a NIR file (HDF5)"


def read_graph(path: Path | str) -> Graph:
    """The graph of a NIR file; raises `TclifError` with the path in the graph."""
    path = Path(path)
    try:
        if path.is_dir():
            raise TclifError(f"{path}: is a folder", _EXPECTED)
        if not path.exists():
            raise TclifError(f"{path}: file not found", _EXPECTED)
        size = path.stat().st_size
        if size == 0:
            raise TclifError(f"{path}: is empty", _EXPECTED)
        with h5py.File(path, "r") as file:
            return FileReader(str(path), size).graph(FileReader.child(file, "node", h5py.Group, str(path)), "", 0)
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise TclifError(f"{path}: damaged or not HDF5 ({reason})", _EXPECTED) from error


def graph_of(content: bytes, where: str) -> Graph:
    """The graph of the NIR file whose bytes are ``content``, and which messages call ``where``."""
    with h5py.File(io.BytesIO(content), "r") as file:
        reader = FileReader(where, len(content), content)
        return reader.graph(FileReader.child(file, "node", h5py.Group, where), "", 0)


class FileReader:
    """Reads one file, and keeps account of the memory that its arrays take."""

    def __init__(self, path: str, size: int, content: bytes | None = None) -> None:
        self.path = path
        self.size = size
        self.content = content
        """the file's bytes, where it is none on disk"""
        self.left = UNPACKING * size
        self.nodes = 0

    def reopen(self) -> BinaryIO:
        """The file's bytes, beside the HDF5 library."""
        return open(self.path, "rb") if self.content is None else io.BytesIO(self.content)

    @staticmethod
    def child(group: Any, name: str, kind: type, where: str) -> Any:
        """Member ``name`` of ``group``, which must be of h5py's type ``kind`` and in this file."""
        link = group.get(name, getlink=True)
        if link is None:
            raise TclifError(f"{where}: no {name}", _EXPECTED)
        if not isinstance(link, h5py.HardLink):
            raise TclifError(f"{where}: {name} is a link to elsewhere", "links are not followed")
        item = group[name]
        if not isinstance(item, kind):
            raise TclifError(f"{where}: {name} is a {type(item).__name__.lower()}, expected a {kind.__name__.lower()}")
        return item

    def graph(self, group: Any, name: str, depth: int) -> Graph:
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
            held = self.child(group, "metadata", h5py.Group, where)
            if EXPORT in held:
                metadata[EXPORT] = self.text(held, EXPORT, where)
            if KEY in held:
                metadata[KEY] = self.text(held, KEY, where)
                metadata |= {key: self.array(held, key, f"{where}: metadata") for key in NEURON_ARRAYS if key in held}
        return Graph(nodes, edges, metadata)

    def node(self, parent: Any, key: str, name: str, depth: int) -> Primitive | Graph:
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
        return Primitive(kind, {field: self.array(group, field, where) for field in fields})

    def where(self, name: str) -> str:
        return f"{self.path}: node {name}" if name else self.path

    def array(self, group: Any, name: str, where: str) -> Float:
        """A finite numeric dataset as float64."""
        data = self.child(group, name, h5py.Dataset, where)
        if name == "padding" and h5py.check_string_dtype(data.dtype) is not None:
            return self.padding(group, where)
        if data.dtype.kind not in "fiu" or data.dtype.itemsize > 8:
            raise TclifError(f"{where}: {name} has type {data.dtype}, expected numbers of at most 64 bits")
        if data.shape is not None and 0 in data.shape:
            raise TclifError(f"{where}: {name} has shape {data.shape}", "no parameter is without a number")
        self.account(data, name, where)
        value = np.asarray(data[()], dtype=np.float64)
        if not np.isfinite(value).all():
            index = [int(v) for v in np.argwhere(~np.isfinite(value))[0]]
            raise TclifError(f"{where}: {name}{index} is {value[tuple(index)]}", "parameters must be finite")
        return value

    def padding(self, group: Any, where: str) -> Float:
        """A convolution's padding given in words."""
        said = self.text(group, "padding", where)
        if said not in ("same", "valid"):
            raise TclifError(f"{where}: padding is {said[:40]!r}", "expected numbers, same or valid")
        return np.array([SAME if said == "same" else 0.0])

    def account(self, data: Any, name: str, where: str) -> None:
        """Refuse a dataset whose values are not all in this file, or that declares more than the file can hold."""
        layout = data.id.get_create_plist()
        if data.shape is None or data.is_virtual or layout.get_external_count():
            raise TclifError(f"{where}: {name} has no values in this file", "links are not followed")
        filters = [layout.get_filter(i)[0] for i in range(layout.get_nfilters())]
        if not set(filters) <= _FILTERS or len(set(filters)) != len(filters):
            raise TclifError(
                f"{where}: {name} is packed in an unknown way (HDF5 filters {filters})", "save it with gzip"
            )
        stored = min(data.id.get_storage_size(), self.size)
        item = max(data.dtype.itemsize, 8)
        declared = max(int(np.prod(shape, dtype=object)) for shape in (data.shape, data.chunks or ())) * item
        if declared > UNPACKING * stored or declared > self.left:
            raise TclifError(
                f"{where}: {name} declares {declared} bytes, the file stores {stored} for it", "is it damaged?"
            )
        self.left -= declared

    def text(self, group: Any, name: str, where: str) -> str:
        """A string dataset."""
        data = self.child(group, name, h5py.Dataset, where)
        if data.shape != () or h5py.check_string_dtype(data.dtype) is None:
            raise TclifError(f"{where}: {name} is not a string")
        return self.strings(data, name, where)[0]

    def edges(self, group: Any, nodes: int, where: str) -> Edges:
        """Pairs of names."""
        data = self.child(group, "edges", h5py.Dataset, where)
        if h5py.check_string_dtype(data.dtype) is None or len(data.shape) != 2 or data.shape[1] != 2:
            raise TclifError(f"{where}: edges have shape {data.shape}, expected (edges, 2) strings")
        if data.shape[0] > nodes**2:
            raise TclifError(f"{where}: {data.shape[0]} edges between {nodes} nodes")
        found = self.strings(data, "edges", where)
        return tuple(zip(found[::2], found[1::2], strict=True))

    def strings(self, data: Any, name: str, where: str) -> list[str]:
        """All strings of a dataset: HDF5 would take memory for any length that a damaged file names, or hang."""
        self.account(data, name, where)
        if h5py.check_string_dtype(data.dtype).length is not None or not data.size:
            return [_decoded(value) for value in np.asarray(data[()]).reshape(-1)]
        # A string of variable length is stored as its length in 4 bytes, and the address of its characters.
        offset, stored = data.id.get_offset(), data.id.get_storage_size()
        if offset is None or stored != data.size * heap.REFERENCE:
            raise TclifError(f"{where}: {name} is stored in a way that is not read", "save it as nir.write does")
        with self.reopen() as file:
            file.seek(offset)
            raw = np.frombuffer(file.read(stored), np.uint8).reshape(data.size, -1)
        lengths = np.ascontiguousarray(raw[:, :4]).view("<u4").astype(np.int64)
        if lengths.max() > LONGEST_TEXT:
            raise TclifError(
                f"{where}: {name} has a string of {lengths.max()} characters, at most {LONGEST_TEXT} are read"
            )
        if lengths.sum() > self.left:
            raise TclifError(f"{where}: {name} has {lengths.sum()} characters, the file {self.size} bytes")
        self.left -= int(lengths.sum())
        with self.reopen() as file:
            return [_decoded(value) for value in heap.strings(file, raw)]


def _decoded(value: Any) -> str:
    return value.decode("utf8") if isinstance(value, bytes) else str(value)
