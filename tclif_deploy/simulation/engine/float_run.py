"""Running a float64 network: blocks of samples, a thread for each core."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.fixed import Int
from tclif_deploy.network import Float
from tclif_deploy.simulation.engine.block import BYTE_TABLE
from tclif_deploy.simulation.engine.events import SLACK, list_spikes, padded_count
from tclif_deploy.simulation.engine.float_currents import add_input, add_spikes, by_neuron
from tclif_deploy.simulation.engine.float_layers import layer_steps, list_values
from tclif_deploy.simulation.engine.float_plan import FloatPlan, PlannedLayer
from tclif_deploy.simulation.engine.float_tile import COLUMNS, TRACED, Choice
from tclif_deploy.simulation.engine.plan import aligned
from tclif_deploy.simulation.engine.threads import run_all, threads
from tclif_deploy.simulation.floating import batches

BLOCK = 16
"""samples that a thread takes at a time: the weights of a tile serve them all while they are in the cache"""
MEMORY = 1 << 27
"""bytes of events, spikes and traces that a thread may hold; fewer samples are taken at a time where they need more"""
CACHE = 1 << 18
"""bytes of sums that are made before the tiles take them, where these do not make them"""


@dataclass(frozen=True, eq=False)
class Block:
    """What some samples came to; arrays that the next block of the thread writes over."""

    at: slice
    masks: list[NDArray[np.uint64]]
    """by layer, (samples, time, tiles)"""
    traces: list[Float]
    """by layer, (samples, time, `float_tile.TRACED`, neurons or more), or of size 0"""
    states: list[Float]
    """by layer, after the last step; (samples, tiles, 2, width)"""
    peaks: list[Float]
    """by layer, the largest magnitudes met before or after a reset, where they were asked for; (tiles, 2, width)"""

    def state(self, n: int, size: int) -> Float:
        """u and v of layer ``n`` after the last step, (2, samples, ``size``)."""
        states = self.states[n].transpose(2, 0, 1, 3)
        return np.asarray(states.reshape(2, states.shape[1], -1)[:, :, :size])


class FloatWorker:
    """A thread's memory for blocks of up to ``samples`` of ``time`` steps; traces are kept of the layers ``traced``,
    and the largest states found unless told otherwise."""

    def __init__(
        self, plan: FloatPlan, samples: int, time: int, traced: Collection[int], with_peaks: bool = True
    ) -> None:
        time += plan.lead
        self.samples, self.time = samples, time
        self.choices = Choice.PEAKS if with_peaks else Choice(0)
        layers = plan.layers
        self.masks = [aligned((samples, time, layer.tiles), np.uint64) for layer in layers]
        self.traces = [
            aligned((samples, time, TRACED, layer.tiles * layer.width) if n in traced else (0, 0, 0, 0), np.float64)
            for n, layer in enumerate(layers)
        ]
        self.states = [aligned((samples, layer.tiles, 2, layer.width), np.float64) for layer in layers]
        self.peaks = [aligned((layer.tiles, 2, layer.width), np.float64) for layer in layers]
        self.currents = [self._currents(layers[n], n, group) for group in plan.groups for n in group]
        self.events: dict[int, NDArray[np.uint16]] = {}
        self.starts: dict[int, NDArray[np.int32]] = {}
        for n in range(-1, len(layers)):
            listed = n in plan.listed
            self.events[n] = aligned((samples if listed else 0, capacity(plan, n, time)), np.uint16)
            self.starts[n] = aligned((samples, time + 1), np.int32)
        self.values = aligned(self.events[-1].shape, np.float64)
        self._planned(plan)

    def _planned(self, plan: FloatPlan) -> None:
        self.plan, self.tables = plan, [self._table(layer) for layer in plan.layers]

    def _currents(self, layer: PlannedLayer, n: int, group: range) -> Float:
        """Of a layer whose tiles do not sum up: of as many steps of a sample as a cache holds, or of one step of all
        samples where layers take each step together."""
        width = layer.tiles * layer.width
        if layer.direct:
            return aligned((0, 0, width), np.float64)
        if len(group) > 1 or n in layer.sources:
            return aligned((self.samples, 1, width), np.float64)
        return aligned((1, max(1, min(self.time, CACHE // (8 * width))), width), np.float64)

    def _table(self, layer: PlannedLayer) -> Int:
        rows = []
        for source, delay, weights in zip(layer.sources, layer.delays, layer.weights, strict=True):
            if layer.direct:
                events, starts = self.events[source], self.starts[source]
                values = self.values if source < 0 else None
                row = [0] * COLUMNS
                row[:] = (
                    events.ctypes.data, events.strides[0],
                    0 if values is None else values.ctypes.data, 0 if values is None else values.strides[0],
                    starts.ctypes.data, starts.strides[0], weights.ctypes.data, weights.strides[0], delay,
                )  # fmt: skip
                rows.append(row)
        return np.array(rows, np.int64).reshape(-1, COLUMNS)

    def run(self, plan: FloatPlan, x: Float, at: slice, go_on: bool = False) -> Block:
        """``x`` (samples, time, features), as many samples as fit or fewer, without gaps.

        ``plan`` is the worker's own, or another of the same network. To ``go_on`` means that the last run had this
        ``x``: what the layers came to that both plans share stands, without their peaks.
        """
        count, lead, stands = len(x), plan.lead, plan.shared(self.plan) if go_on else 0
        if plan is not self.plan:
            self._planned(plan)
        if lead:
            x = np.concatenate([np.zeros_like(x[:, :lead]), x], axis=1)
        if -1 in plan.listed and not go_on:
            list_values(x, self.events[-1], self.values, self.starts[-1])
        for n in (n for group in plan.groups[stands:] for n in group):
            layer = plan.layers[n]
            self.states[n][:] = layer.start.transpose(1, 0, 2)
            self.peaks[n][:] = np.abs(layer.start).transpose(1, 0, 2)
            self.starts[n][:, 0] = 0
            if lead:
                self.masks[n][:, 0] = layer.s0
                if n in plan.listed:
                    list_spikes(self.masks[n], lead, BYTE_TABLE, layer.size, self.events[n], self.starts[n])
        for group in plan.groups[stands:]:
            first = plan.layers[group.start]
            if len(group) == 1 and group.start not in first.sources:
                if first.direct:
                    self._advance(group.start, x, False, lead, self.time)
                    continue
                window = self.currents[group.start].shape[1]
                for sample in range(count):
                    for begin in range(lead, self.time, window):
                        end = min(begin + window, self.time)
                        self._advance(group.start, x, False, begin, end, slice(sample, sample + 1))
            elif len(group) == 1 and first.direct:
                self._advance(group.start, x, True, lead, self.time)
            else:
                for t in range(lead, self.time):
                    for n in group:
                        self._advance(n, x, True, t, t + 1)
        masks, traces = ([each[:count, lead:] for each in kept] for kept in (self.masks, self.traces))
        states = [each[:count] for each in self.states]
        return Block(at, masks, traces, states, self.peaks)

    def _advance(self, n: int, x: Float, by_step: bool, begin: int, end: int, some: slice | None = None) -> None:
        """Steps ``begin`` to ``end`` of layer ``n``, of the samples ``some`` (all that ``x`` has)."""
        layer, at = self.plan.layers[n], some or slice(0, len(x))
        currents = self.currents[n][: at.stop - at.start, : end - begin]
        if not layer.direct:
            currents[:] = 0.0
            for source, delay, shape, weights in zip(
                layer.sources, layer.delays, layer.shapes, layer.weights, strict=True
            ):
                through = (begin, delay, layer.size, shape, weights, layer.channels)
                if source < 0:
                    add_input(currents, x[at], *through)
                else:
                    add_spikes(currents, self.masks[source][at], *through)
            if layer.channels:
                by_neuron(currents, layer.channels, layer.size // layer.channels, np.empty(currents.shape[2]))
        choices = layer.choices | self.choices | Choice.TRACED * (self.traces[n].size > 0)
        layer_steps(layer.width, int(choices))(
            by_step, begin, end, self.tables[n], self.states[n][at], layer.constants, layer.numbers, currents,
            self.masks[n][at], self.peaks[n], self.traces[n][at], layer.size, BYTE_TABLE, self.events[n][at],
            self.starts[n][at],
        )  # fmt: skip


def capacity(plan: FloatPlan, source: int, time: int) -> int:
    """Events of a sample that a list must hold."""
    size = plan.input_size if source < 0 else plan.layers[source].size
    return (time + plan.lead) * padded_count(size) + SLACK


def block_size(plan: FloatPlan, samples: int, time: int, traced: Collection[int], workers: int) -> int:
    """Samples that a thread takes at a time."""
    each = 0
    for n in range(-1, len(plan.layers)):
        each += capacity(plan, n, time) * (10 if n < 0 else 2) * (n in plan.listed)
        if n >= 0:
            layer = plan.layers[n]
            each += time * layer.tiles * (8 + layer.width * 8 * TRACED * (n in traced))
    return max(1, min(BLOCK, MEMORY // max(each, 1), -(-samples // workers)))


@dataclass(frozen=True, eq=False)
class Variant:
    """One of the forms of a network that are run together."""

    plan: FloatPlan
    values: Callable[[slice], NDArray[Any]]
    """a block's input, (samples, time, features), computed in float64"""
    keep: Callable[[Block], None]
    """takes what a block came to, in the thread that ran it"""


