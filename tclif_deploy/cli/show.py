"""``tclif show``: a build's report on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tclif_deploy.cli.options import BuildFolder, command
from tclif_deploy.cli.output import out, say_damaged


@command("show")
def show_command(
    build: BuildFolder,
    other: Annotated[
        Path | None, typer.Argument(help="A second build: print what differs instead.", show_default=False)
    ] = None,
) -> None:
    """Print a build's report in tables: the verdict, then every section."""
    from tclif_deploy.builds import Build
    from tclif_deploy.report.terminal.build import show, show_differences

    opened = Build.open(build)
    if other is None:
        say_damaged(opened)
        show(out, opened)
    else:
        show_differences(out, opened, Build.open(other))
