"""Kinds of value, each of which says what is wrong with one that it is not."""

from __future__ import annotations

import collections.abc
import os
from abc import ABC, abstractmethod
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tclif_deploy.arguments.values import (
    SHOWN,
    described,
    holds_numbers,
    is_finite,
    is_number,
    is_whole,
    plain,
    to_array,
)
from tclif_deploy.errors import TclifError

MOST_CHARACTERS = 4096
"""of a path, as Linux has it; others are near"""


MOST_IN_NAME = 255
"""bytes of a file's or folder's name, on every system"""


MADE_BY = {
    "Network": "tclif_deploy.load reads one", "FixedNetwork": "tclif_deploy.quantize makes one",
    "Build": "tclif_deploy.compile makes one", "Target": "tclif_deploy.load_target reads one",
    "Dataset": "tclif_deploy.load_data reads one", "Neuron": "the functions of tclif_deploy.neurons make one",
}  # fmt: skip
"""what to do where one of a class is expected"""


BY_NAME = "its name or a path"
"""how a target is given"""


class Problem(NamedTuple):
    """What is wrong with a value."""

    what: str
    """goes on after the argument's name: `` is nan``, ``[3] is None``"""
    expected: str
    near: bool = False
    """the value is of the right kind: of several annotations, this one tells what is wrong with it"""


class Kind(ABC):
    """What an annotation asks for."""

    words: str
    """``a whole number``"""
    hint = ""

    @abstractmethod
    def problem(self, value: Any) -> Problem | None:
        """What is wrong with ``value``; None: nothing."""

    def plain(self, value: Any) -> Any:
        """``value``, in which nothing is wrong, its single numbers as Python's own: numpy's of 8 bits overflow soon."""
        return value

    def wrong(self, value: Any, near: bool = False) -> Problem:
        """``value`` is something else."""
        return Problem(f" is {described(value)}", self.words + self.hint, near)


class Number(Kind):
    """A finite number, or a whole one, within limits."""

    def __init__(self, whole: bool, limits: Any = None) -> None:
        self.whole, self.limits = whole, limits
        limit = f", {limits}" if limits is not None and str(limits) else ""
        self.words = f"a {'whole' if whole else 'finite'} number{limit}"

    def problem(self, value: Any) -> Problem | None:
        if not is_number(value) or (self.whole and not isinstance(value, Integral)):
            return self.wrong(value)
        if self.whole and not is_whole(value):
            return Problem(f" is {described(value)}", f"{self.words} of at most 64 bits", True)
        if not is_finite(value) or (self.limits is not None and float(value) not in self.limits):
            return self.wrong(value, True)
        return None

    def plain(self, value: Any) -> Any:
        return plain(value)


class Text(Kind):
    words = "a str"

    def problem(self, value: Any) -> Problem | None:
        return None if isinstance(value, str) else self.wrong(value)


class Truth(Kind):
    words = "True or False"

    def problem(self, value: Any) -> Problem | None:
        return None if isinstance(value, (bool, np.bool_)) else self.wrong(value)


class Nothing(Kind):
    words = "None"

    def problem(self, value: Any) -> Problem | None:
        return None if value is None else self.wrong(value)


class Location(Kind):
    def __init__(self, words: str = "a path") -> None:
        self.words = words

    def problem(self, value: Any) -> Problem | None:
        if not isinstance(value, (str, os.PathLike)):
            return self.wrong(value)
        try:
            path = os.fspath(value)
            encoded = os.fsencode(path)
        except (TypeError, ValueError):
            return Problem(f" is {described(value)}", "a path that a file system can hold", True)
        if not isinstance(path, str):
            return self.wrong(value)
        if not path:
            return Problem(" is an empty str", self.words, True)
        if "\0" in path:
            return Problem(f" is {described(path)}", "a path without NUL characters", True)
        if len(encoded) > MOST_CHARACTERS or any(len(os.fsencode(p)) > MOST_IN_NAME for p in Path(path).parts):
            limit = f"a path of at most {MOST_CHARACTERS:,} bytes, {MOST_IN_NAME} in a name"
            return Problem(f" has {len(path):,} characters", limit, True)
        return None


