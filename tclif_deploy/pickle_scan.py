"""A dry run of a torch file's pickle, before torch sees it: nothing is imported, nothing is executed.

It answers two questions. Does the pickle want any class but the few that a plain checkpoint needs? And do
the tensors and storages that it declares fit into the file? (A file of some kilobytes can declare terabytes,
and torch allocates what is declared.) `torch.load(weights_only=True)` then reads what passed.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from typing import Any, ClassVar

from tclif_deploy.errors import TclifError

SAVE_AGAIN = "save only the weights: torch.save({'state_dict': model.state_dict()}, path), or tclif_deploy.save"
AGAIN = "copy or save the file again"

ITEM_BYTES = {
    "BoolStorage": 1, "ByteStorage": 1, "CharStorage": 1, "ShortStorage": 2, "IntStorage": 4, "LongStorage": 8,
    "HalfStorage": 2, "BFloat16Storage": 2, "FloatStorage": 4, "DoubleStorage": 8,
    "ComplexFloatStorage": 8, "ComplexDoubleStorage": 16,
}  # fmt: skip
"""Bytes an element of each of torch's storage classes."""

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""First pickled number of a file in torch's format before 1.6 (torch/serialization.py, MAGIC_NUMBER)."""


class _Inert:
    """What stands in for every object that the pickle builds: it takes any arguments and does nothing."""

    def __new__(cls, *_args: object, **_kwargs: object) -> _Inert:
        return super().__new__(cls)

    def __setstate__(self, _state: object) -> None:
        return


class _OrderedDict(OrderedDict[Any, Any]):
    """An OrderedDict, which may have attributes of its own (torch's ``_metadata``), but none over its methods."""

    def __setstate__(self, state: object) -> None:
        hidden = [name for name in state if hasattr(OrderedDict, name)] if isinstance(state, dict) else []
        if hidden:
            raise pickle.UnpicklingError(f"an OrderedDict whose {hidden[0]!r:.40} is hidden")


class _Storage:
    """A storage that the pickle refers to, by its declared number of elements."""

    def __init__(self, kind: str, key: str, elements: int) -> None:
        self.key = key
        self.elements = elements
        self.bytes = elements * ITEM_BYTES[kind]


def _natural(value: object) -> int:
    if type(value) is not int or value < 0:
        raise pickle.UnpicklingError(f"{value!r} where a size was expected")
    return value


def _tensor(storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_rest: object) -> _Inert:
    """Stands in for torch's ``_rebuild_tensor_v2``: checks that the tensor lies inside its storage."""
    shape = [_natural(n) for n in size]
    steps = [_natural(n) for n in stride]
    if len(shape) != len(steps):
        raise pickle.UnpicklingError(f"a tensor of {len(shape)} dimensions with {len(steps)} strides")
    elements = math.prod(shape)
    last = _natural(offset) + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
    if elements > storage.elements or (elements and last >= storage.elements):
        raise pickle.UnpicklingError(
            f"a tensor of shape {tuple(shape)} in a storage of {storage.elements} elements (save it .contiguous())"
        )
    return _Inert()


