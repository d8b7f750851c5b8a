"""Running a fixed-point network fast: blocks of samples, a thread for each core, the kernels that fit."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.arguments import checked, to_array
from tclif_deploy.fixed import FixedNetwork, Int
from tclif_deploy.network import INPUT
from tclif_deploy.simulation.engine.block import Outcome, Worker, unpack
from tclif_deploy.simulation.engine.exact import FEWEST_NEURON_STEPS, plan_exact, run_exact
from tclif_deploy.simulation.engine.float_plan import FloatPlan
from tclif_deploy.simulation.engine.general import GeneralPlan, plan_general
from tclif_deploy.simulation.engine.outputs import Outputs
from tclif_deploy.simulation.engine.plan import FastPlan, plan_fast
from tclif_deploy.simulation.engine.state import State
from tclif_deploy.simulation.engine.threads import run_all, threads
from tclif_deploy.simulation.floating import batches
from tclif_deploy.simulation.reference import start_spikes
from tclif_deploy.simulation.result import Result, check_input, check_lengths, check_readout_range

BLOCK = 64
"""Samples that one thread takes at a time: so many that what Python does for a block costs little; more take more
memory and are hardly faster."""


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

    Equal to `simulation.reference.simulate` in every number. ``lengths`` (samples,) is the number of steps after
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
    out = Outputs(network, samples, time, spikes, counts, traces, readouts)
    prepared = prepare(network)
    fast = None if out.trace.size or start_spikes(network) else prepared.fast
    exact = None
    if fast is None and samples * time * sum(layer.size for layer in network.layers) >= FEWEST_NEURON_STEPS:
        exact = prepared.exact(network)
    runner = _Runner(prepared, out, fast, last)
    if exact is None:
        _run(runner, x, jobs)
    else:
        again = run_exact(exact, out, x, last, jobs)
        run_all(lambda block: runner.run(x, block), again, threads(jobs, max(len(again), 1)))
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
    out = Outputs(network, samples, time, spikes, counts, (), state=state.copy(), first=first)
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
    samples = x.shape[0]
    workers = threads(jobs, samples)
    size = runner.block_size(-(-samples // workers))
    run_all(lambda block: runner.run(x, block), list(batches(samples, size)), workers)


class _PreparedNetwork:
    """What is kept for the next run of a network: its plan, and the memory of threads that are done."""

    def __init__(self, network: FixedNetwork) -> None:
        self.fast = plan_fast(network)
        self.limit = network.input.limit
        self.idle: list[Worker] = []
        self._general: GeneralPlan | None = None
        self._exact: list[FloatPlan | None] = []
        self._tail: tuple[GeneralPlan, list[str]] | None = None

    def general(self, network: FixedNetwork) -> GeneralPlan:
        """The plan of the general kernel for this ``network``, which few runs need."""
        if self._general is None:
            self._general = plan_general(network)
        return self._general

    def exact(self, network: FixedNetwork) -> FloatPlan | None:
        """The plan of the float64 kernels for this ``network``, None where they are not exact."""
        if not self._exact:
            self._exact.append(plan_exact(network))
        return self._exact[0]

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

    def __init__(self, prepared: _PreparedNetwork, out: Outputs, fast: FastPlan | None, last: Int) -> None:
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
