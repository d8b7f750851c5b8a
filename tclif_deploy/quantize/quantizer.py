"""Float network + target + calibration data -> fixed-point network.

Every number of a neuron is counted in that neuron's own LSBs, so per-neuron weight scales cost no hardware:
scaling a neuron's weights, bias, threshold and resets by one factor changes no spike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tclif_deploy.convolution import Weighted
from tclif_deploy.data import Dataset, as_dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedConnection, FixedLayer, FixedNetwork, InputEncoding, Int
from tclif_deploy.network import INPUT, Float, Layer, Network
from tclif_deploy.quantize.frequency import coupling_pair
from tclif_deploy.quantize.passes import chosen_passes
from tclif_deploy.quantize.ranges import Ranges, bounded_ranges, seen_ranges
from tclif_deploy.target import Target, load_target

READOUT_BITS = 15
"""fractional bits of the multipliers that make readout neurons of unequal scales comparable"""
SHIFT_LIMIT = 24
"""|f| beyond this would leave nothing of a 32-bit state"""


@dataclass(frozen=True)
class QuantizeSettings:
    """What can be chosen about quantization."""

    headroom: float = 1.5
    """states may grow to this multiple of what calibration saw before they overflow"""
    scale_floor: float = 1 / 8
    """no neuron's weight scale is below this share of its layer's largest (a tiny scale makes a huge threshold)"""
    real_input_bits: int = 12
    """signed width of the integers that carry real-valued input (integer data enter unchanged)"""
    bound_steps: int = 1000
    """without calibration data, states are bounded for this many steps"""
    passes: tuple[str, ...] = ("compensate",)
    """what betters the integers on calibration data, by name: see `tclif_deploy.quantize.passes`"""

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("headroom", self.headroom, 1.0, 1024.0),
            ("scale_floor", self.scale_floor, 0.0, 1.0),
            ("real_input_bits", self.real_input_bits, 2, 24),
            ("bound_steps", self.bound_steps, 1, 1_000_000),
        ):
            if not low <= value <= high:
                raise TclifError(f"{name} is {value}", f"expected {low:g} to {high:g}")
        chosen_passes(self.passes)


def quantize(
    network: Network,
    target: Target | Path | str,
    calibration: Dataset | Path | str | None = None,
    settings: QuantizeSettings = QuantizeSettings(),
    ranges: Ranges | None = None,
) -> FixedNetwork:
    """Integers of ``network`` for ``target``.

    With ``calibration`` the state scale comes from the ranges its samples reach (times ``headroom``); without, from
    a worst-case bound that wastes bits, with a notice. ``ranges`` spares the run that finds them, where they are known
    (`seen_ranges` of the same calibration data). Raises `TclifError` where the target cannot hold the network,
    naming the number and the limit.

    Examples
    --------
    >>> from tclif_deploy import load
    >>> network = load("fixtures/smnist_ff/checkpoint.pth.tar")
    >>> fixed = quantize(network, "loihi2", "fixtures/smnist_ff/calibration.npz")
    >>> fixed.layers[1].connections[0].weight.shape, int(abs(fixed.layers[1].connections[0].weight).max())
    ((256, 64), 127)
    """
    target = target if isinstance(target, Target) else load_target(target)
    calibration = as_dataset(calibration)
    notices: list[str] = []
    if calibration is None:
        encoding = InputEncoding(network.input_size, lsb=2.0**-8, bits=min(target.input_bits.value, 16))
        ranges = bounded_ranges(network, 1.0, settings.bound_steps)
        notices.append(
            f"no calibration data: state scales come from a worst-case bound (|x| <= 1, {settings.bound_steps} steps), "
            "which costs precision; give --calibration FILE or --data FILE"
        )
    else:
        if calibration.features != network.input_size:
            raise TclifError(
                f"{calibration.name}: {calibration.features} features a step, the network takes {network.input_size}",
                "calibration data must have the network's input width",
            )
        encoding = choose_encoding(calibration, target, settings)
        ranges = ranges or seen_ranges(network, calibration)
    layers = tuple(quantize_layer(layer, encoding, target, ranges, settings) for layer in network.layers)
    fixed = FixedNetwork(encoding, target.arithmetic, layers, tuple(notices))
    if calibration is not None:
        for item in chosen_passes(settings.passes):
            fixed = item.apply(fixed, network, calibration, 2 ** (target.weight_bits.value - 1) - 1)
    return fixed


def choose_encoding(data: Dataset, target: Target, settings: QuantizeSettings) -> InputEncoding:
    """Integer data (counts, pixels) enter unchanged if they fit the target's payload; real data get a scale."""
    payload = target.input_bits.value
    peak = float(np.abs(data.x.astype(np.float64)).max())
    whole = np.issubdtype(data.x.dtype, np.integer) or bool((data.x == np.rint(data.x)).all())
    if whole and peak <= 2 ** (payload - 1) - 1:
        # two bits of room for larger values in other data, as far as the data's type can hold any
        bits = int(peak).bit_length() + 3
        if np.issubdtype(data.x.dtype, np.integer):
            bits = min(bits, int(np.iinfo(data.x.dtype).max).bit_length() + 1)
        return InputEncoding(data.features, lsb=data.scale, bits=max(2, min(bits, payload)))
    bits = min(payload, settings.real_input_bits)
    lsb = peak * data.scale * settings.headroom / (2 ** (bits - 1) - 1)
    return InputEncoding(data.features, lsb=lsb, bits=bits)