class Choice(Kind):
    def __init__(self, choices: tuple[Any, ...]) -> None:
        self.choices = choices
        self.words = f"one of {', '.join(map(str, choices))}"

    def problem(self, value: Any) -> Problem | None:
        if any(type(value) is type(choice) and value == choice for choice in self.choices):
            return None
        shown = f" is {value[:SHOWN]!r}" if isinstance(value, str) else f" is {described(value)}"
        return Problem(shown, self.words, isinstance(value, str))


class Function(Kind):
    words = "a function"

    def problem(self, value: Any) -> Problem | None:
        return None if callable(value) else self.wrong(value)


class Instance(Kind):
    def __init__(self, cls: type) -> None:
        self.cls, self.words = cls, f"{'an' if cls.__name__[:1] in 'AEIO' else 'a'} {cls.__name__}"
        self.hint = f": {MADE_BY[cls.__name__]}" if cls.__name__ in MADE_BY else ""

    def problem(self, value: Any) -> Problem | None:
        return None if isinstance(value, self.cls) else self.wrong(value)


class Numbers(Kind):
    """What numpy takes as an array of real numbers, or of whole ones."""

    def __init__(self, whole: bool = False) -> None:
        self.whole = whole
        self.words = f"an array of {'whole ' if whole else ''}numbers"

    def problem(self, value: Any) -> Problem | None:
        try:
            array = to_array(value, "")
        except TclifError:
            return self.wrong(value)
        return None if holds_numbers(array, self.whole) else self.wrong(value)


class Unresolved(Kind):
    """An annotation that names what is not loaded: whoever has it looks himself. Text can only be a path there."""

    words = "a path"

    def problem(self, value: Any) -> Problem | None:
        return Location().problem(value) if isinstance(value, (str, os.PathLike)) else None


class Items(Kind):
    """A tuple, or another collection, of items of one kind or of none that is known."""

    def __init__(self, origin: type, item: Kind | None, pair: tuple[Kind | None, ...] = ()) -> None:
        self.origin, self.item, self.pair = origin, item, pair
        named = "tuple" if origin in (collections.abc.Sequence, collections.abc.Collection) else origin.__name__.lower()
        each = item if not pair else pair[0] if all(type(kind) is type(pair[0]) for kind in pair) else None
        of = f" of {len(pair)}" if pair else ""
        of += f", each {each.words}" if each is not None else ""
        self.words = f"a {named}{of}"

    def problem(self, value: Any) -> Problem | None:
        takes: Any = (tuple, list) if self.origin in (tuple, list) else self.origin
        if isinstance(value, (str, bytes)) or not isinstance(value, takes):
            return self.wrong(value)
        if self.pair and len(value) != len(self.pair):
            return self.wrong(value, True)
        if isinstance(value, collections.abc.Iterator):
            return None  # it gives its items only once
        if isinstance(value, np.ndarray) and value.ndim == 0:
            return self.wrong(value)
        for n, item in enumerate(value):
            kind = self.pair[n] if self.pair else self.item
            problem = None if kind is None else kind.problem(item)
            if problem is not None:
                return Problem(f"[{n}]{problem.what}", problem.expected, True)
        return None

    def plain(self, value: Any) -> Any:
        if type(value) not in (tuple, list):
            return value
        kinds = self.pair or (self.item,) * len(value)
        return type(value)(item if kind is None else kind.plain(item) for kind, item in zip(kinds, value, strict=True))


class Either(Kind):
    """Any of several kinds."""

    def __init__(self, kinds: list[Kind]) -> None:
        self.kinds = kinds
        words = list(dict.fromkeys(kind.words for kind in kinds))
        if BY_NAME in words:
            words[words.index(BY_NAME) : words.index(BY_NAME) + 1] = BY_NAME.split(" or ")
        self.words = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"

    def problem(self, value: Any) -> Problem | None:
        near = None
        for kind in self.kinds:
            problem = kind.problem(value)
            if problem is None:
                return None
            near = near or (problem if problem.near else None)
        return near or self.wrong(value)

    def plain(self, value: Any) -> Any:
        return next((kind.plain(value) for kind in self.kinds if kind.problem(value) is None), value)
