"""Lava: a network as a folder of runnable lava-nc processes, and its run on Lava's CPU simulation."""

from tclif_deploy.backends.lava.emit import emit, emit_float
from tclif_deploy.backends.lava.supervise import (
    FloatRun,
    check_installed,
    install_commands,
    installed_version,
    run,
    run_float,
)

READOUTS = ("last", "sum", "mean", "max", "count", "rate", "step")
"""readout rules that are made of what the last layer's process says after each step"""
STARTS = True
"""see `tclif_deploy.backends.check_starts`"""

__all__ = [
    "READOUTS", "STARTS", "FloatRun", "check_installed", "emit", "emit_float", "install_commands", "installed_version",
    "run", "run_float",
]  # fmt: skip
