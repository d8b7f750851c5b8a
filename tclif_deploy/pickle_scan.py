"""A dry run of a torch file's pickle, before torch sees it: nothing is imported, nothing is executed.

It answers three questions. Does the pickle want any class but the few that a plain checkpoint needs? Do the
tensors and storages that it declares fit into the file? (A file of some kilobytes can declare terabytes, and
torch allocates what is declared.) And does what it builds take about as long to walk as the file is long? (Sixty
tuples, each of the one before it twice, are no two hundred bytes, and whoever hashes or prints the last never
ends.) `torch.load(weights_only=True)` then reads what passed.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sized
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


WHOLE = 1 << 63
"""Whole numbers of a torch file are below it: sizes of tensors and storages, keys of a dict."""
MOST_DIMENSIONS = 64
"""of a tensor, as torch and numpy compute with"""
SHARED = 16
"""How many times as long as its pickle a content may be where each object that it shares is written out again."""
ROOM = 1 << 26
"""characters that any pickle may have so: what is still written in a second"""


def _shown(value: object) -> str:
    """A value of the pickle in a message: a whole one could take forever to write."""
    if isinstance(value, str):
        return repr(value[:40])
    if type(value) is int:
        return str(value) if abs(value) < WHOLE else "a number of more than 64 bits"
    return f"a {type(value).__name__.lstrip('_')}"


class _Unusual(pickle.UnpicklingError):
    """What no plain checkpoint has, though nothing is damaged."""


class _Inert:
    """What stands in for every object that the pickle builds: it takes any arguments and does nothing."""

    state: object = None

    def __new__(cls, *_args: object, **_kwargs: object) -> _Inert:
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        self.state = state


def _check_key(key: object) -> None:
    """Raise unless ``key`` is plain, or a tuple of what is: the hash of a tuple is that of all that it holds, however
    often it holds it."""
    parts = key if type(key) is tuple and len(key) <= MOST_DIMENSIONS else (key,)
    for part in parts:
        plain = part is None or isinstance(part, _Inert) or type(part) in (str, bytes, bool, int, float)
        if not plain or (type(part) is int and abs(part) >= WHOLE):  # longer ones can have one hash, all of them
            raise _Unusual(f"{_shown(part)} as a key" if part is key else f"{_shown(part)} in a key")


class _OrderedDict(OrderedDict[Any, Any]):
    """An OrderedDict, which may have attributes of its own (torch's ``_metadata``), but none over its methods."""

    state: object = None

    def __setitem__(self, key: Any, value: Any) -> None:
        _check_key(key)
        super().__setitem__(key, value)

    def __setstate__(self, state: object) -> None:
        self.state = state
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
    if type(value) is not int or not 0 <= value < WHOLE:
        raise pickle.UnpicklingError(f"{_shown(value)} where a size was expected")
    return value


def _tensor(storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_rest: object) -> _Inert:
    """Stands in for torch's ``_rebuild_tensor_v2``: checks that the tensor lies inside its storage."""
    if type(storage) is not _Storage:
        raise pickle.UnpicklingError(f"a tensor in {_shown(storage)}")
    if max(len(size), len(stride)) > MOST_DIMENSIONS:
        raise pickle.UnpicklingError(f"a tensor of {len(size)} dimensions")
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


def _held(value: object) -> Iterable[Any]:
    """What a container of a pickle holds."""
    if isinstance(value, dict):
        return [*value, *value.values(), value.state] if isinstance(value, _OrderedDict) else [*value, *value.values()]
    if isinstance(value, _Inert):
        return (value.state,)
    return value if isinstance(value, (tuple, list, set, frozenset)) else ()


def _length(value: object) -> int:
    """About how many characters a plain value has."""
    if isinstance(value, (str, bytes)):
        return 1 + len(value)
    return 1 + value.bit_length() // 8 if type(value) is int else 1


def _check_shared(content: object, most: int) -> None:
    """Raise where ``content``, all that it shares written out wherever it stands, is longer than ``most``."""
    lengths: dict[int, int] = {}  # by the identity of a container
    begun: set[int] = set()
    left = [(content, False)]
    while left:
        value, walked = left.pop()
        if walked:
            begun.discard(id(value))
            length = 1 + sum(lengths.get(id(item), 0) or _length(item) for item in _held(value))
            if length > most:
                raise _Unusual("objects that share others more often than can be written out")
            lengths[id(value)] = length
        elif id(value) in begun:
            raise _Unusual(f"{_shown(value)} that holds itself")
        elif id(value) not in lengths and isinstance(value, (dict, _Inert, tuple, list, set, frozenset)):
            begun.add(id(value))
            left.append((value, True))
            left.extend((item, False) for item in _held(value))


def _after(check: Callable[[Any], None], action: Callable[[Any], None]) -> Callable[[Any], None]:
    """An opcode's ``action``, done once ``check`` has passed."""

    def act(scan: Any) -> None:
        check(scan)
        action(scan)

    return act


class _Scan(pickle._Unpickler):
    """Pure-Python unpickler: its memo is a dict, so no opcode but one asks for memory that the file does not have."""

    # what pickle sets in `load`
    stack: list[Any]

    dispatch: ClassVar[dict[int, Any]] = {
        code: action for code, action in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]
    }

    def __init__(self, file: io.BytesIO, where: str) -> None:
        super().__init__(file)
        self.file, self.begin = file, file.tell()
        self.where = where
        self.storages: dict[str, _Storage] = {}
        self.copied = 0

    def most(self) -> int:
        """How much may be copied, or written out, of what was read so far."""
        return SHARED * (self.file.tell() - self.begin) + ROOM

    def _count(self, *copied: object) -> None:
        """Raise where more is ``copied`` than was read: each of some short opcodes copies all of a container."""
        self.copied += sum(len(each) for each in copied if isinstance(each, Sized))
        if self.copied > self.most():
            raise _Unusual("the same arguments again and again")

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
        if type(pid) is not tuple or len(pid) < 5 or type(pid[0]) is not str or pid[0] != "storage":
            named = pid[0] if type(pid) is tuple and pid else pid
            named = named if type(named) is str else type(named).__name__
            raise TclifError(f"{self.where}: holds a pickled {named:.100}, not only weights"[:300], SAVE_AGAIN)
        _, kind, key, location, elements = pid[:5]
        if type(kind) is not str or kind not in ITEM_BYTES or type(key) is not str:
            raise pickle.UnpicklingError(f"storage {_shown(key)} of unknown type {_shown(kind)}")
        if not (location is None or type(location) is str):
            raise pickle.UnpicklingError(f"storage {_shown(key)} at {_shown(location)}")
        if len(pid) > 5 and pid[5] is not None:
            raise pickle.UnpicklingError("a view into another storage (a torch file older than 0.4)")
        return self.storages.setdefault(key, _Storage(kind, key, _natural(elements)))

    def _check_call(self) -> None:
        made, args = self.stack[-2:]
        self._count(args, *(args if made is _OrderedDict else ()))

    def _check_new(self) -> None:
        self._count(*self.stack[-2:])

    def _check_made(self) -> None:
        self._count(*self.stack)

    def _check_build(self) -> None:
        built, state = self.stack[-2:]
        if not isinstance(built, (_Inert, _OrderedDict)):
            raise pickle.UnpicklingError(f"attributes of {_shown(built)}")
        self._count(state)

    def _check_item(self) -> None:
        _check_key(self.stack[-2])

    def _check_items(self) -> None:
        for key in self.stack[::2]:
            _check_key(key)

    def _check_set(self) -> None:
        for item in self.stack:
            _check_key(item)

    dispatch |= {
        code[0]: _after(check, pickle._Unpickler.dispatch[code[0]])
        for check, codes in {
            _check_call: (pickle.REDUCE,), _check_new: (pickle.NEWOBJ, pickle.NEWOBJ_EX),
            _check_made: (pickle.INST, pickle.OBJ), _check_build: (pickle.BUILD,), _check_item: (pickle.SETITEM,),
            _check_items: (pickle.SETITEMS, pickle.DICT), _check_set: (pickle.ADDITEMS, pickle.FROZENSET),
        }.items()
        for code in codes
    }  # fmt: skip


def _run(data: io.BytesIO, where: str) -> tuple[Any, dict[str, _Storage]]:
    scan = _Scan(data, where)
    try:
        content = scan.load()
        _check_shared(content, scan.most())
        return content, scan.storages
    except TclifError:
        raise
    except _Unusual as error:
        raise TclifError(f"{where}: its pickle has {error}", SAVE_AGAIN) from error
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
    if not (isinstance(keys, list) and all(type(key) is str for key in keys) and set(keys) == set(storages)):
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
