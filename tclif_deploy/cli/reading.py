"""Options that say what a model file does not: the same in every command that reads one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from tclif_deploy.frontends import ReadOptions

Model = Annotated[Path, typer.Argument(help="Checkpoint (.pt, .pth.tar), .nir or netx file.", show_default=False)]

OPTIONS: dict[str, Any] = {
    "args": Annotated[Path | None, typer.Option(help="The training script's args.json. [default: beside the model]")],
    "threshold": Annotated[float | None, typer.Option(help="Firing threshold, where no file says it.")],
    "gamma": Annotated[float | None, typer.Option(help="Dendritic reset, where no file says it.")],
    "comparator": Annotated[str | None, typer.Option(help="'>=' or '>': when a neuron fires.")],
    "reset": Annotated[str | None, typer.Option(help="'soft' or 'hard'.")],
    "neuron": Annotated[str | None, typer.Option(help="'tclif', 'lif' or 'plif', where no file says it.")],
    "decay": Annotated[float | None, typer.Option(help="Decay of LIF neurons, where no file says it.")],
    "dt": Annotated[float | None, typer.Option(help="Time step of a .nir file of another tool, in its own unit.")],
    "convention": Annotated[
        str | None,
        typer.Option(
            help="Whose way to step such a file: nir, exponential, simultaneous, snntorch, norse, spikingjelly."
        ),
    ],
}
"""a field of `ReadOptions` -> its option"""

AS_THE_FILE_SAYS = ReadOptions()


def reads_models(command: Callable[..., None]) -> Callable[..., None]:
    """On the command line, every one of `OPTIONS` stands where ``command`` has its parameter ``read``."""
    hints = get_type_hints(command, include_extras=True)
    parameters = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name == "read":
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
            parameters += [inspect.Parameter(n, kind, default=None, annotation=a) for n, a in OPTIONS.items()]
        else:
            parameters.append(parameter.replace(annotation=hints[parameter.name]))

    @functools.wraps(command)
    def given(**values: Any) -> None:
        command(read=ReadOptions(**{name: values.pop(name) for name in OPTIONS}), **values)

    given.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    given.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del given.__wrapped__  # else typer would read the parameters of what it wraps
    return given
