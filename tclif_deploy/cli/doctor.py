"""``tclif doctor``: what is installed, and how to get the rest."""

from __future__ import annotations

from tclif_deploy.cli.common import Debug, app, out


@app.command("doctor")
def doctor_command(
    debug: Debug = False,
) -> None:
    """Say what is installed, what is missing, and the exact commands that install it."""
    from tclif_deploy.doctor import print_report

    print_report(out)
