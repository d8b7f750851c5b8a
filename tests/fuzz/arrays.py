"""Damage to .npz and .npy files: in the values, in the headers, and in the zip around them."""

from __future__ import annotations

import functools
import gzip
import io
import pickle
import struct
import warnings
import zipfile
from typing import Any

import numpy as np

from tests.fuzz.values import Rng, json_deep, json_text, json_value, pick

BOMB = 1 << 26
"""bytes that a file of some kilobytes unpacks to"""


def change_array(array: np.ndarray, rng: Rng) -> np.ndarray:
    """Of another dtype, shape or length, or with values that do not belong there."""
    kind = pick(rng, ("dtype", "shape", "value", "value", "value", "empty", "scale", "length", "order", "object"))
    if kind == "dtype":
        dtypes = ("f8", "f4", "i8", "i4", "u1", "i1", "u8", "c16", "U3", "S2", "?", ">i4", ">f8", "f2", "M8[s]", "g")
        with np.errstate(all="ignore"):
            return array.astype(pick(rng, dtypes)) if array.dtype.kind in "biufc" else array.astype("S4")
    if kind == "shape":
        shapes = [(-1,), (1, -1), (*array.shape, 1), (1, *array.shape), array.shape[::-1], (1,) * 30 + (-1,)]
        return array.reshape(pick(rng, shapes))
    if kind == "empty":
        return array[:0] if array.ndim else np.zeros(0, array.dtype)
    if kind == "object":
        return pick(rng, (np.array([None, {}, "x"], object), np.zeros(2, [("a", "f8"), ("b", "i4")]), np.void(b"xyz")))
    if kind == "order":
        return np.asfortranarray(array)
    if kind == "length" and array.ndim:
        axis = int(rng.integers(array.ndim))
        pieces = [np.delete(array, -1, axis), np.concatenate([array, array], axis)] if array.shape[axis] else [array]
        return pick(rng, pieces)
    if array.dtype.kind not in "biuf":
        return np.zeros(array.shape)
    if kind == "scale":
        with np.errstate(all="ignore"):
            return array.astype(np.float64) * pick(rng, (1e-300, 1e-30, 1e-8, 1e8, 1e25, 1e30, 1e300, -1.0))
    value = pick(rng, (np.nan, np.inf, 0.5, -1.0, 0.0, 1e-320, 1e-30, 1e29, 1e30, 1e308, 2.0**31, 2.0**40, 2.0**62))
    whole = float(value).is_integer() and abs(value) < 2.0**63 and rng.random() < 0.7
    changed = np.array(array, np.int64 if whole else np.float64)
    changed.reshape(-1)[: int(rng.integers(1, 3)) if rng.random() < 0.5 else None] = value
    return changed


def npz_array(content: bytes, rng: Rng) -> bytes:
    """An array changed, missing, renamed, exchanged with another, or one too many."""
    arrays = dict(np.load(io.BytesIO(content)))
    names = sorted(arrays)
    name, other = pick(rng, names), pick(rng, names)
    kind = pick(rng, ("change",) * 12 + ("delete", "rename", "exchange", "more"))
    if kind == "delete":
        del arrays[name]
    elif kind == "rename":
        arrays[pick(rng, (f"{name}x", name.upper(), "x", "../x", "é", "x" * 300))] = arrays.pop(name)
    elif kind == "exchange":
        arrays[name], arrays[other] = arrays[other], arrays[name]
    elif kind == "more":
        arrays[f"{name}_2"] = arrays[name]
    else:
        arrays[name] = change_array(arrays[name], rng)
    return npz_of(arrays)


def npz_header(content: bytes, rng: Rng) -> bytes:
    """A value of the JSON header changed."""
    arrays = dict(np.load(io.BytesIO(content)))
    if "header" not in arrays:
        return npz_array(content, rng)
    change = pick(rng, (json_value,) * 8 + (json_deep, json_text))
    arrays["header"] = np.frombuffer(change(arrays["header"].tobytes(), rng), np.uint8)
    return npz_of(arrays)


