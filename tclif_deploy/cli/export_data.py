"""``tclif export-data``: samples for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.options import FILES, TaskOption, choice, command, saved
from tclif_deploy.cli.output import Steps

KINDS = ("grid", "events")
DT = 1e-4
"""seconds of a step of data that say none"""


@command("export-data")
def export_data_command(
    data: Annotated[Path, typer.Argument(metavar="DATA", help=f"Samples: {FILES}.", show_default=False)],
    *,
    output: Annotated[Path | None, saved("File.", "the data's name with _data.nir")] = None,
    kind: Annotated[
        str, typer.Option(metavar="|".join(KINDS), help="Steps on a grid, or events: what is not 0, with its time.")
    ] = "grid",
    step: Annotated[
        float | None,
        typer.Option(
            "--export-dt",
            help="Seconds that a step means in the new file.",
            show_default=f"--dt, else what the data say, else {DT:g}",
        ),
    ] = None,
    dt: Annotated[
        float | None, typer.Option("--dt", help="Seconds a step into which events of a NIR file are put.")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Only the first samples.")] = None,
    task: TaskOption = None,
    printed: Steps,
) -> None:
    """Write samples as NIR's data, which nir.read_data reads: on a grid of steps, or as events.

    Targets, lengths and the scale of integers stand beside, where this package reads them again.
    """
    from tclif_deploy.data import load_data
    from tclif_deploy.data.nir_data import is_nir_data, step_of, write_nir_data
    from tclif_deploy.errors import TclifError
    from tclif_deploy.outputs import check_file_place

    choice("--kind", kind, KINDS)
    path = output or Path(f"{data.name.split('.')[0]}_data.nir")
    check_file_place(path, (data,))
    if path.is_file() and not is_nir_data(path):  # data of another format, or a network
        raise TclifError(f"{path}: holds something else than NIR's data", "choose another file, or remove that one")
    with printed.running() as reporter:
        test = load_data(data, task, dt=dt)[:samples]
        seconds = next((each for each in (step, dt, step_of(data)) if each is not None), DT)
        for line in write_nir_data(test, path, seconds, "events" if kind == "events" else "grid"):
            reporter.say(f"notice: {line}")
        reporter.say(f"written: {path}")
