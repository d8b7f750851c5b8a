"""What a user should know about how a network's numbers fit a target: which number, and by how much."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence

import numpy as np

from tclif_deploy.data import Dataset
from tclif_deploy.fixed import FixedLayer, FixedNetwork
from tclif_deploy.network import Layer
from tclif_deploy.quantization.layer_plan import (
    LayerPlan,
    QuantizationContext,
    as_the_target_steps,
    largest_shift,
    width_utilization,
)
from tclif_deploy.target import Target
from tclif_deploy.text import count

SPIKES_ONLY = 2
"""signed bits of an input of which a value is a spike, of either sign, or none"""
TOO_FAR = 0.05
"""a decay that is off by more than this share of itself, for want of a nearer one, is told"""
SAMPLES_FOR = {2: 32, 3: 8, 4: 4}
"""weight bits -> calibration samples from which on more brought little: the readout's error of three MNIST networks
(784 steps a sample), calibrated on 2 to 128 images"""
DIFFERENT = 2.0
"""inputs whose rms differ by more than this are of another range"""


def layer_notices(layer: Layer, fixed: FixedLayer, plan: LayerPlan, context: QuantizationContext) -> list[str]:
    """Numbers of one layer that the target's widths squeeze or lose."""
    stepped = as_the_target_steps(layer, context.target)
    return [
        f"layer {layer.name}: {text}"
        for text in (
            *_narrow({name: float(share.max()) for name, share in width_utilization(layer, plan, context).items()}),
            *_factors(layer, fixed, context),
            *_resets(stepped, fixed),
            *_weights(layer, fixed),
        )
    ]


def few_samples_notice(calibration: Dataset, bits: Sequence[int]) -> str | None:
    """What to say where weights of ``bits`` are fitted to so few samples that more would help."""
    narrowest = min(bits, default=16)
    enough = SAMPLES_FOR.get(narrowest, 1)
    if calibration.samples >= enough:
        return None
    given = count(calibration.samples, "calibration sample")
    return (
        f"{given} for {narrowest}-bit weights, which are fitted to what they show: {enough} or more would help "
        f"({calibration.name})"
    )


def stored_width_notice(target: Target, bits: Sequence[int]) -> str | None:
    """What to say where weights of ``bits`` save nothing, since the target stores them at another width."""
    stored = (target.stored_weight_bits or target.weight_bits).value
    mixed = target.mixed_weight_bits is not None and target.mixed_weight_bits.value
    narrowest = min(bits, default=stored)
    if mixed or target.luts is not None or narrowest >= stored:
        return None
    return f"{target.name} stores every weight with {stored} bits: {narrowest}-bit weights take as much memory"


def input_notice(calibration: Dataset, data: Dataset) -> str | None:
    """What to say where the data are of another range than what the scales were calibrated on."""
    (low, a), (high, b) = sorted((_rms(d), d.name) for d in (calibration, data))
    if high <= DIFFERENT * low:
        return None
    ratio = "infinitely" if low == 0 else f"{high / low:.3g} times"
    return (
        f"the input range differs: {b} is {ratio} larger than {a} (rms {high:.3g} and {low:.3g}): "
        "the scales are calibrated on one of them; was one scaled, as by 1/255?"
    )


def widths_notice(calibration: Dataset, data: Dataset) -> str | None:
    """What to say where samples that chose the weights' widths are among the ``data`` of the verdict."""
    chose = {_sample(calibration, n) for n in range(calibration.samples)}
    same = sum(_sample(data, n) in chose for n in range(data.samples))
    if not same:
        return None
    return (
        f"{same:,} of the verdict's {count(data.samples, 'sample')} chose the weight bits too, which flatters it: "
        "give other samples as --calibration"
    )


def _sample(data: Dataset, n: int) -> bytes:
    """Tells one sample from another: a digest of what a network sees of it."""
    seen = np.ascontiguousarray(data.x[n] if data.lengths is None else data.x[n, : data.lengths[n]])
    return hashlib.sha256(repr((seen.dtype.str, seen.shape, data.scale)).encode() + seen.tobytes()).digest()


