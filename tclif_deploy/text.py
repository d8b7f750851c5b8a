"""How figures are written: alike at a prompt, on a terminal, on the page and in sentences."""

from __future__ import annotations

import math

NONE = "–"
"""what stands where there is no figure"""
ENERGIES = ((1e6, "mJ"), (1e3, "µJ"), (1.0, "nJ"))
"""(nanojoules, name) of the units, the largest first"""


def count(number: int, name: str) -> str:
    """A number and the plural of what it counts.

    Examples
    --------
    >>> count(1, "step"), count(85400, "weight")
    ('1 step', '85,400 weights')
    """
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def percent(value: float | None, digits: int = 2) -> str:
    """A fraction in percent; a dash where there is none."""
    return NONE if value is None else f"{100 * value:.{digits}f} %"


def points(value: float) -> str:
    """A difference of percentages."""
    return f"{value:+.2f} points"


def number(value: float | None, digits: int = 4) -> str:
    """So many significant digits, or all before the point, thousands separated; a dash where there is none.

    Examples
    --------
    >>> number(0.123456), number(1234.5), number(88), number(None)
    ('0.1235', '1,234', '88', '–')
    """
    if value is None or not math.isfinite(value):
        return NONE
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if 10 ** (digits - 1) <= abs(value) < 1e15 else f"{value:.{digits}g}"


def span(low: float | None, high: float | None, digits: int = 4) -> str:
    """A range, or the one number where both ends are the same.

    Examples
    --------
    >>> span(1.5, 3), span(2, 2), span(None, None)
    ('1.5 to 3', '2', '–')
    """
    first, last = number(low, digits), number(high, digits)
    return first if low == high else f"{first} to {last}"


def energy(low: float | None, high: float | None) -> str:
    """A range of nanojoules in a unit that keeps it readable.

    Examples
    --------
    >>> energy(216_900, 350_300)
    '217 to 350 µJ'
    """
    if low is None or high is None:
        return NONE
    scale, unit = next((item for item in ENERGIES if high >= item[0]), ENERGIES[-1])
    return f"{span(low / scale, high / scale, 3)} {unit}"
