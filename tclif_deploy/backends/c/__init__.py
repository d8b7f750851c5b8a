"""C: a network as freestanding C99, for whatever has a compiler."""

from tclif_deploy.backends.c.program import check_installed, find_compiler, run
from tclif_deploy.backends.c.source import emit
from tclif_deploy.readout import OF_INTEGERS as READOUTS

__all__ = ["READOUTS", "STARTS", "check_installed", "emit", "find_compiler", "run"]

STARTS = True
"""see `tclif_deploy.backends.check_starts`"""
