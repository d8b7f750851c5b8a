"""From the float network to the target's integers."""

from tclif_deploy.quantization.quantizer import quantize
from tclif_deploy.quantization.ranges import Ranges, seen_ranges
from tclif_deploy.quantization.settings import QuantizeSettings

__all__ = ["QuantizeSettings", "Ranges", "quantize", "seen_ranges"]
