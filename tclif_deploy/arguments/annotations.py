"""What an annotation asks for, as a kind of value."""

from __future__ import annotations

import collections.abc
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
from numpy.typing import ArrayLike

from tclif_deploy.arguments.kinds import (
    BY_NAME,
    Choice,
    Either,
    Function,
    Instance,
    Items,
    Kind,
    Location,
    Nothing,
    Number,
    Numbers,
    Text,
    Truth,
    Unresolved,
)

SIMPLE: dict[Any, Callable[[], Kind]] = {
    int: lambda: Number(True), float: lambda: Number(False), str: Text, bool: Truth, Path: Location,
    None: Nothing, type(None): Nothing, collections.abc.Callable: Function, type: lambda: Instance(type),
}  # fmt: skip


def kind_of(annotation: Any) -> Kind | None:
    """What an annotation asks for; None: nothing that can be checked.

    Examples
    --------
    >>> kind_of(int | None).problem("many")
    Problem(what=" is a str ('many')", expected='a whole number or None', near=False)
    >>> kind_of(tuple[float, ...]).problem((1, float("nan"))).what
    '[1] is nan'
    """
    if annotation == ArrayLike:
        return Numbers()
    if annotation in SIMPLE:
        return SIMPLE[annotation]()
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        limits = next((extra for extra in annotation.__metadata__ if hasattr(extra, "__contains__")), None)
        return _limited(parts[0], limits)
    if origin in (Union, types.UnionType):
        return _either(parts)
    if origin is Literal:
        return Choice(parts)
    if origin is np.ndarray:
        (dtype,) = get_args(parts[1]) or (Any,)
        return Numbers(isinstance(dtype, type) and issubclass(dtype, np.integer))
    if origin is collections.abc.Callable:
        return Function()
    if isinstance(origin, type) and issubclass(origin, collections.abc.Iterable) and not issubclass(origin, Mapping):
        several = origin is not tuple or (len(parts) == 2 and parts[1] is Ellipsis)
        return Items(origin, kind_of(parts[0])) if several else Items(origin, None, tuple(map(kind_of, parts)))
    if isinstance(origin or annotation, type) and not getattr(annotation, "_is_protocol", False):
        return None if annotation in (Any, object) else Instance(origin or annotation)
    return None


def _limited(annotation: Any, limits: Any) -> Kind | None:
    """A number within ``limits``, or None where the annotation allows it."""
    parts = get_args(annotation) or (annotation,)
    kinds = [Number(part is int, limits) if part in (int, float) else kind_of(part) for part in parts]
    return None if None in kinds else Either([kind for kind in kinds if kind is not None])


def _either(parts: tuple[Any, ...]) -> Kind | None:
    if Path in parts:  # where a path is taken, a str is one
        parts = tuple(part for part in parts if part is not str)
    by_name = any(getattr(part, "__name__", "") == "Target" for part in parts)
    kinds = [Location(BY_NAME) if part is Path and by_name else kind_of(part) for part in parts]
    return None if None in kinds else Either([kind for kind in kinds if kind is not None])


def resolved(annotation: Any, module: str) -> Kind | None:
    """What an annotation asks for, its names looked up in ``module``; one of a library that is not loaded, nothing."""
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, vars(sys.modules[module]))
        except (NameError, AttributeError, TypeError):
            return Unresolved()
    return Unresolved() if isinstance(annotation, str) else kind_of(annotation)
