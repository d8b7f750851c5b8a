"""What a command prints: its result on stdout, as tables or JSON; steps and progress bars on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import Console
from rich.markup import escape

from tclif_deploy.errors import TclifError
from tclif_deploy.progress import Progress as Moved
from tclif_deploy.progress import no_progress
from tclif_deploy.settings import Named
from tclif_deploy.text import only_ascii, to_ascii

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from tclif_deploy.builds import Build

OK, FELL_SHORT, BAD_INPUT, INTERRUPTED, READER_GONE = 0, 1, 2, 130, 141
"""exit codes; the last is what a shell says of a program that SIGPIPE ends"""

out = Console()
err = Console(stderr=True)


class AsciiStream:
    """A text stream whose text is written in ASCII."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write ``text`` as `to_ascii` spells it."""
        self.stream.write(to_ascii(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def shown_characters() -> Iterator[None]:
    """While the block runs, what the standard streams cannot show is written in ASCII, from wherever it comes."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (AsciiStream(stream) if only_ascii(stream) else stream for stream in streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


_kept: list[Path] = []
"""what a command that is interrupted leaves, if it is there"""


def keeps(*paths: Path) -> None:
    """Say where a command keeps its work, from which the same command goes on after an interruption."""
    _kept[:] = paths


def interrupted_with() -> str:
    """What an interruption at this moment leaves."""
    kept = [str(path) for path in _kept if path.exists()]
    if not kept:
        return "nothing was written"
    return f"what is finished is kept in {' and '.join(kept)}; run the same command again to go on from there"


def say_damaged(*builds: Build) -> None:
    """A line on stderr for each file of a build that its tables and pages are made without."""
    for build in builds:
        for line in build.damaged:
            err.print(f"[yellow]note:[/] {escape(line)}", highlight=False, soft_wrap=True)


class Reporter:
    """Steps and progress bars on stderr: steps unless quiet (with the time if verbose), bars only on a terminal."""

    def __init__(self, quiet: bool, verbose: bool = False) -> None:
        self.quiet, self.verbose = quiet, verbose
        self.started = time.monotonic()
        self.bars: Bars | None = None

    @contextmanager
    def running(self) -> Iterator[Reporter]:
        """Show bars while the block runs, and say when it first compiles something for this CPU."""
        from tclif_deploy.jit import on_compile

        on_compile(self.say)
        if self.quiet or not err.is_terminal:
            yield self
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=err, transient=True) as self.bars:
            yield self

    def say(self, line: str) -> None:
        """One step."""
        if not self.quiet:
            when = f"[{time.monotonic() - self.started:6.1f} s] " if self.verbose else ""
            err.print(escape(when + line), highlight=False, soft_wrap=True)

    def progress(self, title: str) -> Moved:
        """The callback that moves a bar of that title."""
        if self.bars is None:
            return no_progress
        bars, task = self.bars, self.bars.add_task(title, total=None)
        return lambda done, total: bars.update(task, completed=done, total=total)


@dataclass(frozen=True)
class Printed:
    """How a command's result is printed."""

    as_json: Annotated[bool, Named("--json")] = False
    """print JSON instead of tables, and no steps without --verbose"""

    def result(self, value: Any, *tables: Callable[[], None]) -> None:
        """Print ``value`` as JSON, or else what prints it as tables."""
        if self.as_json:
            from tclif_deploy import json_form

            sys.stdout.write(json_form.text_of(value))
            return
        for table in tables:
            table()


@dataclass(frozen=True)
class Steps:
    """Steps and progress."""

    quiet: bool = False
    """no steps, no progress bars"""
    verbose: bool = False
    """say with each step how long it took so far"""

    def __post_init__(self) -> None:
        if self.quiet and self.verbose:
            raise TclifError("quiet and --verbose were both given", "choose one")

    @property
    def silent(self) -> bool:
        """Whether steps are left out."""
        return self.quiet

    def running(self) -> AbstractContextManager[Reporter]:
        """Steps and bars while a block runs."""
        return Reporter(self.silent, self.verbose).running()


@dataclass(frozen=True)
class Output(Steps, Printed):
    """What the command prints."""

    @property
    def silent(self) -> bool:
        """Whether steps are left out."""
        return self.quiet or (self.as_json and not self.verbose)
