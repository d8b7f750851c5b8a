"""What public functions and dataclasses are given, held to their annotations before anything is done with it.

`checked` stands over a function or a dataclass. A wrong argument is a `TclifError` that names it, instead of whatever
Python or numpy says of it somewhere inside::

    quantize: calibration is True; expected ...

Annotations that say nothing checkable (``Any``, protocols, classes of libraries that are not loaded) let everything
through: whoever annotates with them looks himself.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import math
import os
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, ParamSpec, TypeVar, Union, get_args, get_origin

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tclif_deploy.errors import TclifError

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")
Class = TypeVar("Class")

MOST_CHARACTERS = 4096
"""of a path, as Linux has it; others are near"""
MOST_IN_NAME = 255
"""bytes of a file's or folder's name, on every system"""
SHOWN = 40
"""characters of a value that a message quotes"""
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


class Kind:
    """What an annotation asks for."""

    words: str
    """``a whole number``"""
    hint = ""

    def problem(self, value: Any) -> Problem | None:
        """What is wrong with ``value``; None: nothing."""
        raise NotImplementedError

    def wrong(self, value: Any, near: bool = False) -> Problem:
        """``value`` is something else."""
        return Problem(f" is {described(value)}", self.words + self.hint, near)


def described(value: object) -> str:
    """A value in a few words: what it is, and itself where it is short.

    Examples
    --------
    >>> described("nowhere"), described(-1), described(np.zeros((2, 3))), described(int)
    ("a str ('nowhere')", '-1', 'an array of float64, shape (2, 3)', 'the class int')
    """
    if value is None or isinstance(value, (bool, np.bool_)):
        return str(value)
    if isinstance(value, (int, float, complex, np.number)):
        try:
            text = str(value)
        except ValueError:  # Python writes no integers of thousands of digits
            return "a number of thousands of digits"
        return text if len(text) <= SHOWN else f"a number of {len(text)} digits"
    if isinstance(value, (str, bytes)):
        shown = repr(value[:SHOWN])
        return f"{named(value)} ({shown}{'...' if len(value) > SHOWN else ''})"
    if isinstance(value, type):
        return f"the class {value.__name__:.40}"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}, shape {value.shape}"
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return f"{named(value)} of {len(value)}" if value else f"an empty {type(value).__name__:.40}"
    return named(value)


def named(value: object) -> str:
    """``a list``, ``an ndarray``."""
    name = f"{type(value).__name__:.40}"
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def is_number(value: object) -> bool:
    """Whether ``value`` is a real number, of Python or numpy; truth values are none."""
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


def is_whole(value: object) -> bool:
    """Whether ``value`` is a whole number of at most 64 bits, of Python or numpy."""
    return isinstance(value, Integral) and not isinstance(value, (bool, np.bool_)) and abs(int(value)) < 1 << 63


def is_finite(value: Any) -> bool:
    """Whether a number is finite as float64."""
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


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
            to_numbers(value, "")
        except TclifError:
            return self.wrong(value)
        return self.wrong(value) if self.whole and array.dtype.kind not in "biu" else None


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
    >>> kind_of(tuple[float, ...]).problem((1, math.nan)).what
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


def to_array(value: Any, where: str) -> NDArray[Any]:
    """``value``, whatever numpy takes or a torch tensor, as an array; ``where`` is for the `TclifError` otherwise."""
    torch = sys.modules.get("torch")  # who holds a tensor has imported it
    try:
        if torch is not None and isinstance(value, torch.Tensor):
            value = value.detach().cpu()
            value = value.float() if value.dtype == torch.bfloat16 else value  # which numpy lacks
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise TclifError(f"{where} is no array of numbers ({' '.join(str(error).split())[:200]})") from error


def to_numbers(value: Any, where: str) -> NDArray[np.float64]:
    """Real numbers, finite or not, as float64 of the shape of ``value``; raises `TclifError` for anything else.

    Examples
    --------
    >>> to_numbers([1, 2], "decay").tolist()
    [1.0, 2.0]
    """
    array = to_array(value, where)
    if array.dtype.kind == "O" and array.ndim == 0 and is_number(value):
        return np.asarray(float(value) if is_finite(value) else math.inf)  # more bits than numpy's integers have
    if array.dtype.kind not in "biuf":
        raise TclifError(f"{where} is {described(value)}", "expected an array of numbers")
    return array.astype(np.float64, copy=False)


def _resolved(annotation: Any, module: str) -> Kind | None:
    """What an annotation asks for, its names looked up in ``module``; one of a library that is not loaded, nothing."""
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, vars(sys.modules[module]))
        except (NameError, AttributeError, TypeError):
            return Unresolved()
    return Unresolved() if isinstance(annotation, str) else kind_of(annotation)


def check(where: str, name: str, kind: Kind, value: Any) -> None:
    """Raise `TclifError` unless ``value`` is of ``kind``."""
    problem = kind.problem(value)
    if problem is not None:
        choices = problem.expected.removeprefix("one of ")
        hint = f"known: {choices}" if choices != problem.expected else f"expected {problem.expected}"
        raise TclifError(f"{where}: {name}{problem.what}", hint)


def checked(function: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """The function, which raises `TclifError` for an argument that its annotation does not take.

    Examples
    --------
    >>> @checked
    ... def wait(steps: int, *, pace: Literal["slow", "fast"] = "slow") -> int:
    ...     return steps
    >>> wait(3, pace="fast")
    3
    >>> wait(3, pace="faster")
    Traceback (most recent call last):
        ...
    tclif_deploy.errors.TclifError: wait: pace is 'faster'; known: slow, fast
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
        for n, value in enumerate(args):
            name = ahead[n] if n < len(ahead) else further
            if name in kinds:
                check(where, name, kinds[name], value)
        for name, value in arguments.items():
            kind = kinds.get(name, kinds.get(others))
            if kind is not None:
                check(where, name, kind, value)
        return function(*args, **arguments)

    return call


def _kinds_of(annotations: Mapping[str, Any], module: str) -> dict[str, Kind]:
    kinds = ((name, _resolved(annotation, module)) for name, annotation in annotations.items() if name != "return")
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
            value = getattr(self, name)
            check(cls.__name__, name, kind, value)
            if type(value) is list and isinstance(kind, Items) and kind.origin is tuple:
                object.__setattr__(self, name, tuple(value))
            if isinstance(kind, Numbers) and not isinstance(value, np.ndarray):
                object.__setattr__(self, name, to_array(value, f"{cls.__name__}: {name}"))
        if after is not None:
            after(self)

    cls.__post_init__ = __post_init__  # type: ignore[attr-defined]
    return cls
