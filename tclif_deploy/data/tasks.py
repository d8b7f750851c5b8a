"""What a model name trains on: its data folder, its two parts, and its args.json."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.data.mnist import load_mnist
from tclif_deploy.data.npz import load_npz
from tclif_deploy.data.shd import load_shd
from tclif_deploy.data.spoken_digits import FILE, load_spoken_digits
from tclif_deploy.data.windows import sliding_windows
from tclif_deploy.errors import TclifError


@dataclass(frozen=True)
class Task:
    """Training and test data of one model."""

    train: Dataset
    test: Dataset
    permutation: NDArray[np.int64] | None = None
    """PS-MNIST's order of pixels"""


def pixel_permutation(pixels: int, seed: int) -> NDArray[np.int64]:
    """A fixed random order of pixels (PS-MNIST): step t shows pixel ``permutation[t]``."""
    return np.random.default_rng(seed).permutation(pixels)


def _parts(model: str, folder: Path | None) -> tuple[Dataset, Dataset]:
    if model.startswith("digits") and (folder is None or (folder / FILE).is_file()):
        return load_spoken_digits(folder, "train"), load_spoken_digits(folder, "test")
    if folder is None:
        raise TclifError(f"{model}: no data folder given", "--data DIR")
    own = [folder / f"{part}.npz" for part in ("train", "test")]
    if all(path.is_file() for path in own):
        return load_npz(own[0]), load_npz(own[1])
    if "mnist" in model:
        return load_mnist(folder, "train"), load_mnist(folder, "test")
    if model.startswith(("shd", "ssc")):
        return load_shd(folder / f"{model[:3]}_train.h5"), load_shd(folder / f"{model[:3]}_test.h5")
    raise TclifError(
        f"{folder}: has no train.npz and test.npz",
        f"{model} trains on your own files of that name (x, y, scale, lengths)",
    )


def load_task(model: str, sizes: tuple[int, ...], folder: Path | None, seed: int) -> Task:
    """Read the data of ``model`` from ``folder`` (``train.npz`` and ``test.npz`` there win) and check that it fits.

    ``sizes`` are the network's: its input's first, its classes last.
    Raises `TclifError` where files are missing, features or labels do not fit the network.
    """
    train, test = _parts(model, folder)
    permutation = None
    if model.startswith("psmnist"):
        permutation = pixel_permutation(train.time, seed)
        train, test = (replace(data, x=np.ascontiguousarray(data.x[:, permutation])) for data in (train, test))
    if "mnist" in model and sizes[0] > 1:
        train, test = (replace(data, x=sliding_windows(data.x, sizes[0])) for data in (train, test))
    for data in (train, test):
        if data.features != sizes[0]:
            raise TclifError(f"{data.name}: {data.features} features a step", f"{model} takes {sizes[0]}")
        if data.y is None:
            raise TclifError(f"{data.name}: has no labels", "training needs y, one class a sample")
        if data.samples == 0 or data.y.min() < 0 or data.y.max() >= sizes[-1]:
            raise TclifError(
                f"{data.name}: labels lie in {data.y.min()}..{data.y.max()}",
                f"{model} has the classes 0..{sizes[-1] - 1}",
            )
    if train.time != test.time and (train.lengths is None or test.lengths is None):
        raise TclifError(
            f"{test.name}: {test.time} steps, {train.name} has {train.time}", "both parts must be equally long"
        )
    return Task(train, test, permutation)
