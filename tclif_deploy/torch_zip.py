"""Zip checkpoints of torch read without torch, whose import takes longer than all the rest of reading a model.

Taken are files as ``torch.save`` writes them since 1.6, of dense tensors in plain containers: by the opcodes, and from
those of the globals, that torch's own ``weights_only`` unpickler takes (torch/_weights_only_unpickler.py). Whatever is
in the least unusual raises `NotPlain` and is left to torch, which reads or refuses it.
"""

from __future__ import annotations

import argparse
import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

DTYPES = {
    "BoolStorage": ("bool", "?"), "ByteStorage": ("uint8", "u1"), "CharStorage": ("int8", "i1"),
    "ShortStorage": ("int16", "<i2"), "IntStorage": ("int32", "<i4"), "LongStorage": ("int64", "<i8"),
    "HalfStorage": ("float16", "<f2"), "BFloat16Storage": ("bfloat16", "<u2"), "FloatStorage": ("float32", "<f4"),
    "DoubleStorage": ("float64", "<f8"),
}  # fmt: skip
"""torch's storage class -> (its dtype as torch calls it, how numpy holds it: a bfloat16 as a float32's upper half)"""
BEYOND = 1 << 31
"""Sizes, strides and offsets from here on are left to torch: it knows what it can index."""


class NotPlain(Exception):
    """The file is one for torch to read, or to refuse."""


class Tensor:
    """A tensor of a checkpoint: a view into the bytes of the file."""

    def __init__(self, dtype: str, stored: NDArray[Any]) -> None:
        self.dtype = dtype
        """torch's name of it"""
        self.stored = stored

    @property
    def is_floating_point(self) -> bool:
        """Whether it holds real floats."""
        return "float" in self.dtype

    def float64(self) -> NDArray[np.float64]:
        """Its numbers, exactly."""
        values = self.stored
        if self.dtype == "bfloat16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return values.astype(np.float64)


class Parameter(Tensor):
    """A tensor that torch calls a parameter."""


class _Storage:
    """The elements that tensors are views into."""

    def __init__(self, kind: str, content: memoryview) -> None:
        self.kind = kind
        self.content = content


class _StorageKind(str):
    """The name of a class of storages, which no string of the pickle can be."""


def _flag(value: object, tensor: object) -> None:
    """Refuse a ``requires_grad`` that torch does not take."""
    if type(value) is not bool or (value and not (isinstance(tensor, Tensor) and tensor.is_floating_point)):
        raise NotPlain


def _no_hooks(hooks: object) -> None:
    if type(hooks) is not OrderedDict or hooks:
        raise NotPlain


def _natural(*values: object) -> bool:
    return all(type(value) is int and 0 <= value < BEYOND for value in values)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any) -> Tensor:
    """torch's ``_rebuild_tensor_v2``."""
    if type(storage) is not _Storage or type(size) is not tuple or type(stride) is not tuple:
        raise NotPlain
    if not _natural(offset, *size, *stride) or len(size) != len(stride):
        raise NotPlain
    dtype, held = DTYPES[storage.kind]
    item = np.dtype(held).itemsize
    if 0 in size:  # whose offset may lie anywhere
        stored: NDArray[Any] = np.empty(size, held)
    else:  # numpy refuses what is not inside the storage
        stored = np.ndarray(size, held, storage.content, offset * item, [step * item for step in stride])
    tensor = Tensor(dtype, stored)
    _flag(requires_grad, tensor)
    _no_hooks(hooks)
    return tensor


def _parameter(tensor: Any, requires_grad: Any, hooks: Any) -> Parameter:
    """torch's ``_rebuild_parameter``."""
    if not isinstance(tensor, Tensor):
        raise NotPlain
    _flag(requires_grad, tensor)
    _no_hooks(hooks)
    return Parameter(tensor.dtype, tensor.stored)


GLOBALS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("argparse", "Namespace"): argparse.Namespace,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    **{("torch", kind): _StorageKind(kind) for kind in DTYPES},
}


