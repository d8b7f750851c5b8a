"""Convolutions: what they compute, what two of them are together, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tclif_deploy import TclifError, neurons
from tclif_deploy.comparison import equal
from tclif_deploy.convolution import MOST_UNITS, Conv, Kernel, compose, pooling
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.network import INPUT, Connection, Layer, Network
from tclif_deploy.simulation import engine, reference
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers import oracle
from tests.helpers.oracle_equality import assert_equals_oracle
from tests.helpers.random_networks import (
    assert_alive,
    assert_same,
    drawn_network,
    network_options,
    random_kernels,
    random_network,
)

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


def torch_conv(kernel: Kernel, x: torch.Tensor) -> torch.Tensor:
    """The same by torch, of (samples, sources)."""
    conv = kernel.conv
    return torch.nn.functional.conv2d(
        x.reshape(-1, *conv.input_shape), torch.tensor(kernel.weight), stride=conv.stride,
        padding=conv.padding[:2], dilation=conv.dilation, groups=conv.groups,
    ).flatten(1)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(random_kernels(symmetric=True))
def test_a_convolution_is_torchs(kernel):
    x = np.random.default_rng(0).integers(-9, 10, (2, kernel.sources)).astype(np.float64)
    np.testing.assert_array_equal(kernel.apply(x), torch_conv(kernel, torch.as_tensor(x)).numpy())


@settings(max_examples=60, deadline=None)
@given(random_kernels())
def test_its_matrix_and_its_synapses_are_those_of_plain_python(kernel):
    wanted = oracle.matrix(kernel)
    assert kernel.matrix().tolist() == wanted
    x = np.arange(kernel.sources)[None] * 7 % 5
    np.testing.assert_array_equal(kernel.apply(x), x @ np.array(wanted).T)
    assert kernel.fan_in().tolist() == [sum(w != 0 for w in row) for row in wanted]
    assert kernel.fan_out().tolist() == [sum(w != 0 for w in row) for row in zip(*wanted, strict=True)]
    assert kernel.per_neuron(np.arange(len(kernel.weight))).shape == (kernel.neurons,)


@pytest.mark.slow
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_two_convolutions_are_one_where_that_is_exact(data):
    before = data.draw(random_kernels())
    assume(min(before.output_shape) >= 1)
    after = data.draw(random_kernels(before.output_shape))  # type: ignore[arg-type]
    joined = compose(after, before)
    product = after.matrix() @ before.matrix()
    if joined is not None:
        assert joined.output_shape == after.output_shape
        np.testing.assert_array_equal(joined.matrix(), product)
    else:
        assert any(after.conv.padding)


@pytest.mark.parametrize("pad", [0, 1, 2])
@pytest.mark.parametrize("shape", [(2, 8, 6), (2, 9, 7)])
def test_an_unpadded_pooling_and_a_convolution_are_one_but_where_padding_would_see_a_rest(pad, shape):
    pool = pooling(shape, (2, 2), (2, 2), (0, 0), average=True)
    weight = np.arange(2.0 * 3 * 9).reshape(3, 2, 3, 3)
    after = Kernel(weight, Conv(pool.output_shape, padding=(pad,) * 4))  # type: ignore[arg-type]
    joined = compose(after, pool)
    if pad and shape[1] % 2:
        assert joined is None  # row 8 is no part of the pooled map, but the padding around it would reach it
    else:
        assert joined is not None
        assert joined.weight.shape == (3, 2, 6, 6)
        assert joined.conv.stride == (2, 2)
        np.testing.assert_array_equal(joined.matrix(), after.matrix() @ pool.matrix())


def test_a_padded_convolution_after_a_padded_one_is_not_one_convolution():
    first = Kernel(np.ones((1, 1, 3, 3)), Conv((1, 5, 5), padding=(1, 1, 1, 1)))
    second = Kernel(np.ones((1, 1, 3, 3)), Conv((1, 5, 5), padding=(1, 1, 1, 1)))
    assert compose(second, first) is None


@pytest.mark.parametrize(("kind", "shape"), [("conv1d", (3, 1, 14)), ("conv2d", (2, 6, 7))])
def test_spikes_of_the_float_network_are_those_of_torch(kind, shape):
    """Two convolutional TC-LIF layers and a dense readout, straight in torch's float64, 60 steps."""
    rng = np.random.default_rng(3)
    size = (1, 3) if kind == "conv1d" else (3, 3)
    pad = (0, 1, 0, 1) if kind == "conv1d" else (1, 1, 1, 1)
    first = Kernel(rng.normal(0.1, 0.4, (4, shape[0], *size)), Conv(shape, padding=pad))
    stride = (1, 2) if kind == "conv1d" else (2, 2)
    second = Kernel(rng.normal(0.1, 0.4, (6, 2, *size)), Conv(first.output_shape, stride, groups=2))  # type: ignore[arg-type]
    layers, source = [], INPUT
    for name, kernel in (("a", first), ("b", second)):
        cell = neurons.tclif(kernel.neurons, c1=0.3, c2=-0.2, gamma=0.5, threshold=1.2)
        layers.append(Layer(name, cell, (Connection(source, kernel.weight, conv=kernel.conv),)))
        source = name
    readout = rng.normal(0, 0.3, (3, second.neurons))
    layers.append(Layer("out", neurons.readout(3), (Connection("b", readout),)))
    x = (rng.random((2, 60, first.sources)) < 0.2).astype(np.float64)
    result = simulate_float(Network(first.sources, tuple(layers)), x)

    state = {layer.name: [torch.zeros(2, layer.size).double() for _ in range(2)] for layer in layers}
    beta1, beta2 = -torch.sigmoid(torch.tensor(0.3).double()), torch.sigmoid(torch.tensor(-0.2).double())
    for t in range(60):
        s = torch.as_tensor(x[:, t])
        for name, kernel in (("a", first), ("b", second)):
            u, v = state[name]
            if kind == "conv1d":
                w, maps = torch.tensor(kernel.weight)[:, :, 0], s.reshape(2, -1, kernel.conv.input_shape[2])
                padding, stride_x = kernel.conv.padding[1], kernel.conv.stride[1]
                groups = kernel.conv.groups
                current = torch.nn.functional.conv1d(maps, w, padding=padding, stride=stride_x, groups=groups).flatten(
                    1
                )
            else:
                current = torch_conv(kernel, s)
            u = u + beta1 * v + current
            v = v + beta2 * u
            s = (v >= 1.2).double()
            state[name] = [u - 0.5 * s, v - 1.2 * s]
            np.testing.assert_array_equal(result.spikes[name][:, t], s.numpy().astype(bool))
    for name in ("a", "b"):
        assert 0.01 < result.spikes[name].mean() < 0.6


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(network_options(conv=True, sizes=(3, 6, 5, 3), samples=1, time=20))
def test_fixed_networks_equal_plain_integers(chosen):
    assert_equals_oracle(*drawn_network(**chosen))


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(network_options(conv=True))
def test_the_engine_runs_them_as_the_reference(chosen):
    network, x = drawn_network(**chosen)
    expected = reference.simulate(network, x)
    assert_alive(expected)
    assert_same(engine.simulate(network, x, spikes=True), expected)


