"""Machines with rules of their own: rounding by state, a least step, ovf by addend, the current before the decay.

The oracle has the rules from docs/arithmetic.md. What they are for is checked against another's words: Xylo 2's step,
as SynSense's simulator xylosim 0.1.3 computes it, transcribed here in plain Python (one spike a step).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tclif_deploy import TclifError, backends, load_target, quantize
from tclif_deploy.bounds import layer_bounds
from tclif_deploy.comparison import equal
from tclif_deploy.fixed import Arithmetic, FixedConnection, FixedLayer, FixedNetwork, InputEncoding
from tclif_deploy.formats import write_netx_fixed
from tclif_deploy.nn.from_network import to_module
from tclif_deploy.nn.quantized import QuantizedNetwork
from tclif_deploy.simulation import engine, reference
from tclif_deploy.verification.error_attribution import attribute_error
from tests.helpers import oracle
from tests.helpers.random_networks import assert_alive, assert_same, random_network
from tests.helpers.tclif_networks import calibration_data, tclif_network

SMALL = {"sizes": (3, 6, 5, 3), "samples": 2, "time": 25}
RULES: dict[str, dict[str, Any]] = {
    "ceiling": {"rounding": "ceiling"},
    "rounding of u": {"rounding_u": "nearest"},
    "rounding of v": {"rounding_v": "ceiling"},
    "least step": {"rounding": "ceiling", "least_step": True},
    "full range": {"overflow_u": "saturate_full", "overflow_v": "saturate_full"},
    "each addend": {"each_addend": True},
    "input first": {"input_first": True},
}


def with_rules(network: FixedNetwork, **rules: Any) -> FixedNetwork:
    return replace(network, arithmetic=replace(network.arithmetic, **rules))


def assert_all_agree(network: FixedNetwork, x: np.ndarray) -> None:
    """Reference, general engine and oracle: every spike, state and overflow."""
    want = reference.simulate(network, x, traces=[la.name for la in network.layers], counts=True)
    truth = oracle.run(network, x.tolist())
    for layer in network.layers:
        if layer.spiking:
            assert want.spikes[layer.name].astype(int).tolist() == truth["spikes"][layer.name]
        for sample, (u, v) in enumerate(truth["states"][layer.name]):
            assert want.u[layer.name][sample].tolist() == u
            assert want.v[layer.name][sample].tolist() == v
        assert int(want.overflows[layer.name].sum()) == truth["overflows"][layer.name]
    names = [la.name for la in network.layers]
    assert_same(engine.simulate(network, x, spikes=True, counts=True, traces=names), want)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("case", [
    {"leaky": True, "recurrent": True, "bias": True},
    {"leaky": True, "input_to": "soma", "recurrent": True, "exponent": 3},
    {"saturating": True, "bits_u": 12, "bits_v": 13, "recurrent": True, "leaky": True, "bias": True},
], ids=["dendrite", "soma", "saturating"])  # fmt: skip
def test_each_rule_is_the_oracles_and_does_something(rule, case):
    network, x = random_network(11, **case, **SMALL)
    changed = with_rules(network, **RULES[rule])
    assert_all_agree(changed, x)
    if "full" in rule:
        if not case.get("saturating"):
            return  # nothing reaches the ends of a wide state
        x = -x
        assert_all_agree(changed, x)
    traced = [la.name for la in network.layers]
    without = with_rules(network, rounding="ceiling") if rule == "least step" else network
    before, after = (reference.simulate(n, x, traces=traced).traces for n in (without, changed))
    differs = any((before[n] != after[n]).any() for n in traced)
    if rule == "each addend":
        assert differs == bool(case.get("saturating"))  # without overflow it is all one
    elif rule != "least step" or case.get("saturating"):  # which small states alone feel
        assert differs


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.integers(0, 10**6), st.booleans(), st.booleans(), st.booleans(),
    st.sampled_from(["toward_zero", "floor", "nearest", "ceiling"]),
    st.sampled_from([None, "toward_zero", "floor", "nearest", "ceiling"]),
    st.sampled_from([None, "toward_zero", "floor", "nearest", "ceiling"]),
    st.sampled_from(["saturate", "wrap", "saturate_full"]), st.sampled_from(["saturate", "wrap", "saturate_full"]),
    st.sampled_from(["dendrite", "soma"]), st.sampled_from([10, 13, 24]), st.booleans(), st.booleans(),
)  # fmt: skip
def test_all_rules_at_once(seed, least, each, first, rounding, of_u, of_v, overflow_u, overflow_v, to, bits, conv, q):
    network, x = random_network(seed % 20, leaky=True, recurrent=True, skip=True, bias=True, v0=True, input_to=to, q=q,
                                conv=conv, bits_u=24, **SMALL)  # fmt: skip
    rules = {
        "rounding": rounding, "rounding_u": of_u, "rounding_v": of_v, "overflow_u": overflow_u, "bits_u": bits,
        "overflow_v": overflow_v, "least_step": least, "each_addend": each, "input_first": first,
    }  # fmt: skip
    assert_all_agree(with_rules(network, **rules), x)


# --- Xylo 2, in the words of its maker's simulator

TOP = 2**15


def clip(a: int) -> int:
    return max(-TOP, min(TOP - 1, a))


def dec(a: int, d: int) -> int:
    """What a bit-shift decay leaves."""
    return a - max(a >> d, 1) if a > 0 else a - (a >> d)


def xylo(weights: dict, x: np.ndarray) -> tuple[list, list, list]:
    """(i, v, spikes) of each step: i <- clip(i + W x), i <- clip(i + R n[t-1]), i <- dec(i), v <- dec(v),
    v <- clip(v + i), v <- clip(v + bias), a spike where v >= threshold, which is taken off."""
    size = len(weights["bias"])
    i, v, n = [0] * size, [0] * size, [0] * size
    seen: tuple[list, list, list] = ([], [], [])
    for row in x.tolist():
        fired = []
        for j in range(size):
            i[j] = clip(i[j] + sum(w * e for w, e in zip(weights["w"][j], row, strict=True)))
            i[j] = clip(i[j] + sum(w * e for w, e in zip(weights["r"][j], n, strict=True)))
            i[j] = dec(i[j], weights["dash_syn"][j])
            v[j] = clip(clip(dec(v[j], weights["dash_mem"][j]) + i[j]) + weights["bias"][j])
            fired.append(int(v[j] >= weights["threshold"][j]))
            v[j] -= weights["threshold"][j] * fired[j]
        n = fired
        for kept, values in zip(seen, (i, v, n), strict=True):
            kept.append(list(values))
    return seen


def xylo_weights(seed: int, size: int = 12, features: int = 5, gain: int = 1) -> dict:
    """A recurrent layer; a ``gain`` of 100 drives its states to both ends."""
    rng, more = np.random.default_rng(seed), min(gain, 30)
    return {
        "w": (rng.integers(-8, 9, (size, features)) * gain).tolist(), "r": rng.integers(-30, 31, (size, size)).tolist(),
        "dash_syn": rng.integers(1, 6, size).tolist(), "dash_mem": rng.integers(1, 6, size).tolist(),
        "bias": rng.integers(-20, 20, size).tolist(), "threshold": (rng.integers(200, 900, size) * more).tolist(),
    }  # fmt: skip


def as_fixed(weights: dict) -> FixedNetwork:
    """The same layer, by our arithmetic's rules: decays by d bits are factors of 2^15 - 2^(15-d)."""
    size, k = len(weights["bias"]), 15
    zero, one = np.zeros(size, np.int64), np.full(size, 1 << k)
    decays = {
        name: (1 << k) - (1 << (k - np.array(weights[f"dash_{key}"]))) for name, key in (("a_u", "syn"), ("a_v", "mem"))
    }
    threshold = np.array(weights["threshold"])
    layer = FixedLayer(
        "hidden", (
            FixedConnection("input", np.array(weights["w"])),
            FixedConnection("hidden", np.array(weights["r"]), 1),
        ), 0, **decays, b_u=zero, b_v=one, q=zero, threshold=threshold, r_u=zero, r_v=threshold, v_reset=zero,
        bias_u=zero, bias_v=np.array(weights["bias"]), v0=zero, lsb_u=np.ones(size), lsb_v=np.ones(size),
        multiplier=np.ones(size, np.int64),
    )  # fmt: skip
    arithmetic = Arithmetic(
        k, "ceiling", 16, 16, "saturate_full", "saturate_full", least_step=True, each_addend=True, input_first=True
    )
    return FixedNetwork(InputEncoding(len(weights["w"][0]), 1.0, 5), arithmetic, (layer,))


