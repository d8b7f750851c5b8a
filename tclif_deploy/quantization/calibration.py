"""Which data set the scales: decided here, in one way for every job that quantizes.

Data that the user names; else ``calibration.npz`` beside the model; else the first quarter of the data that the job
runs on, which it then leaves out; else none, and a worst-case bound serves. Fine-tuning has a rule of its own: training
samples instead of a quarter, and none is left out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tclif_deploy.data import DataLike, Dataset, as_dataset, load_data
from tclif_deploy.errors import TclifError

BESIDE = "calibration.npz"
"""name of the file that is looked for beside a model"""
Kind = Literal["given", "beside_model", "first_quarter", "training_samples", "bound"]


@dataclass(frozen=True)
class Calibration:
    """The data that set a network's scales."""

    kind: Kind
    path: str | None = None
    """their file, as it was named; None where there is none"""
    sha256: str | None = None
    """of the samples themselves (`digest`); None without data"""
    samples: int = 0
    of: int | None = None
    """of how many samples these are the first; None where they are all of a file"""

    def __str__(self) -> str:
        """In words, for messages."""
        name = self.path or "data in memory"
        if self.kind == "bound":
            return "nothing: worst-case bound"
        if self.kind == "training_samples":
            return f"{self.samples} training samples"
        if self.kind == "first_quarter":
            return f"the first {self.samples} of {self.of} samples of {name}"
        return f"{name} ({self.samples} samples)"

    def load(self) -> Dataset | None:
        """The samples again, from their file; None where there were none.

        Raises `TclifError` where the file is gone, or holds other data by now.
        """
        if self.kind == "bound":
            return None
        if self.path is None:
            raise TclifError(f"the calibration data ({self}) are in no file", "give them again: --calibration FILE")
        data = load_data(self.path)[: self.samples]
        if not self.covers(data):
            raise TclifError(
                f"{self.path}: no longer holds the samples that set the scales", "give them: --calibration FILE"
            )
        return data

    def covers(self, data: Dataset) -> bool:
        """Whether the first samples of ``data`` are those that set the scales."""
        return self.samples > 0 and digest(data[: self.samples]) == self.sha256


@dataclass(frozen=True, eq=False)
class CalibrationChoice:
    """What was decided."""

    calibration: Calibration
    data: Dataset | None
    """what sets the scales"""
    left: Dataset | None
    """what remains of the job's data to run on"""


def choose_calibration(model: Path | None, given: DataLike | None, data: Dataset | None) -> CalibrationChoice:
    """Choose for the model of that path (None where it has none), and for all of the job's ``data``.

    ``data`` are those of the job before it cuts them for its own purposes.

    Examples
    --------
    >>> test = Dataset(np.arange(8).reshape(8, 1, 1))
    >>> choice = choose_calibration(None, None, test)
    >>> str(choice.calibration), choice.left.samples
    ('the first 2 of 8 samples of data in memory', 6)
    """
    chosen = as_dataset(given, "calibration")
    if chosen is not None:
        return CalibrationChoice(calibration_of("given", chosen), chosen, data)
    if model is not None and (beside := model.parent / BESIDE).exists():
        chosen = load_data(beside)
        return CalibrationChoice(calibration_of("beside_model", chosen), chosen, data)
    if data is not None and data.samples >= 2:
        count = max(1, data.samples // 4)
        calibration = calibration_of("first_quarter", data[:count], of=data.samples)
        return CalibrationChoice(calibration, data[:count], data[count:])
    return CalibrationChoice(Calibration("bound"), None, data)


def calibration_of(kind: Kind, data: Dataset, of: int | None = None) -> Calibration:
    """What is remembered of ``data`` that set the scales."""
    path = data.name if Path(data.name).is_file() else None
    return Calibration(kind, path, digest(data), data.samples, of)


def digest(data: Dataset) -> str:
    """SHA-256 of what a network sees of ``data``: dtype, shape, values and scale."""
    sha256 = hashlib.sha256(repr((data.x.dtype.str, data.x.shape, data.scale)).encode())
    sha256.update(np.ascontiguousarray(data.x).data)
    return sha256.hexdigest()
