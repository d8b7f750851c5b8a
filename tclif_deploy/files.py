"""What readers of files share."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError

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


def narrowest_int(values: NDArray[np.int64]) -> type[np.signedinteger[Any]]:
    """Narrowest signed dtype that holds ``values``."""
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if values.size == 0 or (info.min <= values.min() and values.max() <= info.max):
            return dtype
    return np.int64
