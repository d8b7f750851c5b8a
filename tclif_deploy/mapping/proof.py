"""What of a network no simulator of others proves to be what its target's chip computes."""

from __future__ import annotations

from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.mapping.activity import Behaviour
from tclif_deploy.mapping.not_compared import not_compared
from tclif_deploy.mapping.registers import COMPARED
from tclif_deploy.mapping.rules_network import kind_of
from tclif_deploy.mapping.step_sums import StepSums
from tclif_deploy.target import Target

NOT_SHOWN = "that a chip computes these bits is not shown"


def unproven(
    fixed: FixedNetwork, target: Target, behaviour: Behaviour | None = None, sums: StepSums | None = None
) -> str | None:
    """One sentence where ``target``'s arithmetic, or what ``fixed`` takes of it, was compared with nobody's simulator
    of the chip; None where it was. Of several reasons it names the first.

    ``behaviour`` is what the network did on the data of a verdict (`tclif_deploy.verification.Verdict.behaviour`), and
    ``sums`` are those of its steps: overflows and inputs that were compared with nobody's are told too, and a sum that
    could pass the accumulator only where it did.

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
            first = next(not_compared(fixed, target, COMPARED[comparison.oracle], behaviour, sums), None)
            return None if first is None else f"{first}: {NOT_SHOWN}"
    return None
