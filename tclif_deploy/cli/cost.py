"""``tclif cost``: cores, energy and latency on real data, as ranges with their evidence."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tclif_deploy.cli.options import AnyTarget, Calibration, Data, ModelOrBuild, SomeSamples, Strategy, command, refuse
from tclif_deploy.cli.output import FELL_SHORT, Output, out
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.read_options import ReadOptions


@command("cost")
def cost_command(
    context: typer.Context,
    build: ModelOrBuild,
    *,
    data: Data,
    target: AnyTarget = None,
    compare: Annotated[
        tuple[str, str] | None, typer.Option(help="What if: two targets, by name or .toml file, side by side.")
    ] = None,
    calibration: Calibration = None,
    samples: SomeSamples = 32,
    strategy: Strategy = "greedy",
    read: ReadOptions,
    printed: Output,
) -> None:
    """Count what a network really does on data, and what that costs: cores, energy, latency.

    Exit code 0: it fits; 1: it fits none of the targets asked for; 2: bad input.
    """
    from tclif_deploy.data import load_data
    from tclif_deploy.mapping import CannotFit, report
    from tclif_deploy.mapping.advice import advise
    from tclif_deploy.mapping.report import print_comparison, print_cost, print_placement
    from tclif_deploy.target import load_target
    from tclif_deploy.workflows.subject import assess, subject
    from tclif_deploy.workflows.subject import compare as what_if

    if build.is_dir():
        refuse(context, f"is for a model file, {build} is a build", ReadOptions)
        if target is None and compare is None:
            refuse(context, f"is for a network that is quantized, {build} is a build", "calibration")
    if compare is not None:
        refuse(context, "and --compare were both given", "target")
    test = load_data(data)[:samples]
    found = subject(build, read, calibration, test)
    with printed.running() as reporter:
        if compare is not None:
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
    if compare is None:
        printed.result(
            report(placement, price), lambda: print_placement(out, placement), lambda: print_cost(out, price)
        )
        return
    rows: list[dict[str, Any]] = [
        {"target": r[0], "error": str(r[1])} if len(r) == 2 else {"target": r[0], **report(r[1], r[2])} for r in results
    ]
    printed.result(rows, lambda: print_comparison(out, results))
    if all(len(r) == 2 for r in results):
        raise typer.Exit(FELL_SHORT)
