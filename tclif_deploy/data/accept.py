"""What people hold as data, taken by every public function as a `Dataset`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, overload

from numpy.typing import NDArray

from tclif_deploy.arguments import to_array
from tclif_deploy.data.dataset import Dataset, Task
from tclif_deploy.data.read import load_data
from tclif_deploy.errors import TclifError

if TYPE_CHECKING:
    import nir
    import torch

DataLike: TypeAlias = (
    "Dataset | NDArray[Any] | torch.Tensor | tuple[Any, Any] | list[Any] | nir.NIRGraphData | nir.TimeGriddedData "
    "| Path | str"
)
"""What is taken as data: a `Dataset`, the path of a file, an array or torch tensor x of shape (samples, time,
features), a pair (x, y) of them with targets (see `Task`), or NIR's data on a grid of steps. Arrays are what the float
network sees, their scale is 1; they become a `Dataset` with whatever scale by its constructor."""

EXPECTED = "expected a Dataset, a path, an array or tensor (samples, time, features), or a pair (x, y) of arrays"


@overload
def as_dataset(data: DataLike, name: str = "data", *, needed: bool = False, task: Task | None = None) -> Dataset: ...
@overload
def as_dataset(data: DataLike | None, name: str = "data", *, task: Task | None = None) -> Dataset | None: ...
def as_dataset(
    data: DataLike | None, name: str = "data", *, needed: bool = False, task: Task | None = None
) -> Dataset | None:
    """``data`` as a `Dataset`, which messages call ``name`` unless it has a name of its own.

    ``task`` says what y means where the data do not, or wins over them. None stays None unless it is ``needed``.
    Raises `TclifError` for anything but a `DataLike`, and for arrays of a wrong shape or type.

    Examples
    --------
    >>> import numpy as np
    >>> as_dataset((np.zeros((4, 10, 1)), np.arange(4))).y.tolist()
    [0, 1, 2, 3]
    """
    if data is None and not needed:
        return None
    if isinstance(data, Dataset):
        return data if task is None or task == data.task else replace(data, task=task)
    if isinstance(data, (str, os.PathLike)):
        return load_data(Path(data), task)
    if _is_of_nir(data):
        from tclif_deploy.data.nir_data import dataset_of

        return dataset_of(data, task, name)
    if _is_pair(data):
        return Dataset(data[0], data[1], name=name, task=task)
    if _is_array(data):
        return Dataset(data, name=name, task=task)
    raise TclifError(f"{name} is a {type(data).__name__}", EXPECTED)


def integers_of(data: DataLike) -> NDArray[Any] | None:
    """The array that ``data`` is, where it is a plain one of integers; else None."""
    if _is_pair(data) or not _is_array(data):
        return None
    array = to_array(data, "data")
    return array if array.dtype.kind in "biu" else None


def _is_of_nir(data: object) -> bool:
    """Whether ``data`` is NIR's data in memory; nir is not imported for the question."""
    library = sys.modules.get("nir")
    kinds = ("NIRGraphData", "NIRNodeData", "TimeGriddedData", "EventData")
    return library is not None and isinstance(data, tuple(getattr(library, k) for k in kinds if hasattr(library, k)))


def _is_array(data: object) -> TypeGuard[NDArray[Any]]:
    """Whether ``data`` is a tensor, nested lists, or whatever else numpy takes as an array."""
    return isinstance(data, list) or hasattr(data, "__array__")


def _is_pair(data: object) -> TypeGuard[tuple[Any, Any]]:
    """Whether ``data`` is (x, y): a tuple of two, or such a list of arrays as torch's loaders make."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        return False
    return isinstance(data, tuple) or all(hasattr(part, "__array__") for part in data)
