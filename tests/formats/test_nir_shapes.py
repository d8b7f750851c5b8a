"""Shapes as other tools write them: axes of time or of samples in Input and Output, a value a channel, or one."""

from __future__ import annotations

from itertools import pairwise

import nir
import numpy as np
import pytest

from tclif_deploy import TclifError, load
from tclif_deploy.comparison import equal
from tclif_deploy.network import Network

RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(0.2, 0.5, (7, 5))
KERNEL = RNG.normal(0.1, 0.3, (3, 2, 3, 3))


def lif(shape, **changes) -> nir.LIF:
    names = {"tau": 2e-3, "r": 3.0, "v_leak": 0.0, "v_threshold": 0.5}
    return nir.LIF(**{**{name: np.full(shape, value) for name, value in names.items()}, **changes})


def read(nodes: dict, first=(5,), last=(7,)) -> Network:
    """A chain of ``nodes`` between an Input and an Output of these shapes."""
    ends = {"input": nir.Input(np.array(first))}, {"output": nir.Output(np.array(last))}
    every = {**ends[0], **nodes, **ends[1]}
    names = list(every)
    graph = nir.NIRGraph(every, list(pairwise(names)), metadata={}, type_check=False)
    return load(graph, dt=1e-4, convention="nir")


def conv(**changes) -> nir.Conv2d:
    """A convolution that leaves its map as large as it was, and does not say how large."""
    every = {"input_shape": (0, 0), "weight": KERNEL, "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1),
             "groups": 1, "bias": np.zeros(3)}  # fmt: skip
    return nir.Conv2d(**{**every, **changes})


def same(a: Network, b: Network) -> None:
    assert a.input_size == b.input_size
    for one, two in zip(a.layers, b.layers, strict=True):
        assert equal(one.neuron, two.neuron)
        for c, d in zip(one.connections, two.connections, strict=True):
            assert (c.conv, c.delay) == (d.conv, d.delay)
            np.testing.assert_array_equal(c.weight, d.weight)


@pytest.mark.parametrize("first", [(60, 5), (1, 60, 5), (1, 5)])
@pytest.mark.parametrize("behind", ["weights", "scale"])
def test_axes_of_time_and_of_samples_are_left_out(first, behind):
    nodes = {"w": nir.Linear(WEIGHT), "n": lif(7)}
    if behind == "scale":
        nodes = {"s": nir.Scale(np.array([2.0])), **nodes}
    network = read(nodes, first, (*first[:-1], 7))
    same(network, read(nodes))
    told = [notice for notice in network.notices if "an axis of time or of samples: 5 a step" in notice]
    assert len(told) == (np.prod(first) != 5)


@pytest.mark.parametrize("first", [(60, 2, 8, 6), (1, 60, 2, 8, 6)])
@pytest.mark.parametrize("sides", [None, (0, 0), (8, 6)])
def test_so_they_are_before_a_convolution_and_a_pooling(first, sides):
    nodes = {"c": conv(input_shape=sides), "n": lif((3, 8, 6))}
    same(read(nodes, first, (3, 8, 6)), read(nodes, (2, 8, 6), (3, 8, 6)))
    pool = {"p": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])), "n": lif((2, 4, 3))}
    same(read(pool, first, (2, 4, 3)), read(pool, (2, 8, 6), (2, 4, 3)))


def test_what_fits_with_all_axes_keeps_them():
    nodes = {
        "f": nir.Flatten({"input": np.array([2, 4, 5])}, 0, -1),
        "w": nir.Linear(RNG.normal(size=(3, 40))),
        "n": lif(3),
    }
    assert read(nodes, (2, 4, 5), (3,)).input_size == 40
    with pytest.raises(TclifError, match="300 values meet a weight of shape"):
        read({"w": nir.Linear(RNG.normal(size=(3, 7))), "n": lif(3)}, (60, 5), (3,))


@pytest.mark.parametrize("shape", [(3, 1, 1), (3,)])
def test_one_value_a_channel_is_spread_over_its_map(shape):
    theta = np.array([0.5, 0.7, 0.9])
    thin = lif(shape, v_threshold=theta.reshape(shape))
    full = lif((3, 8, 6), v_threshold=np.broadcast_to(theta[:, None, None], (3, 8, 6)))
    head = {"f": nir.Flatten({"input": np.array([3, 8, 6])}, 0, -1), "w": nir.Linear(RNG.normal(size=(4, 144)))}
    tail = {**head, "out": lif(4)}
    network = read({"c": conv(), "n": thin, **tail}, (2, 8, 6), (4,))
    same(network, read({"c": conv(), "n": full, **tail}, (2, 8, 6), (4,)))
    np.testing.assert_array_equal(network.layers[0].neuron.threshold, np.repeat(theta, 48))


def test_a_scale_of_each_channel_and_a_convolution_behind_it():
    factors, second = np.array([0.5, 2.0, 1.5]), conv(weight=RNG.normal(0.1, 0.2, (2, 3, 3, 3)), bias=np.zeros(2))
    every = [
        {"c": conv(), "n": lif(1), "s": nir.Scale(scale), "d": second, "m": lif((2, 1, 1))}
        for scale in (factors.reshape(3, 1, 1), np.broadcast_to(factors[:, None, None], (3, 8, 6)).copy())
    ]
    same(*(read(nodes, (2, 8, 6), (2, 8, 6)) for nodes in every))


def test_one_value_for_all_neurons():
    for shape in ((), (1,), (1, 1, 1)):
        same(read({"w": nir.Linear(WEIGHT), "n": lif(shape)}), read({"w": nir.Linear(WEIGHT), "n": lif(7)}))
        maps = read({"c": conv(), "n": lif(shape)}, (2, 8, 6), (3, 8, 6))
        same(maps, read({"c": conv(), "n": lif((3, 8, 6))}, (2, 8, 6), (3, 8, 6)))


def test_as_many_values_as_a_square_map_has_columns_and_channels_are_refused():
    nodes = {"c": conv(input_shape=(3, 3)), "n": lif((3,), v_threshold=np.array([0.5, 0.7, 0.9]))}
    with pytest.raises(TclifError, match="27 values meet a node of 3"):
        read(nodes, (2, 3, 3), (3, 3, 3))