class _Scan(pickle._Unpickler):
    """Pure-Python unpickler: its memo is a dict, so no opcode but one asks for memory that the file does not have."""

    dispatch: ClassVar[dict[int, Any]] = {
        code: action for code, action in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]
    }

    def __init__(self, file: io.BytesIO, where: str) -> None:
        super().__init__(file)
        self.where = where
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.storage") and name in ITEM_BYTES:
            return name
        known = {
            ("collections", "OrderedDict"): _OrderedDict,
            ("argparse", "Namespace"): _Inert,
            ("torch", "Size"): _Inert,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): _Inert,
        }
        if (module, name) not in known:
            raise TclifError(
                f"{self.where}: its pickle wants {module}.{name}, and running foreign code is refused"[:300], SAVE_AGAIN
            )
        return known[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            kind_of_object = pid[0] if isinstance(pid, tuple) and pid else pid
            raise TclifError(f"{self.where}: holds a pickled {kind_of_object!s}, not only weights"[:300], SAVE_AGAIN)
        _, kind, key, _, elements = pid[:5]
        if kind not in ITEM_BYTES or not isinstance(key, str):
            raise pickle.UnpicklingError(f"storage {key!r} of unknown type {kind!r}")
        if len(pid) > 5 and pid[5] is not None:
            raise pickle.UnpicklingError("a view into another storage (a torch file older than 0.4)")
        return self.storages.setdefault(key, _Storage(kind, key, _natural(elements)))


def _run(data: io.BytesIO, where: str) -> tuple[Any, dict[str, _Storage]]:
    scan = _Scan(data, where)
    try:
        return scan.load(), scan.storages
    except TclifError:
        raise
    except Exception as error:  # hostile bytes can raise nearly anything
        reason = f"{type(error).__name__}: {' '.join(str(error).split()):.200}"
        raise TclifError(f"{where}: truncated or damaged ({reason})", AGAIN) from error


def check_zip(data: bytes, where: str) -> None:
    """Raise `TclifError` unless ``data`` is a sound zip file of torch's with plain tensors only."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            # torch's own zip reader does not tell upper from lower case
            if len({entry.filename.lower() for entry in entries}) < len(entries):
                raise TclifError(f"{where}: has two entries of one name", AGAIN)
            sizes = {entry.filename: entry.file_size for entry in entries}
            if all(name.endswith(".npy") for name in sizes):
                raise TclifError(f"{where}: holds numpy arrays, not a model", "data to run it on goes to --data")
            if any(name.endswith("constants.pkl") for name in sizes):
                raise TclifError(f"{where}: is a TorchScript archive, which is code", SAVE_AGAIN)
            pickles = [name for name in sizes if name.rpartition("/")[2] == "data.pkl"]
            if len(pickles) != 1:
                raise TclifError(f"{where}: is a zip file, but not one that torch.save wrote", SAVE_AGAIN)
            declared = sum(entry.file_size for entry in entries)
            if declared > len(data):
                raise TclifError(f"{where}: declares {declared} bytes of content in a file of {len(data)}", AGAIN)
            damaged = archive.testzip()
            if damaged is not None:
                raise TclifError(f"{where}: {damaged} is damaged (wrong checksum)", AGAIN)
            _, storages = _run(io.BytesIO(archive.read(pickles[0])), where)
    except TclifError:
        raise
    except Exception as error:  # zipfile raises many types on hostile bytes
        raise TclifError(
            f"{where}: truncated or damaged zip file ({' '.join(str(error).split()):.200})", AGAIN
        ) from error
    folder = pickles[0].removesuffix("data.pkl")
    for key, storage in storages.items():
        size = sizes.get(f"{folder}data/{key}")
        if size is None:
            raise TclifError(f"{where}: the weights of storage {key[:40]} are missing", AGAIN)
        if storage.bytes > size:
            raise TclifError(
                f"{where}: storage {key[:40]} declares {storage.bytes} bytes, the file holds {size}", AGAIN
            )


def check_legacy(data: bytes, where: str) -> None:
    """Raise `TclifError` unless ``data`` is a sound torch file of the format before 1.6, plain tensors only."""
    file = io.BytesIO(data)
    magic, _ = _run(file, where)
    if magic != LEGACY_MAGIC:
        raise TclifError(f"{where}: is a pickle, but not one that torch.save wrote", SAVE_AGAIN)
    for _ in ("protocol version", "system"):
        _run(file, where)
    _, storages = _run(file, where)
    keys, _ = _run(file, where)
    if not isinstance(keys, list) or set(map(str, keys)) != set(storages):
        raise TclifError(f"{where}: its list of storages is damaged", AGAIN)
    for key in keys:  # each: the number of elements (int64), then the elements
        header = file.read(8)
        elements = struct.unpack("<q", header)[0] if len(header) == 8 else -1
        left = len(data) - file.tell()
        if elements != storages[key].elements or storages[key].bytes > left:
            raise TclifError(
                f"{where}: storage {key[:40]} declares {storages[key].bytes} bytes, the file has {left} left", AGAIN
            )
        file.seek(storages[key].bytes, io.SEEK_CUR)
