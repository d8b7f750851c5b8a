"""Running a fixed-point network fast: blocks of samples, a thread for each core, the kernels that fit."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.arguments import checked, to_array
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedLayer, FixedNetwork, Int
from tclif_deploy.network import INPUT
from tclif_deploy.readout import OF_SPIKES, decide
from tclif_deploy.simulation.engine.block import LayerStart, Outcome, Worker, counted, unpack
from tclif_deploy.simulation.engine.general import GeneralPlan, plan_general, run_general
from tclif_deploy.simulation.engine.layers import whole_states
from tclif_deploy.simulation.engine.plan import FastPlan, plan_fast
from tclif_deploy.simulation.engine.state import State
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
    check_start(network, x)
    samples, time, _ = x.shape
    last = check_lengths(lengths, samples, time) - 1
    check_readout_range(network, time)
    out = _Outputs(network, samples, time, spikes, counts, traces, readouts)
    prepared = prepare(network)
    _run(_Runner(prepared, out, None if out.trace.size else prepared.fast, last), x, jobs)
    return out.result()


def advance(
    network: FixedNetwork,
    state: State,
    x: NDArray[Any],
    *,
    lengths: Int | None = None,
    spikes: bool = False,
    counts: bool = False,
    jobs: int | None = None,
) -> Result:
    """Go on from ``state`` with ``x``, as `simulate` takes it, and leave there what the last step left.

    The result is that of these steps alone; its readout is what `simulate` would say of all steps so far. Raises
    `TclifError` as `simulate` does; ``state`` is then as it was.
    """
    check_start(network, x)
    samples, time, features = x.shape
    prepared = prepare(network)
    input_delay = state.inputs.shape[1]
    first = max(state.fired.shape[1] - 1, input_delay)
    last = first + check_lengths(lengths, samples, time) - 1
    whole = x
    if first:
        whole = np.zeros((samples, first + time, features), np.int64 if input_delay else x.dtype)
        whole[:, first - input_delay : first], whole[:, first:] = state.inputs, x
    check_readout_range(network, state.taken + time)
    out = _Outputs(network, samples, time, spikes, counts, (), state=state.copy(), first=first)
    fast = prepared.fast if time >= first and samples * time >= FEWEST_STEPS and out.reads_directly else None
    _run(_Runner(prepared, out, fast, last), whole, jobs)
    assert out.state is not None
    inputs, result = whole[:, whole.shape[1] - input_delay :].astype(np.int64), out.result()
    for name in ("u", "v", "fired", "readout", "decided"):
        setattr(state, name, getattr(out.state, name))
    state.inputs, state.taken = inputs, state.taken + time
    return result


def check_start(network: FixedNetwork, x: NDArray[Any]) -> None:
    """Raise `TclifError` where the shape or dtype of ``x`` is wrong; whoever reads all of it looks for its range."""
    check_input(network, x[:1, :1] if x.ndim == 3 and x.size else x)


FEWEST_STEPS = 32
"""Of all samples: for fewer, what Python does for a block of the fast kernels costs more than the general kernel."""


def _run(runner: _Runner, x: NDArray[Any], jobs: int | None) -> None:
    """Run all samples in blocks, on ``jobs`` threads."""
    if jobs is not None and jobs < 1:
        raise TclifError(f"jobs is {jobs}", "at least one thread is needed")
    samples = x.shape[0]
    workers = min(jobs or cores(), samples)
    size = runner.block_size(-(-samples // workers))
    blocks = [slice(start, min(start + size, samples)) for start in range(0, samples, size)]
    if workers == 1:
        for block in blocks:
            runner.run(x, block)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda block: runner.run(x, block), blocks))


class _Outputs:
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
                self.readout[block] = self._by_votes(outcome.readout[:count])
                if self.state is not None and self.network.output.spiking:
                    self.readout[block] += self.state.readout[block]
            for n, layer in enumerate(self.network.layers):
                states, units = outcome.states[n]
                whole_states(
                    states, np.float32(1 / units.u), np.float32(1 / units.v), self.u[n][block], self.v[n][block]
                )
                masks = outcome.masks[n]
                if self._spikes(layer) and masks is not None:
                    self.spikes[n][block] = unpack(masks[:count, self.first :], layer.size)
                if self._counts(layer) and masks is not None:
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
        return values if votes == 1 else values.reshape(len(values), -1, votes).sum(axis=2)

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
        state = self.state.sample(sample) if self.state else State.start(plan, 1, 0, min(plan.ring, self.time))
        run_general(
            plan.arithmetic, plan.neurons, plan.layers, plan.connections, plan.weights, plan.code, x, self.first,
            np.array([last]), state.taken, state.u, state.v, state.fired, state.readout, state.decided,
            self.readout[at], self.decided[at], self.overflows[at], spikes, counts, self.trace_at, self.trace[:, at],
            self.readouts[at],
        )  # fmt: skip
        for n, (layer, columns) in enumerate(zip(self.network.layers, self.columns, strict=True)):
            self.u[n][at], self.v[n][at] = state.u[:, columns], state.v[:, columns]
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
        self.idle: list[Worker] = []
        self._general: GeneralPlan | None = None
        self._tail: tuple[GeneralPlan, list[str]] | None = None

    def general(self, network: FixedNetwork) -> GeneralPlan:
        """The plan of the general kernel for this ``network``, which few runs need."""
        if self._general is None:
            self._general = plan_general(network)
        return self._general

    def tail(self, network: FixedNetwork) -> tuple[GeneralPlan, list[str]]:
        """The last layer of this ``network`` by itself, and the sources that make up its input, side by side."""
        if self._tail is None:
            self._tail = self._last_layer(network)
        return self._tail

    def _last_layer(self, network: FixedNetwork) -> tuple[GeneralPlan, list[str]]:
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
        """Memory for blocks of this ``shape`` (samples, time, features, first step)."""
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
"""By network, whose numbers don't change; nothing in it may hold the network."""


