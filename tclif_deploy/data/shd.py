"""SHD and SSC: HDF5 files of spike times and units, binned into steps as the paper's authors do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.errors import TclifError, reason_of
from tclif_deploy.files import DAMAGED, UNPACKING, as_path
from tclif_deploy.hdf5 import heap

STEPS = 250
SECONDS = 1.4
"""what the authors bin: 1.4 s into 250 steps"""
UNITS = 700
"""channels of the artificial cochlea (Cramer et al. 2020)"""
EXPECTED = "expected SHD's or SSC's HDF5 layout: spikes/times in seconds, spikes/units, labels"


def recordings(path: Path | str) -> int:
    """How many recordings a file of SHD or SSC holds. Raises `TclifError` where it is none."""
    try:
        with h5py.File(path, "r") as file:
            return len(_columns(file)[2])
    except DAMAGED as error:
        raise TclifError(f"{path}: cannot be read ({reason_of(error)})", EXPECTED) from error


def _columns(file: h5py.File) -> tuple[Any, Any, Any]:
    """(times, units, labels) of an open file, one row a recording. Raises ValueError where one is no data set."""
    for name in ("spikes", "spikes/times", "spikes/units", "labels"):
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is missing, or a link to elsewhere")
    datasets = tuple(file[name] for name in ("spikes/times", "spikes/units", "labels"))
    for data in datasets:
        if not isinstance(data, h5py.Dataset) or data.ndim != 1 or data.is_virtual:
            raise ValueError(f"{data.name} is not a column of a data set")
        if data.id.get_create_plist().get_external_count():
            raise ValueError(f"{data.name} has no values in this file")
        most = UNPACKING * min(data.id.get_storage_size(), Path(file.filename).stat().st_size)
        if data.size * data.dtype.itemsize > most:
            raise ValueError(f"{data.name} declares {data.size:,} recordings, more than the file holds")
    if datasets[2].dtype.kind not in "iu":
        raise ValueError(f"labels are {datasets[2].dtype}, expected integers")
    return datasets


def bin_spikes(
    times: NDArray[np.floating], units: NDArray[np.integer], steps: int = STEPS, seconds: float = SECONDS
) -> NDArray[np.uint8]:
    """One recording's spikes as counts (steps, 700), uint8.

    A spike at time t belongs to step ``digitize(t, linspace(0, seconds, steps))`` as in the authors' code, where a
    spike of the first instant is already in step 1; later ones than ``seconds`` are left out. Duplicates add up.

    Examples
    --------
    >>> counts = bin_spikes(np.array([0.0, 0.7, 0.7]), np.array([3, 5, 5]))
    >>> int(counts[1, 3]), int(counts[125, 5])
    (1, 2)
    """
    step = np.digitize(times, np.linspace(0, seconds, steps))
    counts = np.zeros((steps, UNITS), np.int64)
    inside = step < steps
    np.add.at(counts, (step[inside], np.asarray(units)[inside]), 1)
    return np.minimum(counts, 255).astype(np.uint8)


def load_shd(
    path: Path | str, *, steps: int = STEPS, seconds: float = SECONDS, samples: int | None = None, start: int = 0
) -> Dataset:
    """Read a file of SHD or SSC: x uint8 (samples, ``steps``, 700) of spike counts, and labels.

    ``samples`` reads only so many, from recording ``start`` on. Raises `TclifError` where the file is missing, not
    of that layout, or has units outside 0..699.
    """
    path = as_path(path, EXPECTED)
    if not path.is_file():
        raise TclifError(f"{path}: file not found", "SHD and SSC: zenkelab.org/resources, or the authors' link")
    try:
        with open(path, "rb") as raw, h5py.File(path, "r") as file:
            times, units, labels = _columns(file)
            count = len(labels) - start if samples is None else min(samples, len(labels) - start)
            if len(times) != len(labels) or len(units) != len(labels) or count <= 0:
                raise TclifError(f"{path}: {len(times)} recordings, {len(labels)} labels", EXPECTED)
            x = np.zeros((count, steps, UNITS), np.uint8)
            spikes = zip(*(heap.rows(column, raw, start, start + count) for column in (times, units)), strict=True)
            for n, (time, channel) in enumerate(spikes):
                if (
                    channel.dtype.kind == "f"
                    or channel.shape != time.shape
                    or (channel.size and not 0 <= channel.min() <= channel.max() < UNITS)
                ):
                    raise TclifError(
                        f"{path}: recording {start + n} has units that do not fit", f"expected 0..{UNITS - 1}"
                    )
                x[n] = bin_spikes(time.astype(np.float64), channel, steps, seconds)
            y = np.asarray(labels[start : start + count], np.int64)
    except DAMAGED as error:
        raise TclifError(f"{path}: cannot be read ({reason_of(error)})", EXPECTED) from error
    return Dataset(x, y, 1.0, name=str(path))
