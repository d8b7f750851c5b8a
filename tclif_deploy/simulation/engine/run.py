"""Running a fixed-point network fast: blocks of samples, a thread for each core, the kernels that fit."""

from __future__ import annotations

import os
import weakref
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.arguments import checked, to_array
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedLayer, FixedNetwork, Int
from tclif_deploy.network import INPUT
from tclif_deploy.readout import OF_SPIKES, decide
from tclif_deploy.simulation.engine.block import Outcome, Worker, counted, unpack
from tclif_deploy.simulation.engine.general import GeneralPlan, plan_general, run_general
from tclif_deploy.simulation.engine.layers import whole_states
from tclif_deploy.simulation.engine.plan import plan_fast
from tclif_deploy.simulation.result import Result, check_input, check_lengths, check_readout_range

NOT_TRACED = np.full(1, -1, np.int64)

BLOCK = 64
"""Samples that one thread takes at a time: so many that what Python does for a block costs little; more take more
memory and are hardly faster."""


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@checked
def simulate(
    network: FixedNetwork,
    x: NDArray[Any],
    *,
    lengths: Int | None = None,
    spikes: bool = False,
    counts: bool = False,
    traces: Collection[str] = (),
    readouts: bool = False,
    jobs: int | None = None,
) -> Result:
    """Run ``x`` (samples, time, features), integers as `InputEncoding.encode` gives them.

    Equal to `simulate.reference.simulate` in every number. ``lengths`` (samples,) is the number of steps after
    which a sample's readout is taken (default: all). ``spikes`` keeps every layer's spikes, ``counts`` how many each
    neuron fired up to there; ``traces`` names layers whose u and v are kept, after each step; ``readouts`` keeps the
    readout after each step. ``jobs`` is the number of threads (default: one a core).

    Raises `TclifError` for input that does not fit the network, or for an unknown layer in ``traces``.
    """
    x = to_array(x, "input")
    check_input(network, x[:1, :1] if x.ndim == 3 and x.size else x)
    samples, time, _ = x.shape
    last = check_lengths(lengths, samples, time) - 1
    if jobs is not None and jobs < 1:
        raise TclifError(f"jobs is {jobs}", "at least one thread is needed")
    check_readout_range(network, time)
    out = _Outputs(network, samples, time, spikes, counts, traces, readouts)
    workers = min(jobs or cores(), samples)
    runner = _Runner(network, out, -(-samples // workers), last)
    blocks = [slice(start, min(start + runner.block, samples)) for start in range(0, samples, runner.block)]
    if workers == 1:
        for block in blocks:
            runner.run(x, block)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda block: runner.run(x, block), blocks))
    return out.result()


