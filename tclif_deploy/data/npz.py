"""Our data file: an ``.npz`` with ``x`` and, where known, ``y``, ``scale`` and ``lengths``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.files import DAMAGED


def load_npz(path: Path | str) -> Dataset:
    """Read an ``.npz`` with ``x`` (samples, time, features) and, where present, ``y``, ``scale``, ``lengths``."""
    path = Path(path)
    expected = "expected an .npz with x (samples, time, features) and optionally y, scale, lengths"
    if path.is_dir():
        raise TclifError(f"{path}: is a folder", expected)
    if not path.exists():
        raise TclifError(f"{path}: file not found", expected)
    if path.stat().st_size == 0:
        raise TclifError(f"{path}: is empty", expected)
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise TclifError(f"{path}: holds a single array", expected)
            if "x" not in file.files:
                raise TclifError(f"{path}: no array 'x' (found: {', '.join(file.files) or 'nothing'})", expected)
            arrays: dict[str, Any] = {key: file[key] for key in ("x", "y", "scale", "lengths") if key in file.files}
    except ValueError as error:
        if "pickle" in str(error).lower() or "object" in str(error).lower():
            raise TclifError(
                f"{path}: holds object arrays, which could run code when read", "save plain numeric arrays"
            ) from error
        raise TclifError(f"{path}: cannot be read ({error})", expected) from error
    except DAMAGED as error:
        raise TclifError(f"{path}: truncated or not an .npz ({error})", expected) from error
    return Dataset(**arrays, name=str(path))
