"""Numbers that are integers already come back as they were; where a target does not hold them, it is said and they are
quantized like any others."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from tclif_deploy import Dataset, Network, dequantize, load_target, neurons, quantize, simulate
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import LAYER_ARRAYS, FixedNetwork
from tclif_deploy.grid import InputGrid, LayerGrid
from tclif_deploy.network import Connection, Layer
from tclif_deploy.quantization import QuantizeSettings
from tclif_deploy.target import Target
from tests.helpers.random_networks import random_network
from tests.helpers.tclif_networks import calibration_data, tclif_network

LOIHI1, LOIHI2, IDEAL = (load_target(name) for name in ("loihi1", "loihi2", "ideal"))
KEPT = "the model's own weights, factors, thresholds and biases are kept as they are: "


def machine_of(fixed: FixedNetwork) -> Target:
    """A target that computes like a random network, and holds all that it holds."""
    m = fixed.arithmetic
    return IDEAL.override(
        weight_bits=16, state_bits=32, coefficient_bits=m.frac_bits, rounding=m.rounding, overflow_u=m.overflow_u,
        overflow_v=m.overflow_v, input_bits=32,
    )  # fmt: skip


def assert_same_integers(one: FixedNetwork, other: FixedNetwork, but: str = "") -> None:
    assert one.input == other.input
    assert one.arithmetic.frac_bits == other.arithmetic.frac_bits
    for a, b in zip(one.layers, other.layers, strict=True):
        for name in (*LAYER_ARRAYS, "multiplier", "lsb_u", "lsb_v"):
            if name == but:
                continue
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=f"{a.name}: {name}")
        for c, d in zip(a.connections, b.connections, strict=True):
            np.testing.assert_array_equal(c.weight, d.weight)
            # a factor that all connections share may as well be in the layer's own shift
            assert c.exponent + a.shift == d.exponent + b.shift


CASES: dict[str, dict] = {
    "tc-lif": {"leaky": True},
    "recurrent, biases, exponents": {"recurrent": True, "bias": True, "exponent": 3, "delay": 2},
    "hard reset, v(0), q": {"reset": "hard", "v0": True, "leaky": True},
    "u(0), s(-1)": {"u0": True, "v0": True, "s0": True, "recurrent": True, "delay": 2},
    "a hard reset that takes r_u": {"reset": "hard", "reset_u": True, "s0": True, "recurrent": True},
    "q into the soma": {"q": True, "input_to": "soma", "bias": True},
    "convolutions": {"conv": True, "recurrent": True, "sizes": (1, 1, 1, 4)},
    "feedback, skips, nearest": {"feedback": True, "skip": True, "rounding": "nearest", "frac_bits": 9},
    "a spiking last layer": {"spiking_output": True},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_what_integers_mean_is_quantized_to_the_same_integers(case, seed):
    fixed, x = random_network(seed, **CASES[case])
    target = machine_of(fixed)
    # other data would choose other scales; without any, a bound would be refused where q is not 0
    for calibration in (None, Dataset(np.asarray(x[:1] * 7 + 1))):
        again = quantize(dequantize(fixed), target, calibration)
        assert_same_integers(fixed, again, but="multiplier")  # here random, in a quantized network from the LSBs
        assert again.notices == (KEPT + ", ".join(layer.name for layer in fixed.layers),)


@pytest.mark.parametrize("recurrent", [False, True])
def test_a_quantized_network_comes_back_exactly_whatever_the_calibration(recurrent):
    network = tclif_network(recurrent=recurrent)
    fixed = quantize(network, LOIHI2, calibration_data())
    meant = dequantize(fixed)
    for data in (calibration_data(seed=9), Dataset(np.random.default_rng(0).normal(0, 1, (4, 30, 3)))):
        assert_same_integers(fixed, quantize(meant, LOIHI2, data))
    # without its grid it is like any other network
    bare = replace(meant, layers=tuple(replace(la, grid=None) for la in meant.layers), input_grid=None)
    with pytest.raises(AssertionError):
        assert_same_integers(fixed, quantize(bare, LOIHI2, calibration_data(seed=9)))


def lif(weight=((4.0, -2.0), (0.0, 1.0)), **changes) -> Network:
    """Two neurons in netx's numbers, with its grid."""
    values = {"current_decay": 1.0, "voltage_decay": 1024 / 4096, "threshold": 25.0, "bias_v": [3.0, -2.0], **changes}
    units = np.full(2, 2.0**-6)
    layer = Layer("a", neurons.cuba_lif(2, **values), (Connection("input", np.array(weight)),),
                  LayerGrid(24, units, units, (np.ones(2),)))  # fmt: skip
    return Network(2, (layer,), input_grid=InputGrid(1.0))


SPIKES = Dataset((np.random.default_rng(3).random((4, 30, 2)) < 0.5).astype(np.int8))


def test_a_machine_of_more_bits_holds_what_one_of_fewer_does():
    network = lif(threshold=6.0)
    fixed = quantize(network, LOIHI2.override(coefficient_bits=15), SPIKES)
    assert (fixed.layers[0].a_v == 24576).all()  # 3072 of 4096
    assert fixed.layers[0].connections[0].weight.tolist() == [[4, -2], [0, 1]]
    a, b = (simulate(f, SPIKES.x, spikes=True).spikes["a"] for f in (fixed, quantize(network, LOIHI1, SPIKES)))
    assert 0.01 < a.mean() < 0.6
    assert (a == b).all()


