"""What of a network no simulator of others proves to be what its target's chip computes."""

from __future__ import annotations

from collections.abc import Iterator

from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.mapping.registers import COMPARED, Compared, beyond_registers, held_by, without_register
from tclif_deploy.mapping.rules_network import kind_of
from tclif_deploy.network import INPUT
from tclif_deploy.target import Target

NOT_SHOWN = "that a chip computes these bits is not shown"


def unproven(fixed: FixedNetwork, target: Target) -> str | None:
    """One sentence where ``target``'s arithmetic, or what ``fixed`` takes of it, was compared with nobody's simulator
    of the chip; None where it was. Of several reasons it names the first.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> from tclif_deploy.mapping import unproven
    >>> out = tc.Layer("out", tc.neurons.readout(2), (tc.Connection("input", [[1.0], [0.5]]),))
    >>> fixed = tc.quantize(tc.Network(1, (out,)), "spinnaker2", [[[0.0], [1.0], [1.0]]])
    >>> unproven(fixed, tc.load_target("spinnaker2"))
    'no simulator of others was compared with spinnaker2: that a chip computes these bits is not shown'
    """
    proof = target.proof
    if proof is not None and not proof.steps:
        return f"{target.name} does not work in steps: these bits are not claimed to be the chip's"
    if proof is None or not proof.neuron_steps:
        return f"no simulator of others was compared with {target.name}: {NOT_SHOWN}"
    kinds: list[str] = []
    for layer in fixed.layers:
        kind = kind_of(layer, fixed.arithmetic.one)
        if kind not in proof.neurons or (layer.spiking and layer.reset not in proof.resets):
            kinds.append(f"{kind} neurons {f'with a {layer.reset} reset' if layer.spiking else 'that do not fire'}")
    if kinds:
        has_not = " and ".join(dict.fromkeys(kinds))
        return f"no simulator of others has {target.name}'s {has_not}: {NOT_SHOWN}"
    for comparison in proof.compared:
        if comparison.neuron_steps:  # those of one target simulate the same chip
            first = next(_beyond(fixed, target, COMPARED[comparison.oracle]), None)
            return None if first is None else f"{first}: {NOT_SHOWN}"
    return None


def _beyond(fixed: FixedNetwork, target: Target, compared: Compared) -> Iterator[str]:
    """What of ``fixed`` none of the networks that were compared has."""
    held = held_by(target, compared)
    for layer in fixed.layers:
        if not layer.spiking:
            yield f"layer {layer.name} does not fire, and no simulator of others was compared with such a layer"
        for clause in (*without_register(layer, fixed.arithmetic.one), *beyond_registers(layer, held)):
            yield f"layer {layer.name} {clause}"
    yield from _sources(fixed, target, compared)
    if fixed.input.bits > compared.input_bits:
        yield f"the input has {fixed.input.bits} bits, and what was compared with {target.name} {compared.input_bits}"


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