def npz_of(arrays: dict[str, np.ndarray]) -> bytes:
    """The bytes of an .npz."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.save(member, array, allow_pickle=True)
            archive.writestr(f"{name}.npy", member.getvalue())
    return buffer.getvalue()


def npy_header(content: bytes, rng: Rng) -> bytes:
    """The header of an .npy, or of an array in an .npz, says something else."""
    if content[:2] == b"PK":
        members = members_of(content)
        name = pick(rng, sorted(members))
        members[name] = npy_header(members[name], rng)
        return zip_of(members)
    length = int.from_bytes(content[8:10], "little")
    header = content[10 : 10 + length].decode("latin1").strip()
    shape = header[header.index("(") : header.index(")") + 1]
    shapes = ("(-1, 50, 3)", "(99999999999, 50, 3)", "(2**9,)", "()", "(3L, 50, 3)", "(0, 50, 3)", "(1.5, 2)", "(0,)",
              "(True,)", "(9223372036854775807, 2)", "(4294967296, 4294967296, 0)", "(" + "1," * 70 + ")",
              "(None,)", "5", "[3]")  # fmt: skip
    other = [
        *(header.replace(shape, text) for text in shapes), "(" * 9000, "[" * 200, header.replace("False", "True"),
        header.replace("descr", "dexcr"), header[: len(header) // 2], header.replace("'descr': '", "'descr': '|O"),
        header.replace("<", ">"), header.replace("'descr': ", "'descr': [('a', '<f8')] or "),
        header.replace("'descr': '", "'descr': '|V0"), header.replace("'descr': '", "'descr': '<U99999999"),
        "__import__('os').system('true')", header.replace("}", ", 'more': 1}"), "{}", "",
    ]  # fmt: skip
    text = pick(rng, other).encode("latin1") + b"\n"
    version = pick(rng, (content[6:8],) * 9 + (b"\x09\x09",))
    return content[:6] + version + len(text).to_bytes(2, "little") + text + content[10 + length :]


def npz_zip(content: bytes, rng: Rng) -> bytes:
    """The zip around the arrays: packed otherwise, twice the same name, other names, sizes that are none, bombs."""
    members = members_of(content)
    name = pick(rng, sorted(members))
    kind = pick(rng, ("bzip2", "lzma", "twice", "suffix", "path", "size", "crc", "cut", "bomb", "pickle", "flags"))
    if kind in ("bzip2", "lzma"):
        packed = bytearray(zip_of(members, zipfile.ZIP_BZIP2 if kind == "bzip2" else zipfile.ZIP_LZMA))
        if rng.random() < 0.5:
            members[name] = bomb()
            packed = bytearray(zip_of(members, zipfile.ZIP_BZIP2 if kind == "bzip2" else zipfile.ZIP_LZMA))
        return bytes(packed)
    if kind == "twice":
        return zip_of({**members, f"./{name}": members[name]}, again=(name, members[pick(rng, sorted(members))]))
    if kind in ("suffix", "path"):
        new = name.removesuffix(".npy") if kind == "suffix" else pick(rng, ("../", "/", "a/", "C:\\")) + name
        members[new] = members.pop(name)
        return zip_of(members)
    if kind == "cut":
        members[name] = members[name][: int(rng.integers(0, len(members[name])))]
        return zip_of(members)
    if kind == "bomb":
        members[name] = bomb()
        return zip_of(members, zipfile.ZIP_DEFLATED)
    if kind == "pickle":
        members[name] = pick(rng, (pickle.dumps({"a": 1}), b"\x93NUMPY", b"", b"\x80\x04."))
        return zip_of(members)
    packed = bytearray(zip_of(members, pick(rng, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))))
    entry = packed.rfind(b"PK\x01\x02")  # the last member's entry in the directory
    offset, form, values = {
        "size": (20, "<II", ((2**32 - 2, 2**32 - 2), (0, 0), (1, 2**31), (2**20, 2**30))),
        "crc": (16, "<II", ((0, 1), (2**32 - 1, 0))),
        "flags": (8, "<HH", ((1, 0), (0, 99), (0xFFFF, 8), (0, 12))),
    }[kind]
    struct.pack_into(form, packed, entry + offset, *pick(rng, values))
    return bytes(packed)


def idx_header(content: bytes, rng: Rng) -> bytes:
    """The header of an IDX file, gzipped or not, says something else; or what follows is zeros without end."""
    packed = content[:2] == b"\x1f\x8b"
    if packed:
        content = gzip.decompress(content)
    kind = pick(rng, ("type", "dimensions", "size", "size", "bomb"))
    changed = bytearray(content)
    if kind in ("type", "dimensions"):
        changed[2 if kind == "type" else 3] = pick(rng, (0, 1, 2, 4, 8, 9, 11, 12, 13, 14, 255))
    elif kind == "size" or not packed:
        place = 4 + 4 * int(rng.integers(3))
        changed[place : place + 4] = pick(
            rng, (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1", b"\1\0\0\0", b"\x80\0\0\0")
        )
    else:
        changed += bomb()
    return gzip.compress(bytes(changed), 1) if packed else bytes(changed)


def members_of(content: bytes) -> dict[str, bytes]:
    """Name -> bytes of everything in a zip."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zip_of(
    members: dict[str, bytes], method: int = zipfile.ZIP_STORED, again: tuple[str, bytes] | None = None
) -> bytes:
    """A zip of members; ``again``: one more, though its name may be there already."""
    buffer = io.BytesIO()
    entries: list[Any] = [*members.items(), *([again] if again else [])]
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method, compresslevel=1) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, value in entries:
            archive.writestr(zipfile.ZipInfo(name), value, method)
    return buffer.getvalue()


@functools.cache
def bomb() -> bytes:
    """An .npy of `BOMB` zeros."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(BOMB, np.uint8))
    return buffer.getvalue()
