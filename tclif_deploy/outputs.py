"""The one way to write: a file or a folder is made beside its place and moved there when it is whole.

What stood there before stays until then. A link is replaced, never followed. A file takes the place only of nothing, a
regular file or a link; a folder only that of nothing, an empty folder, or one that its writer knows for its own.

A writer that is killed leaves a hidden neighbour. Each one carries a lock that goes with its process, so that the next
writer of the same place, or `recover`, can tell an orphan from the work of a process that still runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import logging
import os
import re
import secrets
import shutil
import stat
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError, cannot_write

CHOOSE = "choose another place"
PART = ".tclif-part"
"""ends the name of what is being written"""
OLD = ".tclif-old"
"""ends the name of a folder that a new one is about to replace, where a system cannot exchange two in one step"""
LONGEST = 100
"""bytes of a name that its hidden neighbour repeats: file systems allow 255"""

YOUNG_SECONDS = 60.0
"""a writer takes its lock long before its part is that old"""

Say = Callable[[str], object]
_say: list[Say] = [logging.getLogger(__name__).warning]


def on_recovery(say: Say) -> None:
    """Call ``say`` with one line whenever something of a killed process was put back or cleared away.

    Without it, the line is logged as a warning.
    """
    _say[:] = [say]


# --- files


@contextlib.contextmanager
def new_file(path: Path | str, *, inputs: Iterable[object] = (), parents: bool = False) -> Iterator[Path]:
    """Yield an empty file's path: it takes the place of ``path`` when the block ends well, and vanishes otherwise.

    ``inputs`` are what this call reads: no path among them may be ``path``. ``parents`` makes the folder too. Raises
    `TclifError` where ``path`` is no place for a file and where the disk refuses; what stood there is then untouched.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with new_file(f"{folder}/a.txt") as path:
    ...         _ = path.write_text("whole")
    ...     [file.name for file in Path(folder).iterdir()]
    ['a.txt']
    """
    path = Path(path)
    check_file_place(path, inputs)
    part = None
    try:
        if parents:
            _make_folder(path.parent)
        clear_orphans(path)
        with _new_part(path, _make_file) as part:
            yield part
            _flush(part)
            os.replace(part, path)
    except OSError as error:
        if not _is_about(error, part, path):
            raise
        kept = "what stood there before is intact; " if _exists(path) else ""
        raise cannot_write(path, error, f"{kept}free some space or {CHOOSE}") from None
    finally:
        if part is not None:
            with contextlib.suppress(OSError):
                part.unlink()


def write_file(
    path: Path | str,
    content: bytes | Callable[[IO[bytes]], object],
    *,
    inputs: Iterable[object] = (),
    parents: bool = False,
) -> None:
    """Write bytes, or what ``content`` writes into an open file, as `new_file` does.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_file(f"{folder}/a.txt", b"whole")
    ...     Path(folder, "a.txt").read_text()
    'whole'
    """
    with new_file(path, inputs=inputs, parents=parents) as part, open(part, "wb") as file:
        if isinstance(content, bytes):
            file.write(content)
        else:
            content(file)


def write_npz(path: Path | str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Like `numpy.savez_compressed`, but whole or not at all, and with fixed time stamps: same arrays, same bytes.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_npz(f"{folder}/a.npz", {"x": np.arange(3)})
    ...     np.load(f"{folder}/a.npz")["x"].tolist()
    [0, 1, 2]
    """

    def pack(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, array in arrays.items():
                info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
                info.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(info, "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)

    write_file(path, pack)


def write_files(folder: Path | str, files: Mapping[str, bytes]) -> None:
    """Write files into ``folder``, which is made where missing; a name may have folders of its own before a slash.

    All are written and flushed before the first of them takes its place: where the disk refuses, none does.
    """
    make_folder(folder)
    with contextlib.ExitStack() as stack:
        for name, content in files.items():
            path = Path(folder, name)
            part = stack.enter_context(new_file(path, parents=True))
            try:
                part.write_bytes(content)
                _flush(part)
            except OSError as error:
                raise cannot_write(path, error, f"free some space or {CHOOSE}") from None


def make_folder(folder: Path | str) -> None:
    """Make a folder, and those above it, where they are missing. Raises `TclifError`."""
    try:
        _make_folder(Path(folder))
    except (OSError, ValueError) as error:
        raise cannot_write(folder, error, CHOOSE) from None


def check_file_place(path: Path | str, inputs: Iterable[object] = ()) -> None:
    """Raise `TclifError` where ``path`` is no place for a new file: a folder, a device, one of ``inputs``."""
    path = Path(path)
    try:
        mode = os.lstat(path).st_mode if path.name else stat.S_IFDIR
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        raise cannot_write(path, error, CHOOSE) from None
    if stat.S_ISDIR(mode):
        raise TclifError(f"{path}: is a folder", "give the name of a file")
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise TclifError(f"{path}: is no regular file", CHOOSE)
    for given in inputs:
        if isinstance(given, (str, os.PathLike)) and _same(path, Path(given)):
            raise TclifError(f"{path}: is what this command reads", "choose another file to write to")


# --- folders


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
    made = _missing_parents(folder)
    part = None
    try:
        _make_folder(folder.parent)
        with _new_part(folder, Path.mkdir) as part:
            yield part
            _flush_tree(part)
            _put(part, folder, ours, kind)
    except OSError as error:
        if not _is_about(error, part, folder):
            raise
        raise cannot_write(folder, error, CHOOSE) from None
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        if not _exists(folder):
            for parent in made:
                with contextlib.suppress(OSError):  # somebody else may have put something there meanwhile
                    parent.rmdir()


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
        if isinstance(given, (str, os.PathLike)) and _inside(Path(given), folder):
            raise TclifError(f"{given}: lies in {folder}, which this command would replace", CHOOSE)


def _put(part: Path, folder: Path, ours: Callable[[Path], bool], kind: str) -> None:
    """Let ``part`` stand where ``folder`` did, or where nothing did, and remove the old one."""
    try:
        os.rename(part, folder)  # where nothing, or an empty folder, stands: one step on every POSIX system
        return
    except OSError:
        if not _exists(folder):
            raise
    check_folder_place(folder, ours, kind)  # it may have changed since the beginning
    handle = _lock_standing(folder)  # one exchange at a time, and nobody takes the old one, hidden, for an orphan
    try:
        if _exchange(part, folder):
            try:
                check_folder_place(part, ours, kind)
            except TclifError:  # somebody else's, put there at the last moment: it goes back
                _exchange(part, folder)
                raise TclifError(f"{folder}: changed while it was replaced", "try again") from None
            shutil.rmtree(part, ignore_errors=True)
            return
        old = folder.with_name(part.name.removesuffix(PART) + OLD)
        os.rename(folder, old)
        try:
            os.rename(part, folder)
        except OSError:
            os.rename(old, folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        _unlock(handle)


def _exchange(one: Path, other: Path) -> bool:
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


# --- what killed processes left


def recover(folder: Path | str, ours: Callable[[Path], bool]) -> None:
    """Put back a folder that a killed process had moved aside, where none took its place; clear its orphans away."""
    folder = Path(folder)
    if not folder.name:
        return
    for old, handle in _orphans(folder, OLD):
        with contextlib.suppress(OSError):
            if not _exists(folder) and ours(old):
                os.rename(old, folder)
                _tell(f"{folder}: put back; a command that was replacing it had been killed")
            else:
                shutil.rmtree(old)
                _tell(f"{old}: cleared away; a command that was killed had left it")
        _unlock(handle)
    clear_orphans(folder)


def clear_orphans(path: Path | str) -> None:
    """Remove what killed writers of ``path`` left beside it."""
    for part, handle in _orphans(Path(path), PART):
        with contextlib.suppress(OSError):
            if part.is_dir() and not part.is_symlink():
                shutil.rmtree(part)
            else:
                part.unlink()
            _tell(f"{part}: cleared away; a command that was killed had left it")
        _unlock(handle)


def _tell(line: str) -> None:
    for say in _say:
        say(line)


def _orphans(path: Path, end: str) -> Iterator[tuple[Path, int]]:
    """Neighbours of ``path`` whose writer does not run any more, each locked until its handle is closed."""
    pattern = re.compile(re.escape(_beginning(path)) + "([0-9a-f]{8})[0-9a-f]{8}" + re.escape(end))
    try:
        matches = [match for name in sorted(os.listdir(path.parent)) if (match := pattern.fullmatch(name))]
    except OSError:
        return
    for match in matches:
        part = path.parent / match[0]
        handle = _claim(part, int(match[1], 16))
        if handle is not None:
            yield part, handle


def _beginning(path: Path) -> str:
    """How the hidden neighbours of ``path``, and of nothing else, begin."""
    name = os.fsencode(path.name)
    if len(name) > LONGEST:
        name = name[:LONGEST] + b"~" + hashlib.sha256(name).hexdigest()[:8].encode()
    return f".{os.fsdecode(name)}-"


def _make_file(path: Path) -> None:
    with open(path, "xb"):
        pass


try:
    import fcntl
except ImportError:  # Windows: what a killed process left cannot be told from the work of another, and stays
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def _new_part(path: Path, make: Callable[[Path], object]) -> Iterator[Path]:
    """A hidden neighbour of ``path``, made and locked."""
    while True:
        part = path.with_name(f"{_beginning(path)}{os.getpid():08x}{secrets.token_hex(4)}{PART}")
        make(part)
        handle = _lock(part)
        if handle is None or _is_open_as(handle, part):
            break
        _unlock(handle)  # another process took it for an orphan, before the lock
    try:
        yield part
    finally:
        _unlock(handle)


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
    return handle


def _lock_standing(folder: Path) -> int | None:
    """Lock the folder that stands at ``folder`` now, after whoever is replacing it."""
    while True:
        handle = _lock(folder)
        if handle is None or _is_open_as(handle, folder) or not _exists(folder):
            return handle
        _unlock(handle)


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


def _unlock(handle: int | None) -> None:
    if handle is not None and handle >= 0:
        os.close(handle)


# --- small things


def _is_about(error: OSError, part: Path | None, place: Path) -> bool:
    """Whether an error is one of writing here, not of reading something else meanwhile."""
    names = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    made = [path for path in (part, place) if path is not None]

    def here(name: Path) -> bool:
        hidden = name.parent == place.parent and name.name.startswith(_beginning(place))
        return hidden or name == place.parent or any(name.is_relative_to(path) for path in made)

    return not names or any(map(here, names))


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


def _same(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return os.path.samefile(one, other)
    return False


def _inside(path: Path, folder: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return path.exists() and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    return False


def _missing_parents(path: Path) -> list[Path]:
    """Folders above ``path`` that are not there yet, the deepest first."""
    return [parent for parent in path.parents if not _exists(parent)]


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None


def _flush(path: Path) -> None:
    with open(path, "r+b") as file:  # Windows flushes only what is open for writing
        os.fsync(file.fileno())


def _flush_tree(folder: Path) -> None:
    """Bring every file to the disk, so that a power cut after the move finds them whole."""
    for place, _, names in os.walk(folder):
        for name in names:
            if not os.path.islink(os.path.join(place, name)):
                _flush(Path(place, name))
