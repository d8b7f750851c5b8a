"""Cutting layers into the neuron ranges that one core holds each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import Int
from tclif_deploy.mapping.memory import LIMIT_NAMES, RESOURCES, SynapseFormat, limits_of, pooled
from tclif_deploy.mapping.workload import Group, Workload
from tclif_deploy.network import INPUT
from tclif_deploy.target.schema import Target

FIRST_WINDOW = 64
"""neurons looked at before a range of unknown length is cut"""
ROUNDS = 20
"""how often outgoing axons, which depend on where the targets lie, may change the cut"""


class CannotFit(TclifError):
    """A network that no placement on this machine holds."""


@dataclass(frozen=True, order=True)
class Slice:
    """The neurons ``start..stop`` of a layer."""

    layer: str
    start: int
    stop: int

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return self.stop - self.start


Cores = list[list[Slice]]
"""core -> the slices that it holds"""


class Needs:
    """What any range of one group's neurons takes of a core of one target."""

    def __init__(self, group: Group, target: Target, axons_out: Int) -> None:
        self.group, self.target, self.limits = group, target, limits_of(target)
        self.formats = [SynapseFormat.of(target, synapses.delay, synapses.width) for synapses in group.synapse_groups]
        self.state_bits = group.states * target.state_bits.value + group.parameter_bits
        self.window = FIRST_WINDOW
        self.outgoing = np.concatenate([[0], np.cumsum(axons_out)])
        """outgoing axons of the neurons before each"""

    def prefixes(self, start: int, stop: int) -> Int:
        """Usage (stop - start, 6) of the first 1, 2, ... neurons of a range."""
        count = np.arange(1, stop - start + 1, dtype=np.int64)
        usage = np.zeros((count.size, len(RESOURCES)), np.int64)
        usage[:, 0] = count
        for synapses, form in zip(self.group.synapse_groups, self.formats, strict=True):
            use = synapses.connectivity.use(start, stop, form)
            usage[:, 1] += use.bits
            usage[:, 4] += use.axons
        usage[:, 2] = count * self.state_bits
        usage[:, 5] = self.outgoing[start + 1 : stop + 1] - self.outgoing[start]
        return pooled(self.target, usage)

    def usage(self, start: int, stop: int) -> Int:
        """Usage (6,) of a range."""
        return np.asarray(self.prefixes(start, stop)[-1])

    def longest(self, start: int, used: Int) -> tuple[int, Int]:
        """How far a range from ``start`` reaches on a core where ``used`` is taken already, and what it takes."""
        window, size = self.window, self.group.neurons
        while True:
            stop = min(size, start + window)
            usage = self.prefixes(start, stop)
            fits = (usage + used <= self.limits).all(axis=1)
            count = int(np.count_nonzero(fits))  # no column ever falls, so those that fit come first
            if count < stop - start or stop == size:
                self.window = max(FIRST_WINDOW, count + count // 8)
                return start + count, usage[count - 1] if count else np.zeros(len(RESOURCES), np.int64)
            window *= 4

    def refuse(self, start: int) -> CannotFit:
        """Why the neuron ``start`` does not fit even an empty core."""
        usage = self.usage(start, start + 1)
        n = int(np.argmax(usage / self.limits))
        return CannotFit(
            f"layer {self.group.name}: neuron {start} alone needs {usage[n]:,} of a core's {LIMIT_NAMES[n]}, "
            f"{self.target.name} has {self.limits[n]:,}",
            _remedy(RESOURCES[n]),
        )


def greedy(needs: dict[str, Needs]) -> tuple[Cores, list[Int]]:
    """Fill one core after the other, in evaluation order; a core may hold pieces of several layers."""
    cores: Cores = []
    usage: list[Int] = []
    slices: list[Slice] = []
    used = np.zeros(len(RESOURCES), np.int64)
    for name, need in needs.items():
        start = 0
        while start < need.group.neurons:
            stop, taken = need.longest(start, used)
            if stop > start:
                slices.append(Slice(name, start, stop))
                used = used + taken
            elif not slices:
                raise need.refuse(start)
            if stop < need.group.neurons:  # the core is full
                cores.append(slices)
                usage.append(used)
                slices, used = [], np.zeros(len(RESOURCES), np.int64)
            start = stop
    cores.append(slices)
    usage.append(used)
    return cores, usage


def balanced(needs: dict[str, Needs]) -> tuple[Cores, list[Int]]:
    """Cut each layer into pieces of like work, as few as hold it; a core holds one piece."""
    cores: Cores = []
    usage: list[Int] = []
    for name, need in needs.items():
        work = np.ones(need.group.neurons, np.float64)
        for synapses in need.group.synapse_groups:
            work += synapses.connectivity.fan_in()
        done = np.cumsum(work)
        slice_count = len(greedy({name: need})[0])
        while True:
            cuts = np.searchsorted(done, done[-1] * np.arange(1, slice_count) / slice_count - 1e-6) + 1
            single = slice_count == need.group.neurons
            bounds = (
                np.arange(slice_count + 1) if single else np.unique(np.concatenate([[0], cuts, [need.group.neurons]]))
            )
            ranges = list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
            taken = [need.usage(a, b) for a, b in ranges]
            if all((used <= need.limits).all() for used in taken):
                break
            slice_count = min(need.group.neurons, slice_count + max(1, slice_count // 64))
        cores += [[Slice(name, a, b)] for a, b in ranges]
        usage += taken
    return cores, usage


def outgoing_axons(workload: Workload, cores: Cores) -> dict[str, Int]:
    """How many cores each neuron sends to, (neurons,), counted for each connection."""
    axons = {group.name: np.zeros(group.neurons, np.int64) for group in workload.groups}
    synapse_groups = {group.name: group.synapse_groups for group in workload.groups}
    for core in cores:
        for neuron_range in core:
            for synapses in synapse_groups[neuron_range.layer]:
                if synapses.source != INPUT:
                    axons[synapses.source][synapses.connectivity.senders(neuron_range.start, neuron_range.stop)] += 1
    return axons


def partition(workload: Workload, target: Target, cut: str) -> tuple[Cores, Int]:
    """Slices of every core, and what each core uses (cores, 6). ``cut`` is ``greedy`` or ``balanced``.

    Outgoing axons depend on where the targets lie, so they are counted after each cut, and where they do not fit
    the cut is made again with what was counted. Raises `CannotFit`.
    """
    cutter = {"greedy": greedy, "balanced": balanced}[cut]
    expected = {group.name: np.zeros(group.neurons, np.int64) for group in workload.groups}
    bounded = target.axons_out is not None or target.core_memory is not None
    for _ in range(ROUNDS):
        needs = {group.name: Needs(group, target, expected[group.name]) for group in workload.groups}
        cores, taken = cutter(needs)
        counted = outgoing_axons(workload, cores)
        usage = np.stack(taken)
        usage[:, 5] = [sum(int(counted[s.layer][s.start : s.stop].sum()) for s in core) for core in cores]
        usage = pooled(target, usage)
        if not bounded or (usage <= limits_of(target)).all():
            return cores, usage
        expected = {name: np.maximum(expected[name], counted[name]) for name in expected}
    raise CannotFit(
        f"{target.name}: the outgoing axons of a core do not come below its limit, however the layers are cut",
        _remedy("axons_out"),
    )


def _remedy(resource: str) -> str:
    return {
        "synaptic_memory": "fewer weight bits or a sparser layer take less",
        "core_memory": "fewer weight bits, fewer state bits or a sparser layer take less",
        "state_memory": "fewer state bits, or parameters that the layer shares, take less",
        "axons_in": "a sparser or a narrower layer before it needs fewer axons",
        "axons_out": "a sparser connection or a narrower layer after it needs fewer axons",
    }.get(resource, "another target holds more")
