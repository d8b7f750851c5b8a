"""How long work tells how far it is: callbacks, and the ones that show nothing."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""called with (done, total) as long work goes on"""
Bars = Callable[[str], Progress]
"""gives the callback of one piece of work, by its title"""
Say = Callable[[str], None]
"""called with one line for each step"""


def no_progress(done: int, total: int) -> None:
    """Show nothing."""


def no_bars(title: str) -> Progress:
    """Show nothing of any piece of work."""
    return no_progress


def say_nothing(line: str) -> None:
    """Show no step."""
