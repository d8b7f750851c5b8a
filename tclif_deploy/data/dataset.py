"""What a network is run on: samples in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.aliases import OldName
from tclif_deploy.arguments import Text, check, described, is_whole, to_array
from tclif_deploy.display import Brief, Shown
from tclif_deploy.errors import TclifError
from tclif_deploy.network import LEAST, MOST
from tclif_deploy.text import count

Task = Literal["label", "step-label", "value", "step-value"]
"""What y means: a label of a sample (samples,) or of each of its steps (samples, time), or numbers, of a sample
(samples, outputs) or of each step (samples, time, outputs)."""
TASKS = get_args(Task)
MEANINGS: dict[Task, str] = {
    "label": "a label of each sample", "step-label": "a label of each step", "value": "numbers of each sample",
    "step-value": "numbers of each step",
}  # fmt: skip


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
    y: NDArray[Any] | None = None
    """targets, int64 labels or float64 numbers, of the shape that `Task` says"""
    scale: float = 1.0
    """what 1 in ``x`` means to the float network, above 0"""
    lengths: NDArray[np.int64] | None = None
    """steps after which a padded sample is read, int64 (samples,), each in 1..time"""
    name: str = "data"
    """for messages: where it came from"""
    task: Task | None = None
    """what ``y`` means; None: what its shape and dtype allow, where that is one thing, and then this says it"""
    mask: NDArray[np.bool_] | None = None
    """which steps' targets count, (samples, time); None: those of all valid steps"""

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
        if self.lengths is not None:
            lengths = to_array(self.lengths, f"{self.name}: lengths")
            if lengths.shape != (x.shape[0],) or not np.issubdtype(lengths.dtype, np.integer):
                raise TclifError(
                    f"{self.name}: lengths is {lengths.dtype} of shape {lengths.shape}",
                    f"expected integers of shape ({x.shape[0]},), one for each sample of x",
                )
            object.__setattr__(self, "lengths", lengths.astype(np.int64))
        task, y = targets(self.name, self.y, self.task, x.shape[:2])
        object.__setattr__(self, "task", task)
        object.__setattr__(self, "y", y)
        if self.mask is not None:
            object.__setattr__(self, "mask", _mask(self.name, self.mask, task, x.shape[:2]))
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
            rows: dict[str, Any] = {name: getattr(self, name) for name in ("y", "lengths", "mask")}
            taken: dict[str, Any] = {name: value if value is None else value[indices] for name, value in rows.items()}
            return replace(self, x=self.x[indices], **taken)
        except (IndexError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            shown = f"{indices!r:.60}" if isinstance(indices, (list, slice)) else described(indices)
            raise TclifError(f"{self.name}: no samples {shown} ({error!s:.200})", f"it has {self.samples}") from None

    def batches(self, size: int) -> Iterator[Dataset]:
        """The samples in order, at most ``size`` at a time, 1 or more. Raises `TclifError` for another size."""
        size = batch_size(size, self.name)
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
        more = "".join(f", {name} {rows.min():.6g}..{rows.max():.6g}" for name, rows in ranges if rows is not None)
        task = "" if self.task in (None, "label") else f" ({self.task})"
        return Brief(f"Dataset {self.name}: {shape}, {self.x.dtype}, scale {self.scale:.6g}{more}{task}")


def batch_size(size: Any, name: str) -> int:
    """A number of samples that are taken at a time from the data of this ``name``; raises `TclifError` if it is none.

    Examples
    --------
    >>> batch_size(np.uint8(32), "data")
    32
    """
    if not is_whole(size) or size < 1:
        raise TclifError(f"{name}: batches of size {described(size)}", "expected a whole number of samples, 1 or more")
    return int(size)


def targets(name: str, y: Any, task: Any, shape: tuple[int, int]) -> tuple[Task | None, NDArray[Any] | None]:
    """(what ``y`` means, ``y`` in its dtype) for x of ``shape`` (samples, time); ``task`` None is guessed.

    Raises `TclifError` where more than one reading is possible, or none, and for numbers that are not finite.

    Examples
    --------
    >>> targets("data", [[0, 1, 1], [1, 1, 0]], None, (2, 3))[0], targets("data", [[0.5], [1.5]], None, (2, 3))[0]
    ('step-label', 'value')
    """
    if task is not None and not (isinstance(task, str) and task in TASKS):
        shown = f"{task!r:.40}" if isinstance(task, str) else described(task)
        raise TclifError(f"{name}: task is {shown}", f"known: {', '.join(TASKS)}")
    told: Any = task
    if y is None:
        return told, None
    y = to_array(y, f"{name}: y")
    samples, time = shape
    whole = np.issubdtype(y.dtype, np.integer) or y.dtype == np.bool_
    if not whole and not np.issubdtype(y.dtype, np.floating):
        raise TclifError(f"{name}: y has dtype {y.dtype}", "expected labels (integers) or numbers (floats)")
    fits = {
        "label": whole and y.shape == (samples,), "step-label": whole and y.shape == (samples, time),
        "value": (y.ndim == 2 and len(y) == samples and y.shape[1] > 0) or y.shape == (samples,),
        "step-value": (y.ndim == 3 and y.shape[:2] == (samples, time) and y.shape[2] > 0) or y.shape == (samples, time),
    }  # fmt: skip
    rows = y.ndim == 2 and len(y) == samples and y.shape[1] > 1 and y.shape != (samples, time)
    if task is None and rows and np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all():
        raise TclifError(
            f"{name}: y is {y.dtype} of shape {y.shape}, one 1 a row: one-hot labels?",
            "give y.argmax(axis=1), the labels as integers; or task value",
        )
    if task is None:
        plain = {"label", "step-label"} if whole else {"value", "step-value"} - ({"value"} if y.ndim == 1 else set())
        possible = [each for each in TASKS if fits[each] and each in plain]
        if len(possible) != 1:
            readings = possible or [each for each in TASKS if fits[each]]
            means = f"can mean {' or '.join(readings)}" if readings else "fits no task"
            if y.size == samples and bool((y == np.rint(y)).all()):
                means += " or labels"
            raise TclifError(
                f"{name}: y is {y.dtype} of shape {y.shape}, which {means} for x of {samples} samples of {time} steps",
                "labels are integers (samples,): y.astype(int).ravel(); else say which, by --task or task in the file"
                if readings else f"expected integers of shape ({samples},) or ({samples}, {time}), or floats of "
                f"({samples}, outputs) or ({samples}, {time}, outputs)",
            )  # fmt: skip
        task = possible[0]
    elif not fits[task]:
        expected = {
            "label": f"integers of shape ({samples},)", "step-label": f"integers of shape ({samples}, {time})",
            "value": f"numbers of shape ({samples}, outputs)",
            "step-value": f"numbers of shape ({samples}, {time}, outputs)",
        }[task]  # fmt: skip
        raise TclifError(f"{name}: y is {y.dtype} of shape {y.shape}, task is {task}", f"expected {expected}")
    if task in ("label", "step-label"):
        return task, y.astype(np.int64)
    y = y.astype(np.float64)
    if not np.isfinite(y).all():
        place = [int(n) for n in np.argwhere(~np.isfinite(y))[0]]
        raise TclifError(
            f"{name}: y{place} is {y[tuple(place)]}", "targets must be finite; a mask leaves steps out, with 0 there"
        )
    if y.size and np.abs(y).max() > MOST:
        raise TclifError(f"{name}: y reaches {y.flat[np.abs(y).argmax()]:g}", f"numbers of up to {MOST:g} are read")
    return task, y[..., None] if y.ndim == (1 if task == "value" else 2) else y


def _mask(name: str, value: Any, task: Task | None, shape: tuple[int, int]) -> NDArray[np.bool_]:
    mask = to_array(value, f"{name}: mask")
    if task not in ("step-label", "step-value"):
        raise TclifError(f"{name}: mask without targets of each step", "leave mask out, or add y of each step")
    if mask.shape != shape or mask.dtype.kind not in "biu" or not np.isin(mask, (0, 1)).all():
        raise TclifError(f"{name}: mask is {mask.dtype} of shape {mask.shape}", f"expected booleans of shape {shape}")
    return mask.astype(np.bool_)


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
