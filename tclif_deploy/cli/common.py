"""What every command shares: the app, the two consoles, steps and progress bars, exit codes."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from tclif_deploy.errors import TclifError
from tclif_deploy.jit import on_compile
from tclif_deploy.progress import Progress, no_progress

OK, FELL_SHORT, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
"""exit codes"""

app = typer.Typer(
    name="tclif",
    help="Compile trained TC-LIF spiking networks for neuromorphic hardware, and prove that they still work.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console()
err = Console(stderr=True)


class Reporter:
    """Steps and progress bars on stderr: steps unless quiet (with the time if verbose), bars only on a terminal."""

    def __init__(self, quiet: bool, verbose: bool = False) -> None:
        self.quiet, self.verbose = quiet, verbose
        self.started = time.monotonic()
        self.bars: Bars | None = None

    @contextmanager
    def running(self) -> Iterator[Reporter]:
        """Show bars while the block runs, and say when it first compiles something for this CPU."""
        on_compile(self.say)
        if self.quiet or not err.is_terminal:
            yield self
            return
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bars(*columns, console=err, transient=True) as self.bars:
            yield self

    def say(self, line: str) -> None:
        """One step."""
        if not self.quiet:
            when = f"[{time.monotonic() - self.started:6.1f} s] " if self.verbose else ""
            err.print(escape(when + line), highlight=False, soft_wrap=True)

    def progress(self, title: str) -> Progress:
        """The callback that moves a bar of that title."""
        if self.bars is None:
            return no_progress
        bars, task = self.bars, self.bars.add_task(title, total=None)
        return lambda done, total: bars.update(task, completed=done, total=total)


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No steps, no progress bars.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say with each step how long it took so far.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
"""options of the same name mean the same in every command"""


UNRECORDED = ("output", "as_json", "quiet", "verbose", "debug")
"""parameters that change nothing in what is built"""


def command_line(context: typer.Context) -> str:
    """The command as it could be typed again: what the user gave, in the order of ``--help``."""
    words = ["tclif", str(context.info_name)]
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE" or name in UNRECORDED:
            continue
        value = context.params[name]
        if parameter.param_type_name == "argument":
            words.append(str(value))
        else:
            words += [max(parameter.opts, key=len), *([] if value is True else [str(value)])]
    return shlex.join(words)


def choice(option: str, value: str, known: tuple[str, ...]) -> Any:
    """``value`` if it is one of ``known``; else a `TclifError` that lists them."""
    if value not in known:
        raise TclifError(f"{option} is {value!r}", f"known: {', '.join(known)}")
    return value
