"""Strings of variable length, read from HDF5's global heap without HDF5.

A damaged heap makes the HDF5 library itself loop for ever. The layout is that of the HDF5 file format specification,
III.E: a collection is ``GCOL``, a version, its size, and objects of (index, references, reserved, size, data).
"""

from __future__ import annotations

from typing import Any, BinaryIO

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
    lengths, addresses, indices = (
        np.ascontiguousarray(references[:, a:b]).view(kind).reshape(-1).tolist()
        for a, b, kind in ((0, 4, "<u4"), (4, 12, "<u8"), (12, 16, "<u4"))
    )
    collections: dict[int, dict[int, bytes]] = {}
    texts = []
    for length, address, index in zip(lengths, addresses, indices, strict=True):
        if address in NOWHERE or length == 0:
            texts.append(b"")
            continue
        if address not in collections:
            collections[address] = _collection(file, address)
        data = collections[address].get(index)
        if data is None or length > len(data):
            raise ValueError(f"a string lies at object {index} of the heap at {address}, which has no such object")
        texts.append(data[:length].split(b"\0", 1)[0])
    return texts


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
