"""Our data file: an ``.npz`` with ``x`` and, where known, ``y``, ``scale`` and ``lengths``."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples of one task. The float network sees ``x * scale``; the chip sees integers.

    Examples
    --------
    >>> Dataset(np.zeros((4, 10, 1), np.uint8), scale=1 / 255)[:2].samples
    2
    """

    x: NDArray[Any]
    """(samples, time, features), any integer or float dtype"""
    y: NDArray[np.int64] | None = None
    """labels (samples,)"""
    scale: float = 1.0
    lengths: NDArray[np.int64] | None = None
    """steps after which a padded sample is read, (samples,), each in 1..time"""
    name: str = "data"
    """for messages: where it came from"""

    def __post_init__(self) -> None:
        x = np.asarray(self.x)
        if x.ndim != 3:
            raise TclifError(f"{self.name}: x has shape {x.shape}", "expected (samples, time, features)")
        if 0 in x.shape:
            raise TclifError(f"{self.name}: x has shape {x.shape}", "at least one sample, step and feature is needed")
        if not (np.issubdtype(x.dtype, np.integer) or np.issubdtype(x.dtype, np.floating) or x.dtype == np.bool_):
            raise TclifError(f"{self.name}: x has dtype {x.dtype}", "expected integers or real floats")
        if np.issubdtype(x.dtype, np.floating) and not np.isfinite(x).all():
            sample, step, feature = (int(v) for v in np.argwhere(~np.isfinite(x))[0])
            raise TclifError(
                f"{self.name}: x[{sample}, {step}, {feature}] is {x[sample, step, feature]}",
                "inputs must be finite; remove or replace the missing values",
            )
        if not np.isfinite(self.scale) or self.scale <= 0:
            raise TclifError(f"{self.name}: scale is {self.scale}", "expected a positive number")
        for key in ("y", "lengths"):
            value = getattr(self, key)
            if value is None:
                continue
            value = np.asarray(value)
            if value.shape != (x.shape[0],) or not np.issubdtype(value.dtype, np.integer):
                raise TclifError(
                    f"{self.name}: {key} is {value.dtype} of shape {value.shape}",
                    f"expected integers of shape ({x.shape[0]},), one for each sample of x",
                )
            object.__setattr__(self, key, value.astype(np.int64))
        if self.lengths is not None and (self.lengths.min() < 1 or self.lengths.max() > x.shape[1]):
            raise TclifError(
                f"{self.name}: lengths lie in {self.lengths.min()}..{self.lengths.max()}",
                f"each must be in 1..{x.shape[1]}, the steps of x",
            )
        object.__setattr__(self, "x", x.astype(np.uint8) if x.dtype == np.bool_ else x)

    @property
    def samples(self) -> int:
        """Number of samples."""
        return int(self.x.shape[0])

    @property
    def time(self) -> int:
        """Steps a sample, padding included."""
        return int(self.x.shape[1])

    @property
    def features(self) -> int:
        """Values a step."""
        return int(self.x.shape[2])

    def __getitem__(self, index: slice) -> Dataset:
        """The samples of a slice."""
        y = None if self.y is None else self.y[index]
        return replace(self, x=self.x[index], y=y, lengths=None if self.lengths is None else self.lengths[index])

    def real(self) -> NDArray[np.float64]:
        """What the float network sees: ``x * scale`` in float64."""
        return self.x.astype(np.float64) * self.scale


def load_npz(path: Path | str) -> Dataset:
    """Read an ``.npz`` with ``x`` (samples, time, features) and, where present, ``y``, ``scale``, ``lengths``."""
    path = Path(path)
    expected = "expected an .npz with x (samples, time, features) and optionally y, scale, lengths"
    if path.is_dir():
        raise TclifError(f"{path}: is a folder", expected)
    if not path.exists():
        raise TclifError(f"{path}: file not found", expected)
    if path.stat().st_size == 0:
        raise TclifError(f"{path}: is empty", expected)
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise TclifError(f"{path}: holds a single array", expected)
            if "x" not in file.files:
                raise TclifError(f"{path}: no array 'x' (found: {', '.join(file.files) or 'nothing'})", expected)
            arrays = {key: file[key] for key in ("x", "y", "scale", "lengths") if key in file.files}
    except ValueError as error:
        if "pickle" in str(error).lower() or "object" in str(error).lower():
            raise TclifError(
                f"{path}: holds object arrays, which could run code when read", "save plain numeric arrays"
            ) from error
        raise TclifError(f"{path}: cannot be read ({error})", expected) from error
    except (zipfile.BadZipFile, OSError, EOFError, KeyError, zipfile.error) as error:
        raise TclifError(f"{path}: truncated or not an .npz ({error})", expected) from error
    scale = arrays.pop("scale", np.float64(1.0))
    if np.size(scale) != 1 or not np.issubdtype(np.asarray(scale).dtype, np.number):
        raise TclifError(f"{path}: scale has shape {np.shape(scale)}", "expected one positive number")
    return Dataset(scale=float(np.asarray(scale).reshape(())), name=str(path), **arrays)


def load_data(path: Path | str) -> Dataset:
    """Read a data file: our ``.npz``, MNIST images (IDX, plain or .gz, their labels found beside) or SHD/SSC HDF5."""
    from tclif_deploy.data.mnist import idx_dataset, labels_beside

    path = Path(path)
    if path.is_file() and path.suffix in (".h5", ".hdf5"):
        from tclif_deploy.data.shd import load_shd

        return load_shd(path)
    if path.is_file() and ("idx" in path.name or path.name.removesuffix(".gz").endswith("ubyte")):
        return idx_dataset(path, labels_beside(path))
    return load_npz(path)


def as_dataset(data: Dataset | Path | str | None) -> Dataset | None:
    """``data`` itself, or what the file of that path holds."""
    return data if data is None or isinstance(data, Dataset) else load_data(data)
