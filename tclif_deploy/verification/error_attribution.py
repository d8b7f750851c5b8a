"""Where the error of a quantized network comes from: each source switched on alone, and off alone.

The simulator is imported where it runs, so that a build that holds an attribution is shown without numba.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.data import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.network import Float, Network
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.simulation.quantized_parts import INPUT_PART, LAYER_PARTS, Part, parts_of
from tclif_deploy.verification.state_safety import StateSafety, state_safety

if TYPE_CHECKING:
    from tclif_deploy.simulation.partially_quantized import MixedResult

Parts = frozenset[tuple[str, Part]]

BATCH = 32
"""samples whose input is held as real numbers at a time"""


@dataclass(frozen=True)
class Loss:
    """What quantization costs."""

    agreement: float
    """share of samples on which the class is no longer float's"""
    readout: float
    """rms error of the readout, as a share of the readout's own spread: it moves before any class does"""


@dataclass(frozen=True)
class Effect:
    """One source of error."""

    alone: Loss
    """with nothing else quantized"""
    without: Loss
    """with everything else quantized"""


@dataclass(frozen=True)
class FirstDivergence:
    """The first spike that differs: earliest step, then layer in evaluation order, sample, neuron."""

    sample: int
    step: int
    layer: str
    neuron: int
    fired: str
    """which network fired: ``float`` or ``fixed``"""
    compartment: str
    """``dendrite`` or ``soma``: which was further from the float network's, in LSBs, at that step"""
    margin_float: float
    """the float soma over its threshold before any reset, in LSBs"""
    margin_fixed: float
    error_u: float
    """fixed minus float, in LSBs"""
    error_v: float
    causes: tuple[str, ...]
    """parts of that layer, and the input, each of which, quantized alone, makes this very difference"""


@dataclass(frozen=True)
class ErrorAttribution:
    """Every source of error; losses are against the float network on the same samples."""

    samples: int
    loss: Loss
    """of the network as it is, everything quantized"""
    sources: dict[str, Effect]
    """by kind, over all layers: weights, coefficients, states, thresholds, bias, input"""
    layers: dict[str, Effect]
    """by layer, all its sources together"""
    parts: dict[str, dict[str, Effect]]
    """layer -> kind -> effect; a kind whose numbers are exact is left out"""
    divergence: FirstDivergence | None
    states: tuple[StateSafety, ...]

    @property
    def interaction(self) -> float:
        """What the sources lose together beyond the sum of each alone: ``loss = sum of alone + interaction``."""
        return self.loss.agreement - sum(effect.alone.agreement for effect in self.sources.values())

    @property
    def layer_interaction(self) -> float:
        """The same over layers; the input counts as one."""
        given = self.sources["input"].alone.agreement
        return self.loss.agreement - given - sum(effect.alone.agreement for effect in self.layers.values())

    @property
    def ranked(self) -> tuple[tuple[str, str], ...]:
        """(layer, kind) of everything that moves the readout when quantized alone, the largest readout error first; the
        input's encoding is ``("input", "input")``."""
        effects = {(name, kind): e.alone for name, row in self.parts.items() for kind, e in row.items()}
        effects[INPUT_PART] = self.sources[INPUT_PART[1]].alone
        order = sorted(effects, key=lambda part: (effects[part].readout, effects[part].agreement, part), reverse=True)
        return tuple(part for part in order if effects[part].readout > 0)

    @property
    def worst(self) -> tuple[str, str] | None:
        """The first of `ranked`; None where nothing moves the readout."""
        return next(iter(self.ranked), None)


def attribute_error(
    network: Network,
    fixed: FixedNetwork,
    data: Dataset,
    calibration: Dataset | None = None,
    *,
    saturations: dict[str, int] | None = None,
    progress: Progress = no_progress,
    jobs: int = 2,
) -> ErrorAttribution:
    """Quantize every source of error alone, and everything but it, and compare what the network decides on ``data``.

    ``calibration`` (default: ``data``) is what the ranges of `ErrorAttribution.states` are seen on, ``saturations``
    what the fixed network lost on ``data``, by layer.

    Examples
    --------
    >>> from tclif_deploy import load, load_data, quantize
    >>> network, test = load("fixtures/spoken_digits/checkpoint.pth.tar"), load_data("fixtures/spoken_digits/test.npz")
    >>> fixed = quantize(network, "loihi2", "fixtures/spoken_digits/calibration.npz")
    >>> result = attribute_error(network, fixed, test[:4])
    >>> sum(e.alone.agreement for e in result.sources.values()) + result.interaction == result.loss.agreement
    True
    """
    from tclif_deploy.simulation.partially_quantized import decide_mixed, simulate_mixed

    _check_arithmetic(fixed)
    everything: Parts = frozenset(parts_of(network))
    active = frozenset(part for part in everything if _changes(network, fixed, data, part))
    kinds: dict[str, Parts] = {
        kind: frozenset(p for p in active if p[1] == kind) for kind in (*LAYER_PARTS, INPUT_PART[1])
    }
    layers: dict[str, Parts] = {la.name: frozenset(p for p in active if p[0] == la.name) for la in network.layers}
    groups = {*kinds.values(), *layers.values(), *(frozenset([part]) for part in active)}
    none: Parts = frozenset()
    original, quantized = (
        simulate_mixed(network, fixed, data, each, spikes=True, jobs=jobs) for each in (none, everything)
    )
    decided = {none: (original.readout, original.classes), everything: (quantized.readout, quantized.classes)}
    wanted = (groups | {everything - group for group in groups}) - decided.keys()
    decided |= decide_mixed(network, fixed, data, wanted, progress=progress, jobs=jobs)
    spread = float(original.readout.std()) or 1.0

    def loss(chosen: Parts) -> Loss:
        readout, classes = decided[chosen]
        error = float(np.sqrt(((readout - original.readout) ** 2).mean()))
        return Loss(float((classes != original.classes).mean()), error / spread)

    def effect(group: Parts) -> Effect:
        return Effect(loss(group), loss(everything - group))

    seen = original if calibration is None else simulate_mixed(network, fixed, calibration, frozenset(), jobs=jobs)
    return ErrorAttribution(
        samples=data.samples,
        loss=loss(everything),
        sources={kind: effect(group) for kind, group in kinds.items()},
        layers={name: effect(group) for name, group in layers.items()},
        parts={
            la.name: {k: effect(frozenset([(la.name, k)])) for k in LAYER_PARTS if (la.name, k) in active}
            for la in network.layers
        },
        divergence=_first(network, fixed, data, original, quantized),
        states=state_safety(
            fixed, seen.peaks, quantized.peaks,
            saturations or dict.fromkeys((la.name for la in fixed.layers), 0), data.time,
        ),
    )  # fmt: skip


