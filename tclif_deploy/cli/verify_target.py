"""``tclif verify-target``: a target's arithmetic against the simulators that others made of its chip."""

from __future__ import annotations

from typing import Annotated

import typer

from tclif_deploy.cli.options import command
from tclif_deploy.cli.output import FELL_SHORT, Output, out


@command("verify-target")
def verify_target_command(
    target: Annotated[str, typer.Argument(help="Target by name, or a .toml file.", show_default=False)],
    *,
    cases: Annotated[int, typer.Option(min=1, help="Random networks for each simulator.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random networks.")] = 0,
    oracle: Annotated[
        str | None, typer.Option(help="One simulator alone.", show_default="all that the target names")
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that a simulator may take for 20 networks.")] = 300,
    printed: Output,
) -> None:
    """Run random networks through a target's arithmetic and through simulators that others made of its chip.

    Every spike and state is compared. The simulators live in environments of their own, which make oracles, or
    python -m tclif_deploy.oracles, installs. Exit code 0: every bit is equal; 1: some differ; 2: bad input, or a
    simulator that is missing.
    """
    from tclif_deploy.report.terminal.proof import print_target_check
    from tclif_deploy.workflows.verify_target import verify_target

    with printed.running() as reporter:
        check = verify_target(
            target, cases=cases, seed=seed, oracle=oracle, timeout_s=timeout, say=reporter.say,
            progress=reporter.progress,
        )  # fmt: skip
    printed.result(
        check.to_json(),
        lambda: print_target_check(out, check.target, check.checks, check.not_covered, check.no_difference),
    )
    if not check.equal:
        raise typer.Exit(FELL_SHORT)
