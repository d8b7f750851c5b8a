"""Commands and their options: those of the settings' dataclasses, and those that several commands share.

A command is a function that `command` registers. Where it has a parameter of a dataclass of settings, the command line
has that dataclass's fields, of nested ones too: each under its own name (or what `tclif_deploy.settings.Named` says),
with the docstring under the field as its help. A field of the name of one of the function's own parameters is left out.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import MISSING, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from tclif_deploy.arguments import Location, check
from tclif_deploy.cli.help import Command
from tclif_deploy.data.dataset import Task
from tclif_deploy.errors import TclifError
from tclif_deploy.settings import Setting, settings_of
from tclif_deploy.workers import HELP as PARALLEL

registered = typer.Typer(rich_markup_mode=None)
"""the commands whose files were imported so far"""


def choice(option: str, value: str, known: Collection[str]) -> Any:
    """``value`` if it is one of ``known``; else a `TclifError` that lists them."""
    if value not in known:
        raise TclifError(f"{option} is {value!r}", f"known: {', '.join(known)}")
    return value


def _strategy(value: str) -> str:
    from tclif_deploy.mapping import STRATEGIES

    return str(choice("--strategy", value, STRATEGIES))


Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Checkpoint (.pt, .pth.tar), .nir or netx file.", show_default=False)
]
ModelOrBuild = Annotated[
    Path, typer.Argument(metavar="MODEL|BUILD", help="Model file, or a build folder.", show_default=False)
]
BuildFolder = Annotated[
    Path, typer.Argument(metavar="BUILD", help="Build folder that tclif compile wrote.", show_default=False)
]
TargetName = Annotated[str, typer.Option("--target", "-t", help="Target by name, or a .toml file.")]
AnyTarget = Annotated[
    str | None,
    typer.Option("--target", "-t", help="Target by name, or .toml file.", show_default="the build's; loihi2"),
]
FILES = (
    ".npz (x of samples, time, features; y, scale, lengths), .npy (x alone), MNIST IDX (.gz too), SHD/SSC HDF5, ECG "
    ".mat, NIR's data (.nir)"
)
Data = Annotated[Path, typer.Option(help=f"Data to run on: {FILES}.", show_default=False)]
OptionalData = Annotated[Path | None, typer.Option(help=f"Data to verify on: {FILES}.")]
Calibration = Annotated[
    Path | None,
    typer.Option(
        help="Data that set the state scales.", show_default="calibration.npz beside the model, else 1/4 of --data"
    ),
]

ParallelOption = Annotated[str | None, typer.Option(help=PARALLEL)]


def saved(help: str, default: str) -> Any:
    """``--output``: what is written, and where if it is not given."""
    return typer.Option("--output", "-o", help=help, show_default=default)


TaskOption = Annotated[
    Task | None, typer.Option("--task", help="What y of the data means, where its shape and dtype do not say it.")
]
Samples = Annotated[int | None, typer.Option(min=1, help="Use only the first samples of --data.")]
SomeSamples = Annotated[int, typer.Option(min=1, help="Use only the first samples of --data.")]
Strategy = Annotated[str, typer.Option(help="Placement: greedy, balanced or traffic.", callback=_strategy)]
"""what the same word means in every command"""

SHORT = {"--output": ["-o"], "--quiet": ["-q"], "--verbose": ["-v"]}
DEBUG = inspect.Parameter(
    "debug", inspect.Parameter.KEYWORD_ONLY, default=False,
    annotation=Annotated[bool, typer.Option("--debug", help="Show tracebacks.")],
)  # fmt: skip


def command(name: str, *, without: Collection[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as the command of that name, which has no options for the fields named by ``without``."""

    def register(body: Callable[..., None]) -> Callable[..., None]:
        hints, own = get_type_hints(body, include_extras=True), inspect.signature(body).parameters
        expanded = {n: hints[n] for n in own if is_dataclass(hints[n])}
        left_out = {*own, *without}
        parameters: list[inspect.Parameter] = []
        for n, parameter in own.items():
            if n in expanded:
                parameters += [_parameter(*field) for field in _settings(expanded[n]) if field[1].name not in left_out]
            else:
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[n]))
        parameters.append(DEBUG)

        def run(debug: bool, **values: Any) -> None:
            for n, value in values.items():
                if isinstance(value, Path):  # no system call fails for the name alone
                    check(f"tclif {name}", n, Location(), value)
            made = {n: _make(cls, values, left_out) for n, cls in expanded.items()}
            body(**made, **{n: values[n] for n in own if n not in expanded})

        run.__doc__ = body.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        registered.command(name, cls=Command)(run)
        return body

    return register


