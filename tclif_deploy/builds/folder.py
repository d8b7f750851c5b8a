"""Build folders: written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tclif_deploy import json_form
from tclif_deploy.errors import TclifError
from tclif_deploy.files import read_json
from tclif_deploy.outputs import check_folder_place, new_folder, write_file

MANIFEST = "manifest.json"
FORMAT = "tclif-build"
FORMAT_VERSION = 2
AGAIN = "compile the model again"
FILES = frozenset({
    MANIFEST, "fixed.npz", "network.npz", "network.nir", "mapping.json", "record.npz", "report.json", "report.html",
    "explain.json",
})  # fmt: skip
"""what a build may hold beside the folders of its backends and of fine-tuning"""
OURS = "a build of ours"


def default_folder(model: Path, target: str) -> Path:
    """``build/<name>-<target>``: the model's stem, or its folder's name where the file is called checkpoint."""
    name = (
        Path(os.path.realpath(model)).parent.name if model.name.startswith("checkpoint") else model.name.split(".")[0]
    )
    return Path("build") / f"{name or 'model'}-{target}"


@contextmanager
def new_build(folder: Path, inputs: Iterable[object] = ()) -> Iterator[Path]:
    """Yield an empty folder that takes ``folder``'s place when the block ends well, and vanishes otherwise.

    An old build of ours is replaced, in one step; anything else that stands there is refused, and so is a build that
    holds one of ``inputs``, or a file that no build has. Raises `TclifError`.
    """
    _check_files(folder)
    with new_folder(folder, ours=is_build, kind=OURS, inputs=inputs) as temporary:
        yield temporary


def check_place(folder: Path, inputs: Iterable[object] = ()) -> None:
    """Raise the `TclifError` with which `new_build` would begin, before any work."""
    check_folder_place(folder, is_build, OURS, inputs)
    _check_files(folder)


def _check_files(folder: Path) -> None:
    """Raise `TclifError` where a build that would be replaced holds a file that somebody else put there."""
    if not is_build(folder):
        return
    foreign = sorted(p.name for p in folder.iterdir() if p.is_file() and p.name not in FILES and p.name[0] != ".")
    if foreign:
        raise TclifError(
            f"{folder}: holds {', '.join(foreign)!s:.200}, which no build has, and would be replaced",
            "move it away, or choose another folder with -o",
        )


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
    write_file(path, text)
