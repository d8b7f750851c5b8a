"""``tclif rebuild``: a build again, from its manifest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.options import BuildFolder, command, saved
from tclif_deploy.cli.output import FELL_SHORT, Output, out


@command("rebuild")
def rebuild_command(
    build: BuildFolder,
    *,
    output: Annotated[Path | None, saved("Folder that keeps the new build.", "none: it is only compared")] = None,
    printed: Output,
) -> None:
    """Compile a build's model again with the recorded options, and compare every file, byte for byte.

    Exit code 0: all are the same; 1: some differ, and are named; 2: bad input, or other input than then.
    """
    from tclif_deploy.report.terminal.tables import print_rebuilt
    from tclif_deploy.workflows.rebuild import rebuild

    with printed.running() as reporter:
        again = rebuild(build, output, say=reporter.say, progress=reporter.progress)
    printed.result(
        {**asdict(again), "equal": again.equal}, lambda: print_rebuilt(out, str(build), again.files, again.differ)
    )
    if not again.equal:
        raise typer.Exit(FELL_SHORT)
