"""ECG as spikes, a label a step: the files of Yin, Corradi and Bohte (Nature Machine Intelligence 3:905, 2021).

They made them of PhysioNet's QT database: ``QTDB_train.mat`` (618 sequences) and ``QTDB_test.mat`` (141), with ``x``
(sequences, 1301, 4), spikes of both leads (1, seldom -1), and ``y`` (sequences, 1301, 6), one-hot: which part of a
heartbeat a step belongs to. Their ``t`` and ``max_i`` are not read.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy import extras
from tclif_deploy.data.dataset import Dataset
from tclif_deploy.errors import TclifError, reason_of
from tclif_deploy.files import UNPACKING, as_path

FILES = {"train": ("QTDB_train.mat", "train.mat"), "test": ("QTDB_test.mat", "test.mat")}
"""names by which each part is looked for"""
NOT_JUDGED = 10
"""steps at the beginning of a sequence that the authors leave out of loss and accuracy"""
EXPECTED = "expected a MAT file (version 5) with x (sequences, steps, 4) and y, one-hot (sequences, steps, 6) or labels"


def ecg_file(folder: Path, part: str) -> Path | None:
    """The file of a ``part`` in ``folder``; None where there is none."""
    return next((folder / name for name in FILES[part] if (folder / name).is_file()), None)


def load_ecg(path: Path | str) -> Dataset:
    """One part: x int8 where its numbers allow, y a label a step (sequences, steps) of task ``step-label``.

    As the authors have it, so that accuracies compare: the first 10 steps are left out by ``mask``, and a step of a
    one-hot y without any class is of class 0. Raises `TclifError` where SciPy is missing, which reads such files, or
    the file is not of that layout.
    """
    path = as_path(path, EXPECTED)
    x, y = _arrays(path)
    if x.ndim != 3 or x.dtype.kind not in "biuf" or y.dtype.kind not in "biuf" or y.shape[:2] != x.shape[:2]:
        raise TclifError(f"{path}: x is {x.dtype} of shape {x.shape}, y {y.dtype} of shape {y.shape}", EXPECTED)
    mask = np.ones(x.shape[:2], np.bool_)
    mask[:, :NOT_JUDGED] = False
    if y.ndim == 3:
        one_hot = np.isin(y, (0, 1)).all() and (y.sum(axis=2) <= 1).all()
        if not one_hot:
            raise TclifError(f"{path}: y is of shape {y.shape} and not one-hot", EXPECTED)
        y = y.argmax(axis=2)
    if y.shape != x.shape[:2] or not np.array_equal(y, np.rint(y)):
        raise TclifError(f"{path}: y is {y.dtype} of shape {y.shape}, with values that are no labels", EXPECTED)
    whole = np.isfinite(x).all() and np.array_equal(x, np.rint(x)) and np.abs(x.astype(np.float64)).max(initial=0) < 128
    return Dataset(
        x.astype(np.int8 if whole else np.float32), y.astype(np.int64), 1.0, name=str(path), task="step-label",
        mask=mask,
    )  # fmt: skip


def _arrays(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """(x, y) as a MAT file holds them."""
    try:
        from scipy.io import loadmat, whosmat
    except ImportError:
        raise extras.missing(str(path), "write x and y into train.npz and test.npz", "scipy") from None
    try:
        shapes = {name: shape for name, shape, _ in whosmat(path)}
        if not {"x", "y"} <= shapes.keys():
            raise TclifError(f"{path}: no x and y in it (found: {', '.join(shapes) or 'nothing'})", EXPECTED)
        if any(math.prod(shapes[name]) > UNPACKING * path.stat().st_size for name in ("x", "y")):
            raise TclifError(
                f"{path}: declares x of {shapes['x']} and y of {shapes['y']}, more than the file holds", EXPECTED
            )
        content = loadmat(path, variable_names=["x", "y"])
        return np.asarray(content["x"]), np.asarray(content["y"])
    except TclifError:
        raise
    except NotImplementedError:
        raise TclifError(f"{path}: is a MAT file of version 7.3", "save it with -v7, or as .npz") from None
    except Exception as error:  # damaged bytes raise nearly anything
        raise TclifError(f"{path}: cannot be read ({reason_of(error)})", EXPECTED) from error