def run_blocks(
    variants: Sequence[Variant],
    samples: int,
    time: int,
    traced: Collection[int],
    jobs: int | None = None,
    with_peaks: bool = True,
) -> None:
    """Run all ``samples`` through each of ``variants``; traces are kept of the layers ``traced``.

    Where a variant has the input (the same function) and the first layers of the one before it, these run once.
    """
    plan = variants[0].plan
    workers = threads(jobs, samples)
    size = block_size(plan, samples, time, traced, workers)
    blocks = list(batches(samples, size))
    workers = min(workers, len(blocks))
    idle = [FloatWorker(plan, size, time, traced, with_peaks) for _ in range(workers)]

    def run(at: slice) -> None:
        worker = idle.pop()
        try:
            values = None
            for variant in variants:
                go_on = variant.values is values
                if not go_on:
                    values = variant.values
                    x = np.ascontiguousarray(values(at), np.float64)
                variant.keep(worker.run(variant.plan, x, at, go_on))
        finally:
            idle.append(worker)

    run_all(run, blocks, workers)


class Peaks:
    """The largest \\|u\\| and \\|v\\| of all blocks; infinite in a layer whose states at the end are not finite."""

    def __init__(self, plan: FloatPlan) -> None:
        self.plan, self.lock = plan, threading.Lock()
        self.largest = [np.zeros((layer.tiles, 2, layer.width)) for layer in plan.layers]

    def add(self, block: Block) -> None:
        """Of one block, from any thread."""
        with self.lock:
            for largest, peaks, states in zip(self.largest, block.peaks, block.states, strict=True):
                np.maximum(largest, peaks, out=largest)
                if not np.isfinite(states).all():
                    largest[:] = np.inf

    def by_layer(self) -> list[Float]:
        """(2, neurons) each."""
        rows = zip(self.plan.layers, self.largest, strict=True)
        return [np.ascontiguousarray(a.transpose(1, 0, 2).reshape(2, -1)[:, : la.size]) for la, a in rows]
