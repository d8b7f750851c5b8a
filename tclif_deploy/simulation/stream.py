"""Whole data sets through the integers, in bounded memory: one result a batch, and their sum."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy import jit
from tclif_deploy.data.dataset import Dataset, Task
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork, Int
from tclif_deploy.network import INPUT
from tclif_deploy.simulation import Engine, simulate
from tclif_deploy.simulation.result import Result
from tclif_deploy.simulation.scores import NumberScore, answers, judged, task_of
from tclif_deploy.workers import workers

BATCH = 256
"""samples a batch"""


@dataclass(frozen=True)
class LayerRun:
    """What one layer did over all samples."""

    name: str
    neurons: int
    spikes: int
    rate: float | None
    """spikes a neuron a step; None where the layer has none"""
    synaptic_operations: int
    """additions of a weight other than 0: one for each synapse that an event reached"""
    saturations: int


@dataclass(frozen=True)
class RunSummary:
    """A run over a data set."""

    samples: int
    steps: int
    """of all samples, padding left out"""
    accuracy: float | None
    layers: tuple[LayerRun, ...]
    input_clipped: int
    seconds: float
    """that it ran, without what was compiled for this CPU meanwhile"""
    task: Task = "label"
    """what y means; where its labels are of steps, so is the accuracy"""
    r2: float | None = None
    """of numbers against y, as are the next two"""
    rmse: float | None = None
    smape: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "samples": self.samples, "steps": self.steps, "accuracy": self.accuracy, "task": self.task,
            "r2": self.r2, "rmse": self.rmse, "smape": self.smape,
            "layers": [vars(layer) for layer in self.layers], "input_clipped": self.input_clipped,
            "saturations": sum(layer.saturations for layer in self.layers), "seconds": self.seconds,
            "samples_per_second": self.samples / self.seconds if self.seconds else None,
        }  # fmt: skip


def simulate_stream(
    network: FixedNetwork,
    batches: Iterable[Dataset],
    *,
    spikes: bool = False,
    counts: bool = False,
    traces: Collection[str] = (),
    engine: Engine = "auto",
    jobs: int | None = None,
) -> Iterator[tuple[Dataset, Result]]:
    """Run any iterable of batches; yields each with its result, so that memory holds one batch at a time.

    Arguments as in `tclif_deploy.simulate`. Raises `TclifError` for a batch that does not fit the network.
    """
    for batch in batches:
        yield batch, simulate(
            network, batch, spikes=spikes, counts=counts, traces=traces, readouts=_of_steps(batch), engine=engine,
            jobs=jobs,
        )  # fmt: skip


def _of_steps(batch: Dataset) -> bool:
    """Whether its targets are of steps, so that an answer after each is needed."""
    return batch.y is not None and batch.task is not None and batch.task.startswith("step")


class Tally:
    """Adds up results batch by batch; tallies of disjoint batches add up to the same sum in any order."""

    def __init__(self, network: FixedNetwork) -> None:
        self.network = network
        self.spikes = dict.fromkeys((layer.name for layer in network.layers), 0)
        self.operations = dict.fromkeys((layer.name for layer in network.layers), 0)
        self.saturations = dict.fromkeys((layer.name for layer in network.layers), 0)
        self.samples = self.steps = self.right = self.judged = self.labelled = self.clipped = 0
        self.task: Task = "label"
        self.numbers = NumberScore(network.readout.outputs(network.output.size))
        # synapses that an event of each source reaches
        self.reach = [(la.name, c.source, c.fan_out()) for la in network.layers for c in la.connections]

    def add(self, data: Dataset, result: Result) -> None:
        """One batch, run with ``counts=True``, and with ``readouts=True`` where its targets are of steps."""
        valid = data.valid()
        x, clipped = self.network.input.encode(data.x, data.scale)
        given = x != 0
        events = {name: counts.sum(axis=0) for name, counts in result.counts.items()}
        events[INPUT] = count_events(given if valid.all() else given & valid[:, :, None])
        for name in result.counts:
            self.spikes[name] += int(events[name].sum())
        for name, source, reach in self.reach:
            self.operations[name] += int(events[source] @ reach)
        for name, counts in result.overflows.items():
            self.saturations[name] += int(counts.sum())
        self.samples += data.samples
        self.steps += int(valid.sum())
        self.clipped += clipped
        if data.y is not None:
            self.labelled += data.samples
            self.task = task_of(data, self.numbers.error.size)
            judging = judged(data, self.task)
            said = answers(self.network, result, data, self.task)[judging]
            if self.task.endswith("value"):
                self.numbers.add(data.y[judging], said)
            else:
                self.judged += len(said)
                self.right += int(np.count_nonzero(said == data.y[judging]))

    def merge(self, other: Tally) -> None:
        """Add what ``other`` counted."""
        for name in ("spikes", "operations", "saturations"):
            totals, added = getattr(self, name), getattr(other, name)
            for layer in totals:
                totals[layer] += added[layer]
        for name in ("samples", "steps", "right", "judged", "labelled", "clipped"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.numbers.merge(other.numbers)
        self.task = other.task if self.task == "label" else self.task

    def summary(self, seconds: float) -> RunSummary:
        """The counts as figures."""
        layers = tuple(
            LayerRun(
                layer.name, layer.size, self.spikes[layer.name],
                self.spikes[layer.name] / (self.steps * layer.size) if layer.spiking else None,
                self.operations[layer.name], self.saturations[layer.name],
            )
            for layer in self.network.layers
        )  # fmt: skip
        judged = self.judged + self.numbers.count
        if self.labelled and not judged:
            raise TclifError("mask leaves no step to judge", "true is what counts")
        accuracy = self.right / self.judged if self.judged and self.labelled == self.samples else None
        return RunSummary(
            self.samples, self.steps, accuracy, layers, self.clipped, seconds, self.task, self.numbers.r2,
            self.numbers.rmse, self.numbers.smape,
        )  # fmt: skip


def count_events(fired: NDArray[np.bool_]) -> Int:
    """Events of each neuron, int64 (neurons,), of ``fired`` (samples, time, neurons).

    255 rows at a time fit in a byte, in which numpy adds far faster than in 64 bits.
    """
    rows = np.ascontiguousarray(fired).reshape(-1, fired.shape[2]).view(np.uint8)
    in_blocks = rows.shape[0] // 255 * 255
    blocks = rows[:in_blocks].reshape(-1, 255, rows.shape[1]).sum(axis=1, dtype=np.uint8)
    return np.asarray(blocks.sum(axis=0, dtype=np.int64) + rows[in_blocks:].sum(axis=0, dtype=np.int64))


def run_all(
    network: FixedNetwork,
    batches: Iterable[Dataset],
    *,
    engine: Engine = "auto",
    jobs: int | None = None,
    parallel: str | None = None,
    spikes: bool = False,
    traces: Collection[str] = (),
    each: Callable[[Dataset, Result], None] = lambda data, result: None,
) -> RunSummary:
    """Run every batch and add up; ``each`` sees every batch with its result (not with ``parallel``), which has the
    ``spikes`` and ``traces`` asked for.

    ``parallel`` hands batches to workers (see `tclif_deploy.workers.workers`): ``loky``, ``threading``, ``dask``,
    ``dask://HOST:PORT``. All figures but the seconds are those of one process, bit for bit; a worker that dies costs
    the batches that it had in hand, which another one runs.
    """
    began = time.monotonic() - jit.seconds_compiling()
    tally = Tally(network)
    if parallel is not None:
        for batch_tally in _in_parallel(network, batches, engine, jobs, parallel):
            tally.merge(batch_tally)
    else:
        for data, result in simulate_stream(
            network, batches, spikes=spikes, counts=True, traces=traces, engine=engine, jobs=jobs
        ):
            tally.add(data, result)
            each(data, result)
    if tally.samples == 0:
        raise TclifError("no samples to run", "the data holds none")
    return tally.summary(time.monotonic() - began - jit.seconds_compiling())


def _one_batch(network: FixedNetwork, engine: Engine, numbered: tuple[int, Dataset]) -> tuple[int, Tally]:
    """The tally of one batch, with the batch's number; on one thread, as each worker has one core."""
    number, data = numbered
    tally = Tally(network)
    tally.add(data, simulate(network, data, counts=True, readouts=_of_steps(data), engine=engine, jobs=1))
    return number, tally


def _in_parallel(
    network: FixedNetwork, batches: Iterable[Dataset], engine: Engine, jobs: int | None, parallel: str
) -> Iterator[Tally]:
    """Tallies of the batches from workers, in the order of the batches: sums of real numbers depend on it."""
    early: dict[int, Tally] = {}
    following = 0
    with workers(parallel, jobs, lambda numbered: f"batch {numbered[0]}, counted from 0,") as run:
        for number, tally in run(_one_batch, (network, engine), enumerate(batches)):
            early[number] = tally
            while following in early:
                yield early.pop(following)
                following += 1
