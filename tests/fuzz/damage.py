"""Kinds of damage to files, each drawn by a generator: what a disk, a copy, an editor or a stranger makes of a file."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

Damage = Callable[[bytes, np.random.Generator], bytes]

ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 0.5, -0.0, 1e-320, 1e30, 1e308, -1e308, float("nan"), float("inf"), 2**31, 2**62,
    -(2**63), 2**70, "", "x", "soft", "nowhere", "a\nb", "\x1b[31mred", "../../outside", "nul\0", "\ud800", "<b>",
    "x" * 5000, [], {}, [[]], [1, 2, 3, 4], [None], {"x": 1}, [[[[0]]]],
)  # fmt: skip
"""values that stand where others are expected"""
DEEP = "[" * 100_000


# --- bytes


def flip(content: bytes, rng: np.random.Generator) -> bytes:
    """A few bits changed."""
    changed = bytearray(content)
    for place in rng.integers(0, len(changed), int(rng.integers(1, 4))):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    """The end is missing, perhaps everything."""
    return content[: int(rng.integers(0, len(content)))]


def grow(content: bytes, rng: np.random.Generator) -> bytes:
    """Something is put in somewhere."""
    place = int(rng.integers(0, len(content) + 1))
    return content[:place] + rng.bytes(int(rng.integers(1, 50))) + content[place:]


def brackets(content: bytes, rng: np.random.Generator) -> bytes:
    """Another file: brackets without end."""
    return DEEP.encode()


# --- values


def odd(rng: np.random.Generator) -> Any:
    """One of `ODD`."""
    return ODD[int(rng.integers(len(ODD)))]


def places(value: Any) -> list[tuple[Any, Any]]:
    """(holder, key) of everything in plain values."""
    spots: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        holder = pending.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        spots += [(holder, key) for key in keys]
        pending += [holder[key] for key in keys]
    return spots


def change_values(value: Any, rng: np.random.Generator) -> Any:
    """One value of another kind or size, one that is missing, twice there, or under another key."""
    spots = places(value)
    if not spots:
        return odd(rng)
    holder, key = spots[int(rng.integers(len(spots)))]
    kind = rng.choice(["put", "put", "put", "delete", "more", "nudge"])
    if kind == "delete":
        del holder[key]
    elif kind == "more" and isinstance(holder, dict):
        holder[f"{key}x"] = holder[key]
    elif kind == "more":
        holder.append(holder[key])
    elif kind == "nudge" and isinstance(holder[key], (int, float)):
        holder[key] = type(holder[key])(holder[key] * rng.choice([-1, 0, 2, 1000])) if holder[key] == holder[key] else 0
    else:
        holder[key] = odd(rng)
    return value


def json_value(content: bytes, rng: np.random.Generator) -> bytes:
    """Valid JSON with one value changed."""
    return json.dumps(change_values(json.loads(content), rng)).encode()


def json_deep(content: bytes, rng: np.random.Generator) -> bytes:
    """Valid JSON with one value nested far."""
    value = json.loads(content)
    spots = places(value)
    holder, key = spots[int(rng.integers(len(spots)))]
    holder[key] = "DEEP"
    depth = int(rng.choice([70, 300, 100_000]))
    return json.dumps(value).replace('"DEEP"', "[" * depth + "]" * depth).encode()


# --- arrays


def change_array(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of another dtype, shape, or with values that do not belong there."""
    kind = rng.choice(["dtype", "shape", "value", "value", "empty"])
    if kind == "dtype":
        with np.errstate(all="ignore"):
            return array.astype(rng.choice(["f8", "f4", "i8", "u1", "c16", "U3", "?", ">i4", "f2"]))
    if kind == "shape":
        shapes = [(-1,), (1, -1), (*array.shape, 1), (1, *array.shape)]
        return array.reshape(shapes[int(rng.integers(len(shapes)))])
    if kind == "empty":
        return array[:0] if array.ndim else np.zeros(0, array.dtype)
    value = rng.choice([np.nan, np.inf, 0.5, -1.0, 0.0, 1e-320, 1e30, 1e308, 2.0**31, 2.0**40, 2.0**62])
    whole = float(value).is_integer() and abs(value) < 2.0**63 and rng.random() < 0.7
    changed = np.array(array, np.int64 if whole and array.dtype.kind in "biuf" else np.float64)
    changed.reshape(-1)[: int(rng.integers(1, 3)) if rng.random() < 0.5 else None] = value
    return changed


def npz_array(content: bytes, rng: np.random.Generator) -> bytes:
    """One array changed or missing."""
    arrays = dict(np.load(io.BytesIO(content)))
    name = sorted(arrays)[int(rng.integers(len(arrays)))]
    if rng.random() < 0.1:
        del arrays[name]
    else:
        arrays[name] = change_array(arrays[name], rng)
    return npz_of(arrays)


def npz_header(content: bytes, rng: np.random.Generator) -> bytes:
    """One value of the JSON header changed."""
    arrays = dict(np.load(io.BytesIO(content)))
    if "header" not in arrays:
        return npz_array(content, rng)
    header = json_deep if rng.random() < 0.1 else json_value
    arrays["header"] = np.frombuffer(header(arrays["header"].tobytes(), rng), np.uint8)
    return npz_of(arrays)


