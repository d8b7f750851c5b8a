"""``tclif targets``: what machines there are, and where their numbers come from."""

from __future__ import annotations

from typing import Annotated

import typer

from tclif_deploy.cli.options import command
from tclif_deploy.cli.output import Printed, out


@command("targets")
def targets_command(
    name: Annotated[str | None, typer.Argument(help="Target by name or file; all are listed without.")] = None,
    *,
    printed: Printed,
) -> None:
    """List the targets, or show one with every number's unit, source and evidence."""
    from tclif_deploy.report.terminal.tables import print_target, print_targets
    from tclif_deploy.target import known_targets, load_target

    targets = [load_target(known) for known in (known_targets() if name is None else (name,))]
    plain = {t.name: t.model_dump(mode="json", exclude_none=True) for t in targets}
    if name is None:
        printed.result(plain, lambda: print_targets(out, targets))
    else:
        printed.result(plain[targets[0].name], lambda: print_target(out, targets[0]))
