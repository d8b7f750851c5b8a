"""Compiling with numba: where machine code is kept between processes, and who is told when it is made.

numba is imported when the first kernel is made, so that a command line that needs none starts at once.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import importlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

CACHE_VARIABLE = "TCLIF_CACHE_DIR"
"""Environment variable that names the folder of compiled code."""

MESSAGE = "compiling for this CPU (once for each kind of kernel; kept in {folder})"

Function = TypeVar("Function", bound=Callable[..., Any])
Announce = Callable[[str], None]

_announce: list[Announce] = []


def on_compile(announce: Announce) -> None:
    """Call ``announce`` with one line, at most once, when this process is about to compile something.

    Code that is found on disk is loaded without a word.
    """
    _announce[:] = [announce]


@functools.cache
def cache_folder(folder: Path) -> Path:
    """Where machine code of the kernels in the source ``folder`` is kept.

    In the first place that can be written: the user's choice, the user's cache, or a private temporary one. Its
    name has a digest of the folder's sources: numba itself looks only at the file of each function, and would go
    on to use machine code whose helpers have changed. This file's is in it too, since it names what is kept.
    """
    return _cache_folders(folder)[0]


@functools.cache
def _cache_folders(folder: Path) -> tuple[Path, tuple[Path, ...]]:
    """(the folder that `cache_folder` gives, better ones that can only be read: filled by whoever may write there)."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for source in sorted(folder.rglob("*.py")):
        digest.update(source.read_bytes())
    name = f"{folder.name}-{digest.hexdigest()[:16]}"
    readable: list[Path] = []
    for base in _candidates():
        cache = base / name
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=cache):
                pass
            for kept in cache.glob(f"{folder.name}_*"):
                if not kept.is_dir():  # numba would keep its files beside the sources
                    kept.unlink(missing_ok=True)  # another process may have been faster
            return cache, tuple(readable)
        except OSError:
            if cache.is_dir():
                readable.append(cache)
    return Path(tempfile.mkdtemp(prefix="tclif-deploy-")), tuple(readable)


def _candidates() -> list[Path]:
    """Where compiled code may live, best first."""
    folders = [Path(os.environ[name]) for name in (CACHE_VARIABLE, "NUMBA_CACHE_DIR") if os.environ.get(name)]
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        home = os.path.expanduser("~/Library/Caches")
    else:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if home and os.path.isabs(home):
        folders.append(Path(home) / "tclif-deploy")
    shared = _private_temporary()
    return [*folders, shared] if shared is not None else folders


def _private_temporary() -> Path | None:
    """A temporary folder that later processes of this user find again, or None where it is not ours alone.

    Compiled code is loaded as code, so a folder that someone else could have filled is not used.
    """
    if not hasattr(os, "getuid"):
        return Path(tempfile.gettempdir()) / "tclif-deploy"
    folder = Path(tempfile.gettempdir()) / f"tclif-deploy-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    is_own = folder.is_dir() and not folder.is_symlink() and status.st_uid == os.getuid()
    return folder if is_own and not status.st_mode & 0o077 else None


_making = threading.RLock()


def kernel(function: Function | None = None, *, fastmath: Any = False) -> Any:
    """Compile ``function`` at its first call, without the GIL, and keep the machine code on disk.

    Helpers that it calls stand in its own source folder or below.
    """
    if function is None:
        return functools.partial(kernel, fastmath=fastmath)
    numba = _numba()
    dispatcher = helper(function, fastmath=fastmath)
    folder, readable = _cache_folders(Path(function.__code__.co_filename).parent)
    with _making:  # numba reads its folder from this variable, twice: another thread must not reset it in between.
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(folder)
        try:
            dispatcher.enable_caching()
        finally:
            numba.config.CACHE_DIR = before
    kept = dispatcher._cache
    _name_by_key(kept)
    places = [kept, *(_elsewhere(kept, place / Path(kept.cache_path).name) for place in readable)]
    save = kept.save_overload
    loads = [(place, place.load_overload) for place in places]

    def load_what_is_sound(signature: Any, context: Any) -> Any:
        for place, load in loads:
            try:
                found = load(signature, context)
            except Exception:  # damaged bytes can raise nearly anything; the kernel is compiled again
                _discard(place, signature, context.codegen())
            else:
                if found is not None:
                    return found
        return None

    def save_if_it_can(signature: Any, compiled: Any) -> None:
        try:
            save(signature, compiled)
        except Exception:  # a damaged index, or a folder in a file's place
            _discard(kept, signature, compiled.codegen)
            with suppress(OSError):  # a full disk costs the next process its compilation, and this one nothing
                save(signature, compiled)

    kept.load_overload, kept.save_overload = load_what_is_sound, save_if_it_can
    _kernels[id(dispatcher)] = folder
    return dispatcher


