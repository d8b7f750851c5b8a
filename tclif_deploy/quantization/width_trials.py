"""What `--weight-bits auto` was asked for and what it tried: its table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from tclif_deploy.text import NONE, count

GoalKind = Literal["loss", "memory", "cores"]


@dataclass(frozen=True)
class WidthGoal:
    """What the widths are chosen against."""

    kind: GoalKind
    limit: float
    """the largest loss (a fraction), bits of synaptic memory, or number of cores"""

    def __str__(self) -> str:
        """In words.

        Examples
        --------
        >>> print(WidthGoal("loss", 0.005), WidthGoal("memory", 65536), WidthGoal("cores", 2), sep="; ")
        at most 0.5 % lost; at most 8 KiB of synaptic memory; at most 2 cores
        """
        if self.kind == "loss":
            return f"at most {100 * self.limit:g} % lost"
        if self.kind == "memory":
            return f"at most {kib(self.limit)} of synaptic memory"
        return f"at most {count(int(self.limit), 'core')}"


class Size(NamedTuple):
    """What a network takes of the target; None where it cannot be placed."""

    memory: int | None
    """bits of synaptic memory, all cores together"""
    cores: int | None


@dataclass(frozen=True)
class WidthTrial:
    """One choice of widths, and what it costs."""

    bits: tuple[int, ...]
    """of each layer's weights"""
    lost: float
    """accuracy lost, or, without labels, decisions changed; a fraction of the calibration samples"""
    readout_error: float
    """rms error of the readout, as a share of its spread"""
    memory: int | None
    """bits of synaptic memory, all cores together; None where it cannot be placed"""
    cores: int | None

    def meets(self, goal: WidthGoal) -> bool:
        """Whether the trial is within the goal's limit."""
        value = {"loss": self.lost, "memory": self.memory, "cores": self.cores}[goal.kind]
        return value is not None and value <= goal.limit


@dataclass(frozen=True)
class WidthSearch:
    """What was tried, on the calibration data alone, and what was chosen."""

    goal: WidthGoal
    layers: tuple[str, ...]
    samples: int
    """calibration samples on which losses were measured"""
    labelled: bool
    """whether the loss is accuracy; otherwise it is decisions that change"""
    trials: tuple[WidthTrial, ...]
    """in the order in which they were made"""
    chosen: int
    """index of the trial that was taken"""

    @property
    def holds(self) -> bool:
        """Whether what was chosen is within the goal."""
        return self.trials[self.chosen].meets(self.goal)

    @property
    def loss(self) -> str:
        """What is lost, in words."""
        return "accuracy lost" if self.labelled else "decisions changed"

    @property
    def shortfall(self) -> str | None:
        """What a limit of memory or cores is missed by; a loss is the verdict's to judge."""
        best = self.trials[self.chosen]
        if self.holds or self.goal.kind == "loss":
            return None
        if best.cores is None:
            return f"it cannot be placed with weights of {max(best.bits)} bits, {self.goal} are allowed"
        if self.goal.kind == "memory":
            return (
                f"synaptic memory is {kib(best.memory)} with weights of {max(best.bits)} bits, {self.goal} is allowed"
            )
        return f"it takes {count(best.cores, 'core')} with weights of {max(best.bits)} bits, {self.goal} are allowed"

    def sentences(self) -> tuple[str, ...]:
        """What to tell the user."""
        best = self.trials[self.chosen]
        named = ", ".join(f"{name} {bits}" for name, bits in zip(self.layers, best.bits, strict=True))
        lost = f"{self.loss} {100 * best.lost:.2f} % on {self.samples} calibration samples"
        if self.holds:
            said = [f"weight bits, chosen in {count(len(self.trials), 'trial')}: {named}; {lost} ({self.goal})"]
        elif self.goal.kind == "loss":
            said = [
                f"weight bits: none hold {100 * self.goal.limit:g} % ({self.loss}): with the target's own "
                f"{max(best.bits)} bits it is {100 * best.lost:.2f} % on {self.samples} calibration samples; "
                "tclif finetune may recover it"
            ]
        else:
            said = [f"weight bits: none come to {self.goal}: the narrowest tried are {named}; {lost}"]
        if self.goal.kind == "loss" and 0 < self.goal.limit < 1 / self.samples:
            need = -(-1 // self.goal.limit)
            said.append(
                f"weight bits: {self.samples} calibration samples measure losses in steps of {100 / self.samples:.2g} "
                f"%, coarser than the {100 * self.goal.limit:g} % allowed: {need:,.0f} would measure it"
            )
        return tuple(said)


def kib(bits: float | None) -> str:
    """Bits of memory in KiB."""
    return NONE if bits is None else f"{bits / 8192:,.5g} KiB"
