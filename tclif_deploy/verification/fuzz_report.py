"""The result of random inputs through every backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tclif_deploy.verification.verdict import BackendCheck


@dataclass(frozen=True)
class FuzzReport:
    """What a fuzz run compared, and the result."""

    seed: int
    samples: int
    steps: int
    backends: dict[str, BackendCheck]
    skipped: dict[str, str]
    """backend -> why it did not run"""
    rates: dict[str, float]
    """spiking layer -> share of neuron steps with a spike: equality on silence would prove nothing"""
    saturations: int
    """state values that overflowed in the reference"""

    @property
    def neuron_steps(self) -> int:
        """Neuron updates compared, over all backends."""
        return sum(check.neuron_steps for check in self.backends.values())

    @property
    def equal(self) -> bool:
        """Whether every bit of every backend agreed."""
        return all(check.equal for check in self.backends.values())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "seed": self.seed, "samples": self.samples, "steps": self.steps, "neuron_steps": self.neuron_steps,
            "equal": self.equal, "backends": {name: vars(check) for name, check in self.backends.items()},
            "skipped": self.skipped, "rates": self.rates, "saturations": self.saturations,
        }  # fmt: skip
