"""An untrusted HDF5 file: what is read is checked before memory is taken for it.

Nothing outside the file is ever followed, and no array is larger than the bytes in the file can unpack to.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError
from tclif_deploy.files import UNPACKING
from tclif_deploy.hdf5 import heap
from tclif_deploy.outputs import write_file

LONGEST_TEXT = 100_000
"""Characters of a string in the file; names and JSON of ours are far shorter."""

_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF}

DAMAGE = (
    OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError, MemoryError,
    NotImplementedError, SystemError,
)  # fmt: skip
"""What h5py raises on a damaged file, one or another."""

Reader = TypeVar("Reader", bound="FileReader")


class FileReader:
    """Reads one file, and keeps account of the memory that its arrays take."""

    def __init__(self, file: h5py.File, raw: BinaryIO, path: str, expected: str) -> None:
        self.file, self.raw, self.path, self.expected = file, raw, path, expected
        self.size = raw.seek(0, io.SEEK_END)
        self.bytes_left = UNPACKING * self.size

    @classmethod
    @contextmanager
    def opened(cls: type[Reader], source: Path | bytes, where: str, expected: str) -> Iterator[Reader]:
        """A reader of a file or of its bytes, until the ``with`` ends.

        Whatever h5py raises meanwhile becomes a `TclifError`, with ``expected`` as what to do.
        """
        try:
            if isinstance(source, Path) and not (source.is_file() and source.stat().st_size):
                wrong = "file not found" if not source.exists() else "is a folder" if source.is_dir() else "is empty"
                raise TclifError(f"{where}: {wrong}", expected)
            raw: BinaryIO = source.open("rb") if isinstance(source, Path) else io.BytesIO(source)
            with raw, h5py.File(source if isinstance(source, Path) else io.BytesIO(source), "r") as file:
                yield cls(file, raw, where, expected)
        except DAMAGE as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise TclifError(f"{where}: damaged or not HDF5 ({reason})", expected) from error

    def child(self, group: Any, name: str, kind: type, where: str) -> Any:
        """Member ``name`` of ``group``, which must be of h5py's type ``kind`` and in this file."""
        link = group.get(name, getlink=True)
        if link is None:
            raise TclifError(f"{where}: no {name}", self.expected)
        if not isinstance(link, h5py.HardLink):
            raise TclifError(f"{where}: {name} is a link to elsewhere", "links are not followed")
        item = group[name]
        if not isinstance(item, kind):
            raise TclifError(f"{where}: {name} is a {type(item).__name__.lower()}, expected a {kind.__name__.lower()}")
        return item

    def array(self, group: Any, name: str, where: str) -> NDArray[np.float64]:
        """A finite numeric dataset as float64."""
        data = self.child(group, name, h5py.Dataset, where)
        if data.dtype.kind not in "fiu" or data.dtype.itemsize > 8:
            raise TclifError(f"{where}: {name} has type {data.dtype}, expected numbers of at most 64 bits")
        if data.shape is not None and 0 in data.shape:
            raise TclifError(f"{where}: {name} has shape {data.shape}", "no parameter is without a number")
        self.count_bytes(data, name, where)
        value = np.asarray(data[()], dtype=np.float64)
        if not np.isfinite(value).all():
            index = [int(v) for v in np.argwhere(~np.isfinite(value))[0]]
            raise TclifError(f"{where}: {name}{index or ''} is {value[tuple(index)]}", "parameters must be finite")
        return value

    def count_bytes(self, data: Any, name: str, where: str) -> None:
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
        if declared > UNPACKING * stored or declared > self.bytes_left:
            raise TclifError(
                f"{where}: {name} declares {declared} bytes, the file stores {stored} for it", "is it damaged?"
            )
        self.bytes_left -= declared

    def text(self, group: Any, name: str, where: str) -> str:
        """A string dataset."""
        data = self.child(group, name, h5py.Dataset, where)
        if data.shape != () or h5py.check_string_dtype(data.dtype) is None:
            raise TclifError(f"{where}: {name} is not a string")
        return self.strings(data, name, where)[0]

    def strings(self, data: Any, name: str, where: str) -> list[str]:
        """All strings of a dataset: HDF5 would take memory for any length that a damaged file names, or hang."""
        self.count_bytes(data, name, where)
        if h5py.check_string_dtype(data.dtype).length is not None or not data.size:
            return [_decoded(value) for value in np.asarray(data[()]).reshape(-1)]
        # A string of variable length is stored as its length in 4 bytes, and the address of its characters.
        offset, stored = data.id.get_offset(), data.id.get_storage_size()
        if offset is None or stored != data.size * heap.REFERENCE:
            raise TclifError(f"{where}: {name} is stored in a way that is not read", "save it with h5py")
        self.raw.seek(offset)
        references = np.frombuffer(self.raw.read(stored), np.uint8).reshape(data.size, -1)
        lengths = np.ascontiguousarray(references[:, :4]).view("<u4").astype(np.int64)
        if lengths.max() > LONGEST_TEXT:
            raise TclifError(
                f"{where}: {name} has a string of {lengths.max()} characters, at most {LONGEST_TEXT} are read"
            )
        if lengths.sum() > self.bytes_left:
            raise TclifError(f"{where}: {name} has {lengths.sum()} characters, the file {self.size} bytes")
        self.bytes_left -= int(lengths.sum())
        return [_decoded(value) for value in heap.strings(self.raw, references)]


def _decoded(value: Any) -> str:
    return value.decode("utf8") if isinstance(value, bytes) else str(value)


def write_hdf5(path: Path | str, fill: Callable[[Any], None]) -> None:
    """An HDF5 file with what ``fill`` puts into it, there whole or not at all; `TclifError` where it cannot be."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    write_file(path, buffer.getvalue())
