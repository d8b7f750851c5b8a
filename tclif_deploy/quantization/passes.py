"""Passes that better a layer's integers on calibration data, layer by layer, each seeing its sources' own integers.

A pass is a frozen dataclass with a ``name`` and one ``apply``; its fields are its options.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np

from tclif_deploy.fixed import Int
from tclif_deploy.network import Float
from tclif_deploy.quantization.layer_plan import LayerPlan, rint, state_shift, weight_steps, width_utilization
from tclif_deploy.quantization.rounding import response_error
from tclif_deploy.quantization.settings import PASSES
from tclif_deploy.quantization.statistics import CalibrationStatistics

NARROW = 7
"""largest integer of the widths (4 bits and fewer) whose scales are looked for far below the largest weight's"""


class Pass(Protocol):
    """One improvement."""

    name: ClassVar[str]

    def apply(self, plan: LayerPlan, statistics: CalibrationStatistics) -> LayerPlan:
        """A better plan of the layer that ``statistics`` is about."""


@dataclass(frozen=True)
class ChooseScales:
    """Gives each neuron (of a convolution: channel) the weight scale with the least error of the soma's response,
    instead of the largest weight's.

    A smaller scale is finer but clips the largest weights; a larger one may fit the weights' grid better: the one
    weight of a neuron with one input becomes exact. No scale is taken that would cost the layer a bit of its states.
    """

    name: ClassVar[str] = "scales"
    low: float = 0.8
    high: float = 1.1
    """scales are tried from ``low`` to ``high`` times the largest weight's"""
    low_narrow: float = 0.15
    """the same for weights of at most `NARROW` integers either way: most weights of a neuron are far smaller than its
    largest, and 2 or 3 bits at that one's scale round them all to 0"""
    steps: int = 31

    def apply(self, plan: LayerPlan, statistics: CalibrationStatistics) -> LayerPlan:
        """See `Pass`."""
        context, layer, neurons_per_row = statistics.context, statistics.layer, statistics.neurons_per_row
        first = plan.scale[::neurons_per_row]
        if not context.target.per_neuron_parameters.value:
            return plan
        utilization = (
            np.max(list(width_utilization(layer, plan, context).values()), axis=0)
            .reshape(-1, neurons_per_row)
            .max(axis=1)
        )
        least = first * np.minimum(1.0, utilization * 2.0 ** state_shift(layer, plan, context))
        if first.min() == context.settings.scale_floor * first.max():  # floored neurons stay above the floor
            least = np.maximum(least, first.min())
        top = np.abs(statistics.weights / _steps(replace(plan, scale=np.ones(layer.size)), statistics)).max(axis=1)
        largest_whole = top / np.maximum(np.floor(top / first * (1 + 1e-12)), 1.0)
        candidates = [first, np.where(top > 0, largest_whole, first)]
        candidates += [first * factor for factor in self.factors(plan.limit)]
        best, error = first, np.full(len(first), np.inf)
        for candidate in candidates:
            scale = np.maximum(candidate, least)
            steps = _steps(replace(plan, scale=np.repeat(scale, neurons_per_row)), statistics)
            rounded = statistics.rounding.round(statistics.weights / steps, steps, plan.limit)
            candidate_error = response_error(statistics.weights - rounded * steps, statistics.covariance)
            best, error = np.where(candidate_error < error, scale, best), np.minimum(error, candidate_error)
        return replace(plan, scale=np.repeat(best, neurons_per_row))

    def factors(self, limit: int) -> Float:
        """Shares of the largest weight's scale that are tried for integers up to ``limit``; (steps,)."""
        if limit > NARROW:
            return np.linspace(self.low, self.high, self.steps)
        return np.geomspace(self.low_narrow, self.high, self.steps)


@dataclass(frozen=True)
class CompensateWeights:
    """Rounds each layer's weights so that their errors cancel in what the soma makes of them: see
    `CompensatedRounding`.

    The output that is kept is not the current but the soma's response to it: a source's spikes pass through the
    neuron's own rotation.
    """

    name: ClassVar[str] = "compensate"

    def apply(self, plan: LayerPlan, statistics: CalibrationStatistics) -> LayerPlan:
        """See `Pass`."""
        steps = _steps(plan, statistics)
        rounded = statistics.rounding.round(statistics.weights / steps, steps, plan.limit)
        return replace(plan, weights=_split(rounded, statistics))


@dataclass(frozen=True)
class CorrectBias:
    """Gives each neuron back, as bias, what rounding its weights took from the soma's mean response."""

    name: ClassVar[str] = "bias"

    def apply(self, plan: LayerPlan, statistics: CalibrationStatistics) -> LayerPlan:
        """See `Pass`."""
        steps = _steps(plan, statistics)
        if plan.weights is None:
            weights = np.clip(rint(statistics.weights / steps), -plan.limit, plan.limit)
        else:
            weights = np.concatenate([weight.reshape(len(weight), -1) for weight in plan.weights], axis=1)
        missing = statistics.bias_for(statistics.weights - weights * steps)
        return replace(plan, bias=np.repeat(missing, statistics.neurons_per_row))


def _steps(plan: LayerPlan, statistics: CalibrationStatistics) -> Float:
    """What one integer of each weight means, over all connections: (rows, sources)."""
    parts = [
        np.broadcast_to(weight_steps(c, plan, m, statistics.context.encoding), c.weight.shape).reshape(
            len(c.weight), -1
        )
        for m, c in enumerate(statistics.layer.connections)
    ]
    return np.concatenate(parts, axis=1)


def _split(weights: Int, statistics: CalibrationStatistics) -> tuple[Int, ...]:
    connections = statistics.layer.connections
    parts = np.split(weights, np.cumsum([c.shared_rows.shape[1] for c in connections])[:-1], axis=1)
    return tuple(np.ascontiguousarray(p).reshape(c.weight.shape) for p, c in zip(parts, connections, strict=True))


KNOWN: dict[str, Pass] = {item.name: item for item in (ChooseScales(), CompensateWeights(), CorrectBias())}
"""every pass by its name"""


def chosen_passes(names: tuple[str, ...]) -> tuple[Pass, ...]:
    """The passes of those names, in the order in which they are applied."""
    return tuple(KNOWN[name] for name in PASSES if name in names)