def _check_arithmetic(fixed: FixedNetwork) -> None:
    """Raise `TclifError` for rules that the partly quantized network, which is float64, does not have."""
    if fixed.arithmetic.unusual:
        rules = ", ".join(fixed.arithmetic.unusual)
        raise TclifError(
            f"errors of the arithmetic's {rules} cannot be attributed", "verify compares what comes of them"
        )


def _changes(network: Network, fixed: FixedNetwork, data: Dataset, part: tuple[str, Part]) -> bool:
    """Whether quantizing ``part`` changes any number; rounding states always can."""
    if part == INPUT_PART:
        return not all(
            np.allclose(fixed.input.encode(d.x, d.scale)[0], d.values() / fixed.input.lsb, rtol=1e-12, atol=0.0)
            for d in data.batches(BATCH)
        )
    if part[1] == "states":
        return True
    from tclif_deploy.simulation.partially_quantized import layer_numbers

    n = next(n for n, layer in enumerate(network.layers) if layer.name == part[0])
    off, on = (layer_numbers(network.layers[n], fixed.layers[n], fixed, chosen) for chosen in ((), (part[1],)))
    pairs = ((off[0], on[0]), *zip(off[1], on[1], strict=True))
    return any(not np.allclose(a, b, rtol=1e-12, atol=0.0) for a, b in pairs)


def _first(
    network: Network, fixed: FixedNetwork, data: Dataset, original: MixedResult, quantized: MixedResult
) -> FirstDivergence | None:
    """Where the first spike differs, and why."""
    from tclif_deploy.simulation.partially_quantized import simulate_mixed

    differs = (original.spikes != quantized.spikes) & data.valid()[:, :, None]
    steps = np.flatnonzero(differs.any(axis=(0, 2)))
    if not steps.size:
        return None
    step = int(steps[0])
    starts = np.cumsum([0, *(layer.size for layer in fixed.layers)])
    column = int(np.flatnonzero(differs[:, step].any(axis=0))[0])
    n = int(np.searchsorted(starts, column, side="right")) - 1
    differing = differs[:, step, starts[n] : starts[n + 1]]
    sample, neuron = (int(value) for value in np.argwhere(differing)[0])
    name, layer = network.layers[n].name, fixed.layers[n]
    one = data[sample : sample + 1]

    def at(chosen: Collection[tuple[str, Part]]) -> tuple[Float, bool]:
        """u and v before any reset, in LSBs, and whether it fired, at the divergence."""
        run = simulate_mixed(network, fixed, one, chosen, spikes=True, peaks=False, probe=(n, neuron, step), jobs=1)
        return run.probed, bool(run.spikes[0, step, starts[n] + neuron])

    (a, fired), (b, _) = at(()), at(parts_of(network))
    theta = fixed.from_real(layer, "threshold", network.layers[n].neuron.threshold)[neuron]
    error = b - a
    tried = (INPUT_PART, *((name, part) for part in LAYER_PARTS))
    causes = tuple(part[1] for part in tried if at((part,))[1] != fired)
    return FirstDivergence(
        sample, step, name, neuron, "float" if fired else "fixed",
        "dendrite" if abs(error[0]) > abs(error[1]) else "soma",
        float(a[1] - theta), float(b[1] - layer.threshold[neuron]), float(error[0]), float(error[1]), causes,
    )  # fmt: skip


Measure = Callable[[FixedNetwork], Loss]


def measure(network: Network, data: Dataset, jobs: int = 2) -> Measure:
    """The loss of any quantization of ``network`` on ``data``."""
    from tclif_deploy.simulation.partially_quantized import simulate_mixed

    classes: NDArray[np.int64] | None = None
    readout: Float | None = None

    def loss_of(fixed: FixedNetwork) -> Loss:
        nonlocal classes, readout
        _check_arithmetic(fixed)
        if classes is None or readout is None:
            original = simulate_mixed(network, fixed, data, (), peaks=False, jobs=jobs)
            classes, readout = original.classes, original.readout
        quantized = simulate_mixed(network, fixed, data, parts_of(network), peaks=False, jobs=jobs)
        error = float(np.sqrt(((quantized.readout - readout) ** 2).mean()))
        return Loss(float((quantized.classes != classes).mean()), error / (float(readout.std()) or 1.0))

    return loss_of
