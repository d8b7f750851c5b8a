"""Damage to HDF5 files (NIR, netx, SHD) by their grammar: nodes, edges, types and values, links, storage."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import h5py
import numpy as np

from tests.fuzz.arrays import change_array
from tests.fuzz.values import Rng, json_deep, json_text, json_value, odd, pick

TYPES = ("Input", "Output", "Affine", "Linear", "Scale", "LIF", "CubaLIF", "LI", "I", "IF", "CubaLI", "Conv1d",
         "Conv2d", "SumPool2d", "AvgPool2d", "Flatten", "Delay", "Threshold", "NIRGraph", "Nowhere", "dense", "conv",
         "input", "flatten", "average", "pool", "concat")  # fmt: skip
"""of nodes of NIR, and of layers of netx"""
HUGE = (2**20, 2**31, 2**62)


def hdf5_value(content: bytes, rng: Rng) -> bytes:
    """A data set or group changed, missing, renamed, of another kind, or a link to somewhere."""
    buffer = io.BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        for _ in range(1 if rng.random() < 0.85 else 3):
            names: list[str] = []
            file.visit(names.append)
            if names:
                with contextlib.suppress(ValueError, OSError, TypeError, KeyError, RuntimeError):  # HDF5 has rules too
                    _change(file, pick(rng, names), names, rng)
    return buffer.getvalue()


def _change(file: Any, name: str, names: list[str], rng: Rng) -> None:
    item = file[name]
    values = item[()] if isinstance(item, h5py.Dataset) else None
    text = isinstance(values, bytes) or (isinstance(values, np.ndarray) and values.dtype == object)
    kinds = ["delete", "rename", "exchange", "copy", "attribute", "link", "kind"]
    kinds += ["text"] * 6 if text else ["array"] * 8 + ["storage"] * 3 if values is not None else ["more"] * 3
    kind = pick(rng, kinds)
    if kind == "delete":
        del file[name]
    elif kind == "rename":
        new = pick(
            rng, ("x", "x" * 3000, "é", "a b", "\x1b[31m", "0", "99", ".", "a\nb", item.name.split("/")[-1].upper())
        )
        file.move(name, f"{name.rpartition('/')[0]}/{new}")
    elif kind == "exchange":
        other = pick(rng, names)
        if not other.startswith(f"{name}/") and not name.startswith(f"{other}/") and other != name:
            file.move(name, "aside")
            file.move(other, name)
            file.move("aside", other)
    elif kind == "copy":
        file.copy(name, f"{name}{pick(rng, ('x', '2', '/x'))}")
    elif kind == "attribute":
        item.attrs[pick(rng, ("x", "type", "shape", "é"))] = pick(
            rng, (1, "x" * 60_000, np.zeros(100), h5py.Empty("f8"))
        )
    elif kind == "link":
        del file[name]
        _link(file, name, rng)
    elif kind == "kind":
        del file[name]
        if values is None or rng.random() < 0.3:
            file[name] = pick(rng, (1.0, b"x", np.zeros(3), h5py.Empty("f8"), np.dtype("f8")))
        else:
            file.create_group(name)
    elif kind == "text":
        del file[name]
        if isinstance(values, bytes):
            file[name] = _other_text(values, rng)
        else:
            _edges(file, name, values, rng)
    elif kind == "array":
        del file[name]
        _array(file, name, np.asarray(values), rng)
    elif kind == "storage":
        del file[name]
        _storage(file, name, np.asarray(values), rng)
    elif kind == "more":
        _more(item, rng)


def _link(file: Any, name: str, rng: Rng) -> None:
    """To itself, the root, what is above it, nothing, another file, a file of the system."""
    parent = name.rpartition("/")[0] or "/"
    links = (
        h5py.SoftLink(f"/{name}"), h5py.SoftLink("/"), h5py.SoftLink("/nowhere"), h5py.SoftLink("x" * 70_000),
        h5py.ExternalLink("/etc/passwd", "/"), h5py.ExternalLink("n.nir", "/node"), h5py.ExternalLink("", ""),
        file[parent], file["/"],
    )  # fmt: skip
    file[name] = pick(rng, links)


def _other_text(values: bytes, rng: Rng) -> Any:
    """A string: of another node's type, of JSON with a value changed, or of anything."""
    if values[:1] in b"{[" and values and rng.random() < 0.8:
        change = pick(rng, (json_value,) * 6 + (json_deep, json_text))
        return change(values, rng).replace(b"\0", b"")[:60_000]
    if rng.random() < 0.5:
        return pick(rng, TYPES)
    value = odd(rng)
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "surrogatepass")
    return pick(rng, (3, 1.5, np.bytes_(b"LIF"), np.array([b"LIF", b"LIF"]), b"\xff\xfe", np.void(b"LIF"), b""))