def payload_notice(data: Dataset, fixed: FixedNetwork, target: Target) -> str | None:
    """What to say where real values enter by integers that are spikes, which keep three of them: since the target
    takes no others, or was told to take no more bits."""
    if fixed.input.bits > SPIKES_ONLY:
        return None
    values = np.unique(np.abs(data.x[data.x != 0]))
    if len(values) <= 1:
        return None
    sizes = f"the input takes {len(values):,} sizes besides 0 ({data.name})"
    if target.input_bits.value > SPIKES_ONLY:
        return f"{sizes}, and {fixed.input.bits} bits round them to one: {target.name} takes more (--real-input-bits)"
    return (
        f"{sizes}, and {target.name} takes a spike or none: they are "
        "rounded to one size; encode them as spikes, or run the first layer on the host and compile what is behind it"
    )


def _rms(data: Dataset) -> float:
    return math.sqrt(float(np.mean(np.square(data.x, dtype=np.float64)))) * data.scale


def _narrow(utilization: dict[str, float]) -> Iterator[str]:
    """Kinds of numbers that are so narrow on the target that the layer's states lose bits to them."""
    alone = largest_shift(utilization["states"]) if utilization["states"] > 0 else None
    for name, share in utilization.items():
        bits = 0 if alone is None or share <= 0 else alone - largest_shift(share)
        if bits > 0:
            yield f"the target's width of {name} costs its states {bits} bit{'s' if bits > 1 else ''}"


def _factors(layer: Layer, fixed: FixedLayer, context: QuantizationContext) -> Iterator[str]:
    """Decays that become none, or full."""
    k = context.target.coefficient_bits.value
    for name in ("a_u", "a_v"):
        original, quantized = getattr(layer.neuron, name), getattr(fixed, name)
        lost = ((quantized == 1 << k) & (original != 1.0)) | ((quantized == 0) & (original > 0.0))
        if lost.any():
            worst = int(np.flatnonzero(lost)[0])
            need = math.ceil(-math.log2(min(original[worst], abs(1.0 - original[worst]))))
            yield (
                f"{name} of neuron {worst} is {original[worst]:.6g}, which {k} fractional bits round to "
                f"{int(quantized[worst] > 0)}: {need} are needed"
            )
        exact = np.rint(original * (1 << k))
        away = np.abs(quantized - exact) / np.maximum(np.minimum((1 << k) - exact, (1 << k) - quantized), 1)
        if (away > TOO_FAR).any():
            worst = int(away.argmax())
            yield (
                f"{name} of neuron {worst} is {original[worst]:.6g}, the nearest that {context.target.name} has is "
                f"{quantized[worst] / (1 << k):.6g}"
            )


def _resets(layer: Layer, fixed: FixedLayer) -> Iterator[str]:
    """Resets of less than half an LSB."""
    for name, lsb in (("r_u", fixed.lsb_u), ("r_v", fixed.lsb_v)):
        original = getattr(layer.neuron, name)
        lost = (original != 0) & (getattr(fixed, name) == 0)
        if lost.any():
            worst = int(np.argmin(np.where(lost, np.abs(original) / lsb, np.inf)))
            need = math.ceil(-math.log2(abs(original[worst]) / lsb[worst]))
            yield (
                f"{name} of neuron {worst} is {original[worst]:.3g}, {original[worst] / lsb[worst]:.2g} LSB, and "
                f"becomes 0: {need} more state bit{'s' if need != 1 else ''} would hold it"
            )


def _weights(layer: Layer, fixed: FixedLayer) -> Iterator[str]:
    """Neurons of which no weight is left."""
    for original, quantized in zip(layer.connections, fixed.connections, strict=True):
        lost = np.asarray(original.shared_rows.any(axis=1) & ~quantized.shared_rows.any(axis=1))
        if lost.any():
            yield (
                f"all weights from {original.source} into {int(np.count_nonzero(lost)):,} of {len(lost):,} neurons are "
                "rounded to 0: more weight bits would keep them"
            )
