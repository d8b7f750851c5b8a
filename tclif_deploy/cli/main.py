"""The command line: parses, calls and prints. ``tclif-compile`` is ``tclif compile``."""

from __future__ import annotations

import signal
import sys
import warnings
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from rich.markup import escape
from threadpoolctl import threadpool_limits

from tclif_deploy.cli.options import app
from tclif_deploy.cli.output import BAD_INPUT, FELL_SHORT, INTERRUPTED, OK, err, out
from tclif_deploy.errors import TclifError, one_line
from tclif_deploy.version import __version__

COMMANDS = (
    "compile", "show", "report", "verify", "fuzz", "simulate", "explain", "inspect", "check", "cost", "sweep",
    "finetune", "train", "export", "targets", "doctor",
)  # fmt: skip
"""in the order of use: the main job, what its build is good for, what comes before and after it"""

for name in COMMANDS:  # each registers itself
    import_module(f"tclif_deploy.cli.{name}")

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


def run(argv: list[str]) -> int:
    """Run the command line and return its exit code; errors become one line on stderr."""
    debug = "--debug" in argv

    def stop(signum: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        # our matrices are small: numpy's threads would wait for each other, for minutes where the machine is busy
        with threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
            if not debug:  # what overflows is refused by name where it matters; numpy's lines help nobody
                warnings.simplefilter("ignore", RuntimeWarning)
            code = app(argv, standalone_mode=False, prog_name="tclif")
        if code == INTERRUPTED:  # newer typer's way to say Abort
            raise KeyboardInterrupt
        return code if isinstance(code, int) else OK
    except (KeyboardInterrupt, typer.Abort):
        err.print("interrupted: nothing was written", highlight=False)
        return INTERRUPTED
    except UsageError as error:
        command = f"tclif {error.ctx.info_name} --help" if error.ctx and error.ctx.parent else "tclif --help"
        return _fail(error.format_message(), f"see {command}", debug)
    except UserError as error:
        return _fail(error.format_message(), None, debug)
    except TclifError as error:
        return _fail(str(error), None, debug)
    except BrokenPipeError:
        sys.stderr.close()
        return FELL_SHORT
    except MemoryError:
        return _fail("not enough memory", "use fewer samples at once (--samples)", debug)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.filename is not None:  # a path that is too long, forbidden, gone
            return _fail(f"{error.filename}: cannot be used ({error.strerror})", "check the path", debug)
        return _fail(f"internal error: {type(error).__name__}: {error}", "run again with --debug and report it", debug)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _fail(what: str, hint: str | None, debug: bool) -> int:
    if debug:
        err.print_exception()
    line = one_line(" ".join((f"{what.rstrip('.')}; {hint}" if hint else what).split()))
    err.print(f"[bold red]error:[/] {escape(line)}", highlight=False, soft_wrap=True)
    return BAD_INPUT


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:]))
