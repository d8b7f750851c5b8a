"""What a build keeps for its report beyond figures: spikes, states around a divergence, distributions, decisions.

``record.npz`` is small (bit-packed spikes of a few samples, histograms instead of values) and enough to draw the
report again without the model, the data or another simulation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy import json_form
from tclif_deploy.data import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.files import open_npz
from tclif_deploy.fixed import AGAIN, FixedLayer, FixedNetwork, Format, Int
from tclif_deploy.network import Float, Layer, Network
from tclif_deploy.outputs import write_npz
from tclif_deploy.simulation import simulate
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.verification.verdict import Divergence, Verdict

FORMAT, FORMAT_VERSION = "tclif-record", 1
KEPT_SAMPLES = 4
"""samples whose spikes are stored"""
MAX_NEURON_STEPS = 1 << 23
"""neuron steps simulated again for the record (32 bytes each, so 256 MB); longer samples are cut"""
BEFORE, AFTER = 60, 40
"""steps of a divergence's window"""
BINS = 120
REACH = 1.2
"""histograms cover +-REACH of the representable range; what lies beyond counts in the outermost bins"""
MOST_BINS = 4 * BINS
"""of weights, whatever their width"""


@dataclass(frozen=True, eq=False)
class Window:
    """One neuron's states around the step where float and fixed spikes of its layer first differ.

    Examples
    --------
    >>> import tempfile
    >>> import tclif_deploy as tc
    >>> test, quick = tc.load_data("fixtures/spoken_digits/test.npz")[:8], tc.QuantizeSettings(passes=())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     build = tc.compile("fixtures/spoken_digits/checkpoint.pth.tar", data=test, output=f"{folder}/build",
    ...                        options=tc.CompileOptions(quantize=quick, backend="none"))
    ...     window = build.record.layer("features.1").window
    >>> window.at, window.v.shape, window.spikes[:, window.at.step - window.start].tolist()
    (Divergence(sample=4, step=2, neuron=95), (2, 42), [True, False])
    """

    at: Divergence
    start: int
    """first step of the window"""
    u: Float
    """dendrite after each step, in the float network's units: (2, steps), float then fixed"""
    v: Float
    """soma before a soft reset (after a hard one), likewise"""
    spikes: NDArray[np.bool_]
    """(2, steps)"""
    threshold: float
    """in the float network's units"""
    lsb: float
    """what one unit of the fixed soma means to the float network"""


@dataclass(frozen=True, eq=False)
class LayerRecord:
    """One layer, float beside fixed.

    Examples
    --------
    >>> import tempfile
    >>> import tclif_deploy as tc
    >>> test, quick = tc.load_data("fixtures/spoken_digits/test.npz")[:8], tc.QuantizeSettings(passes=())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     build = tc.compile("fixtures/spoken_digits/checkpoint.pth.tar", data=test, output=f"{folder}/build",
    ...                        options=tc.CompileOptions(quantize=quick, backend="none"))
    ...     layer = build.record.layer("features.1")
    >>> layer.spikes.shape, int(layer.weights.sum()), layer.couplings.shape
    ((2, 4, 92, 128), 18048, (2, 128))
    """

    name: str
    spikes: NDArray[np.bool_]
    """(2, kept samples, steps, neurons), float then fixed; no samples for a readout"""
    weights: Int
    """float weights counted in their integer's unit: histogram over `weight_edges`"""
    states: Int
    """u and v after each step: histograms (2 float and fixed, 2 u and v, BINS) over +-REACH of the state's range"""
    couplings: Float
    """the float network's b_u and b_v, (2, neurons)"""
    window: Window | None
    """None where the spikes never differ, or differ later than what was kept"""


