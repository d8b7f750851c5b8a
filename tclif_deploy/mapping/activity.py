"""What really happens on data: which inputs and neurons are active at which step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.arguments import checked
from tclif_deploy.blas import one_blas_thread
from tclif_deploy.data import DataLike, Dataset, as_dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork, Int, check_fixed
from tclif_deploy.network import INPUT
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.simulation import Engine, Result, simulate
from tclif_deploy.simulation.result import OF_U

BATCH_VALUES = 1 << 24
"""spikes held at once while they are counted: the batches' size follows from it"""
Bool = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class EventBatch:
    """Some samples' events; steps after a sample's end hold none."""

    active: dict[str, Bool]
    """source (``input`` or a spiking layer) -> (samples, time, width): fired, or a value other than 0"""
    valid: Bool
    """(samples, time): the step belongs to the sample"""


@dataclass(frozen=True)
class LayerBehaviour:
    """What one layer does on data."""

    overflows: int
    """state values that overflowed"""
    rate: float | None = None
    """spikes a neuron a step; None where the layer does not spike"""
    rate_float: float | None = None
    """the float network's; None where nobody knows"""
    overflows_u: int = 0
    """those of u among the overflows, as far as they were counted apart"""


@dataclass(frozen=True)
class Behaviour:
    """What a network does on data: measured (`Activity.behaviour`), or as a verdict says it."""

    samples: int
    layers: dict[str, LayerBehaviour]
    input_clipped: int
    """input values outside the payload"""
    negative_inputs: int = 0
    """input integers below 0, as far as they were counted"""


@dataclass(frozen=True, eq=False)
class Activity:
    """A fixed-point network's behaviour on data, sample batch by sample batch.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> activity = tc.mapping.measure(fixed, test[:4])
    >>> activity.samples, activity.largest_input, activity.events("features.1")[:4].tolist()
    (4, 76, [16, 10, 8, 12])
    """

    batches: tuple[EventBatch, ...]
    overflows: dict[str, int]
    """layer -> state values that overflowed"""
    input_clipped: int
    """input values outside the payload"""
    largest_input: int
    """magnitude, in input integers"""
    overflows_u: dict[str, int] = field(default_factory=dict)
    """those of u among the overflows"""
    negative_inputs: int = 0
    """input integers below 0"""

    @property
    def samples(self) -> int:
        """Number of samples."""
        return sum(int(batch.valid.shape[0]) for batch in self.batches)

    @property
    def steps(self) -> int:
        """Steps of all samples."""
        return sum(int(batch.valid.sum()) for batch in self.batches)

    def events(self, source: str) -> Int:
        """Events of each input channel or neuron, (width,)."""
        return np.asarray(sum(batch.active[source].sum(axis=(0, 1), dtype=np.int64) for batch in self.batches))

    def rate(self, source: str) -> float:
        """Events a channel or neuron a step."""
        events = self.events(source)
        return float(events.sum() / (self.steps * events.size))

    def behaviour(self) -> Behaviour:
        """What the layers do on these samples; the float network's rates are not known."""
        spiking = self.batches[0].active
        layers = {
            name: LayerBehaviour(
                count, self.rate(name) if name in spiking else None, overflows_u=self.overflows_u.get(name, 0)
            )
            for name, count in self.overflows.items()
        }
        return Behaviour(self.samples, layers, self.input_clipped, self.negative_inputs)


@one_blas_thread
@checked
def measure(
    fixed: FixedNetwork,
    data: DataLike,
    *,
    engine: Engine = "auto",
    progress: Progress = no_progress,
) -> Activity:
    """Run ``data`` and keep what fired when, a byte for each input and neuron and step: some dozen samples do.

    Raises `TclifError` where the width of ``data`` is not the network's.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> from tclif_deploy.mapping import measure
    >>> activity = measure(fixed, test[:4])
    >>> activity.steps, f"{activity.rate('features.1'):.3f} spikes a neuron a step"
    (54, '0.252 spikes a neuron a step')
    """
    check_fixed(fixed)
    data = as_dataset(data, needed=True)
    if data.features != fixed.input.size:
        raise TclifError(f"{data.name}: {data.features} features a step, the network takes {fixed.input.size}")
    recorder = ActivityRecorder(fixed, data.samples)
    for rows in _batches(fixed, data):
        batch = data[rows]
        x, clipped = fixed.input.encode(batch.x, batch.scale)
        recorder(batch, x, clipped, simulate(fixed, x, lengths=batch.lengths, spikes=True, engine=engine))
        progress(rows.stop, data.samples)
    return recorder.activity()


class ActivityRecorder:
    """Keeps what fired when in runs of ``fixed``, batch by batch, until it has ``samples`` or the first batch beyond
    that."""

    def __init__(self, fixed: FixedNetwork, samples: int) -> None:
        self.left = samples
        self.batches: list[EventBatch] = []
        self.overflows = {layer.name: 0 for layer in fixed.layers}
        self.overflows_u = dict(self.overflows)
        self.clipped = self.largest = self.negative = 0

    def __call__(self, batch: Dataset, x: Int, clipped: int, result: Result) -> None:
        """One more batch: its input integers, how many of its values were clipped, and a run that kept its spikes."""
        if self.left <= 0:
            return
        self.left -= batch.samples
        for name, counts in result.overflows.items():
            self.overflows[name] += int(counts.sum())
            self.overflows_u[name] += int(counts[OF_U].sum())
        self.clipped += clipped
        self.negative += int(np.count_nonzero((x < 0) & batch.valid()[:, :, None]))
        self.largest = max(self.largest, int(np.abs(x).max()))
        valid = batch.valid()
        active = {INPUT: x != 0, **result.spikes}
        self.batches.append(EventBatch({name: (a != 0) & valid[:, :, None] for name, a in active.items()}, valid))

    def activity(self) -> Activity:
        """Of all that was kept."""
        return Activity(
            tuple(self.batches), self.overflows, self.clipped, self.largest, self.overflows_u, self.negative
        )


def _batches(fixed: FixedNetwork, data: Dataset) -> Iterator[slice]:
    width = data.features + sum(layer.size for layer in fixed.layers)
    size = max(1, BATCH_VALUES // (width * data.time))
    for start in range(0, data.samples, size):
        yield slice(start, min(start + size, data.samples))
