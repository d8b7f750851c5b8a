"""Design rules about numbers: widths, ranges, sums and states."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tclif_deploy.bounds import accumulator_reach
from tclif_deploy.fixed import COEFFICIENTS, RULES
from tclif_deploy.mapping.findings import Context, Finding, over, requantize_hint
from tclif_deploy.target import WIDTHS, largest_factor, largest_held, nearest_factor, nearest_held
from tclif_deploy.text import count

EVENT_BITS = 2
"""signed bits of an input that is a spike or none"""
WIDEST = 62
"""bits in which every backend sums exactly (int64, with room for a shift's rounding)"""


def arithmetic(c: Context) -> Iterator[Finding]:
    """The network was quantized for a machine that computes like this one."""
    quantized_for, offered = c.fixed.arithmetic, c.target.arithmetic
    for name in RULES:
        has, wants = getattr(quantized_for, name), getattr(offered, name)
        if has != wants:
            yield Finding("arithmetic", "error", name, str(has), str(wants), requantize_hint(c))
    for name, limit in (("frac_bits", offered.frac_bits), ("bits_u", offered.bits_u), ("bits_v", offered.bits_v)):
        if getattr(quantized_for, name) > limit:
            yield over("arithmetic", name, getattr(quantized_for, name), limit, "bit", requantize_hint(c))


def weight_width(c: Context) -> Iterator[Finding]:
    """Every weight fits the target's signed width."""
    top = (1 << (c.target.weight_bits.value - 1)) - 1
    for layer in c.fixed.layers:
        for connection in layer.connections:
            largest = int(np.abs(connection.weight).max())
            if largest > top:
                yield over(
                    "weight_width", f"{layer.name} from {connection.source}", largest, top, "", requantize_hint(c)
                )


def parameter_width(c: Context) -> Iterator[Finding]:
    """Thresholds, resets, biases and coefficients fit their widths; a threshold is at least 1."""
    one = 1 << c.target.coefficient_bits.value
    for layer in c.fixed.layers:
        for name in WIDTHS:
            values = getattr(layer, name)
            largest, top = int(np.abs(values).max()), largest_held(c.target, name)
            if largest > top:
                remedy = f"quantize for {c.target.name}: the state shift follows from this width"
                yield over("parameter_width", f"{layer.name}: {name}", largest, top, "", remedy)
                continue
            held = nearest_held(c.target, name, values)
            between = np.flatnonzero((held != values) & (layer.spiking or name != "threshold"))
            if between.size:
                worst = int(between[np.abs(held - values)[between].argmax()])
                subject, nearest = f"{layer.name}: {name} of neuron {worst}", f"{int(held[worst])} is the nearest"
                yield Finding("parameter_width", "error", subject, str(int(values[worst])), nearest, requantize_hint(c))
        for name in ("a_u", "a_v"):
            values = getattr(layer, name)
            held = nearest_factor(c.target, values, name[-1])
            between = np.flatnonzero(held != values)
            if between.size:
                subject, value = f"{layer.name}: {name} of neuron {between[0]}", str(int(values[between[0]]))
                rule = f"at most {int(held[between[0]])}" if c.target.leaky_u else "2^k - 2^(k-d)"
                yield Finding("parameter_width", "error", subject, value, rule, requantize_hint(c))
        for name in COEFFICIENTS:
            largest, top = int(np.abs(getattr(layer, name)).max()), one
            if name in ("a_u", "a_v"):
                top = largest_factor(c.target)
            if largest > top:
                yield over("parameter_width", f"{layer.name}: {name}", largest, top, "", requantize_hint(c))
        if layer.spiking and int(layer.threshold.min()) < 1:
            worst = int(layer.threshold.argmin())
            remedy = "more state bits, or calibration data, give the threshold more than one step"
            yield Finding("parameter_width", "error", f"{layer.name}: threshold of neuron {worst}",
                          str(int(layer.threshold[worst])), "at least 1", remedy)  # fmt: skip


def shared_parameters(c: Context) -> Iterator[Finding]:
    """Where the target keeps one set of parameters a layer, a layer has one."""
    if c.target.per_neuron_parameters.value:
        return
    for layer in c.fixed.layers:
        differ = [n for n in ("threshold", "r_u", "r_v", "v_reset") if np.ptp(getattr(layer, n))]
        if differ:
            yield Finding("shared_parameters", "error", layer.name, f"{', '.join(differ)} differ between neurons",
                          "one value a layer", requantize_hint(c))  # fmt: skip


def input_payload(c: Context) -> Iterator[Finding]:
    """Input integers fit what an input event, or a step's events, can carry; what was clipped is told."""
    if c.fixed.input.bits > c.target.input_bits.value:
        yield over("input_payload", "input", c.fixed.input.bits, c.target.input_bits.value, "bit", requantize_hint(c))
    if c.activity is None:
        return
    limit = c.target.max_input_events
    if limit is not None and c.activity.largest_input > limit.value:
        yield over("input_payload", "input", c.activity.largest_input, limit.value, "events",
                    "scale the input down, or spread its events over steps")  # fmt: skip
    if c.activity.negative_inputs and (limit is not None or c.target.input_bits.value == EVENT_BITS):
        negative = f"{count(c.activity.negative_inputs, 'value')} below 0"
        yield Finding("input_payload", "warning", "input", negative, "events, there or not",
                      "give each sign a channel of its own, or other data")  # fmt: skip


def accumulator(c: Context) -> Iterator[Finding]:
    """The sum of one step's weights fits its register, whatever arrives, and so does the current after its shift."""
    for layer in c.fixed.layers:
        bits = max(accumulator_reach(c.fixed, layer)).bit_length() + 1
        limit = c.target.accumulator_bits
        if limit is not None and bits > limit.value:
            remedy = "fewer weight or input bits, or a smaller fan-in; the bound assumes that everything fires at once"
            yield Finding("accumulator", "warning", layer.name, f"{bits} bit at worst", f"{limit.value} bit", remedy,
                          bits / limit.value)  # fmt: skip
        if bits + max(layer.shift, 0) > WIDEST:
            yield over("accumulator", layer.name, bits + layer.shift, WIDEST, "bit", "fewer weight or input bits")


def state_range(c: Context) -> Iterator[Finding]:
    """One step's worst input cannot cross the whole range of a state."""
    for layer in c.fixed.layers:
        total = max(accumulator_reach(c.fixed, layer))
        worst = total << layer.shift if layer.shift >= 0 else total >> -layer.shift
        top = (1 << (c.fixed.arithmetic.bits_u - 1)) - 1
        if worst > top:
            yield Finding("state_range", "info", layer.name, f"one step can bring {worst:,} at worst", f"{top:,}",
                          "nothing to do, unless everything can be active at once", worst / top,
                          kind="network")  # fmt: skip


def dead_weights(c: Context) -> Iterator[Finding]:
    """No connection, and no neuron's input, was rounded to nothing."""
    for layer in c.fixed.layers:
        for connection in layer.connections:
            if not connection.weight.any():
                subject = f"{layer.name} from {connection.source}"
                yield Finding("dead_weights", "error", subject, "all weights are 0", "",
                              "more weight bits, or quantize this connection with its own exponent",
                              kind="network")  # fmt: skip
        fan_in = np.sum([connection.fan_in() for connection in layer.connections], axis=0)
        if (fan_in == 0).any() and fan_in.any():
            yield Finding("dead_weights", "info", layer.name, f"neurons without input: {int((fan_in == 0).sum())}", "",
                          "prune them, or lower the scale floor", kind="network")  # fmt: skip
