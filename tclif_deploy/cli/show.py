"""``tclif show``: a build's report on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.common import Debug, app, out


@app.command("show")
def show_command(
    build: Annotated[Path, typer.Argument(help="Build folder.", show_default=False)],
    other: Annotated[
        Path | None, typer.Argument(help="A second build: print what differs instead.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Tell a build's story in tables: the verdict, then every section of its report."""
    from tclif_deploy.builds import Build
    from tclif_deploy.report.terminal.blocks import show, show_differences

    if other is None:
        show(out, Build.open(build))
    else:
        show_differences(out, Build.open(build), Build.open(other))
