"""NeuroBench's metrics of a float and of a fixed-point network, by the names and definitions of its harness.

Yik et al., "The neurobench framework for benchmarking neuromorphic computing algorithms and systems", Nature
Communications 16 (2025); definitions as in the harness's version 2.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tclif_deploy.arguments import checked
from tclif_deploy.blas import one_blas_thread
from tclif_deploy.convolution import LinearMap
from tclif_deploy.data import DataLike, Dataset, as_dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import COEFFICIENTS, FixedLayer, FixedNetwork, Int, check_fixed, check_same_layers, weight_bits
from tclif_deploy.network import INPUT, NEURON_ARRAYS, Layer, Network, check_network
from tclif_deploy.simulation import simulate
from tclif_deploy.simulation.floating import batches

NEURON_STEPS = 1 << 22
"""whose states are held at a time (32 bytes each), and inputs' too, but for those of one sample"""
BATCH = 32
"""samples whose input is held as real numbers at a time, where it is asked whether they are spikes"""
FLOAT_BYTES = 4
"""of a number of the float network: torch's own precision"""
STATES = 2
"""of a neuron: dendrite and soma"""


@dataclass(frozen=True)
class SynapticOperations:
    """Operations an inference, mean over samples. An operation is one weight times one arriving value."""

    effective_macs: Annotated[float, Field(alias="Effective_MACs")]
    """with a weight and a value other than 0, where values are graded (not all of -1, 0 and 1)"""
    effective_acs: Annotated[float, Field(alias="Effective_ACs")]
    """likewise where they are spikes"""
    dense: Annotated[float, Field(alias="Dense")]
    """with all weights and values, zeros too"""


@dataclass(frozen=True)
class NeuroBenchMetrics:
    """One network's metrics, under NeuroBench's own names in ``report.json``."""

    footprint: Annotated[int, Field(alias="Footprint")]
    """bytes: weights, the neurons' parameters (one where a layer's neurons share it) and their states"""
    connection_sparsity: Annotated[float, Field(alias="ConnectionSparsity")]
    """share of weights that are 0, to four decimals"""
    activation_sparsity: Annotated[float, Field(alias="ActivationSparsity")]
    """share of neuron steps without a spike, of all spiking layers"""
    activation_sparsity_by_layer: Annotated[dict[str, float], Field(alias="ActivationSparsityByLayer")]
    """likewise by layer"""
    synaptic_operations: Annotated[SynapticOperations, Field(alias="SynapticOperations")]
    """of all connections"""
    membrane_updates: Annotated[float, Field(alias="MembraneUpdates")]
    """an inference: how often a soma of a spiking layer is another after a step than before; the first step counts for
    every neuron"""


@dataclass(frozen=True)
class NeuroBench:
    """Both networks' metrics on the same samples.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> from tclif_deploy.verification.neurobench import neurobench
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> metrics = neurobench(digits, fixed, test[:4])
    >>> metrics.float.footprint, metrics.fixed.footprint, metrics.fixed.synaptic_operations.dense
    (211732, 56864, 703296.0)
    """

    samples: int
    """on which they were counted; steps after a sample's end do not count"""
    float: NeuroBenchMetrics
    fixed: NeuroBenchMetrics


@one_blas_thread
@checked
def neurobench(network: Network, fixed: FixedNetwork, data: DataLike) -> NeuroBench:
    """NeuroBench's metrics of ``network`` and of ``fixed``, its integers, on all samples of ``data``.

    The input counts as spikes where all its values, as the float network sees them, are -1, 0 or 1. (The harness
    decides this anew for each batch and step; where graded inputs have steps that are all 0, the sum is the same.)
    Raises `TclifError` where the networks are not of the same layers, or the width of ``data`` is not theirs.
    """
    check_network(network)
    check_fixed(fixed)
    check_same_layers(network, fixed, "network and fixed are different", "measure what quantize made of the network")
    data = as_dataset(data, needed=True)
    if data.features != network.input_size:
        raise TclifError(f"{data.name}: {data.features} features a step, the network takes {network.input_size}")
    graded = not all(np.isin(batch.values(), (-1.0, 0.0, 1.0)).all() for batch in data.batches(BATCH))
    return NeuroBench(
        data.samples,
        _metrics(network, network.spiking_layers, data, graded, float_footprint(network)),
        _metrics(fixed, [layer for layer in fixed.layers if layer.spiking], data, graded, fixed_footprint(fixed)),
    )


def float_footprint(network: Network) -> int:
    """Bytes of the float network, in torch's single precision."""
    return FLOAT_BYTES * sum(
        sum(c.weight.size for c in layer.connections) + sum(_stored(layer.neuron).values()) + STATES * layer.size
        for layer in network.layers
    )


