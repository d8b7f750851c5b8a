"""How far the states go, and how far they can: seen, proven, and what the target holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.network import INPUT, Float, Layer, Network
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
    network: Network, fixed: FixedNetwork, calibrated: Float, seen: Float, saturations: dict[str, int], steps: int
) -> tuple[StateSafety, ...]:
    """Both states of every layer; ``calibrated`` and ``seen`` are peaks as (2, neurons of all layers), real units.

    The bound follows u and v as intervals: with M the map of one step, of determinant 1 for TC-LIF, no power of M
    shrinks a push, so every step adds one: weights against the input's payload and a spike of every source, the reset,
    and one LSB for each product that is rounded.
    """
    found, start = [], 0
    for real, layer in zip(network.layers, fixed.layers, strict=True):
        part = slice(start, start + layer.size)
        start += layer.size
        bound = _bound(real, fixed, steps)
        for n, (state, lsb, bits) in enumerate(
            (("u", layer.lsb_u, fixed.arithmetic.bits_u), ("v", layer.lsb_v, fixed.arithmetic.bits_v))
        ):
            limit = 2 ** (bits - 1) - 1
            found.append(
                StateSafety(
                    layer.name, state, limit,
                    calibrated=float((calibrated[n, part] / lsb).max()) / limit,
                    seen=float((seen[n, part] / lsb).max()) / limit,
                    bound=None if bound is None else float((bound[n] / lsb).max()) / limit,
                    saturations=saturations[layer.name],
                )
            )  # fmt: skip
    return tuple(found)


def _bound(real: Layer, fixed: FixedNetwork, steps: int) -> Float | None:
    """Largest |u| and |v|, (2, neurons) in real units, or None."""
    layer, n, one = fixed.layer(real.name), real.neuron, 2.0**fixed.arithmetic.frac_bits
    rho = layer.lsb_v / layer.lsb_u
    neuron = replace(
        n,
        a_u=layer.a_u / one, b_u=layer.b_u / one / rho, a_v=layer.a_v / one, b_v=layer.b_v / one * rho,
        q=layer.q / one * rho, r_u=layer.r_u * layer.lsb_u, r_v=layer.r_v * layer.lsb_v,
        v_reset=layer.v_reset * layer.lsb_v, v0=layer.v0 * layer.lsb_v,
        bias_u=(np.abs(layer.bias_u) + ROUNDED) * layer.lsb_u, bias_v=(np.abs(layer.bias_v) + ROUNDED) * layer.lsb_v,
    )  # fmt: skip
    unit = (layer.lsb_u if layer.input_to == "dendrite" else layer.lsb_v) * 2.0**layer.shift
    connections = []
    for c, whole in zip(real.connections, layer.connections, strict=True):
        step = unit[:: whole.sharing].reshape(-1, *[1] * (whole.weight.ndim - 1)) * 2.0**whole.exponent
        source = fixed.input.lsb if c.source == INPUT else 1.0
        connections.append(replace(c, weight=whole.weight * step / source))
    try:
        return layer_bound(
            replace(real, neuron=neuron, connections=tuple(connections)), fixed.input.limit * fixed.input.lsb, steps
        )
    except TclifError:
        return None
