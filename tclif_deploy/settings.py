"""What a dataclass of settings says of its fields: which values each takes, and what the command line calls it.

All of it stands in the field's annotation: ``Annotated[float, Limits(1, 1024)]``, a ``Literal``, a tuple of either.
`check_settings` holds the values to it where the settings are made, and the command line makes its options from it,
with the docstring under the field as their help: what is added to a dataclass of settings is an option everywhere.
"""

from __future__ import annotations

import functools
import math
from dataclasses import Field, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from tclif_deploy.arguments import Location, described, is_finite, is_number, is_whole, plain
from tclif_deploy.errors import TclifError


@dataclass(frozen=True)
class Limits:
    """The numbers that a field takes: finite, ``low`` or more, above ``above``, ``high`` or less, below ``below``.

    Examples
    --------
    >>> 0 in Limits(above=0), 1 in Limits(above=0)
    (False, True)
    >>> str(Limits(1, 1024))
    '1 to 1,024'
    """

    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        return math.isfinite(value) and self.low <= value <= self.high and self.above < value < self.below

    def __str__(self) -> str:
        if self.above > -math.inf:
            return f"above {self.above:,}" + (f", {self.high:,} at most" if self.high < math.inf else "")
        if self.high < math.inf:
            return f"{self.low:,} to {self.high:,}"
        if self.below < math.inf:
            return f"{self.low:,} or more, below {self.below:,}"
        return f"{self.low:,} or more" if self.low > -math.inf else ""


@dataclass(frozen=True)
class Named:
    """The command line's name of a field, where it is not the field's own; None: there is none, for a reason."""

    option: str | None
    reason: str = ""


@dataclass(frozen=True)
class Setting:
    """One field of a dataclass of settings."""

    name: str
    type: Any
    """bool, int, float, str, Path or a dataclass; of one item where there are ``many``"""
    many: bool
    """whether it holds a tuple"""
    choices: tuple[str, ...]
    limits: Limits
    option: str | None
    """what the command line calls it; None: nothing"""
    default: Any
    """`dataclasses.MISSING` where there is none"""

    @property
    def expected(self) -> str:
        """The values that it takes, in words; empty where any will do."""
        if self.choices:
            return f"known: {', '.join(self.choices)}"
        number = {int: "a whole number", float: "a number"}.get(self.type)
        if number:
            return f"expected {number}" + (f", {self.limits}" if str(self.limits) else "")
        other = {bool: "True or False", str: "a str", Path: "a path"}.get(self.type, "")
        return f"expected {other or f'a {self.type.__name__}'}"

    def takes(self, value: Any) -> bool:
        """Whether one item of the field may be ``value``."""
        if self.choices:
            return isinstance(value, str) and value in self.choices
        if self.type in (int, float):
            number = is_whole(value) if self.type is int else is_number(value) and is_finite(value)
            return number and float(value) in self.limits
        if self.type is bool:
            return isinstance(value, (bool, np.bool_))
        if self.type is Path:
            return Location().problem(value) is None
        kind: Any = self.type
        return isinstance(value, kind) if kind is str or is_dataclass(self.type) else True


@functools.cache
def settings_of(cls: Any) -> tuple[Setting, ...]:
    """The fields of a dataclass of settings, in order.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Walk:
    ...     steps: Annotated[int, Limits(1)] = 10
    ...     pace: Literal["slow", "fast"] | None = None
    >>> [(setting.name, setting.expected) for setting in settings_of(Walk)]
    [('steps', 'expected a whole number, 1 or more'), ('pace', 'known: slow, fast')]
    """
    hints = get_type_hints(cls, include_extras=True)
    return tuple(_setting(field, hints[field.name]) for field in fields(cls))


def _setting(field: Field[Any], hint: Any) -> Setting:
    limits, many = Limits(), False
    option: str | None = f"--{field.name.replace('_', '-')}"
    while (origin := get_origin(hint)) in (Annotated, Union, UnionType, tuple):
        if origin is Annotated:
            for extra in hint.__metadata__:
                limits = extra if isinstance(extra, Limits) else limits
                option = extra.option if isinstance(extra, Named) else option
        many = many or origin is tuple
        parts = [part for part in get_args(hint) if part is not NoneType]
        hint = Path if Path in parts else parts[0]
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    return Setting(field.name, str if choices else hint, many, choices, limits, option, field.default)


def check_settings(settings: Any) -> None:
    """Raise `TclifError` for the first field that holds what it does not take; a default of None is right."""
    cls: Any = type(settings)
    for setting in settings_of(cls):
        value = getattr(settings, setting.name)
        if setting.many and isinstance(value, list):
            object.__setattr__(settings, setting.name, value := tuple(value))
        if setting.many and not isinstance(value, tuple):
            raise TclifError(f"{setting.name} is {shown(value)}", f"expected a tuple; {setting.expected}")
        for item in value if setting.many else (value,):
            if not setting.takes(item) and not (item is None and setting.default is None):
                raise TclifError(f"{setting.name} is {shown(item)}", setting.expected)
        object.__setattr__(settings, setting.name, tuple(map(plain, value)) if setting.many else plain(value))


def shown(value: object) -> str:
    """A value of a setting as a message quotes it."""
    return f"{value!r:.60}" if isinstance(value, str) else described(value)
