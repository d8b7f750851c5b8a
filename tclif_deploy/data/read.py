"""Any data file that is read, told apart by its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tclif_deploy.arguments import checked
from tclif_deploy.data.dataset import Dataset, Task
from tclif_deploy.data.ecg import load_ecg
from tclif_deploy.data.mnist import idx_dataset, labels_beside
from tclif_deploy.data.npz import is_npy, load_npz, open_npy
from tclif_deploy.errors import TclifError, reason_of
from tclif_deploy.files import as_path

HDF5 = b"\x89HDF\r\n\x1a\n"
"""first bytes of HDF5 files"""


@checked
def load_data(path: Path | str, task: Task | None = None, *, dt: float | None = None) -> Dataset:
    """Read a data file: our ``.npz``, an ``.npy`` (x alone), MNIST images (IDX, plain or .gz, their labels found
    beside), SHD/SSC HDF5, the ECG files of Yin and others (``.mat``), or NIR's data (``nir.write_data``). HDF5 is
    known by its first bytes, whatever the name.

    An ``.npz`` holds ``x`` (samples, time, features) and, where known, ``y`` ``lengths`` (samples,), ``scale``,
    ``task`` and ``mask`` (samples, time). ``labels``, ``targets`` or ``Y`` are read as ``y`` where there is none.
    ``task`` says what y means where the file does not, or wins over it. Images become sequences of single pixels in
    uint8, with the scale 1/255. ``dt`` is the step, in seconds, into which events of NIR's data are put where their
    file says none. Raises `TclifError` where the file is missing, damaged, or holds something else.

    Examples
    --------
    >>> from tclif_deploy import load_data
    >>> load_data("fixtures/smnist_test.npz")
    Dataset fixtures/smnist_test.npz: 200 samples of 784 steps of 1 feature, uint8, scale 0.00392157, y 0..9
    """
    path = as_path(path, "expected the path of a data file; arrays need no reading")
    hdf5 = path.is_file() and (path.suffix in (".h5", ".hdf5") or is_hdf5(path))
    if hdf5:
        from tclif_deploy.data.nir_data import is_nir_data, load_nir_data

        if is_nir_data(path):
            return load_nir_data(path, task, dt)
    if dt is not None:
        raise TclifError(f"{path}: dt is for events of NIR's data, this is another file", "leave dt out")
    if path.is_file() and path.suffix == ".nir":
        raise TclifError(f"{path}: is no file of NIR's data", "nir.write_data writes one; a graph is a model")
    if hdf5:
        from tclif_deploy.data.shd import load_shd  # h5py takes a while to load, and few data are of HDF5

        return _as(task, load_shd(path))
    if path.is_file() and path.suffix == ".mat":
        return _as(task, load_ecg(path))
    if path.is_file() and ("idx" in path.name or path.name.removesuffix(".gz").endswith("ubyte")):
        return _as(task, idx_dataset(path, labels_beside(path)))
    if path.is_file() and is_npy(path):
        return Dataset(np.array(open_npy(path)), name=str(path), task=task)
    return load_npz(path, task)


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5, by its first bytes."""
    try:
        with open(path, "rb") as file:
            return file.read(len(HDF5)) == HDF5
    except OSError as error:
        raise TclifError(f"{path}: cannot be read ({reason_of(error)})", "expected a data file") from error


def _as(task: Task | None, data: Dataset) -> Dataset:
    return data if task is None else replace(data, task=task)