def test_weights_beyond_the_width_are_held_where_only_zeros_are_shifted_out():
    even = [[254.0, -2.0], [0.0, 128.0]]
    connection = quantize(lif(even), LOIHI1, SPIKES).layers[0].connections[0]
    assert (connection.weight.tolist(), connection.exponent) == ([[127, -1], [0, 64]], 1)


@pytest.mark.parametrize(
    ("network", "target", "reason"),
    [
        (lif([[129.0, -2.0], [0.0, 1.0]]), LOIHI1, "the weight from input at 0, 0 is 129, 127 is the most"),
        (lif([[4.0, -2.5], [0.0, 1.0]]), LOIHI1, "the weight from input at 0, 1 is -2.5 units, not a whole number"),
        (lif(voltage_decay=1 / 4096), LOIHI1.override(coefficient_bits=8),
         "a_v of neuron 0 is 255.9375 counts of 1/256, not a whole number"),
        (lif(current_decay=0.0), LOIHI1, "a_u of neuron 0 is 4,096, the nearest that loihi1 holds is 4,095"),
        (lif(threshold=25.5), LOIHI1, "threshold of neuron 0 is 1,633, the nearest that loihi1 holds is 1,665"),
        (lif(threshold=131072.0), LOIHI1, "threshold of neuron 0 is 8,388,609, loihi1 holds 8,388,545"),
        (lif(bias_v=[8191.0, 0.0]), LOIHI1, "bias_v of neuron 0 is 524,224, loihi1 holds 524,160"),
        (lif(bias_v=[4097.0, 0.0]), LOIHI1, "bias_v of neuron 0 is 262,208, the nearest that loihi1 holds is 262,144"),
        (lif(bias_v=[0.0, 1 / 128]), LOIHI1, "bias_v of neuron 1 is 0.5 units, not a whole number"),
        (lif(), LOIHI2.override(state_bits=9), "u of neuron 0 reaches 256, 9 bits hold 255"),
    ],
)  # fmt: skip
def test_a_grid_that_the_target_does_not_hold_is_told_and_the_layer_quantized_as_usual(network, target, reason):
    said = quantize(network, target, SPIKES)
    bare = quantize(
        replace(network, layers=tuple(replace(la, grid=None) for la in network.layers), input_grid=None), target, SPIKES
    )
    told = [line for line in said.notices if line not in bare.notices]
    assert len(told) == 1
    assert told[0].startswith(f"layer a: the model's own integers are not kept, since {reason}")
    assert told[0].endswith("; quantized as usual")
    assert_same_integers(said, bare)


def test_neurons_of_unequal_units_are_not_kept_where_a_layer_has_one_threshold():
    fixed = quantize(tclif_network(), LOIHI2, calibration_data())
    shared = LOIHI2.override(per_neuron_parameters=False)
    notices = quantize(dequantize(fixed), shared, calibration_data()).notices
    assert "layer a: the model's own integers are not kept, since its neurons' LSBs differ, and loihi2 has one" in (
        " ".join(notices)
    )


def test_narrower_weights_that_are_asked_for_are_not_the_models_own():
    narrow = QuantizeSettings(weight_bits=(3,))
    fixed = quantize(lif([[4.0, -3.0], [0.0, 1.0]]), LOIHI1, SPIKES, narrow)
    assert "the weight from input at 0, 0 is 4, 3 is the most" in fixed.notices[0]
    assert np.abs(fixed.layers[0].connections[0].weight).max() == 3


def test_an_input_that_is_no_whole_number_is_scaled_as_usual():
    real = Dataset(np.random.default_rng(0).normal(0, 1, (3, 20, 2)), name="real data")
    fixed = quantize(lif(), LOIHI2, real)
    why = r"since real data has -?0\.\d+, no whole number of 1; scaled as usual"
    assert re.fullmatch(f"input: the model's own integers are not kept, {why}", fixed.notices[0])
    assert "layer a: the model's own integers are not kept, since one unit of its finest weight is" in fixed.notices[1]
    assert "no power of two" in fixed.notices[1]
    big = Dataset(np.array([[[0, 5], [1, 0]]]), name="counts")
    assert "since counts reaches 5, 1 is the most of loihi1" in quantize(lif(), LOIHI1, big).notices[0]


def test_one_input_a_row_is_on_every_grid_and_none_is_guessed():
    one = Network(1, (Layer("a", neurons.lif(4, decay=0.9, threshold=1.0),
                            (Connection("input", np.array([[3.0], [1.0], [2.0], [5.0]])),)),))  # fmt: skip
    data = Dataset(np.array([[[0], [1], [1]]]))
    fixed = quantize(one, LOIHI2, data)
    assert not any("kept" in line for line in fixed.notices)
    assert np.abs(fixed.layers[0].connections[0].weight).max() > 100


def test_units_that_do_not_belong_to_the_layer_are_refused():
    layer = lif().layers[0]
    for steps, words in (((), r"\(2, 2\) rows, expected \(2, 2, 2\)"), ((np.ones(3),), r"\(2, 2, 3\) rows")):
        with pytest.raises(TclifError, match=f"layer a: its grid has units for {words}"):
            replace(layer, grid=LayerGrid(24, np.ones(2), np.ones(2), steps))
    with pytest.raises(TclifError, match=r"grid: steps\[0\] of shape \(2,\) is not one positive number for each"):
        LayerGrid(24, np.ones(2), np.ones(2), (np.array([1.0, 0.0]),))
