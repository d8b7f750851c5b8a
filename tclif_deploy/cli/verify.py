"""``tclif verify``: a build's backends against the reference, on random inputs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.common import FELL_SHORT, Debug, Json, Quiet, Reporter, app, out


@app.command("verify")
def verify_command(
    build: Annotated[Path, typer.Argument(help="Build folder that `tclif compile` wrote.", show_default=False)],
    backend: Annotated[
        str, typer.Option(help="Backends, comma-separated; 'all' is every one that is installed.")
    ] = "all",
    fuzz: Annotated[int, typer.Option(min=1, help="Random samples to run.")] = 16,
    steps: Annotated[int, typer.Option(min=1, help="Steps of a sample.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random samples.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run random inputs through a build's backends and the reference, and compare every spike and state.

    A backend that the build lacks is emitted for the occasion. Exit code 0: every bit is equal; 1: some differ;
    2: bad input.
    """
    from tclif_deploy import backends
    from tclif_deploy.report.terminal.tables import print_fuzz
    from tclif_deploy.workflows.fuzz import fuzz as run

    with Reporter(quiet or as_json).running() as reporter:
        report = run(
            build, backends.parse(backend), fuzz, steps=steps, seed=seed, skip_missing=backend == "all",
            say=reporter.say, progress=reporter.progress,
        )  # fmt: skip
    if as_json:
        sys.stdout.write(json.dumps(report.to_json(), indent=2, sort_keys=True) + "\n")
    else:
        print_fuzz(out, report)
    if not report.equal:
        raise typer.Exit(FELL_SHORT)
