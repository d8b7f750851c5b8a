"""``tclif cost``: cores, energy and latency on real data, as ranges with their evidence."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from tclif_deploy.cli.options import AnyTarget, Calibration, Data, ModelOrBuild, SomeSamples, Strategy, command, refuse
from tclif_deploy.cli.output import FELL_SHORT, Output, out
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.quantization.settings import QuantizeSettings
from tclif_deploy.target import Overrides


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
    overrides: Overrides,
    read: ReadOptions,
    settings: QuantizeSettings,
    printed: Output,
) -> None:
    """Count what a network does on data, and what that costs: cores, energy, latency.

    Exit code 0: it fits; 1: it fits none of the targets asked for; 2: bad input.
    """
    from tclif_deploy import json_form
    from tclif_deploy.report.terminal.hardware import print_comparison, print_price
    from tclif_deploy.target import load_target
    from tclif_deploy.workflows.cost import compare_costs, cost, price_summary
    from tclif_deploy.workflows.integers import opened, own_target

    if build.is_dir():
        refuse(context, f"is for a model file, {build} is a build", ReadOptions, QuantizeSettings)
    if compare is not None:
        refuse(context, "and --compare were both given", "target")
    subject = opened(build)
    machines = [
        (load_target(name) if name else own_target(subject)).override(**asdict(overrides))
        for name in compare or [target]
    ]
    with printed.running() as reporter:
        given: dict[str, Any] = {
            "calibration": calibration, "samples": samples, "strategy": strategy, "read": read, "settings": settings,
            "say": reporter.say,
        }  # fmt: skip
        if compare is None:
            price = cost(subject, data, machines[0], **given)
        else:
            results = compare_costs(subject, data, machines, **given)
    if compare is None:
        printed.result(price_summary(price), lambda: print_price(out, price, price.layers))
        return
    rows = [
        {"target": r[0], "error": str(r[1])} if isinstance(r, tuple) else json_form.plain(price_summary(r))
        for r in results
    ]
    printed.result(rows, lambda: print_comparison(out, results))
    if all(isinstance(r, tuple) for r in results):
        raise typer.Exit(FELL_SHORT)
