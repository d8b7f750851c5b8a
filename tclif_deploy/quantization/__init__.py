"""From the float network to the target's integers, and back to what they mean."""

from tclif_deploy.aliases import old_names
from tclif_deploy.quantization.dequantizer import dequantize
from tclif_deploy.quantization.quantizer import CannotHold, quantize
from tclif_deploy.quantization.ranges import Ranges, measured_ranges
from tclif_deploy.quantization.settings import QuantizeSettings

__all__ = ["CannotHold", "QuantizeSettings", "Ranges", "dequantize", "measured_ranges", "quantize"]
__getattr__ = old_names(__name__, {"seen_ranges": "measured_ranges"})
