"""Hidden neighbours of a place: what is being written, locked while its process runs, and what killed ones left."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tclif_deploy.outputs.places import exists

PART = ".tclif-part"
"""ends the name of what is being written"""


OLD = ".tclif-old"
"""ends the name of a folder that a new one is about to replace, where a system cannot exchange two in one step"""


LONGEST = 100
"""bytes of a name that its hidden neighbour repeats: file systems allow 255"""


YOUNG_SECONDS = 60.0
"""a writer takes its lock long before its part is that old"""


Say = Callable[[str], object]


_say: list[Say] = [logging.getLogger("tclif_deploy.outputs").warning]


def on_recovery(say: Say) -> None:
    """Call ``say`` with one line whenever something of a killed process was put back or cleared away.

    Without it, the line is logged as a warning.
    """
    _say[:] = [say]


def recover(folder: Path | str, ours: Callable[[Path], bool]) -> None:
    """Put back a folder that a killed process had moved aside, where none took its place; clear its orphans away."""
    folder = Path(folder)
    if not folder.name:
        return
    for old, handle in _orphans(folder, OLD):
        try:
            with contextlib.suppress(OSError):
                if not exists(folder) and ours(old):
                    os.rename(old, folder)
                    _tell(f"{folder}: put back; a command that was replacing it had been killed")
                else:
                    shutil.rmtree(old)
                    _tell(f"{old}: cleared away; a command that was killed had left it")
        finally:  # a lock that stayed would keep this process from it for ever
            unlock(handle)
    clear_orphans(folder)


def clear_orphans(path: Path | str) -> None:
    """Remove what killed writers of ``path`` left beside it."""
    for part, handle in _orphans(Path(path), PART):
        try:
            with contextlib.suppress(OSError):
                _remove(part)
                _tell(f"{part}: cleared away; a command that was killed had left it")
        finally:
            unlock(handle)


def _remove(part: Path) -> None:
    if part.is_dir() and not part.is_symlink():
        shutil.rmtree(part)
    else:
        part.unlink()


def _tell(line: str) -> None:
    for say in _say:
        say(line)


def _orphans(path: Path, end: str) -> Iterator[tuple[Path, int]]:
    """Neighbours of ``path`` whose writer does not run any more, each locked until its handle is closed."""
    pattern = re.compile(re.escape(beginning(path)) + "([0-9a-f]{8})[0-9a-f]{8}" + re.escape(end))
    try:
        matches = [match for name in sorted(os.listdir(path.parent)) if (match := pattern.fullmatch(name))]
    except OSError:
        return
    for match in matches:
        part = path.parent / match[0]
        handle = _claim(part, int(match[1], 16))
        if handle is not None:
            yield part, handle


def beginning(path: Path) -> str:
    """How the hidden neighbours of ``path``, and of nothing else, begin."""
    name = os.fsencode(path.name)
    if len(name) > LONGEST:
        name = name[:LONGEST] + b"~" + hashlib.sha256(name).hexdigest()[:8].encode()
    return f".{os.fsdecode(name)}-"


try:
    import fcntl
except ImportError:  # Windows: what a killed process left cannot be told from the work of another, and stays
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def new_part(path: Path, make: Callable[[Path], object]) -> Iterator[Path]:
    """A hidden neighbour of ``path``, made and locked; gone again where that, or the block, does not end well."""
    while True:
        part = path.with_name(f"{beginning(path)}{os.getpid():08x}{secrets.token_hex(4)}{PART}")
        handle = None
        try:
            make(part)
            handle = _lock(part)
            if handle is not None and not _is_open_as(handle, part):
                continue  # another process took it for an orphan, before the lock
            yield part
            return
        except BaseException:
            with contextlib.suppress(OSError):
                _remove(part)
            raise
        finally:
            unlock(handle)


def _lock(path: Path) -> int | None:
    """Hold a lock on a file or folder that goes with this process; None where the file system, or the system, has none.

    Waits for another process that looks whether ``path`` is an orphan.
    """
    if fcntl is None:
        return None
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return -1
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        os.close(handle)
        return None
    except BaseException:  # interrupted while it waits
        os.close(handle)
        raise
    return handle


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """While the block runs, nobody else is in such a block for a file in the folder of ``path``.

    For who reads a file again to write it with more. Nothing is held where the file system has no locks.
    """
    handle = _lock(path.parent)
    try:
        yield
    finally:
        unlock(handle)


def lock_standing(folder: Path) -> int | None:
    """Lock the folder that stands at ``folder`` now, after whoever is replacing it."""
    while True:
        handle = _lock(folder)
        if handle is None or _is_open_as(handle, folder) or not exists(folder):
            return handle
        unlock(handle)


def _claim(path: Path, process: int) -> int | None:
    """Lock what no process that runs is writing; None where one is, or where that cannot be told.

    A writer makes first and locks then: in between, that its ``process`` runs speaks for it. Numbers of processes come
    again, so after a while the lock alone counts.
    """
    if fcntl is None or (_runs(process) and _age(path) < YOUNG_SECONDS):
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    if _is_open_as(handle, path):
        return handle
    os.close(handle)
    return None


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _age(path: Path) -> float:
    """Seconds since a file or folder was last written."""
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0.0


def _is_open_as(handle: int, path: Path) -> bool:
    """Whether what stands at ``path`` is still what was opened."""
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except OSError:
        return False


def unlock(handle: int | None) -> None:
    if handle is not None and handle >= 0:
        os.close(handle)


def is_about(error: OSError, part: Path | None, place: Path) -> bool:
    """Whether an error is one of writing here, not of reading something else meanwhile."""
    names = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    made = [path for path in (part, place) if path is not None]

    def here(name: Path) -> bool:
        hidden = name.parent == place.parent and name.name.startswith(beginning(place))
        return hidden or name == place.parent or any(name.is_relative_to(path) for path in made)

    return not names or any(map(here, names))
