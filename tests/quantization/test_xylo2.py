"""Quantizing for a machine whose current decays before it is used, by shifts alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tclif_deploy import Dataset, dequantize, load_target, mapping, neurons, quantize, simulate, verify
from tclif_deploy.fixed import LAYER_ARRAYS
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.quantization import CannotHold, QuantizeSettings
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers.random_networks import assert_alive
from tests.helpers.tclif_networks import tclif_network

XYLO2 = load_target("xylo2")


def cuba_network(decays: tuple[float, ...] = (0.25, 0.125), bias: float = 0.0) -> Network:
    """Two layers, the first recurrent, of decays in u and in v."""
    rng = np.random.default_rng(2)

    def neuron(size: int, threshold: float = 3.0) -> neurons.Neuron:
        return neurons.cuba_lif(
            size, current_decay=decays[0], voltage_decay=decays[1], threshold=threshold, reset="soft", strict=False,
            bias=bias,
        )  # fmt: skip

    first = Layer("a", neuron(20), (Connection("input", rng.normal(0.1, 0.5, (20, 8))),
                                    Connection("a", rng.normal(0, 0.2, (20, 20)), 1)))  # fmt: skip
    return Network(8, (first, Layer("b", neuron(5, 6.0), (Connection("a", rng.normal(0.2, 0.5, (5, 20))),))))


DATA = Dataset((np.random.default_rng(1).random((6, 60, 8)) < 0.2).astype(np.int8))


@pytest.mark.parametrize("passes", [(), ("scales", "compensate", "bias")])
@pytest.mark.parametrize("bias", [0.0, 0.05])
def test_decays_that_are_shifts_make_the_same_spikes_but_for_widths(passes, bias):
    """Weights of 16 bits and states of 24: a spike hangs on rules, not on rounding. One spike a step, as in float."""
    network, wide = cuba_network(bias=bias), XYLO2.override(state_bits=24, weight_bits=16, most_spikes=1)
    fixed = quantize(network, wide, DATA, QuantizeSettings(passes=passes))
    assert fixed.arithmetic == wide.arithmetic
    assert (fixed.arithmetic.input_first, fixed.arithmetic.least_step, fixed.arithmetic.rounding) == (
        True, True, "ceiling",
    )  # fmt: skip
    for layer in fixed.layers:
        assert (layer.a_u == 32768 - 8192).all()  # 1 - 2^-2
        assert (layer.a_v == 32768 - 4096).all()
        assert (layer.b_v == 32768).all()  # the soma takes u as it is: the decay is in its LSB
    result = simulate(fixed, DATA, spikes=True)
    assert_alive(result)
    want = simulate_float(network, DATA.values()).spikes
    for name, spikes in result.spikes.items():
        assert (spikes & want[name]).sum() / (spikes | want[name]).sum() > 0.98, name
    assert not [f for f in mapping.check(fixed, wide) if f.rule in ("arithmetic", "parameter_width")]


def test_a_decay_between_two_shifts_is_the_nearest_and_is_told():
    fixed = quantize(cuba_network((0.18, 0.125)), XYLO2, DATA)
    assert (fixed.layers[0].a_u == 32768 - 8192).all() or (fixed.layers[0].a_u == 32768 - 4096).all()
    assert "layer a: a_u of neuron 0 is 0.82, the nearest that xylo2 has is 0.875" in " ".join(fixed.notices)


def test_what_the_integers_mean_comes_back_as_the_same_integers():
    fixed = quantize(cuba_network(bias=0.05), XYLO2, DATA)
    meant = dequantize(fixed)
    np.testing.assert_allclose(meant.layers[0].neuron.b_v, 1.0, rtol=1e-12)
    again = quantize(meant, XYLO2, DATA[:1])
    assert "are kept as they are: a, b" in again.notices[-1]
    for a, b in zip(fixed.layers, again.layers, strict=True):
        for name in LAYER_ARRAYS:
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert all(np.array_equal(c.weight, d.weight) for c, d in zip(a.connections, b.connections, strict=True))


def test_a_neuron_that_fires_several_times_a_step_is_compared_by_the_number_of_its_spikes():
    network, wide = cuba_network(), XYLO2.override(state_bits=24, weight_bits=16)
    fixed = quantize(network, wide, DATA, QuantizeSettings(passes=()))
    verdict = verify(network, fixed, DATA)
    result, want = simulate(fixed, DATA, spikes=True), simulate_float(network, DATA.values()).spikes["a"]
    fired = result.spikes["a"]
    assert fired.dtype == np.uint8
    assert fired.max() > 1
    assert verdict.layers[0].jaccard == np.minimum(fired, want).sum() / np.maximum(fired, want).sum()
    assert verdict.layers[0].spike_rate_fixed == fired.mean()
    assert mapping.measure(fixed, DATA).rate("a") == (fired > 0).mean()


def test_neurons_of_which_no_current_would_be_left_are_refused():
    with pytest.raises(CannotHold, match=r"layer a: a_u of neuron 0 is 0, which becomes 0; xylo2 lets a current decay"):
        quantize(cuba_network((1.0, 0.125)), XYLO2, DATA)
    soma = replace(cuba_network().layers[1].neuron, input_to="soma")
    layer = Layer("s", soma, (Connection("input", np.ones((5, 8))),))
    with pytest.raises(CannotHold, match="layer s: its input enters the soma; xylo2's enters the dendrite"):
        quantize(Network(8, (layer,)), XYLO2, DATA)


def test_integers_of_another_machine_are_found():
    fixed = quantize(cuba_network(), XYLO2, DATA)
    found = [f for f in mapping.check(fixed, load_target("loihi2")) if f.rule == "arithmetic"]
    assert {f.subject for f in found} >= {"rounding", "least_step", "input_first", "each_addend"}
    other = quantize(cuba_network((0.18, 0.3)), "loihi2", DATA)
    assert any("2^k - 2^(k-d)" in f.limit for f in mapping.check(other, XYLO2))


def test_tc_lif_does_not_run_on_it():
    network = tclif_network(features=8)
    readout_free = Network(8, network.layers[:2])
    fixed = quantize(readout_free, XYLO2, DATA)
    assert any(f.rule == "neuron_kind" for f in mapping.check(fixed, XYLO2))