def fixed_footprint(fixed: FixedNetwork) -> int:
    """Bytes of the integers, each at its own width: a layer's weights at that of the widest of them."""
    m = fixed.arithmetic
    bits = 0
    for layer in fixed.layers:
        bits += weight_bits(layer) * sum(c.weight.size for c in layer.connections)
        for name, numbers in _stored(layer).items():
            width = {"s0": 1, "u0": m.bits_u, "r_u": m.bits_u, "bias_u": m.bits_u}.get(name, m.bits_v)
            width = m.frac_bits + 1 if name in COEFFICIENTS else width
            bits += width * numbers
        bits += (m.bits_u + m.bits_v) * layer.size
    return -(-bits // 8)


def _stored(layer: Any) -> dict[str, int]:
    """How many numbers each parameter of the neurons takes: one where all neurons share it."""
    return {
        name: 1 if (values := getattr(layer, name)).min() == values.max() else values.size for name in NEURON_ARRAYS
    }


def _metrics(
    network: Network | FixedNetwork,
    fire: Sequence[Layer | FixedLayer],
    data: Dataset,
    graded: bool,
    footprint: int,
) -> NeuroBenchMetrics:
    layers: tuple[Layer | FixedLayer, ...] = network.layers
    spiking = {layer.name: layer.size for layer in fire}
    starts = {layer.name: (layer.neuron if isinstance(layer, Layer) else layer).s0.astype(np.int64) for layer in fire}
    events, effective = dict.fromkeys(spiking, 0), {INPUT: 0, "spikes": 0}
    updates = 0
    fans = [(c, _taps(c)) for layer in layers for c in layer.connections]
    size = max(1, NEURON_STEPS // (data.time * (data.features + sum(layer.size for layer in layers))))
    for part in batches(data.samples, size):
        batch = data[part]
        given = batch if isinstance(network, Network) else network.input.encode(batch.x, batch.scale)[0]
        run = simulate(network, given, lengths=batch.lengths, spikes=True, traces=tuple(spiking))
        valid = batch.valid()[:, :, None]
        fired = {name: spikes != 0 for name, spikes in run.spikes.items()}
        arriving = {INPUT: (given.values() if isinstance(given, Dataset) else given) != 0, **fired}
        for name in spiking:
            events[name] += int((fired[name] & valid).sum())
            soma = run.traces[name][1]
            changed = (soma[:, 1:] != soma[:, :-1]) & valid[:, 1:]
            updates += int(changed.sum()) + len(soma) * soma.shape[2]
        for c, (nonzero, _) in fans:
            sent = arriving[c.source][:, : max(0, data.time - c.delay)] & valid[:, c.delay :]
            arrived = sent.sum(axis=(0, 1), dtype=np.int64)
            if c.delay and c.source in starts:
                arrived = arrived + starts[c.source] * int(valid[:, c.delay - 1 : c.delay].sum())
            effective[INPUT if c.source == INPUT else "spikes"] += int(arrived @ nonzero)
    steps = int(data.valid().sum())
    neuron_steps = {name: size * steps for name, size in spiking.items()}
    weights = [c.weight for layer in layers for c in layer.connections]
    sparsity = {name: (neuron_steps[name] - count) / neuron_steps[name] for name, count in events.items()}
    macs = effective[INPUT] if graded else 0
    return NeuroBenchMetrics(
        footprint=footprint,
        connection_sparsity=round(sum(int((w == 0).sum()) for w in weights) / sum(w.size for w in weights), 4),
        activation_sparsity=1.0 - sum(events.values()) / max(sum(neuron_steps.values()), 1) if spiking else 0.0,
        activation_sparsity_by_layer=sparsity,
        synaptic_operations=SynapticOperations(
            macs / data.samples,
            (sum(effective.values()) - macs) / data.samples,
            sum(total for _, (_, total) in fans) * steps / data.samples,
        ),
        membrane_updates=updates / data.samples,
    )


def _taps(connection: LinearMap) -> tuple[Int, int]:
    """How many weights other than 0 each source meets, (sources,), and how many weights all sources meet."""
    weight: NDArray[Any] = connection.weight
    if connection.conv is None:
        return np.count_nonzero(weight, axis=0).astype(np.int64), weight.size
    groups = connection.conv.groups
    channels = len(weight) // groups
    kernels = np.count_nonzero(weight.reshape(groups, channels, -1), axis=1)  # (groups, sources of a position)
    seen = connection.conv.patches(np.arange(1, connection.sources + 1)[None], weight.shape)[0]
    counts = np.zeros(connection.sources + 1, np.int64)  # the first is the outside
    np.add.at(counts, seen, kernels[:, :, None])
    return counts[1:], channels * int(np.count_nonzero(seen))
