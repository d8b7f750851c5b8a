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
    too. Raises `TclifError` where the shape of ``x`` is not the
    network's, a traced layer is none of it, or the states grow without end.

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
    samples, time, _ = x.shape
    last = check_lengths(lengths, samples, time) - 1
    layers = network.layers
    past: dict[str, Any] = {INPUT: x.transpose(1, 0, 2)}
    u = {layer.name: np.zeros((samples, layer.size)) for layer in layers}
    v = {layer.name: np.tile(layer.neuron.v0, (samples, 1)) for layer in layers}
    peaks = {layer.name: np.stack([np.zeros(layer.size), np.abs(layer.neuron.v0)]) for layer in layers}
    kept = {la.name: np.zeros((time, samples, la.size), np.bool_) for la in layers if la.neuron.spiking}
    past |= kept
    traced = {n: np.zeros((2, samples, time, network.layer(n).size)) for n in traces}
    out = layers[-1]
    rules = [network.readout] + ([] if other is None else [other.of(out.name, out.size, out.neuron.spiking)])
    running = [float_readout(rule, out, samples, time * readouts) for rule in rules]
    with np.errstate(over="ignore", invalid="ignore"):  # what it leads to is refused below
        for t in range(time):
            for layer in layers:
                n = layer.name
                i: Any = 0.0
                for c in layer.connections:
                    if t >= c.delay:
                        i = i + c.apply(past[c.source][t - c.delay].astype(np.float64))
                if isinstance(i, float):
                    i = np.zeros((samples, layer.size))
                u[n], v[n], s, charged_u, charged_v = step(layer, u[n], v[n], i)
                for row, before, after in ((0, charged_u, u[n]), (1, charged_v, v[n])):
                    np.maximum(peaks[n][row], np.abs(before).max(axis=0), out=peaks[n][row])
                    if before is not after:
                        np.maximum(peaks[n][row], np.abs(after).max(axis=0), out=peaks[n][row])
                if n in kept:
                    kept[n][t] = s
                if n in traced:
                    traced[n][:, :, t] = u[n], v[n]
            for each in running:
                each.add(t, t <= last, v[out.name], charged_v, s)
    for n, largest in peaks.items():
        if not np.isfinite(largest).all():
            raise TclifError(
                f"layer {n}: the float network's states grow beyond what a float64 holds",
                "is it trained, on such data?",
            )
    kept_spikes = {n: s.transpose(1, 0, 2) for n, s in kept.items()} if spikes else {}
    valid = np.arange(time)[:, None, None] <= last[:, None]
    fired = {n: (s & valid).sum(axis=0) for n, s in kept.items()} if counts else {}
    readout = running[0]
    divided = readout.value / network.readout.divisor(last + 1)[:, None]
    after = np.minimum(np.arange(time), last[:, None]) + 1
    return FloatResult(
        kept_spikes, divided, readout.classes(1.0), peaks, traced, fired,
        readout.steps / network.readout.divisor(after)[:, :, None] if readouts else None,
        readout.decided if network.readout.decides else None,
        readout.step_classes(1.0) if readouts else None,
        None if other is None else running[1].classes(1.0),
        running[1].step_classes(1.0) if readouts and other is not None else None,
    )  # fmt: skip


def float_readout(readout: Readout, out: Layer, samples: int, time: int = 0) -> RunningReadout:
    """The running value of a rule over the last layer ``out`` of a float network; kept for ``time`` steps."""
    n = out.neuron
    threshold = n.threshold if n.spiking or readout.threshold is None else np.full(out.size, readout.threshold)
    return RunningReadout(
        readout, threshold, samples=samples, dtype=np.float64, spiking=n.spiking, strict=n.strict and n.spiking,
        time=time,
    )  # fmt: skip


def float_classes(network: Network, data: Dataset, batch: int = 32) -> NDArray[np.int64]:
    """The class that ``network`` names for each sample of ``data``, (samples,), run ``batch`` samples at a time."""
    results = (simulate_float(network, d.values(), lengths=d.lengths, spikes=False) for d in data.batches(batch))
    return np.concatenate([result.classes for result in results])


def batches(samples: int, size: int) -> Iterator[slice]:
    """Slices that cover ``samples``, each of at most ``size``."""
    for start in range(0, samples, size):
        yield slice(start, min(start + size, samples))
