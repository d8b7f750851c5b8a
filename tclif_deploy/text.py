"""How figures are written: alike at a prompt, on a terminal, on the page and in sentences."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len

NONE = "–"
"""what stands where there is no figure"""
WARNING = "warning: "
"""what a notice begins with that may be wrong, not only good to know"""


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


def signed(value: float, digits: int = 2) -> str:
    """A change with its sign; none where nothing changes.

    Examples
    --------
    >>> signed(0.5), signed(-1), signed(-0.001)
    ('+0.50', '−1.00', '0.00')
    """
    text = f"{value:+.{digits}f}"
    return f"{0:.{digits}f}" if float(text) == 0 else text.replace("-", "−")


def points(change: float) -> str:
    """A change of a share, in points of a hundred: what is lost is below zero.

    Examples
    --------
    >>> points(0.545 - 0.955)
    '−41.00 points'
    """
    return f"{signed(100 * change)} points"


def modelled(figures: str | None) -> str:
    """The one caveat of energies and latencies; ``figures`` are whose (`Target.figures`).

    Examples
    --------
    >>> modelled("Loihi 1")
    'modelled from Loihi 1 figures'
    """
    whose = figures or "the target's"
    return f"modelled from {whose} figures"


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
    """A range of nanojoules in microjoules, which all energies of an inference are told in.

    Examples
    --------
    >>> energy(216_900, 350_300), energy(5.2, 5.2)
    ('217 to 350 µJ', '0.0052 µJ')
    """
    shown = microjoules(low, high)
    return shown if shown == NONE else f"{shown} µJ"


def microjoules(low: float | None, high: float | None) -> str:
    """The same without the unit, for columns whose heading has it."""
    return NONE if low is None or high is None else span(low / 1000, high / 1000, 3)


# --- lines


def wrap(text: str, width: int | None, first: int = 0) -> list[str]:
    """``text`` in lines of at most ``width``, broken at spaces only; the first line has ``first`` fewer characters.

    Examples
    --------
    >>> wrap("a limit of_the_target is reached", 12)
    ['a limit', 'of_the_target', 'is reached']
    """
    if width is None or cell_len(text) + first <= width:
        return [text]
    lines, line = [], ""
    left = width - first
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if line and cell_len(longer) > left:
            lines.append(line)
            line, left = word, width
        else:
            line = longer
    return [*lines, line]


# --- layers

NUMBERED = re.compile(r"(.*\.)?\d+")
"""a name that only says where a module lies in its container, such as ``features.3``"""


def layer_labels(names: Sequence[str]) -> dict[str, str]:
    """What people read instead of the names of a network's layers, in their order; the last one is the output.

    A name that only numbers the modules of a container is no description: its place in the network stands before it.
    Files and JSON keep the name itself.

    Examples
    --------
    >>> layer_labels(["features.1", "features.3"])
    {'features.1': 'hidden 1 (features.1)', 'features.3': 'output (features.3)'}
    >>> layer_labels(["encoder", "readout"])
    {'encoder': 'encoder', 'readout': 'readout'}
    """
    places = [*(f"hidden {n + 1}" for n in range(len(names) - 1)), "output"]
    return {
        name: f"{place} ({name})" if NUMBERED.fullmatch(name) else name
        for name, place in zip(names, places, strict=True)
    }


def short_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels of `layer_labels` without the names behind them, for what stands beside the full ones.

    Examples
    --------
    >>> short_labels(layer_labels(["features.1", "readout"]))
    {'features.1': 'hidden 1', 'readout': 'readout'}
    """
    return {name: label.removesuffix(f" ({name})") for name, label in labels.items()}


def label_layers(text: str, labels: Mapping[str, str]) -> str:
    """``text`` with the labels of `layer_labels` in the place of the names; "layer" before a name goes.

    Examples
    --------
    >>> labels = layer_labels(["features.1", "features.3"])
    >>> label_layers("Layer features.1: no spike differs; layer features.3[0:4] is read", labels)
    'Hidden 1 (features.1): no spike differs; output (features.3)[0:4] is read'
    """
    other = [name for name, label in labels.items() if label != name and not name.isdecimal()]
    plain = [name for name, label in labels.items() if label != name and name.isdecimal()]
    if not other and not plain:
        return text

    def label(match: re.Match[str]) -> str:
        words = labels[match["name"] or match["number"]]
        return words[0].upper() + words[1:] if match[0].startswith("Layer") else words

    # a bare number is a layer only where the text says so
    names = "|".join(map(re.escape, sorted(other, key=len, reverse=True))) or "(?!)"
    numbers = "|".join(map(re.escape, sorted(plain, key=len, reverse=True))) or "(?!)"
    pattern = rf"(?<![\w.(/-])(?:(?:[Ll]ayer )?(?P<name>{names})|[Ll]ayer (?P<number>{numbers}))(?!\.?\w|/)"
    return re.sub(pattern, label, text)


# --- characters

ASCII = {
    "–": "-", "—": "-", "−": "-", "×": "x", "·": ".", "…": "...", "→": "->", "←": "<-", "≥": ">=", "≤": "<=", "≠": "!=",
    "≈": "~", "±": "+-", "°": " deg", "√": "sqrt", "Σ": "sum", "∞": "inf", "²": "^2", "³": "^3",
    "µ": "u", "μ": "u", "α": "alpha", "β": "beta", "γ": "gamma", "Δ": "delta", "θ": "theta", "λ": "lambda",
    "ä": "ae", "ö": "oe", "ü": "ue", "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "ω": "omega",
    "‘": "'", "’": "'", "“": '"', "”": '"', "«": '"', "»": '"', "\u00a0": " ", "\u2009": " ", "\u202f": " ",
    "▁": ".", "▂": ":", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "%", "█": "#", "•": "*", "◀": "<", "▶": ">",
    "─": "-", "━": "-", "╸": "-", "╺": "-", "│": "|", "┃": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+", "┌": "+",
    "┐": "+", "└": "+", "┘": "+", "├": "+", "┤": "+", "┬": "+", "┴": "+", "┼": "+",
}  # fmt: skip
"""what stands for each of our symbols where only ASCII can be shown"""
_ASCII = str.maketrans(ASCII)


def to_ascii(text: str) -> str:
    """``text`` in ASCII: our symbols by `ASCII`, anything else (in a name out of a file) as Python escapes it.

    Examples
    --------
    >>> to_ascii("5 µJ → 7 µJ, β1, Zo" + chr(0xEB))
    '5 uJ -> 7 uJ, beta1, Zo\\\\xeb'
    """
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def only_ascii(stream: Any, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether ``stream`` shows ASCII alone: by its encoding, a dumb terminal, or the C locale.

    The locale is asked apart, since Python itself writes UTF-8 in the C locale.

    Examples
    --------
    >>> import io, sys
    >>> only_ascii(io.TextIOWrapper(io.BytesIO(), "ascii"), {}), only_ascii(io.StringIO(), {"LC_ALL": "C"})
    (True, True)
    >>> only_ascii(io.StringIO(), {"LANG": "en_GB.UTF-8"})
    False
    """
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower()
    locale = next(filter(None, (environment.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    return not encoding.startswith("utf") or environment.get("TERM") == "dumb" or locale in ("C", "POSIX")
