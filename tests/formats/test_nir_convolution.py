"""Convolutions and poolings of NIR files: against torch's own, and networks as Norse and SpikingJelly run them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
import torch

from tclif_deploy import TclifError, load, neurons
from tclif_deploy.comparison import equal
from tclif_deploy.convolution import Conv, Kernel
from tclif_deploy.formats import NotInNir, export_nir, write_nir
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers import foreign_graphs
from tests.helpers.requirements import needs_module


def one_layer(path: Path, node, shape, out, before=()):
    """The only connection of a graph input -> ``node`` -> IF, and its bias."""
    size = int(np.prod(out))
    nodes = {"in": nir.Input(np.array(shape)), "n": node, "if": nir.IF(r=np.ones(out), v_threshold=np.ones(out)),
             "out": nir.Output(np.array(out))}  # fmt: skip
    edges = [("in", "n"), ("n", "if"), ("if", "out")]
    nir.write(path / "g.nir", nir.NIRGraph(nodes, edges, metadata={}, type_check=False))
    layer = load(path / "g.nir").layers[0]
    assert layer.size == size
    assert layer.connections[0].kind == "conv"
    return layer.connections[0].matrix(), layer.neuron.bias_u


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("stride", "padding", "dilation"), [
    ((1, 1), (0, 0), (1, 1)), ((2, 1), (1, 2), (1, 1)), ((1, 2), (2, 0), (2, 1)), ((1, 1), "same", (1, 2)),
    ((1, 1), "valid", (1, 1)),
])  # fmt: skip
def test_conv2d_is_torchs_conv2d(tmp_path, groups, stride, padding, dilation):
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(6, 4 // groups, 3, 2)), rng.normal(size=6)
    node = nir.Conv2d((9, 8), weight, stride, padding, dilation, groups, bias)
    x = rng.normal(size=(4, 9, 8))
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    wanted = torch.nn.functional.conv2d(torch.tensor(x), torch.tensor(weight), torch.tensor(bias), **settings).numpy()
    matrix, current = one_layer(tmp_path, node, (4, 9, 8), wanted.shape)
    np.testing.assert_allclose(matrix @ x.reshape(-1) + current, wanted.reshape(-1), atol=1e-12)


def test_conv1d_is_torchs_conv1d(tmp_path):
    rng = np.random.default_rng(1)
    weight, bias, x = rng.normal(size=(5, 3, 4)), rng.normal(size=5), rng.normal(size=(3, 20))
    node = nir.Conv1d(20, weight, 2, 3, 1, 1, bias)
    tensors = [torch.tensor(v) for v in (x, weight, bias)]
    wanted = torch.nn.functional.conv1d(*tensors, stride=2, padding=3).numpy()
    matrix, current = one_layer(tmp_path, node, (3, 20), wanted.shape)
    np.testing.assert_allclose(matrix @ x.reshape(-1) + current, wanted.reshape(-1), atol=1e-12)


@pytest.mark.parametrize("average", [False, True])
def test_poolings_are_torchs(tmp_path, average):
    x = np.random.default_rng(2).normal(size=(3, 8, 6))
    kind = nir.AvgPool2d if average else nir.SumPool2d
    node = kind(np.array([2, 3]), np.array([2, 1]), np.array([1, 1]))
    wanted = torch.nn.functional.avg_pool2d(torch.tensor(x), (2, 3), (2, 1), (1, 1)).numpy()
    wanted = wanted if average else wanted * 6
    matrix, _ = one_layer(tmp_path, node, (3, 8, 6), wanted.shape)
    np.testing.assert_allclose(matrix @ x.reshape(-1), wanted.reshape(-1), atol=1e-12)


def convolutional(neuron, padding=(1, 1, 1, 1), height=5) -> Network:
    """A map that feeds itself, a strided one in groups, and a dense layer."""
    rng = np.random.default_rng(5)
    y = 3 if height > 1 else 1
    conv = Conv((2, height, 6), padding=padding)
    first = Kernel(rng.normal(0.1, 0.4, (4, 2, y, 3)), conv)
    second = Kernel(
        rng.normal(0.15 if height > 1 else 0.5, 0.4, (6, 2, 1, 3)), Conv(first.output_shape, (1, 2), groups=2)
    )
    loop = Kernel(rng.normal(0, 0.2, (4, 1, 1, 1)), Conv(first.output_shape, groups=4))
    bias = first.per_neuron(rng.normal(0.05, 0.1, 4))
    return Network(first.sources, (
        Layer("a", replace(neuron(first.neurons), bias_u=bias), (
            Connection("input", first.weight, conv=first.conv), Connection("a", loop.weight, 1, loop.conv))),
        Layer("b", neuron(second.neurons), (Connection("a", second.weight, conv=second.conv),)),
        Layer("c", neuron(7), (Connection("b", rng.normal(0.15, 0.3, (7, second.neurons))),)),
    ))  # fmt: skip


def tclif(size):
    return neurons.tclif(size, c1=0.2, c2=-0.1, gamma=0.5, threshold=1.5)


def lif(size):
    return neurons.lif(size, decay=0.8, threshold=1.0, reset="hard", strict=True)


def same_spikes(a: Network, b: Network) -> None:
    x = (np.random.default_rng(6).random((3, 40, a.input_size)) < 0.3).astype(float)
    spikes_a, spikes_b = simulate_float(a, x).spikes, simulate_float(b, x).spikes
    for name in spikes_a:
        assert 0.01 <= spikes_a[name].mean() <= 0.6, (name, spikes_a[name].mean())
        np.testing.assert_array_equal(spikes_b[name], spikes_a[name])


@pytest.mark.slow
@pytest.mark.parametrize(("padding", "height", "kind"), [
    ((1, 1, 1, 1), 5, "Conv2d"), ((2, 0, 2, 0), 5, "Conv2d"), ((1, 2, 1, 0), 5, "Conv2d"), ((0, 1, 0, 1), 1, "Conv1d"),
    ((0, 0, 0, 2), 1, "Conv1d"),
])  # fmt: skip
def test_a_networks_own_file_gives_back_its_convolutions(tmp_path, padding, height, kind):
    """Padding that NIR has not, groups and kernels that nir cannot open become zeros: the same sums all the same."""
    network = convolutional(tclif, padding, height).with_readout("max")
    write_nir(network, tmp_path / "network.nir")
    nodes = nir.read(tmp_path / "network.nir").nodes.values()
    assert sum(type(node).__name__ == kind for node in nodes) == 3
    read_back = load(tmp_path / "network.nir")
    assert read_back.readout == network.readout
    for a, b in zip(network.layers, read_back.layers, strict=True):
        assert equal(a.neuron, b.neuron)
        assert [c.kind for c in a.connections] == [c.kind for c in b.connections]
        for c, d in zip(a.connections, b.connections, strict=True):
            assert (c.source, c.delay) == (d.source, d.delay)
            np.testing.assert_array_equal(d.matrix(), c.matrix())
    same_spikes(network, read_back)


def test_a_kernel_that_cannot_be_square_is_refused_by_its_layer(tmp_path):
    weight = np.ones((1, 1, 2, 3))
    layer = Layer("a", tclif(6), (Connection("input", weight, conv=Conv((1, 3, 5))),))
    with pytest.raises(NotInNir, match="layer a: a kernel of 2 x 3"):
        write_nir(Network(15, (layer,)), tmp_path / "network.nir")


@pytest.mark.parametrize(("neuron", "height"), [(lif, 5), (lif, 1), (tclif, 5)])
def test_an_exported_network_spikes_the_same_with_maps_of_their_own_shapes(tmp_path, neuron, height):
    padding = (1, 1, 1, 1) if height > 1 else (0, 1, 0, 1)
    network = convolutional(neuron, padding, height)
    export_nir(network, tmp_path / "network.nir")
    graph = nir.read(tmp_path / "network.nir")
    assert graph.nodes["input"].input_type["input"].tolist() == ([2, 5, 6] if height > 1 else [2, 6])
    assert any(isinstance(node, nir.Flatten) for node in graph.nodes.values())
    same_spikes(network, load(tmp_path / "network.nir"))


@pytest.mark.parametrize(("change", "message"), [
    (lambda n: replace(n.layers[0].neuron, bias_u=np.linspace(0, 1, n.layers[0].size)), "the bias differs within"),
    (lambda n: replace(n.layers[0].neuron, b_v=np.linspace(0.5, 1, n.layers[0].size)), "the gain differs within"),
])  # fmt: skip
def test_what_differs_within_a_channel_is_refused_by_name(tmp_path, change, message):
    network = convolutional(lif)
    first = replace(network.layers[0], neuron=change(network))
    with pytest.raises(NotInNir, match=f"layer a: {message} a channel"):
        export_nir(replace(network, layers=(first, *network.layers[1:])), tmp_path / "network.nir")


def pooled_maps(path: Path) -> Path:
    """Convolutions, poolings and dense layers with IF, as sinabs writes them: numbered nodes, edges in no order."""
    rng = np.random.default_rng(7)

    def conv(shape, size, stride, gain):
        out, channels, width = size
        weight = rng.normal(0.4, 1, (out, channels, width, width)) * gain / width / channels**0.5
        return nir.Conv2d(shape, weight.astype(np.float32), stride, 1, 1, 1, np.zeros(out, np.float32))

    def dense(out, sources, gain):
        weight = rng.normal(0.3, 1, (out, sources)) * gain / sources**0.5
        return nir.Affine(weight.astype(np.float32), np.zeros(out, np.float32))

    def fires(*shape):
        return nir.IF(r=np.ones(shape, np.float32), v_threshold=np.ones(shape, np.float32))

    def pool():
        return nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))

    maps = [
        conv((18, 18), (4, 2, 5), 2, 0.5), fires(4, 8, 8), conv((8, 8), (4, 4, 3), 1, 0.5), fires(4, 8, 8), pool(),
        conv((4, 4), (5, 4, 3), 1, 0.3), fires(5, 4, 4), pool(), nir.Flatten({"input": np.array([5, 2, 2])}, 0),
        dense(16, 20, 0.3), fires(16), dense(10, 16, 0.5), fires(10),
    ]  # fmt: skip
    names = ["input", *map(str, range(len(maps))), "output"]
    nodes = dict(zip(names, [nir.Input(np.array([2, 18, 18])), *maps, nir.Output(np.array([10]))], strict=True))
    edges = [(names[k], names[k + 1]) for k in rng.permutation(len(names) - 1)]
    return foreign_graphs.write_graph(nir.NIRGraph(nodes, edges, metadata={}, type_check=False), path)


@pytest.mark.slow
def test_a_network_of_maps_and_poolings_spikes_as_norse_runs_it(tmp_path):
    import_nir = needs_module("norse.torch.utils.import_nir")
    path = foreign_graphs.rewrite_as_nir_0_2(pooled_maps(tmp_path / "maps.nir"))
    x = (np.random.default_rng(3).random((30, 2, 18, 18)) < 0.15).astype(float)
    network = load(path, convention="norse")
    kinds = [c.kind for layer in network.layers for c in layer.connections]
    assert kinds.count("conv") >= 3, "no convolution is blown up"
    assert not any("matrix" in notice for notice in network.notices)
    spikes = simulate_float(network, x.reshape(1, len(x), -1)).spikes
    for name, fired in spikes.items():
        assert 0.01 <= fired.mean() <= 0.6, (name, fired.mean())
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        module = import_nir.from_nir(nir.read(path), ignore_warnings=True)
        state, out = None, []
        for step in x:  # one sample: the file's Flatten leaves no axis for more
            z, state = module(torch.as_tensor(step, dtype=torch.float32), state)
            out.append(z.numpy().reshape(-1))
    norse_spikes = np.stack(out).astype(bool)
    last = network.layers[-1].name
    np.testing.assert_array_equal(spikes[last][0], norse_spikes)
    export_nir(network, tmp_path / "again.nir")
    assert sum(isinstance(node, nir.Conv2d) for node in nir.read(tmp_path / "again.nir").nodes.values()) == 3
    again = simulate_float(load(tmp_path / "again.nir"), x.reshape(1, len(x), -1)).spikes
    np.testing.assert_array_equal(again[last][0], norse_spikes)


@pytest.mark.slow
def test_a_convolutional_network_that_spikingjelly_writes_spikes_as_spikingjelly_runs_it(tmp_path):
    neuron, functional, exchange = (
        needs_module(f"spikingjelly.activation_based.{name}") for name in ("neuron", "functional", "nir_exchange")
    )
    nn = torch.nn
    module = foreign_graphs.with_random_weights(nn.Sequential(
        nn.Conv2d(2, 4, 5, stride=2, padding=1), neuron.IFNode(v_reset=0.0), nn.AvgPool2d(2),
        nn.Conv2d(4, 6, 3, dilation=2, padding=2), neuron.IFNode(v_reset=0.0), nn.Flatten(),
        nn.Linear(96, 10), neuron.IFNode(v_reset=0.0),
    ))  # fmt: skip
    exchange.export_to_nir(module, torch.zeros(1, 2, 18, 18), save_path=tmp_path / "sj.nir", dt=foreign_graphs.DT)
    functional.reset_net(module)
    x = (np.random.default_rng(3).random((2, 30, 2, 18, 18)) < 0.15).astype(np.float32)
    with torch.no_grad():
        spikingjelly_spikes = torch.stack([module(torch.as_tensor(x[:, t])) for t in range(x.shape[1])], 1).numpy()
    network = load(tmp_path / "sj.nir", dt=foreign_graphs.DT, convention="spikingjelly")
    assert [c.kind for layer in network.layers for c in layer.connections].count("conv") == 2
    spikes = simulate_float(network, x.reshape(2, 30, -1)).spikes
    for name, fired in spikes.items():
        assert 0.01 <= fired.mean() <= 0.6, (name, fired.mean())
    np.testing.assert_array_equal(spikes[network.layers[-1].name], spikingjelly_spikes.astype(bool))


def damaged(path: Path, edit) -> str:
    rng = np.random.default_rng(4)
    nodes = {
        "in": nir.Input(np.array([2, 6, 6])),
        "c": nir.Conv2d((6, 6), rng.normal(size=(3, 2, 3, 3)), 1, 0, 1, 1, np.zeros(3)),
        "p": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "if": nir.IF(r=np.ones(12), v_threshold=np.ones(12)), "out": nir.Output(np.array([12])),
    }  # fmt: skip
    edges = [("in", "c"), ("c", "p"), ("p", "if"), ("if", "out")]
    nir.write(path / "bad.nir", nir.NIRGraph(nodes, edges, metadata={}, type_check=False))
    assert load(path / "bad.nir").layers[0].size == 12
    with h5py.File(path / "bad.nir", "r+") as file:
        edit(file["node"])
    with pytest.raises(TclifError) as error:
        load(path / "bad.nir")
    assert "\n" not in str(error.value)
    return str(error.value)


def put(name, value):
    def edit(node):
        del node[name]
        node[name] = value

    return edit


@pytest.mark.parametrize(("edit", "message"), [
    (put("nodes/c/stride", [0, 1]), "node c: stride is [0.0, 1.0]"),
    (put("nodes/c/groups", 5), "node c: 3 channels out of 5 groups"),
    (put("nodes/c/groups", 0), "groups is [0.0]"),
    (put("nodes/c/weight", np.ones((3, 2, 3))), "node c: weight has shape (3, 2, 3)"),
    (put("nodes/c/weight", np.ones((3, 2, 9, 9))), "node c: a kernel of shape (3, 2, 9, 9), dilation (1, 1), on a map"),
    (put("nodes/c/bias", np.ones(2)), "node c: bias has 2 values"),
    (put("nodes/c/padding", "mirror"), "node c: padding is 'mirror'"),
    (put("nodes/c/padding", [100000, 100000]), "node c: its padded input has shape (2, 200006, 200006)"),
    (put("nodes/c/input_shape", [7, 6]), "values meet a node of"),
    (put("nodes/p/kernel_size", [1000000, 1000000]), "node p: kernel_size is (1000000, 1000000)"),
    (put("nodes/p/padding", [-1, 0]), "node p: padding is [-1.0, 0.0]"),
    (put("nodes/if/r", np.ones(11)), "values"),
    (put("edges", np.array([[b"in", b"c"], [b"c", b"if"], [b"p", b"p"], [b"p", b"if"], [b"if", b"out"]],
         dtype=h5py.string_dtype())), "its input's shape depends on itself"),
])  # fmt: skip
def test_a_convolution_without_meaning_is_one_line_that_names_the_node(tmp_path, edit, message):
    assert message in damaged(tmp_path, edit)
