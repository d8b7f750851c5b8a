"""What is installed and whether it works, on a terminal."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console

from tclif_deploy.report.content import Level, Note
from tclif_deploy.report.terminal.blocks import show_blocks, show_text
from tclif_deploy.version import __version__

LEVELS: dict[str, Level] = {"equal": "good", "missing": "open"}


@dataclass(frozen=True)
class Dependency:
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
    detail: str
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether something that is installed does not work."""
        return self.result in ("DIFFERENT", "broken")


def print_dependencies(console: Console, dependencies: Iterable[Dependency], untested: str | None = None) -> None:
    """One line a dependency; for what is missing, the commands that install it, unwrapped.

    ``untested`` is said first.
    """
    show_text(console, f"tclif_deploy {__version__}, Python {platform.python_version()}")
    if untested:
        show_blocks(console, [Note(untested, "notice", "open")])
    for d in dependencies:
        if d.version is not None:
            show_blocks(console, [Note(f"{d.name} {d.version} ({d.purpose})", "installed", "good")])
        else:
            show_blocks(console, [Note(f"{d.name} ({d.purpose}); install it with:", "missing", "bad")])
            for command in d.commands:
                show_text(console, f"    {command}", whole=True)


def print_test(console: Console, test: SelfTest) -> None:
    """One line."""
    note = Note(f"{test.result}, {test.detail} ({test.seconds} s)", test.backend, LEVELS.get(test.result, "bad"))
    show_blocks(console, [note])
