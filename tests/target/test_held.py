"""Thresholds that count in steps, biases with an exponent of their own: what a register holds, and what does not fit.

The rules are nengo-loihi 1.1's words (builder/discretize.py), in plain Python: ``vth_to_manexp`` divides by 2^6 and
rounds; ``bias_to_manexp`` takes the least exponent at which the mantissa is at most 4095, and rounds.
"""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tclif_deploy import TclifError, mapping, neurons, quantize
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.target import largest_held, load_target, nearest_held
from tests.helpers.tclif_networks import calibration_data

LOIHI1 = load_target("loihi1")


def register_of_a_threshold(theta: int) -> int:
    """The mantissa of a machine that fires above 64 times it, for a layer that fires at ``theta``."""
    return round(Fraction(theta - 1, 64))


def register_of_a_bias(bias: int) -> tuple[int, int]:
    exponent = math.ceil(math.log2(max(Fraction(abs(bias), 4095), 1)))
    return round(Fraction(bias, 2**exponent)), exponent


@given(st.integers(-(2**23), 2**23))
def test_a_threshold_is_the_registers_own(theta):
    held = int(nearest_held(LOIHI1, "threshold", np.array([theta]))[0])
    assert held == 64 * register_of_a_threshold(theta) + 1
    assert int(nearest_held(LOIHI1, "threshold", np.array([held]))[0]) == held


@given(st.integers(-4095 * 128, 4095 * 128), st.sampled_from(["bias_u", "bias_v", "v0"]))
def test_a_bias_is_the_registers_own(bias, name):
    held = int(nearest_held(LOIHI1, name, np.array([bias]))[0])
    mantissa, exponent = register_of_a_bias(bias)
    assert abs(mantissa) <= 4095
    assert exponent <= 7
    assert held == mantissa * 2**exponent
    assert int(nearest_held(LOIHI1, name, np.array([held]))[0]) == held


def test_other_numbers_and_other_targets_are_as_they_were():
    values = np.array([1, 63, 64, 4097, 262143])
    assert nearest_held(LOIHI1, "r_v", values) is values
    for name in ("threshold", "bias_u", "r_u"):
        assert nearest_held(load_target("loihi2"), name, values) is values
        assert largest_held(load_target("loihi2"), name) == 2**23 - 1


def lif(threshold=1.0, bias=0.0, size=6):
    rng = np.random.default_rng(0)
    neuron = neurons.cuba_lif(size, current_decay=0.5, voltage_decay=0.125, threshold=threshold, bias_v=bias)
    weight = rng.normal(0, 0.4, (size, 4))
    return Network(4, (Layer("a", neuron, (Connection("input", weight),)),))


@pytest.mark.parametrize("bias", [0.0, np.linspace(-0.01, 0.2, 6)])
def test_quantizing_for_loihi1_gives_what_its_registers_hold_and_costs_its_states_no_bit(bias):
    network, data = lif(bias=bias), calibration_data(features=4)
    fixed = quantize(network, LOIHI1, data)
    layer, wide = fixed.layers[0], quantize(network, LOIHI1.override(state_bits=24), data).layers[0]
    assert layer.shift == wide.shift, "the threshold's and the bias's width cost bits"
    assert np.array_equal(layer.threshold, [64 * register_of_a_threshold(int(t)) + 1 for t in wide.threshold])
    held = [register_of_a_bias(int(b)) for b in wide.bias_v]
    assert np.array_equal(layer.bias_v, [mantissa * 2**exponent for mantissa, exponent in held])
    assert not [f for f in mapping.check(fixed, LOIHI1) if f.rule == "parameter_width"]


def test_a_threshold_of_less_than_half_a_step_is_refused():
    coarse = LOIHI1.override(threshold_step=2**20, threshold_bits=4)
    with pytest.raises(TclifError, match=r"less than half a step of 1048576 LSB .*at least \d+ more state bit"):
        quantize(lif(threshold=1e-3), coarse, calibration_data(features=4))


def test_integers_between_what_a_register_holds_are_found_before_they_reach_it():
    fixed = quantize(lif(bias=0.1), LOIHI1, calibration_data(features=4))
    layer = fixed.layers[0]
    moved = replace(layer, threshold=layer.threshold + 3, bias_v=layer.bias_v + 4095 * 64 + 1)
    found = {
        f.subject: f for f in mapping.check(replace(fixed, layers=(moved,)), LOIHI1) if f.rule == "parameter_width"
    }
    assert found["a: threshold of neuron 0"].limit == f"{int(layer.threshold[0])} is the nearest"
    assert any(subject.startswith("a: bias_v of neuron") for subject in found)


def test_an_override_of_the_states_width_moves_thresholds_and_biases_with_it():
    wide = LOIHI1.override(state_bits=20)
    assert (wide.threshold_step, wide.bias_exponent, wide.threshold_bits.value) == (None, None, 20)