def quantize_layer(
    layer: Layer, encoding: InputEncoding, target: Target, ranges: Ranges, settings: QuantizeSettings
) -> FixedLayer:
    """Integers of one layer: weight scales, couplings and gauge, state scale, then every number in its own LSBs."""
    n, size, k = layer.neuron, layer.size, target.coefficient_bits.value
    one = 1 << k
    for c in layer.connections:
        if c.delay > target.max_delay.value:
            raise TclifError(
                f"layer {layer.name}: connection from {c.source} has a delay of {c.delay} steps, "
                f"{target.name} has at most {target.max_delay.value}"
            )
    scale, exponents = weight_scales(layer, encoding, target, settings)
    connections = tuple(
        FixedConnection(
            c.source, rint(c.weight * unit(c.source, encoding) / row_steps(c, scale, e)), c.delay, e, c.conv
        )
        for c, e in zip(layer.connections, exponents, strict=True)
    )

    # couplings: neurons that share coefficients share the search
    couplings, inverse = np.unique(np.stack([n.b_u, n.b_v], axis=1), axis=0, return_inverse=True)
    try:
        pairs = [coupling_pair(float(b_u), float(b_v), k) for b_u, b_v in couplings]
    except TclifError as error:
        raise TclifError(f"layer {layer.name}: {error.what}", error.hint) from None
    inverse = inverse.reshape(-1)
    rho = np.array([pair.rho for pair in pairs])[inverse]
    for name, a in (("a_u", n.a_u), ("a_v", n.a_v)):
        if (a < 0).any() or (a > 1).any():
            worst = a[np.argmax(np.abs(a - 0.5))]
            raise TclifError(f"layer {layer.name}: {name} is {worst:.6g}", f"{target.name} holds factors from 0 to 1")

    # LSBs but for 2^-f: the state that the current enters counts in the accumulator's unit
    base_u = scale if n.input_to == "dendrite" else scale / rho
    base_v = base_u * rho
    shift = state_shift(layer, target, ranges, settings, base_u, base_v)
    lsb_u, lsb_v = base_u * 2.0**-shift, base_v * 2.0**-shift

    relative = lsb_v / lsb_v.max()
    theta = np.zeros(size, np.int64)
    if n.spiking:
        exact = n.threshold / lsb_v
        theta = (np.floor(exact) + 1 if n.strict else np.ceil(exact)).astype(np.int64)
        lost = (n.threshold != 0) & (np.abs(exact) < 1)
        if lost.any():
            worst = int(np.flatnonzero(lost)[0])
            raise TclifError(
                f"layer {layer.name}: threshold of neuron {worst} is {n.threshold[worst]:.3g}, less than one LSB "
                f"({lsb_v[worst]:.3g})",
                f"{target.name}'s {target.state_bits.value}-bit state cannot hold this network's range: "
                "more state bits or calibration data help",
            )
    return FixedLayer(
        name=layer.name,
        connections=connections,
        shift=shift,
        a_u=rint(n.a_u * one),
        b_u=np.array([pair.b_u for pair in pairs], np.int64)[inverse],
        a_v=rint(n.a_v * one),
        b_v=np.array([pair.b_v for pair in pairs], np.int64)[inverse],
        q=rint(n.q / rho * one),
        threshold=theta,
        r_u=rint(n.r_u / lsb_u),
        r_v=rint(n.r_v / lsb_v),
        v_reset=rint(n.v_reset / lsb_v),
        bias_u=rint(n.bias_u / lsb_u),
        bias_v=rint(n.bias_v / lsb_v),
        v0=rint(n.v0 / lsb_v),
        lsb_u=lsb_u,
        lsb_v=lsb_v,
        multiplier=np.ones(size, np.int64) if n.spiking else rint(2.0**READOUT_BITS * relative),
        reset=n.reset,
        input_to=n.input_to,
        spiking=n.spiking,
    )


