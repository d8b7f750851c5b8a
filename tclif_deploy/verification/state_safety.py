"""How far the states go, and how far they can: seen, proven, and what the target holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedLayer, FixedNetwork
from tclif_deploy.network import Float, Layer
from tclif_deploy.quantization import dequantize
from tclif_deploy.quantization.ranges import layer_bound

ROUNDED = 3
"""LSBs that rounding adds to a state in a step, at most: two products, and the current's shift or a reset's product"""


@dataclass(frozen=True)
class StateSafety:
    """One state variable of one layer: of the neuron that comes closest to its limit."""

    layer: str
    state: str
    """``u``, the dendrite, or ``v``, the soma"""
    limit: int
    """largest value that its width holds, in LSBs"""
    calibrated: float
    """largest magnitude that the float network reaches on the calibration data, as a share of the limit"""
    seen: float
    """that the fixed-point network reaches on the data, as a share of the limit"""
    bound: float | None
    """that it can reach at all, for inputs within the payload and the data's number of steps, as a share of the limit;
    None where no bound is known"""
    saturations: int
    """of both states of the layer, on the data"""

    @property
    def headroom(self) -> float | None:
        """How many times the calibrated magnitude fits; None where calibration saw nothing."""
        return 1.0 / self.calibrated if self.calibrated > 0 else None

    @property
    def proven(self) -> bool:
        """Whether it cannot saturate."""
        return self.bound is not None and self.bound <= 1.0


def state_safety(
    fixed: FixedNetwork, calibrated: Float, seen: Float, saturations: dict[str, int], steps: int
) -> tuple[StateSafety, ...]:
    """Both states of every layer; ``calibrated`` and ``seen`` are peaks as (2, neurons of all layers), real units.

    The bound follows u and v as intervals: with M the map of one step, of determinant 1 for TC-LIF, no power of M
    shrinks a push, so every step adds one: weights against the input's payload and a spike of every source, the reset,
    and one LSB for each product that is rounded.
    """
    states, start = [], 0
    for dequantized, layer in zip(dequantize(fixed).layers, fixed.layers, strict=True):
        part = slice(start, start + layer.size)
        start += layer.size
        bound = _bound(dequantized, layer, fixed, steps)
        for n, (state, lsb, bits) in enumerate(
            (("u", layer.lsb_u, fixed.arithmetic.bits_u), ("v", layer.lsb_v, fixed.arithmetic.bits_v))
        ):
            limit = 2 ** (bits - 1) - 1
            states.append(
                StateSafety(
                    layer.name, state, limit,
                    calibrated=float((calibrated[n, part] / lsb).max()) / limit,
                    seen=float((seen[n, part] / lsb).max()) / limit,
                    bound=None if bound is None else float((bound[n] / lsb).max()) / limit,
                    saturations=saturations[layer.name],
                )
            )  # fmt: skip
    return tuple(states)


def _bound(dequantized: Layer, layer: FixedLayer, fixed: FixedNetwork, steps: int) -> Float | None:
    """Largest |u| and |v|, (2, neurons) in real units, or None; ``dequantized`` is what ``layer`` stands for."""
    bias_u, bias_v = (
        fixed.to_real(layer, name, np.abs(getattr(layer, name)) + ROUNDED) for name in ("bias_u", "bias_v")
    )
    pushed = replace(dequantized, neuron=replace(dequantized.neuron, bias_u=bias_u, bias_v=bias_v))
    try:
        return layer_bound(pushed, fixed.input.limit * fixed.input.lsb, steps)
    except TclifError:
        return None
