"""``tclif explain``: where a build's error comes from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy import json_form
from tclif_deploy.cli.common import Debug, Json, Quiet, Reporter, Verbose, app, out


@app.command("explain")
def explain_command(
    build: Annotated[Path, typer.Argument(help="Build folder.", show_default=False)],
    data: Annotated[Path, typer.Option(help="Data to account on, as for tclif compile.", show_default=False)],
    calibration: Annotated[
        Path | None,
        typer.Option(help="Data for the remedies. [default: the build's own]"),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Use only the first samples of --data.")] = 100,
    jobs: Annotated[int, typer.Option(min=1, help="Threads.")] = 2,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Account for every error of a build: by source and layer, the first spike that differs, what would help.

    The account is kept in the build as explain.json, and its page is written again with it.
    """
    from tclif_deploy.report.sections.error_attribution import account_blocks
    from tclif_deploy.report.terminal.blocks import show_blocks
    from tclif_deploy.workflows.explain import explain

    with Reporter(quiet or as_json, verbose).running() as reporter:
        found = explain(
            build, data, calibration=calibration, samples=samples, jobs=jobs,
            say=reporter.say, progress=reporter.progress,
        )  # fmt: skip
    if as_json:
        sys.stdout.write(json_form.text_of(found))
    else:
        show_blocks(out, account_blocks(found))
