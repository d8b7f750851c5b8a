"""Calibration data and targets that do not suit a network: refused or told, with the number and by how much."""

from dataclasses import replace

import numpy as np
import pytest

from tclif_deploy import QuantizeSettings, TclifError, compile, neurons, quantize
from tclif_deploy.data import Dataset
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.quantization.notices import input_notice, payload_notice
from tclif_deploy.target import load_target
from tclif_deploy.workflows.compile import CompileOptions
from tests.helpers.tclif_networks import LOIHI2, calibration_data, tclif_network


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((4, 9, 3), np.uint8), "calibration data are all zero; give samples of the real task"),
        (np.full((4, 9, 3), 7, np.uint8), "calibration data are constant: every value is 7"),
        (np.ones((4, 9, 5), np.uint8), "5 features a step, the network takes 3"),
    ],
)
def test_calibration_data_from_which_no_scale_can_come_are_refused(x, message):
    with pytest.raises(TclifError, match=message):
        quantize(tclif_network(), LOIHI2, Dataset(x))


def test_empty_calibration_data_are_refused():
    with pytest.raises(TclifError, match="at least one sample"):
        Dataset(np.zeros((0, 9, 3), np.uint8))


def test_data_of_another_scale_than_the_calibration_data_are_told():
    raw = replace(calibration_data(), scale=1.0, name="raw.npz")
    notice = input_notice(calibration_data(), raw)
    assert notice is not None
    assert "raw.npz is 255 times larger than data" in notice
    assert input_notice(raw, calibration_data()) == notice
    assert input_notice(calibration_data(), calibration_data(2)) is None


def test_real_values_into_a_target_of_spikes_alone_are_told(tmp_path):
    out = Layer("out", neurons.readout(2), (Connection("input", np.array([[0.5, -1.0], [1.0, 0.25]])),))
    network, rng = Network(2, (out,)), np.random.default_rng(0)
    real, spikes = Dataset(rng.normal(0, 1, (8, 20, 2))), Dataset(rng.integers(-1, 2, (8, 20, 2)).astype(np.int8))
    notice = payload_notice(real, quantize(network, "loihi1", real), load_target("loihi1"))
    assert "320 sizes besides 0" in notice
    assert "loihi1 takes a spike or none" in notice
    assert payload_notice(spikes, quantize(network, "loihi1", spikes), load_target("loihi1")) is None
    loihi2 = load_target("loihi2")
    assert payload_notice(real, quantize(network, loihi2, real), loihi2) is None
    few = quantize(network, loihi2, real, QuantizeSettings(passes=(), real_input_bits=2))
    assert "loihi2 takes more (--real-input-bits)" in payload_notice(real, few, loihi2)
    options = CompileOptions(backend="none", allow_misfit=True)
    told = [
        any("a spike or none" in notice for notice in compile(
            network, "loihi1", data=data, output=tmp_path / str(n), options=options
        ).notices)
        for n, data in enumerate((real, spikes))
    ]  # fmt: skip
    assert told == [True, False]


@pytest.mark.slow
def test_the_compiler_tells_it_too(tmp_path):
    raw = np.load("fixtures/spoken_digits/test.npz")
    path = tmp_path / "loud.npz"
    np.savez(path, x=raw["x"][:4], y=raw["y"][:4], scale=raw["scale"] * 20)
    build = compile(
        "fixtures/spoken_digits/checkpoint.pth.tar", "loihi2", data=path, output=tmp_path / "build",
        options=CompileOptions(backend="none"),
    )  # fmt: skip
    assert any("the input range differs" in notice for notice in build.notices)


def test_a_threshold_that_the_states_cannot_hold_says_how_many_bits_are_missing():
    with pytest.raises(TclifError, match=r"threshold of neuron \d+ is .* less than one LSB .* at least \d+ more state"):
        quantize(tclif_network(), LOIHI2.override(state_bits=4), calibration_data())


