"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError, cannot_write

DAMAGED = (
    KeyError, ValueError, TypeError, OSError, EOFError, RecursionError, NotImplementedError, RuntimeError, zlib.error,
    zipfile.BadZipFile,
)  # fmt: skip
"""what numpy, zipfile and json raise on an .npz of any damage"""


def as_path(value: object, expected: str) -> Path:
    """``value`` as a path; raises `TclifError`, which says what was ``expected``, where it is none."""
    if not isinstance(value, (str, os.PathLike)):
        raise TclifError(f"cannot read a {type(value).__name__}", expected)
    return Path(value)


def write_atomic(path: Path, write: Callable[[IO[bytes]], object], *, parents: bool = False) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in the place of ``path`` in one step.

    A reader, or a power cut, meets the old file or the new one. ``parents`` makes the folder too. Raises `TclifError`
    where the disk refuses; the old file is then untouched.
    """
    name = None
    try:
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:100]}.", delete=False) as file:
            name = file.name
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except (OSError, RuntimeError) as error:  # torch's zip writer turns a full disk into a RuntimeError
        if name is not None:
            Path(name).unlink(missing_ok=True)
        kept = "what stood there before is intact; " if path.exists() else ""
        raise cannot_write(path, error, f"{kept}free some space or choose another place") from None
    except BaseException:
        if name is not None:
            Path(name).unlink(missing_ok=True)
        raise


def write_npz(path: Path | str, arrays: dict[str, NDArray[Any]]) -> None:
    """Like `numpy.savez_compressed`, but with fixed time stamps: same arrays, same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def narrowest_int(values: NDArray[np.int64]) -> type[np.signedinteger[Any]]:
    """Narrowest signed dtype that holds ``values``."""
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if values.size == 0 or (info.min <= values.min() and values.max() <= info.max):
            return dtype
    return np.int64
