"""``tclif cost``: cores, energy and latency on real data, as ranges with their evidence."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tclif_deploy.cli.common import FELL_SHORT, Debug, Json, Quiet, Reporter, app, choice, out
from tclif_deploy.cli.reading import AS_THE_FILE_SAYS, reads_models
from tclif_deploy.errors import TclifError
from tclif_deploy.frontends import ReadOptions


@app.command("cost")
@reads_models
def cost_command(
    build: Annotated[Path, typer.Argument(help="Build folder, or a model file.", show_default=False)],
    data: Annotated[Path, typer.Option(help="Data whose activity is counted.", show_default=False)],
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", help="Target by name, or a .toml file. [default: the build's, loihi2]"),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None, typer.Option(help="What if: two targets, by name or .toml file, side by side.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Data that set the state scales where a network is quantized again.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Use only the first samples of --data.")] = 32,
    strategy: Annotated[str, typer.Option(help="Placement: 'greedy', 'balanced' or 'traffic'.")] = "greedy",
    read: ReadOptions = AS_THE_FILE_SAYS,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Count what a network really does on data, and what that costs: cores, energy, latency.

    Exit code 0: it fits; 1: it fits none of the targets asked for; 2: bad input.
    """
    from tclif_deploy.data import load_data
    from tclif_deploy.mapping import STRATEGIES, CannotFit, report
    from tclif_deploy.mapping.advice import advise
    from tclif_deploy.mapping.report import print_comparison, print_cost, print_placement
    from tclif_deploy.target import load_target
    from tclif_deploy.workflows.subject import assess, subject
    from tclif_deploy.workflows.subject import compare as what_if

    choice("--strategy", strategy, tuple(STRATEGIES))
    test = load_data(data)[:samples]
    found = subject(build, read, calibration, test)
    with Reporter(quiet or as_json).running() as reporter:
        if compare is not None:
            if target is not None:
                raise TclifError("--target and --compare were both given", "choose one")
            targets = tuple(load_target(name) for name in compare)
            reporter.say(f"comparing {targets[0].name} and {targets[1].name} on {test.samples} samples")
            results = what_if(found, targets, test, strategy)
        else:
            machine = load_target(target) if target is not None else found.own_target()
            reporter.say(f"counting the activity of {test.samples} samples on {machine.name}")
            try:
                placement, price = assess(found, machine, test, strategy)
            except CannotFit as error:
                advice = advise(found.integers(machine), machine, strategy)
                raise TclifError(error.what, "; ".join([*([error.hint] if error.hint else []), *advice])) from None
    if compare is not None:
        if as_json:
            rows: list[dict[str, Any]] = [
                {"target": r[0], "error": str(r[1])} if len(r) == 2 else {"target": r[0], **report(r[1], r[2])}
                for r in results
            ]
            sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        else:
            print_comparison(out, results)
        if all(len(r) == 2 for r in results):
            raise typer.Exit(FELL_SHORT)
    elif as_json:
        sys.stdout.write(json.dumps(report(placement, price), indent=2) + "\n")
    else:
        print_placement(out, placement)
        print_cost(out, price)
