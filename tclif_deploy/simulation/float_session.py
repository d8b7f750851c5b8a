"""The float network step by step: the specification of its arithmetic, in numpy, float64.

A neuron's current starts at 0.0, and its connections add to it in their order, each source after the other, ascending;
then follow the equations of `tclif_deploy.network` from left to right. Each operation rounds by itself (IEEE 754), so
that there is one right result, on every machine and for every number of samples. Only what a readout by ``softmax``
says is not: the last bits of an exponential depend on the CPU (`tclif_deploy.readout.softmax`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.network import INPUT, Connection, Float, Layer, Network
from tclif_deploy.readout import Readout
from tclif_deploy.simulation.float_result import FloatResult, float_readout, float_result, growth
from tclif_deploy.simulation.result import check_lengths

PRODUCTS = 1 << 18
"""of weights and values, held at a time"""


def add_current(current: Float, connection: Connection, x: Float) -> None:
    """Add to ``current`` (samples, neurons) what ``connection`` makes of ``x`` (samples, sources)."""
    weight, conv = connection.weight, connection.conv
    if conv is None:
        active = np.flatnonzero(x.any(axis=0))
        at_a_time = max(1, PRODUCTS // current.size)
        for some in (active[n : n + at_a_time] for n in range(0, active.size, at_a_time)):
            products = x.T[some, :, None] * weight.T[some, None, :]  # (sources, samples, neurons)
            # each of numpy's accumulated sums is the one before and one product more
            current[:] = np.add.accumulate(np.concatenate([current[None], products]))[-1]
        return
    seen = conv.patches(x, weight.shape)  # (samples, groups, sources of a position, positions)
    kernel = weight.reshape(conv.groups, -1, seen.shape[2])
    sums = current.reshape(len(x), conv.groups, kernel.shape[1], -1)
    for n in range(seen.shape[2]):
        sums += kernel[:, :, n, None] * seen[:, :, None, n]


def step(layer: Layer, u: Float, v: Float, i: Float) -> tuple[Float, Float, NDArray[np.bool_], Float, Float]:
    """One step of one layer: (u, v, spikes, u before reset, v before reset); states (samples, neurons)."""
    n = layer.neuron
    i_u, i_v = (i, 0.0) if n.input_to == "dendrite" else (0.0, i)
    u = n.a_u * u + n.b_u * v + i_u + n.bias_u
    v = n.a_v * v + n.b_v * u + i_v + n.bias_v
    if not n.spiking:
        return u, v, np.zeros(v.shape, np.bool_), u, v
    s = v > n.threshold if n.strict else v >= n.threshold
    if n.reset == "hard":
        return u - n.r_u * s, np.where(s, n.v_reset, v), s, u, v
    return u - n.r_u * s, v - (n.r_v + n.q * u) * s, s, u, v


def rules_of(network: Network, other: Readout | None) -> tuple[Readout, ...]:
    """The network's rule, and the ``other`` by which results tell classes too."""
    out = network.layers[-1]
    return (network.readout, *(() if other is None else (other.of(out.name, out.size, out.neuron.spiking),)))