def _edges(file: Any, name: str, values: Any, rng: Rng) -> None:
    """Edges that are missing, twice there, turned round, to nowhere, to themselves, in circles, of other shapes."""
    edges = values.tolist()
    row = int(rng.integers(len(edges))) if edges else 0
    kind = pick(rng, ("delete", "twice", "turn", "nowhere", "self", "other", "all", "flat", "none", "fixed", "long"))
    ends = [end for edge in edges for end in (edge if isinstance(edge, list) else [edge])] or [b"x"]
    if kind == "delete":
        edges = edges[:row] + edges[row + 1 :]
    elif kind == "twice":
        edges.append(edges[row] if edges else [b"a", b"b"])
    elif kind == "turn" and edges:
        edges[row] = edges[row][::-1]
    elif kind == "all":
        edges = [[a, b] for a in dict.fromkeys(ends) for b in dict.fromkeys(ends)]
    elif kind == "none":
        edges = []
    elif kind == "flat":
        edges = ends
    elif kind == "fixed":
        file[name] = np.array(edges, "S20")
        return
    elif edges and isinstance(edges[row], list):
        other = {"nowhere": b"nowhere", "self": edges[row][0], "long": b"x" * 30_000}.get(kind, pick(rng, ends))
        edges[row][int(rng.integers(len(edges[row])))] = other
    shape = (0, 2) if not edges else None
    file.create_dataset(name, data=np.array(edges, object) if edges else None, shape=shape, dtype=h5py.string_dtype())


def _array(file: Any, name: str, values: np.ndarray, rng: Rng) -> None:
    changed = change_array(values, rng)
    if changed.dtype.kind in "UM" or changed.dtype == object:
        changed = changed.astype("S8")
    if rng.random() < 0.1:
        other = pick(rng, ("vlen", "enum", "complex", "reference", "opaque", "array"))
        dtypes = {
            "vlen": h5py.vlen_dtype(np.float32), "enum": h5py.enum_dtype({"a": 1, "b": 2}), "complex": np.dtype("c16"),
            "reference": h5py.ref_dtype, "opaque": np.dtype("V7"), "array": np.dtype(("f8", (3,))),
        }  # fmt: skip
        file.create_dataset(name, values.shape, dtypes[other])
        return
    file[name] = changed


def _storage(file: Any, name: str, values: np.ndarray, rng: Rng) -> None:
    """The same values packed in some way, or a shape that nothing stands behind."""
    shape, huge = values.shape or (1,), pick(rng, HUGE)
    values = values.reshape(shape)
    kind = pick(
        rng, ("gzip", "lzf", "shuffle", "scale", "huge", "filled", "chunks", "virtual", "external", "empty", "max")
    )
    if kind in ("gzip", "lzf"):
        file.create_dataset(name, data=values, compression=kind, fletcher32=rng.random() < 0.5)
    elif kind == "shuffle":
        file.create_dataset(name, data=values, shuffle=True, chunks=True)
    elif kind == "scale":
        file.create_dataset(name, data=values, scaleoffset=3, chunks=True)
    elif kind == "huge":
        file.create_dataset(name, (huge, *shape[1:]), values.dtype, chunks=(1, *shape[1:]), compression="gzip")
    elif kind == "filled":
        file.create_dataset(name, (huge,) * len(shape), "f8", chunks=(1,) * len(shape), fillvalue=odd(rng) or 0.5)
    elif kind == "chunks":
        file.create_dataset(name, shape, "f8", chunks=tuple(2**9 for _ in shape), maxshape=(None,) * len(shape))
    elif kind == "virtual":
        layout = h5py.VirtualLayout(shape, "f8")
        layout[...] = h5py.VirtualSource(pick(rng, (".", "elsewhere.h5")), pick(rng, (name, "x")), shape)
        file.create_virtual_dataset(name, layout)
    elif kind == "external":
        file.create_dataset(name, shape, "f8", external=[("/etc/passwd", 0, 8 * int(np.prod(shape)))])
    elif kind == "max":
        file.create_dataset(name, data=np.zeros((2**11,) * min(len(shape), 2)), compression="gzip")
    else:
        file[name] = h5py.Empty("f8")


def _more(group: Any, rng: Rng) -> None:
    """Something in a group that does not belong there."""
    kind = pick(rng, ("node", "deep", "many", "value"))
    if kind == "node":
        node = group.create_group(pick(rng, ("extra", "0", "9_extra")))
        node["type"] = pick(rng, TYPES)
        for field in ("weight", "bias", "tau", "r", "v_leak", "v_threshold", "shape", "start_dim", "stride")[
            : int(rng.integers(10))
        ]:
            node[field] = pick(rng, (np.ones(4), np.ones((4, 4)), 1, np.zeros((0, 3)), -1.0))
    elif kind == "deep":
        for _ in range(pick(rng, (70, 600))):
            group = group.create_group("node")
    elif kind == "many":
        for n in range(300):
            group[f"extra{n}"] = n
    else:
        group[pick(rng, ("x", "é", "type2"))] = json.dumps({"x": 1})