def test_saved_networks_load_bit_for_bit(tmp_path):
    network, _ = random_network(6, conv=True, recurrent=True)
    assert any(c.kind == "conv" and c.conv.padding != (0, 0, 0, 0) for la in network.layers for c in la.connections)
    network.save(tmp_path / "a.npz")
    network.save(tmp_path / "b.npz")
    assert equal(FixedNetwork.load(tmp_path / "a.npz"), network)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv((2, 5, 5), stride=(0, 1)), r"stride is \(0, 1\).*at least 1"),
        (lambda: Conv((2, 5, 5), padding=(0, 0, -1, 0)), "padding is .*at least 0"),
        (lambda: Conv((2, 5, 5), dilation=(1, 0)), "dilation is"),
        (lambda: Conv((2, 5)), "input_shape is a tuple of 2; expected a tuple of 3"),  # type: ignore[arg-type]
        (lambda: Conv((3, 5, 5), groups=2), "2 groups of 3 channels"),
        (lambda: Conv((1, 1 << 20, 1 << 20)), f"maps of up to {MOST_UNITS}"),
        (lambda: Conv((1, 3, 3), padding=(1 << 40, 0, 0, 0)), f"maps of up to {MOST_UNITS}"),
        (lambda: Kernel(np.ones((2, 1, 3, 3)), Conv((2, 5, 5))), "kernel of shape .* meets 2 channels"),
        (lambda: Kernel(np.ones((3, 1, 3, 3)), Conv((2, 5, 5), groups=2)), "3 channels out of 2 groups"),
        (lambda: Kernel(np.ones((1, 1, 3, 6)), Conv((1, 5, 5))), "nothing is left"),
        (lambda: Kernel(np.ones((1 << 10, 1, 1, 1)), Conv((1, 1 << 10, 1 << 10))), "its output has shape"),
        (lambda: Kernel(np.ones((1, 1, 1, 1)), Conv((1, 1 << 8, 1 << 8))).matrix(), "65536 x 65536 weights"),
        (lambda: Connection("a", np.ones((2, 2)), conv=Conv((1, 2, 2))), "connection from a: a kernel of shape"),
        (
            lambda: Network(8, (Layer("a", neurons.lif(9, decay=0.5, threshold=1.0), (conv_link(),)),)),
            r"layer a: connection from input: it gives \(1, 3, 3\) of \(1, 3, 3\), expected \(9, 8\)",
        ),
    ],
)
def test_geometry_that_cannot_be_is_refused_in_one_line_before_memory_is_taken(make, message):
    with pytest.raises(TclifError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def conv_link() -> Connection:
    return Connection(INPUT, np.ones((1, 1, 1, 1)), conv=Conv((1, 3, 3)))
