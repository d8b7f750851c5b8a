"""From the float network to the target's integers."""

from tclif_deploy.quantize.quantizer import QuantizeSettings, quantize
from tclif_deploy.quantize.ranges import Ranges, seen_ranges

__all__ = ["QuantizeSettings", "Ranges", "quantize", "seen_ranges"]
