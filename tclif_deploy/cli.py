"""The command line: parses, calls and prints. ``tclif-compile`` is ``tclif compile``."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import click
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

import tclif_deploy
from tclif_deploy.errors import TclifError
from tclif_deploy.network import Progress

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
    """Numbered steps and progress bars on stderr: steps unless quiet, bars only on a terminal."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.bars: Bars | None = None

    @contextmanager
    def running(self) -> Iterator[Reporter]:
        """Show bars while the block runs."""
        if self.quiet or not err.is_terminal:
            yield self
            return
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bars(*columns, console=err, transient=True) as self.bars:
            yield self

    def say(self, line: str) -> None:
        """One step."""
        if not self.quiet:
            err.print(escape(line), highlight=False, soft_wrap=True)

    def progress(self, title: str) -> Progress:
        """The callback that moves a bar of that title."""
        if self.bars is None:
            return lambda done, total: None
        bars, task = self.bars, self.bars.add_task(title, total=None)
        return lambda done, total: bars.update(task, completed=done, total=total)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Compile trained TC-LIF spiking networks for neuromorphic hardware, and prove that they still work."""
    if version:
        out.print(tclif_deploy.__version__, highlight=False)
        raise typer.Exit


@app.command("compile")
def compile_command(
    model: Annotated[Path, typer.Argument(help="Checkpoint (.pt, .pth.tar) or .nir file.", show_default=False)],
    target: Annotated[str, typer.Option("--target", "-t", help="Target by name, or a .toml file.")] = "loihi2",
    data: Annotated[
        Path | None, typer.Option(help="Data to verify on: .npz with x (samples, time, features), y, scale, lengths.")
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Data that set the state scales. [default: calibration.npz beside the model, else 1/4 of --data]"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Build folder. [default: build/<model>-<target>]")
    ] = None,
    args: Annotated[
        Path | None, typer.Option(help="The training script's args.json. [default: beside the model]")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Firing threshold, where no file says it.")] = None,
    gamma: Annotated[float | None, typer.Option(help="Dendritic reset, where no file says it.")] = None,
    comparator: Annotated[str | None, typer.Option(help="'>=' or '>': when a neuron fires.")] = None,
    reset: Annotated[str | None, typer.Option(help="'soft' or 'hard'.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Use only the first samples of --data.")] = None,
    backend: Annotated[str, typer.Option(help="'lava', or 'none' to skip it. [default: the target's]")] = "default",
    backend_samples: Annotated[int, typer.Option(min=1, help="Samples the backend runs, bit for bit.")] = 4,
    backend_batched: Annotated[
        bool, typer.Option("--backend-batched", help="Run the backend's fast simulation-only form on all samples.")
    ] = False,
    engine: Annotated[str, typer.Option(help="'engine' (fast) or 'reference' (the specification).")] = "auto",
    weight_bits: Annotated[int | None, typer.Option(help="Override the target's weight width.")] = None,
    coefficient_bits: Annotated[int | None, typer.Option(help="Override the target's coefficient width.")] = None,
    state_bits: Annotated[int | None, typer.Option(help="Override the target's state width.")] = None,
    rounding: Annotated[str | None, typer.Option(help="'toward_zero', 'floor' or 'nearest'.")] = None,
    headroom: Annotated[float, typer.Option(help="States may grow to this multiple of what calibration saw.")] = 1.5,
    min_agreement: Annotated[float | None, typer.Option(help="Exit 1 below this argmax agreement (0 to 1).")] = None,
    min_accuracy: Annotated[float | None, typer.Option(help="Exit 1 below this fixed-point accuracy (0 to 1).")] = None,
    max_accuracy_drop: Annotated[
        float | None, typer.Option(help="Exit 1 above this loss of accuracy (0 to 1).")
    ] = None,
    min_jaccard: Annotated[float | None, typer.Option(help="Exit 1 if any layer's spike Jaccard is below.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json instead of the table.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the verdict.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Compile a trained network: read, quantize, emit, and verify float against fixed against the backend.

    Exit code 0: compiled (and every requirement met); 1: the verdict falls short; 2: bad input; 130: interrupted.
    """
    from tclif_deploy.pipeline import CompileOptions, QuantizeSettings, ReadOptions, Requirements, compile
    from tclif_deploy.report.terminal import print_build
    from tclif_deploy.target import load_target

    for name, value in (("--min-agreement", min_agreement), ("--min-accuracy", min_accuracy),
                        ("--max-accuracy-drop", max_accuracy_drop), ("--min-jaccard", min_jaccard)):  # fmt: skip
        if value is not None and not 0 <= value <= 1:
            raise TclifError(f"{name} is {value:g}", "expected a fraction from 0 to 1")
    machine = load_target(target).override(
        weight_bits=weight_bits, coefficient_bits=coefficient_bits, state_bits=state_bits, rounding=rounding
    )
    options = CompileOptions(
        read=ReadOptions(args=args, threshold=threshold, gamma=gamma, comparator=comparator, reset=reset),
        quantize=QuantizeSettings(headroom=headroom),
        requirements=Requirements(min_agreement, min_accuracy, max_accuracy_drop, min_jaccard),
        backend=backend, backend_samples=backend_samples, backend_batched=backend_batched,
        samples=samples, engine=_choice("--engine", engine, ("auto", "engine", "reference")),
    )  # fmt: skip
    with Reporter(quiet or as_json).running() as reporter:
        build = compile(
            model, machine, data=data, calibration=calibration, output=output, options=options,
            say=reporter.say, progress=reporter.progress,
        )  # fmt: skip
    if as_json:
        sys.stdout.write(json.dumps(build.report, indent=2, sort_keys=True) + "\n")
    else:
        print_build(out, build)
    if build.shortfalls:
        raise typer.Exit(FELL_SHORT)


