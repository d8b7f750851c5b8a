"""Frozen dataclasses as JSON files: written, read with one-line errors, and their schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tclif_deploy.errors import TclifError

T = TypeVar("T")

EXACT = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
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
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def read(form: type[T], path: Path, hint: str) -> T:
    """The dataclass ``form`` as a file holds it. Raises `TclifError`, which names the first thing that is wrong."""
    try:
        value: T = _adapter(form).validate_json(path.read_bytes(), strict=True)
        return value
    except FileNotFoundError:
        raise TclifError(f"{path}: file not found", hint) from None
    except OSError as error:
        raise TclifError(f"{path}: cannot be read ({error.strerror})", hint) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise TclifError(f"{path}: {f'{where}: ' if where else ''}{first['msg']:.200}", hint) from None
    except TclifError as error:  # a class of ours refused its numbers
        raise TclifError(f"{path}: {error.what}", hint) from None


def schema(form: type[Any]) -> dict[str, Any]:
    """The JSON schema of ``form``'s file. Classes are described by their docstrings, less the examples in Python."""
    found: dict[str, Any] = _adapter(form).json_schema(by_alias=True, mode="serialization")
    for described in (found, *found.get("$defs", {}).values()):
        if "description" in described:
            described["description"] = described["description"].partition("\n\nExamples\n--------\n")[0]
    return found
