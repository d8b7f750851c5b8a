"""``tclif explain``: where a build's error comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.options import BuildFolder, Data, SomeSamples, TaskOption, command
from tclif_deploy.cli.output import Output, out


@command("explain")
def explain_command(
    build: BuildFolder,
    *,
    data: Data,
    calibration: Annotated[
        Path | None, typer.Option(help="Data for the remedies.", show_default="the build's own")
    ] = None,
    task: TaskOption = None,
    samples: SomeSamples = 100,
    jobs: Annotated[int, typer.Option(min=1, max=1024, help="Threads.")] = 2,
    printed: Output,
) -> None:
    """Attribute a build's error: by source and layer, with the first spike that differs and what would help.

    The error attribution is kept in the build as explain.json, and its page is written again with it.
    """
    from tclif_deploy.data import load_data
    from tclif_deploy.report.sections.error_attribution import attribution_blocks
    from tclif_deploy.report.terminal.blocks import show_blocks
    from tclif_deploy.workflows.explain import explain

    with printed.running() as reporter:
        attribution = explain(
            build, load_data(data, task), calibration=calibration, samples=samples, jobs=jobs,
            say=reporter.say, progress=reporter.progress,
        )  # fmt: skip
    printed.result(
        attribution, lambda: show_blocks(out, attribution_blocks(attribution), layers=list(attribution.layers))
    )
