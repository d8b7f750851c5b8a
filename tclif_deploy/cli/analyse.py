"""``tclif analyse``: what the paper shows, of a user's own network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tclif_deploy.cli.options import choice, command, refuse
from tclif_deploy.cli.output import Output, keeps, out
from tclif_deploy.errors import TclifError

OPTIONS = {
    "gradients": ("data", "samples"),
    "convergence": (),
    "landscape": ("data", "samples", "points", "span", "seed"),
    "quadrants": ("data", "samples", "points", "neurons", "epochs", "lr", "seeds", "seed"),
    "dynamics": ("steps",),
    "sensitivity": ("data", "samples", "seed"),
}
"""analysis -> the options that it has, by the names of its function's arguments"""
BARS = {"gradients": "steps", "landscape": "points", "quadrants": "trainings", "sensitivity": "samples"}
"""analysis that takes long -> what its progress counts"""
KEPT = ("landscape", "quadrants")
"""those whose points are kept in a file"""


def kept_path(figure: Path) -> Path:
    """Where the points of a figure are kept.

    Examples
    --------
    >>> kept_path(Path("a/landscape.svg")).name
    'landscape.svg.points.json'
    """
    return figure.with_name(f"{figure.name}.points.json")


@command("analyse")
def analyse_command(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="WHAT", help=f"One of: {', '.join(OPTIONS)}.", show_default=False)],
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="BUILD|LOG...", help="Build folder; for convergence two logs or more of tclif train."),
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Figure to write (.png, .svg).", show_default=False)],
    data: Annotated[
        Path | None,
        typer.Option(help="Samples (landscape, quadrants: with targets).", show_default="those that set the scales"),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Use only the first.", show_default="gradients 8, landscape 64, else all")
    ] = None,
    points: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="landscape: along each axis, an odd number; quadrants: sizes of each coupling, up to 0.8.",
            show_default="11; 2",
        ),
    ] = None,
    span: Annotated[
        float | None, typer.Option(help="landscape: how far weights are moved, in lengths.", show_default="1")
    ] = None,
    neurons: Annotated[
        int | None, typer.Option(min=1, help="quadrants: of the hidden layer.", show_default="32")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="quadrants: of each training.", show_default="10")] = None,
    lr: Annotated[float | None, typer.Option(help="quadrants: peak learning rate.", show_default="0.005")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="quadrants: trainings a point.", show_default="1")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of directions and of errors; of trainings the first.", show_default="0")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="dynamics: how many the growth is told for.", show_default="50")
    ] = None,
    printed: Output,
) -> None:
    """Draw what the paper shows, of your own network: gradients over time, learning curves, loss, couplings, dynamics;
    and its sensitivity to errors of weights.

    The points of landscape and quadrants are kept beside the figure (FIGURE.points.json): the same command goes on
    after an interruption.
    """
    from tclif_deploy import analysis
    from tclif_deploy.builds import Build
    from tclif_deploy.report.analyses import analysis_blocks, figure_of
    from tclif_deploy.report.figure_file import check_figure, write_kind
    from tclif_deploy.report.terminal.blocks import show_blocks

    choice("WHAT", what, OPTIONS)
    values: dict[str, Any] = {
        "data": data, "samples": samples, "points": points, "span": span, "neurons": neurons, "epochs": epochs,
        "lr": lr, "seeds": seeds, "seed": seed, "steps": steps,
    }  # fmt: skip
    refuse(context, f"is not for tclif analyse {what}", *(name for name in values if name not in OPTIONS[what]))
    if what != "convergence" and len(paths) != 1:
        raise TclifError(f"tclif analyse {what} is of one build, {len(paths)} paths were given", "give one at a time")
    check_figure(output, what, (*paths, data))
    chosen = {name: value for name, value in values.items() if value is not None}
    subject: Any = paths if what == "convergence" else Build.open(paths[0])
    layers = () if what == "convergence" else [layer.name for layer in subject.network.layers]
    found: Any
    with printed.running() as reporter:
        if what == "convergence":
            found = analysis.convergence(subject)
        elif what == "dynamics":
            found = analysis.dynamics(subject, **chosen)
        else:
            if what in KEPT:
                chosen["kept"] = kept_path(output)
                keeps(chosen["kept"])
            bar = BARS[what]
            found = getattr(analysis, what)(subject, progress=reporter.progress(bar), **chosen)
    blocks = analysis_blocks(found, layers)
    write_kind(figure_of(blocks), output, what)
    printed.result(found, lambda: show_blocks(out, blocks))
