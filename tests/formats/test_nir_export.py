"""NIR files for other tools: standard neurons as NIR's own nodes, run by the tools themselves."""

from __future__ import annotations

import nir
import numpy as np
import pytest
import torch

from tclif_deploy import TclifError, load, neurons
from tclif_deploy.formats import NotInNir, export_nir
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers.foreign_graphs import DT, run_steps
from tests.helpers.requirements import needs_module

RNG = np.random.default_rng(8)


def trains(features=5, steps=150, samples=3):
    return (np.random.default_rng(1).random((samples, steps, features)) < 0.3).astype(float)


def chain(*populations, sources=5, recurrent=(), delays=None, same=False):
    """Layers of the given neurons behind one another."""
    layers, source, width = [], "input", sources
    for n, neuron in enumerate(populations):
        rng = np.random.default_rng(n)
        name = f"layer{n}"
        gain = 1.4 / width**0.5
        links = [Connection(source, rng.normal(0.15, gain, (neuron.size, width)), delay=(delays or {}).get(n, 0))]
        if n in recurrent:
            links.append(Connection(name, rng.normal(0, 0.2, (neuron.size, neuron.size)), delay=1))
        layers.append(Layer(name, neuron, tuple(links)))
        source, width = name, neuron.size
    return Network(sources, tuple(layers))


def hard(size, **changes):
    return neurons.lif(size, decay=RNG.uniform(0.6, 0.95, size), threshold=RNG.uniform(0.8, 1.2, size), reset="hard",
                       gain=RNG.uniform(0.5, 1, size), bias=RNG.normal(0, 0.05, size), **changes)  # fmt: skip


def cuba(size, **changes):
    values = {"current_decay": RNG.uniform(0.3, 0.8, size), "voltage_decay": RNG.uniform(0.05, 0.4, size)}
    return neurons.cuba_lif(size, **{**values, "threshold": 1.3, "bias": 0.02, "gain": 0.8, **changes})


