"""Our data file: an ``.npz`` with ``x`` and, where known, ``y``, ``scale``, ``lengths``, ``task`` and ``mask``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tclif_deploy.data.dataset import TASKS, Dataset, Task
from tclif_deploy.errors import TclifError
from tclif_deploy.files import as_path, file_size, open_npz

EXPECTED = "expected an .npz with x (samples, time, features) and optionally y, scale, lengths, task, mask"
KEYS = ("x", "y", "scale", "lengths", "task", "mask")
ANY = "biufcSU"
"""kinds of dtypes; a `Dataset` says which of them it takes"""


def load_npz(path: Path | str, task: Task | None = None) -> Dataset:
    """Read an ``.npz`` with ``x`` (samples, time, features) and whatever of `KEYS` is there; ``task`` wins over the
    file's."""
    path = as_path(path, EXPECTED)
    file_size(path, EXPECTED)
    if _is_npy(path):
        raise TclifError(f"{path}: holds a single array", EXPECTED)
    with open_npz(path, "truncated or not an .npz", EXPECTED) as file:
        if "x" not in file.names:
            raise TclifError(f"{path}: no array 'x' (found: {', '.join(file.names) or 'nothing'})", EXPECTED)
        arrays: dict[str, Any] = {key: file.array(key, ANY, finite=False) for key in KEYS if key in file.names}
    return Dataset(**arrays | task_in(path, arrays, task), name=str(path))


def task_in(path: Path, arrays: dict[str, Any], given: Task | None) -> dict[str, Any]:
    """The task of a file's ``arrays`` as a `Dataset` takes it, unless it is ``given``."""
    held = arrays.get("task")
    if held is not None and (held.size != 1 or held.dtype.kind not in "US"):
        raise TclifError(f"{path}: task is {held.dtype} of shape {held.shape}", f"known: {', '.join(TASKS)}")
    text = None if held is None else held.reshape(()).item()
    return {"task": given or (text.decode("utf-8", "replace") if isinstance(text, bytes) else text)}


def _is_npy(path: Path) -> bool:
    """Whether a file is a bare .npy."""
    with open(path, "rb") as file:
        return file.read(6) == b"\x93NUMPY"
