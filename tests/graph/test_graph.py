"""The one graph of all readers, and its lowering."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import nir
import numpy as np
import pytest
import torch
from torch import nn

from tclif_deploy import TclifError, load, neurons
from tclif_deploy.comparison import equal
from tclif_deploy.formats import write_nir
from tclif_deploy.graph.lower import lower
from tclif_deploy.graph.nodes import Affine, BatchNorm, Delay, Input, NetworkGraph, Output, Population
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.nn import LIF
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers import checkpoints

RNG = np.random.default_rng(0)


def lif(size=2):
    return Population(neurons.lif(size, decay=0.9, threshold=1.0))


def graph(order=None, **nodes):
    """input -> every Affine and BatchNorm -> lif -> output."""
    nodes = {"in": Input(3), "lif": lif(), "out": Output(), **nodes}
    weights = [name for name, node in nodes.items() if isinstance(node, Affine | BatchNorm)]
    edges = [("in", name, 0) for name in weights] + [(name, "lif", 0) for name in weights] + [("lif", "out", 0)]
    return NetworkGraph("model", nodes, tuple(edges), order=order)


def test_two_weights_between_the_same_ends_become_one():
    a, b = RNG.normal(size=(2, 2, 3))
    (connection,) = lower(graph(a=Affine(a), b=Affine(b))).layers[0].connections
    np.testing.assert_array_equal(connection.weight, a + b)


@pytest.mark.parametrize("late", ["delay of two", "delays", "edge", "population"])
def test_a_bias_before_a_delay_waits_as_long_as_the_spikes(late):
    """And a bias behind the delay does not."""
    weight, before, behind = RNG.normal(0.2, 0.3, (3, 3)), np.array([0.3, -0.2, 0.5]), np.array([0.1, 0.2, -0.1])
    steps = np.array([0, 1, 4]) if late == "delays" else np.full(3, 2)
    population = Population(
        neurons.lif(3, decay=0.8, threshold=1.0), gain=np.full(3, 0.9), delay=2 * (late == "population")
    )
    nodes = {"in": Input(3), "w": Affine(weight, before), "b": Affine(np.ones(3), behind), "lif": population,
             "out": Output()}  # fmt: skip
    edges = [("in", "w", 0), ("b", "lif", 0), ("lif", "out", 0)]
    if late.startswith("delay"):
        nodes["d"] = Delay(steps)
        edges += [("w", "d", 0), ("d", "b", 0)]
    else:
        edges += [("w", "b", 2 * (late == "edge"))]
    network = lower(NetworkGraph("model", nodes, tuple(edges)))
    x = (RNG.random((2, 50, 3)) < 0.4).astype(float)
    result = simulate_float(network, x, spikes=True)
    started = np.arange(50)[:, None] >= steps
    waiting = [
        np.pad(x @ weight.T + before, ((0, 0), (5, 0), (0, 0)))[:, 5 - d : 55 - d, n] for n, d in enumerate(steps)
    ]
    current = np.stack(waiting, axis=-1) * started + behind * (started if late == "population" else 1)
    v, expected = np.zeros((2, 3)), []
    for t in range(50):
        v = 0.8 * v + 0.9 * current[:, t]
        expected.append(v >= 1)
        v = v - expected[-1]
    assert 0.01 <= np.mean(expected) <= 0.6
    np.testing.assert_array_equal(result.spikes["lif"], np.stack(expected, axis=1))
    assert result.spikes["clock"].all()
    assert [notice for notice in network.notices if "begins later than the first step" in notice]


def test_a_bias_that_is_0_needs_no_clock():
    nodes = {
        "in": Input(2),
        "w": Affine(np.eye(2), np.zeros(2)),
        "d": Delay(np.full(2, 3)),
        "lif": lif(),
        "out": Output(),
    }
    edges = tuple((a, b, 0) for a, b in (("in", "w"), ("w", "d"), ("d", "lif"), ("lif", "out")))
    assert [layer.name for layer in lower(NetworkGraph("model", nodes, edges)).layers] == ["lif"]


def test_where_the_format_says_the_order_every_edge_is_a_connection_of_its_own():
    a, b = RNG.normal(size=(2, 2, 3))
    layer = lower(graph(("lif",), a=Affine(a), b=Affine(b))).layers[0]
    assert [c.weight.tolist() for c in layer.connections] == [a.tolist(), b.tolist()]


def test_where_the_format_says_the_order_nothing_is_left_out_and_no_loop_is_cut():
    unread = graph(("other", "lif"), a=Affine(np.ones((2, 3))), other=lif(3))
    unread = replace(unread, edges=(*unread.edges, ("in", "other", 0)))
    assert [layer.name for layer in lower(unread).layers] == ["other", "lif"]
    assert [layer.name for layer in lower(replace(unread, order=None)).layers] == ["lif"]
    loop = graph(("lif",), a=Affine(np.ones((2, 3))))
    loop = replace(loop, edges=(*loop.edges, ("lif", "lif", 0)))
    with pytest.raises(TclifError, match="model: layer lif: connection from lif: a loop without delay"):
        lower(loop)
    assert lower(replace(loop, order=None)).layers[0].connections[1].delay == 1


def test_batch_norms_before_and_behind_weights_are_folded_into_them():
    weight, bias = RNG.normal(size=(2, 3)), RNG.normal(size=2)
    before = BatchNorm("before", RNG.normal(size=3), RNG.uniform(1, 2, 3), RNG.normal(size=3), RNG.normal(size=3))
    behind = BatchNorm("behind", RNG.normal(size=2), RNG.uniform(1, 2, 2))
    nodes = {
        "in": Input(3),
        "before": before,
        "fc": Affine(weight, bias),
        "behind": behind,
        "lif": lif(),
        "out": Output(),
    }
    names = list(nodes)
    layer = lower(NetworkGraph("model", nodes, tuple((a, b, 0) for a, b in pairwise(names)))).layers[0]
    x = RNG.normal(size=3)
    normed = (x - before.mean) / np.sqrt(before.var + 1e-5) * before.weight + before.bias
    expected = (weight @ normed + bias - behind.mean) / np.sqrt(behind.var + 1e-5)
    np.testing.assert_allclose(layer.connections[0].weight @ x + layer.neuron.bias_u, expected, rtol=1e-12)


@pytest.mark.parametrize("neuron", ["tclif", "lif", "readout"])
def test_a_checkpoints_bias_of_minus_zero_stays_one(tmp_path, neuron):
    weights = checkpoints.state_dict((3, 4, 2))
    weights |= {f"features.{n}.bias": torch.full((size,), -0.0) for n, size in ((0, 4), (2, 2))}
    args = {**checkpoints.ARGS, "task": "SMNIST", "neuron": "lif" if neuron == "lif" else "tclif"}
    if neuron == "lif":
        del weights["features.1.decay_factor"]
    path = checkpoints.write_checkpoint(tmp_path / "net", args=args)
    torch.save({"state_dict": weights}, path)
    layer = load(path).layers[-1 if neuron == "readout" else 0]
    assert layer.neuron.type == neuron
    assert np.signbit(layer.neuron.bias_u).all()


def test_without_a_bias_a_live_modules_neurons_have_one_of_zero():
    model = nn.Sequential(nn.Linear(3, 4, bias=False), LIF(), nn.Linear(4, 2, bias=False))
    for layer in load(model).layers:
        assert not layer.neuron.bias_u.any()
        assert not np.signbit(layer.neuron.bias_u).any()


def test_our_own_graph_in_memory_comes_back_bit_for_bit(tmp_path):
    hidden = neurons.tclif(4, c1=RNG.normal(size=4), c2=0.3, gamma=0.5, threshold=1.0, bias=[-0.0, 0.0, 0.1, -0.1])
    links = (Connection("input", RNG.normal(size=(4, 3))), Connection("h", RNG.normal(size=(4, 4)), delay=1))
    network = Network(3, (Layer("h", hidden, links),))
    write_nir(network, tmp_path / "network.nir")
    assert equal(load(nir.read(tmp_path / "network.nir")), network)


def foreign() -> nir.NIRGraph:
    nodes = {
        "in": nir.Input(np.array([3])), "fc": nir.Affine(RNG.normal(size=(4, 3)), RNG.normal(size=4)),
        "lif": nir.LIF(*(np.full(4, value) for value in (1e-3, 10.0, 0.0, 1.0, 0.0))), "out": nir.Output(np.array([4])),
    }  # fmt: skip
    return nir.NIRGraph(nodes, [("in", "fc"), ("fc", "lif"), ("lif", "out")])


def test_another_tools_graph_in_memory_is_read_as_its_file_is(tmp_path):
    graph = foreign()
    nir.write(tmp_path / "network.nir", graph)
    network = load(graph, dt=1e-4)
    assert network.layers[0].neuron.type == "lif"
    assert equal(network, load(tmp_path / "network.nir", dt=1e-4))


def broken() -> nir.NIRGraph:
    graph = foreign()
    graph.nodes["fc"].weight[0, 0] = np.nan
    return graph


@pytest.mark.parametrize(
    ("graph", "options", "expected"),
    [
        (foreign(), {}, "NIRGraph: its neurons have time constants in seconds or steps"),
        (foreign(), {"dt": 1e-4, "gamma": 0.5}, "NIRGraph: a NIR graph says everything itself, gamma included"),
        (foreign(), {"example_input": np.ones((1, 5, 3))}, "an example input is for live modules"),
        (broken(), {"dt": 1e-4}, "NIRGraph: node fc: weight[0, 0] is nan"),
        (nir.NIRGraph({"in": object()}, [], type_check=False), {}, "NIRGraph: nir cannot write it"),
        (nir.Input(np.array([3])), {}, "cannot read a model from a Input"),
    ],
)  # fmt: skip
def test_a_graph_in_memory_that_cannot_be_read_is_one_line(graph, options, expected):
    with pytest.raises(TclifError) as caught:
        load(graph, **options)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_batch_norms_in_a_row_are_both_folded():
    model = nn.Sequential(nn.Linear(3, 4), LIF(), nn.BatchNorm1d(4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double().eval()
    for norm in (model[2], model[3]):
        norm.running_mean += torch.tensor(RNG.normal(size=4))
        norm.running_var *= torch.tensor(RNG.uniform(1, 2, 4))
    readout = load(model).layers[-1]
    x = RNG.normal(size=4)
    expected = model[2:](torch.tensor(x[None]))[0].detach().numpy()
    np.testing.assert_allclose(readout.connections[0].weight @ x + readout.neuron.bias_u, expected, rtol=1e-12)
