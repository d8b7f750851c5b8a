"""Values in words, and as numbers or arrays of them."""

from __future__ import annotations

import math
import sys
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError

SHOWN = 40
"""characters of a value that a message quotes"""


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


def plain(value: Any) -> Any:
    """A number of numpy's as one of Python's, which does not overflow; anything else as it is.

    Examples
    --------
    >>> plain(np.uint8(200)) + 100, plain("200")
    (300, '200')
    """
    return int(value) if isinstance(value, np.integer) else float(value) if isinstance(value, np.floating) else value


def is_finite(value: Any) -> bool:
    """Whether a number is finite as float64."""
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


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


def holds_numbers(array: NDArray[Any], whole: bool = False) -> bool:
    """Whether an array is of real numbers, or of ``whole`` ones; its size costs nothing."""
    if whole:
        return array.dtype.kind in "biu"
    return array.dtype.kind in "biuf" or (array.dtype.kind == "O" and array.ndim == 0 and is_number(array.item()))


def to_numbers(value: Any, where: str) -> NDArray[np.float64]:
    """Real numbers, finite or not, as float64 of the shape of ``value``; raises `TclifError` for anything else.

    Examples
    --------
    >>> to_numbers([1, 2], "decay").tolist()
    [1.0, 2.0]
    """
    array = to_array(value, where)
    if not holds_numbers(array):
        raise TclifError(f"{where} is {described(value)}", "expected an array of numbers")
    if array.dtype.kind == "O":  # more bits than numpy's integers have
        return np.asarray(float(value) if is_finite(value) else math.inf)
    return array.astype(np.float64, copy=False)
