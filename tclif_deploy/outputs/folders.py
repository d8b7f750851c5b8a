"""Folders that are there whole or not at all, and that take the place of an old one in one step."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tclif_deploy.errors import TclifError, cannot_write
from tclif_deploy.outputs.neighbours import OLD, PART, is_about, lock_standing, new_part, recover, unlock
from tclif_deploy.outputs.places import (
    CHOOSE,
    check_folder_place,
    exists,
    flush_tree,
    make_folders,
    missing_parents,
)


@contextlib.contextmanager
def new_folder(
    folder: Path | str,
    *,
    ours: Callable[[Path], bool] = lambda folder: False,
    kind: str = "ours",
    inputs: Iterable[object] = (),
) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``folder`` when the block ends well, and vanishes otherwise.

    At every moment the old or the new folder stands there, whole: both are exchanged in one step where the system can
    (Linux, macOS); elsewhere by two renames, which `recover` completes if the process is killed between them. ``ours``
    says whether a folder may be replaced; an empty one always may. ``kind`` names what is ours in messages. ``inputs``
    are files that this call reads: none may lie in ``folder``. Raises `TclifError`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with new_folder(f"{place}/a") as folder:
    ...         _ = (folder / "b.txt").write_text("whole")
    ...     Path(place, "a", "b.txt").read_text()
    'whole'
    """
    folder = Path(folder)
    check_folder_place(folder, ours, kind, inputs)
    recover(folder, ours)
    made = missing_parents(folder)
    part = None
    try:
        make_folders(folder.parent)
        with new_part(folder, Path.mkdir) as part:
            yield part
            flush_tree(part)
            _put(part, folder, ours, kind)
    except OSError as error:
        if not is_about(error, part, folder):
            raise
        raise cannot_write(folder, error, CHOOSE) from None
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        if not exists(folder):
            for parent in made:
                with contextlib.suppress(OSError):  # somebody else may have put something there meanwhile
                    parent.rmdir()


def _put(part: Path, folder: Path, ours: Callable[[Path], bool], kind: str) -> None:
    """Let ``part`` stand where ``folder`` did, or where nothing did, and remove the old one."""
    try:
        os.rename(part, folder)  # where nothing, or an empty folder, stands: one step on every POSIX system
        return
    except OSError:
        if not exists(folder):
            raise
    check_folder_place(folder, ours, kind)  # it may have changed since the beginning
    handle = lock_standing(folder)  # one exchange at a time, and nobody takes the old one, hidden, for an orphan
    try:
        if exchange(part, folder):
            try:
                check_folder_place(part, ours, kind)
            except TclifError:  # somebody else's, put there at the last moment: it goes back
                exchange(part, folder)
                raise TclifError(f"{folder}: changed while it was replaced", "try again") from None
            shutil.rmtree(part, ignore_errors=True)
            return
        old = folder.with_name(part.name.removesuffix(PART) + OLD)
        try:
            os.rename(folder, old)
            os.rename(part, folder)
            shutil.rmtree(old, ignore_errors=True)
        except BaseException:  # interruptions, too, which come between any two steps
            if not exists(part):
                shutil.rmtree(old, ignore_errors=True)
            elif exists(old):
                os.rename(old, folder)
            raise
    finally:
        unlock(handle)


def exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; False where the system or the file system cannot."""
    a, b = os.fsencode(one), os.fsencode(other)
    libc: Any = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        failed = libc.renameat2(_AT_FDCWD, a, _AT_FDCWD, b, _RENAME_EXCHANGE)
    elif sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        failed = libc.renamex_np(a, b, _RENAME_SWAP)
    else:
        return False
    code = ctypes.get_errno()
    if failed and code not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        raise OSError(code, os.strerror(code), str(other))
    return not failed


_AT_FDCWD = -100


_RENAME_EXCHANGE = 2


_RENAME_SWAP = 2
"""from linux/fs.h, and from macOS's sys/stdio.h"""
