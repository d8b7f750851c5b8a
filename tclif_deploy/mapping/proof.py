"""What of a network no simulator of others proves to be what its target's chip computes."""

from __future__ import annotations

from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.mapping.rules_network import kind_of
from tclif_deploy.target import Target


def unproven(fixed: FixedNetwork, target: Target) -> str | None:
    """One sentence where ``target``'s arithmetic, or what ``fixed`` takes of it, was compared with nobody's simulator
    of the chip; None where it was.

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
        return f"no simulator of others was compared with {target.name}: that a chip computes these bits is not shown"
    open_: dict[str, list[str]] = {}
    for layer in fixed.layers:
        kind = kind_of(layer, fixed.arithmetic.one)
        reset = f" with a {layer.reset} reset" if layer.spiking else ""
        if kind not in proof.neurons or (layer.spiking and layer.reset not in proof.resets):
            open_.setdefault(f"{kind}{reset}", []).append(layer.name)
    if not open_:
        return None
    names = ", ".join(dict.fromkeys(each.oracle for each in proof.compared if each.neuron_steps))
    found = "; ".join(f"{kind} ({', '.join(layers)})" for kind, layers in open_.items())
    return f"what proves {target.name} ({names}) has no {found}: that a chip computes these bits is not shown"