class _Unpickler(pickle._Unpickler):
    """torch's ``weights_only`` unpickler, but for the opcodes that ``torch.save`` writes for none of `GLOBALS`."""

    dispatch: ClassVar[dict[int, Any]] = {
        code[0]: pickle._Unpickler.dispatch[code[0]]
        for code in (
            pickle.PROTO, pickle.STOP, pickle.MARK, pickle.GLOBAL, pickle.BINPERSID, pickle.NONE, pickle.NEWTRUE,
            pickle.NEWFALSE, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT,
            pickle.BINUNICODE, pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3,
            pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.BINGET, pickle.LONG_BINGET,
        )
    }  # fmt: skip

    # what pickle sets in `load`
    stack: list[Any]
    append: Any
    pop_mark: Any

    def __init__(self, records: dict[str, memoryview]) -> None:
        super().__init__(io.BytesIO(records["data.pkl"]))
        self.records = records
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        return GLOBALS[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        """A storage: ("storage", its class, its key, where it was, its number of elements)."""
        word, kind, key, location, elements = pid
        if type(pid) is not tuple or word != "storage" or type(kind) is not _StorageKind:
            raise NotPlain
        if type(key) is not str or type(location) is not str or not _natural(elements):
            raise NotPlain
        content = self.records[f"data/{key}"]
        if elements * np.dtype(DTYPES[kind][1]).itemsize != len(content):
            raise NotPlain
        storage = self.storages.setdefault(key, _Storage(kind, content))
        if storage.kind != kind:
            raise NotPlain
        return storage

    def load_reduce(self) -> None:
        args, made = self.stack.pop(), self.stack[-1]
        if type(args) is not tuple or not (made in (_tensor, _parameter) or (made is OrderedDict and not args)):
            raise NotPlain
        self.stack[-1] = made(*args)

    def load_newobj(self) -> None:
        args, made = self.stack.pop(), self.stack.pop()
        if made is not argparse.Namespace or args != ():
            raise NotPlain
        self.append(argparse.Namespace())

    def load_build(self) -> None:
        state, built = self.stack.pop(), self.stack[-1]
        if type(built) not in (OrderedDict, argparse.Namespace) or type(state) is not dict:
            raise NotPlain
        if type(built) is OrderedDict and not state.keys() <= {"_metadata"}:  # another could hide its methods
            raise NotPlain
        if not all(type(name) is str for name in state):
            raise NotPlain
        vars(built).update(state)

    def load_append(self) -> None:
        item = self.stack.pop()
        self._extend([item])

    def load_appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise NotPlain
        self.stack[-1].extend(items)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def load_setitems(self) -> None:
        self._set(self.pop_mark())

    def _set(self, items: list[Any]) -> None:
        if type(self.stack[-1]) not in (dict, OrderedDict) or len(items) % 2:
            raise NotPlain
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not (key is None or type(key) in (str, int, float, bool)):
                raise NotPlain
            self.stack[-1][key] = value

    dispatch |= {
        pickle.REDUCE[0]: load_reduce, pickle.NEWOBJ[0]: load_newobj, pickle.BUILD[0]: load_build,
        pickle.APPEND[0]: load_append, pickle.APPENDS[0]: load_appends,
        pickle.SETITEM[0]: load_setitem, pickle.SETITEMS[0]: load_setitems,
    }  # fmt: skip


def _check_objects(content: Any) -> None:
    """Refuse what a pickle may hold beside tensors and plain values: classes, functions and storages."""
    left, seen = [content], set()
    while left:
        value = left.pop()
        if id(value) in seen or value is None or type(value) in (str, int, float, bool, Tensor, Parameter):
            continue
        seen.add(id(value))
        if type(value) in (list, tuple):
            left.extend(value)
        elif type(value) in (dict, OrderedDict, argparse.Namespace):
            left.extend(value.values() if isinstance(value, dict) else ())
            left.extend(getattr(value, "__dict__", {}).values())
        else:
            raise NotPlain


def _local(entry: zipfile.ZipInfo, data: bytes) -> int:
    """Where an entry's content begins, behind its own header, which must be as torch writes it."""
    header = data[entry.header_offset : entry.header_offset + 30]
    name, padding = struct.unpack("<HH", header[26:])
    written = struct.pack("<4sHHHHHLLL", b"PK\x03\x04", 0, entry.flag_bits, 0, 0, 0, 0, 0, 0)
    if header[:26] not in (written, written[:14] + struct.pack("<LLL", entry.CRC, entry.file_size, entry.file_size)):
        raise NotPlain
    if name != len(entry.filename):
        raise NotPlain
    return entry.header_offset + 30 + int(name) + int(padding)


def _records(data: bytes) -> Iterator[tuple[str, memoryview]]:
    """Name and content of each record in an archive whose every header is as torch writes it.

    What stands in no header cannot be understood otherwise by torch's own reader of zip files than by Python's.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries, start = archive.infolist(), archive.start_dir
    directory = b"".join(
        struct.pack(
            "<4sHHHHHHLLLHHHHHLL", b"PK\x01\x02", 0, 0, entry.flag_bits, 0, 0, 0, entry.CRC, entry.file_size,
            entry.file_size, len(entry.filename), 0, 0, 0, 0, 0, entry.header_offset,
        ) + entry.filename.encode("ascii")
        for entry in entries
    )  # fmt: skip
    count, size = len(entries), len(directory)
    end = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 0x031E, 45, 0, 0, count, count, size, start)
    end += struct.pack("<4sLQL", b"PK\x06\x07", 0, start + size, 1)
    end += struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, count, count, size, start, 0)
    if data[start:] != directory + end:
        raise NotPlain
    content, folder = memoryview(data), entries[0].filename.partition("/")[0]
    for entry in entries:
        first, _, name = entry.filename.partition("/")
        if first != folder or entry.flag_bits & ~0x808:  # bits that say: a descriptor behind the content, UTF-8
            raise NotPlain
        begin = _local(entry, data)
        if begin + entry.file_size > start:
            raise NotPlain
        yield name, content[begin : begin + entry.file_size]


def read_zip(data: bytes) -> Any:
    """The object in a zip checkpoint that `pickle_scan.check_zip` found sound: plain values, containers, `Tensor`.

    Raises `NotPlain` where torch has to read it.
    """
    try:
        records = dict(_records(data))
        alignment = bytes(records.get(".storage_alignment", b"64"))
        order = bytes(records.get("byteorder", b"little"))
        if bytes(records["version"]) != b"3\n" or order != b"little" or not alignment.isdigit():
            raise NotPlain
        if bytes(records["data.pkl"][:2]) != pickle.PROTO + b"\x02":
            raise NotPlain
        content = _Unpickler(records).load()
        _check_objects(content)
        return content
    except NotPlain:
        raise
    except Exception as error:  # any bytes may stand in it; what is wrong is for torch to say
        raise NotPlain from error
