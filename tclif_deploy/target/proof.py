"""What proves that a target computes what its chip computes: comparisons with simulators that others made."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

NeuronKind = Literal["if", "lif", "cuba", "two_compartment"]
ResetKind = Literal["soft", "hard"]
OracleName = Literal["xylosim", "nengo-loihi", "brian2-loihi", "lava"]
COMPUTES = frozenset({
    "state_bits", "coefficient_bits", "rounding", "rounding_u", "rounding_v", "least_step", "shift_decays",
    "input_first", "each_addend", "most_spikes", "overflow_u", "overflow_v", "threshold_step", "comparator",
    "bias_exponent", "leaky_u",
})  # fmt: skip
"""keys of a target that say what it computes: with another value, nothing that was compared holds"""


class Comparison(BaseModel):
    """One simulator, and what of it was compared with the target, bit for bit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    oracle: OracleName
    version: Annotated[str, Field(min_length=1)]
    neuron_steps: Annotated[int, Field(ge=0, strict=True)]
    """neuron updates of which every spike and state was equal; 0: this target's rules were not compared"""
    covers: Annotated[str, Field(min_length=1)]


class Proof(BaseModel):
    """What of a target others' simulators confirm, and what they do not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    compared: tuple[Comparison, ...] = ()
    neurons: tuple[NeuronKind, ...] = ()
    """kinds of neurons that were compared"""
    resets: tuple[ResetKind, ...] = ()
    steps: Annotated[bool, Field(strict=True)] = True
    """whether the chip works in steps; if not, no bits are claimed to be the chip's"""
    not_covered: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """what no simulator covers"""

    @property
    def neuron_steps(self) -> int:
        """Of all comparisons together."""
        return sum(each.neuron_steps for each in self.compared)


def with_other_rules(data: dict[str, Any]) -> None:
    """Take back from a target's plain values what was compared: its rules are others now."""
    proof = data.get("proof")
    if isinstance(proof, dict):
        compared = [{**each, "neuron_steps": 0} for each in proof.get("compared", ())]
        data["proof"] = {**proof, "compared": compared}
