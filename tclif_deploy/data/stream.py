"""Data files batch by batch: memory does not grow with the number of samples."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tclif_deploy.data.dataset import Dataset, Task, batch_size, targets
from tclif_deploy.data.nir_data import is_nir_data
from tclif_deploy.data.npz import ANY, EXPECTED, KEYS, is_npy, open_npy, task_in
from tclif_deploy.data.read import is_hdf5, load_data
from tclif_deploy.data.shd import SECONDS, STEPS, load_shd, recordings
from tclif_deploy.errors import TclifError, reason_of
from tclif_deploy.files import DAMAGED, as_path, open_npz


@dataclass(frozen=True)
class Stream:
    """A data file that is read batch by batch."""

    name: str
    samples: int
    features: int
    labelled: bool
    batches: Callable[[int], Iterator[Dataset]]
    """(samples a batch, 1 or more) -> the file's samples, in order"""

    def __post_init__(self) -> None:
        read = self.batches
        object.__setattr__(self, "batches", lambda size: read(batch_size(size, self.name)))


def open_stream(
    path: Path | str, *, samples: int | None = None, steps: int = STEPS, seconds: float = SECONDS,
    task: Task | None = None,
) -> Stream:  # fmt: skip
    """Open a data file: ``.npz`` (x, y, scale, lengths), ``.npy`` (x), SHD/SSC HDF5, MNIST IDX images, ECG
    ``.mat``, or NIR's data.

    ``samples`` stops after so many; ``steps`` and ``seconds`` are how SHD and SSC are binned; ``task``
    is that of `load_data`. An ``.npz``, an ``.npy``
    and SHD's HDF5 are read as they are needed; IDX, ``.mat`` and NIR files are small and read whole.
    Raises `TclifError`, at once or where a later sample is broken.
    """
    path = as_path(path, EXPECTED)
    if path.is_file() and (path.suffix in (".h5", ".hdf5") or is_hdf5(path)) and not is_nir_data(path):
        count = recordings(path)
        return _cut(_shd(path, count, steps, seconds), samples)
    if path.is_file() and is_npy(path):
        return _cut(_npy(path), samples)
    if path.is_file() and path.suffix == ".npz" and zipfile.is_zipfile(path):
        return _cut(_npz(path, task), samples)
    data = load_data(path, task)
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
    x = open_npy(path)

    def batches(size: int) -> Iterator[Dataset]:
        for start in range(0, x.shape[0], size):
            yield Dataset(np.array(x[start : start + size]), name=str(path))

    return Stream(str(path), int(x.shape[0]), int(x.shape[2]), False, batches)


def _npz(path: Path, task: Task | None) -> Stream:
    with open_npz(path, "cannot be read", EXPECTED) as archive:
        if "x" not in archive.names:
            raise TclifError(f"{path}: no array 'x' (found: {', '.join(archive.names) or 'nothing'})", EXPECTED)
        with archive.member("x") as (shape, by_column, dtype, _):
            pass
        small: dict[str, Any] = {key: archive.array(key, ANY, finite=False) for key in KEYS[1:] if key in archive.names}
    if len(shape) != 3 or 0 in shape or not dtype.itemsize:
        raise TclifError(f"{path}: x has shape {shape}", "expected (samples, time, features), none of them 0")
    if by_column:
        raise TclifError(f"{path}: x is stored column by column", "save it with numpy.ascontiguousarray")
    scale = small.pop("scale", 1.0)
    Dataset(np.zeros((shape[0], 1, 1), np.uint8), scale=scale, name=str(path))
    small |= task_in(path, small, task)
    if small.get("y") is not None:
        small["task"], small["y"] = targets(str(path), small["y"], small["task"], shape[:2])
    told = small.pop("task")
    for key, value in small.items():
        if np.shape(value)[:1] != shape[:1]:
            raise TclifError(f"{path}: {key} has shape {np.shape(value)}", f"expected {shape[0]} rows")

    def batches(size: int) -> Iterator[Dataset]:
        row = math.prod(shape[1:]) * dtype.itemsize
        with open_npz(path, "truncated", "copy the file again") as again, again.member("x") as (*_, file):
            for start in range(0, shape[0], size):
                count = min(size, shape[0] - start)
                try:
                    raw = file.read(count * row)
                except DAMAGED as error:
                    raise TclifError(f"{path}: truncated at sample {start} ({reason_of(error)})") from error
                if len(raw) != count * row:
                    raise TclifError(f"{path}: truncated at sample {start + len(raw) // row}", "copy the file again")
                x = np.frombuffer(raw, dtype).reshape(count, *shape[1:])
                labels_and_lengths = {key: value[start : start + count] for key, value in small.items()}
                yield Dataset(x, scale=scale, name=str(path), task=told, **labels_and_lengths)

    return Stream(str(path), shape[0], shape[2], "y" in small, batches)
