"""The narrowest weights that keep a network's accuracy, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tclif_deploy.blas import one_blas_thread
from tclif_deploy.data import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.network import Network
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.quantization import QuantizeSettings, measured_ranges, quantize
from tclif_deploy.simulation import simulate
from tclif_deploy.simulation.floating import float_classes
from tclif_deploy.target import Target

LOWEST = 2
"""bits of a weight, sign included"""


@dataclass(frozen=True)
class Trial:
    """One choice of widths, and what it costs."""

    bits: tuple[int, ...]
    drop: float
    """accuracy lost, or, without labels, decisions changed; a fraction"""


@dataclass(frozen=True, eq=False)
class Widths:
    """What was found."""

    bits: tuple[int, ...]
    """of each layer's weights"""
    fixed: FixedNetwork
    drop: float
    holds: bool
    """whether ``drop`` is within what was allowed; else ``bits`` are the target's own"""
    trials: tuple[Trial, ...]

    def sentence(self, network: Network, allowed: float, labelled: bool, samples: int) -> str:
        """What to tell the user."""
        chosen = ", ".join(f"{la.name} {bits}" for la, bits in zip(network.layers, self.bits, strict=True))
        loss = "accuracy lost" if labelled else "decisions changed"
        if not self.holds:
            return (
                f"weight bits: none hold {100 * allowed:g} % ({loss}): with the target's own {max(self.bits)} bits it "
                f"is {100 * self.drop:.2f} % on {samples} samples; tclif finetune may recover it"
            )
        return (
            f"weight bits, chosen in {len(self.trials)} trials: {chosen}; {loss} {100 * self.drop:.2f} % on {samples} "
            f"samples (allowed {100 * allowed:g} %)"
        )


@one_blas_thread
def choose_widths(
    network: Network,
    target: Target,
    calibration: Dataset,
    data: Dataset,
    allowed: float,
    settings: QuantizeSettings,
    progress: Progress = no_progress,
) -> Widths:
    """The narrowest weights of each layer with which at most ``allowed`` (a fraction) is lost on ``data``.

    First the narrowest width for all layers at once, from the target's own down; then the layer whose next bit saves
    the most memory is narrowed, as long as any can be. Raises `TclifError` where the target stores every weight at
    one width: fewer bits would save nothing there.
    """
    if target.mixed_weight_bits is None or not target.mixed_weight_bits.value:
        raise TclifError(
            f"{target.name} stores every weight with {target.weight_bits.value} bits: fewer would save nothing",
            "leave --weight-bits auto out, or state mixed_weight_bits in the target's file",
        )
    ranges = measured_ranges(network, calibration)
    float_decisions = float_classes(network, data, batch=128)
    top = target.weight_bits.value
    weights = [sum(c.weight.size for c in layer.connections) for layer in network.layers]
    trials: list[Trial] = []
    total = top - LOWEST + 1 + len(weights)

    def attempt(bits: tuple[int, ...]) -> tuple[FixedNetwork, float]:
        fixed = quantize(network, target, calibration, replace(settings, weight_bits=bits), ranges)
        classes = np.concatenate([simulate(fixed, batch).classes for batch in data.batches(1024)])
        if data.y is None:
            drop = float((classes != float_decisions).mean())
        else:
            drop = float((float_decisions == data.y).mean() - (classes == data.y).mean())
        trials.append(Trial(bits, drop))
        progress(len(trials), max(total, len(trials)))
        return fixed, drop

    bits = (top,) * len(weights)
    best, drop = attempt(bits)
    if drop > allowed:
        return Widths(bits, best, drop, False, tuple(trials))
    for width in range(top - 1, LOWEST - 1, -1):
        fixed, lost = attempt((width,) * len(weights))
        if lost > allowed:
            break
        bits, best, drop = (width,) * len(weights), fixed, lost
    stuck: set[int] = set()
    while (n := next(_next(bits, weights, stuck), None)) is not None:
        narrower = (*bits[:n], bits[n] - 1, *bits[n + 1 :])
        fixed, lost = attempt(narrower)
        if lost > allowed:
            stuck.add(n)
        else:
            bits, best, drop = narrower, fixed, lost
    return Widths(bits, best, drop, True, tuple(trials))


def _next(bits: tuple[int, ...], weights: list[int], stuck: set[int]) -> Iterator[int]:
    """Layers that can be narrowed, those with the most weights first."""
    order = sorted(range(len(weights)), key=lambda n: -weights[n])
    return (n for n in order if bits[n] > LOWEST and n not in stuck)
