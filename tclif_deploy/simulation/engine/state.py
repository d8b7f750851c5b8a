"""What a fixed-point network keeps from one step to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.fixed import Int
from tclif_deploy.simulation.engine.addends import S0
from tclif_deploy.simulation.engine.general import GeneralPlan


@dataclass(eq=False)
class State:
    """Of some samples, all layers side by side, as `general.run_general` takes it and leaves it."""

    u: Int
    """(samples, neurons)"""
    v: Int
    fired: NDArray[np.uint8]
    """(samples, ring, neurons): the spikes of step t stand in row t % ring, until those of t + ring"""
    inputs: Int
    """what delayed connections from the input have still to bring, the oldest first, (samples, steps, features)"""
    readout: Int
    """after the last step, (samples, outputs); zeros before the first"""
    decided: Int
    """the step at which a rule that waits for a threshold decided, or -1; (samples,)"""
    taken: int = 0
    """steps so far"""

    @classmethod
    def start(cls, plan: GeneralPlan, samples: int, features: int, ring: int | None = None) -> State:
        """Before the first step; ``ring`` is less than the plan's where a run is shorter."""
        neurons, first = plan.neurons.shape[1], plan.layers[-1, 0]
        fired = np.zeros((samples, ring or plan.ring, neurons), np.uint8)
        fired[:, -1] = plan.neurons[S0]  # of the step before the first
        return cls(
            np.tile(plan.start[0], (samples, 1)),
            np.tile(plan.start[1], (samples, 1)),
            fired,
            np.zeros((samples, plan.input_delay, features), np.int64),
            np.zeros((samples, (neurons - first) // int(plan.code[1])), np.int64),
            np.full(samples, -1, np.int64),
        )

    def copy(self) -> State:
        """The same numbers in memory of their own."""
        arrays = {name: getattr(self, name).copy() for name in ("u", "v", "fired", "inputs", "readout", "decided")}
        return replace(self, **arrays)

    def sample(self, n: int) -> State:
        """The state of one sample, in the same memory."""
        at = slice(n, n + 1)
        return State(
            self.u[at], self.v[at], self.fired[at], self.inputs[at], self.readout[at], self.decided[at], self.taken
        )

    def rows(self, steps: int) -> Int:
        """The rows of ``fired`` of the last ``steps`` (at most ring) steps, the oldest first."""
        return np.asarray(np.arange(self.taken - steps, self.taken) % self.fired.shape[1])