@dataclass(frozen=True, eq=False)
class Record:
    """What the report draws from: `Build.record`, kept in ``record.npz``. Integers are int64.

    Examples
    --------
    >>> import tempfile
    >>> import tclif_deploy as tc
    >>> test, quick = tc.load_data("fixtures/spoken_digits/test.npz")[:8], tc.QuantizeSettings(passes=())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     build = tc.compile("fixtures/spoken_digits/checkpoint.pth.tar", data=test, output=f"{folder}/build",
    ...                        options=tc.CompileOptions(quantize=quick, backend="none"))
    ...     record = build.record
    >>> record.samples.tolist(), record.classes.tolist()
    ([0, 1, 2, 4], [[5, 3, 0, 7], [5, 3, 0, 7]])
    """

    samples: Int
    """numbers of the kept samples in the verified data, (kept,)"""
    lengths: Int
    """valid steps of each, (kept,)"""
    labels: Int
    """of the kept samples, -1 where there is none, as where steps have labels of their own"""
    classes: Int
    """(2, kept): float and fixed decisions"""
    confusion: Int
    """(classes, classes) over all verified samples: row the class of float, column that of fixed; (0, 0) where the
    network says numbers"""
    layers: tuple[LayerRecord, ...]

    def layer(self, name: str) -> LayerRecord:
        """The layer of that name."""
        return next(layer for layer in self.layers if layer.name == name)

    def save(self, path: Path) -> None:
        """Write an ``.npz`` without pickles; the same record gives the same bytes. Raises `TclifError`."""
        header: dict[str, Any] = {"format": FORMAT, "version": FORMAT_VERSION, "layers": []}
        arrays: dict[str, NDArray[Any]] = {
            name: getattr(self, name) for name in ("samples", "lengths", "labels", "classes", "confusion")
        }
        for n, layer in enumerate(self.layers):
            item: dict[str, Any] = {"name": layer.name, "shape": list(layer.spikes.shape), "window": None}
            arrays[f"{n}.spikes"] = np.packbits(layer.spikes)
            for name in ("weights", "states", "couplings"):
                arrays[f"{n}.{name}"] = getattr(layer, name)
            if layer.window is not None:
                w = layer.window
                item["window"] = {"at": vars(w.at), "start": w.start, "threshold": w.threshold, "lsb": w.lsb}
                arrays[f"{n}.window"] = np.concatenate([w.u, w.v, w.spikes])
            header["layers"].append(item)
        arrays["header"] = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
        write_npz(path, arrays)

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read what `save` wrote. Raises `TclifError`."""
        with open_npz(path, "not a record of a build", AGAIN) as file:
            text = file.text("header")
            given = json_form.parse(Format, text, "header", AGAIN)
            if (given.format, given.version) != (FORMAT, FORMAT_VERSION):
                raise TclifError(f"{path}: format {given.format:.40} {given.version}", "compile again")
            header = json_form.parse(_Header, text, "header", AGAIN)
            layers = []
            for n, item in enumerate(header.layers):
                bits = file.array(f"{n}.spikes", "u")
                if bits.ndim != 1 or min(item.shape) < 0 or bits.size != (math.prod(item.shape) + 7) // 8:
                    raise TclifError(f"{n}.spikes has shape {bits.shape}, which is not that of {item.shape} spikes")
                spikes = np.unpackbits(bits, count=math.prod(item.shape)).astype(bool).reshape(item.shape)
                window = None
                if (w := item.window) is not None:
                    rows = file.array(f"{n}.window", "f")
                    if rows.ndim != 2 or len(rows) != 6:
                        raise TclifError(f"{n}.window has shape {rows.shape}, expected (6, steps)")
                    window = Window(w.at, w.start, rows[:2], rows[2:4], rows[4:].astype(bool), w.threshold, w.lsb)
                bins = math.prod(file.shape(f"{n}.weights"))
                if bins > MOST_BINS:
                    raise TclifError(f"{n}.weights has {bins:,} bins, expected at most {MOST_BINS}")
                weights = file.array(f"{n}.weights", "iu", ndim=1).astype(np.int64)
                states = file.array(f"{n}.states", "iu", (2, 2, BINS)).astype(np.int64)
                couplings = file.array(f"{n}.couplings", "f", ndim=2)
                layers.append(LayerRecord(item.name, spikes, weights, states, couplings, window))
            (kept, *_), (classes, *_) = ((*file.shape(name), 0) for name in ("samples", "confusion"))
            shapes = {"samples": (kept,), "lengths": (kept,), "labels": (kept,), "classes": (2, kept),
                      "confusion": (classes, classes)}  # fmt: skip
            for name, shape in shapes.items():  # before any of them is made eight times as large
                _check_shape(name, file.shape(name), shape)
            arrays = {name: file.array(name, "iu", shape).astype(np.int64) for name, shape in shapes.items()}
            return cls(**arrays, layers=tuple(layers))

    def check(self, fixed: FixedNetwork, widths: Sequence[int]) -> None:
        """Raise `TclifError` unless this is of a network like ``fixed`` with weights of ``widths`` bits."""
        kept, classes = self.samples.size, len(self.confusion)
        if [layer.name for layer in self.layers] != [layer.name for layer in fixed.layers]:
            raise TclifError("its layers are not those of this network")
        outputs = fixed.readout.outputs(fixed.output.size)
        if classes not in (0, outputs) or (self.confusion < 0).any():
            raise TclifError(f"confusion is of {classes} classes, the network has {outputs}")
        for layer, real, bits in zip(self.layers, fixed.layers, widths, strict=True):
            where, (_, samples, steps, _) = f"layer {layer.name}", layer.spikes.shape
            _check_shape(f"{where}: spikes", layer.spikes.shape, (2, kept if samples else 0, steps, real.size))
            _check_shape(f"{where}: weights", layer.weights.shape, (len(weight_edges(bits)) - 1,))
            _check_shape(f"{where}: couplings", layer.couplings.shape, (2, real.size))
            if min(layer.weights.min(), layer.states.min()) < 0 or len(set(layer.states.sum(axis=2).flat)) != 1:
                raise TclifError(f"{where}: its histograms do not count alike")
            if samples and (self.lengths.min() < 1 or self.lengths.max() > steps):
                raise TclifError(f"{where}: lengths beyond its {steps} steps")
            w = layer.window
            if w is not None and not (0 <= w.start <= w.at.step < w.start + w.u.shape[1] and w.lsb > 0):
                raise TclifError(f"{where}: its window does not hold the step {w.at.step}")


@dataclass(frozen=True)
class _WindowHeader:
    at: Divergence
    start: int
    threshold: float
    lsb: float


@dataclass(frozen=True)
class _LayerHeader:
    name: str
    shape: tuple[int, int, int, int]
    window: _WindowHeader | None


@dataclass(frozen=True)
class _Header(Format):
    """The header of ``record.npz``: everything but the arrays."""

    __pydantic_config__ = json_form.EXACT

    layers: tuple[_LayerHeader, ...]


def _check_shape(name: str, found: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if found != shape:
        raise TclifError(f"{name} has shape {found}, expected {shape}")


def make_record(
    network: Network, fixed: FixedNetwork, widths: Sequence[int], data: Dataset | None, verdict: Verdict | None
) -> Record:
    """Choose a few samples of the verified ``data``, run both networks on them again, and keep what a report shows.

    Kept first are samples with a layer's first divergence and one whose decision changed. Without data only what
    the networks themselves hold is kept. ``widths`` are the bits of each layer's weights.
    """
    if data is None or verdict is None or verdict.decisions is None:
        none = np.zeros(0, np.int64)
        bare = tuple(
            LayerRecord(
                b.name, np.zeros((2, 0, 0, b.size), bool), _weights(a, b, fixed, bits),
                np.zeros((2, 2, BINS), np.int64), np.stack([a.neuron.b_u, a.neuron.b_v]), None,
            )
            for a, b, bits in zip(network.layers, fixed.layers, widths, strict=True)
        )  # fmt: skip
        return Record(none, none, none, np.zeros((2, 0), np.int64), np.zeros((0, 0), np.int64), bare)

    steps = max(1, min(data.time, MAX_NEURON_STEPS // sum(layer.size for layer in fixed.layers)))
    stored, simulated = _choose(
        verdict, steps, most=max(1, MAX_NEURON_STEPS // steps // sum(x.size for x in fixed.layers))
    )
    names = tuple(layer.name for layer in fixed.layers)
    x, _ = fixed.input.encode(data.x[simulated, :steps], data.scale)
    original = data.x[simulated, :steps].astype(np.float64) * data.scale
    a = simulate_float(network, original, traces=names)
    b = simulate(fixed, x, spikes=True, traces=names)
    valid = data[simulated].valid()[:, :steps]
    rows = [simulated.index(sample) for sample in stored]
    first = {layer.name: layer.first_divergence for layer in verdict.layers}
    layers = []
    for float_layer, layer, bits in zip(network.layers, fixed.layers, widths, strict=True):
        n = layer.name
        spikes = np.zeros((2, 0, steps, layer.size), bool)
        if layer.spiking:
            spikes = np.stack([a.spikes[n][rows], b.spikes[n][rows] != 0]) & valid[rows][None, :, :, None]
        at = first.get(n)
        window = None
        if at is not None and at.sample in simulated and at.step < steps:
            row, stop = simulated.index(at.sample), min(steps, at.step + AFTER)
            span = slice(max(0, at.step - BEFORE), stop)
            window = _window(
                at, span, float_layer, layer,
                (a.traces[n][:, row, :, at.neuron], b.traces[n][:, row, :, at.neuron]),
                np.stack([s[n][row, :, at.neuron] != 0 for s in (a.spikes, b.spikes)]),
            )  # fmt: skip
        layers.append(
            LayerRecord(
                n, spikes, _weights(float_layer, layer, fixed, bits),
                _states(layer, fixed, a.traces[n], b.traces[n], valid),
                np.stack([float_layer.neuron.b_u, float_layer.neuron.b_v]), window,
            )
        )  # fmt: skip
    size = fixed.readout.outputs(fixed.output.size) if verdict.task.endswith("label") else 0
    confusion = np.zeros(0, np.int64)
    if size:
        confusion = np.bincount(verdict.decisions[0] * size + verdict.decisions[1], minlength=size * size)
    labels = np.full(len(stored), -1, np.int64)
    if data.y is not None and data.task == "label":
        labels = data.y[stored]
    return Record(
        np.array(stored, np.int64), valid[rows].sum(axis=1), labels, verdict.decisions[:, stored],
        confusion.reshape(size, size).astype(np.int64), tuple(layers),
    )  # fmt: skip


def _choose(verdict: Verdict, steps: int, most: int) -> tuple[list[int], list[int]]:
    """(samples whose spikes are kept, samples to simulate again), each ascending and at most ``most``."""
    assert verdict.decisions is not None
    diverging = [
        x.first_divergence.sample for x in verdict.layers if x.first_divergence and x.first_divergence.step < steps
    ]
    changed = np.flatnonzero(verdict.decisions[0] != verdict.decisions[1])[:1].tolist()
    wanted = list(dict.fromkeys([*diverging[:2], *changed, *range(verdict.samples)]))
    stored = sorted(wanted[: min(KEPT_SAMPLES, most)])
    simulated = list(dict.fromkeys([*stored, *diverging]))[: max(most, len(stored))]
    return stored, sorted(simulated)


def _window(
    at: Divergence,
    span: slice,
    float_layer: Layer,
    layer: FixedLayer,
    traces: tuple[Float, Int],
    spikes: NDArray[np.bool_],
) -> Window:
    """``traces`` (2, time) of u and v after each step, float and fixed; ``spikes`` (2, time)."""
    n, neuron = at.neuron, float_layer.neuron
    lsb_u, lsb_v = float(layer.lsb_u[n]), float(layer.lsb_v[n])
    u = np.stack([traces[0][0], traces[1][0] * lsb_u])[:, span]
    v = np.stack([traces[0][1], traces[1][1] * lsb_v])[:, span]
    fired = spikes[:, span]
    if neuron.reset == "soft":  # give back what the reset took, so that the crossing can be seen
        v = v + fired * (neuron.r_v[n] + neuron.q[n] * (u + fired * neuron.r_u[n]))
    return Window(at, span.start, u, v, fired, float(neuron.threshold[n]), lsb_v)


def _histogram(values: Float) -> Int:
    """Counts (BINS,) of ``values``, which are fractions of the representable range."""
    bins = np.clip((values + REACH) * (BINS / (2 * REACH)), 0, BINS - 1).astype(np.int64)
    return np.bincount(bins, minlength=BINS).astype(np.int64)


def weight_edges(bits: int) -> Float:
    """Edges of bins that hold equally many integers each, 0 in the middle of one, over +-REACH of ``bits`` bits.

    Examples
    --------
    >>> weight_edges(2).tolist()
    [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]
    """
    limit = 2 ** (bits - 1) - 1
    width = max(1, 2 * limit // BINS) | 1
    reach = int(np.ceil(REACH * limit / width))
    return np.asarray(np.arange(-reach, reach + 2) * float(width) - width / 2)


def weight_histogram(weights: NDArray[Any], bits: int) -> Int:
    """Counts of ``weights``, in units of the integers, over `weight_edges`; what lies beyond is in the outer bins."""
    edges = weight_edges(bits)
    bins = np.floor((weights.ravel() - edges[0]) / (edges[1] - edges[0])).clip(0, len(edges) - 2).astype(np.int64)
    return np.bincount(bins, minlength=len(edges) - 1).astype(np.int64)


def _weights(float_layer: Layer, layer: FixedLayer, fixed: FixedNetwork, bits: int) -> Int:
    total = np.zeros(len(weight_edges(bits)) - 1, np.int64)
    for a, b in zip(float_layer.connections, layer.connections, strict=True):
        total += weight_histogram(a.weight / fixed.weight_step(layer, b), bits)
    return total


def _states(layer: FixedLayer, fixed: FixedNetwork, a: Float, b: Int, valid: NDArray[np.bool_]) -> Int:
    """``a`` and ``b`` are traces (2, samples, time, neurons); ``valid`` (samples, time)."""
    bits = (fixed.arithmetic.bits_u, fixed.arithmetic.bits_v)
    rows = []
    for trace, units in ((a, (layer.lsb_u, layer.lsb_v)), (b, (1.0, 1.0))):
        rows.append([_histogram((trace[n][valid] / units[n]).ravel() / (2 ** (bits[n] - 1) - 1)) for n in (0, 1)])
    return np.array(rows, np.int64)
