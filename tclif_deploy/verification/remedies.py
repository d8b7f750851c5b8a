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
from tclif_deploy.simulation.quantized_parts import INPUT_PART
from tclif_deploy.target import Target
from tclif_deploy.verification.error_attribution import ErrorAttribution, Loss, measure

KINDS = 3
"""kinds of error against which something is tried, at most"""
CLEARLY = 0.9
"""of the readout error: what is less than a tenth better with the same classes is no help"""


@dataclass(frozen=True)
class Remedy:
    """One change, and what the network loses with it."""

    layer: str
    """empty where it concerns all layers"""
    what: str
    """as in ``9-bit weights``"""
    loss: Loss

    def helps(self, before: Loss) -> bool:
        """Whether fewer classes change than ``before`` and the readout is no further off, or as many and it is clearly
        nearer.

        Examples
        --------
        >>> before = Loss(agreement=0.02, readout=0.10)
        >>> Remedy("", "9-bit weights", Loss(0.01, 0.09)).helps(before)
        True
        >>> Remedy("", "25-bit states", Loss(0.02, 0.0999)).helps(before)
        False
        """
        if self.loss.agreement < before.agreement:
            return self.loss.readout <= before.readout
        return self.loss.agreement == before.agreement and self.loss.readout <= CLEARLY * before.readout


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
    """Quantize ``network`` anew with more bits where ``attribution`` finds the worst, and measure on ``data``.

    Where nothing that is tried there helps, the next kinds of error are tried too, `KINDS` in all.
    """
    worst: dict[str, str] = {}
    for layer, kind in attribution.ranked:
        worst.setdefault(kind, layer)
    if not worst:
        return ()
    ranges = measured_ranges(network, calibration)
    loss_of = measure(network, data, jobs)
    measured: list[Remedy] = []
    done = 0
    changes = [list(_changes(layer, kind, network, target, settings)) for kind, layer in list(worst.items())[:KINDS]]
    total = sum(map(len, changes))
    for of_kind in changes:
        for layer, change, machine, chosen in of_kind:
            fixed = _quantized(network, machine, calibration, chosen, ranges)
            known = {remedy.what for remedy in measured if remedy.layer == layer}
            if fixed is not None and change not in known:  # two kinds may ask for the same bit
                measured.append(Remedy(layer, change, loss_of(fixed)))
            done += 1
            progress(done, total)
        if any(remedy.helps(attribution.loss) for remedy in measured):
            break
    progress(total, total)
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
    if kind == INPUT_PART[1]:
        bits = min(target.input_bits.value, settings.real_input_bits)
        for more in sorted({bits + 1, 2 * bits}):
            if more <= 24:
                machine = target.override(input_bits=max(more, target.input_bits.value))
                yield "", f"{more}-bit input", machine, replace(settings, real_input_bits=more)
    if kind == "coefficients" and coefficient_bits < 24:
        bits = coefficient_bits + 1
        yield "", f"{bits}-bit coefficients", target.override(coefficient_bits=bits), settings
    if kind in ("states", "thresholds", "bias") and state_bits < 32:
        yield "", f"{state_bits + 1}-bit states", target.override(state_bits=state_bits + 1), settings
    if kind == "states" and target.rounding.value != "nearest":
        yield "", "products rounded to nearest", target.override(rounding="nearest"), settings