def npz_of(arrays: dict[str, np.ndarray]) -> bytes:
    """The bytes of an .npz."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def npy_header(content: bytes, rng: np.random.Generator) -> bytes:
    """The header of an .npy, or of an array in an .npz, says something else."""
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = sorted(members)[int(rng.integers(len(members)))]
        members[name] = npy_header(members[name], rng)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for key, value in members.items():
                archive.writestr(key, value)
        return buffer.getvalue()
    length = int.from_bytes(content[8:10], "little")
    header = content[10 : 10 + length].decode("latin1").strip()
    shape = header[header.index("(") : header.index(")") + 1]
    other = [
        header.replace(shape, "(-1, 50, 3)"), header.replace(shape, "(99999999999, 50, 3)"), "(" * 9000, "[" * 200,
        header.replace(shape, "(2**9,)"), header.replace(shape, "()"), header.replace(shape, "(3L, 50, 3)"),
        header.replace("False", "True"), header.replace("descr", "dexcr"), header[: len(header) // 2],
        header.replace("'descr': '", "'descr': '|O"), header.replace("<", ">"), header.replace(shape, "(0, 50, 3)"),
        header.replace("'descr': ", "'descr': [('a', '<f8')] or "), header.replace(shape, "(1.5, 2)"),
    ]  # fmt: skip
    text = other[int(rng.integers(len(other)))].encode("latin1") + b"\n"
    return content[:8] + len(text).to_bytes(2, "little") + text + content[10 + length :]


# --- HDF5


def hdf5_value(content: bytes, rng: np.random.Generator) -> bytes:
    """One data set changed, missing, or a link to somewhere."""
    buffer = io.BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name = names[int(rng.integers(len(names)))]
        item = file[name]
        kind = rng.choice(["delete", "array", "array", "array", "text", "itself", "elsewhere", "outside", "group"])
        values = item[()] if isinstance(item, h5py.Dataset) else None
        text = isinstance(values, bytes) or (isinstance(values, np.ndarray) and values.dtype == object)
        del file[name]
        if kind == "array" and values is not None and not text:
            changed = change_array(np.asarray(values), rng)
            file[name] = changed if changed.dtype.kind not in "U" else changed.astype("S")
        elif kind in ("array", "text"):
            other = odd(rng)
            file[name] = other.replace("\0", "") if isinstance(other, str) and other != "\ud800" else "NIRGraph"
        elif kind == "itself":
            file[name] = h5py.SoftLink(f"/{name}")
        elif kind == "elsewhere":
            file[name] = h5py.SoftLink("/")
        elif kind == "outside":
            file[name] = h5py.ExternalLink("/etc/passwd", "/")
        elif kind == "group":
            file.create_group(name)
    return buffer.getvalue()


# --- TOML


def toml_value(content: bytes, rng: np.random.Generator) -> bytes:
    """A line of a TOML file changed, missing, twice there, or another value in it."""
    lines = content.decode().split("\n")
    place = int(rng.integers(len(lines)))
    values = ['"x"', "-1", "0", "1e308", "nan", "inf", "true", "[]", "{}", "2020-13-45", '"../x"', '"a\\nb"',
              '"\\u0000"', "[" * 5000, "9" * 5000, "0x7fffffffffffffff", '"' + "x" * 5000 + '"', "[1, 2]"]  # fmt: skip
    value = values[int(rng.integers(len(values)))]
    kind = rng.choice(["value", "value", "value", "inner", "delete", "twice", "key", "name"])
    if kind == "delete":
        del lines[place]
    elif kind == "twice":
        lines.insert(place, lines[place])
    elif kind == "key":
        lines.insert(place, f"{'x' * int(rng.choice([1, 3000]))} = {value}")
    elif kind == "name":
        lines.insert(0, f"name = {value}")
    elif kind == "inner" and "value = " in lines[place]:
        lines[place] = lines[place].split("value = ")[0] + f"value = {value} }}"
    else:
        lines[place] = lines[place].split("=")[0] + f"= {value}"
    return "\n".join(lines).encode()


BYTES: tuple[Damage, ...] = (flip, cut, grow, brackets)
BY_SUFFIX: dict[str, tuple[Damage, ...]] = {
    ".json": (json_value, json_value, json_value, json_value, json_deep),
    ".npz": (npz_array, npz_array, npz_header, npz_header, npz_header, npy_header),
    ".npy": (npy_header, npy_header),
    ".nir": (hdf5_value, hdf5_value, hdf5_value),
    ".h5": (hdf5_value, hdf5_value, hdf5_value),
    ".toml": (toml_value, toml_value, toml_value),
}


def damaged(content: bytes, suffix: str, rng: np.random.Generator) -> tuple[str, bytes | None]:
    """(kind of damage, what it leaves of ``content``; None: the file is gone)."""
    kinds = (*BYTES, *BY_SUFFIX.get(suffix, ()), *BY_SUFFIX.get(suffix, ()))
    choice = int(rng.integers(len(kinds) + 1))
    if choice == len(kinds):
        return "delete", None
    return kinds[choice].__name__, kinds[choice](content, rng)
