"""What proves that a target computes what its chip computes: comparisons with simulators that others made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

UNLIMITED = "unlimited"
"""in a file: the limit that it inherits is none here"""
NeuronKind = Literal["if", "lif", "cuba", "two_compartment"]
ResetKind = Literal["soft", "hard"]
OracleName = Literal["xylosim", "nengo-loihi", "brian2-loihi", "lava", "sinabs"]
COMPUTES = frozenset({
    "state_bits", "coefficient_bits", "rounding", "rounding_u", "rounding_v", "least_step", "shift_decays",
    "input_first", "each_addend", "most_spikes", "overflow_u", "overflow_v", "threshold_step", "comparator",
    "bias_exponent", "leaky_u",
})  # fmt: skip
"""keys of a target that say what it computes: with another value, nothing that was compared holds"""
REACHES = frozenset({"weight_bits", "input_bits", "threshold_bits", "bias_bits", "accumulator_bits", "growing_factors"})
"""keys that say how far its numbers reach: what was compared holds up to the target's own, and not beyond"""


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


def take_back(data: dict[str, Any], changed: Mapping[str, Any]) -> None:
    """Take back from a target's plain values what was compared, where ``changed`` are other rules than its own, or let
    numbers reach further; ``unlimited`` is one that it does not state any more."""
    proof = data.get("proof")
    further = any(_further(data.get(key), changed[key]) for key in REACHES & changed.keys())
    if isinstance(proof, dict) and (further or COMPUTES & changed.keys()):
        compared = [{**each, "neuron_steps": 0} for each in proof.get("compared", ())]
        data["proof"] = {**proof, "compared": compared}


def _further(before: Any, after: Any) -> bool:
    """Whether a number, a flag, or a limit table of either, reaches further than the one ``before``; a number that is
    not stated has no end, a flag that is not is false. What is neither is told when the target is built."""
    before, after = (each.get("value") if isinstance(each, Mapping) else each for each in (before, after))
    if isinstance(after, bool):
        return after and not before
    if after == UNLIMITED:
        return isinstance(before, int) and not isinstance(before, bool)
    return isinstance(before, int) and isinstance(after, int) and after > before
