"""Tables of long work as CSV files: rows come one by one, and an interrupted job goes on with those that are there."""

from __future__ import annotations

import csv
import io
import types
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from tclif_deploy.errors import TclifError, reason_of
from tclif_deploy.files import file_size
from tclif_deploy.outputs import make_folder, one_at_a_time, write_file

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
                values = {name: _parse(kinds[name], text) for name, text in line.items()}
                try:
                    yield form(**values)
                except TclifError as error:
                    raise TclifError(f"{path}: line {reader.line_num}: {error.what}", HINT) from None
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


class KeptRows(Generic[T]):
    """Rows of a table that several commands may fill at the same time: each writing keeps what others wrote.

    ``key`` tells one row from another, and ``check`` raises `TclifError` for a row that is another job's.
    """

    def __init__(
        self, form: type[T], path: Path, command: str, key: Callable[[T], Hashable], check: Callable[[T], None]
    ) -> None:
        self.form, self.path, self.command, self.key, self.check = form, path, command, key, check
        self.rows: dict[Hashable, T] = {}
        self._seen: tuple[int, ...] | None = None
        self._read()

    def put(self, row: T) -> None:
        """Keep a row."""
        self.save([row])

    def save(self, more: Iterable[T] = (), last: Sequence[Hashable] = ()) -> None:
        """Write the table with ``more`` rows; those of the keys ``last`` stand at its end, in that order."""
        make_folder(self.path.parent)
        with one_at_a_time(self.path):
            self._read()
            for row in more:
                self.rows[self.key(row)] = row
            for name in dict.fromkeys(last):
                self.rows[name] = self.rows.pop(name)
            if self.rows:
                write_rows(self.form, self.path, self.rows.values())
                self._seen = self._stamp()

    def _read(self) -> None:
        """Take in what another process wrote since."""
        stamp = self._stamp()
        if stamp is None or stamp == self._seen:
            return
        for row in read_rows(self.form, self.path, self.command):
            self.check(row)
            self.rows.setdefault(self.key(row), row)
        self._seen = stamp

    def _stamp(self) -> tuple[int, ...] | None:
        """What changes with every writing; None where there is no file."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def _kind(hint: Any) -> Any:
    """The type of a field that may be None."""
    return (
        next(kind for kind in get_args(hint) if kind is not type(None)) if isinstance(hint, types.UnionType) else hint
    )


def _parse(kind: Any, text: str) -> Any:
    if kind is str:
        return text
    return None if text == "" else kind(text)
