"""Our data file: an ``.npz`` with ``x`` and, where known, ``y``, ``scale``, ``lengths``, ``task`` and ``mask``.

An ``.npy`` is x alone.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.data.dataset import TASKS, Dataset, Task
from tclif_deploy.errors import TclifError, reason_of
from tclif_deploy.files import as_path, file_size, open_npz, read_npy_header

EXPECTED = "expected an .npz with x (samples, time, features) and optionally y, scale, lengths, task, mask"
KEYS = ("x", "y", "scale", "lengths", "task", "mask")
CALLED_Y = ("y", "label", "labels", "target", "targets")
"""what others call ``y``, in whatever case; read as y where a file has one of them, and no y"""
ANY = "biufcSU"
"""kinds of dtypes; a `Dataset` says which of them it takes"""


def load_npz(path: Path | str, task: Task | None = None) -> Dataset:
    """Read an ``.npz`` with ``x`` (samples, time, features) and whatever of `KEYS` is there; ``task`` wins over the
    file's."""
    path = as_path(path, EXPECTED)
    file_size(path, EXPECTED)
    if is_npy(path):
        raise TclifError(f"{path}: holds a single array", EXPECTED)
    with open_npz(path, "truncated or not an .npz", EXPECTED) as file:
        if "x" not in file.names:
            raise TclifError(f"{path}: no array 'x' (found: {', '.join(file.names) or 'nothing'})", EXPECTED)
        names = {key: key for key in KEYS if key in file.names}
        others = [name for name in file.names if name not in KEYS and name.lower() in CALLED_Y]
        if "y" not in names and len(others) > 1:
            raise TclifError(
                f"{path}: holds {' and '.join(others)}, and no y", "call one of them y, it is read as that"
            )
        if "y" not in names and others:
            names["y"] = others[0]
        arrays: dict[str, Any] = {key: file.array(name, ANY, finite=False) for key, name in names.items()}
    return Dataset(**arrays | task_in(path, arrays, task), name=str(path))


def task_in(path: Path, arrays: dict[str, Any], given: Task | None) -> dict[str, Any]:
    """The task of a file's ``arrays`` as a `Dataset` takes it, unless it is ``given``."""
    held = arrays.get("task")
    if held is not None and (held.size != 1 or held.dtype.kind not in "US"):
        raise TclifError(f"{path}: task is {held.dtype} of shape {held.shape}", f"known: {', '.join(TASKS)}")
    text = None if held is None else held.reshape(()).item()
    return {"task": given or (text.decode("utf-8", "replace") if isinstance(text, bytes) else text)}


def is_npy(path: Path) -> bool:
    """Whether a file is a bare .npy, by its content."""
    try:
        with open(path, "rb") as file:
            return file.read(6) == b"\x93NUMPY"
    except OSError as error:
        raise TclifError(f"{path}: cannot be read ({reason_of(error)})", EXPECTED) from error


def open_npy(path: Path) -> NDArray[Any]:
    """The array (samples, time, features) of an ``.npy``, which stays in the file until it is used."""
    expected = "expected an array (samples, time, features)"
    try:
        file_size(path, expected)
        with open(path, "rb") as file:
            shape, by_column, dtype = read_npy_header(file)
            start, held = file.tell(), path.stat().st_size - file.tell()
    except TclifError as error:
        raise TclifError(f"{path}: {error.what}", error.hint) from error
    except (ValueError, OSError) as error:
        raise TclifError(f"{path}: cannot be read ({reason_of(error)})", expected) from error
    declared = math.prod(shape) * dtype.itemsize
    if len(shape) != 3 or 0 in shape or not dtype.itemsize:
        raise TclifError(f"{path}: has shape {shape}", "expected (samples, time, features), none of them 0")
    if declared > held:
        raise TclifError(f"{path}: declares {declared:,} bytes, the file holds {held:,}", "copy the file again")
    return np.memmap(path, dtype, "r", start, shape, "F" if by_column else "C")
