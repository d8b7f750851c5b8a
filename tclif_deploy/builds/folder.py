"""Build folders: written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tclif_deploy import json_form
from tclif_deploy.errors import TclifError, cannot_write
from tclif_deploy.files import read_json, write_atomic

MANIFEST = "manifest.json"
FORMAT = "tclif-build"
FORMAT_VERSION = 2
AGAIN = "compile the model again"


def default_folder(model: Path, target: str) -> Path:
    """``build/<name>-<target>``: the model's stem, or its folder's name where the file is called checkpoint."""
    name = model.resolve().parent.name if model.name.startswith("checkpoint") else model.name.split(".")[0]
    return Path("build") / f"{name or 'model'}-{target}"


@contextmanager
def new_build(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes ``folder``'s place when the block ends well, and vanishes otherwise.

    An old build of ours is replaced; anything else that stands there is refused. Raises `TclifError`.
    """
    folder = Path(folder)
    if folder.is_symlink() or folder.is_file():
        raise TclifError(f"{folder}: is not a folder", "choose another place with -o")
    if folder.is_dir() and any(folder.iterdir()) and not is_build(folder):
        raise TclifError(
            f"{folder}: holds files that are not a build of ours", "choose another place with -o, or empty it"
        )
    made = not folder.parent.exists()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise cannot_write(folder, error, "choose another place with -o") from None
    old = temporary.with_name(temporary.name + "-old")
    try:
        temporary.chmod(0o755)
        yield temporary
        if folder.exists():
            os.replace(folder, old)
        os.replace(temporary, folder)
    except OSError as error:
        if error.filename is None or not str(error.filename).startswith(str(folder.parent)):
            raise
        raise cannot_write(folder, error, "choose another place with -o") from error
    finally:
        if old.exists() and not folder.exists():
            os.replace(old, folder)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        if made and not folder.exists():
            with suppress(OSError):  # somebody else may have put something there meanwhile
                folder.parent.rmdir()


def is_build(folder: Path) -> bool:
    """Whether ``folder`` holds a build of ours."""
    try:
        manifest = read_json(folder / MANIFEST, AGAIN)
    except TclifError:
        return False
    return isinstance(manifest, dict) and manifest.get("format") == FORMAT


def check_is_build(folder: Path) -> None:
    """Raise `TclifError` where ``folder`` is no build of ours, or one of another version."""
    if not (folder / MANIFEST).is_file():
        raise TclifError(f"{folder}: not a build folder (it has no {MANIFEST})", "compile first: tclif compile MODEL")
    if not is_build(folder):
        raise TclifError(f"{folder / MANIFEST}: damaged, or not of a build", AGAIN)
    version = read_json(folder / MANIFEST, AGAIN).get("version")
    if version != FORMAT_VERSION:
        raise TclifError(f"{folder / MANIFEST}: build format {version!r:.20}, expected {FORMAT_VERSION}", AGAIN)


def write_json(path: Path, value: Any) -> None:
    """Write a dataclass, or plain values, as a JSON file that is there whole or not at all."""
    text = json_form.text_of(value).encode()
    write_atomic(path, lambda file: file.write(text))