class FloatSession:
    """`samples` samples of ``network``, and their state, which is as it was where a step raises `TclifError`."""

    def __init__(self, network: Network, samples: int, other: Readout | None = None) -> None:
        """``other`` is a rule by which results tell classes too."""
        self.network, self.samples = network, samples
        self.output = network.layers[-1]
        self.rules = rules_of(network, other)
        connections = [c for layer in network.layers for c in layer.connections]
        self._kept = dict.fromkeys((INPUT, *(layer.name for layer in network.layers)), 0)
        for c in connections:
            self._kept[c.source] = max(self._kept[c.source], c.delay)
        self.reset()

    def reset(self) -> None:
        """Before the first step."""
        layers = self.network.layers
        start = {layer.name: np.tile(layer.neuron.start, (self.samples, 1, 1)) for layer in layers}
        self.u, self.v = ({name: states[:, n] for name, states in start.items()} for n in range(2))
        self.running = tuple(float_readout(rule, self.output, self.samples) for rule in self.rules)
        self.past: dict[str, tuple[Float, ...]] = dict.fromkeys(self._kept, ())
        for layer in layers:
            if layer.neuron.s0.any():
                self.past[layer.name] = (np.tile(layer.neuron.s0, (self.samples, 1)),)[: self._kept[layer.name]]
        """source -> what it sent in the last steps that a delay asks for, the newest first"""
        self.steps = 0
        self.charged: dict[str, tuple[Float, Float]] = {}
        """layer -> u and v of the last step, before a reset"""

    def step(self, x: NDArray[Any]) -> tuple[dict[str, NDArray[np.bool_]], Float]:
        """Every layer's spikes and the readout after one step with ``x`` (samples, features)."""
        before = vars(self).copy()
        with np.errstate(over="ignore", invalid="ignore"):  # what it leads to is refused
            fired = self._step(x)
        for n, charged in self.charged.items():
            if not all(np.isfinite(state).all() for state in (*charged, self.u[n], self.v[n])):
                vars(self).update(before)
                raise growth(n)
        return fired, self.readout

    def _step(self, x: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
        """Every layer's spikes after one step; no array is written to, so that the attributes of before can come
        back."""
        now: dict[str, Float] = {INPUT: x.astype(np.float64)}
        u, v, fired, charged = {}, {}, {}, {}
        for layer in self.network.layers:
            n = layer.name
            i = np.zeros((self.samples, layer.size))
            for c in layer.connections:
                if c.delay <= len(self.past[c.source]):
                    add_current(i, c, now[c.source] if c.delay == 0 else self.past[c.source][c.delay - 1])
            u[n], v[n], s, *before = step(layer, self.u[n], self.v[n], i)
            charged[n] = (before[0], before[1])
            now[n] = s.astype(np.float64)
            if layer.neuron.spiking:
                fired[n] = s
        self.u, self.v, self.charged = u, v, charged
        self.past = {source: (sent, *self.past[source])[: self._kept[source]] for source, sent in now.items()}
        self.running = tuple(running.copy() for running in self.running)
        out, every = self.output.name, np.ones(self.samples, np.bool_)
        for running in self.running:
            running.add(self.steps, every, v[out], charged[out][1], fired.get(out))
        self.steps += 1
        return fired

    def run(
        self,
        x: NDArray[Any],
        *,
        lengths: NDArray[np.int64] | None,
        spikes: bool,
        counts: bool,
        traces: Collection[str] = (),
        readouts: bool = False,
        jobs: int | None = None,
    ) -> FloatResult:
        """Many steps, ``x`` (samples, time, features), at once; ``jobs`` is for the fixed-point network."""
        before = vars(self).copy()
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # what it leads to is refused
                return self._run(x, lengths, spikes, counts, traces, readouts)
        except BaseException:
            vars(self).update(before)
            raise

    def _run(
        self,
        x: NDArray[Any],
        lengths: NDArray[np.int64] | None,
        spikes: bool,
        counts: bool,
        traces: Collection[str],
        readouts: bool,
    ) -> FloatResult:
        samples, time, _ = x.shape
        layers = self.network.layers
        last = check_lengths(lengths, samples, time) - 1
        peaks = {name: np.stack([np.abs(each[name]).max(axis=0) for each in (self.u, self.v)]) for name in self.u}
        kept = {la.name: np.zeros((time, samples, la.size), np.bool_) for la in layers if la.neuron.spiking}
        traced = {n: np.zeros((2, samples, time, self.network.layer(n).size)) for n in traces}
        answers = [float_readout(rule, self.output, samples, time * readouts) for rule in self.rules]
        taken = self.steps
        for t in range(time):
            fired = self._step(x[:, t])
            for answer, running in zip(answers, self.running, strict=True):
                answer.take(t, t <= last, running)
            for n, largest in peaks.items():
                for row, (charged, after) in enumerate(zip(self.charged[n], (self.u[n], self.v[n]), strict=True)):
                    np.maximum(largest[row], np.abs(charged).max(axis=0), out=largest[row])
                    if charged is not after:
                        np.maximum(largest[row], np.abs(after).max(axis=0), out=largest[row])
                if n in traced:
                    traced[n][:, :, t] = self.u[n], self.v[n]
            for n, s in fired.items():
                kept[n][t] = s
        kept_spikes = {n: s.transpose(1, 0, 2) for n, s in kept.items()} if spikes else {}
        valid = np.arange(time)[:, None, None] <= last[:, None]
        fired_up_to = {n: (s & valid).sum(axis=0) for n, s in kept.items()} if counts else {}
        return float_result(
            self.rules, answers, taken, last, spikes=kept_spikes, peaks=peaks, traces=traced, counts=fired_up_to
        )

    @property
    def readout(self) -> Float:
        """After the last step, (samples, outputs): a mean is divided, as are votes."""
        return np.asarray(self.running[0].value / self.network.readout.divisor(max(self.steps, 1)))

    @property
    def value(self) -> Float:
        """The running value of the network's readout, (samples, outputs)."""
        return self.running[0].value

    @property
    def decided(self) -> NDArray[np.int64]:
        """The step at which a rule that waits for a threshold decided, or -1; (samples,)."""
        return self.running[0].decided

    @property
    def classes(self) -> NDArray[np.int64]:
        """What the readout says, (samples,)."""
        return self.running[0].classes(1.0)

    @property
    def overflows(self) -> dict[str, NDArray[np.int64]]:
        """None: a float64 has no width that a state could leave."""
        return {}

    def states(self) -> tuple[dict[str, Float], dict[str, Float]]:
        """Copies of u and of v by layer."""
        u, v = ({name: each.copy() for name, each in states.items()} for states in (self.u, self.v))
        return u, v

    def in_flight(self, source: str, steps: int) -> NDArray[Any]:
        """What ``source`` sent in the last ``steps`` steps, the oldest first; (samples, steps, size)."""
        size = self.network.input_size if source == INPUT else self.network.layer(source).size
        dtype: type[np.generic] = np.float64 if source == INPUT else np.bool_
        sent: NDArray[Any] = np.zeros((self.samples, steps, size), dtype)
        for n, each in enumerate(self.past[source]):
            sent[:, steps - 1 - n] = each
        return sent

    def restore(
        self, u: dict[str, Float], v: dict[str, Float], in_flight: dict[str, NDArray[Any]], value: Float,
        decided: NDArray[np.int64], steps: int,
    ) -> None:  # fmt: skip
        """Take what `states`, `in_flight`, `value`, `decided` and `steps` once were."""
        self.reset()
        self.u, self.v = ({name: each.copy() for name, each in states.items()} for states in (u, v))
        for source, sent in in_flight.items():
            before = len(self.past[source])  # what was sent before the first step is no step
            newest_first = sent[:, ::-1].transpose(1, 0, 2)[: steps + before]
            self.past[source] = tuple(each.astype(np.float64, order="C") for each in newest_first)
        self.running[0].value[:], self.running[0].decided[:] = value, decided
        self.steps = steps
