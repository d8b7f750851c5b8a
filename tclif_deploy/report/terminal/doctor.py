"""What is installed and whether it works, on a terminal."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console

from tclif_deploy.report.content import Level, Note
from tclif_deploy.report.terminal.blocks import show_blocks
from tclif_deploy.version import __version__

LEVELS: dict[str, Level] = {"equal": "good", "missing": "open"}


@dataclass(frozen=True)
class Part:
    """A package, and what to type where it is missing."""

    name: str
    purpose: str
    version: str | None
    """None where it is not installed"""
    commands: tuple[str, ...]


@dataclass(frozen=True)
class SelfTest:
    """One backend against the reference on a small network."""

    backend: str
    result: str
    """``equal``, ``DIFFERENT``, ``missing`` or ``broken``"""
    says: str
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether something that is installed does not work."""
        return self.result in ("DIFFERENT", "broken")


def print_parts(console: Console, parts: Iterable[Part], untested: str | None = None) -> None:
    """One line a part; for what is missing, the commands that install it. ``untested`` is said of the machine."""
    notes = [Note(f"tclif_deploy {__version__}, Python {platform.python_version()}")]
    notes += [Note(untested, "note", "open")] if untested else []
    for part in parts:
        if part.version is not None:
            notes.append(Note(f"{part.name} {part.version} ({part.purpose})", "installed", "good"))
        else:
            notes.append(Note(f"{part.name} ({part.purpose}); install it with:", "missing", "bad"))
            notes += [Note(f"    {command}") for command in part.commands]
    show_blocks(console, notes, whole_lines=True)


def print_test(console: Console, test: SelfTest) -> None:
    """One line."""
    note = Note(f"{test.result}, {test.says} ({test.seconds} s)", test.backend, LEVELS.get(test.result, "bad"))
    show_blocks(console, [note], whole_lines=True)
