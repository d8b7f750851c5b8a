"""The quantizer: couplings, scales, thresholds, input encoding, and what it refuses."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tclif_deploy import TclifError, neurons
from tclif_deploy.data import Dataset
from tclif_deploy.formulas import rotation_frequency
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.quantization import CannotHold, QuantizeSettings, quantize
from tclif_deploy.quantization.couplings import LEARNED_SHARE, MAX_LOG_LSB_RATIO, coupling_pair, nearest_pairs
from tclif_deploy.simulation import simulate
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.target import load_target
from tests.helpers.random_networks import assert_alive
from tests.helpers.tclif_networks import LOIHI2, calibration_data, tclif_network

IDEAL = load_target("ideal")


@given(st.floats(0.02, 0.98), st.floats(0.02, 0.98), st.sampled_from([8, 12, 16]))
def test_coupling_pair_is_the_best_of_all_pairs_in_the_gauge(b1, b2, k):
    pair = coupling_pair(-b1, b2, k)
    one = 2**k
    assert -one <= pair.b_u < 0 < pair.b_v <= one
    assert abs(math.log(pair.lsb_ratio)) <= 0.35 + 1e-12
    # exhaustive search in plain Python
    best = math.inf
    for b_v in range(1, one + 1) if k == 8 else ():
        b_u = round(b1 * b2 * 4**k / b_v)
        if 1 <= b_u <= one and abs(0.5 * math.log(b_u * b2 / (b1 * b_v))) <= 0.35:
            best = min(best, abs(b_u * b_v / (b1 * b2 * 4**k) - 1))
    error = abs(-pair.b_u * pair.b_v / (b1 * b2 * 4**k) - 1)
    assert error == pytest.approx(pair.error, abs=1e-15)
    assert error <= best + 1e-15
    assert error <= abs(round(b1 * one) * round(b2 * one) / (b1 * b2 * 4**k) - 1) + 1e-15


def test_coupling_pair_keeps_the_frequency_far_better_than_rounding_each_alone():
    rng = np.random.default_rng(0)
    paired, alone = [], []
    for b1, b2 in rng.uniform(0.2, 0.8, (200, 2)):
        omega = rotation_frequency(-b1, b2)
        pair = coupling_pair(-b1, b2, 12)
        paired.append(abs(rotation_frequency(pair.b_u / 4096, pair.b_v / 4096) / omega - 1))
        alone.append(abs(rotation_frequency(-round(b1 * 4096) / 4096, round(b2 * 4096) / 4096) / omega - 1))
    assert np.mean(paired) < np.mean(alone) / 100


@given(st.integers(0, 2**32 - 1), st.sampled_from([4, 8, 12, 16]))
def test_learned_couplings_keep_the_product_and_stay_near(seed, k):
    rng, one = np.random.default_rng(seed), 2**k
    signs = rng.choice([-1, 1], (2, 40))
    exact_u, exact_v = signs * rng.uniform(0.02, 1.1, (2, 40)) * one
    b_u, b_v = nearest_pairs(exact_u, exact_v, one)
    assert max(abs(b_u).max(), abs(b_v).max()) <= one
    near_u, near_v = (np.clip(np.rint(b), -one, one) for b in (exact_u, exact_v))
    product = exact_u * exact_v
    assert (abs(b_u * b_v - product) <= abs(near_u * near_v - product)).all()
    inside = (abs(exact_v) <= one) & (abs(exact_u) <= one * (1 - LEARNED_SHARE))
    assert (abs(b_v - exact_v) <= np.maximum(abs(exact_v) * LEARNED_SHARE, 0.5))[inside].all()
    # the same integers again, if nothing was learned
    assert all((a == b).all() for a, b in zip(nearest_pairs(b_u, b_v, one), (b_u, b_v), strict=True))
    tiny = nearest_pairs(np.array([0.3, 0.0, 7.6]), np.array([-9.7, 3.2, 0.0]), one)
    assert (tiny[0] == [0, 0, 8]).all()
    assert (tiny[1] == [-10, 3, 0]).all()


def test_learned_couplings_keep_the_product_eight_times_as_well_as_rounding_each_alone():
    b_u, b_v = np.random.default_rng(0).uniform(0.2, 0.8, (2, 1000)) * 4096
    searched, alone = np.multiply(*nearest_pairs(b_u, b_v, 4096)), np.rint(b_u) * np.rint(b_v)
    assert abs(searched / (b_u * b_v) - 1).mean() < abs(alone / (b_u * b_v) - 1).mean() / 8


@pytest.mark.parametrize("b_v", [0.3, 1.0, -2.5])
def test_without_feedback_the_gauge_makes_the_coupling_exact(b_v):
    pair = coupling_pair(0.0, b_v, 12)
    assert (pair.b_u, pair.b_v, pair.lsb_ratio) == (0, math.copysign(4096, b_v), abs(b_v))


def test_couplings_beyond_the_format_are_refused_with_the_numbers():
    with pytest.raises(TclifError, match=r"-1\.5 and 0\.9 do not fit in 12"):
        coupling_pair(-1.5, 0.9, 12)


@pytest.mark.slow
@pytest.mark.parametrize("target", [LOIHI2, IDEAL], ids=["loihi2", "ideal"])
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_integers_fit_the_targets_widths(target, recurrent, strict, reset):
    fixed = quantize(tclif_network(recurrent=recurrent, strict=strict, reset=reset), target, calibration_data())
    state = 2 ** (target.state_bits.value - 1) - 1
    for layer in fixed.layers:
        for connection in layer.connections:
            assert np.abs(connection.weight).max() <= 127
            assert np.abs(connection.weight).max() >= 60
        for name in ("threshold", "r_u", "r_v", "v_reset", "bias_u", "bias_v", "v0"):
            assert np.abs(getattr(layer, name)).max() <= state
        for name in ("a_u", "b_u", "a_v", "b_v"):
            assert np.abs(getattr(layer, name)).max() <= 2**target.coefficient_bits.value


@pytest.mark.slow
def test_wide_arithmetic_reproduces_the_float_network_almost_spike_for_spike():
    net, test = tclif_network(), calibration_data()
    target = IDEAL.override(weight_bits=16, coefficient_bits=24)
    fixed = quantize(net, target, test)
    x, clipped = fixed.input.encode(test.x, test.scale)
    a, b = simulate_float(net, test.values()), simulate(fixed, x, spikes=True, engine="reference")
    assert clipped == 0
    assert_alive(b)
    for name, spikes in a.spikes.items():
        assert (spikes & b.spikes[name]).sum() / (spikes | b.spikes[name]).sum() > 0.97
    scaled = b.readout * fixed.output.lsb_v
    assert np.abs(scaled - a.readout).max() < 0.1 * np.abs(a.readout).max()


def test_a_strict_comparator_is_one_integer_above():
    exact = Network(
        1,
        (Layer("a", neurons.tclif(1, c1=0, c2=0, gamma=0.5, threshold=1.0), (Connection("input", np.ones((1, 1))),)),),
    )
    strict = replace(exact, layers=(replace(exact.layers[0], neuron=replace(exact.layers[0].neuron, strict=True)),))
    test = calibration_data(features=1)
    a, b = (quantize(net, IDEAL, test).layers[0] for net in (exact, strict))
    # theta / LSB_v is a whole number here only by chance of the scales: compare with the definition
    ratio = 1.0 / a.lsb_v[0]
    assert a.threshold[0] == math.ceil(ratio)
    assert b.threshold[0] == math.floor(ratio) + 1


def test_scaling_one_neurons_row_changes_no_spike():
    fixed = quantize(tclif_network(), LOIHI2, calibration_data())
    test = calibration_data(5)
    x, _ = fixed.input.encode(test.x, test.scale)
    layer = fixed.layers[0]
    # twice everything that neuron 0 counts in, but for rounding: choose a machine without any
    exact = replace(fixed, arithmetic=replace(fixed.arithmetic, bits_u=32, bits_v=32))
    doubled = {}
    for name in ("threshold", "r_u", "r_v", "bias_u"):
        value = getattr(layer, name).copy()
        value[0] *= 2
        doubled[name] = value
    weight = layer.connections[0].weight.copy()
    weight[0] *= 2
    scaled = replace(layer, connections=(replace(layer.connections[0], weight=weight),), **doubled)
    a = simulate(exact, x, spikes=True, engine="reference").spikes["a"][:, :, 0]
    b = simulate(replace(exact, layers=(scaled, *exact.layers[1:])), x, spikes=True, engine="reference").spikes["a"][
        :, :, 0
    ]
    assert 0.01 < a.mean() < 0.6
    assert (a == b).mean() > 0.999


def test_integer_data_enter_unchanged_and_real_data_get_a_scale():
    counts = Dataset(np.random.default_rng(0).integers(0, 4, (4, 30, 3)))
    fixed = quantize(tclif_network(), LOIHI2, counts)
    x, clipped = fixed.input.encode(counts.x, counts.scale)
    assert fixed.input.lsb == 1.0
    assert np.array_equal(x, counts.x)
    assert clipped == 0
    real_data = Dataset(np.random.default_rng(0).normal(0, 2.0, (4, 30, 3)))
    fixed = quantize(tclif_network(), LOIHI2, real_data)
    x, clipped = fixed.input.encode(real_data.x, real_data.scale)
    assert clipped == 0
    assert np.abs(x * fixed.input.lsb - real_data.x).max() <= fixed.input.lsb / 2 + 1e-12
    x, clipped = fixed.input.encode(real_data.x * 100, real_data.scale)
    assert clipped > 0
    assert np.abs(x).max() == fixed.input.limit


def test_graded_input_beside_recurrence_keeps_its_weights_resolution():
    fixed = quantize(tclif_network(recurrent=True, features=1), LOIHI2, calibration_data(features=1))
    first = fixed.layers[0]
    assert first.connections[1].exponent > 0
    assert np.abs(first.connections[0].weight).max() > 60


def test_without_calibration_a_bound_is_used_and_said():
    fixed = quantize(tclif_network(), LOIHI2)
    assert "no calibration data" in fixed.notices[0]
    test = calibration_data()
    x, _ = fixed.input.encode(test.x, test.scale)
    result = simulate(fixed, x, spikes=True, engine="reference")
    assert result.saturations == 0
    assert result.spikes["a"].mean() > 0.01


def test_calibrated_states_do_not_overflow_on_the_calibration_data():
    test = calibration_data()
    fixed = quantize(tclif_network(), LOIHI2, test)
    x, _ = fixed.input.encode(test.x, test.scale)
    assert simulate(fixed, x, engine="reference").saturations == 0


def test_a_layer_scale_serves_targets_without_per_neuron_parameters():
    shared = load_target("loihi2").override(per_neuron_parameters=False)
    for layer in quantize(tclif_network(), shared, calibration_data()).layers:
        assert np.unique(layer.lsb_v).size == 1
        assert np.unique(layer.threshold).size == 1


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_readout_multipliers_compare_classes_as_the_real_readout_does(seed):
    net, test = tclif_network(seed), calibration_data(seed + 1, samples=3)
    fixed = quantize(net, IDEAL, test)
    x, _ = fixed.input.encode(test.x, test.scale)
    result = simulate(fixed, x, engine="reference")
    real_readout = result.readout * fixed.output.lsb_v
    margin = np.sort(real_readout, axis=1)
    clear = margin[:, -1] - margin[:, -2] > 1e-3 * np.abs(real_readout).max()
    assert np.array_equal(result.classes[clear], real_readout.argmax(axis=1)[clear])


def test_what_the_target_cannot_hold_is_refused_by_name():
    net = tclif_network()
    with pytest.raises(TclifError, match="4 features a step, the network takes 3"):
        quantize(net, LOIHI2, calibration_data(features=4))
    delayed = replace(net.layers[0], connections=(replace(net.layers[0].connections[0], delay=100),))
    with pytest.raises(TclifError, match="delay of 100 steps, loihi2 has at most 62"):
        quantize(Network(3, (delayed, *net.layers[1:])), LOIHI2, calibration_data())
    for target, a_v, most in (("loihi1", 1.2, "1"), ("loihi2", 1.99993, "1.99976"), ("loihi2", -0.1, "1.99976")):
        grows = replace(net.layers[0].neuron, a_v=np.full(16, a_v))
        with pytest.raises(TclifError, match=rf"a_v is {a_v:.6g}; {target} holds factors from 0 to {most}$"):
            quantize(Network(3, (replace(net.layers[0], neuron=grows),)), target, calibration_data())
    with pytest.raises(TclifError, match=r"headroom is 0\.5"):
        QuantizeSettings(headroom=0.5)


def test_numbers_beyond_64_bits_are_refused_by_layer():
    net = tclif_network()
    far = replace(net.layers[0].neuron, threshold=np.full(net.layers[0].size, 1e29))
    wild = replace(net, layers=(replace(net.layers[0], neuron=far), *net.layers[1:]))
    with pytest.raises(CannotHold, match=f"layer {net.layers[0].name}: a number is .*beyond 64 bits"):
        quantize(wild, LOIHI2, calibration_data())


@pytest.mark.parametrize("passes", [(), ("scales", "compensate", "bias")])
@pytest.mark.parametrize("size", [1e-30, 1e-12, 1e12, 1e29])
@pytest.mark.parametrize("what", ["weight", "threshold", "coupling", "x"])
def test_numbers_of_any_size_are_quantized_or_refused_without_a_warning(what, size, passes):
    scale = {name: size if what == name else 1.0 for name in ("weight", "threshold", "coupling", "x")}
    rng = np.random.default_rng(0)
    cells = neurons.two_compartment(
        4, alpha1=0.9, beta1=-0.2 * scale["coupling"], alpha2=0.9, beta2=0.5 * scale["coupling"],
        threshold=scale["threshold"],
    )  # fmt: skip
    layer = Layer("a", cells, (Connection("input", rng.uniform(-1, 1, (4, 3)) * scale["weight"]),))
    out = Layer("out", neurons.readout(2), (Connection("a", rng.normal(0, 1, (2, 4))),))
    data = Dataset(rng.normal(0, 1, (4, 6, 3)) * scale["x"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            fixed = quantize(Network(3, (layer, out)), LOIHI2, data, QuantizeSettings(passes=passes))
        except TclifError:
            return
    assert all(np.isfinite(la.lsb_u).all() and (la.lsb_u > 0).all() for la in fixed.layers)


@pytest.mark.parametrize(("b_u", "b_v"), [(1.8, -0.1), (30.0, 0.01), (0.001, 900.0), (1e-30, 1e30), (-5.0, 0.1999)])
def test_a_pair_far_from_equal_lsbs_is_found_where_the_product_fits(b_u, b_v):
    pair = coupling_pair(b_u, b_v, 12)
    assert max(abs(pair.b_u), abs(pair.b_v)) <= 4096
    assert pair.error < 1e-3
    assert pair.b_u / 4096 / pair.lsb_ratio == pytest.approx(b_u, rel=1e-3)
    assert pair.b_v / 4096 * pair.lsb_ratio == pytest.approx(b_v, rel=1e-3)
    assert abs(np.log(pair.lsb_ratio / np.sqrt(abs(b_v / b_u)))) <= MAX_LOG_LSB_RATIO


def test_a_reset_that_takes_much_of_the_dendrite_finds_an_lsb_ratio():
    neuron = neurons.alif_yin(12, alpha=0.9, rho=0.95, beta=1.8, threshold=1.0)  # b_v is -0.09, q is 1.9
    rng = np.random.default_rng(3)
    layer = Layer("a", neuron, (Connection("input", rng.normal(0.1, 0.5, (12, 6))),))
    fixed = quantize(Network(6, (layer,)), LOIHI2, Dataset(rng.poisson(0.5, (6, 60, 6))))
    (integers,) = fixed.layers
    assert 2048 < np.abs(integers.q).max() <= 4096
    np.testing.assert_allclose(fixed.to_real(integers, "b_v"), neuron.b_v, rtol=1e-12)
    np.testing.assert_allclose(fixed.to_real(integers, "q"), neuron.q, rtol=2e-4)


def test_couplings_of_any_size_are_refused_with_the_numbers():
    for b_u, b_v in ((1e30, 1e30), (1e-30, 1e-30), (1e-200, 1e-200), (0.5, 1e30)):
        with np.errstate(all="raise", under="ignore"), pytest.raises(TclifError, match="do not fit in 12 fractional"):
            coupling_pair(b_u, b_v, 12)
