"""Strings and rows of variable length, read from HDF5's global heap without HDF5.

A damaged heap makes the HDF5 library itself loop for ever, or take memory for whatever length it names. The layout is
that of the HDF5 file format specification, III.E: a collection is ``GCOL``, a version, its size, and objects of (index,
references, reserved, size, data).
"""

from __future__ import annotations

import zlib
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

REFERENCE = 16
"""bytes of a string's entry: its length (4), the collection's address (8), the object's index (4)"""
NOWHERE = (0, 2**64 - 1)
"""addresses of a string of no characters"""


def strings(file: BinaryIO, references: NDArray[np.uint8]) -> list[bytes]:
    """The characters that ``references`` (strings, 16) name; raises `ValueError` where the heap is damaged.

    An embedded zero byte ends a string, as in HDF5.
    """
    return [text.split(b"\0", 1)[0] for text in _objects(file, references, 1)]


def rows(data: h5py.Dataset, file: BinaryIO, start: int, stop: int) -> list[NDArray[Any]]:
    """The rows ``start`` to ``stop`` of a column of rows of variable length, from the open ``file`` that it is in.

    Raises `ValueError` where it is none, or damaged.
    """
    dtype = h5py.check_vlen_dtype(data.dtype)
    if dtype is None or dtype.kind not in "iuf":
        raise ValueError(f"{data.name} does not hold rows of numbers")
    stored = _references(data, file)[start:stop]
    return [np.frombuffer(row, dtype) for row in _objects(file, stored, dtype.itemsize)]


def _references(data: h5py.Dataset, file: BinaryIO) -> NDArray[np.uint8]:
    """What stands for each row of a column: (rows, 16)."""
    size = data.size * REFERENCE
    if data.id.get_offset() is not None:
        file.seek(data.id.get_offset())
        raw = file.read(min(size, data.id.get_storage_size()))
    elif data.chunks:
        raw = b"".join(_chunk(data, n) for n in range(0, data.size, data.chunks[0]))[:size]
    else:
        raw = b""
    if len(raw) != size:
        raise ValueError(f"{data.name} is stored in a way that is not read")
    return np.frombuffer(raw, np.uint8).reshape(-1, REFERENCE)


def _chunk(data: h5py.Dataset, at: int) -> bytes:
    """The bytes of the chunk that begins with row ``at``."""
    layout = data.id.get_create_plist()
    mask, raw = data.id.read_direct_chunk((at,))
    size = data.chunks[0] * REFERENCE
    for n in reversed(range(layout.get_nfilters())):
        name = layout.get_filter(n)[0]
        if mask & 1 << n:
            continue
        if name == h5py.h5z.FILTER_DEFLATE:
            raw = zlib.decompressobj().decompress(raw, size)
        elif name == h5py.h5z.FILTER_SHUFFLE and len(raw) == size:
            raw = np.frombuffer(raw, np.uint8).reshape(REFERENCE, -1).T.tobytes()
        else:
            raise ValueError(f"{data.name} is packed in a way that is not read")
    return bytes(raw)


def _objects(file: BinaryIO, references: NDArray[np.uint8], item: int) -> list[bytes]:
    """The bytes that ``references`` name, each as many times ``item`` as it says."""
    lengths, addresses, indices = (
        np.ascontiguousarray(references[:, a:b]).view(kind).reshape(-1).tolist()
        for a, b, kind in ((0, 4, "<u4"), (4, 12, "<u8"), (12, 16, "<u4"))
    )
    collections: dict[int, dict[int, bytes]] = {}
    found = []
    for length, address, index in zip(lengths, addresses, indices, strict=True):
        if address in NOWHERE or length == 0:
            found.append(b"")
            continue
        if address not in collections:
            collections[address] = _collection(file, address)
        data = collections[address].get(index)
        if data is None or length * item > len(data):
            raise ValueError(f"a value lies at object {index} of the heap at {address}, which has no such object")
        found.append(data[: length * item])
    return found


def _collection(file: BinaryIO, address: int) -> dict[int, bytes]:
    """Index -> data of the objects of one collection."""
    end = file.seek(0, 2)
    if address + REFERENCE > end:
        raise ValueError(f"a heap lies at {address}, beyond the file's {end} bytes")
    file.seek(address)
    head = file.read(16)
    size = int.from_bytes(head[8:16], "little")
    if head[:5] != b"GCOL\x01" or address + size > end:
        raise ValueError(f"no heap of strings at {address}")
    data: Any = file.read(size - 16) if size > 16 else b""
    objects: dict[int, bytes] = {}
    place = 0
    while place + 16 <= len(data):
        index, length = int.from_bytes(data[place : place + 2], "little"), data[place + 8 : place + 16]
        if index == 0:  # what is free
            break
        stop = place + 16 + int.from_bytes(length, "little")
        if stop > len(data):
            raise ValueError(f"the heap at {address} is damaged")
        objects[index] = data[place + 16 : stop]
        place = stop + (-stop) % 8
    return objects
