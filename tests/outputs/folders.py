"""A folder of two files that belong together, and a program that replaces it."""

from __future__ import annotations

from pathlib import Path

from tclif_deploy.outputs import new_folder


def ours(folder: Path) -> bool:
    return (folder / "mark").exists()


def make(folder: Path, text: str) -> None:
    """A folder of ours with two files that belong together."""
    with new_folder(folder, ours=ours) as part:
        (part / "one").write_text(text)
        (part / "mark").write_text(text)


def content(folder: Path) -> tuple[str, str]:
    return (folder / "one").read_text(), (folder / "mark").read_text()


SWAP = """
import os, sys
from pathlib import Path
from tclif_deploy import outputs
from tclif_deploy.outputs import new_folder, write_file
place = Path(sys.argv[1])
if sys.argv[2] == "renames":
    outputs.folders.exchange = lambda one, other: False
os.stat("/")
with new_folder(place / "a", ours=lambda folder: (folder / "mark").exists()) as part:
    (part / "one").write_text("new")
    (part / "mark").write_text("new")
write_file(place / "f", b"new")
"""
"""in the folder that it is given, by an exchange or (``renames``) as on systems that have none"""
