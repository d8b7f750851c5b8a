"""What can be chosen about quantization."""

from __future__ import annotations

from dataclasses import dataclass

from tclif_deploy.errors import TclifError

PASSES = ("scales", "compensate", "bias")
"""names of what betters the integers on calibration data, in the order in which it is applied"""


@dataclass(frozen=True)
class QuantizeSettings:
    """What can be chosen about quantization."""

    headroom: float = 1.5
    """states may grow to this multiple of what calibration saw before they overflow"""
    scale_floor: float = 1 / 8
    """no neuron's weight scale is below this share of its layer's largest (a tiny scale makes a huge threshold)"""
    real_input_bits: int = 12
    """signed width of the integers that carry real-valued input (integer data enter unchanged)"""
    bound_steps: int = 1000
    """without calibration data, states are bounded for this many steps"""
    passes: tuple[str, ...] = PASSES
    """what betters the integers on calibration data, by name: see `tclif_deploy.quantization.passes`"""
    weight_bits: tuple[int, ...] = ()
    """width of each layer's weights, where narrower than the target's; empty: the target's everywhere"""

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("headroom", self.headroom, 1.0, 1024.0),
            ("scale_floor", self.scale_floor, 0.0, 1.0),
            ("real_input_bits", self.real_input_bits, 2, 24),
            ("bound_steps", self.bound_steps, 1, 1_000_000),
            *(("weight_bits", bits, 2, 16) for bits in self.weight_bits),
        ):
            if not low <= value <= high:
                raise TclifError(f"{name} is {value}", f"expected {low:g} to {high:g}")
        for name in self.passes:
            if name not in PASSES:
                raise TclifError(f"pass {name!r} is not known", f"known: {', '.join(PASSES)}")


DEFAULTS = QuantizeSettings()
"""as `tclif-compile` quantizes"""
