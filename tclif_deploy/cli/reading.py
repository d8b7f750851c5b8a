"""Options that say what a model file does not: the same in every command that reads one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path, typer.Argument(help="Checkpoint (.pt, .pth.tar), .nir or netx file.", show_default=False)]
Args = Annotated[Path | None, typer.Option(help="The training script's args.json. [default: beside the model]")]
Threshold = Annotated[float | None, typer.Option(help="Firing threshold, where no file says it.")]
Gamma = Annotated[float | None, typer.Option(help="Dendritic reset, where no file says it.")]
Comparator = Annotated[str | None, typer.Option(help="'>=' or '>': when a neuron fires.")]
Reset = Annotated[str | None, typer.Option(help="'soft' or 'hard'.")]
Neuron = Annotated[str | None, typer.Option(help="'tclif', 'lif' or 'plif', where no file says it.")]
Decay = Annotated[float | None, typer.Option(help="Decay of LIF neurons, where no file says it.")]
Dt = Annotated[float | None, typer.Option(help="Time step of a .nir file of another tool, in its own unit.")]
Convention = Annotated[
    str | None,
    typer.Option(help="Whose way to step such a file: nir, exponential, simultaneous, snntorch, norse, spikingjelly."),
]
