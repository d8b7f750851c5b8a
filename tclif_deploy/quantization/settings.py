"""What can be chosen about quantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from tclif_deploy.settings import Limits, Named, check_settings

Pass = Literal["scales", "compensate", "bias"]
PASSES: tuple[Pass, ...] = get_args(Pass)
"""names of what betters the integers on calibration data, in the order in which it is applied"""


@dataclass(frozen=True)
class QuantizeSettings:
    """What can be chosen about quantization.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> settings = tc.QuantizeSettings(weight_bits=(8, 4, 8), passes=())
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], settings)
    >>> [max(int(abs(c.weight).max()) for c in layer.connections) for layer in fixed.layers]
    [127, 7, 127]
    """

    headroom: Annotated[float, Limits(1, 1024)] = 1.5
    """states may grow to this multiple of what calibration saw before they overflow"""
    scale_floor: Annotated[float, Limits(0, 1)] = 1 / 8
    """no neuron's weight scale is below this share of its layer's largest (a tiny scale makes a huge threshold)"""
    real_input_bits: Annotated[int, Limits(2, 24)] = 12
    """signed width of the integers that carry real-valued input (integer data enter unchanged)"""
    bound_steps: Annotated[int, Limits(1, 1_000_000)] = 1000
    """without calibration data, states are bounded for this many steps"""
    passes: tuple[Pass, ...] = PASSES
    """what betters the integers on calibration data"""
    weight_bits: Annotated[tuple[Annotated[int, Limits(2, 16)], ...], Named(None, "--weight-bits auto finds them")] = ()
    """width of each layer's weights, where narrower than the target's; empty: the target's everywhere"""

    def __post_init__(self) -> None:
        check_settings(self)


DEFAULTS = QuantizeSettings()
"""as `tclif-compile` quantizes"""
