"""Tables of long work as CSV files: rows come one by one, and an interrupted job goes on with those that are there."""

from __future__ import annotations

import csv
import io
import types
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from tclif_deploy.errors import TclifError, reason_of
from tclif_deploy.files import file_size
from tclif_deploy.outputs import write_file

T = TypeVar("T")
HINT = "choose another --output"


def read_rows(form: type[T], path: Path, command: str) -> Iterator[T]:
    """Rows, dataclasses ``form`` of texts and numbers, of a CSV file that ``command`` wrote; a last line that an
    interruption cut is left out.

    Raises `TclifError` for any other file.
    """
    kinds = {name: _kind(hint) for name, hint in get_type_hints(form).items()}
    names = [field.name for field in fields(form)]  # type: ignore[arg-type]
    try:
        file_size(path, HINT)
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames != names:
                raise TclifError(f"{path}: not a table of {command}", HINT)
            for line in reader:
                if None in line.values():
                    continue
                if None in line:
                    raise ValueError(f"line {reader.line_num} has more columns than the first")
                yield form(**{name: _parse(kinds[name], text) for name, text in line.items()})
    except (OSError, ValueError, csv.Error) as error:
        raise TclifError(f"{path}: cannot be read ({reason_of(error)})", HINT) from error


def write_rows(form: type[Any], path: Path, rows: Iterable[Any]) -> None:
    """The table, written whole: an interruption leaves this one or the one before. A table that is the same stays."""
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, [field.name for field in fields(form)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if value is None else value for key, value in asdict(row).items()})
    content = table.getvalue().encode()
    if not path.exists() or path.read_bytes() != content:
        write_file(path, content, parents=True)


def _kind(hint: Any) -> Any:
    """The type of a field that may be None."""
    return (
        next(kind for kind in get_args(hint) if kind is not type(None)) if isinstance(hint, types.UnionType) else hint
    )


def _parse(kind: Any, text: str) -> Any:
    if kind is str:
        return text
    return None if text == "" else kind(text)
