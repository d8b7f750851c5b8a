"""What of a network, or of its run, none of the random networks has that were compared with simulators of others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.mapping.activity import Behaviour
from tclif_deploy.mapping.registers import (
    LARGEST_WEIGHT,
    WRAP_SUMS,
    Compared,
    beyond_registers,
    held_by,
    without_register,
)
from tclif_deploy.mapping.rules_network import beside_outputs
from tclif_deploy.mapping.step_sums import StepSums, step_sums, sum_bits
from tclif_deploy.network import INPUT
from tclif_deploy.target import Target
from tclif_deploy.text import count


def not_compared(
    fixed: FixedNetwork, target: Target, compared: Compared, behaviour: Behaviour | None, sums: StepSums | None
) -> Iterator[str]:
    """Clauses, each of one thing; ``behaviour`` and ``sums`` are the network's on the data of a verdict, if there is
    one."""
    held = held_by(target, compared)
    for layer in fixed.layers:
        if not layer.spiking:
            yield f"layer {layer.name} does not fire, and no simulator of others was compared with such a layer"
        elif layer.threshold.min() < 1:
            at = int(layer.threshold.argmin())
            value = int(layer.threshold[at])
            yield f"layer {layer.name} has threshold {value} at neuron {at}, and none below 1 was compared"
        for clause in (*without_register(layer, fixed.arithmetic.one), *beyond_registers(layer, held)):
            yield f"layer {layer.name} {clause}"
    yield from _sources(fixed, target, compared)
    if compared.populations:
        for name, source in beside_outputs(fixed):
            bound = "outputs hear hidden neurons alone" if source == INPUT else "nobody hears the outputs"
            yield f"layer {name} hears {'the ' * (source == INPUT)}{source}, and on {target.name} {bound}"
        yield from _shifts(fixed, target)
    proof = target.proof
    if proof is not None and any(each.oracle in WRAP_SUMS and each.neuron_steps for each in proof.compared):
        yield from _sums(fixed, target, sums)
    if fixed.input.bits > compared.input_bits:
        yield f"the input has {fixed.input.bits} bits, and what was compared with {target.name} {compared.input_bits}"
    if behaviour is not None:
        yield from _behaviour(fixed, target, compared, behaviour)


def _shifts(fixed: FixedNetwork, target: Target) -> Iterator[str]:
    """Connections of one kind whose weights are not those of one shift."""
    shifts: dict[str, dict[int, tuple[str, int]]] = {}
    for layer in fixed.layers:
        for c in layer.connections:
            kind = "input" if c.source == INPUT else "output" if layer.name == fixed.output.name else "recurrent"
            seen = shifts.setdefault(kind, {})
            shift = layer.shift + c.exponent
            where, largest = seen.get(shift, (f"layer {layer.name} from {c.source}", 0))
            seen[shift] = where, max(largest, int(np.abs(c.weight).max()))
    for kind, seen in shifts.items():
        least = min(seen)
        for shift, (where, largest) in seen.items():
            if largest << shift - least > LARGEST_WEIGHT:
                yield (
                    f"{where} shifts its weights by {shift}, {seen[least][0]} by {least}: {target.name} has one shift "
                    f"for all {kind} connections"
                )


def _sums(fixed: FixedNetwork, target: Target, measured: StepSums | None) -> Iterator[str]:
    """Layers in which a step's sum passes the accumulator, or can where nothing was measured, and those in which u and
    a bias can together pass the state."""
    one, top = fixed.arithmetic.one, (1 << (target.state_bits.value - 1)) - 1
    for layer in fixed.layers:
        limit = target.accumulator_bits
        low, high = step_sums(fixed, layer)
        has, passes = sum_bits(low, high), "can have"
        if measured is not None and layer.name in measured.bits:
            has, passes = measured.bits[layer.name], "has, on these data,"
        if limit is not None and has > limit.value:
            yield f"layer {layer.name}: a step's sum {passes} {has} bits, and what was compared {limit.value}"
        # u is at most sum * (1 + a + a^2 + ...), with a = a_u / one
        for sums, bias in ((high, np.maximum(layer.bias_v, 0)), (-low, np.maximum(-layer.bias_v, 0))):
            for n in np.flatnonzero(bias):
                reach = min(top, int(sums[n]) * one // max(1, one - int(layer.a_u[n])))
                if reach + int(bias[n]) > top:
                    yield (
                        f"layer {layer.name}: u and the bias of neuron {n} can together pass {top:,}, where the "
                        "simulators of others differ"
                    )
                    break


def _behaviour(fixed: FixedNetwork, target: Target, compared: Compared, behaviour: Behaviour) -> Iterator[str]:
    """What happened on data that happens in none of the networks."""
    if behaviour.negative_inputs:
        negative = count(behaviour.negative_inputs, "input value")
        yield f"{negative} below 0 on these data, and all that was compared are 0 or more"
    has = target.overflow_u.value
    for layer in fixed.layers:
        overflows = behaviour.layers[layer.name].overflows_u
        if overflows and has != compared.overflow_u:
            yield (
                f"layer {layer.name}: u overflowed {count(overflows, 'time')} on these data, which is {has} on "
                f"{target.name} and {compared.overflow_u} in the simulators of others"
            )


def _sources(fixed: FixedNetwork, target: Target, compared: Compared) -> Iterator[str]:
    """Connections that come at another time, or in another order, than a chip's."""
    order = {INPUT: -1} | {layer.name: n for n, layer in enumerate(fixed.layers)}
    delays = {c.delay for layer in fixed.layers for c in layer.connections if c.source == INPUT}
    for layer in fixed.layers:
        for c in layer.connections:
            if c.source != INPUT and c.delay != 1:
                yield f"layer {layer.name} hears {c.source} with a delay of {c.delay}, on the chip it is one step"
        places = [order[c.source] for c in layer.connections]
        if fixed.arithmetic.each_addend and places != sorted(set(places)):
            heard = ", then ".join(c.source for c in layer.connections)
            yield f"layer {layer.name} hears {heard}, and {target.name} the input first, then layers in their order"
    if len(delays) > 1:
        yield f"the input is heard with delays of {' and '.join(map(str, sorted(delays)))} steps, on the chip with one"
    biased = any(layer.bias_v.any() for layer in fixed.layers)
    for delay in delays:  # without biases nothing happens before the first input: another delay only shifts the time
        if delay > compared.input_delay or (biased and delay != compared.input_delay):
            yield f"the input is heard with a delay of {delay}, and what was compared has {compared.input_delay}"