class _Outputs:
    """Where the blocks write: every array has one row a sample."""

    def __init__(
        self, network: FixedNetwork, samples: int, time: int, spikes: bool, counts: bool, traces: Collection[str],
        readouts: bool,
    ) -> None:  # fmt: skip
        layers = network.layers
        self.network, self.time, self.keep_spikes, self.keep_counts = network, time, spikes, counts
        # One array, which the system hands out in large pages.
        ends = np.cumsum([samples * layer.size for layer in layers for _ in "uv"])
        states = np.split(np.empty(ends[-1], np.int64), ends[:-1])
        self.u, self.v = ([state.reshape(samples, -1) for state in states[n::2]] for n in range(2))
        self.readout = np.empty((samples, network.readout.outputs(network.output.size)), np.int64)
        self.readouts = np.empty((samples, time * readouts, self.readout.shape[1]), np.int64)
        self.decided = np.full(samples, -1, np.int64)
        self.overflows = np.zeros((samples, len(layers), 4), np.int64)
        self.spikes = [np.empty((samples, time, la.size) if self._spikes(la) else 0, np.bool_) for la in layers]
        self.counts = [np.empty((samples, la.size) if self._counts(la) else 0, np.int64) for la in layers]
        self.trace_at = np.full(len(layers), -1, np.int64)
        width = 0
        for name in traces:
            layer = network.layer(name)
            self.trace_at[layers.index(layer)] = width
            width += layer.size
        self.trace = np.empty((2, samples, time if width else 0, width), np.int64)

    def _spikes(self, layer: FixedLayer) -> bool:
        return self.keep_spikes and layer.spiking

    def _counts(self, layer: FixedLayer) -> bool:
        return self.keep_counts and layer.spiking

    def keep(self, block: slice, last: Int, outcome: Outcome) -> None:
        """Write what a block's samples came to, whose readouts were taken at its steps ``last``."""
        count = block.stop - block.start
        # Samples that overflowed hold infinities; they run again.
        with np.errstate(invalid="ignore"):
            if self.reads_directly:
                read = outcome.readout[:count]
                votes = self.network.readout.votes
                self.readout[block] = read if votes == 1 else read.reshape(count, -1, votes).sum(axis=2)
            for n, layer in enumerate(self.network.layers):
                states, units = outcome.states[n]
                whole_states(
                    states, np.float32(1 / units.u), np.float32(1 / units.v), self.u[n][block], self.v[n][block]
                )
                masks = outcome.masks[n]
                if self._spikes(layer) and masks is not None:
                    self.spikes[n][block] = unpack(masks[:count], layer.size)
                if self._counts(layer) and masks is not None:
                    self.counts[n][block] = counted(masks[:count], last, layer.size)

    @property
    def reads_directly(self) -> bool:
        """Whether the fast kernels themselves give the readout: the last soma, or spikes."""
        network = self.network
        usual = network.usual_readout or network.readout.rule in OF_SPIKES
        return usual and not self.readouts.shape[1]

    def read(self, tail: GeneralPlan, x: Int, sample: int, last: int) -> None:
        """Read one sample by its rule from what reaches the last layer, ``x`` (1, time, sources)."""
        u, v = np.empty((2, 1, tail.neurons.shape[1]), np.int64)
        at = slice(sample, sample + 1)
        run_general(
            tail.arithmetic, tail.neurons, tail.layers, tail.connections, tail.weights, tail.ring, tail.code, x,
            np.array([last]), u, v, self.readout[at], np.zeros((1, 1, 4), np.int64), np.empty((1, 0, 0), np.uint8),
            np.empty((1, 0), np.int64), NOT_TRACED, self.trace[:, at, :0], self.readouts[at], self.decided[at],
        )  # fmt: skip

    def run_general(self, plan: GeneralPlan, x: Int, sample: int, last: int) -> None:
        """Run one sample, ``x`` (1, time, features), in the general kernel, and write its rows."""
        neurons = plan.neurons.shape[1]
        u, v = np.empty((2, 1, neurons), np.int64)
        spikes = np.empty((1, self.time, neurons) if self.keep_spikes else (1, 0, 0), np.uint8)
        counts = np.empty((1, neurons if self.keep_counts else 0), np.int64)
        at = slice(sample, sample + 1)
        run_general(
            plan.arithmetic, plan.neurons, plan.layers, plan.connections, plan.weights, plan.ring, plan.code, x,
            np.array([last]), u, v, self.readout[at], self.overflows[at], spikes, counts,
            self.trace_at, self.trace[:, at], self.readouts[at], self.decided[at],
        )  # fmt: skip
        for n, layer in enumerate(self.network.layers):
            columns = slice(*plan.layers[n, :2])
            self.u[n][at], self.v[n][at] = u[:, columns], v[:, columns]
            if self._spikes(layer):
                self.spikes[n][at] = spikes[:, :, columns]
            if self._counts(layer):
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
            {layer.name: spikes for layer, spikes in zip(layers, self.spikes, strict=True) if self._spikes(layer)},
            {layer.name: u for layer, u in zip(layers, self.u, strict=True)},
            {layer.name: v for layer, v in zip(layers, self.v, strict=True)},
            self.readout, self._classes(self.readout),
            {layer.name: self.overflows[:, n].sum(axis=0) for n, layer in enumerate(layers)}, traces,
            {layer.name: counts for layer, counts in zip(layers, self.counts, strict=True) if self._counts(layer)},
            self.readouts if self.readouts.shape[1] else None,
            self.decided if self.network.readout.decides else None,
            self._classes(self.readouts) if self.readouts.shape[1] else None,
        )  # fmt: skip


