"""The command line: parses, calls and prints. ``tclif-compile`` is ``tclif compile``."""

from __future__ import annotations

import errno
import os
import platform
import sys
from typing import Annotated, Any

import typer
from rich.markup import escape
from threadpoolctl import threadpool_limits

from tclif_deploy.cli.commands import app
from tclif_deploy.cli.interruption import Interruption
from tclif_deploy.cli.output import (
    BAD_INPUT,
    INTERRUPTED,
    OK,
    READER_GONE,
    err,
    interrupted_with,
    keeps,
    out,
    shown_characters,
)
from tclif_deploy.cli.usage import refused
from tclif_deploy.errors import TclifError, one_line
from tclif_deploy.outputs import on_recovery
from tclif_deploy.version import __version__

DISK = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EROFS", "EIO", "EMFILE", "ENFILE", "ESTALE", "ENOENT")}
"""what a disk, or whoever else works on it, can do at any moment, wherever we are"""
DISK_HINT = "the disk, or another process on it: try again, or elsewhere"

# typer brings click along as a dependency or as a part of itself, by version: reach its classes through typer
UsageError: Any
UserError: Any
UsageError, UserError = typer.BadParameter.__mro__[1:3]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Compile trained TC-LIF spiking networks for neuromorphic hardware, and prove that they still work."""
    if version:
        out.print(__version__, highlight=False)
        raise typer.Exit


def run(argv: list[str], *, last: bool = False) -> int:
    """Run the command line and return its exit code; errors become one line on stderr.

    ``last``: the process ends with it, so that signals stay unheard from then on.
    """
    with shown_characters():
        try:
            return _run(argv, last)
        except (BrokenPipeError, SystemExit) as error:
            if not isinstance(error.__context__ or error, BrokenPipeError):
                raise
            # rich and typer make an exit with 1 of it, which would say that a network falls short
            _hush()
            return READER_GONE


def _run(argv: list[str], last: bool) -> int:
    debug = "--debug" in argv
    interruption = Interruption()
    interruption.listen()
    on_recovery(lambda line: err.print(f"notice: {line}", highlight=False, markup=False, soft_wrap=True))
    keeps()
    try:
        # our matrices are small: numpy's threads would wait for each other, for minutes where the machine is busy
        with threadpool_limits(1, user_api="blas"):
            code = interruption.stoppable(lambda: app(argv or ["--help"], standalone_mode=False, prog_name="tclif"))
        if code == INTERRUPTED:  # newer typer's way to say Abort
            raise KeyboardInterrupt
        return code if isinstance(code, int) else OK
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except Exception as error:
        if interruption.came:  # pydantic's core, rmtree and others make another error of it
            return _interrupted()
        return _failed(error, debug)
    finally:
        interruption.end(ignore=last)


def _interrupted() -> int:
    try:
        err.print(f"interrupted: {interrupted_with()}", highlight=False, soft_wrap=True)
    except (OSError, SystemExit):  # the terminal has closed, or who read was interrupted too
        _hush()
    return INTERRUPTED


def _hush() -> None:
    """Let what is still to be written go nowhere: nobody reads."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


def _failed(error: Exception, debug: bool) -> int:
    """Say in one line what went wrong; called while ``error`` is handled."""
    if isinstance(error, UsageError):
        command = f"tclif {error.ctx.info_name} --help" if error.ctx and error.ctx.parent else "tclif --help"
        return _fail(refused(error), f"see {command}", debug)
    if isinstance(error, UserError):
        return _fail(error.format_message(), None, debug)
    if isinstance(error, TclifError):
        return _fail(str(error), None, debug)
    if isinstance(error, MemoryError):
        return _fail("not enough memory", "use fewer samples at once (--samples)", debug)
    if isinstance(error, OSError) and error.errno in DISK:
        place = "" if error.filename is None else f"{error.filename}: "
        return _fail(f"{place}{error.strerror}", DISK_HINT, debug)
    if debug:
        raise error
    where = f"tclif_deploy {__version__}, Python {platform.python_version()}, {platform.system()}"
    return _fail(
        f"internal error: {type(error).__name__}: {error} ({where})",
        "our fault: report this line, the command and what it prints with --debug, as docs/security.md says",
        debug,
    )


def _fail(problem: str, hint: str | None, debug: bool) -> int:
    if debug:
        err.print_exception()
    line = one_line(" ".join((f"{problem.rstrip('.')}; {hint}" if hint else problem).split()))
    err.print(f"[bold red]error:[/] {escape(line)}", highlight=False, soft_wrap=True)
    return BAD_INPUT


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:], last=True))
