"""``tclif fuzz``: a build's backends against the reference, on random inputs."""

from __future__ import annotations

from typing import Annotated

import typer

from tclif_deploy.cli.options import BuildFolder, command
from tclif_deploy.cli.output import FELL_SHORT, Output, out


@command("fuzz")
def fuzz_command(
    build: BuildFolder,
    *,
    backend: Annotated[
        str, typer.Option(help="Backends, by commas; all is every one that is installed and can compute the network.")
    ] = "all",
    samples: Annotated[int, typer.Option(min=1, help="Random samples to run.")] = 16,
    steps: Annotated[int, typer.Option(min=1, help="Steps of a sample.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random samples.")] = 0,
    printed: Output,
) -> None:
    """Run random inputs through a build's backends and the reference, and compare every spike and state.

    A backend that the build lacks is emitted for the occasion. Exit code 0: every bit is equal; 1: some differ;
    2: bad input.
    """
    from tclif_deploy import backends
    from tclif_deploy.builds import Build
    from tclif_deploy.report.terminal.tables import print_fuzz
    from tclif_deploy.workflows.fuzz import fuzz

    opened = Build.open(build)
    with printed.running() as reporter:
        report = fuzz(
            opened, backends.parse(backend), samples, steps=steps, seed=seed, skip_missing=backend == "all",
            say=reporter.say, progress=reporter.progress,
        )  # fmt: skip
    printed.result(report.to_json(), lambda: print_fuzz(out, report, [layer.name for layer in opened.fixed.layers]))
    if not report.equal:
        raise typer.Exit(FELL_SHORT)
