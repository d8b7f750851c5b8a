"""Feedforward networks of given sizes, with random weights."""

import itertools

import numpy as np

from tclif_deploy import neurons
from tclif_deploy.network import Connection, Layer, Network


def dense(sizes, seed=0):
    rng = np.random.default_rng(seed)
    layers = []
    for n, (sources, size) in enumerate(itertools.pairwise(sizes)):
        source = layers[-1].name if layers else "input"
        last = n == len(sizes) - 2
        neuron = neurons.readout(size) if last else neurons.tclif(size, c1=0.2, c2=-0.3, gamma=0.5, threshold=1.0)
        layers.append(Layer(f"layer{n}", neuron, (Connection(source, rng.normal(0.1, 1.0, (size, sources))),)))
    return Network(sizes[0], tuple(layers))
