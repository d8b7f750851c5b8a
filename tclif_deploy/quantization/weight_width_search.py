"""The weights' widths by layer, chosen on calibration data: the narrowest that lose little, or the best that fit.

The data that a verdict is about never enter: what is chosen by them would flatter it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from tclif_deploy.blas import one_blas_thread
from tclif_deploy.data import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.network import Network
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.quantization import QuantizeSettings, measured_ranges, quantize
from tclif_deploy.quantization.width_trials import Size, WidthGoal, WidthSearch, WidthTrial
from tclif_deploy.simulation import simulate
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.simulation.scores import answers
from tclif_deploy.target import Target

LOWEST = 2
"""bits of a weight, sign included"""
BATCH = 128
"""samples simulated at a time"""
Sizes = Callable[[FixedNetwork], Size]
"""what a network takes of the target"""
Bits = tuple[int, ...]


@one_blas_thread
def choose_widths(
    network: Network,
    target: Target,
    calibration: Dataset,
    goal: WidthGoal,
    sizes: Sizes,
    settings: QuantizeSettings,
    progress: Progress = no_progress,
) -> tuple[FixedNetwork, WidthSearch]:
    """Widths that meet ``goal``, the integers that they give, and all that was tried, measured on ``calibration``.

    Against a loss: first the narrowest width for all layers at once, from the target's own down; then the layer whose
    next bit saves the most memory is narrowed, as long as any can be. Against memory or cores: the widest width for all
    layers at once that fits; then layers are widened where that fits too and brings the readout nearer to float's,
    those with the fewest weights first. Raises `TclifError` where the target stores every weight at one width: fewer
    bits would save nothing there.
    """
    if target.mixed_weight_bits is None or not target.mixed_weight_bits.value:
        raise TclifError(
            f"{target.name} stores every weight with {target.weight_bits.value} bits: fewer would save nothing",
            "leave --weight-bits auto out, or state mixed_weight_bits in the target's file",
        )
    trials = _Trials(network, target, calibration, sizes, settings, progress)
    chosen = (_narrowest if goal.kind == "loss" else _widest_that_fits)(trials, goal)
    search = WidthSearch(
        goal, tuple(layer.name for layer in network.layers), calibration.samples, calibration.y is not None,
        tuple(trials.made.values()), list(trials.made).index(chosen),
    )  # fmt: skip
    return trials.integers(chosen), search


def _narrowest(trials: _Trials, goal: WidthGoal) -> Bits:
    """The narrowest widths that lose no more than is allowed; the target's own where none do."""
    bits = trials.uniform(trials.top)
    if not trials.of(bits).meets(goal):
        return bits
    for width in range(trials.top - 1, LOWEST - 1, -1):
        if not trials.of(trials.uniform(width)).meets(goal):
            break
        bits = trials.uniform(width)
    stuck: set[int] = set()
    while (n := next(_next(bits, trials.weights, stuck), None)) is not None:
        narrower = (*bits[:n], bits[n] - 1, *bits[n + 1 :])
        if trials.of(narrower).meets(goal):
            bits = narrower
        else:
            stuck.add(n)
    return bits


def _next(bits: Bits, weights: list[int], stuck: set[int]) -> Iterator[int]:
    """Layers that can be narrowed, those with the most weights first."""
    order = sorted(range(len(weights)), key=lambda n: -weights[n])
    return (n for n in order if bits[n] > LOWEST and n not in stuck)


def _widest_that_fits(trials: _Trials, goal: WidthGoal) -> Bits:
    """The widths within a memory or a number of cores with the nearest readout found; the narrowest where none fit."""
    for width in range(trials.top, LOWEST - 1, -1):
        bits = trials.uniform(width)
        if trials.of(bits).meets(goal):
            break
    else:
        return bits
    order = sorted(range(len(bits)), key=lambda n: trials.weights[n])
    widened = True
    while widened:
        widened = False
        for n in order:
            wider = (*bits[:n], bits[n] + 1, *bits[n + 1 :])
            if bits[n] == trials.top or wider in trials.made:
                continue
            trial = trials.of(wider)
            if trial.meets(goal) and trial.readout_error < trials.of(bits).readout_error:
                bits, widened = wider, True
    return bits


class _Trials:
    """Trials by their widths: each is made once, and the last ones' integers are kept."""

    def __init__(
        self, network: Network, target: Target, calibration: Dataset, sizes: Sizes, settings: QuantizeSettings,
        progress: Progress,
    ) -> None:  # fmt: skip
        self.network, self.target, self.calibration, self.sizes = network, target, calibration, sizes
        self.settings, self.progress = settings, progress
        self.ranges = measured_ranges(network, calibration)
        self.top = target.weight_bits.value
        self.weights = [sum(c.weight.size for c in layer.connections) for layer in network.layers]
        self.made: dict[Bits, WidthTrial] = {}
        self._batches = list(calibration.batches(BATCH))
        runs = [simulate_float(network, b.values(), lengths=b.lengths, spikes=False) for b in self._batches]
        self._classes = np.concatenate([run.classes for run in runs])
        self._readout = np.concatenate(
            [answers(network, run, b, "value") for run, b in zip(runs, self._batches, strict=True)]
        )
        self._kept: tuple[Bits, FixedNetwork] | None = None

    def uniform(self, width: int) -> Bits:
        """One width for all layers."""
        return (width,) * len(self.weights)

    def integers(self, bits: Bits) -> FixedNetwork:
        """The network's integers with these widths."""
        if self._kept is None or self._kept[0] != bits:
            settings = replace(self.settings, weight_bits=bits)
            self._kept = bits, quantize(self.network, self.target, self.calibration, settings, self.ranges)
        return self._kept[1]

    def of(self, bits: Bits) -> WidthTrial:
        """The trial with these widths."""
        if bits in self.made:
            return self.made[bits]
        fixed = self.integers(bits)
        runs = [simulate(fixed, batch) for batch in self._batches]
        classes = np.concatenate([run.classes for run in runs])
        pairs = zip(runs, self._batches, strict=True)
        readout = np.concatenate([answers(fixed, run, batch, "value") for run, batch in pairs])
        error = float(np.sqrt(np.mean((readout - self._readout) ** 2))) / (float(self._readout.std()) or 1.0)
        y = self.calibration.y
        if y is None:
            lost = int((classes != self._classes).sum())
        else:
            lost = int((self._classes == y).sum()) - int((classes == y).sum())
        self.made[bits] = WidthTrial(bits, lost / len(classes), error, *self.sizes(fixed))
        self.progress(len(self.made), max(len(self.made), self.top - LOWEST + 1 + len(self.weights)))
        return self.made[bits]
