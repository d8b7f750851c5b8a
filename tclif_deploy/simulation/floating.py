"""The float model: the canonical neuron in float64, the truth that fixed point is measured against."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.arguments import checked, to_numbers
from tclif_deploy.data.dataset import Dataset
from tclif_deploy.display import Brief, Shown
from tclif_deploy.errors import TclifError
from tclif_deploy.network import INPUT, Float, Layer, Network
from tclif_deploy.readout import Readout, RunningReadout
from tclif_deploy.simulation.result import check_lengths, result_brief


@dataclass(frozen=True, eq=False, repr=False)
class FloatResult(Shown):
    """Outcome of a float run over (samples, time); states in the float network's units, float64.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> result = tc.simulate(digits, test[:4], counts=True)
    >>> result
    FloatResult: 4 samples, 10 outputs; spikes of -, counts of features.1, features.3, traces of -
    >>> result.classes.tolist(), {name: int(spikes.sum()) for name, spikes in result.counts.items()}
    ([5, 3, 0, 4], {'features.1': 1752, 'features.3': 1278})
    """

    spikes: dict[str, NDArray[np.bool_]]
    """spiking layer -> (samples, time, neurons)"""
    readout: Float
    """what the network's `Readout` says at each sample's last valid step: a mean is divided, as are votes; float64
    (samples, outputs)"""
    classes: NDArray[np.int64]
    """argmax of readout, ties to the lowest index, (samples,)"""
    peaks: dict[str, Float]
    """layer -> (2, neurons): largest |u| and |v| met before or after a reset"""
    traces: dict[str, Float] = field(default_factory=dict)
    """traced layer -> (2, samples, time, neurons): u and v after each step"""
    counts: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    """spiking layer -> spikes of each neuron up to the sample's last valid step, (samples, neurons); empty where
    counts were not asked for"""
    readouts: Float | None = None
    """the readout after each step, (samples, time, outputs); None where not asked for"""
    decided: NDArray[np.int64] | None = None
    """the step at which a rule that waits for a threshold decided, -1: none reached it, (samples,); None: another
    rule"""
    step_classes: NDArray[np.int64] | None = None
    """the class that ``readouts`` say after each step, (samples, time); None where they were not asked for"""
    other_classes: NDArray[np.int64] | None = None
    """the classes by another rule, where `simulate_float` was given one"""
    other_readout: Float | None = None
    """what that other rule says, as ``readout``"""
    other_step_classes: NDArray[np.int64] | None = None
    """likewise after each step, where ``readouts`` were asked for"""

    def _brief(self) -> Brief:
        return result_brief(self)


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
        return u, np.where(s, n.v_reset, v), s, u, v
    return u - n.r_u * s, v - (n.r_v + n.q * u) * s, s, u, v


@checked
def simulate_float(
    network: Network,
    x: NDArray[Any],
    *,
    lengths: NDArray[np.int64] | None = None,
    spikes: bool = True,
    counts: bool = False,
    traces: Collection[str] = (),
    readouts: bool = False,
    other: Readout | None = None,
) -> FloatResult:
    """Run ``x`` (samples, time, features), in the float network's own units, through ``network``.

    Any numeric dtype, computed in float64. ``lengths``, ``counts``, ``traces`` and ``readouts`` are those of
    `tclif_deploy.simulate`; ``spikes`` are kept unless told otherwise. ``other`` is a rule by which classes are told
    too. Raises `TclifError` where the shape of ``x`` is not the network's, a traced layer is none of it, or the states
    grow without end.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> from tclif_deploy.simulation.floating import simulate_float
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> simulate_float(digits, test[:4].values(), lengths=test[:4].lengths).classes.tolist(), test[:4].y.tolist()
    ([5, 3, 0, 4], [5, 3, 0, 4])
    """
    x = to_numbers(x, "input")
    if x.ndim != 3 or 0 in x.shape:
        raise TclifError(f"input has shape {x.shape}", "expected (samples, time, features), none of them 0")
    if x.shape[2] != network.input_size:
        raise TclifError(f"input has {x.shape[2]} features a step, the network takes {network.input_size}")
    if not np.isfinite(x).all():
        raise TclifError(f"input holds {x[~np.isfinite(x)][0]}", "inputs must be finite")
    session = FloatSession(network, x.shape[0], other)
    return session.run(x, lengths=lengths, spikes=spikes, counts=counts, traces=traces, readouts=readouts)


class FloatSession:
    """`samples` samples of ``network``, and their state, which is as it was where a step raises `TclifError`."""

    def __init__(self, network: Network, samples: int, other: Readout | None = None) -> None:
        """``other`` is a rule by which results tell classes too."""
        self.network, self.samples = network, samples
        self.output = out = network.layers[-1]
        self.rules: tuple[Readout, ...] = (network.readout,)
        if other is not None:
            self.rules += (other.of(out.name, out.size, out.neuron.spiking),)
        connections = [c for layer in network.layers for c in layer.connections]
        self._kept = dict.fromkeys((INPUT, *(layer.name for layer in network.layers)), 0)
        for c in connections:
            self._kept[c.source] = max(self._kept[c.source], c.delay)
        self.reset()

    def reset(self) -> None:
        """Before the first step."""
        layers = self.network.layers
        self.u = {layer.name: np.zeros((self.samples, layer.size)) for layer in layers}
        self.v = {layer.name: np.tile(layer.neuron.v0, (self.samples, 1)) for layer in layers}
        self.running = tuple(float_readout(rule, self.output, self.samples) for rule in self.rules)
        self.past: dict[str, tuple[Float, ...]] = dict.fromkeys(self._kept, ())
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
                raise _growth(n)
        return fired, self.readout

    def _step(self, x: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
        """Every layer's spikes after one step; no array is written to, so that the attributes of before can come
        back."""
        now: dict[str, Float] = {INPUT: x.astype(np.float64)}
        u, v, fired, charged = {}, {}, {}, {}
        for layer in self.network.layers:
            n = layer.name
            i: Any = 0.0
            for c in layer.connections:
                if c.delay <= len(self.past[c.source]):
                    i = i + c.apply(now[c.source] if c.delay == 0 else self.past[c.source][c.delay - 1])
            if isinstance(i, float):
                i = np.zeros((self.samples, layer.size))
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
        for n, largest in peaks.items():
            if not np.isfinite(largest).all():
                raise _growth(n)
        kept_spikes = {n: s.transpose(1, 0, 2) for n, s in kept.items()} if spikes else {}
        valid = np.arange(time)[:, None, None] <= last[:, None]
        fired_up_to = {n: (s & valid).sum(axis=0) for n, s in kept.items()} if counts else {}
        own, other, divisor = answers[0], answers[1:], self.network.readout.divisor
        by_step = np.minimum(np.arange(time), last[:, None])
        return FloatResult(
            kept_spikes, own.value / divisor(taken + last + 1)[:, None], own.classes(1.0), peaks, traced, fired_up_to,
            own.steps / divisor(taken + by_step + 1)[:, :, None] if readouts else None,
            own.decided if self.network.readout.decides else None,
            own.step_classes(1.0) if readouts else None,
            other[0].classes(1.0) if other else None,
            other[0].value / self.rules[1].divisor(taken + last + 1)[:, None] if other else None,
            other[0].step_classes(1.0) if readouts and other else None,
        )  # fmt: skip

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
            newest_first = sent[:, ::-1].transpose(1, 0, 2)[:steps]
            self.past[source] = tuple(each.astype(np.float64, order="C") for each in newest_first)
        self.running[0].value[:], self.running[0].decided[:] = value, decided
        self.steps = steps


def _growth(layer: str) -> TclifError:
    problem = f"layer {layer}: the float network's states grow beyond what a float64 holds"
    return TclifError(problem, "is it trained, on such data?")


def float_readout(readout: Readout, out: Layer, samples: int, time: int = 0) -> RunningReadout:
    """The running value of a rule over the last layer ``out`` of a float network; kept for ``time`` steps."""
    n = out.neuron
    threshold = n.threshold if n.spiking or readout.threshold is None else np.full(out.size, readout.threshold)
    return RunningReadout(
        readout, threshold, samples=samples, dtype=np.float64, spiking=n.spiking, strict=n.strict and n.spiking,
        time=time,
    )  # fmt: skip


def float_classes(network: Network, data: Dataset, batch: int = 32) -> NDArray[np.int64]:
    """The class that ``network`` names for each sample of ``data`` by the rule that integers have, (samples,).

    It is run ``batch`` samples at a time.
    """
    network = network.with_readout(network.readout.in_integers())
    results = (simulate_float(network, d.values(), lengths=d.lengths, spikes=False) for d in data.batches(batch))
    return np.concatenate([result.classes for result in results])


def batches(samples: int, size: int) -> Iterator[slice]:
    """Slices that cover ``samples``, each of at most ``size``."""
    for start in range(0, samples, size):
        yield slice(start, min(start + size, samples))
