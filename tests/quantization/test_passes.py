"""Passes that better a quantized network on calibration data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tclif_deploy import QuantizeSettings, TclifError, load, load_data, neurons, quantize, simulate
from tclif_deploy.comparison import equal
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.quantization import passes, quantizer
from tclif_deploy.quantization.kept_spikes import KeptSpikes
from tclif_deploy.quantization.rounding import CompensatedRounding, damped, response_error
from tclif_deploy.quantization.settings import PASSES
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.target import load_target
from tests.helpers.tclif_networks import LOIHI2, calibration_data, tclif_network


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
    rounded = CompensatedRounding(damped(covariance)).round(wanted, ones, limit)
    assert np.abs(rounded).max() <= limit

    def error(integers):
        return response_error(wanted - integers, covariance).sum()

    assert error(rounded) <= error(np.rint(wanted)) * (1 + 1e-12)  # equal where rounding alone is the best already


def test_uncorrelated_sources_are_rounded_to_nearest():
    wanted = np.random.default_rng(0).uniform(-5, 5, (6, 9))
    rounded = CompensatedRounding(np.diag(np.arange(1.0, 10.0))).round(wanted, np.ones_like(wanted), 7)
    assert np.array_equal(rounded, np.rint(wanted))


def test_sources_of_other_steps_are_compensated_in_their_own_units():
    rng = np.random.default_rng(1)
    covariance, steps = correlated(rng, 12), np.ones((5, 12))
    steps[:, 6:] = 8.0
    original = rng.normal(0, 20, (5, 12))
    rounded = CompensatedRounding(damped(covariance)).round(original / steps, steps, 127) * steps
    nearest = np.rint(original / steps) * steps

    def error(weights):
        return response_error(original - weights, covariance).sum()

    assert error(rounded) < 0.7 * error(nearest)


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("name", PASSES)
def test_a_pass_changes_integers_and_keeps_them_in_the_format(name, recurrent):
    net = tclif_network(recurrent=recurrent)
    plain = quantize(net, LOIHI2.override(weight_bits=4), calibration_data(), QuantizeSettings(passes=()))
    quantized = quantize(net, LOIHI2.override(weight_bits=4), calibration_data(), QuantizeSettings(passes=(name,)))
    assert any(
        not np.array_equal(a.bias_u, b.bias_u)
        or any(not np.array_equal(c.weight, d.weight) for c, d in zip(a.connections, b.connections, strict=True))
        for a, b in zip(plain.layers, quantized.layers, strict=True)
    )
    for layer in quantized.layers:
        for connection in layer.connections:
            assert np.abs(connection.weight).max() <= 7


@pytest.mark.parametrize("recurrent", [False, True])
def test_what_comes_after_a_layer_changes_nothing_of_it(recurrent):
    network = tclif_network(recurrent=recurrent)
    cut = Network(network.input_size, network.layers[:2])
    for a, b in zip(
        quantize(network, LOIHI2, calibration_data()).layers,
        quantize(cut, LOIHI2, calibration_data()).layers,
        strict=False,
    ):
        assert equal(a, b)


@pytest.mark.slow
def test_at_three_bits_the_passes_save_the_trained_network():
    net = load("fixtures/smnist_ff/checkpoint.pth.tar")
    test = load_data("fixtures/smnist_test.npz")[:100]
    float_classes = simulate_float(net, test.values(), spikes=False).classes
    target = load_target("loihi2").override(weight_bits=3)
    agreement = {}
    for names in ((), PASSES):
        fixed = quantize(net, target, "fixtures/smnist_ff/calibration.npz", QuantizeSettings(passes=names))
        agreement[names] = float((simulate(fixed, test).classes == float_classes).mean())
    assert agreement[PASSES] > max(agreement[()] + 0.1, 0.85), agreement


def test_a_neuron_with_one_input_gets_a_scale_that_holds_its_weight_exactly():
    weights = np.array([[1.0], [0.7331], [-0.3119], [0.2077]])
    layer = Layer("a", neurons.tclif(4, c1=0.0, c2=0.1, gamma=0.5, threshold=1.0), (Connection("input", weights),))
    out = Layer("out", neurons.readout(2), (Connection("a", np.ones((2, 4))),))
    net = Network(1, (layer, out))
    fixed = quantize(net, LOIHI2.override(weight_bits=4), calibration_data(features=1))
    fixed_layer = fixed.layers[0]
    held_weights = (
        fixed_layer.connections[0].weight[:, 0] * fixed_layer.lsb_u * 2.0**fixed_layer.shift / fixed.input.lsb
    )
    np.testing.assert_allclose(held_weights, weights[:, 0], rtol=1e-12)


def test_a_chosen_scale_costs_the_states_no_bit():
    for seed in range(4):
        net = tclif_network(seed)
        plain = quantize(net, LOIHI2, calibration_data(), QuantizeSettings(passes=()))
        quantized = quantize(net, LOIHI2, calibration_data(), QuantizeSettings(passes=("scales",)))
        assert all(a.shift <= b.shift for a, b in zip(plain.layers, quantized.layers, strict=True))


def test_the_bias_takes_out_what_rounding_leaves_of_the_mean_response():
    net = tclif_network()
    plain = quantize(net, LOIHI2.override(weight_bits=3), calibration_data(), QuantizeSettings(passes=()))
    quantized = quantize(net, LOIHI2.override(weight_bits=3), calibration_data(), QuantizeSettings(passes=("bias",)))
    float_readout = simulate_float(net, calibration_data().values()).readout.mean(axis=0)
    errors = [
        np.abs((simulate(f, calibration_data()).readout * f.output.lsb_v).mean(axis=0) - float_readout).mean()
        for f in (plain, quantized)
    ]
    assert errors[1] < errors[0]


def test_each_layer_has_weights_of_its_own_width():
    fixed = quantize(tclif_network(), LOIHI2, calibration_data(), QuantizeSettings(weight_bits=(3, 8, 5)))
    tops = [max(int(np.abs(c.weight).max()) for c in layer.connections) for layer in fixed.layers]
    assert [top <= limit for top, limit in zip(tops, (3, 127, 15), strict=True)] == [True] * 3
    assert tops[1] > 63


@pytest.mark.parametrize(
    ("bits", "message"),
    [((8, 8), "2 weight widths for 3 layers"), ((8, 9, 8), "layer b: 9-bit weights; loihi2 holds at most 8 bits")],
)
def test_weight_widths_that_do_not_fit_are_refused(bits, message):
    with pytest.raises(TclifError, match=message):
        quantize(tclif_network(), LOIHI2, calibration_data(), QuantizeSettings(weight_bits=bits))


def test_an_unknown_pass_is_refused_with_the_known_ones():
    with pytest.raises(TclifError, match=f"passes is 'magic'; known: {', '.join(PASSES)}"):
        QuantizeSettings(passes=("magic",))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["still", "spikes"])
def test_one_calibration_sample_is_enough_to_round_weights_together(kind):
    """Hundreds of inputs that a sample shows in a few ways only: what they have in common has no inverse of its own."""
    rng = np.random.default_rng(4)
    x = rng.integers(0, 256, (1, 1, 200)).repeat(25, axis=1) / 255
    if kind == "spikes":
        x = (rng.random((1, 60, 200)) < 0.2).astype(np.float32)
    weight = rng.normal(0, 0.1, (16, 200))
    hidden = Layer("h", neurons.integrate_and_fire(16, threshold=1.0), (Connection("input", weight),))
    out = Layer("out", neurons.readout(4), (Connection("h", rng.normal(size=(4, 16))),))
    fixed = quantize(Network(200, (hidden, out)), LOIHI2, x)
    error = fixed.layers[0].connections[0].weight * fixed.weight_step(fixed.layers[0], fixed.layers[0].connections[0])
    assert np.abs(error - weight).mean() < np.abs(weight).mean() / 20


def test_a_row_of_zeros_needs_no_scale():
    rng = np.random.default_rng(5)
    weight = rng.normal(size=(6, 3))
    weight[2] = 0.0
    hidden = Layer("h", neurons.lif(6, decay=0.9, threshold=1.0), (Connection("input", weight),))
    fixed = quantize(Network(3, (hidden,)), LOIHI2, rng.random((2, 20, 3)), QuantizeSettings(scale_floor=0.0))
    assert not fixed.layers[0].connections[0].weight[2].any()
    assert fixed.layers[0].threshold[2] > 0


def speech_error(bits):
    """The readout's error, a share of its spread, of a trained recurrent network."""
    net, test = load("fixtures/spoken_digits/checkpoint.pth.tar"), load_data("fixtures/spoken_digits/test.npz")[:60]
    expected = simulate_float(net, test.values(), lengths=test.lengths).readout
    target = load_target("loihi2").override(weight_bits=bits)
    fixed = quantize(net, target, "fixtures/spoken_digits/calibration.npz")
    readout = simulate(fixed, test).readout * fixed.output.lsb_v
    return float(np.sqrt(((readout - expected) ** 2).mean()) / expected.std())