def weight_scales(
    layer: Layer, encoding: InputEncoding, target: Target, settings: QuantizeSettings
) -> tuple[Float, list[int]]:
    """What one accumulator unit means for each neuron (neurons,), and each connection's left shift.

    A graded input's weights, counted for one input unit, are often far smaller than recurrent ones; the coarser
    connection's exponent spares the finer one its bits. Neurons that share a convolution's weights share their scale.
    """
    top = 2 ** (target.weight_bits.value - 1) - 1
    rows = [c.spread(np.abs(c.rows).max(axis=1)) * unit(c.source, encoding) / top for c in layer.connections]
    coarsest = [float(row.max()) for row in rows]
    finest = min((value for value in coarsest if value > 0), default=0.0)
    if finest == 0.0:
        return np.ones(layer.size), [0] * len(rows)
    exponents = [max(0, math.floor(math.log2(value / finest))) if value > 0 else 0 for value in coarsest]
    scale = np.max([row / 2.0**e for row, e in zip(rows, exponents, strict=True)], axis=0)
    block = math.lcm(*(c.sharing for c in layer.connections))
    scale = np.repeat(scale.reshape(-1, block).max(axis=1), block)
    floor = settings.scale_floor if target.per_neuron_parameters.value else 1.0
    return np.maximum(scale, floor * scale.max()), exponents


def row_steps(connection: Weighted, scale: Float, exponent: int) -> Float:
    """What one integer of each weight means, of a shape that broadcasts with them; ``scale`` (neurons,)."""
    steps = scale[:: connection.sharing] * 2.0**exponent
    return steps.reshape(-1, *[1] * (connection.weight.ndim - 1))


def state_shift(
    layer: Layer, target: Target, ranges: Ranges, settings: QuantizeSettings, base_u: Float, base_v: Float
) -> int:
    """f: the largest shift at which the calibrated states (with headroom) and every parameter fit their widths."""
    n, (peak_u, peak_v) = layer.neuron, ranges.peaks[layer.name]
    headroom = settings.headroom if ranges.calibrated else 1.0
    resets = np.maximum(np.abs(n.r_v), np.abs(n.v_reset))
    constants = np.maximum(np.abs(n.bias_v), np.abs(n.v0))
    needs = (
        (np.maximum(peak_u * headroom / base_u, peak_v * headroom / base_v), target.state_bits.value),
        (n.threshold / base_v, target.threshold_bits.value),
        (np.maximum(np.abs(n.r_u) / base_u, resets / base_v), target.reset_bits.value),
        (np.maximum(np.abs(n.bias_u) / base_u, constants / base_v), target.bias_bits.value),
    )
    # one unit of room: a threshold is rounded up
    room = [math.log2((2.0 ** (bits - 1) - 2) / need.max()) for need, bits in needs if need.max() > 0]
    return max(-SHIFT_LIMIT, min(SHIFT_LIMIT, math.floor(min(room)))) if room else 0


def unit(source: str, encoding: InputEncoding) -> float:
    """What one integer from ``source`` means to the float network: 1 for a spike."""
    return encoding.lsb if source == INPUT else 1.0


def rint(x: Float) -> Int:
    """Nearest integer, half to even, as int64."""
    return np.rint(x).astype(np.int64)
