"""Whether something may be written at a place, and folders on the way to it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from tclif_deploy.errors import TclifError, cannot_write

CHOOSE = "choose another place"


def make_folder(folder: Path | str) -> None:
    """Make a folder, and those above it, where they are missing. Raises `TclifError`."""
    try:
        make_folders(Path(folder))
    except (OSError, ValueError) as error:
        raise cannot_write(folder, error, CHOOSE) from None


def check_file_place(path: Path | str, inputs: Iterable[object] = ()) -> None:
    """Raise `TclifError` where ``path`` is no place for a new file: a folder, a device, one of ``inputs``."""
    path = Path(path)
    try:
        mode = os.lstat(path).st_mode if path.name else stat.S_IFDIR
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise cannot_write(path, error, CHOOSE) from None
    if stat.S_ISDIR(mode):
        raise TclifError(f"{path}: is a folder", "give the name of a file")
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise TclifError(f"{path}: is no regular file", CHOOSE)
    for given in inputs:
        if isinstance(given, (str, os.PathLike)) and is_same(path, Path(given)):
            raise TclifError(f"{path}: is what this command reads", "choose another file to write to")


def check_folder_place(
    folder: Path | str, ours: Callable[[Path], bool], kind: str, inputs: Iterable[object] = ()
) -> None:
    """Raise `TclifError` where ``folder`` is no place for a new folder: a file, a link, somebody else's folder."""
    folder = Path(folder)
    try:
        mode = os.lstat(folder).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        raise cannot_write(folder, error, CHOOSE) from None
    if not stat.S_ISDIR(mode):
        raise TclifError(f"{folder}: is not a folder", CHOOSE)
    try:
        empty = not any(folder.iterdir())
    except OSError as error:
        raise cannot_write(folder, error, CHOOSE) from None
    if empty:
        return
    if not folder.name or not ours(folder):
        raise TclifError(f"{folder}: holds files that are not {kind}", f"{CHOOSE}, or empty it")
    for given in inputs:
        if isinstance(given, (str, os.PathLike)) and is_inside(Path(given), folder):
            raise TclifError(f"{given}: lies in {folder}, which this command would replace", CHOOSE)


def exists(path: Path) -> bool:
    return os.path.lexists(path)


def is_same(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return os.path.samefile(one, other)
    return False


def is_inside(path: Path, folder: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return path.exists() and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    return False


def missing_parents(path: Path) -> list[Path]:
    """Folders above ``path`` that are not there yet, the deepest first."""
    return [parent for parent in path.parents if not exists(parent)]


def make_folders(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None


def flush(path: Path) -> None:
    with open(path, "r+b") as file:  # Windows flushes only what is open for writing
        os.fsync(file.fileno())


def flush_tree(folder: Path) -> None:
    """Bring every file to the disk, so that a power cut after the move finds them whole."""
    for place, _, names in os.walk(folder):
        for name in names:
            if not os.path.islink(os.path.join(place, name)):
                flush(Path(place, name))
