"""Frozen dataclasses as JSON files: written, read with one-line errors, and their schema."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tclif_deploy.errors import TclifError, reason_of
from tclif_deploy.files import parse_json, read_bytes

T = TypeVar("T")

EXACT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""for ``__pydantic_config__`` of a class whose file holds its fields and nothing else"""


_adapters: dict[Any, TypeAdapter[Any]] = {}
"""by class: making one takes milliseconds"""


def _adapter(form: Any) -> TypeAdapter[Any]:
    if form not in _adapters:
        _adapters[form] = TypeAdapter(form)
    return _adapters[form]


def plain(value: Any) -> Any:
    """``value``, a dataclass, as plain JSON values under the keys of its file."""
    return _adapter(type(value)).dump_python(value, mode="json", by_alias=True)


def text_of(value: Any) -> str:
    """JSON text of a dataclass or of plain values, in their own order; NaN and infinity are refused."""
    value = plain(value) if hasattr(value, "__dataclass_fields__") else value
    try:
        return json.dumps(value, indent=2, allow_nan=False) + "\n"
    except ValueError as error:
        raise TclifError(
            f"a figure is infinite, or no number ({error})", "are the values of the data too large?"
        ) from None


def read(form: type[T], path: Path, hint: str, later: Collection[str] = ()) -> T:
    """The dataclass ``form`` as a file holds it; keys ``later`` than the file take their defaults.

    Raises `TclifError`, which names the first thing that is wrong.
    """
    text = read_bytes(path, hint)
    value = parse(form, text, str(path), hint)
    missing = _missing(plain(value), json.loads(text), later)
    if missing:
        raise TclifError(f"{path}: {missing}: missing", hint)
    return value


def _missing(complete: Any, given: Any, later: Collection[str]) -> str | None:
    """The first key that `text_of` would have written, and that is not in a file, but for those that are ``later``."""
    items: Any = ()
    if isinstance(complete, dict):
        absent = next((key for key in complete if key not in given and key not in later), None)
        if absent is not None:
            return str(absent)
        items = ((key, value, given[key]) for key, value in complete.items() if key in given)
    elif isinstance(complete, list):
        items = ((n, *pair) for n, pair in enumerate(zip(complete, given, strict=True)))
    places = ((key, _missing(value, other, later)) for key, value, other in items)
    return next((f"{key}.{place}" for key, place in places if place), None)


def parse(form: type[T], text: bytes | str, where: str, hint: str) -> T:
    """The dataclass ``form`` as JSON holds it: types, ranges and depth are checked, and nothing is converted.

    Raises `TclifError`, which begins with ``where`` and names the first thing that is wrong.
    """
    try:
        parse_json(text)
    except ValueError as error:
        raise TclifError(f"{where}: is not JSON ({reason_of(error)})", hint) from None
    try:
        value: T = _adapter(form).validate_json(text, strict=True)
        return value
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise TclifError(f"{where}: {f'{place}: ' if place else ''}{first['msg']:.200}", hint) from None
    except TclifError as error:  # a class of ours refused its numbers
        raise TclifError(f"{where}: {error.what}", hint) from None


def schema(form: type[Any]) -> dict[str, Any]:
    """The JSON schema of ``form``'s file. Classes are described by their docstrings, less the examples in Python."""
    EXACT["use_attribute_docstrings"] = True  # only here: to find them, the source of each class is parsed
    try:
        made: dict[str, Any] = TypeAdapter(form).json_schema(by_alias=True, mode="serialization")
    finally:
        del EXACT["use_attribute_docstrings"]
    for described in (made, *made.get("$defs", {}).values()):
        if "description" in described:
            described["description"] = described["description"].partition("\n\nExamples\n--------\n")[0]
    return made