def _settings(cls: Any) -> Iterator[tuple[Any, Setting]]:
    """Every field that is an option, those of nested dataclasses too: whose it is, and what it is."""
    for setting in settings_of(cls):
        if is_dataclass(setting.type):
            yield from _settings(setting.type)
        elif setting.option is not None:
            yield cls, setting


def _parameter(cls: Any, setting: Setting) -> inspect.Parameter:
    """The command line's parameter of a field; one without a default is an argument."""
    text = re.sub(r"`+([^`]+)`+", r"\1", " ".join(_docstring(cls, setting.name).split()))
    text = f"{text[0].upper()}{text[1:]}" + (f" ({setting.limits})" if str(setting.limits) else "") + "."
    kind, default, option = setting.type, setting.default, setting.option or ""
    if default is MISSING:
        info: Any = typer.Argument(help=text, show_default=False)
        return inspect.Parameter(setting.name, DEBUG.kind, annotation=Annotated[kind, info])
    if setting.many:
        default = ",".join(default) or "none"
    info = typer.Option(
        f"{option}/--no-{option[2:]}" if default is True else option, *SHORT.get(option, ()), help=text,
        metavar=("," if setting.many else "|").join(setting.choices) or None,
        rich_help_panel=re.split(r"[;,.]", cls.__doc__)[0],
    )  # fmt: skip
    annotation: Any = Annotated[kind if default is not None else kind | None, info]
    return inspect.Parameter(setting.name, DEBUG.kind, default=default, annotation=annotation)


@functools.cache
def _docstrings(module: str) -> dict[str, dict[str, str]]:
    """Class -> field -> the docstring under it, of a module's source; empty where that is not at hand."""
    docstrings: dict[str, dict[str, str]] = {}
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):
        return docstrings
    for definition in tree.body:
        if isinstance(definition, ast.ClassDef):
            docstrings[definition.name] = {}
            for line, below in itertools.pairwise(definition.body):
                match line, below:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                        docstrings[definition.name][name] = text
    return docstrings


def _docstring(cls: type, name: str) -> str:
    """The docstring under a field of a dataclass, or under that which it redefines."""
    texts = (_docstrings(base.__module__).get(base.__name__, {}).get(name) for base in cls.__mro__[:-1])
    return next(filter(None, texts), name)


def _make(cls: Any, values: dict[str, Any], left_out: Collection[str]) -> Any:
    """Settings from what was given; an error names the option, not the field."""
    given: dict[str, Any] = {}
    for setting in settings_of(cls):
        if is_dataclass(setting.type):
            given[setting.name] = _make(setting.type, values, left_out)
        elif setting.option is not None and setting.name not in left_out:
            value = values[setting.name]
            if setting.many:
                value = () if value == "none" else tuple(item.strip() for item in value.split(","))
            given[setting.name] = value
    try:
        return cls(**given)
    except TclifError as error:
        name, space, rest = error.what.partition(" ")
        option = next((setting.option for setting in settings_of(cls) if setting.name == name), None)
        raise TclifError(f"{option or name}{space}{rest}", error.hint) from None


def _typed(context: typer.Context) -> Iterator[Any]:
    """The parameters that the user gave, in the order of ``--help``."""
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if source is not None and source.name == "COMMANDLINE":
            yield parameter


def refuse(context: typer.Context, reason: str, *names: Any) -> None:
    """Raise `TclifError` where the user gave one of these parameters, or a field of one of these dataclasses."""
    fields = [setting.name for cls in names if not isinstance(cls, str) for _, setting in _settings(cls)]
    for parameter in _typed(context):
        if parameter.name in (*names, *fields):
            option = max(parameter.opts, key=len)
            raise TclifError(f"{option} {reason}", f"leave {option} out")


def command_line(context: typer.Context) -> str:
    """The command as it could be typed again, without what changes nothing in what is built."""
    words = ["tclif", str(context.info_name)]
    for parameter in _typed(context):
        value = context.params[parameter.name]
        if parameter.name in ("output", "as_json", "quiet", "verbose", "debug"):
            continue
        if parameter.param_type_name == "argument":
            words.append(str(value))
        else:
            names = parameter.secondary_opts if value is False else parameter.opts
            words += [max(names, key=len), *([] if isinstance(value, bool) else [str(value)])]
    return shlex.join(words)
