"""Where the engine's threads write what their blocks of samples came to."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.fixed import FixedLayer, FixedNetwork, Int
from tclif_deploy.readout import OF_SPIKES, decide
from tclif_deploy.simulation.engine.block import LayerStart, Outcome, counted, unpack
from tclif_deploy.simulation.engine.general import GeneralPlan, run_general
from tclif_deploy.simulation.engine.layers import whole_states
from tclif_deploy.simulation.engine.state import State
from tclif_deploy.simulation.result import Result, spike_type

NOT_TRACED = np.full(1, -1, np.int64)


class Outputs:
    """Where the blocks write: every array has one row a sample."""

    def __init__(
        self, network: FixedNetwork, samples: int, time: int, spikes: bool, counts: bool, traces: Collection[str],
        readouts: bool = False, state: State | None = None, first: int = 0,
    ) -> None:  # fmt: skip
        """``time`` steps from ``first`` on; ``state`` is that before them, and becomes that after them."""
        layers = network.layers
        self.network, self.time, self.keep_spikes, self.keep_counts = network, time, spikes, counts
        self.state, self.first = state, first
        ends_of_layers = np.cumsum([0, *(layer.size for layer in layers)])
        self.columns = [slice(*pair) for pair in itertools.pairwise(ends_of_layers)]
        # One array, which the system hands out in large pages.
        ends = np.cumsum([samples * layer.size for layer in layers for _ in "uv"])
        states = np.split(np.empty(ends[-1], np.int64), ends[:-1])
        self.u, self.v = ([state.reshape(samples, -1) for state in states[n::2]] for n in range(2))
        self.readout = np.empty((samples, network.readout.outputs(network.output.size)), np.int64)
        self.readouts = np.empty((samples, time * readouts, self.readout.shape[1]), np.int64)
        self.decided = np.full(samples, -1, np.int64)
        self.overflows = np.zeros((samples, len(layers), 4), np.int64)
        kept = spike_type(network.arithmetic)
        self.spikes = [np.empty((samples, time, la.size) if self.keeps_spikes(la) else 0, kept) for la in layers]
        self.counts = [np.empty((samples, la.size) if self.keeps_counts(la) else 0, np.int64) for la in layers]
        self.trace_at = np.full(len(layers), -1, np.int64)
        width = 0
        for name in traces:
            layer = network.layer(name)
            self.trace_at[layers.index(layer)] = width
            width += layer.size
        self.trace = np.empty((2, samples, time if width else 0, width), np.int64)

    def keeps_spikes(self, layer: FixedLayer) -> bool:
        """Whether its spikes are wanted."""
        return self.keep_spikes and layer.spiking

    def keeps_counts(self, layer: FixedLayer) -> bool:
        """Whether the number of its spikes is wanted."""
        return self.keep_counts and layer.spiking

    def keep(self, block: slice, last: Int, outcome: Outcome) -> None:
        """Write what a block's samples came to, whose readouts were taken at its steps ``last``."""
        count = block.stop - block.start
        # Samples that overflowed hold infinities; they run again.
        with np.errstate(invalid="ignore"):
            if self.reads_directly:
                self.readout[block] = self._by_votes(outcome.readout[:count])
                if self.state is not None and self.network.output.spiking:
                    self.readout[block] += self.state.readout[block]
            for n, layer in enumerate(self.network.layers):
                states, units = outcome.states[n]
                whole_states(
                    states, np.float32(1 / units.u), np.float32(1 / units.v), self.u[n][block], self.v[n][block]
                )
                masks = outcome.masks[n]
                if self.keeps_spikes(layer) and masks is not None:
                    self.spikes[n][block] = unpack(masks[:count, self.first :], layer.size)
                if self.keeps_counts(layer) and masks is not None:
                    self.counts[n][block] = counted(masks[:count], self.first, last, layer.size)

    def start_of(self, block: slice) -> list[LayerStart] | None:
        """What a block's samples start from, by layer."""
        state = self.state
        if state is None:
            return None
        past = np.zeros((block.stop - block.start, self.first, state.u.shape[1]), np.bool_)
        steps = state.fired.shape[1] - 1
        past[:, self.first - steps :] = state.fired[block][:, state.rows(steps)]
        return [LayerStart(state.u[block, at], state.v[block, at], past[:, :, at]) for at in self.columns]

    def keep_state(self, block: slice, outcome: Outcome) -> None:
        """Write the state that the last step left of a block's samples; those that run again, `run_general` writes."""
        state = self.state
        if state is None:
            return
        samples = np.flatnonzero(outcome.exact[: block.stop - block.start])
        at = block.start + samples
        ring = state.fired.shape[1]
        rows = np.arange(state.taken + self.time - ring, state.taken + self.time) % ring
        for n, (layer, columns) in enumerate(zip(self.network.layers, self.columns, strict=True)):
            state.u[at, columns], state.v[at, columns] = self.u[n][at], self.v[n][at]
            masks = outcome.masks[n]
            if masks is not None:
                state.fired[np.ix_(at, rows, np.arange(columns.start, columns.stop))] = unpack(
                    masks[samples, -ring:], layer.size
                )
        state.readout[at] = self._readout_now(outcome, samples, at)

    def _readout_now(self, outcome: Outcome, samples: Int, at: Int) -> Int:
        """The readout of ``samples`` of a block after the last step, which are rows ``at`` of the state."""
        assert self.state is not None
        masks = outcome.masks[-1]
        if masks is None:
            return self.v[-1][at]
        last = np.full(len(samples), self.first + self.time - 1)
        spikes = counted(masks[samples], self.first, last, self.network.output.size)
        return np.asarray(self.state.readout[at] + self._by_votes(spikes))

    def _by_votes(self, values: NDArray[Any]) -> NDArray[Any]:
        """Of the last layer's neurons, (samples, neurons): the sums of those that vote together."""
        votes = self.network.readout.votes
        return values if votes == 1 else values.reshape(len(values), values.shape[1] // votes, votes).sum(axis=2)

    @property
    def reads_directly(self) -> bool:
        """Whether the fast kernels themselves give the readout: the last soma, or spikes."""
        network = self.network
        usual = network.usual_readout or network.readout.rule in OF_SPIKES
        return usual and not self.readouts.shape[1]

    def read(self, tail: GeneralPlan, x: Int, sample: int, last: int) -> None:
        """Read one sample by its rule from what reaches the last layer, ``x`` (1, time, sources)."""
        at, state = slice(sample, sample + 1), State.start(tail, 1, 0)
        run_general(
            tail.arithmetic, tail.neurons, tail.layers, tail.connections, tail.weights, tail.code, x, 0,
            np.array([last]), 0, state.u, state.v, state.fired, state.readout, state.decided, self.readout[at],
            self.decided[at], np.zeros((1, 1, 4), np.int64), np.empty((1, 0, 0), np.uint8), np.empty((1, 0), np.int64),
            NOT_TRACED, self.trace[:, at, :0], self.readouts[at],
        )  # fmt: skip

    def run_general(self, plan: GeneralPlan, x: Int, sample: int, last: int) -> None:
        """Run one sample, ``x`` (1, time, features), in the general kernel, and write its rows."""
        neurons = plan.neurons.shape[1]
        spikes = np.zeros((1, self.time, neurons) if self.keep_spikes else (1, 0, 0), np.uint8)
        counts = np.zeros((1, neurons if self.keep_counts else 0), np.int64)
        at = slice(sample, sample + 1)
        state = self.state.sample(sample) if self.state else State.start(plan, 1, 0, min(plan.ring, self.time + 1))
        run_general(
            plan.arithmetic, plan.neurons, plan.layers, plan.connections, plan.weights, plan.code, x, self.first,
            np.array([last]), state.taken, state.u, state.v, state.fired, state.readout, state.decided,
            self.readout[at], self.decided[at], self.overflows[at], spikes, counts, self.trace_at, self.trace[:, at],
            self.readouts[at],
        )  # fmt: skip
        for n, (layer, columns) in enumerate(zip(self.network.layers, self.columns, strict=True)):
            self.u[n][at], self.v[n][at] = state.u[:, columns], state.v[:, columns]
            if self.keeps_spikes(layer):
                self.spikes[n][at] = spikes[:, :, columns]
            if self.keeps_counts(layer):
                self.counts[n][at] = counts[:, columns]

    def _classes(self, readout: Int) -> Int:
        network = self.network
        return decide(network.readout, readout, network.readout_multiplier, network.output.threshold)

    def result(self) -> Result:
        """All of it."""
        layers = self.network.layers
        traces = {
            layer.name: self.trace[..., start : start + layer.size]
            for layer, start in zip(layers, self.trace_at, strict=True)
            if start >= 0
        }
        return Result(
            {layer.name: spikes for layer, spikes in zip(layers, self.spikes, strict=True) if self.keeps_spikes(layer)},
            {layer.name: u for layer, u in zip(layers, self.u, strict=True)},
            {layer.name: v for layer, v in zip(layers, self.v, strict=True)},
            self.readout, self._classes(self.readout),
            {layer.name: self.overflows[:, n].sum(axis=0) for n, layer in enumerate(layers)}, traces,
            {layer.name: counts for layer, counts in zip(layers, self.counts, strict=True) if self.keeps_counts(layer)},
            self.readouts if self.readouts.shape[1] else None,
            self.decided if self.network.readout.decides else None,
            self._classes(self.readouts) if self.readouts.shape[1] else None,
        )  # fmt: skip
