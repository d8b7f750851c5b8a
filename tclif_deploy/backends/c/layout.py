"""Which C types a network needs, and how many bytes it takes."""

from __future__ import annotations

from dataclasses import dataclass

from tclif_deploy.bounds import layer_bounds
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import COEFFICIENTS, LAYER_ARRAYS, FixedLayer, FixedNetwork, Int
from tclif_deploy.network import INPUT, LATER_ARRAYS
from tclif_deploy.readout import DECIDING, OF_SPIKES, SUMS
from tclif_deploy.simulation.reference import start_states

POINTER = 4
"""bytes on a 32-bit microcontroller"""
CONNECTION_RECORD, LAYER_RECORD = POINTER + 8, POINTER + 12 * 2 * POINTER + 20
"""bytes of network.c's two descriptors there"""
START_RECORD = 2 * 2 * POINTER
"""what the layer's has more where some state does not start at 0, or some neuron fired before the first step"""
CONVOLUTION_RECORD = 14 * 4
"""bytes of a convolution's own; where there is one, every connection has a pointer more"""


@dataclass(frozen=True)
class Types:
    """Bits of each integer type of the C code; the narrowest that provably suffice."""

    input: int
    weight: int
    coefficient: int
    level: int
    """thresholds, resets, biases, u0, v0"""
    multiplier: int
    u: int
    v: int
    accumulator: int
    """sums over connections: 32 or 64"""
    wide: int
    """everything in between: 32 or 64, at least the accumulator's"""


@dataclass(frozen=True)
class Sizes:
    """Bytes of a network on a 32-bit microcontroller, without the code itself, which is the same for all."""

    ram_bytes: int
    """``sizeof(tclif_state)``"""
    weight_bytes: int
    parameter_bytes: int
    """coefficients, thresholds, multipliers and the descriptors that point at them"""


def choose_types(fixed: FixedNetwork, accumulator_bits: int) -> Types:
    """The narrowest types that hold every value, whatever the input.

    Raises `TclifError` where a sum over connections can exceed ``accumulator_bits``, or any value 64 bits.
    """
    if accumulator_bits not in (32, 64):
        raise TclifError(f"c: accumulator_bits is {accumulator_bits}", "32 or 64")
    accumulator = wide = 32
    u = v = 8
    for layer in fixed.layers:
        bounds = layer_bounds(fixed, layer)
        if bounds.accumulator >= 2 ** (accumulator_bits - 1):
            raise TclifError(
                f"c: layer {layer.name}: its sum over connections can reach {bounds.accumulator}, "
                f"an accumulator of {accumulator_bits} bits holds {2 ** (accumulator_bits - 1) - 1}",
                "use fewer weight bits, fewer input bits or a smaller fan-in"
                + (", or 64 bits" if accumulator_bits == 32 else ""),
            )
        if bounds.largest >= 2**63:
            raise TclifError(
                f"c: layer {layer.name}: a value can reach {bounds.largest}, 64 bits hold {2**63 - 1}",
                "use fewer coefficient, weight or state bits",
            )
        accumulator = max(accumulator, _bits(bounds.accumulator))
        wide = max(wide, _bits(bounds.largest))
        # The lowest state of a wrapping machine, -2^(bits-1), is one more than the highest.
        start = start_arrays(fixed, layer)
        u = max(u, _bits(bounds.u - 1), _bits_of(start["u0"]))
        v = max(v, _bits(bounds.v - 1), _bits_of(start["v0"]), _bits_of(layer.v_reset))
    weights = [c.weight for layer in fixed.layers for c in layer.connections]
    levels = [getattr(la, name) for la in fixed.layers for name in LAYER_ARRAYS if name not in COEFFICIENTS]
    levels += [values for la in fixed.layers for values in start_arrays(fixed, la).values()]
    return Types(
        input=_bits(fixed.input.limit),
        weight=max(_bits_of(w) for w in weights),
        coefficient=max(_bits_of(getattr(la, name)) for la in fixed.layers for name in COEFFICIENTS),
        level=max(_bits_of(values) for values in levels),
        multiplier=_bits_of(fixed.readout_multiplier),
        u=u,
        v=v,
        accumulator=accumulator,
        wide=max(wide, accumulator),
    )


