"""Functions and dataclasses that take nothing else than their annotations say."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np

from tclif_deploy.arguments.annotations import resolved
from tclif_deploy.arguments.kinds import Items, Kind, Numbers
from tclif_deploy.arguments.values import to_array
from tclif_deploy.errors import TclifError

Parameters = ParamSpec("Parameters")


Returned = TypeVar("Returned")


Class = TypeVar("Class")


def check(where: str, name: str, kind: Kind, value: Any) -> Any:
    """``value``, numbers as Python's own (`Kind.plain`). Raises `TclifError` unless it is of ``kind``."""
    problem = kind.problem(value)
    if problem is not None:
        choices = problem.expected.removeprefix("one of ")
        hint = f"known: {choices}" if choices != problem.expected else f"expected {problem.expected}"
        raise TclifError(f"{where}: {name}{problem.what}", hint)
    return kind.plain(value) if isinstance(value, (np.number, tuple, list)) else value


def checked(function: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """The function, which raises `TclifError` for an argument that its annotation does not take.

    It is handed Python's numbers where numpy's were given.

    Examples
    --------
    >>> @checked
    ... def wait(steps: int) -> int:
    ...     return steps
    >>> wait(3)
    3
    >>> wait("many")
    Traceback (most recent call last):
        ...
    tclif_deploy.errors.TclifError: wait: steps is a str ('many'); expected a whole number
    """
    parameters = inspect.signature(function).parameters.values()
    ahead = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    further = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "")
    others = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), "")
    where = function.__qualname__
    kinds: dict[str, Kind] = {}
    resolved: list[bool] = []

    @functools.wraps(function)
    def call(*args: Parameters.args, **arguments: Parameters.kwargs) -> Returned:
        if not resolved:  # with the first call: what annotations name may be imported later than the function
            kinds.update(_kinds_of(function.__annotations__, function.__module__))
            resolved.append(True)
        names = (ahead[n] if n < len(ahead) else further for n in range(len(args)))
        plain = [
            check(where, name, kinds[name], value) if name in kinds else value
            for name, value in zip(names, args, strict=True)
        ]
        named = {
            name: value if kind is None else check(where, name, kind, value)
            for name, value in arguments.items()
            for kind in (kinds.get(name, kinds.get(others)),)
        }
        return function(*plain, **named)  # type: ignore[arg-type]

    return call


def _kinds_of(annotations: Mapping[str, Any], module: str) -> dict[str, Kind]:
    kinds = ((name, resolved(annotation, module)) for name, annotation in annotations.items() if name != "return")
    return {name: kind for name, kind in kinds if kind is not None}


@functools.cache
def _fields_of(cls: Any) -> dict[str, Kind]:
    """What the fields of a dataclass ask for, by the annotations of the classes that state them."""
    kinds: dict[str, Kind] = {}
    bases: list[Any] = [base for base in reversed(cls.__mro__) if is_dataclass(base)]
    for base in bases:
        kinds |= _kinds_of(inspect.get_annotations(base), base.__module__)
    # arrays of any numbers: a field's dtype is its class's own concern, and masks take the place of integers
    kinds = {name: Numbers() if isinstance(kind, Numbers) else kind for name, kind in kinds.items()}
    return {field.name: kinds[field.name] for field in fields(cls) if field.init and field.name in kinds}


def checked_fields(cls: type[Class]) -> type[Class]:
    """For a dataclass, under its ``@dataclass``: raises `TclifError` for a field that its annotation does not take.

    A list becomes the tuple that a field asks for, and numbers the array. The class's own ``__post_init__`` runs after
    that.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... @checked_fields
    ... class Walk:
    ...     steps: int
    >>> Walk("many")
    Traceback (most recent call last):
        ...
    tclif_deploy.errors.TclifError: Walk: steps is a str ('many'); expected a whole number
    """
    after: Callable[[Any], None] | None = getattr(cls, "__post_init__", None)

    def __post_init__(self: Any) -> None:
        own: Any = type(self)
        for name, kind in _fields_of(own).items():
            given = getattr(self, name)
            value = check(cls.__name__, name, kind, given)
            if value is not given:
                object.__setattr__(self, name, value)
            if type(value) is list and isinstance(kind, Items) and kind.origin is tuple:
                object.__setattr__(self, name, tuple(value))
            if isinstance(kind, Numbers) and not isinstance(value, np.ndarray):
                object.__setattr__(self, name, to_array(value, f"{cls.__name__}: {name}"))
        if after is not None:
            after(self)

    cls.__post_init__ = __post_init__  # type: ignore[attr-defined]
    return cls
