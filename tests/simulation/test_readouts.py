"""Every readout rule: the reference says what its words say, the engine what the reference says, at every step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tclif_deploy import Connection, Layer, Network, neurons, quantize, simulate
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.readout import RULES, Readout
from tclif_deploy.simulation import engine, reference
from tests.helpers import readouts
from tests.helpers.random_networks import assert_same, drawn_network, network_options, random_network


def somas_before_reset(network: FixedNetwork, x: np.ndarray) -> np.ndarray:
    """(samples, time, outputs): a last layer that feeds nothing, read by the soma before its reset."""
    out = network.output
    silent = replace(out, threshold=np.full(out.size, 1 << 40), spiking=True)
    states = reference.simulate(network, x, traces=[out.name]).traces[out.name]
    charged = np.empty_like(states[1])
    history: dict[str, Any] = {"input": x.transpose(1, 0, 2)}
    history |= {
        name: s.astype(np.int64).transpose(1, 0, 2) for name, s in reference.simulate(network, x).spikes.items()
    }
    u, v = np.zeros_like(states[0][:, 0]), np.tile(out.v0, (len(x), 1))
    for t in range(x.shape[1]):
        acc = reference.accumulate(out, history, t)
        charged[:, t] = reference.step(silent, network.arithmetic, u, v, [acc])[1]
        u, v = states[0][:, t], states[1][:, t]
    return charged


@pytest.mark.parametrize("spiking", [False, True])
def test_the_reference_says_what_the_rule_says_after_each_step(spiking: bool) -> None:
    network, x = random_network(3, spiking_output=spiking, reset="soft", time=30, sizes=(5, 19, 6))
    out = network.output
    charged = somas_before_reset(network, x)
    threshold = int(np.quantile(charged.max(axis=(1, 2)), 0.4))
    soma = reference.simulate(network, x, traces=[out.name]).traces[out.name][1]
    fired = reference.simulate(network, x).spikes.get(out.name, np.zeros(soma.shape, np.bool_)).astype(int)
    lengths = np.array([30, 17, 1])
    for text in readouts.OF_SPIKES if spiking else readouts.OF_STATES:
        ruled = readouts.with_rule(network, text, threshold)
        result = reference.simulate(ruled, x, lengths=lengths, readouts=True)
        assert result.readouts is not None
        for sample in range(len(x)):
            for t in range(lengths[sample]):
                part = slice(t + 1)
                value, label = readouts.said(
                    ruled.readout, soma[sample, part].tolist(), charged[sample, part].tolist(),
                    fired[sample, part].tolist(), spiking, ruled.output.threshold.tolist(),
                    ruled.readout_multiplier.tolist(),
                )  # fmt: skip
                assert result.readouts[sample, t].tolist() == value, (text, sample, t)
            assert result.readout[sample].tolist() == value
            assert int(result.classes[sample]) == label, (text, sample)
            assert (result.readouts[sample, t:] == result.readout[sample]).all()


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(network_options(), st.data())
def test_the_engine_reads_as_the_reference_does(chosen: dict[str, Any], data: st.DataObject) -> None:
    network, x = drawn_network(**chosen)
    ruled = readouts.drawn_rule(network, x, data)
    lengths = np.array(data.draw(st.lists(st.integers(1, x.shape[1]), min_size=len(x), max_size=len(x))))
    keep = data.draw(st.booleans())
    want = reference.simulate(ruled, x, lengths=lengths, readouts=keep)
    assert_same(engine.simulate(ruled, x, lengths=lengths, spikes=True, readouts=keep), want)


def net(spiking: bool = False, size: int = 4) -> Network:
    rng = np.random.default_rng(1)
    hidden = Layer("hidden", neurons.lif(8, decay=0.9, threshold=1.0), (Connection("input", rng.normal(size=(8, 3))),))
    last = neurons.lif(size, decay=0.9, threshold=0.6) if spiking else neurons.readout(size, decay=0.9)
    return Network(3, (hidden, Layer("out", last, (Connection("hidden", rng.normal(size=(size, 8))),))))


X = np.random.default_rng(2).normal(size=(6, 40, 3))


@pytest.mark.parametrize("text", [*readouts.OF_STATES[:5], "first:0.5", "threshold:0.5", "softmax"])
def test_a_float_network_says_what_the_rule_says(text: str) -> None:
    network = net().with_readout(text)
    soma = simulate(network, X, traces=["out"]).traces["out"][1]
    result = simulate(network, X, readouts=True)
    assert result.readouts is not None
    for sample in range(len(X)):
        for t in (0, 7, 39):
            value, label = readouts.said(
                network.readout, soma[sample, : t + 1], soma[sample, : t + 1], None, False, [0.5] * 4, [1] * 4
            )
            if network.readout.rule == "mean":
                value = [number / (t + 1) for number in value]
            assert np.allclose(result.readouts[sample, t], value, rtol=0, atol=1e-12)
        assert int(result.classes[sample]) == label


@pytest.mark.parametrize("text", ["sum", "mean", "max", "first:0.5", "threshold:0.5", "step"])
def test_the_integers_mean_what_the_float_network_says(text: str) -> None:
    network = net().with_readout(text)
    fixed = quantize(network, "loihi2", X)
    result, exact = simulate(fixed, X.astype(np.float64)), simulate(network, X)
    meant = result.readout * fixed.readout_unit / fixed.readout.divisor(np.full(6, 40))[:, None]
    assert (result.classes == exact.classes).mean() >= 0.8
    assert np.abs(meant - exact.readout).max() < 0.2 * np.abs(exact.readout).max()


def test_a_softmax_is_a_sum_in_integers_and_said() -> None:
    fixed = quantize(net().with_readout("softmax"), "loihi2", X)
    assert str(fixed.readout) == "sum"
    assert any("softmax" in notice for notice in fixed.notices)


def test_an_undecided_sample_says_so() -> None:
    fixed = quantize(net().with_readout("first:0.5"), "loihi2", X)
    never = simulate(fixed, np.zeros((2, 5, 3)))
    assert never.decided is not None
    assert never.decided.tolist() == [-1, -1]
    assert (never.classes == np.argmax(never.readout * fixed.readout_multiplier, axis=1)).all()
    decided = simulate(fixed, X).decided
    assert decided is not None
    assert decided.max() >= 0


@pytest.mark.parametrize("text", RULES)
def test_a_rule_survives_its_file(text: str, tmp_path: Any) -> None:
    if text == "softmax":
        return
    network = net(spiking=text in ("count", "rate"))
    network = network.with_readout(f"{text}:0.5" if text in ("first", "threshold") else text)
    fixed = quantize(network, "loihi2", X)
    fixed.save(tmp_path / "fixed.npz")
    again = FixedNetwork.load(tmp_path / "fixed.npz")
    assert again.readout == fixed.readout
    assert simulate(again, X).classes.tolist() == simulate(fixed, X).classes.tolist()


@pytest.mark.parametrize(
    ("text", "spiking", "said"),
    [
        ("count", False, "does not fire"),
        ("votes:3", True, "has 4 neurons"),
        ("first", False, "does not fire"),
        ("first:1", True, "fires at its own thresholds"),
        ("mode", False, "is not known"),
        ("votes", True, "is not known"),
        ("votes:x", True, "is not known"),
        ("votes:0.5", True, "is not known"),
        ("max:3", True, "is not known"),
        ("first:-1", False, "above 0"),
        ("first:nan", False, "nan"),
        ("first:1e9", False, "LSB"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(text: str, spiking: bool, said: str) -> None:
    with pytest.raises(TclifError, match=said):
        quantize(net(spiking).with_readout(text), "loihi2", X)


def test_a_sum_of_too_many_steps_is_refused() -> None:
    network, x = random_network(4, bits_u=32, bits_v=32)
    out = replace(network.output, multiplier=np.full(network.output.size, 1 << 15))
    wide = replace(network, layers=(*network.layers[:-1], out), readout=Readout("sum"))
    assert reference.simulate(wide, x).readout.shape == (3, 4)
    with pytest.raises(TclifError, match="64 bits"):
        engine.simulate(wide, np.zeros((1, 1 << 17, 5), np.int64))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("first:-1", r"readout 'first:-1' waits for -1; a finite threshold above 0, such as first:1.5"),
        ("threshold:nan", r"readout 'threshold:nan' waits for nan; a finite threshold above 0, such as threshold:1.5"),
        ("votes:0", r"readout 'votes:0' averages 0 neurons; 1 or more, such as votes:10"),
    ],
)
def test_a_rule_of_no_use_says_what_would_be_one(text, message):
    with pytest.raises(TclifError, match=message):
        Readout.parse(text)
