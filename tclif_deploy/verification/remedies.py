"""What would help a quantized network: measured, not guessed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tclif_deploy.data import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.network import Network
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.quantization import QuantizeSettings, Ranges, measured_ranges, quantize
from tclif_deploy.quantization.quantizer import weight_widths
from tclif_deploy.target import Target
from tclif_deploy.verification.error_attribution import ErrorAttribution, Loss, measure


@dataclass(frozen=True)
class Remedy:
    """One change, and what the network loses with it."""

    layer: str
    """empty where it concerns all layers"""
    what: str
    """as in ``9-bit weights``"""
    loss: Loss


def remedies(
    attribution: ErrorAttribution,
    network: Network,
    target: Target,
    settings: QuantizeSettings,
    data: Dataset,
    calibration: Dataset,
    *,
    progress: Progress = no_progress,
    jobs: int = 2,
) -> tuple[Remedy, ...]:
    """Quantize ``network`` anew with one bit more where ``attribution`` finds the worst, and measure on ``data``."""
    if attribution.worst is None:
        return ()
    ranges = measured_ranges(network, calibration)
    loss_of = measure(network, data, jobs)
    tried = list(_changes(*attribution.worst, network, target, settings))
    measured = []
    for n, (layer, change, machine, chosen) in enumerate(tried):
        fixed = _quantized(network, machine, calibration, chosen, ranges)
        if fixed is not None:
            measured.append(Remedy(layer, change, loss_of(fixed)))
        progress(n + 1, len(tried))
    return tuple(measured)


def _quantized(network: Network, target: Target, calibration: Dataset, settings: QuantizeSettings, ranges: Ranges):  # type: ignore[no-untyped-def]
    try:
        return quantize(network, target, calibration, settings, ranges)
    except TclifError:  # a width that this network does not fit helps nobody
        return None


def _changes(
    layer: str, kind: str, network: Network, target: Target, settings: QuantizeSettings
) -> Iterator[tuple[str, str, Target, QuantizeSettings]]:
    """(layer or "", what changes, target, settings) for each change worth trying against the worst source."""
    widths = weight_widths(network, target, settings)
    state_bits, coefficient_bits = target.state_bits.value, target.coefficient_bits.value
    if kind == "weights":
        n = next(n for n, one in enumerate(network.layers) if one.name == layer)
        wider = (*widths[:n], widths[n] + 1, *widths[n + 1 :])
        if max(wider) <= 16:
            machine = target.override(weight_bits=max(target.weight_bits.value, *wider))
            yield layer, f"{wider[n]}-bit weights", machine, replace(settings, weight_bits=wider)
        everywhere = tuple(width + 1 for width in widths)
        if max(everywhere) <= 16 and len(widths) > 1:
            machine = target.override(weight_bits=max(target.weight_bits.value, *everywhere))
            yield "", "one more bit for every weight", machine, replace(settings, weight_bits=everywhere)
    if kind == "coefficients" and coefficient_bits < 24:
        bits = coefficient_bits + 1
        yield "", f"{bits}-bit coefficients", target.override(coefficient_bits=bits), settings
    if kind in ("states", "thresholds", "bias") and state_bits < 32:
        yield "", f"{state_bits + 1}-bit states", target.override(state_bits=state_bits + 1), settings
    if kind == "states" and target.rounding.value != "nearest":
        yield "", "products rounded to nearest", target.override(rounding="nearest"), settings
