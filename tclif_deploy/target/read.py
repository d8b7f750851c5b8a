"""Targets: what a machine can hold, as data. One TOML file each, every number with unit, source and evidence.

A limit is a table with ``value``, ``source`` and ``evidence`` (the unit is the schema's, and may be repeated), or
a bare value, which then is ``assumed``. ``inherits`` names a shipped target or a file; what the file states itself
replaces the inherited limit, and ``"unlimited"`` removes it.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tclif_deploy.arguments import checked
from tclif_deploy.errors import TclifError
from tclif_deploy.files import as_path, read_toml
from tclif_deploy.target.proof import UNLIMITED, Comparison, Proof, take_back
from tclif_deploy.target.schema import CAUSES, MOST_NAME, UNITS, Limit, Target

HINT = "see targets/loihi2.toml for the form"
MAX_BYTES = 1 << 20
MAX_PROBLEMS = 5
"""more than this many are counted, not listed"""
PLAIN = ("name", "description", "backend", "device", "figures")
"""keys that are text, not limits"""

Lines = dict[tuple[str, ...], str]
"""key path -> "file:line" """


def targets_folder() -> Path:
    """Where the shipped target files are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "targets"
    return inside if inside.is_dir() else package.parent / "targets"


def known_targets() -> tuple[str, ...]:
    """Names of the shipped targets, sorted."""
    return tuple(sorted(path.stem for path in targets_folder().glob("*.toml")))


@checked
def load_target(target: str | Path) -> Target:
    """Read a shipped target by name, or any ``.toml`` by path.

    Raises `TclifError` for an unknown name (with the nearest known one) and for a file that is not a target: every
    problem is named with file, line and key.

    Examples
    --------
    >>> from tclif_deploy import load_target
    >>> limit = load_target("loihi2").state_bits
    >>> limit.value, limit.unit, limit.evidence
    (24, 'bit', 'vendor')
    """
    path = _path(as_path(target, "expected a Target, the name of one, or the path of a .toml"))
    data, lines = _read(path, (), shipped=Path(target).suffix != ".toml")
    return build(data, str(path), lines)


@checked
def as_target(target: Target | str | Path) -> Target:
    """``target`` itself, or what `load_target` reads by its name or path."""
    return target if isinstance(target, Target) else load_target(target)


def shipped_origin(target: Target | str | Path) -> Target | None:
    """The shipped target of which ``target`` is a changed one: that its file inherits, through others, or that of its
    name; None where there is none, or where it is shipped itself."""
    if isinstance(target, Target):
        name = target.name
    else:
        path, name = _path(target), ""
        if Path(target).suffix != ".toml":
            return None
        while name not in known_targets():
            own, _ = read_toml(path, HINT, MAX_BYTES)
            name = str(own.get("inherits", ""))
            if not name.endswith(".toml"):
                break
            path = _path(name, path.parent)
    return load_target(name) if name in known_targets() else None


def build(data: dict[str, Any], where: str, lines: Lines | None = None) -> Target:
    """A `Target` from plain values (such as a manifest's), or a `TclifError` that lists every problem."""
    try:
        return Target.model_validate(data)
    except ValidationError as error:
        problems = [line for item in error.errors() for line in _problems(item, where, lines or {})]
    # a mistake of form hides no other: all are told at once
    shown = problems[:MAX_PROBLEMS]
    if len(problems) > MAX_PROBLEMS:
        shown.append(f"and {len(problems) - MAX_PROBLEMS} more")
    raise TclifError("; ".join(shown), HINT)


def _path(target: str | Path, folder: Path | None = None) -> Path:
    """The file of a shipped target's name, or of a path (relative to ``folder``)."""
    path = Path(target)
    if path.suffix == ".toml":
        return path if folder is None else folder / path
    if str(target) not in known_targets():
        near = difflib.get_close_matches(str(target).lower(), known_targets(), 1, 0.4)
        suggestion = f"did you mean {near[0]}? " if near else ""
        raise TclifError(
            f"target {str(target)!r} is not known",
            f"{suggestion}known: {', '.join(known_targets())}, or give a file ending in .toml",
        )
    return targets_folder() / f"{target}.toml"


