"""What the integers mean: the float network that they stand for, and the units in which they count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tclif_deploy import Dataset, TclifError, dequantize, load_target, neurons, quantize, simulate
from tclif_deploy.convolution import Conv
from tclif_deploy.fixed import (
    LAYER_ARRAYS,
    Arithmetic,
    FixedConnection,
    FixedLayer,
    FixedNetwork,
    InputEncoding,
    Int,
)
from tclif_deploy.network import INPUT, Connection, Layer, Network
from tclif_deploy.quantization import QuantizeSettings
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.simulation.partially_quantized import simulate_mixed
from tclif_deploy.simulation.quantized_parts import INPUT_PART, parts_of
from tests.helpers.random_networks import assert_alive, random_network

STEPS = 400

EXACT: dict[str, dict[str, Any]] = {
    "soft reset": {},
    "hard reset": {"reset": "hard", "v0": True},
    "recurrent, later connections, exponents": {"recurrent": True, "delay": 2, "forward_delay": 1, "exponent": 3},
    "feedback and skip": {"feedback": True, "skip": True},
    "biases and v(0)": {"bias": True, "v0": True},
    "u(0), v(0), s(-1)": {"u0": True, "v0": True, "s0": True, "recurrent": True, "delay": 2},
    "a hard reset that takes r_u, s(-1)": {"reset": "hard", "reset_u": True, "s0": True, "recurrent": True},
    "input to the soma": {"input_to": "soma", "recurrent": True, "bias": True},
    "convolutions": {"conv": True, "sizes": (1, 1, 1, 4)},
    "recurrent convolutions into the soma": {"conv": True, "recurrent": True, "input_to": "soma", "sizes": (1, 1, 4)},
    "a spiking last layer": {"spiking_output": True, "reset": "hard"},
}


def exact_network(seed: int, chosen: dict[str, Any]) -> tuple[FixedNetwork, Int]:
    """A network whose integer arithmetic rounds nothing and never overflows, with LSBs of all powers of two."""
    for attempt in range(seed, seed + 40):
        network, x = random_network(attempt, frac_bits=0, time=STEPS, density=0.1, **chosen)
        network = replace(network, arithmetic=replace(network.arithmetic, bits_u=32, bits_v=32))
        if all(layer.shift >= 0 for layer in network.layers):
            break
    else:
        raise AssertionError("every network shifts its current right")
    rng = np.random.default_rng(seed)
    layers = []
    for layer in network.layers:
        shared = max(c.neurons_per_row for c in layer.connections)
        lsb_u, lsb_v = (np.repeat(2.0 ** rng.integers(-20, -10, layer.size // shared), shared) for _ in "uv")
        layers.append(replace(layer, lsb_u=lsb_u, lsb_v=lsb_v))
    return replace(network, input=replace(network.input, lsb=2.0**-5), layers=tuple(layers)), x


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("seed", [1, 101])
def test_with_exact_scales_the_float_network_fires_as_its_integers_do(name, seed):
    network, x = exact_network(seed, EXACT[name])
    expected = simulate(network, x, spikes=True, engine="reference")
    assert expected.saturations == 0
    assert_alive(expected)
    result = simulate_float(dequantize(network), x * network.input.lsb)
    for layer, spikes in expected.spikes.items():
        np.testing.assert_array_equal(result.spikes[layer], spikes)
    np.testing.assert_array_equal(result.readout, expected.readout * network.readout_unit)


def test_a_reset_by_a_share_of_the_dendrite_keeps_its_meaning():
    integrators = neurons_of(3, a_u=[0, 0, 0], b_v=[1, 1, 1], q=[1, -1, 0], threshold=[50, 60, 70], r_v=[40, 30, 20])
    layer = replace(integrators, lsb_u=2.0 ** np.array([-3, -4, 2]), lsb_v=2.0 ** np.array([1, -7, -3]))
    weight = np.random.default_rng(0).integers(-9, 30, (3, 4))
    network = one_layer(replace(layer, connections=(FixedConnection(INPUT, weight),)), lsb=0.25)
    x = np.random.default_rng(1).integers(-1, 3, (2, STEPS, 4))
    expected = simulate(network, x, spikes=True, engine="reference")
    assert_alive(expected)
    without = simulate(one_layer(replace(network.layers[0], q=0 * layer.q), lsb=0.25), x, spikes=True)
    assert (without.spikes["a"] != expected.spikes["a"]).any()
    result = simulate_float(dequantize(network), x * 0.25)
    np.testing.assert_array_equal(result.spikes["a"], expected.spikes["a"])


def test_what_fired_above_the_threshold_fires_one_lsb_above_it():
    fires_above = neurons.integrate_and_fire(1, threshold=1.0, strict=True)
    network = Network(1, (Layer("a", fires_above, (Connection(INPUT, np.array([[0.25]])),)),))
    same = one_layer(neurons_of(1, b_v=[1], a_u=[0], threshold=[5], r_v=[4], lsb=0.25))
    steps = np.ones((1, 12, 1))
    expected = simulate_float(network, steps).spikes["a"]
    assert np.flatnonzero(expected[0, :, 0])[0] == 4
    np.testing.assert_array_equal(simulate_float(dequantize(same), steps).spikes["a"], expected)


def random_float_network(seed: int, *, soma: bool = False) -> tuple[Network, Dataset]:
    """A convolution, a recurrent layer that the input feeds too, and a readout, with real input."""
    rng = np.random.default_rng(seed)
    conv = Conv((2, 6, 6), stride=(2, 1), padding=(1, 1, 1, 1))
    kernel = rng.normal(0, 0.4, (3, 2, 3, 3))
    size = int(np.prod(conv.output_shape(kernel.shape)))
    first = neurons.tclif(size, c1=rng.normal(0, 1, size), c2=rng.normal(0, 1, size), gamma=0.5, threshold=1.0)
    adaptive = neurons.alif_yin(9, alpha=0.8, rho=0.9, beta=0.5, threshold=0.7, strict=True)
    rotating = neurons.tclif(9, c1=0.3, c2=-0.2, gamma=0.4, threshold=0.8, bias=rng.normal(0, 0.1, 9))
    into = (
        Connection("conv", rng.normal(0, 0.3, (9, size))),
        Connection("hidden", rng.normal(0, 0.2, (9, 9)), 1),
        Connection(INPUT, rng.normal(0, 0.02, (9, 72)), 2),
    )
    start = np.random.default_rng(seed + 1000)
    rotating = replace(
        rotating, u0=start.normal(0, 0.4, 9), v0=start.normal(0, 0.4, 9), s0=(start.random(9) < 0.5).astype(float)
    )
    first = replace(first, u0=start.normal(0, 0.4, size), s0=(start.random(size) < 0.3).astype(float))
    adaptive = replace(adaptive, u0=start.normal(0, 0.2, 9), s0=(start.random(9) < 0.5).astype(float))
    layers = (
        Layer("conv", first, (Connection(INPUT, kernel, conv=conv),)),
        Layer("hidden", adaptive if soma else rotating, into),
        Layer("out", neurons.readout(4, decay=0.9), (Connection("hidden", rng.normal(0, 0.3, (4, 9))),)),
    )
    return Network(72, layers), Dataset(rng.normal(0, 1.2, (10, 40, 72)))


@pytest.mark.parametrize("soma", [False, True])
def test_it_is_the_network_with_every_number_but_its_states_quantized(soma):
    network, data = random_float_network(3, soma=soma)
    fixed = quantize(network, "loihi2", data)
    numbers = [part for part in parts_of(network) if part[1] != "states" and part != INPUT_PART]
    expected = simulate_mixed(network, fixed, data, numbers, spikes=True)
    result = simulate_float(dequantize(fixed), data.values())
    assert 0.01 < expected.spikes.mean() < 0.6
    for layer, start in (("conv", 0), ("hidden", network.layers[0].size)):
        spikes = result.spikes[layer]
        np.testing.assert_array_equal(spikes, expected.spikes[:, :, start : start + spikes.shape[2]])
    np.testing.assert_allclose(result.readout, expected.readout, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("soma", [False, True])
def test_with_every_part_quantized_it_is_the_integers(soma):
    network, data = random_float_network(8, soma=soma)
    for target in ("loihi2", load_target("loihi2").override(rounding="nearest", state_bits=16)):
        fixed = quantize(network, target, data)
        expected = simulate(fixed, data, spikes=True)
        result = simulate_mixed(network, fixed, data, parts_of(network), spikes=True)
        fired = np.concatenate([expected.spikes[name] for name in ("conv", "hidden")], axis=2)
        np.testing.assert_array_equal(result.spikes[:, :, : fired.shape[2]], fired)
        np.testing.assert_array_equal(result.readout, expected.readout * fixed.readout_unit)


@pytest.mark.parametrize("soma", [False, True])
def test_a_weight_in_its_steps_rounds_to_its_integer(soma):
    network, data = random_float_network(4, soma=soma)
    fixed = quantize(network, "loihi2", data, QuantizeSettings(passes=()))
    for layer, quantized in zip(network.layers, fixed.layers, strict=True):
        for connection, integers in zip(layer.connections, quantized.connections, strict=True):
            steps = connection.weight / fixed.weight_step(quantized, integers)
            np.testing.assert_allclose(np.abs(steps - integers.weight).max(), 0.25, atol=0.25 + 1e-6)
            assert np.abs(integers.weight).max() > 10


def test_a_meaning_counted_in_its_unit_is_the_integer_again():
    network, data = random_float_network(5, soma=True)
    fixed = quantize(network, "loihi2", data)
    for layer in fixed.layers:
        for name in LAYER_ARRAYS:
            counted = fixed.from_real(layer, name, fixed.to_real(layer, name))
            np.testing.assert_allclose(counted, getattr(layer, name), rtol=1e-12, err_msg=name)


def test_a_meaning_lies_within_half_a_unit_of_what_was_quantized():
    network, data = random_float_network(6)
    fixed = quantize(network, "loihi2", data, QuantizeSettings(passes=()))
    meant = dequantize(fixed)
    for layer, original, quantized in zip(fixed.layers, network.layers, meant.layers, strict=True):
        for name in ("r_u", "r_v", "bias_u", "bias_v", "v0", "u0", "s0"):
            error = fixed.from_real(layer, name, getattr(original.neuron, name) - getattr(quantized.neuron, name))
            assert np.abs(error).max() <= 0.5 + 1e-9, name
        product = original.neuron.b_u * original.neuron.b_v
        np.testing.assert_allclose(quantized.neuron.b_u * quantized.neuron.b_v, product, rtol=1e-3, atol=1e-12)


def test_neurons_that_share_weights_but_not_lsbs_have_no_float_kernel():
    kernel = FixedConnection(INPUT, np.ones((1, 1, 1, 1), np.int64), conv=Conv((1, 1, 2)))
    layer = replace(neurons_of(2), connections=(kernel,), lsb_u=np.array([1.0, 2.0]))
    with pytest.raises(TclifError, match="layer a: connection from input: neurons that share its weights"):
        dequantize(one_layer(layer))


def test_a_float_network_has_nothing_to_dequantize():
    with pytest.raises(TclifError, match="is a Network; expected a FixedNetwork"):
        dequantize(random_float_network(0)[0])  # type: ignore[arg-type]


def neurons_of(size: int, lsb: float = 1.0, **arrays: list[int]) -> FixedLayer:
    """A layer of one input by weights of 1; everything is 0 but what is given, and decays, which are 1."""
    values: dict[str, Any] = {name: np.zeros(size, np.int64) for name in LAYER_ARRAYS}
    values |= {name: np.ones(size, np.int64) for name in ("a_u", "a_v")}
    values |= {name: np.array(value, np.int64) for name, value in arrays.items()}
    connection = FixedConnection(INPUT, np.ones((size, 1), np.int64))
    unit = np.full(size, lsb)
    return FixedLayer("a", (connection,), 0, **values, lsb_u=unit, lsb_v=unit, multiplier=np.ones(size, np.int64))


def one_layer(layer: FixedLayer, lsb: float = 1.0) -> FixedNetwork:
    """``layer`` alone, with products that are not rounded."""
    arithmetic = Arithmetic(0, "floor", 32, 32, "saturate", "saturate")
    return FixedNetwork(InputEncoding(layer.connections[0].sources, lsb, 8), arithmetic, (layer,))
