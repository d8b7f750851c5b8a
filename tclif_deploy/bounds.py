"""How large every intermediate of a layer can get: what lets a backend choose its integer types, proven.

The reference computes "wide enough". A machine has 32 or 64 bits, so a backend that must never overflow asks
here first. All bounds are magnitudes, plain Python integers, and hold for every input within the payload.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tclif_deploy.fixed import Arithmetic, FixedLayer, FixedNetwork, Int, Overflow
from tclif_deploy.network import INPUT


@dataclass(frozen=True)
class LayerBounds:
    """Largest magnitudes, over all neurons, that one step of a layer can reach."""

    accumulator: int
    """the sum over connections, and any partial sum of it in any order"""
    current: int
    """i, what is shifted to get it, and the power of two itself"""
    u: int
    """the dendrite between operations"""
    v: int
    product: int
    """any coefficient times any state, with what rounding adds before the shift"""
    sum: int
    """everything that is added up before ovf, in either compartment, when charged or when reset"""
    constant: int
    """threshold, resets, biases, u0, v0"""

    @property
    def largest(self) -> int:
        """The widest of them all."""
        return max(self.accumulator, self.current, self.u, self.v, self.product, self.sum, self.constant)


def max_input(network: FixedNetwork, source: str) -> int:
    """Largest magnitude that ``source`` sends: the payload's limit, or as many spikes as a step may have."""
    return network.input.limit if source == INPUT else network.arithmetic.most_spikes


def state_limit(bits: int, overflow: Overflow) -> int:
    """Largest magnitude that ovf lets through."""
    return int(2 ** (bits - 1)) - (overflow == "saturate")


def accumulator_reach(network: FixedNetwork, layer: FixedLayer) -> Any:
    """Largest magnitude of each neuron's accumulator, were everything active at once; Python integers, (neurons,)."""
    reach = np.zeros(layer.size, dtype=object)
    for c in layer.connections:
        largest = max_input(network, c.source) << c.exponent
        reach = reach + c.per_neuron(_row_reach(c.shared_rows)) * largest
    return reach


def layer_bounds(network: FixedNetwork, layer: FixedLayer) -> LayerBounds:
    """The bounds of ``layer``.

    Examples
    --------
    >>> from tclif_deploy.fixed import Arithmetic, FixedConnection, FixedLayer, FixedNetwork, InputEncoding
    >>> one, no = np.ones(2, np.int64), np.zeros(2, np.int64)
    >>> layer = FixedLayer("out", (FixedConnection("input", np.array([[3, -4], [1, 0]])),), 0, no, no, one, one, no,
    ...                    no, no, no, no, no, no, no, np.ones(2), np.ones(2), one, spiking=False)
    >>> arithmetic = Arithmetic(0, "floor", 8, 8, "saturate", "wrap")
    >>> bounds = layer_bounds(FixedNetwork(InputEncoding(2, 1.0, 4), arithmetic, (layer,)), layer)
    >>> bounds.accumulator, bounds.u, bounds.v
    (49, 127, 128)
    """
    m = network.arithmetic
    accumulator = accumulator_reach(network, layer)
    scaled_input = max(max_input(network, c.source) << c.exponent for c in layer.connections)
    before, current = _shifted(accumulator, layer.shift, m)
    i_u, i_v = (current, 0 * current) if layer.input_to == "dendrite" else (0 * current, current)
    u = max(state_limit(m.bits_u, m.overflow_u), *_exact(layer.u0))
    v = max(state_limit(m.bits_v, m.overflow_v), *_exact(layer.v0))
    if layer.spiking and layer.reset == "hard":
        v = max(v, *_exact(layer.v_reset))
    products, terms = zip(*(
        _shifted(_exact(a) * state, -m.frac_bits, m)
        for a, state in ((layer.a_u, u), (layer.b_u, v), (layer.a_v, v), (layer.b_v, u), (layer.q, u))
    ), strict=True)  # fmt: skip
    charged_u = terms[0] + terms[1] + i_u + _exact(layer.bias_u)
    charged_v = terms[2] + terms[3] + i_v + _exact(layer.bias_v)
    if m.input_first:  # before the decay, which comes next
        charged_u, charged_v = np.maximum(charged_u, u + i_u), np.maximum(charged_v, v + i_v)
    reset_u, reset_v = u + _exact(layer.r_u), v + _exact(layer.r_v) + terms[4]
    constants = (layer.threshold, layer.r_u, layer.r_v, layer.v_reset, layer.bias_u, layer.bias_v, layer.v0, layer.u0)
    return LayerBounds(
        accumulator=max(scaled_input, *accumulator),
        current=max(*before, *current, 2 ** abs(layer.shift)),
        u=u,
        v=v,
        product=max(max(p) for p in products),
        sum=max(*charged_u, *charged_v, *reset_u, *reset_v),
        constant=max(int(max(_exact(values))) for values in constants),
    )


def _row_reach(rows: Int) -> Any:
    """Sums of magnitudes along each row, as Python integers."""
    fits = max(int(rows.max()), -int(rows.min())) * rows.shape[1] < 2**63
    return np.abs(rows).sum(axis=1).astype(object) if fits else _exact(rows).sum(axis=1)


def _exact(values: Int) -> Any:
    """Magnitudes as Python integers, which cannot overflow."""
    return np.abs(values.astype(object))


def _shifted(values: Any, shift: int, m: Arithmetic) -> tuple[Any, Any]:
    """(magnitudes just before the shift's last operation, magnitudes after it)."""
    if shift >= 0:
        return values * 2**shift, values * 2**shift
    before = values + (2 ** (-shift - 1) if m.rounding == "nearest" else 0)
    # Rounding to nearest or down can leave one more than the truncated quotient.
    return before, (before >> -shift) + (m.rounding != "toward_zero")
