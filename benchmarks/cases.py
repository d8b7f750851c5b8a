"""The networks and inputs of the benchmark: one trained, the others random, tuned to a density of spikes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from inputs import IMAGES, ROOT, events
from numpy.typing import NDArray

from tclif_deploy import Dataset, load, load_data, quantize
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.network import INPUT, Connection, Layer, Network
from tclif_deploy.neurons import readout, tclif
from tclif_deploy.quantization import QuantizeSettings
from tclif_deploy.simulation import simulate
from tclif_deploy.simulation.floating import simulate_float

PLAIN = QuantizeSettings(passes=())
"""Random networks are rounded to nearest: nothing can be lost that their rate would show."""
CALIBRATION = 8
"""Samples that a random network is tuned and calibrated on."""


@dataclass(frozen=True)
class Case:
    """One network with an input that stays in memory."""

    name: str
    title: str
    network: Network
    fixed: FixedNetwork
    data: Dataset

    def samples(self, count: int) -> NDArray[Any]:
        """``count`` samples as integers, repeated where there are not so many."""
        return np.resize(self.data.x, (count, *self.data.x.shape[1:]))

    def density(self) -> dict[str, float]:
        """Spikes a neuron a step, by layer, and the share of input values that are not 0."""
        result = simulate(self.fixed, self.samples(32), spikes=True)
        spikes = {name: float(s.mean()) for name, s in result.spikes.items()}
        return {INPUT: float(np.count_nonzero(self.data.x) / self.data.x.size), **spikes}


def smnist_feedforward() -> Case:
    """1-64-256-256-10, T=784: the trained fixture and its test images."""
    network = load(ROOT / "fixtures/smnist_ff/checkpoint.pth.tar")
    data = load_data(IMAGES)
    fixed = quantize(network, "loihi2", ROOT / "fixtures/smnist_ff/calibration.npz")
    return Case("smnist_ff", "S-MNIST 1-64-256-256-10, T=784", network, fixed, data)


def smnist_recurrent() -> Case:
    """The same sizes with recurrence in the 64 and the first 256, random weights."""
    data = load_data(IMAGES)
    sizes = (1, 64, 256, 256, 10)
    return random_case("smnist_rec", f"S-MNIST {_names(sizes, (0, 1))}, T=784", sizes, (0, 1), data, 0.10)


def shd_recurrent() -> Case:
    """700-128-128-20, both hidden layers recurrent, T=250, 4 % of the inputs are events."""
    sizes = (700, 128, 128, 20)
    return random_case("shd_rec", f"SHD {_names(sizes, (0, 1))}, T=250", sizes, (0, 1), events(700, 250), 0.10)


def wide_recurrent() -> Case:
    """700-1024-1024-20, both hidden layers recurrent, T=250, 4 % of the inputs are events."""
    sizes = (700, 1024, 1024, 20)
    return random_case("wide", f"wide {_names(sizes, (0, 1))}, T=250", sizes, (0, 1), events(700, 250), 0.10)


def at_density(density: float) -> Case:
    """700-256-256-20 feedforward whose hidden layers fire at ``density``."""
    sizes = (700, 256, 256, 20)
    title = f"{_names(sizes, ())}, T=250 at {density:.0%}"
    return random_case(f"density_{round(100 * density)}", title, sizes, (), events(700, 250), density)


def _names(sizes: tuple[int, ...], recurrent: tuple[int, ...]) -> str:
    return "-".join(f"{size}{'r' if n - 1 in recurrent else ''}" for n, size in enumerate(sizes))


def random_case(
    name: str, title: str, sizes: tuple[int, ...], recurrent: tuple[int, ...], data: Dataset, density: float
) -> Case:
    """Random TC-LIF layers, each scaled until its neurons fire at ``density``."""
    rng = np.random.default_rng(1)
    few = data[:CALIBRATION]
    layers: list[Layer] = []
    for n, (sources, size) in enumerate(itertools.pairwise(sizes)):
        source = INPUT if n == 0 else layers[-1].name
        connections = [Connection(source, rng.normal(0.0, sources**-0.5, (size, sources)))]
        if n in recurrent:
            connections.append(Connection(f"layer{n}", rng.normal(0.0, 0.5 * size**-0.5, (size, size)), delay=1))
        last = n == len(sizes) - 2
        bias = 0.0 if last else rng.normal(0.0, 0.01, size)
        neuron = readout(size) if last else tclif(size, c1=0.0, c2=0.0, gamma=0.5, threshold=1.0, bias=bias)
        layer = Layer(f"layer{n}", neuron, tuple(connections))
        layers.append(layer if last else _tuned(sizes[0], layers, layer, few, density))
    network = Network(sizes[0], tuple(layers))
    return Case(name, title, network, quantize(network, "loihi2", few, PLAIN), data)


def _tuned(features: int, before: list[Layer], layer: Layer, data: Dataset, density: float) -> Layer:
    """``layer`` with its weights scaled, by bisection, to the gain at which it fires at ``density``."""
    low, high = -8.0, 8.0
    for _ in range(12):
        gain = 2.0 ** ((low + high) / 2)
        links = tuple(Connection(c.source, c.weight * gain, c.delay) for c in layer.connections)
        scaled = Layer(layer.name, layer.neuron, links)
        result = simulate_float(Network(features, (*before, scaled)), data.values())
        if abs(result.spikes[layer.name].mean() / density - 1) < 0.03:
            break
        low, high = ((low + high) / 2, high) if result.spikes[layer.name].mean() < density else (low, (low + high) / 2)
    return scaled