def test_at_two_bits_scales_far_below_the_largest_weights_leave_less_error(monkeypatch):
    error = speech_error(2)
    monkeypatch.setitem(passes.KNOWN, "scales", passes.ChooseScales(low_narrow=0.8))
    assert error < 0.8 * speech_error(2)


def test_wide_weights_look_for_scales_near_the_largest_weights_only():
    scales = passes.ChooseScales()
    assert scales.factors(1).min() == scales.factors(passes.NARROW).min() == pytest.approx(0.15)
    assert scales.factors(passes.NARROW + 1).min() == scales.factors(127).min() == 0.8


def test_a_loop_is_driven_by_weights_that_fire_as_the_float_network_does(monkeypatch):
    net = tclif_network(recurrent=True)
    narrow, wide = (LOIHI2.override(weight_bits=bits) for bits in (2, 8))
    seen = []
    of = KeptSpikes.of

    def watched(self, layers, final):
        seen.append({int(np.abs(c.weight).max()) for layer in layers for c in layer.connections})
        return of(self, layers, final)

    monkeypatch.setattr(KeptSpikes, "of", watched)
    quantized = quantize(net, narrow, calibration_data())
    assert max(seen[0]) == 127  # layer a drives itself, and its own integers are not chosen yet
    assert max(int(np.abs(c.weight).max()) for layer in quantized.layers for c in layer.connections) == 1
    before = quantize(net, wide, calibration_data())
    monkeypatch.setattr(quantizer, "LOOP_BITS", 0)
    seen.clear()
    assert equal(quantize(net, wide, calibration_data()), before)
    quantize(net, narrow, calibration_data())
    assert max(seen[-1]) == 1


def test_a_stand_in_that_the_target_cannot_hold_leaves_the_layer_its_own(monkeypatch):
    net, narrow = tclif_network(recurrent=True), LOIHI2.override(weight_bits=2)
    monkeypatch.setattr(quantizer, "LOOP_BITS", 0)
    own = quantize(net, narrow, calibration_data())
    monkeypatch.undo()
    build = quantizer.build_layer

    def refusing(layer, chosen, context):
        if chosen.limit == 127:
            raise TclifError("threshold of neuron 0 is less than one LSB")
        return build(layer, chosen, context)

    monkeypatch.setattr(quantizer, "build_layer", refusing)
    assert equal(quantize(net, narrow, calibration_data()), own)
