"""The words of the circuit's two streams: samples in, spikes, states, counts and classes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.backends.rtl.description import Description
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import Int
from tclif_deploy.simulation.result import Result

Words = NDArray[np.uint32]
EVENT, STEP_ENDS, SAMPLE_ENDS = range(3)
"""kinds of words that go in"""
SPIKE, LAYER_CLOCKS, TICK_CLOCKS, STATE_U, STATE_V, OVERFLOW, VALUE, CLASS = range(8)
"""kinds of words that come out"""
LAST = 255
"""of the bench: the clocks of a run"""
BETWEEN = 2
"""clocks from the end of a tick to the beginning of the next"""
OBSERVE = 3
"""spikes and clocks, states and counts"""


@dataclass(frozen=True, eq=False)
class Measured:
    """Clocks of a simulated run."""

    ticks: NDArray[np.int64]
    """of each tick, a step of all layers side by side, up to the next; filling and emptying the pipeline too"""
    layers: dict[str, NDArray[np.int64]]
    """of each layer's steps"""
    clocks: int
    """of everything, with the words that were sent out"""


def encode(x: Int, lengths: Int, stalls: int, observe: int = OBSERVE) -> bytes:
    """What the bench reads: values that are not 0 are events, in the order of features."""
    samples, _, _ = x.shape
    parts = [np.array([samples, observe, stalls], np.uint32)]
    for sample, length in zip(x, lengths, strict=True):
        steps, features = np.nonzero(sample)
        time = len(sample)
        # An event of step t comes before the marker of step t: markers are sorted in behind.
        order = np.argsort(np.concatenate([steps, np.arange(time)]), kind="stable")
        kinds = np.full(time, STEP_ENDS)
        kinds[-1] = SAMPLE_ENDS
        heads = np.concatenate([EVENT | features << 16, kinds])[order]
        values = np.concatenate([sample[steps, features], np.zeros(time, np.int64)])[order]
        words = np.stack([heads, values & 0xFFFFFFFF], axis=1).astype(np.uint32)
        parts += [np.array([length, len(words)], np.uint32), words.reshape(-1)]
    return np.concatenate(parts).tobytes()


def fields(words: Words) -> tuple[NDArray[np.int64], ...]:
    """(kinds, layers, indices, data as signed numbers) of words that came out."""
    head, data = words[:, 0].astype(np.int64), words[:, 1].view(np.int32).astype(np.int64)
    return head & 0xFF, head >> 8 & 0xFF, head >> 16, data


def result(description: Description, runs: list[Words], samples: int, time: int, where: str) -> Result:
    """The outcome that the words of all runs say. Raises `TclifError` where they do not say it all."""
    layers = description.layers
    firing = {la.name: np.zeros((samples, time, la.size), np.bool_) for la in layers if la.spiking}
    states = [{la.name: np.zeros((samples, la.size), np.int64) for la in layers} for _ in range(2)]
    overflows = {la.name: np.zeros(4, np.int64) for la in layers}
    readout = np.zeros((samples, layers[-1].size), np.int64)
    classes = np.zeros(samples, np.int64)
    wrong = TclifError(f"{where}: its stream is not that of the network in it", "compile with --backend rtl")
    seen = 0
    for words in runs:
        ends = np.flatnonzero((words[:, 0] & 0xFF) == CLASS) + 1
        for one in np.split(words, ends)[:-1]:
            kinds, numbers, indices, data = fields(one)
            ticks = np.cumsum(kinds == TICK_CLOCKS)  # words of a tick come before its marker
            if seen >= samples or ticks[-1] < description.period * (time - 1) + len(layers):
                raise wrong
            for n, la in enumerate(layers):
                own = numbers == n
                if la.spiking:
                    spikes = own & (kinds == SPIKE)
                    steps = (ticks[spikes] - n) // description.period
                    firing[la.name][seen, steps, indices[spikes]] = True
                for kind, state in zip((STATE_U, STATE_V), states, strict=True):
                    state[la.name][seen, indices[own & (kinds == kind)]] = data[own & (kinds == kind)]
                counted = own & (kinds == OVERFLOW)
                overflows[la.name][indices[counted]] += data[counted]
            readout[seen, indices[kinds == VALUE]] = data[kinds == VALUE]
            classes[seen] = data[-1]
            seen += 1
    if seen != samples:
        raise wrong
    return Result(firing, states[0], states[1], readout, classes, overflows)


def measure(description: Description, runs: list[Words]) -> Measured:
    """The clocks that the words of all runs say."""
    kinds, numbers, _, data = fields(np.concatenate(runs))
    clocks = sum(int(words[-1, 1]) + (int(words[-1, 0] >> 16) << 32) for words in runs)
    layers = {la.name: data[(kinds == LAYER_CLOCKS) & (numbers == n)] for n, la in enumerate(description.layers)}
    return Measured(data[kinds == TICK_CLOCKS] + BETWEEN, layers, clocks)
