"""What a model name trains on: its data folder, its two parts, and its args.json."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.data.ecg import FILES, ecg_file, load_ecg
from tclif_deploy.data.mackey_glass import load_mackey_glass
from tclif_deploy.data.mnist import load_mnist
from tclif_deploy.data.npz import load_npz
from tclif_deploy.data.shd import load_shd
from tclif_deploy.data.spoken_digits import FILE, load_spoken_digits
from tclif_deploy.data.windows import sliding_windows
from tclif_deploy.errors import TclifError, reason_of
from tclif_deploy.text import count


@dataclass(frozen=True)
class Task:
    """Training and test data of one model."""

    train: Dataset
    test: Dataset
    permutation: NDArray[np.int64] | None = None
    """PS-MNIST's order of pixels"""


PERMUTATION = "permutation.npy"
"""the file beside a network of a permuted task that says its order of pixels"""
IMAGES = ("images-idx3-ubyte", "images-idx3-ubyte.gz")
"""how the names of MNIST's files end"""


def data_files(folder: Path | None) -> tuple[Path, ...]:
    """The files of a data folder that a training reads, which nothing may be written onto."""
    if folder is None or not folder.is_dir():
        return ()
    ends = (".npz", ".npy", ".h5", ".hdf5", ".mat", ".gz", "ubyte")
    return tuple(path for path in sorted(folder.iterdir()) if path.name.endswith(ends))


def pixel_permutation(pixels: int, seed: int) -> NDArray[np.int64]:
    """A fixed random order of pixels (PS-MNIST): step t shows pixel ``permutation[t]``."""
    return np.random.default_rng(seed).permutation(pixels)


def read_permutation(path: Path) -> NDArray[np.int64]:
    """A permutation that a training left beside its network. Raises `TclifError` where the file holds none."""
    elsewhere = "restore it from where the network was trained; another order of pixels is another task"
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise TclifError(f"{path}: cannot be read ({reason_of(error):.100})", elsewhere) from error
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "iu":
        raise TclifError(f"{path}: holds no list of whole numbers", elsewhere)
    if not np.array_equal(np.sort(values), np.arange(values.size)):
        raise TclifError(f"{path}: is no order of the numbers 0 to {values.size - 1}", elsewhere)
    return values.astype(np.int64)


def order_notice(model: Path, data: Dataset) -> str | None:
    """What to say where MNIST's own files, pixels in the images' order, meet the ``model`` of a permuted task."""
    order = model.parent / PERMUTATION
    if not (order.is_file() and data.name.endswith(IMAGES)):
        return None
    return (
        f"{data.name}: its pixels come in the images' own order, this network's in that of {order}: another task; "
        "give x[:, permutation] of it, as an .npz"
    )


def is_permuted(model: str) -> bool:
    """Whether the task of ``model`` shows pixels in an order of its own, which belongs to the task."""
    return model.startswith("psmnist")


def _parts(model: str, folder: Path | None, seed: int) -> tuple[Dataset, Dataset]:
    if model == "mackey-glass" and folder is None:
        return load_mackey_glass("train", seed), load_mackey_glass("test", seed)
    if model.startswith("digits") and (folder is None or (folder / FILE).is_file()):
        return load_spoken_digits(folder, "train"), load_spoken_digits(folder, "test")
    if folder is None:
        raise TclifError(f"{model}: no data folder given", "--data DIR")
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise TclifError(f"{folder}: {what}", "give the folder of the training and the test data")
    own = [folder / f"{part}.npz" for part in ("train", "test")]
    if all(path.is_file() for path in own):
        return load_npz(own[0]), load_npz(own[1])
    if model == "ecg":
        return _ecg(folder)
    if "mnist" in model:
        return load_mnist(folder, "train"), load_mnist(folder, "test")
    if model.startswith(("shd", "ssc")):
        return load_shd(folder / f"{model[:3]}_train.h5"), load_shd(folder / f"{model[:3]}_test.h5")
    raise TclifError(
        f"{folder}: has no {' and '.join(path.name for path in own if not path.is_file())}",
        f"{model} trains on your own files of that name (x, y, scale, lengths, task, mask)"
        + (", or, without --data, on the series that is made" if model == "mackey-glass" else ""),
    )


