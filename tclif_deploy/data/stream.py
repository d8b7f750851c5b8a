"""Data files batch by batch: memory does not grow with the number of samples."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.data.npz import load_npz
from tclif_deploy.data.read import load_data
from tclif_deploy.data.shd import SECONDS, STEPS, load_shd, recordings
from tclif_deploy.errors import TclifError
from tclif_deploy.files import DAMAGED


@dataclass(frozen=True)
class Stream:
    """A data file that is read batch by batch."""

    name: str
    samples: int
    features: int
    labelled: bool
    batches: Callable[[int], Iterator[Dataset]]
    """(samples a batch) -> the file's samples, in order"""


def open_stream(
    path: Path | str, *, samples: int | None = None, steps: int = STEPS, seconds: float = SECONDS
) -> Stream:
    """Open a data file: ``.npz`` (x, y, scale, lengths), ``.npy`` (x), SHD/SSC HDF5, or MNIST IDX images.

    ``samples`` stops after so many; ``steps`` and ``seconds`` are how SHD and SSC are binned. An ``.npz``, an ``.npy``
    and an HDF5 file are read as they are needed; IDX files are small and read whole.
    Raises `TclifError`, at once or where a later sample is broken.
    """
    path = Path(path)
    if path.is_file() and path.suffix in (".h5", ".hdf5"):
        count = recordings(path)
        return _cut(_shd(path, count, steps, seconds), samples)
    if path.is_file() and path.suffix == ".npy":
        return _cut(_npy(path), samples)
    if path.is_file() and path.suffix == ".npz" and zipfile.is_zipfile(path):
        return _cut(_npz(path), samples)
    data = load_data(path)
    return _cut(Stream(data.name, data.samples, data.features, data.y is not None, data.batches), samples)


def _cut(stream: Stream, samples: int | None) -> Stream:
    """Only the first ``samples`` of ``stream``."""
    if samples is None or samples >= stream.samples:
        return stream

    def batches(size: int) -> Iterator[Dataset]:
        left = samples
        for batch in stream.batches(size):
            yield batch[:left]
            left -= batch.samples
            if left <= 0:
                return

    return Stream(stream.name, samples, stream.features, stream.labelled, batches)


def _shd(path: Path, count: int, steps: int, seconds: float) -> Stream:
    first = load_shd(path, steps=steps, seconds=seconds, samples=1)

    def batches(size: int) -> Iterator[Dataset]:
        for start in range(0, count, size):
            yield load_shd(path, steps=steps, seconds=seconds, samples=size, start=start)

    return Stream(str(path), count, first.features, True, batches)


def _npy(path: Path) -> Stream:
    try:
        x = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise TclifError(f"{path}: cannot be read ({error})", "expected an array (samples, time, features)") from error
    if x.ndim != 3 or 0 in x.shape:
        raise TclifError(f"{path}: has shape {x.shape}", "expected (samples, time, features), none of them 0")

    def batches(size: int) -> Iterator[Dataset]:
        for start in range(0, x.shape[0], size):
            yield Dataset(np.array(x[start : start + size]), name=str(path))

    return Stream(str(path), int(x.shape[0]), int(x.shape[2]), False, batches)


def _npz(path: Path) -> Stream:
    with zipfile.ZipFile(path) as archive:
        plain = "x.npy" in archive.namelist()
    if not plain:
        load_npz(path)  # says what is wrong
        raise TclifError(f"{path}: no array 'x'")
    try:
        with _member(path) as (shape, dtype, _):
            pass
        with np.load(path, allow_pickle=False) as file:
            small: dict[str, Any] = {key: file[key] for key in ("y", "scale", "lengths") if key in file.files}
    except DAMAGED as error:
        load_npz(path)
        raise TclifError(f"{path}: cannot be read ({error})") from error
    scale = float(np.asarray(small.pop("scale", 1.0)).reshape(()))
    if len(shape) != 3 or 0 in shape:
        raise TclifError(f"{path}: x has shape {shape}", "expected (samples, time, features), none of them 0")
    for key, value in small.items():
        if np.shape(value) != shape[:1]:
            raise TclifError(f"{path}: {key} has shape {np.shape(value)}", f"expected ({shape[0]},)")

    def batches(size: int) -> Iterator[Dataset]:
        with _member(path) as (_, _, file):
            row = int(np.prod(shape[1:])) * dtype.itemsize
            for start in range(0, shape[0], size):
                count = min(size, shape[0] - start)
                try:
                    raw = file.read(count * row)
                except DAMAGED as error:
                    raise TclifError(f"{path}: truncated at sample {start} ({error})") from error
                if len(raw) != count * row:
                    raise TclifError(f"{path}: truncated at sample {start + len(raw) // row}", "copy the file again")
                x = np.frombuffer(raw, dtype).reshape(count, *shape[1:])
                labels_and_lengths = {key: value[start : start + count] for key, value in small.items()}
                yield Dataset(x, scale=scale, name=str(path), **labels_and_lengths)

    return Stream(str(path), shape[0], shape[2], "y" in small, batches)


@contextmanager
def _member(path: Path) -> Iterator[tuple[tuple[int, ...], np.dtype[Any], IO[bytes]]]:
    """Shape, dtype and open file of ``x`` in an .npz, positioned at its first value."""
    with zipfile.ZipFile(path) as archive, archive.open("x.npy") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if dtype.hasobject:
            raise TclifError(
                f"{path}: holds object arrays, which could run code when read", "save plain numeric arrays"
            )
        if fortran and len(shape) > 1:
            raise TclifError(f"{path}: x is stored column by column", "save it with numpy.ascontiguousarray")
        yield tuple(int(n) for n in shape), dtype, file
