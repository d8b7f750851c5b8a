"""``tclif inspect``: what is in a model file."""

from __future__ import annotations

from tclif_deploy.cli.options import Model, command
from tclif_deploy.cli.output import Printed, out
from tclif_deploy.formats.read_options import ReadOptions


@command("inspect")
def inspect_command(model: Model, *, read: ReadOptions, printed: Printed) -> None:
    """Show what a model file holds: layers, neurons, coefficients, conventions, and what had to be assumed."""
    from tclif_deploy.frontends.reader import read_model
    from tclif_deploy.frontends.summary import summary
    from tclif_deploy.report.terminal.network import print_summary

    kind, network = read_model(model, read)
    described = summary(network)
    printed.result(
        {"file": str(model), "kind": kind, **described}, lambda: print_summary(out, str(model), kind, described)
    )