def _ecg(folder: Path) -> tuple[Dataset, Dataset]:
    files = {part: ecg_file(folder, part) for part in FILES}
    missing = [part for part, path in files.items() if path is None]
    if missing:
        names = " and ".join(" or ".join((*FILES[part], f"{part}.npz")) for part in missing)
        raise TclifError(f"{folder}: has no {names}", "both parts are needed, both .mat or both .npz")
    train, test = (load_ecg(path) for path in files.values() if path is not None)
    return train, test


def load_task(
    model: str,
    sizes: tuple[int, ...],
    folder: Path | None,
    seed: int,
    permutation: NDArray[np.int64] | None = None,
    *,
    unlabelled: bool = False,
) -> Task:
    """Read the data of ``model`` from ``folder`` (``train.npz`` and ``test.npz`` there win) and check that it fits.

    ``sizes`` are the network's: its input's first, its outputs last. ``mackey-glass`` without a folder is made from
    ``seed``. A permuted task's order of pixels is ``permutation``; None draws one from ``seed``.

    ``unlabelled`` takes data without targets too: they are then None.

    Raises `TclifError` where files are missing, features or targets do not fit the network.
    """
    train, test = _parts(model, folder, seed)
    if not is_permuted(model):
        permutation = None
    else:
        if permutation is None:
            permutation = pixel_permutation(train.time, seed)
        if permutation.size != train.time:
            raise TclifError(
                f"the order of pixels beside the network has {permutation.size}, the samples {train.time} steps",
                f"give the data that it was trained on, or remove its {PERMUTATION} for a task of another order",
            )
        train, test = (replace(data, x=np.ascontiguousarray(data.x[:, permutation])) for data in (train, test))
    if "mnist" in model and sizes[0] > 1:
        train, test = (replace(data, x=sliding_windows(data.x, sizes[0])) for data in (train, test))
    for data in (train, test):
        if data.features != sizes[0]:
            raise TclifError(f"{data.name}: {data.features} features a step", f"{model} takes {sizes[0]}")
        if data.y is not None or not unlabelled:
            _check_targets(data, model, sizes[-1])
    if train.y is not None and test.y is not None and train.task != test.task:
        raise TclifError(f"{test.name}: y is of task {test.task}, {train.name}'s of {train.task}", "both must be one")
    if train.time != test.time and (train.lengths is None or test.lengths is None):
        raise TclifError(
            f"{test.name}: {test.time} steps, {train.name} has {train.time}", "both parts must be equally long"
        )
    return Task(train, test, permutation)


def _check_targets(data: Dataset, model: str, outputs: int) -> None:
    """Raise `TclifError` where the targets are none that a network of so many ``outputs`` learns."""
    if data.y is None:
        raise TclifError(
            f"{data.name}: has no labels", "training needs y, one class a sample, or targets of other tasks"
        )
    counts = data.valid() if data.mask is None else data.valid() & data.mask
    if not counts.any():
        raise TclifError(f"{data.name}: mask leaves no step to judge", "true is what counts")
    if data.task in ("value", "step-value"):
        if data.y.shape[-1] != outputs:
            of = "step" if data.task == "step-value" else "sample"
            raise TclifError(
                f"{data.name}: y has {data.y.shape[-1]} values a {of}", f"{model} has {count(outputs, 'output')}"
            )
        return
    labels = data.y[counts] if data.task == "step-label" else data.y
    if labels.min() < 0 or labels.max() >= outputs:
        raise TclifError(
            f"{data.name}: labels lie in {labels.min()}..{labels.max()}", f"{model} has the classes 0..{outputs - 1}"
        )