def spikes_in(seed: int, steps: int = 200) -> np.ndarray:
    rng = np.random.default_rng([seed, 1])
    return rng.integers(1, 16, (steps, 5)) * (rng.random((steps, 5)) < 0.3)


@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("gain", [1, 100], ids=["within", "saturating"])
def test_xylo2_is_an_arithmetic_of_ours(seed, gain):
    weights, x = xylo_weights(seed, gain=gain), spikes_in(seed)
    network = as_fixed(weights)
    i, v, fired = xylo(weights, x)
    for simulate in (reference.simulate, engine.simulate):
        result = simulate(network, x[None], spikes=True, traces=["hidden"])
        assert result.traces["hidden"][0, 0].tolist() == i
        assert result.traces["hidden"][1, 0].tolist() == v
        assert result.spikes["hidden"][0].astype(int).tolist() == fired
    assert_alive(result)
    assert (result.saturations > 0) == (gain > 1)


@pytest.mark.parametrize("rule", [
    {"rounding": "floor"}, {"rounding": "toward_zero"}, {"rounding": "nearest"}, {"rounding_u": "floor"},
    {"rounding_v": "floor"}, {"least_step": False}, {"input_first": False}, {"each_addend": False},
    {"overflow_u": "saturate"}, {"overflow_v": "saturate"}, {"overflow_u": "wrap"}, {"overflow_v": "wrap"},
], ids=str)  # fmt: skip
def test_xylo2_with_one_rule_changed_is_another_machine(rule):
    differs = []
    for gain in (1, 100):
        weights, x = xylo_weights(3, gain=gain), spikes_in(3)
        i, v, _ = xylo(weights, x)
        states = reference.simulate(with_rules(as_fixed(weights), **rule), x[None], traces=["hidden"]).traces["hidden"]
        differs.append(states[0, 0].tolist() != i or states[1, 0].tolist() != v)
    assert any(differs)


