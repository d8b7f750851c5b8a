"""``tclif cost``: cores, energy and latency on real data, as ranges with their evidence."""

from __future__ import annotations

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
    from tclif_deploy import json_form
    from tclif_deploy.mapping import STRATEGIES
    from tclif_deploy.report.terminal.hardware import print_comparison, print_price
    from tclif_deploy.workflows.cost import compare_costs, cost, price_summary

    choice("--strategy", strategy, tuple(STRATEGIES))
    if compare is not None and target is not None:
        raise TclifError("--target and --compare were both given", "choose one")
    with Reporter(quiet or as_json).running() as reporter:
        given: dict[str, Any] = {
            "calibration": calibration, "samples": samples, "strategy": strategy, "read": read, "say": reporter.say,
        }  # fmt: skip
        results = compare_costs(build, data, compare, **given) if compare else [cost(build, data, target, **given)]
    if as_json:
        rows = [
            {"target": r[0], "error": str(r[1])} if isinstance(r, tuple) else json_form.plain(price_summary(r))
            for r in results
        ]
        sys.stdout.write(json_form.text_of(rows if compare else rows[0]))
    elif compare:
        print_comparison(out, results)
    else:
        price = results[0]
        assert not isinstance(price, tuple)
        print_price(out, price)
    if all(isinstance(r, tuple) for r in results):
        raise typer.Exit(FELL_SHORT)
