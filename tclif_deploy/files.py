"""Files, read with one line for whatever is wrong with them.

What a file declares is checked before memory is taken for it: sizes, shapes, types, and how deep it is nested.
"""

from __future__ import annotations

import json
import math
import os
import stat
import tomllib
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError, cannot_read, reason_of

DAMAGED = (
    LookupError, ValueError, TypeError, AttributeError, ArithmeticError, OSError, EOFError, RecursionError,
    NotImplementedError, RuntimeError, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
"""what numpy, zipfile and json raise on an .npz of any damage"""
MOST_TEXT = 1 << 28
"""bytes of a JSON file: placements of large networks take some of them"""
DEEPEST = 64
"""lists and tables in one another; files of ours are a few deep"""
UNPACKING = 1032
"""no more bytes can deflate make of one (zlib's technical note)"""
CHUNK = 1 << 24
"""bytes read at once"""
KINDS = {"u": "bytes", "iu": "integers", "iuf": "numbers", "f": "floats", "biufcSU": "numbers"}
"""kinds of numpy's dtypes, in words"""


def as_path(value: object, expected: str) -> Path:
    """``value`` as a path that the system can look for; raises `TclifError`, which says what was ``expected``."""
    if not isinstance(value, (str, os.PathLike)):
        raise TclifError(f"cannot read a {type(value).__name__}", expected)
    path = Path(value)
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # a name that is too long, or holds a zero byte
        raise cannot_read(path, error, expected) from None
    return path


# --- text


def file_size(path: Path | str, hint: str) -> int:
    """Bytes of a regular file: a pipe or a device has no end, and reading it none either.

    Raises `TclifError`, with ``hint`` as what to do, for anything else.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise cannot_read(path, error, hint) from None
    if stat.S_ISDIR(status.st_mode):
        raise TclifError(f"{path}: is a folder", hint)
    if not stat.S_ISREG(status.st_mode):
        raise TclifError(f"{path}: is no regular file", hint)
    return status.st_size


def read_bytes(path: Path | str, hint: str, most: int = MOST_TEXT) -> bytes:
    """A regular file of at most ``most`` bytes. Raises `TclifError`, with ``hint`` as what to do."""
    size = file_size(path, hint)
    try:
        if size > most:
            raise TclifError(f"{path}: has {size:,} bytes, at most {most:,} are read", hint)
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise cannot_read(path, error, hint) from None


def read_json(path: Path | str, hint: str, most: int = MOST_TEXT) -> Any:
    """The plain values of a JSON file. Raises `TclifError`, with ``hint`` as what to do."""
    try:
        return parse_json(read_bytes(path, hint, most))
    except ValueError as error:
        raise TclifError(f"{path}: is not JSON ({reason_of(error)})", hint) from None


def parse_json(text: bytes | str) -> Any:
    """The plain values of JSON. Raises ValueError for anything else, and for what is nested beyond `DEEPEST`.

    Examples
    --------
    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
    ...
    ValueError: nested more than 64 deep
    """
    try:
        value = json.loads(text, parse_int=_int, parse_float=_float)
        if "\\u" in (text if isinstance(text, str) else text.decode("utf-8", "replace")):
            json.dumps(value, ensure_ascii=False).encode()  # halves of a character cannot be written anywhere
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} deep") from None
    _check_depth(value)
    return value


def _int(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) >= 1 << 63:
        raise ValueError(f"{digits:.20} is beyond 64 bits")
    return int(digits)


def _float(digits: str) -> float:
    if abs(float(digits)) > 1e300:
        raise ValueError(f"{digits:.20} is too large")
    return float(digits)


def read_toml(path: Path | str, hint: str, most: int) -> tuple[dict[str, Any], str]:
    """The plain values of a TOML file, and its text. Raises `TclifError`, with ``hint`` as what to do."""
    try:
        text = read_bytes(path, hint, most).decode("utf-8").replace("\r\n", "\n")
        values = tomllib.loads(text)
        _check_depth(values)
    except (ValueError, OverflowError) as error:
        raise TclifError(f"{path}: not a TOML file ({reason_of(error)})", hint) from None
    except RecursionError:
        raise TclifError(f"{path}: not a TOML file (nested more than {DEEPEST} deep)", hint) from None
    return values, text


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST + 1):
        containers = [
            item.values() if isinstance(item, dict) else item for item in level if isinstance(item, (dict, list))
        ]
        if not containers:
            return
        level = [item for items in containers for item in items]
    raise ValueError(f"nested more than {DEEPEST} deep")


# --- arrays


class Npz:
    """An open .npz; what it holds is refused with ValueError, or `TclifError` without the file's name."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.names = tuple(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))

    @contextmanager
    def member(self, name: str) -> Iterator[tuple[tuple[int, ...], bool, np.dtype[Any], IO[bytes]]]:
        """(shape, whether stored column by column, dtype, open file at the first value) of an array."""
        if name not in self.names:
            raise ValueError(f"no array {name!r}")
        info = self.archive.getinfo(f"{name}.npy")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack to any size
            raise ValueError(f"{name} is packed in a way that numpy does not write")
        with self.archive.open(info) as file:
            shape, by_column, dtype = read_npy_header(file)
            stored_bytes = info.file_size - file.tell()
            stored_bytes = min(stored_bytes, UNPACKING * info.compress_size)
            declared = math.prod(shape) * dtype.itemsize
            if declared > stored_bytes:
                raise ValueError(f"{name} declares {declared:,} bytes, the file holds {stored_bytes:,} for it")
            yield shape, by_column, dtype, file

    def array(
        self,
        name: str,
        kinds: str = "iuf",
        shape: tuple[int, ...] | None = None,
        *,
        finite: bool = True,
        ndim: int | None = None,
    ) -> NDArray[Any]:
        """An array of one of ``kinds`` of dtypes; of this ``shape``, or ``ndim`` dimensions, where they are given."""
        with self.member(name) as (stored, by_column, dtype, file):
            if dtype.kind not in kinds:
                raise ValueError(f"{name} is {dtype}, expected {KINDS.get(kinds, kinds)}")
            if shape is not None and stored != shape:
                raise ValueError(f"{name} has shape {stored}, expected {shape}")
            if ndim is not None and len(stored) != ndim:
                raise ValueError(f"{name} has shape {stored}, expected {ndim} dimensions")
            values = read_values(name, file, stored, by_column, dtype)
        if finite and dtype.kind == "f" and not np.isfinite(values).all():
            place = [int(n) for n in np.argwhere(~np.isfinite(values))[0]]
            raise ValueError(f"{name}{place} is {values[tuple(place)]}")
        return values

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, which is not read."""
        with self.member(name) as (shape, *_):
            return shape

    def text(self, name: str) -> bytes:
        """An array of bytes, such as a header."""
        return self.array(name, "u").astype(np.uint8, casting="safe").tobytes()


@contextmanager
def open_npz(path: Path | str, what: str, hint: str) -> Iterator[Npz]:
    """An .npz, closed when the block ends. All that is wrong with it becomes a `TclifError`: ``path: what (reason)``.

    ``hint`` says what to do. A `TclifError` that names the file already is let through.
    """
    try:
        if not file_size(path, hint):
            raise ValueError("it is empty")
        with zipfile.ZipFile(path) as archive:
            yield Npz(archive)
    except TclifError as error:
        if error.what.startswith(str(path)):
            raise
        raise TclifError(f"{path}: {what} ({error.what})", error.hint or hint) from error
    except DAMAGED as error:
        raise TclifError(f"{path}: {what} ({reason_of(error)})", hint) from error


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, whether stored column by column, dtype) of an .npy, whose file is then at its first value.

    Raises ValueError where it is damaged, and `TclifError` for object arrays.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0), (3, 0)):
                raise ValueError(f"version {version} of the format")
            header_1 = version == (1, 0)
            read = np.lib.format.read_array_header_1_0 if header_1 else np.lib.format.read_array_header_2_0
            shape, by_column, dtype = read(file)
    except zipfile.BadZipFile:
        raise
    except Exception as error:  # numpy reads it as Python, whose parsers have exceptions of their own
        raise ValueError(f"the header of an array is damaged: {reason_of(error)[:100]}") from None
    if dtype.hasobject:
        raise TclifError(
            "holds object arrays, which could run code when read",
            "save arrays of numbers: samples of several lengths padded to one, with their lengths beside them",
        )
    if any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"an array has shape {shape}")
    return shape, by_column, dtype


def read_values(
    name: str, file: IO[bytes], shape: tuple[int, ...], by_column: bool, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """The values that follow an .npy's header, which the caller has checked."""
    raw = np.empty(math.prod(shape) * dtype.itemsize, np.uint8)
    for start in range(0, len(raw), CHUNK):
        chunk = file.read(min(CHUNK, len(raw) - start))
        if len(chunk) != min(CHUNK, len(raw) - start):
            raise ValueError(f"{name} is truncated")
        raw[start : start + len(chunk)] = np.frombuffer(chunk, np.uint8)
    return raw.view(dtype).reshape(shape, order="F" if by_column else "C")


# --- integers


def narrowest_int(values: NDArray[np.int64]) -> type[np.signedinteger[Any]]:
    """Narrowest signed dtype that holds ``values``."""
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if values.size == 0 or (info.min <= values.min() and values.max() <= info.max):
            return dtype
    return np.int64
