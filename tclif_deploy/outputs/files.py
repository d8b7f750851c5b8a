"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import cannot_write
from tclif_deploy.outputs.neighbours import clear_orphans, is_about, new_part
from tclif_deploy.outputs.places import CHOOSE, check_file_place, exists, flush, make_folder, make_folders


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
            make_folders(path.parent)
        clear_orphans(path)
        with new_part(path, _make_file) as part:
            yield part
            flush(part)
            os.replace(part, path)
    except OSError as error:
        if not is_about(error, part, path):
            raise
        kept = "what stood there before is intact; " if exists(path) else ""
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
    paths = {Path(folder, name): content for name, content in files.items()}
    write_together(paths, parents=paths)


def write_together(
    files: Mapping[Path, bytes], *, inputs: Iterable[object] = (), parents: Container[Path] = ()
) -> None:
    """Write files at places of their own, as `new_file` does; for those in ``parents``, the folder is made too.

    All are written and flushed before the first of them takes its place: where one place is none, nothing is written.
    """
    inputs = tuple(inputs)
    with contextlib.ExitStack() as stack:
        for path, content in files.items():
            part = stack.enter_context(new_file(path, inputs=inputs, parents=path in parents))
            try:
                part.write_bytes(content)
                flush(part)
            except OSError as error:
                raise cannot_write(path, error, f"free some space or {CHOOSE}") from None


def _make_file(path: Path) -> None:
    with open(path, "xb"):
        pass
