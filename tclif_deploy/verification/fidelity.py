"""Float against fixed on data, in bounded memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.arguments import checked
from tclif_deploy.data import DataLike, as_dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork, check_fixed, check_same_layers
from tclif_deploy.network import Network, check_network
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.simulation import Engine, simulate
from tclif_deploy.simulation.floating import batches, simulate_float
from tclif_deploy.simulation.result import Result
from tclif_deploy.verification.verdict import BackendCheck, Divergence, LayerFidelity, Verdict

BATCH = 32
"""samples compared at a time: both networks' spikes are in memory together"""


class _LayerTally:
    """Counts of one layer, added up batch by batch."""

    def __init__(self, name: str) -> None:
        self.name, self.both, self.either, self.float_, self.fixed, self.slots = name, 0, 0, 0, 0, 0
        self.first: tuple[int, int, int] | None = None

    def add(self, a: NDArray[np.bool_], b: NDArray[np.bool_], valid: NDArray[np.bool_], offset: int) -> None:
        """``a`` float and ``b`` fixed spikes (samples, time, neurons); ``valid`` (samples, time)."""
        a, b = a & valid[:, :, None], b & valid[:, :, None]
        self.both += int(np.count_nonzero(a & b))
        self.either += int(np.count_nonzero(a | b))
        self.float_ += int(np.count_nonzero(a))
        self.fixed += int(np.count_nonzero(b))
        self.slots += int(valid.sum()) * a.shape[2]
        differs = a != b
        steps = np.flatnonzero(differs.any(axis=(0, 2)))
        if steps.size:
            step = int(steps[0])
            sample, neuron = (int(v) for v in np.argwhere(differs[:, step])[0])
            if self.first is None or step < self.first[0]:
                self.first = (step, sample + offset, neuron)

    def fidelity(self) -> LayerFidelity:
        """The counts as figures."""
        first = None if self.first is None else Divergence(self.first[1], self.first[0], self.first[2])
        return LayerFidelity(
            self.name, self.both / self.either if self.either else None,
            self.float_ / self.slots, self.fixed / self.slots, first,
        )  # fmt: skip


@checked
def verify(
    network: Network,
    fixed: FixedNetwork,
    data: DataLike,
    *,
    engine: Engine = "auto",
    progress: Progress = no_progress,
) -> Verdict:
    """Run both networks on ``data`` and compare spikes, readouts and decisions.

    Raises `TclifError` where the two are not of the same layers, and where the data's width is not the network's.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> verdict = tc.verify(digits, fixed, test[8:40])
    >>> verdict.accuracy_float, verdict.accuracy_fixed, [round(layer.jaccard, 3) for layer in verdict.layers]
    (1.0, 1.0, [0.918, 0.807])
    """
    check_network(network)
    check_fixed(fixed)
    check_same_layers(network, fixed, "network and fixed are different", "verify what quantize made of the network")
    data = as_dataset(data, needed=True)
    if data.features != network.input_size:
        raise TclifError(
            f"{data.name}: {data.features} features a step, the network takes {network.input_size}",
            "check the input width, or window the data as the model was trained",
        )
    tallies = [_LayerTally(layer.name) for layer in network.spiking_layers]
    saturations = dict.fromkeys((layer.name for layer in fixed.layers), 0)
    clipped = agree = right_float = right_fixed = 0
    signal = noise = 0.0
    decisions = np.zeros((2, data.samples), np.int64)
    for part in batches(data.samples, BATCH):
        batch = data[part]
        x, outside = fixed.input.encode(batch.x, batch.scale)
        clipped += outside
        a = simulate_float(network, batch.values(), lengths=batch.lengths)
        b = simulate(fixed, x, lengths=batch.lengths, spikes=True, engine=engine)
        valid = batch.valid()
        for tally in tallies:
            tally.add(a.spikes[tally.name], b.spikes[tally.name], valid, part.start)
        for name, counts in b.overflows.items():
            saturations[name] += int(counts.sum())
        decisions[:, part] = a.classes, b.classes
        agree += int(np.count_nonzero(a.classes == b.classes))
        with np.errstate(over="ignore", invalid="ignore"):  # a readout of 1e200 has a square that no float holds
            signal += float((a.readout**2).sum())
            noise += float(((a.readout - b.readout * fixed.readout_unit) ** 2).sum())
        if batch.y is not None:
            right_float += int(np.count_nonzero(a.classes == batch.y))
            right_fixed += int(np.count_nonzero(b.classes == batch.y))
        progress(part.stop, data.samples)
    labelled = data.y is not None
    return Verdict(
        samples=data.samples,
        accuracy_float=right_float / data.samples if labelled else None,
        accuracy_fixed=right_fixed / data.samples if labelled else None,
        agreement_argmax=agree / data.samples,
        logit_snr_db=10 * math.log10(signal / noise) if 0 < signal < math.inf and 0 < noise < math.inf else None,
        layers=tuple(tally.fidelity() for tally in tallies),
        saturations=saturations,
        input_clipped=clipped,
        decisions=decisions,
    )


def difference(expected: Result, result: Result, steps: int) -> BackendCheck:
    """Two runs of one network on one input of ``steps`` steps, bit for bit.

    Raises `TclifError` where ``result`` lacks a layer that ``expected`` has, or holds another number of values.
    """
    spikes, states = (
        sum(_count(name, getattr(expected, name), getattr(result, name)) for name in names)
        for names in (("spikes",), ("u", "v"))
    )
    for name in ("readout", "classes"):
        states += _count(name, {"": getattr(expected, name)}, {"": getattr(result, name)})
    samples, neurons = expected.readout.shape[0], sum(u.shape[1] for u in expected.u.values())
    return BackendCheck(samples, steps, samples * steps * neurons, spikes, states)


def _count(kind: str, expected: dict[str, Any], result: dict[str, Any]) -> int:
    """How many values of ``result`` differ from ``expected``."""
    differing = 0
    for layer, values in expected.items():
        if layer not in result or result[layer].shape != values.shape:
            shape = result[layer].shape if layer in result else "missing"
            raise TclifError(
                f"the backend's {kind}{f' of layer {layer}' if layer else ''} is {shape}, expected {values.shape}"
            )
        differing += int(np.count_nonzero(values != result[layer]))
    return differing
