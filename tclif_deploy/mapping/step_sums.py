"""How large the sums of a step's weights get, with their signs: whatever fires, and on data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.bounds import max_input
from tclif_deploy.data import Dataset
from tclif_deploy.fixed import FixedLayer, FixedNetwork, Int
from tclif_deploy.network import INPUT
from tclif_deploy.simulation import Result
from tclif_deploy.target import Target


def step_sums(fixed: FixedNetwork, layer: FixedLayer) -> tuple[Int, Int]:
    """The least and the largest sum of a step's weights of each neuron, whatever fires, as they join the state.

    Python integers, (neurons,): they cannot overflow. No input is below 0.
    """
    low = high = np.zeros(layer.size, dtype=object)
    for c in layer.connections:
        times = max_input(fixed, c.source) << (c.exponent + max(layer.shift, 0))
        low = low + c.per_neuron(np.minimum(c.shared_rows, 0).sum(axis=1)).astype(object) * times
        high = high + c.per_neuron(np.maximum(c.shared_rows, 0).sum(axis=1)).astype(object) * times
    return low, high


def sum_bits(low: Int, high: Int) -> int:
    """Signed width of what lies between."""
    return max(int(np.max(high)), -int(np.min(low)) - 1, 0).bit_length() + 1


class StepSums:
    """The sums that a step's weights have on data, in layers where they can pass the accumulator of ``target``."""

    def __init__(self, fixed: FixedNetwork, target: Target) -> None:
        limit = target.accumulator_bits
        self.layers = [
            layer for layer in fixed.layers
            if limit is not None and layer.shift >= 0 and sum_bits(*step_sums(fixed, layer)) > limit.value
        ]  # fmt: skip
        self.bits = {layer.name: 1 for layer in self.layers}
        """layer -> signed width of the largest so far"""

    def __call__(self, batch: Dataset, x: Int, clipped: int, result: Result) -> None:
        """One more batch: its input integers and a run that kept its spikes."""
        fired: dict[str, NDArray[Any]] = {INPUT: x, **result.spikes}
        for layer in self.layers:
            total = np.zeros((*x.shape[:2], layer.size))
            for c in layer.connections:
                total += _current(c.apply, fired[c.source], c.delay) * 2.0 ** (c.exponent + layer.shift)
            total *= batch.valid()[:, :, None]
            width = sum_bits(*(np.asarray(each) for each in (total.min(), total.max())))
            self.bits[layer.name] = max(self.bits[layer.name], width)


def _current(
    apply: Callable[[NDArray[np.float64]], NDArray[np.float64]], fired: Int, delay: int
) -> NDArray[np.float64]:
    """A connection's sums of each step (samples, time, neurons); sums of small integers, which float64 holds."""
    samples, time, sources = fired.shape
    heard = np.zeros((samples, time, sources))
    heard[:, delay:] = fired[:, : max(0, time - delay)]
    return apply(heard.reshape(-1, sources)).reshape(samples, time, -1)
