"""Damage to JSON and TOML: what is parsed is changed by its kind and written again, or the text itself is."""

from __future__ import annotations

import copy
import json
import tomllib
from typing import Any

import numpy as np

Rng = np.random.Generator

ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 7, 33, 64, 0.5, -0.0, 1e-320, 1e-30, 1e29, 1e30, 1e308, -1e308, float("nan"),
    float("inf"), -float("inf"), 2**31, 2**53 + 1, 2**62, 2**63 - 1, -(2**63), 2**70, "", "x", "soft", "hard",
    "input", "nowhere", "a\nb", "\x1b[31mred", "../../outside", "/etc/passwd", "a/b", "nul\0", "\ud800", "<b>", "é",
    "層", "\u202e", "x" * 5000, "nan", "1e999", [], {}, [[]], [1, 2, 3, 4], [None], {"x": 1}, [[[[0]]]], [0] * 3000,
)  # fmt: skip
"""values that stand where others are expected"""
DEEP = "[" * 100_000


def pick(rng: Rng, items: Any) -> Any:
    """One of ``items``, as it is: numpy's own choice would make arrays of them."""
    return items[int(rng.integers(len(items)))]


def odd(rng: Rng) -> Any:
    """One of `ODD`, and a new one each time: what follows may change it."""
    return copy.deepcopy(pick(rng, ODD))


def places(value: Any) -> list[tuple[Any, Any]]:
    """(holder, key) of everything in plain values."""
    spots: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        holder = pending.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        spots += [(holder, key) for key in keys]
        pending += [holder[key] for key in keys]
    return spots


def change_values(value: Any, rng: Rng) -> Any:
    """One or two values changed by their kind: missing, twice there, renamed, exchanged, nudged, or of another kind."""
    for _ in range(1 if rng.random() < 0.8 else 3):
        spots = places(value)
        if not spots:
            return odd(rng)
        holder, key = pick(rng, spots)
        kind = pick(rng, ("put", "put", "put", "near", "near", "delete", "more", "rename", "exchange", "wrap", "many"))
        if kind == "delete":
            del holder[key]
        elif kind == "more" and isinstance(holder, dict):
            holder[f"{key}{pick(rng, ('x', '', ' ', 'é'))}"] = odd(rng)
        elif kind == "more":
            holder.append(holder[key])
        elif kind == "rename" and isinstance(holder, dict):
            holder[pick(rng, ("x", "", "é", "x" * 3000, "../x", "a\nb", str(key).upper()))] = holder.pop(key)
        elif kind == "exchange":
            other, there = pick(rng, spots)
            if not isinstance(other[there], (dict, list)) and not isinstance(holder[key], (dict, list)):  # no circles
                other[there], holder[key] = holder[key], other[there]
        elif kind == "wrap":
            holder[key] = pick(rng, ([holder[key]], {str(key): holder[key]}, [holder[key]] * 3))
        elif kind == "many" and isinstance(holder[key], list) and holder[key]:
            holder[key] = holder[key] * 50
        elif kind == "near":
            holder[key] = near(holder[key], rng)
        else:
            holder[key] = odd(rng)
    return value


