"""Figures of analyses as files that say of what kind they are, so that no other is replaced in silence."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tclif_deploy import extras
from tclif_deploy.errors import TclifError, cannot_read
from tclif_deploy.outputs import check_file_place
from tclif_deploy.report.figure import Figure
from tclif_deploy.report.static import write_figure

SUFFIXES = (".png", ".svg")
HEAD = 1 << 16
"""bytes of a file in which its kind stands"""


def title_of(kind: str) -> str:
    """What a figure's metadata say of an analysis."""
    return f"tclif analyse {kind}"


def check_figure(path: Path, kind: str, inputs: Iterable[object] = ()) -> None:
    """Raise the `TclifError` with which `write_kind` would end, before any work; none of ``inputs`` may be ``path``."""
    if path.suffix.lower() not in SUFFIXES:
        raise TclifError(f"{path}: no figure is called so", f"choose a name that ends in {' or '.join(SUFFIXES)}")
    extras.need("tclif analyse", "call the functions of tclif_deploy.analysis, which draw nothing", "matplotlib")
    check_file_place(path, inputs)
    if not path.exists():
        return
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise cannot_read(path, error, "choose another --output") from None
    if title_of(kind).encode() not in head:
        raise TclifError(
            f"{path}: is there already, and is no figure of {title_of(kind)}", "choose another --output, or remove it"
        )


def write_kind(figure: Figure, path: Path, kind: str) -> None:
    """Write the figure of an analysis, with its kind in the metadata; see `check_figure`."""
    write_figure(figure, path, title_of(kind))
