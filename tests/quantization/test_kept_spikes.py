"""What calibration sees of the layers before: each layer's spikes, computed once."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tclif_deploy.data import Dataset
from tclif_deploy.fixed import FixedConnection, FixedNetwork
from tclif_deploy.network import INPUT
from tclif_deploy.quantization import kept_spikes
from tclif_deploy.quantization.kept_spikes import KeptSpikes
from tclif_deploy.simulation import reference
from tests.helpers.random_networks import random_network

KINDS = {
    "chain": {},
    "recurrent": {"recurrent": True, "delay": 2},
    "skip": {"skip": True, "forward_delay": 1},
    "loop over layers": {"feedback": True, "skip": True},
    "spikes out": {"spiking_output": True, "reset": "hard"},
    "wide input": {"input_bits": 16, "signed": True, "skip": True},
    "convolutions": {"conv": True},
    "starts": {"s0": True, "u0": True, "v0": True, "forward_delay": 2, "skip": True},
    "convolutions in a loop": {"conv": True, "feedback": True, "recurrent": True},
}


def upstream_of(fixed: FixedNetwork, n: int) -> set[int]:
    """The layers from which a path leads to layer ``n``."""
    index = {layer.name: m for m, layer in enumerate(fixed.layers)}
    found: set[int] = set()
    while True:
        readers = [fixed.layers[m] for m in {n, *found}]
        sources = {index[c.source] for layer in readers for c in layer.connections if c.source != INPUT}
        if sources <= found:
            return found
        found |= sources


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_each_layer_sees_what_the_whole_network_before_it_fires(seed, kind, monkeypatch):
    fixed, x = random_network(seed, samples=2, time=25, **KINDS[kind])
    runs: Counter[str] = Counter()

    def counted(network, *rest, **options):
        runs.update(layer.name for layer in network.layers)
        return real(network, *rest, **options)

    real = kept_spikes.simulate
    monkeypatch.setattr(kept_spikes, "simulate", counted)
    kept = KeptSpikes(fixed.input, fixed.arithmetic, Dataset(x, None, fixed.input.lsb))
    for n, layer in enumerate(fixed.layers):
        before = sorted(upstream_of(fixed, n))
        final = {fixed.layers[m].name for m in before if {m, *upstream_of(fixed, m)} <= set(range(n))}
        layers = [fixed.layers[m] for m in before]
        seen = kept.of(layers, final)
        np.testing.assert_array_equal(seen[INPUT], x)
        if layers:
            wanted = reference.simulate(FixedNetwork(fixed.input, fixed.arithmetic, tuple(layers)), x, spikes=True)
            for c in layer.connections:
                if c.source != INPUT:
                    np.testing.assert_array_equal(seen[c.source], wanted.spikes[c.source], err_msg=c.source)
    if kind == "starts":  # what a layer with s0 sent before the first step reaches its readers
        assert any(la.s0.any() for la in fixed.layers)
    elif "loop" not in kind:  # a layer that feeds itself runs once more for its own passes
        assert set(runs.values()) == ({2} if kind == "recurrent" else {1}), runs


def test_neurons_that_fire_several_times_do_so_as_in_the_network():
    fixed, x = random_network(7, samples=2, time=40, sizes=(5, 19, 17, 4))
    layers = [replace(la, threshold=la.threshold // 6, r_v=la.r_v // 6) if la.spiking else la for la in fixed.layers]
    fixed = replace(fixed, arithmetic=replace(fixed.arithmetic, most_spikes=31), layers=tuple(layers))
    wanted = reference.simulate(fixed, x, spikes=True).spikes
    kept = KeptSpikes(fixed.input, fixed.arithmetic, Dataset(x, None, fixed.input.lsb))
    first, second, _ = fixed.layers
    kept.of([first], {first.name})
    seen = kept.of([first, second], {first.name, second.name})
    for layer in (first, second):
        assert seen[layer.name].max() > 1
        np.testing.assert_array_equal(seen[layer.name], wanted[layer.name])


def test_a_layer_that_later_ones_change_is_not_kept():
    fixed, x = random_network(5, feedback=True, samples=2, time=25)
    kept = KeptSpikes(fixed.input, fixed.arithmetic, Dataset(x, None, fixed.input.lsb))
    first, second = fixed.layers[:2]
    kept.of([first, second], set())
    weaker = FixedConnection("input", first.connections[0].weight // 2)
    changed = replace(first, connections=(weaker, *first.connections[1:]))
    wanted = reference.simulate(FixedNetwork(fixed.input, fixed.arithmetic, (changed, second)), x, spikes=True)
    np.testing.assert_array_equal(kept.of([changed, second], set())[second.name], wanted.spikes[second.name])