class _PreparedNetwork:
    """What is kept for the next run of a network: its plan, and the memory of threads that are done."""

    def __init__(self, network: FixedNetwork) -> None:
        self.fast = plan_fast(network)
        self.limit = network.input.limit
        self.network = weakref.ref(network)
        self.idle: list[Worker] = []

    @cached_property
    def tail(self) -> tuple[GeneralPlan, list[str]]:
        """The last layer by itself, and the sources that make up its input, side by side."""
        network = self.network()
        assert network is not None
        out = network.output
        sources = list(dict.fromkeys(c.source for c in out.connections if c.source != out.name))
        ends = np.cumsum([0, *(network.source_size(source) for source in sources)])
        connections = []
        for c in out.connections:
            if c.source != out.name:
                first = ends[sources.index(c.source)]
                weight = np.zeros((out.size, ends[-1]), np.int64)
                weight[:, first : first + c.sources] = c.weight
                c = replace(c, source=INPUT, weight=weight)
            connections.append(c)
        entry = replace(network.input, size=int(ends[-1]))
        alone = replace(network, input=entry, layers=(replace(out, connections=tuple(connections)),))
        return plan_general(alone), sources

    @contextmanager
    def worker(self, *shape: int) -> Iterator[Worker]:
        """Memory for blocks of this ``shape`` (samples, time, features)."""
        assert self.fast is not None
        worker = None
        while self.idle and (worker is None or worker.shape != shape):
            with suppress(IndexError):  # another thread was faster
                worker = self.idle.pop()
        if worker is None or worker.shape != shape:
            worker = Worker(self.fast, self.limit, *shape)
        yield worker
        self.idle.append(worker)


_prepared: WeakKeyDictionary[FixedNetwork, _PreparedNetwork] = WeakKeyDictionary()
"""By network, whose numbers don't change."""


class _Runner:
    """Runs blocks of samples in any thread, and writes their rows."""

    def __init__(self, network: FixedNetwork, out: _Outputs, max_block: int, last: Int) -> None:
        self.network = network
        self.out = out
        self.last = last
        if network not in _prepared:
            _prepared[network] = _PreparedNetwork(network)
        self.prepared = _prepared[network]
        self.fast = None if out.trace.size else self.prepared.fast
        block = min(max_block, BLOCK) if self.fast else 2
        self.block = block + block % 2

    def run(self, x: NDArray[Any], block: slice) -> None:
        """Run the samples of ``block``."""
        count = block.stop - block.start
        inexact = np.arange(count)
        if self.fast is not None:
            last = np.zeros(self.block, np.int64)
            last[:count] = self.last[block]
            with self.prepared.worker(self.block, *x.shape[1:]) as worker:
                outcome = worker.run(readable(x[block]), last)
                if outcome is None:
                    check_input(self.network, x[block])
                    raise AssertionError("the input's range was misread")
                self.out.keep(block, last, outcome)
                if not self.out.reads_directly:
                    self._read(x, block, outcome)
                inexact = np.flatnonzero(~outcome.exact[:count])
        if inexact.size:
            self._run_general(x, block.start + inexact)

    def _read(self, x: NDArray[Any], block: slice, outcome: Outcome) -> None:
        """Read a block's exact samples by a rule that the fast kernels have not, from the last layer's sources."""
        tail, sources = self.prepared.tail
        size = {layer.name: layer.size for layer in self.network.layers}
        masks = {layer.name: mask for layer, mask in zip(self.network.layers, outcome.masks, strict=True)}
        for n in np.flatnonzero(outcome.exact[: block.stop - block.start]):
            sample = block.start + int(n)
            arriving = [
                x[sample] if source == INPUT else unpack(masks[source][n], size[source])  # type: ignore[index]
                for source in sources
            ]
            events = np.concatenate([each.astype(np.int64) for each in arriving], axis=1)
            self.out.read(tail, events[None], sample, int(self.last[sample]))

    @cached_property
    def general(self) -> GeneralPlan:
        """The plan of the general kernel, which few samples need."""
        return plan_general(self.network)

    def _run_general(self, x: NDArray[Any], index: Int) -> None:
        """Run single samples in the general kernel."""
        for sample in index:
            one = check_input(self.network, x[sample : sample + 1])
            self.out.run_general(self.general, one, int(sample), int(self.last[sample]))


def readable(x: NDArray[Any]) -> NDArray[Any]:
    """``x`` as the fast kernels take it: without gaps, in the machine's byte order; a copy only where it must be."""
    if x.dtype == np.uint64:
        return x.astype(np.int64)
    dtype = np.uint8 if x.dtype == np.bool_ else x.dtype.newbyteorder("=")
    x = np.ascontiguousarray(x)
    return x.view(dtype) if x.dtype.itemsize == 1 else x.astype(dtype, copy=False)