def test_couplings_that_do_not_fit_say_how_many_bits_they_need():
    neuron = neurons.tclif(2, c1=-9.0, c2=-9.0, gamma=0.5, threshold=1.0)
    net = Network(3, (Layer("a", neuron, (Connection("input", np.ones((2, 3))),)),))
    with pytest.raises(TclifError, match=r"do not fit in 12 .* at least 13 bits are needed"):
        quantize(net, LOIHI2, calibration_data())
    fits = quantize(net, LOIHI2.override(coefficient_bits=13), calibration_data(), QuantizeSettings(passes=()))
    assert abs(fits.layers[0].b_u).min() >= 1


def test_a_decay_that_becomes_none_is_told_with_the_bits_that_it_needs():
    leaky = Layer("a", neurons.lif(2, decay=0.9999, threshold=1.0), (Connection("input", np.ones((2, 3))),))
    fixed = quantize(Network(3, (leaky,)), LOIHI2.override(coefficient_bits=8), calibration_data())
    notices = [notice for notice in fixed.notices if "a_v of neuron 0 is 0.9999" in notice]
    assert notices
    assert "8 fractional bits round to 1: 14 are needed" in notices[0]


def test_a_narrow_threshold_that_costs_the_states_bits_is_told():
    fixed = quantize(tclif_network(), LOIHI2.override(threshold_bits=10), calibration_data())
    assert any("the target's width of threshold costs its states" in notice for notice in fixed.notices)
    assert quantize(tclif_network(), LOIHI2, calibration_data()).notices == ()


def test_neurons_that_lose_all_weights_are_told():
    net = tclif_network()
    small = net.layers[0].connections[0].weight.copy()
    small[3] *= 1e-4
    first = replace(net.layers[0], connections=(Connection("input", small),))
    settings = QuantizeSettings(passes=(), scale_floor=1.0)
    fixed = quantize(replace(net, layers=(first, *net.layers[1:])), LOIHI2, calibration_data(), settings)
    assert any("all weights from input into 1 of 16 neurons are rounded to 0" in notice for notice in fixed.notices)


@pytest.mark.parametrize(("bits", "samples", "enough"), [(2, 6, 32), (3, 6, 8), (4, 3, 4), (2, 1, 32)])
def test_too_few_samples_for_narrow_weights_are_told_with_how_many_would_help(bits, samples, enough):
    fixed = quantize(tclif_network(), LOIHI2.override(weight_bits=bits), calibration_data(samples=samples))
    s = "s" if samples > 1 else ""
    text = (
        f"{samples} calibration sample{s} for {bits}-bit weights, which are fitted to what they show: {enough} or more"
    )
    assert [n for n in fixed.notices if n.startswith(text)]


def test_enough_samples_wide_weights_and_no_passes_need_no_word():
    net, narrow = tclif_network(), LOIHI2.override(weight_bits=2)
    for target, samples, settings in (
        (narrow, 32, QuantizeSettings()),
        (LOIHI2, 1, QuantizeSettings()),
        (narrow, 1, QuantizeSettings(passes=())),
    ):
        fixed = quantize(net, target, calibration_data(samples=samples), settings)
        assert not [n for n in fixed.notices if "calibration sample" in n]


def test_ternary_weights_say_the_width_at_which_the_target_stores_them():
    net, few = tclif_network(), QuantizeSettings(passes=())
    ideal = load_target("ideal")
    said = "ideal stores every weight with 8 bits: 2-bit weights take as much memory"
    by_layer = replace(few, weight_bits=(8, 2, 8))
    assert said in quantize(net, ideal.override(weight_bits=2), calibration_data(), few).notices
    assert said in quantize(net, ideal, calibration_data(), by_layer).notices
    for target in (LOIHI2, load_target("ecp5-25f")):  # one mixes widths, the other is a circuit that is made for them
        assert not [
            n for n in quantize(net, target, calibration_data(), by_layer).notices if "stores every weight" in n
        ]
    assert not [n for n in quantize(net, ideal, calibration_data(), few).notices if "stores every weight" in n]
