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
    open_: list[str] = []
    for layer in fixed.layers:
        kind = kind_of(layer, fixed.arithmetic.one)
        if kind not in proof.neurons or (layer.spiking and layer.reset not in proof.resets):
            open_.append(f"{kind} neurons {f'with a {layer.reset} reset' if layer.spiking else 'that do not fire'}")
    if not open_:
        return None
    kinds = " and ".join(dict.fromkeys(open_))
    return f"no simulator of others has {target.name}'s {kinds}: that a chip computes these bits is not shown"