def near(value: Any, rng: Rng) -> Any:
    """A value of the same kind that may still be a wrong one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        if value != value or abs(value) > 1e300:
            return 0
        return type(value)(pick(rng, (value + 1, value - 1, -value, 2 * value, value * 1000, value // 2, 0)))
    if isinstance(value, str):
        return pick(rng, (value + "x", value[:-1], value.upper(), f" {value}", value * 30, f"{value}\\n"))
    return odd(rng) if not value else type(value)()


# --- JSON


def json_value(content: bytes, rng: Rng) -> bytes:
    """Valid JSON with a value changed."""
    return json.dumps(change_values(json.loads(content), rng), ensure_ascii=rng.random() < 0.9).encode(
        "utf-8", "surrogatepass"
    )


def json_deep(content: bytes, rng: Rng) -> bytes:
    """Valid JSON with a value nested far."""
    value = json.loads(content)
    spots = places(value)
    if not spots:
        return DEEP.encode()
    holder, key = pick(rng, spots)
    holder[key] = "DEEP"
    depth = pick(rng, (63, 70, 300, 100_000))
    left, right = pick(rng, (("[", "]"), ('{"a":', "}")))
    return json.dumps(value).replace('"DEEP"', left * depth + "0" + right * depth).encode()


def json_text(content: bytes, rng: Rng) -> bytes:
    """JSON of some editor, or of some other reader's rules: comments, other encodings, a key twice, long digits."""
    text = content.decode()
    kind = pick(rng, ("bom", "utf-16", "latin-1", "comment", "comma", "twice", "digits", "escape", "single", "tail"))
    if kind == "bom":
        return b"\xef\xbb\xbf" + content
    if kind in ("utf-16", "latin-1"):
        return text.replace("e", "é", 3).encode(kind)
    if kind == "single":
        return text.replace('"', "'").encode()
    at = [n for n, c in enumerate(text) if c in {"comment": "{[", "comma": "}]", "twice": "{"}.get(kind, '":')]
    place = pick(rng, at) if at else 0
    if kind == "comment":
        return f"{text[: place + 1]}// why\n{text[place + 1 :]}".encode()
    if kind == "comma":
        return f"{text[:place]},{text[place:]}".encode()
    if kind == "twice":
        key = text[place + 1 :].split(":")[0].strip() or '"x"'
        return f"{text[: place + 1]}{key}: 1, {text[place + 1 :]}".encode()
    if kind == "tail":
        return content + pick(rng, (b"\0", b"{}", b"]", b"\n\n"))
    filler = {"digits": pick(rng, ("9" * 5000, "1e999", "-0", "1.5e-999", "0x10", "+1")), "escape": '"\\ud800\\u0000"'}
    return (text[: place + 1] + filler[kind] + text[place + 1 :]).encode()


# --- TOML


def toml_value(content: bytes, rng: Rng) -> bytes:
    """Valid TOML with a value changed; some changes make what TOML cannot say, and leave a text that is none."""
    return toml_of(change_values(tomllib.loads(content.decode()), rng)).encode("utf-8", "surrogatepass")


def toml_of(values: Any) -> str:
    """Plain values as TOML: one line for each key, tables in braces."""
    if not isinstance(values, dict):
        return f"x = {_toml(values)}\n"
    return "".join(f"{json.dumps(str(key))} = {_toml(value)}\n" for key, value in values.items())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(str(key))} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=isinstance(value, str) and "\ud800" not in value)


def toml_line(content: bytes, rng: Rng) -> bytes:
    """A line of a TOML file changed, missing, twice there, or with another value in it."""
    lines = content.decode().split("\n")
    place = int(rng.integers(len(lines)))
    values = ('"x"', "-1", "0", "1e308", "nan", "inf", "true", "[]", "{}", "2020-13-45", "2020-01-01", '"../x"',
              '"a\\nb"', '"\\u0000"', "[" * 5000, "9" * 5000, "0x7fffffffffffffff", '"' + "x" * 5000 + '"', "[1, 2]",
              '"""a\nb"""', "07:32:00", "{ value = 1 }", "1_0", "[{}, {}]")  # fmt: skip
    value = pick(rng, values)
    kind = pick(rng, ("value", "value", "value", "inner", "delete", "twice", "key", "name", "table", "text"))
    if kind == "delete":
        del lines[place]
    elif kind == "twice":
        lines.insert(place, lines[place])
    elif kind == "key":
        lines.insert(place, f"{'x' * pick(rng, (1, 3000))} = {value}")
    elif kind == "name":
        lines.insert(0, f"{pick(rng, ('name', 'inherits', 'description', 'backend'))} = {value}")
    elif kind == "table":
        lines.insert(place, pick(rng, ("[weight_bits]", "[[weight_bits]]", "[a.b.c]", "[" + "a." * 500 + "a]", "[]")))
    elif kind == "text":
        return pick(rng, (b"\xef\xbb\xbf" + content, content.decode().encode("utf-16"), content.replace(b"\n", b"\r")))
    elif kind == "inner" and "value = " in lines[place]:
        lines[place] = lines[place].split("value = ")[0] + f"value = {value} }}"
    else:
        lines[place] = lines[place].split("=")[0] + f"= {value}"
    return "\n".join(lines).encode()
