"""Counting: what the cores of a placement do in each step, from real activity.

Assumptions, printed with every cost: each neuron is updated every step; a list of synapses is read as it is stored (a
dense one with its zeros); a message goes to each core once for each connection, along x and then along y; input enters
at the first tile of the first chip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.fixed import FixedConnection, FixedNetwork, Int
from tclif_deploy.mapping.activity import Activity, Bool, EventBatch
from tclif_deploy.mapping.memory import SynapseFormat, states_of
from tclif_deploy.mapping.placement import Placement
from tclif_deploy.mapping.traffic import core_of_neuron
from tclif_deploy.mapping.workload import Workload
from tclif_deploy.network import INPUT
from tclif_deploy.target.schema import Target

Counts = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class StepWork:
    """What every core does in each valid step of a batch; every array is (steps, cores)."""

    synaptic: Counts
    """weights read"""
    active: Counts
    """neurons that received an event"""
    idle: Counts
    """neurons that did not"""
    sent: Counts
    """messages that its neurons send"""
    states: Counts
    """(1, cores): state variables of a neuron, on average"""


@dataclass(frozen=True)
class Operations:
    """Everything counted over all samples."""

    samples: int
    steps: int
    synaptic: int
    updates_active: int
    """steps of neurons that received an event"""
    updates_idle: int
    state_updates_active: int
    """the same times the states of each neuron"""
    state_updates_idle: int
    spikes: int
    messages_within_core: int
    messages_between_cores: int
    """to another core of the same chip"""
    messages_between_chips: int
    messages_input: int
    """from outside to a core"""
    peak_input: int
    """input messages of the busiest step"""
    hops_horizontal: int
    hops_vertical: int
    longest_way: int
    """tiles that a message crosses"""

    def by_part(self) -> dict[str, int]:
        """How many there are of what an energy's parts price."""
        messages = (
            self.messages_within_core + self.messages_between_cores + self.messages_between_chips + self.messages_input
        )
        return {
            "synapses": self.synaptic, "updates": self.updates_active + self.updates_idle, "messages": messages,
            "hops": self.hops_horizontal + self.hops_vertical,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Route:
    """One connection as the cores see it."""

    layer: str
    source: str
    delay: int
    read: Counts
    """(sources, cores): weights read in a core at an event of a source"""
    mask: FixedConnection
    """1 where there is a synapse"""

    @property
    def reaches(self) -> Int:
        """(sources, cores): 1 where an event of the source goes to the core."""
        return (self.read > 0).astype(np.int64)


class Counter:
    """What ``fixed``, laid out by ``placement``, does on events."""

    def __init__(self, fixed: FixedNetwork, target: Target, placement: Placement) -> None:
        self.fixed, self.placement = fixed, placement
        self.cores = len(placement.cores)
        workload = Workload.of(fixed, target)
        self.home = core_of_neuron(workload, placement.partition)
        self.routes = []
        for layer, group in zip(fixed.layers, workload.groups, strict=True):
            for c, synapses in zip(layer.connections, group.synapse_groups, strict=True):
                form = SynapseFormat.of(target, synapses.delay, synapses.width)
                read = np.zeros((c.sources, self.cores), np.float32)
                for number, core in enumerate(placement.cores):
                    for neuron_range in core.slices:
                        if neuron_range.layer == layer.name:
                            lengths = synapses.connectivity.list_lengths(neuron_range.start, neuron_range.stop)
                            dense = bool(
                                synapses.connectivity.use(neuron_range.start, neuron_range.stop, form).dense[-1]
                            )
                            read[:, number] += np.where(lengths > 0, neuron_range.neurons, 0) if dense else lengths
                mask = replace(c, weight=(c.weight != 0).astype(np.float32))
                self.routes.append(_Route(layer.name, c.source, c.delay, read, mask))
        self.sends = {layer.name: np.zeros((layer.size, self.cores), np.int64) for layer in fixed.layers}
        """(neurons, cores): messages of a spike of a neuron to each core"""
        self.sends[INPUT] = np.zeros((fixed.input.size, self.cores), np.int64)
        for route in self.routes:
            self.sends[route.source] += route.reaches
        belongs = {name: np.eye(self.cores, dtype=np.float32)[home] for name, home in self.home.items()}
        self.belongs = belongs
        """(neurons, cores): 1 where the neuron lives"""
        count = np.sum([b.sum(axis=0) for b in belongs.values()], axis=0)
        states = np.sum([belongs[la.name].sum(axis=0) * states_of(la) for la in fixed.layers], axis=0)
        self.states = (states / np.maximum(count, 1))[None, :].astype(np.float32)

    def received(self, batch: EventBatch, layer: str) -> Bool:
        """(steps, neurons) of the layer: whether a neuron received an event, in valid steps."""
        total: Any = 0
        for route in self.routes:
            if route.layer == layer:
                total = total + route.mask.apply(_delayed(batch, route.source, route.delay))
        return np.asarray(total > 0)

    def work(self, batch: EventBatch) -> StepWork:
        """What each core does in each valid step."""
        steps = int(batch.valid.sum())
        synaptic, active, total, sent = (np.zeros((steps, self.cores), np.float32) for _ in range(4))
        for route in self.routes:
            synaptic += _delayed(batch, route.source, route.delay) @ route.read
        for layer in self.fixed.layers:
            home = self.belongs[layer.name]
            active += self.received(batch, layer.name).astype(np.float32) @ home
            total += home.sum(axis=0)
            if layer.spiking:
                out = home * self.sends[layer.name].sum(axis=1)[:, None]
                sent += _delayed(batch, layer.name, 0) @ out.astype(np.float32)
        return StepWork(synaptic, active, total - active, sent, self.states)

    def peak_input(self, activity: Activity) -> int:
        """Input messages of the busiest step."""
        each = self.sends[INPUT].sum(axis=1).astype(np.float32)
        return max(int((_delayed(batch, INPUT, 0) @ each).max(initial=0)) for batch in activity.batches)

    def count(self, activity: Activity) -> Operations:
        """Totals over all samples."""
        x, y = self.placement.mesh.position(self.placement.slots)
        chip = self.placement.mesh.chip(self.placement.slots)
        own = np.eye(self.cores, dtype=np.bool_)
        near = (chip[:, None] == chip[None, :]) & ~own
        messages = np.zeros((self.cores, self.cores), np.int64)
        for name, home in self.home.items():
            if self.fixed.layer(name).spiking:
                np.add.at(messages, home, activity.events(name)[:, None] * self.sends[name])
        arriving = activity.events(INPUT) @ self.sends[INPUT]
        far_x, far_y = np.abs(x[:, None] - x[None, :]), np.abs(y[:, None] - y[None, :])
        ways = np.concatenate([(far_x + far_y)[messages > 0], (x + y)[arriving > 0], [0]])
        synaptic = active = state_active = state_idle = neurons = 0
        for batch in activity.batches:
            for route in self.routes:
                events = _delayed(batch, route.source, route.delay).sum(axis=0, dtype=np.float64)
                synaptic += int(events @ route.read.sum(axis=1, dtype=np.float64))
            for layer in self.fixed.layers:
                received = int(self.received(batch, layer.name).sum())
                everything = layer.size * int(batch.valid.sum())
                active += received
                neurons += everything
                state_active += received * states_of(layer)
                state_idle += (everything - received) * states_of(layer)
        return Operations(
            samples=activity.samples,
            steps=activity.steps,
            synaptic=synaptic,
            updates_active=active,
            updates_idle=neurons - active,
            state_updates_active=state_active,
            state_updates_idle=state_idle,
            spikes=int(sum(activity.events(layer.name).sum() for layer in self.fixed.layers if layer.spiking)),
            messages_within_core=int(messages[own].sum()),
            messages_between_cores=int(messages[near].sum()),
            messages_between_chips=int(messages[~near & ~own].sum()),
            messages_input=int(arriving.sum()),
            peak_input=self.peak_input(activity),
            hops_horizontal=int((messages * far_x).sum() + arriving @ x),
            hops_vertical=int((messages * far_y).sum() + arriving @ y),
            longest_way=int(ways.max()),
        )


def _delayed(batch: EventBatch, source: str, delay: int) -> Counts:
    """Events of ``source`` as they arrive ``delay`` steps later, (valid steps, width)."""
    events = batch.active[source]
    if delay:
        delayed = np.zeros_like(events)
        delayed[:, delay:] = events[:, :-delay]
        events = delayed
    return events[batch.valid].astype(np.float32)
