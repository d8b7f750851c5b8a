"""From the float network to the target's integers."""

from tclif_deploy.quantize.quantizer import QuantizeSettings, quantize

__all__ = ["QuantizeSettings", "quantize"]
