"""What a verdict says about a network's life: layers that fell silent, saturate, or fire without end."""

from __future__ import annotations

from collections.abc import Iterator

from tclif_deploy.fixed import FixedLayer, FixedNetwork
from tclif_deploy.network import INPUT
from tclif_deploy.verification.verdict import Verdict

BUSY = 0.9
"""a layer that fires in more than this share of its neuron steps says nothing any more"""


def health(fixed: FixedNetwork, verdict: Verdict) -> tuple[str, ...]:
    """A sentence for each layer that is silent, saturates or fires nearly always, with the likely cause."""
    return tuple(_findings(fixed, verdict))


def _findings(fixed: FixedNetwork, verdict: Verdict) -> Iterator[str]:
    rates = {layer.name: (layer.spike_rate_float, layer.spike_rate_fixed) for layer in verdict.layers}
    for layer in fixed.layers:
        real, whole = rates.get(layer.name, (0.0, 0.0))
        saturated = verdict.saturations.get(layer.name, 0)
        if layer.spiking and whole == 0.0:
            if real == 0.0:
                yield f"layer {layer.name} never fires on these data, in float neither: other data, or a dead network"
            else:
                yield (
                    f"layer {layer.name} fell silent (float fires in {100 * real:.2g} % of its neuron steps): "
                    f"{_silence(layer, fixed, rates, saturated)}"
                )
        if layer.spiking and whole > BUSY:
            also = "in float too" if real > BUSY else f"float in {100 * real:.2g} %: more headroom or state bits"
            yield f"layer {layer.name} fires in {100 * whole:.2g} % of its neuron steps, {also}"
        if saturated:
            yield (
                f"layer {layer.name}: {saturated:,} state values saturated: these data drive it further than the "
                "calibration data did; calibrate on data like these, or give more --headroom"
            )


def _silence(layer: FixedLayer, fixed: FixedNetwork, rates: dict[str, tuple[float, float]], saturated: int) -> str:
    """Why a layer that fires in float does not in fixed point, the likeliest cause first."""
    dead = [c.source for c in layer.connections if c.source != INPUT and rates.get(c.source, (0, 1))[1] == 0]
    if dead:
        return f"its source {dead[0]} is silent"
    if not any(c.weight.any() for c in layer.connections):
        return "all of its weights were rounded to 0: more weight bits"
    if saturated:
        return "its states saturate below the threshold: more headroom or state bits"
    limit = 2 ** (fixed.arithmetic.bits_v - 1) - 1
    if int(layer.threshold.min()) > limit:
        return f"its thresholds (from {int(layer.threshold.min()):,}) lie above the states' limit {limit:,}"
    if layer.shift < 0:
        return f"its currents are shifted right by {-layer.shift} bits, which leaves nothing: more state bits"
    return "its currents are too small in LSBs: compare the calibration data's scale with these data's"
