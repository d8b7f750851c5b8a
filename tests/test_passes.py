"""Passes that better a quantized network on calibration data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tclif_deploy import QuantizeSettings, TclifError, load, load_data, quantize, simulate
from tclif_deploy.quantize.passes import round_compensated
from tclif_deploy.simulate.floating import simulate_float
from tclif_deploy.target import load_target

from .test_quantize import LOIHI2, data, network


def correlated(rng: np.random.Generator, sources: int) -> np.ndarray:
    mixing = rng.normal(size=(sources, sources)) + 1.5
    return mixing @ mixing.T / sources


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 24), st.sampled_from([3, 7, 127]))
def test_compensated_rounding_leaves_less_error_than_rounding_alone(seed, sources, limit):
    rng = np.random.default_rng(seed)
    covariance = correlated(rng, sources)
    wanted = rng.uniform(-0.9 * limit, 0.9 * limit, (40, sources))
    ones = np.ones_like(wanted)
    found = round_compensated(wanted, covariance, ones, limit, 0.001)
    assert np.abs(found).max() <= limit

    def error(integers):
        return np.einsum("ni,ij,nj->", wanted - integers, covariance, wanted - integers)

    assert error(found) < error(np.rint(wanted))


def test_uncorrelated_sources_are_rounded_to_nearest():
    wanted = np.random.default_rng(0).uniform(-5, 5, (6, 9))
    found = round_compensated(wanted, np.diag(np.arange(1.0, 10.0)), np.ones_like(wanted), 7, 0.0)
    assert np.array_equal(found, np.rint(wanted))


def test_sources_of_other_steps_are_compensated_in_their_own_units():
    rng = np.random.default_rng(1)
    covariance, steps = correlated(rng, 12), np.ones((5, 12))
    steps[:, 6:] = 8.0
    real = rng.normal(0, 20, (5, 12))
    found = round_compensated(real / steps, covariance, steps, 127, 0.001) * steps
    nearest = np.rint(real / steps) * steps

    def error(weights):
        return np.einsum("ni,ij,nj->", real - weights, covariance, real - weights)

    assert error(found) < 0.7 * error(nearest)


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("name", ["compensate", "bias"])
def test_a_pass_changes_integers_and_keeps_them_in_the_format(name, recurrent):
    net = network(recurrent=recurrent)
    plain = quantize(net, LOIHI2.override(weight_bits=4), data(), QuantizeSettings(passes=()))
    found = quantize(net, LOIHI2.override(weight_bits=4), data(), QuantizeSettings(passes=(name,)))
    assert any(
        not np.array_equal(a.bias_u, b.bias_u)
        or any(not np.array_equal(c.weight, d.weight) for c, d in zip(a.connections, b.connections, strict=True))
        for a, b in zip(plain.layers, found.layers, strict=True)
    )
    for layer in found.layers:
        for connection in layer.connections:
            assert np.abs(connection.weight).max() <= 7


@pytest.mark.slow
def test_at_four_bits_compensation_saves_the_trained_network():
    net = load("fixtures/smnist_ff/checkpoint.pth.tar")
    test = load_data("fixtures/smnist_test.npz")[:100]
    real = simulate_float(net, test.real(), spikes=False).classes
    target = load_target("loihi2").override(weight_bits=4)
    agreement = {}
    for passes in ((), ("compensate",)):
        fixed = quantize(net, target, "fixtures/smnist_ff/calibration.npz", QuantizeSettings(passes=passes))
        agreement[passes] = float((simulate(fixed, test).classes == real).mean())
    assert agreement[("compensate",)] > agreement[()] + 0.05, agreement


def test_an_unknown_pass_is_refused_with_the_known_ones():
    with pytest.raises(TclifError, match="pass 'magic' is not known; known: compensate, bias"):
        QuantizeSettings(passes=("magic",))
