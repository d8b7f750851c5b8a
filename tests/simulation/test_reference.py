"""The reference simulator against the tests' own plain-integer arithmetic."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tclif_deploy import TclifError
from tclif_deploy.comparison import equal
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.simulation import reference
from tests.helpers import oracle
from tests.helpers.oracle_equality import assert_equals_oracle
from tests.helpers.random_networks import STARTS, drawn_network, network_options, random_network

SMALL = {"sizes": (3, 6, 5, 3), "samples": 2, "time": 25}


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(network_options(sizes=(3, 6, 5, 3), samples=2, time=25, conv=False))
def test_every_option_equals_plain_integers(chosen):
    assert_equals_oracle(*drawn_network(**chosen))


@pytest.mark.parametrize("rounding", ["toward_zero", "floor", "nearest"])
@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_overflowing_states_equal_plain_integers(rounding, overflow, reset):
    network, x = random_network(
        7, rounding=rounding, overflow_u=overflow, overflow_v=overflow, reset=reset, saturating=True, bits_u=12,
        bits_v=14, recurrent=True, **SMALL,
    )  # fmt: skip
    assert reference.simulate(network, x).saturations > 0
    assert_equals_oracle(network, x)


@pytest.mark.parametrize("options", STARTS.values(), ids=STARTS)
def test_starts_and_a_hard_reset_of_the_dendrite_equal_plain_integers(options):
    network, x = random_network(3, recurrent=True, feedback=True, **options, **SMALL)
    assert_equals_oracle(network, x)
    without = replace(network, layers=tuple(replace(la, s0=0 * la.s0) for la in network.layers))
    one, other = (reference.simulate(each, x) for each in (network, without))
    differs = any((one.spikes[name] != other.spikes[name]).any() for name in one.spikes)
    assert differs == any(la.s0.any() for la in network.layers)


@pytest.mark.slow
@given(st.integers(-(2**40), 2**40), st.integers(0, 24), st.sampled_from(["toward_zero", "floor", "nearest"]))
def test_rounding_shift_equals_plain_integers(p, k, mode):
    assert reference.rnd(np.array([p]), k, mode)[0] == oracle.rnd(p, k, mode)


@given(st.integers(-(2**40), 2**40), st.integers(2, 32), st.sampled_from(["saturate", "wrap"]))
def test_overflow_equals_plain_integers(x, bits, mode):
    assert reference.ovf(np.array([x]), bits, mode)[0] == oracle.ovf(x, bits, mode)


def test_readout_is_taken_at_each_samples_length():
    network, x = random_network(3, **SMALL)
    lengths = np.array([10, 25])
    result = reference.simulate(network, x, lengths=lengths)
    short = reference.simulate(network, x[:1, :10])
    assert short.readout[0].tolist() == result.readout[0].tolist()
    assert short.readout.any()


def test_spikes_are_counted_up_to_each_samples_length():
    network, x = random_network(3, **SMALL)
    result = reference.simulate(network, x, lengths=np.array([10, 25]), counts=True)
    for name, spikes in result.spikes.items():
        assert np.array_equal(result.counts[name], [spikes[0, :10].sum(axis=0), spikes[1].sum(axis=0)])
        assert result.counts[name].any()


def test_traces_end_in_the_final_states():
    network, x = random_network(4, **SMALL)
    result = reference.simulate(network, x, traces=["layer0"])
    u, v = result.traces["layer0"]
    assert np.array_equal(u[:, -1], result.u["layer0"])
    assert np.array_equal(v[:, -1], result.v["layer0"])
    assert np.unique(u).size > 10


def test_classes_compare_scaled_readouts_and_ties_go_to_the_lowest():
    network, x = random_network(5, **SMALL)
    result = reference.simulate(network, x)
    scaled = [[int(v) * int(m) for v, m in zip(row, network.output.multiplier, strict=True)] for row in result.readout]
    assert result.classes.tolist() == [row.index(max(row)) for row in scaled]


def test_saved_network_loads_bit_for_bit_and_saves_the_same_bytes(tmp_path):
    network, _ = random_network(6, recurrent=True, q=True, bias=True, **SMALL)
    network.save(tmp_path / "a.npz")
    network.save(tmp_path / "b.npz")
    assert equal(FixedNetwork.load(tmp_path / "a.npz"), network)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04broken"])
def test_a_broken_fixed_network_file_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "fixed.npz").write_bytes(content)
    with pytest.raises(TclifError, match="not a compiled network") as error:
        FixedNetwork.load(tmp_path / "fixed.npz")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((0, 5, 3), int), "0 samples"),
        (np.zeros((2, 0, 3), int), "0 steps"),
        (np.zeros((2, 5, 4), int), "takes 3"),
        (np.zeros((5, 3), int), "expected \\(samples, time, features\\)"),
        (np.zeros((2, 5, 3)), "expected an array of whole numbers"),
        (np.full((2, 5, 3), 10**6), "payload"),
    ],
)
def test_wrong_input_is_refused_with_the_reason(x, message):
    network, _ = random_network(3, **SMALL)
    with pytest.raises(TclifError, match=message):
        reference.simulate(network, x)