def _read(path: Path, above: tuple[Path, ...], shipped: bool) -> tuple[dict[str, Any], Lines]:
    """A file's values over those that it inherits, and where each stands; ``above`` are the files that led here."""
    place = Path(os.path.realpath(path))  # `Path.resolve` has an exception of its own for links in a circle
    if place in above:
        circle = " inherits ".join(p.name for p in (*above, place))
        raise TclifError(f"{path}: inherits itself ({circle})", "a target can inherit only from one that does not")
    known = f"known targets: {', '.join(known_targets())}"
    own, text = read_toml(path, HINT if path.is_file() else known, MAX_BYTES)
    lines = {keys: f"{path}:{line}" for keys, line in _lines(text).items()}
    parent = own.pop("inherits", None)
    if parent is None:
        return {key: _limit(key, value, path, lines) for key, value in own.items()}, lines
    where = lines.get(("inherits",), str(path))
    if not isinstance(parent, str):
        raise TclifError(f"{where}: inherits is {parent!r:.60}", "expected the name of a target, or a .toml file")
    try:
        base = _path(parent, path.parent)
        data, inherited = _read(base, (*above, place), Path(parent).suffix != ".toml")
    except TclifError as error:
        raise (
            error
            if not error.what.startswith("target ")
            else TclifError(f"{where}: inherits: {error.what}", error.hint)
        ) from None
    if "proof" not in own:
        take_back(data, own)
    for key, value in own.items():
        if value == UNLIMITED and key not in PLAIN:
            data.pop(key, None)
            continue
        data[key] = _limit(key, value, path, lines)
    data["name"] = own.get("name", re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem)[:MOST_NAME])
    kept = {keys: line for keys, line in inherited.items() if keys[0] not in own}
    return data, {**kept, **lines}


def _limit(key: str, value: Any, path: Path, lines: Lines) -> Any:
    """A file's value as the schema wants it: a table, with the unit filled in."""
    if key in PLAIN or key not in UNITS:
        return value
    if not isinstance(value, dict):
        where = lines.get((key,), str(path))
        return {"value": value, "unit": UNITS[key], "source": f"stated without a source in {where}",
                "evidence": "assumed"}  # fmt: skip
    if value.get("unit", UNITS[key]) != UNITS[key]:
        where = lines.get((key, "unit"), lines.get((key,), str(path)))
        raise TclifError(f"{where}: {key}: unit is {value['unit']!r:.40}, expected {UNITS[key]!r}", HINT)
    return {**value, "unit": UNITS[key]}


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Line number of every table and key of a target file."""
    line_of: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([\w-]+(?:\s*\.\s*[\w-]+)*)\s*\]", line):
            table = tuple(part.strip() for part in header[1].split("."))
            line_of.setdefault(table, number)
        elif key := re.match(r"\s*([\w-]+)(?:\s*\.\s*([\w-]+))?\s*=\s*(\{.*)?", line):
            keys = (*table, *(part for part in key.groups()[:2] if part))
            line_of.setdefault(keys, number)
            for inner in re.findall(r"[{,]\s*([\w-]+)\s*=", key[3] or ""):
                line_of.setdefault((*keys, inner), number)
    return line_of


def _table(keys: tuple[str, ...]) -> type[BaseModel]:
    """The table in which the last of ``keys`` stands."""
    if keys[0] != "proof":
        return Limit
    return Comparison if keys[1] == "compared" else Proof


def _line_of(key: str, message: str, where: str, lines: Lines) -> str:
    """Where a contradiction was made: at ``key``, or at another of its causes, the file's own lines before those of
    what it inherits."""
    causes = (key, *CAUSES.get(key, ()), *(word for word in re.findall(r"\w+", message) if word in Target.model_fields))
    found = [lines[each,] for each in causes if (each,) in lines]
    return next((line for line in found if line.startswith(f"{where}:")), found[0] if found else where)


def _problems(item: Any, where: str, lines: Lines) -> list[str]:
    """What pydantic found, in sentences: where, which key, what is wrong, and what stands there."""
    if item["type"] == "value_error":  # contradictions between numbers, each with the key of one of them
        contradictions = [line.partition("\0") for line in str(item["ctx"]["error"]).splitlines()]
        return [f"{_line_of(key, message, where, lines)}: {key}: {message}" for key, _, message in contradictions]
    keys = tuple(str(part) for part in item["loc"])
    given_value = f" (got {item['input']!r:.60})"
    message: str = item["msg"]
    if item["type"] == "extra_forbidden":
        known = [*Target.model_fields, "inherits"] if len(keys) == 1 else list(_table(keys).model_fields)
        near = difflib.get_close_matches(keys[-1], known, 1, 0.4)
        given_value, message = (
            "",
            "unknown key" + (f", did you mean {near[0]}?" if near else f", known: {', '.join(known)}"),
        )
    elif item["type"] == "missing":
        given_value, message = "", "missing" if len(keys) > 1 else "missing: every target states or inherits it"
    elif item["type"] == "literal_error":
        message = f"expected {item['ctx']['expected']}"
    at = next((lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in lines), where)
    return [f"{at}: {'.'.join(keys)}: {message}{given_value}"]