# --- files and refusals


def test_a_file_says_the_rules_and_is_as_before_without_them(tmp_path):
    network, _ = random_network(3, **SMALL)
    for rules in ({}, RULES["rounding of v"] | RULES["each addend"], RULES["full range"]):
        ruled = with_rules(network, **rules)
        ruled.save(tmp_path / "fixed.npz")
        assert equal(FixedNetwork.load(tmp_path / "fixed.npz"), ruled)
        with np.load(tmp_path / "fixed.npz") as file:
            header = file["header"].tobytes()
        assert (b'"version": 3' if rules else b'"version": 1') in header
        assert (b"each_addend" in header) == ("each_addend" in rules)


@pytest.mark.parametrize(
    ("field", "value"),
    [("rounding", "up"), ("rounding_u", "up"), ("overflow_v", "clip"), ("least_step", 2), ("each_addend", "yes")],
)  # fmt: skip
def test_rules_that_there_are_not_are_refused(field, value):
    values = {
        "frac_bits": 12,
        "rounding": "floor",
        "bits_u": 24,
        "bits_v": 24,
        "overflow_u": "wrap",
        "overflow_v": "wrap",
    }
    with pytest.raises(TclifError, match=f"Arithmetic: {field} is .*; (known: |expected )"):
        Arithmetic(**{**values, field: value})


@pytest.mark.parametrize("rule", [name for name in RULES if name != "each addend"])
@pytest.mark.parametrize("backend", ["c", "onnx", "lava"])
def test_a_backend_that_has_not_a_rule_refuses_it_by_name_before_it_writes(tmp_path, backend, rule):
    network, _ = random_network(3, **SMALL)
    changed = with_rules(network, **RULES[rule])
    field = next(iter(RULES[rule]))
    with pytest.raises(
        TclifError, match=f"{backend}: does not compute the arithmetic's {field}.*; engine computes all"
    ):
        backends.get(backend).emit(changed, load_target("ideal"), tmp_path / backend)
    assert not (tmp_path / backend).exists()
    backends.check_arithmetic(backend, network)
    backends.check_arithmetic("engine", changed)
    with pytest.raises(TclifError, match=f"netx: does not hold the arithmetic's {field}"):
        write_netx_fixed(changed, tmp_path / "fixed.net")


def test_what_is_made_of_floats_refuses_rules_that_it_has_not():
    data = calibration_data()
    network = tclif_network()
    fixed = with_rules(quantize(network, "loihi2", data), least_step=True)
    with pytest.raises(TclifError, match="errors of the arithmetic's least_step cannot be attributed"):
        attribute_error(network, fixed, data)
    with pytest.raises(TclifError, match="the arithmetic's least_step cannot be fine-tuned"):
        QuantizedNetwork(list(to_module(network).float()), fixed, load_target("loihi2"))


def test_bounds_hold_where_the_current_comes_first():
    weights, x = xylo_weights(2, gain=100), spikes_in(2)
    network = as_fixed(weights)
    bounds = layer_bounds(network, network.layers[0])
    traced = reference.simulate(network, x[None], traces=["hidden"]).traces["hidden"]
    reach = sum(abs(np.array(w)).sum(axis=1).max() * top for w, top in ((weights["w"], 15), (weights["r"], 1)))
    assert np.abs(traced[0]).max() <= bounds.u == TOP
    assert bounds.sum >= TOP + reach // 2
