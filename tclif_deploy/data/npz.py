"""Our data file: an ``.npz`` with ``x`` and, where known, ``y``, ``scale`` and ``lengths``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.files import as_path, file_size, open_npz

EXPECTED = "expected an .npz with x (samples, time, features) and optionally y, scale, lengths"
KEYS = ("x", "y", "scale", "lengths")
ANY = "biufcSU"
"""kinds of dtypes; a `Dataset` says which of them it takes"""


def load_npz(path: Path | str) -> Dataset:
    """Read an ``.npz`` with ``x`` (samples, time, features) and, where present, ``y``, ``scale``, ``lengths``."""
    path = as_path(path, EXPECTED)
    file_size(path, EXPECTED)
    if _is_npy(path):
        raise TclifError(f"{path}: holds a single array", EXPECTED)
    with open_npz(path, "truncated or not an .npz", EXPECTED) as file:
        if "x" not in file.names:
            raise TclifError(f"{path}: no array 'x' (found: {', '.join(file.names) or 'nothing'})", EXPECTED)
        arrays: dict[str, Any] = {key: file.array(key, ANY, finite=False) for key in KEYS if key in file.names}
    return Dataset(**arrays, name=str(path))


def _is_npy(path: Path) -> bool:
    """Whether a file is a bare .npy."""
    with open(path, "rb") as file:
        return file.read(6) == b"\x93NUMPY"
