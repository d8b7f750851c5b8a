"""RTL: a network as synthesizable SystemVerilog, run by Verilator."""

from tclif_deploy.backends.rtl.simulate import check_installed, run
from tclif_deploy.backends.rtl.source import emit

RULES = ("rounding", "rounding_u", "rounding_v", "overflow_u", "overflow_v")
STARTS = True
"""see `tclif_deploy.backends.check_starts`"""

__all__ = ["RULES", "STARTS", "check_installed", "emit", "run"]
