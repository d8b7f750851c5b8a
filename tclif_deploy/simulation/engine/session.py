"""A fixed-point network that runs step by step, and keeps its state in between."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.fixed import FixedNetwork, Int
from tclif_deploy.network import INPUT
from tclif_deploy.readout import SUMS, decide
from tclif_deploy.simulation.engine.addends import S0
from tclif_deploy.simulation.engine.general import step_general
from tclif_deploy.simulation.engine.run import advance, prepare
from tclif_deploy.simulation.engine.state import State
from tclif_deploy.simulation.result import Result, check_input, check_readout_steps, most_readout_steps, spike_type

Spikes = dict[str, NDArray[np.bool_]]


class EngineSession:
    """`samples` samples of ``network``, and their state.

    One step runs in the general kernel, because what Python does for a run of the fast ones costs more than many steps;
    several steps at once in `run.advance`.
    """

    def __init__(self, network: FixedNetwork, samples: int) -> None:
        self.network, self.samples = network, samples
        self.plan = prepare(network).general(network)
        plan = self.plan
        self._network = (plan.arithmetic, plan.neurons, plan.layers, plan.connections, plan.weights, plan.code)
        self._limit = network.input.limit
        self._kept = spike_type(network.arithmetic)
        self._most_steps = most_readout_steps(network) if network.readout.rule in SUMS else None
        self._row = np.zeros((samples, plan.input_delay + 1, network.input.size), np.int64)
        self._last = np.full(samples, plan.input_delay)
        nothing = np.empty((samples, 0, 0), np.uint8), np.empty((samples, 0), np.int64)
        no_trace = np.full(len(network.layers), -1, np.int64), np.empty((2, samples, 0, 0), np.int64)
        self._unwanted = (*nothing, *no_trace)
        outputs = network.readout.outputs(network.output.size)
        self._readout, self._decided = np.zeros((samples, outputs), np.int64), np.zeros(samples, np.int64)
        self._no_readouts = np.empty((samples, 0, outputs), np.int64)
        self.columns = {la.name: slice(int(n[0]), int(n[1])) for la, n in zip(network.layers, plan.layers, strict=True)}
        self._spiking = [(layer.name, self.columns[layer.name]) for layer in network.layers if layer.spiking]
        self.reset()

    def reset(self) -> None:
        """Before the first step."""
        self.state = State.start(self.plan, self.samples, self.network.input.size)
        self._overflows = np.zeros((self.samples, len(self.network.layers), 4), np.int64)

    def step(self, x: NDArray[Any]) -> tuple[Spikes, Int]:
        """Every layer's spikes and the readout after one step with ``x`` (samples, features), or what broadcasts to it;
        integers."""
        state, row = self.state, self._row
        if self._most_steps is not None and state.taken >= self._most_steps:
            check_readout_steps(self.network.readout, state.taken + 1, self._most_steps)
        row[:, -1] = x
        if not step_general(
            *self._network, self._limit, row, self._last, state.taken, state.u, state.v, state.fired, state.readout,
            state.decided, self._readout, self._decided, self._overflows, *self._unwanted, self._no_readouts,
        ):  # fmt: skip
            check_input(self.network, row[:, -1:])
        fired = state.fired[:, state.taken % state.fired.shape[1]].copy().view(self._kept)
        state.taken += 1
        if row.shape[1] > 1:
            row[:, :-1] = state.inputs = row[:, 1:].copy()
        return {name: fired[:, columns] for name, columns in self._spiking}, self._readout.copy()

    def run(self, x: Int, *, lengths: Int | None, spikes: bool, counts: bool, jobs: int | None) -> Result:
        """Many steps, ``x`` (samples, time, features), at once."""
        result = advance(self.network, self.state, x, lengths=lengths, spikes=spikes, counts=counts, jobs=jobs)
        self._row[:, :-1] = self.state.inputs
        self._overflows[0] += np.stack(list(result.overflows.values()))
        return result

    @property
    def value(self) -> Int:
        """The running value of the network's readout, after the last step, (samples, outputs)."""
        return self.state.readout

    @property
    def classes(self) -> Int:
        """What the readout says, (samples,)."""
        network = self.network
        return decide(network.readout, self.value, network.readout_multiplier, network.output.threshold)

    @property
    def decided(self) -> Int:
        """The step at which a rule that waits for a threshold decided, or -1; (samples,)."""
        return self.state.decided

    @property
    def overflows(self) -> dict[str, Int]:
        """layer -> int64 (4,), since the last reset."""
        totals = self._overflows.sum(axis=0)
        return {layer.name: totals[n] for n, layer in enumerate(self.network.layers)}

    @property
    def steps(self) -> int:
        """So far."""
        return self.state.taken

    def states(self) -> tuple[dict[str, Int], dict[str, Int]]:
        """Copies of u and of v by layer."""
        state = self.state
        u, v = ({name: each[:, at].copy() for name, at in self.columns.items()} for each in (state.u, state.v))
        return u, v

    def in_flight(self, source: str, steps: int) -> NDArray[Any]:
        """What ``source`` sent in the last ``steps`` steps, the oldest first; (samples, steps, size)."""
        if source == INPUT:
            return self.state.inputs.copy()
        return self.state.fired[:, self.state.rows(steps), self.columns[source]].astype(self._kept)

    def restore(
        self, u: dict[str, Int], v: dict[str, Int], in_flight: dict[str, NDArray[Any]], value: Int,
        decided: Int, steps: int,
    ) -> None:  # fmt: skip
        """Take what `states`, `in_flight`, `value`, `decided` and `steps` once were."""
        state = State.start(self.plan, self.samples, self.network.input.size)
        state.taken = steps
        state.readout[:], state.decided[:] = value, decided
        for name, at in self.columns.items():
            state.u[:, at], state.v[:, at] = u[name], v[name]
        for source, sent in in_flight.items():
            sent = sent.copy()
            before = max(sent.shape[1] - steps, 0)
            sent[:, :before] = 0  # before the first step nothing was sent
            if source == INPUT:
                state.inputs[:] = sent
            else:
                if before:  # but for what fired just then
                    sent[:, before - 1] = self.plan.neurons[S0, self.columns[source]]
                state.fired[:, state.rows(sent.shape[1]), self.columns[source]] = sent
        self._row[:, :-1] = state.inputs
        self.state = state