def rule(fixed: FixedNetwork) -> str | None:
    """What a step does to the running value, by its name in the C code; None where it is what the usual readout does.

    SUM adds the soma, MAX takes the greater, COUNT_VOTES adds the spikes of several neurons, DECISION waits for a
    threshold; of SOMA and SPIKES there is no running value: they are what the last layer holds anyway.
    """
    name = fixed.readout.rule
    if name in SUMS:
        return "SUM"
    if name == "max":
        return "MAX"
    if name in DECIDING:
        return "DECISION"
    if name in OF_SPIKES:
        return None if fixed.readout.votes == 1 else "COUNT_VOTES"
    if not fixed.output.spiking:
        return None
    return "SPIKES" if name == "step" else "SOMA"


def running_bits(fixed: FixedNetwork, types: Types) -> int:
    """Bits of one output's running value, where it is not the usual readout's; 0 where there is none."""
    return {"SUM": 64, "MAX": types.v, "DECISION": types.v, "COUNT_VOTES": 32}.get(rule(fixed) or "", 0)


def starts(fixed: FixedNetwork) -> bool:
    """Whether some dendrite does not start at 0, or some neuron fired before the first step."""
    return any(start_states(la, fixed.arithmetic)[0].any() or la.s0.any() for la in fixed.layers)


def start_arrays(fixed: FixedNetwork, layer: FixedLayer) -> dict[str, Int]:
    """The layer's tables u0 and v0, after the reset of s0, and s0."""
    u, v = start_states(layer, fixed.arithmetic)
    return {"u0": u, "v0": v, "s0": layer.s0}


def convolves(fixed: FixedNetwork) -> bool:
    """Whether any connection is a convolution."""
    return any(c.conv is not None for layer in fixed.layers for c in layer.connections)


def delays(fixed: FixedNetwork) -> dict[str, int]:
    """Source -> the longest delay at which it is read."""
    longest = dict.fromkeys((INPUT, *(layer.name for layer in fixed.layers)), 0)
    for layer in fixed.layers:
        for c in layer.connections:
            longest[c.source] = max(longest[c.source], c.delay)
    return longest


def sizes(fixed: FixedNetwork, types: Types) -> Sizes:
    """RAM and flash of ``fixed`` with ``types``."""
    neurons, longest = sum(layer.size for layer in fixed.layers), delays(fixed)
    members = [
        (types.accumulator, max(layer.size for layer in fixed.layers)),
        (types.u, neurons),
        (types.v, neurons),
        (32, fixed.output.size * (fixed.output.spiking and rule(fixed) is None)),
        (running_bits(fixed, types), fixed.readout.outputs(fixed.output.size) * (running_bits(fixed, types) > 0)),
        (32, rule(fixed) == "DECISION"),
        (types.input, longest[INPUT] * fixed.input.size),
        (16, longest[INPUT] > 0),
        (16, len(fixed.layers)),
        (8, sum((layer.size + 7) // 8 * (longest[layer.name] + 1) for layer in fixed.layers)),
        (8, rule(fixed) == "DECISION"),
    ]
    ram = 0
    for bits, count in members:
        if count:
            ram = _aligned(ram, bits // 8) + bits // 8 * int(count)
    ram = _aligned(ram, max(bits // 8 for bits, count in members if count))
    weights = sum(c.weight.size for layer in fixed.layers for c in layer.connections)
    parameters = fixed.readout_multiplier.size * types.multiplier // 8
    for layer in fixed.layers:
        record = CONNECTION_RECORD + (POINTER if convolves(fixed) else 0)
        parameters += LAYER_RECORD + START_RECORD * starts(fixed) + record * len(layer.connections)
        parameters += CONVOLUTION_RECORD * sum(c.conv is not None for c in layer.connections)
        for name in LAYER_ARRAYS:
            if name in LATER_ARRAYS and not starts(fixed):
                continue
            values = start_arrays(fixed, layer).get(name, getattr(layer, name))
            count = 1 if (values == values[0]).all() else layer.size
            parameters += count * (types.coefficient if name in COEFFICIENTS else types.level) // 8
    return Sizes(ram, weights * types.weight // 8, parameters)


def _aligned(offset: int, size: int) -> int:
    return -(-offset // size) * size


def _bits(magnitude: int) -> int:
    """Bits of the narrowest signed type that holds +-magnitude."""
    return next(bits for bits in (8, 16, 32, 64) if magnitude < 2 ** (bits - 1))


def _bits_of(values: Int) -> int:
    """Bits of the narrowest signed type that holds ``values``."""
    return max(_bits(max(int(values.max()), -int(values.min()) - 1, 0)), 8)