def prepare(network: FixedNetwork) -> _PreparedNetwork:
    """What is kept of ``network``."""
    if network not in _prepared:
        _prepared[network] = _PreparedNetwork(network)
    return _prepared[network]


class _Runner:
    """Runs blocks of samples in any thread, and writes their rows."""

    def __init__(self, prepared: _PreparedNetwork, out: _Outputs, fast: FastPlan | None, last: Int) -> None:
        self.network, self.prepared = out.network, prepared
        self.out = out
        self.last = last
        self.fast = fast
        self.block = 2

    def block_size(self, most: int) -> int:
        """Samples of a block, of which ``most`` would give each thread one."""
        block = min(most, BLOCK) if self.fast else 2
        self.block = block + block % 2
        return self.block

    def run(self, x: NDArray[Any], block: slice) -> None:
        """Run the samples of ``block``."""
        count = block.stop - block.start
        inexact = np.arange(count)
        if self.fast is not None:
            last = np.full(self.block, self.out.first, np.int64)
            last[:count] = self.last[block]
            with self.prepared.worker(self.block, *x.shape[1:], self.out.first) as worker:
                outcome = worker.run(readable(x[block]), last, self.out.start_of(block))
                if outcome is None:
                    check_input(self.network, x[block])
                    raise AssertionError("the input's range was misread")
                self.out.keep(block, last, outcome)
                if not self.out.reads_directly:
                    self._read(x, block, outcome)
                self.out.keep_state(block, outcome)
                inexact = np.flatnonzero(~outcome.exact[:count])
        if inexact.size:
            self._run_general(x, block.start + inexact)

    def _read(self, x: NDArray[Any], block: slice, outcome: Outcome) -> None:
        """Read a block's exact samples by a rule that the fast kernels have not, from the last layer's sources."""
        tail, sources = self.prepared.tail(self.network)
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

    def _run_general(self, x: NDArray[Any], index: Int) -> None:
        """Run single samples in the general kernel."""
        for sample in index:
            one = check_input(self.network, x[sample : sample + 1])
            self.out.run_general(self.prepared.general(self.network), one, int(sample), int(self.last[sample]))


def readable(x: NDArray[Any]) -> NDArray[Any]:
    """``x`` as the fast kernels take it: without gaps, in the machine's byte order; a copy only where it must be."""
    if x.dtype == np.uint64:
        return x.astype(np.int64)
    dtype = np.uint8 if x.dtype == np.bool_ else x.dtype.newbyteorder("=")
    x = np.ascontiguousarray(x)
    return x.view(dtype) if x.dtype.itemsize == 1 else x.astype(dtype, copy=False)
