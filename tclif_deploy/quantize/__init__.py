"""From the float network to the target's integers."""

from tclif_deploy.quantize.quantizer import quantize
from tclif_deploy.quantize.ranges import Ranges, seen_ranges
from tclif_deploy.quantize.settings import QuantizeSettings

__all__ = ["QuantizeSettings", "Ranges", "quantize", "seen_ranges"]