@app.command("targets")
def targets_command(
    name: Annotated[str | None, typer.Argument(help="Target by name or file; all are listed without.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """List the targets, or show one with every number's unit, source and evidence."""
    from tclif_deploy.report.terminal import print_target, print_targets
    from tclif_deploy.target import known_targets, load_target

    if name is None:
        targets = [load_target(known) for known in known_targets()]
        if as_json:
            sys.stdout.write(json.dumps({t.name: t.model_dump(mode="json") for t in targets}, indent=2) + "\n")
        else:
            print_targets(out, targets)
        return
    target = load_target(name)
    if as_json:
        sys.stdout.write(json.dumps(target.model_dump(mode="json"), indent=2) + "\n")
    else:
        print_target(out, target)


@app.command("doctor")
def doctor_command(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Say what is installed, what is missing, and the exact commands that install it."""
    from tclif_deploy.doctor import print_report

    print_report(out)


def _choice(option: str, value: str, known: tuple[str, ...]) -> Any:
    if value not in known:
        raise TclifError(f"{option} is {value!r}", f"known: {', '.join(known)}")
    return value


def run(argv: list[str]) -> int:
    """Run the command line and return its exit code; errors become one line on stderr."""
    debug = "--debug" in argv

    def stop(signum: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        code = app(argv, standalone_mode=False, prog_name="tclif")
        return code if isinstance(code, int) else OK
    except (KeyboardInterrupt, click.Abort):
        err.print("interrupted: nothing was written", highlight=False)
        return INTERRUPTED
    except click.UsageError as error:
        command = f"tclif {error.ctx.info_name} --help" if error.ctx and error.ctx.parent else "tclif --help"
        return _fail(error.format_message(), f"see {command}", debug)
    except click.ClickException as error:
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
        return _fail(f"internal error: {type(error).__name__}: {error}", "run again with --debug and report it", debug)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _fail(what: str, hint: str | None, debug: bool) -> int:
    if debug:
        err.print_exception()
    line = " ".join((f"{what.rstrip('.')}; {hint}" if hint else what).split())
    err.print(f"[bold red]error:[/] {escape(line)}", highlight=False, soft_wrap=True)
    return BAD_INPUT


def main() -> None:
    """Entry point of ``tclif``."""
    raise SystemExit(run(sys.argv[1:]))


def compile_main() -> None:
    """Entry point of ``tclif-compile``, which is ``tclif compile``."""
    raise SystemExit(run(["compile", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