def _name_by_key(cache: Any) -> None:
    """Let each kernel of a file have a data file of its own, named by what it is.

    numba numbers them by the index that it has read, and locks nothing: two processes that make two kernels of one file
    at once would take the same number, and one of them then runs the other's code.
    """
    file, dumps = cache._cache_file, importlib.import_module("numba.core.serialize").dumps

    def save(key: Any, data: Any) -> None:
        overloads = file._load_index()
        if key not in overloads:
            overloads[key] = file._data_name(int(hashlib.sha256(dumps(key)).hexdigest()[:16], 16))
            file._save_index(overloads)
        file._save_data(overloads[key], data)

    file.save = save


def _elsewhere(cache: Any, folder: Path) -> Any:
    """What numba keeps in ``cache``, as it would lie in another ``folder``."""
    other = copy.copy(cache)
    other._cache_file = copy.copy(cache._cache_file)
    other._cache_file._cache_path = str(folder)
    other._cache_file._index_path = str(folder / cache._cache_file._index_name)
    return other


def _discard(cache: Any, signature: Any, codegen: Any) -> None:
    """Remove the machine code kept for a ``signature``, which cannot be read, or the index that names it."""
    file = cache._cache_file
    try:
        name = file._load_index().get(cache._index_key(signature, codegen))
        damaged = None if name is None else Path(file._data_path(name))
    except Exception:  # as above
        damaged = Path(file._index_path)
    if damaged is not None:
        with suppress(OSError):
            damaged.rmdir() if damaged.is_dir() else damaged.unlink()


def helper(function: Function | None = None, *, fastmath: Any = False) -> Any:
    """A function that kernels call; compiled into each of them."""
    if function is None:
        return functools.partial(helper, fastmath=fastmath)
    return _numba().njit(nogil=True, error_model="numpy", fastmath=fastmath)(function)


def made_once(make: Function) -> Function:
    """`functools.cache` for functions that make a kernel: threads that ask for the same one get the same one."""
    cached = functools.cache(make)

    @functools.wraps(make)
    def get(*arguments: Any) -> Any:
        with _making:
            return cached(*arguments)

    return cast("Function", get)


class _Clock:
    """Seconds in which something was being compiled, by however many threads."""

    def __init__(self) -> None:
        self.lock, self.running, self.since, self.seconds = threading.Lock(), 0, 0.0, 0.0

    def start(self) -> None:
        with self.lock:
            if not self.running:
                self.since = time.monotonic()
            self.running += 1

    def stop(self) -> None:
        with self.lock:
            self.running -= 1
            if not self.running:
                self.seconds += time.monotonic() - self.since


_clock = _Clock()


def seconds_compiling() -> float:
    """For how long this process has compiled so far: what no rate should count."""
    return _clock.seconds


_kernels: dict[int, Path] = {}
"""each kernel's folder, by the dispatcher's id"""


@functools.cache
def _numba() -> Any:
    """numba, with an ear for compilations that passes on the first that is one of ours."""
    import numba
    from numba.core import event

    class Compiling(event.Listener):  # type: ignore[misc]
        def on_start(self, event: Any) -> None:
            _clock.start()
            folder = _kernels.get(id(event.data["dispatcher"]))
            if _announce and folder is not None:
                _announce.pop()(MESSAGE.format(folder=folder.parent))

        def on_end(self, event: Any) -> None:
            _clock.stop()

    event.register("numba:compile", Compiling())
    return numba
