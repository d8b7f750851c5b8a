"""Compiling with numba: where machine code is kept between processes, and who is told when it is made."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import event

CACHE_VARIABLE = "TCLIF_CACHE_DIR"
"""Environment variable that names the folder of compiled code."""

MESSAGE = "compiling the engine for this CPU (once; kept in {folder})"

Function = TypeVar("Function", bound=Callable[..., Any])
Announce = Callable[[str], None]

_announce: list[Announce] = []


def on_compile(announce: Announce) -> None:
    """Call ``announce`` with one line, at most once, when this process is about to compile something.

    Code that is found on disk is loaded without a word.
    """
    _announce[:] = [announce]


def cache_folder() -> Path:
    """The first folder that can be written: the user's choice, the user's cache, or a private temporary one.

    Its last part is a digest of the engine's sources: numba itself looks only at the file of each function, and
    would go on to use machine code whose helpers have changed.
    """
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    name = f"engine-{digest.hexdigest()[:16]}"
    for base in _candidates():
        folder = base / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="tclif-deploy-"))


def _candidates() -> list[Path]:
    """Where compiled code may live, best first."""
    found = [Path(os.environ[name]) for name in (CACHE_VARIABLE, "NUMBA_CACHE_DIR") if os.environ.get(name)]
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        home = os.path.expanduser("~/Library/Caches")
    else:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if home and os.path.isabs(home):
        found.append(Path(home) / "tclif-deploy")
    shared = _private_temporary()
    return [*found, shared] if shared is not None else found


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
    ours = folder.is_dir() and not folder.is_symlink() and status.st_uid == os.getuid()
    return folder if ours and not status.st_mode & 0o077 else None


FOLDER = cache_folder()


_making = threading.RLock()


def kernel(function: Function) -> Any:
    """Compile ``function`` at its first call, without the GIL, and keep the machine code on disk."""
    dispatcher = numba.njit(nogil=True, error_model="numpy")(function)
    with _making:  # numba reads its folder from this variable, twice: another thread must not reset it in between.
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(FOLDER)
        try:
            dispatcher.enable_caching()
        finally:
            numba.config.CACHE_DIR = before
    _kernels.add(id(dispatcher))
    return dispatcher


def made_once(make: Function) -> Function:
    """`functools.cache` for functions that make a kernel: threads that ask for the same one get the same one."""
    cached = functools.cache(make)

    @functools.wraps(make)
    def get(*arguments: Any) -> Any:
        with _making:
            return cached(*arguments)

    return cast("Function", get)


def helper(function: Function) -> Any:
    """A function that kernels call; compiled into each of them."""
    return numba.njit(nogil=True, error_model="numpy")(function)


class _Compiling(event.Listener):  # type: ignore[misc]
    """Hears of numba's compilations, and passes on the first that is one of ours."""

    def on_start(self, event: Any) -> None:
        if _announce and id(event.data["dispatcher"]) in _kernels:
            _announce.pop()(MESSAGE.format(folder=FOLDER))

    def on_end(self, event: Any) -> None:
        pass


_kernels: set[int] = set()
event.register("numba:compile", _Compiling())
