"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tclif_deploy.errors import TclifError


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
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        kept = "; what stood there before is intact" if path.exists() else ""
        raise TclifError(
            f"{path}: cannot be written ({reason}){kept}", "free some space or choose another place"
        ) from None
    except BaseException:
        if name is not None:
            Path(name).unlink(missing_ok=True)
        raise