MIXED = {
    "LIF": lambda: chain(hard(9), hard(8, v_reset=-0.2, rest=0.1)),
    "strict LIF": lambda: chain(hard(9, strict=True), hard(6)),
    "recurrent CubaLIF": lambda: chain(cuba(9), cuba(7, bias_v=0.01), recurrent=(0, 1)),
    "IF": lambda: chain(neurons.integrate_and_fire(8, threshold=1.2, reset="hard", bias=0.05), hard(5)),
    "with delays": lambda: chain(hard(9), hard(8), hard(6), delays={1: 2, 2: 1}),
    "sum at the end": lambda: chain(hard(9), neurons.readout(4, bias=0.1)),
    "leak at the end": lambda: chain(hard(9), neurons.readout(4, decay=0.9, current_decay=0.5, gain=0.3, rest=0.2)),
    "TC-LIF between": lambda: chain(
        hard(9), neurons.tclif(8, c1=0.2, c2=-0.3, gamma=0.4, threshold=1.0, bias=0.02), neurons.readout(3),
        recurrent=(1,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MIXED)
def test_an_exported_network_comes_back_with_every_spike(tmp_path, name):
    network = MIXED[name]()
    messages = export_nir(network, tmp_path / "out.nir")
    assert len(messages) == len(network.layers)
    back = load(tmp_path / "out.nir")  # dt stands in the file
    a, b = simulate_float(network, trains()), simulate_float(back, trains())
    assert [layer.name for layer in back.layers] == [layer.name for layer in network.layers]
    for layer, spikes in a.spikes.items():
        assert 0.01 <= spikes.mean() <= 0.6, (layer, spikes.mean())
        np.testing.assert_array_equal(spikes, b.spikes[layer])
    np.testing.assert_allclose(a.readout, b.readout, rtol=1e-9, atol=1e-9)


def test_neurons_that_nir_has_become_nirs_own_nodes(tmp_path):
    messages = export_nir(MIXED["TC-LIF between"](), tmp_path / "out.nir")
    assert messages == ("layer0: LIF", "layer1: tclif as a graph of primitives", "layer2: I")
    nodes = nir.read(tmp_path / "out.nir").nodes
    assert isinstance(nodes["layer0"], nir.LIF)
    assert isinstance(nodes["layer1"], nir.NIRGraph)
    np.testing.assert_allclose(nodes["layer0"].r, nodes["layer0"].tau / DT)


def uniform(kind, size):
    """One set of parameters a layer, without what snnTorch and Norse leave out."""
    if kind == "CubaLIF":
        return neurons.cuba_lif(size, current_decay=0.5, voltage_decay=0.15, threshold=1.7)
    return neurons.lif(size, decay=0.8, threshold=1.1, reset="hard", strict=True)


@pytest.mark.parametrize("kind", ["LIF", "CubaLIF"])
def test_snntorch_runs_the_exported_nodes_spike_for_spike(tmp_path, kind):
    import_nir = needs_module("snntorch.import_nir")
    network = chain(uniform(kind, 9), uniform(kind, 6))
    export_nir(network, tmp_path / "out.nir")
    our_spikes = simulate_float(network, trains()).spikes["layer1"]
    assert 0.01 <= our_spikes.mean() <= 0.6
    snntorch_spikes = run_steps(import_nir.import_from_nir(nir.read(tmp_path / "out.nir")), trains())
    np.testing.assert_array_equal(our_spikes, snntorch_spikes.astype(bool))


def test_norse_runs_the_exported_nodes_spike_for_spike(tmp_path):
    import_nir = needs_module("norse.torch.utils.import_nir")
    network = chain(uniform("CubaLIF", 9), uniform("CubaLIF", 6), recurrent=(0,))
    export_nir(network, tmp_path / "out.nir")
    our_spikes = simulate_float(network, trains()).spikes["layer1"]
    assert 0.01 <= our_spikes.mean() <= 0.6
    norse_spikes = run_steps(import_nir.from_nir(nir.read(tmp_path / "out.nir"), ignore_warnings=True, dt=DT), trains())
    np.testing.assert_array_equal(our_spikes, norse_spikes.astype(bool))


class Cell(torch.nn.Module):
    """NIR's LIF by its equation, for nirtorch."""

    def __init__(self, node):
        super().__init__()
        self.node = node

    def forward(self, x, state=None):
        n = self.node
        tau, leak, r, theta, rest = (
            torch.as_tensor(p).float() for p in (n.tau, n.v_leak, n.r, n.v_threshold, n.v_reset)
        )
        v = torch.zeros_like(x) if state is None else state
        v = v + DT / tau * (leak - v + r * x)
        z = (v > theta).to(x)
        return z, torch.where(z > 0, rest, v)


def test_nirtorch_runs_the_exported_nodes_with_a_map_of_our_own(tmp_path):
    nirtorch = needs_module("nirtorch")
    network = MIXED["LIF"]()
    export_nir(network, tmp_path / "out.nir")

    def linear(node):
        layer = torch.nn.Linear(node.weight.shape[1], node.weight.shape[0])
        layer.weight.data = torch.as_tensor(node.weight).float()
        layer.bias.data = torch.as_tensor(getattr(node, "bias", np.zeros(len(node.weight)))).float()
        return layer

    module = nirtorch.nir_to_torch(
        nir.read(tmp_path / "out.nir"), {nir.LIF: Cell, nir.Affine: linear, nir.Linear: linear}
    )
    nirtorch_spikes = run_steps(module, trains())
    our_spikes = simulate_float(network, trains()).spikes["layer1"]
    assert 0.01 <= our_spikes.mean() <= 0.6
    np.testing.assert_array_equal(our_spikes, nirtorch_spikes.astype(bool))


def test_what_nir_cannot_say_is_refused_and_leaves_no_file(tmp_path):
    two_late = Network(5, (Layer("a", hard(4), (Connection("input", np.ones((4, 5))), Connection("a", np.eye(4), 2))),))
    named = Network(5, (Layer("output", hard(4), (Connection("input", np.ones((4, 5))),)),))
    turning = neurons.tclif(4, c1=0, c2=0, gamma=0.5, threshold=1.0, reset="hard")
    cases = [
        (two_late, "loops take one step, this one takes 2"),
        (named, "a layer is called output"),
        (
            Network(5, (Layer("a", turning, (Connection("input", np.ones((4, 5))),)),)),
            "layer a: a hard reset of a soma",
        ),
    ]
    for network, message in cases:
        with pytest.raises(NotInNir, match=message):
            export_nir(network, tmp_path / "out.nir")
    for dt in (0.0, -1.0, np.nan):
        with pytest.raises(TclifError, match=r"time step|dt is nan"):
            export_nir(MIXED["LIF"](), tmp_path / "out.nir", dt)
    assert not list(tmp_path.iterdir())


def test_metadata_that_contradicts_an_exported_layer_is_refused(tmp_path):
    import h5py

    export_nir(MIXED["TC-LIF between"](), tmp_path / "out.nir")
    with h5py.File(tmp_path / "out.nir", "r+") as file:
        file["node/nodes/layer1/nodes/10_soma_to_dendrite/scale"][0] *= 2
    with pytest.raises(
        TclifError, match=r"layer1: its metadata and its nodes disagree: 10_soma_to_dendrite.scale is off"
    ):
        load(tmp_path / "out.nir")


def test_a_readout_rule_stands_in_the_metadata_and_is_said(tmp_path):
    network = chain(hard(7), hard(4)).with_readout("votes:2")
    assert export_nir(network, tmp_path / "out.nir")[-1].startswith("readout votes:2: stands in the metadata")
    assert load(tmp_path / "out.nir").readout == network.readout
    nir.read(tmp_path / "out.nir")
    assert len(export_nir(chain(hard(7), hard(4)), tmp_path / "usual.nir")) == 2
    assert load(tmp_path / "usual.nir").usual_readout
