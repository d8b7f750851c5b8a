"""What a network is run on: samples in memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.aliases import OldName
from tclif_deploy.arguments import Text, check, described
from tclif_deploy.display import Brief, Shown
from tclif_deploy.errors import TclifError
from tclif_deploy.network import LEAST, MOST
from tclif_deploy.text import count


@dataclass(frozen=True, eq=False, repr=False)
class Dataset(Shown):
    """Samples of one task. The float network sees ``x * scale``; the chip sees integers.

    Arrays may be torch tensors. Raises `TclifError` for a wrong shape or dtype, and for values that are not finite.

    An index gives a `Dataset` too: ``data[3]`` of one sample, ``data[:100]`` and ``data[[0, 5]]`` of several.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Dataset
    >>> data = Dataset(np.full((4, 10, 1), 255, np.uint8), y=np.arange(4), scale=1 / 255)
    >>> data[:2]
    Dataset data: 2 samples of 10 steps of 1 feature, uint8, scale 0.00392157, y 0..1
    >>> float(data.values().max())
    1.0
    """

    x: NDArray[Any]
    """(samples, time, features), any integer or float dtype"""
    y: NDArray[np.int64] | None = None
    """labels, int64 (samples,)"""
    scale: float = 1.0
    """what 1 in ``x`` means to the float network, above 0"""
    lengths: NDArray[np.int64] | None = None
    """steps after which a padded sample is read, int64 (samples,), each in 1..time"""
    name: str = "data"
    """for messages: where it came from"""

    def __post_init__(self) -> None:
        check("Dataset", "name", Text(), self.name)
        x = to_array(self.x, f"{self.name}: x")
        if x.ndim != 3:
            raise TclifError(f"{self.name}: x has shape {x.shape}", "expected (samples, time, features)")
        if 0 in x.shape:
            raise TclifError(f"{self.name}: x has shape {x.shape}", "at least one sample, step and feature is needed")
        if not (np.issubdtype(x.dtype, np.integer) or np.issubdtype(x.dtype, np.floating) or x.dtype == np.bool_):
            raise TclifError(f"{self.name}: x has dtype {x.dtype}", "expected integers or real floats")
        scale = to_array(self.scale, f"{self.name}: scale")
        if scale.size != 1 or scale.dtype.kind not in "iuf" or not 0 < scale.reshape(()) < np.inf:
            raise TclifError(
                f"{self.name}: scale is {described(self.scale) if scale.dtype.kind == 'O' else scale!s:.60}",
                "expected a positive number",
            )
        _check_magnitudes(self.name, x, float(scale.reshape(())))
        object.__setattr__(self, "scale", float(scale.reshape(())))
        for key in ("y", "lengths"):
            value = getattr(self, key)
            if value is None:
                continue
            value = to_array(value, f"{self.name}: {key}")
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

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int | slice | list[int] | NDArray[Any]) -> Dataset:
        """One sample, the samples of a slice, or what `take` gives."""
        return self.take([int(index)] if isinstance(index, (int, np.integer)) else index)

    def __iter__(self) -> Iterator[Dataset]:
        """Its samples, one by one."""
        return self.batches(1)

    def take(self, indices: slice | list[int] | NDArray[Any]) -> Dataset:
        """The samples of these numbers, in their order, or of a mask. Raises `TclifError` where there is none."""
        try:
            y, lengths = (None if rows is None else rows[indices] for rows in (self.y, self.lengths))
            return replace(self, x=self.x[indices], y=y, lengths=lengths)
        except (IndexError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            shown = f"{indices!r:.60}" if isinstance(indices, (list, slice)) else described(indices)
            raise TclifError(f"{self.name}: no samples {shown} ({error!s:.200})", f"it has {self.samples}") from None

    def batches(self, size: int) -> Iterator[Dataset]:
        """The samples in order, at most ``size`` at a time."""
        return (self[start : start + size] for start in range(0, self.samples, size))

    def valid(self) -> NDArray[np.bool_]:
        """Which steps belong to their sample, and are no padding: (samples, time)."""
        if self.lengths is None:
            return np.ones((self.samples, self.time), np.bool_)
        return np.arange(self.time) < self.lengths[:, None]

    def values(self) -> NDArray[np.float64]:
        """What the float network sees: ``x * scale`` in float64."""
        return self.x.astype(np.float64) * self.scale

    real = OldName("values")

    def _brief(self) -> Brief:
        shape = f"{count(self.samples, 'sample')} of {count(self.time, 'step')} of {count(self.features, 'feature')}"
        ranges = ((name, getattr(self, name)) for name in ("y", "lengths"))
        more = "".join(f", {name} {rows.min()}..{rows.max()}" for name, rows in ranges if rows is not None)
        return Brief(f"Dataset {self.name}: {shape}, {self.x.dtype}, scale {self.scale:.6g}{more}")


def _check_magnitudes(name: str, x: NDArray[Any], scale: float) -> None:
    """Raise `TclifError` where x or x * scale is not finite, or of a size that no network computes with."""
    integers = x.dtype.kind != "f"
    low, high = (float(x.min()), float(x.max())) if not integers or x.dtype.itemsize > 4 else (-(2.0**32), 2.0**32)
    if not (np.isfinite(low) and np.isfinite(high)) and not np.isfinite(x).all():
        sample, step, feature = (int(v) for v in np.argwhere(~np.isfinite(x))[0])
        raise TclifError(
            f"{name}: x[{sample}, {step}, {feature}] is {x[sample, step, feature]}",
            "inputs must be finite; remove or replace the missing values",
        )
    if not LEAST <= scale <= MOST:
        size = "small" if scale < LEAST else "large"
        raise TclifError(f"{name}: scale is {scale:g}, too {size} for a network", f"use {LEAST:g} to {MOST:g}")
    most = max(-low, high)
    if most > MOST or most * scale > MOST:
        if integers:
            low, high = float(x.min()), float(x.max())
        most = low if -low > high else high
        if abs(most) > MOST or abs(most) * scale > MOST:
            times = "" if scale == 1 else f" times a scale of {scale:g}"
            raise TclifError(
                f"{name}: x reaches {most:g}{times}, too large for a network",
                f"values of up to {MOST:g} are read: scale the data down",
            )


def to_array(value: Any, where: str) -> NDArray[Any]:
    """``value``, whatever numpy takes or a torch tensor, as an array; ``where`` is for the `TclifError` otherwise."""
    torch = sys.modules.get("torch")  # who holds a tensor has imported it
    try:
        if torch is not None and isinstance(value, torch.Tensor):
            value = value.detach().cpu()
            value = value.float() if value.dtype == torch.bfloat16 else value  # which numpy lacks
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TclifError(f"{where} is no array of numbers ({' '.join(str(error).split())[:200]})") from error
