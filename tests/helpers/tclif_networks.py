"""Small float TC-LIF networks with random weights, and pixel-like data that make them fire."""

import math

import numpy as np

from tclif_deploy import neurons
from tclif_deploy.data import Dataset
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.target import load_target

LOIHI2 = load_target("loihi2")


def tclif_network(seed=0, *, features=3, strict=False, reset="soft", recurrent=False) -> Network:
    """TC-LIF layers a (16) and b (12), then a readout of 4, every number drawn from ``seed``."""
    rng = np.random.default_rng(seed)

    def layer(name, source, n, m):
        c = rng.normal(0, 0.5, 2)
        links = [Connection(source, rng.normal(0.02, 0.8 / math.sqrt(m), (n, m)))]
        if recurrent:
            links.append(Connection(name, rng.normal(0, 0.3 / math.sqrt(n), (n, n)), delay=1))
        neuron = neurons.tclif(
            n, c1=c[0], c2=c[1], gamma=0.5, threshold=1.0, strict=strict, reset=reset, bias=rng.normal(0.02, 0.02, n)
        )
        return Layer(name, neuron, tuple(links))

    out = Layer("out", neurons.readout(4, bias=rng.normal(0, 0.1, 4)), (Connection("b", rng.normal(0, 0.2, (4, 12))),))
    return Network(features, (layer("a", "input", 16, features), layer("b", "a", 12, 16), out))


def calibration_data(seed=1, *, samples=6, time=60, features=3) -> Dataset:
    """Integers from 0 to 255 (samples, time, features), uint8, that mean 0 to 1."""
    rng = np.random.default_rng(seed)
    return Dataset(rng.integers(0, 256, (samples, time, features)).astype(np.uint8), scale=1 / 255)
