"""Machines with rules of their own: rounding by state, a least step, ovf by addend, the current before the decay.

The oracle has the rules from docs/arithmetic.md. What they are for is checked against another's words: Xylo 2's step,
as SynSense's simulator xylosim 0.1.3 computes it, transcribed here in plain Python.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tclif_deploy import Simulator, SimulatorState, TclifError, backends, load_target, quantize
from tclif_deploy.backends import rtl
from tclif_deploy.bounds import layer_bounds
from tclif_deploy.comparison import equal
from tclif_deploy.fixed import Arithmetic, FixedConnection, FixedLayer, FixedNetwork, InputEncoding
from tclif_deploy.formats import write_netx_fixed
from tclif_deploy.nn.from_network import to_module
from tclif_deploy.nn.quantized import QuantizedNetwork
from tclif_deploy.simulation import engine, reference
from tclif_deploy.verification.error_attribution import attribute_error
from tests.helpers import oracle
from tests.helpers.random_networks import assert_same, random_network
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
    "several spikes": {"most_spikes": 3},
}


def with_rules(network: FixedNetwork, **rules: Any) -> FixedNetwork:
    return replace(network, arithmetic=replace(network.arithmetic, **rules))


def assert_all_agree(network: FixedNetwork, x: np.ndarray) -> None:
    """Reference, general engine and oracle: every spike, state and overflow."""
    want = reference.simulate(network, x, traces=[la.name for la in network.layers], counts=True)
    truth = oracle.run(network, x.tolist())
    for layer in network.layers:
        if layer.spiking:
            assert want.spikes[layer.name].tolist() == truth["spikes"][layer.name]
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
    st.sampled_from([1, 2, 200]),
)  # fmt: skip
def test_all_rules_at_once(
    seed, least, each, first, rounding, of_u, of_v, overflow_u, overflow_v, to, bits, conv, q, most
):
    network, x = random_network(seed % 20, leaky=True, recurrent=True, skip=True, bias=True, v0=True, input_to=to, q=q,
                                conv=conv, bits_u=24, **SMALL)  # fmt: skip
    rules = {
        "rounding": rounding, "rounding_u": of_u, "rounding_v": of_v, "overflow_u": overflow_u, "bits_u": bits,
        "overflow_v": overflow_v, "least_step": least, "each_addend": each, "input_first": first,
        "most_spikes": most,
    }  # fmt: skip
    assert_all_agree(with_rules(network, **rules), x)


# --- Xylo 2, in the words of its maker's simulator

TOP = 2**15


def clip(a: int) -> int:
    return max(-TOP, min(TOP - 1, a))


def dec(a: int, d: int) -> int:
    """What a bit-shift decay leaves."""
    return a - max(a >> d, 1) if a > 0 else a - (a >> d)


def population(weights: dict, incoming: list, states: dict, most: int) -> list[int]:
    """One step of a population: i <- clip(i + w) for each spike of each source, i <- dec(i); then what v gains, minus
    what its decay takes plus i plus the bias, each time clipped, joins v; it fires while v >= threshold."""
    fired = []
    for j, bias in enumerate(weights["bias"]):
        i, v = states["i"][j], states["v"][j]
        for matrix, sent in incoming:
            for w, spikes in zip(matrix[j], sent, strict=True):
                for _ in range(spikes):
                    i = clip(i + w)
        i = dec(i, weights["dash_syn"][j])
        v = clip(v + clip(clip(dec(v, weights["dash_mem"][j]) - v + i) + bias))
        n = 0
        while v >= weights["threshold"][j] and n < most:
            n, v = n + 1, v - weights["threshold"][j]
        states["i"][j], states["v"][j] = i, v
        fired.append(n)
    return fired


def xylo(hidden: dict, out: dict, x: np.ndarray) -> dict[str, tuple[list, list, list]]:
    """layer -> (i, v, spikes) of each step: hidden neurons hear the input, and each other's spikes of the step before;
    so do those of the output, which fire once a step."""
    n = [0] * len(hidden["bias"])
    states = {name: {"i": [0] * len(w["bias"]), "v": [0] * len(w["bias"])} for name, w in (("h", hidden), ("o", out))}
    seen: dict[str, tuple[list, list, list]] = {"h": ([], [], []), "o": ([], [], [])}
    for row in x.tolist():
        before = n
        n = population(hidden, [(hidden["w"], row), (hidden["r"], before)], states["h"], 31)
        for name, fired in (("h", n), ("o", population(out, [(out["w"], before)], states["o"], 1))):
            for kept, values in zip(seen[name], (states[name]["i"], states[name]["v"], fired), strict=True):
                kept.append(list(values))
    return seen


def xylo_weights(seed: int, gain: int = 1, sizes: tuple[int, int, int] = (5, 12, 3)) -> tuple[dict, dict]:
    """A recurrent population and an output; a ``gain`` of 100 drives the states to both ends."""
    rng = np.random.default_rng(seed)
    both = []
    for size, features, bias, low in ((sizes[1], sizes[0], 20, 200), (sizes[2], sizes[1], 20000, 20)):
        both.append({
            "w": (rng.integers(-8, 9, (size, features)) * gain).tolist(),
            "r": rng.integers(-30, 31, (size, size)).tolist(),
            "dash_syn": rng.integers(1, 6, size).tolist(), "dash_mem": rng.integers(1, 6, size).tolist(),
            "bias": rng.integers(-bias, bias, size).tolist() if gain > 1 else rng.integers(-20, 20, size).tolist(),
            "threshold": (rng.integers(low, 4 * low, size) * min(gain, 30)).tolist(),
        })  # fmt: skip
    return both[0], both[1]


def as_fixed(hidden: dict, out: dict) -> FixedNetwork:
    """The same layers, by our arithmetic's rules: decays by d bits are factors of 2^15 - 2^(15-d)."""
    k, layers = 15, []
    for name, weights in (("h", hidden), ("o", out)):
        size = len(weights["bias"])
        zero, one = np.zeros(size, np.int64), np.full(size, 1 << k)
        decays = {
            factor: (1 << k) - (1 << (k - np.array(weights[f"dash_{key}"])))
            for factor, key in (("a_u", "syn"), ("a_v", "mem"))
        }
        threshold = np.array(weights["threshold"])
        source = [FixedConnection("input", np.array(weights["w"])), FixedConnection("h", np.array(weights["r"]), 1)]
        layers.append(FixedLayer(
            name, tuple(source) if name == "h" else (FixedConnection("h", np.array(weights["w"]), 1),), 0, **decays,
            b_u=zero, b_v=one, q=zero, threshold=threshold, r_u=zero, r_v=threshold, v_reset=zero, bias_u=zero,
            bias_v=np.array(weights["bias"]), v0=zero, lsb_u=np.ones(size), lsb_v=np.ones(size),
            multiplier=np.ones(size, np.int64),
        ))  # fmt: skip
    arithmetic = Arithmetic(
        k, "ceiling", 16, 16, "saturate_full", "saturate_full", least_step=True, each_addend=True, input_first=True,
        most_spikes=31,
    )  # fmt: skip
    return FixedNetwork(InputEncoding(len(hidden["w"][0]), 1.0, 5), arithmetic, tuple(layers))


def spikes_in(seed: int, steps: int = 200) -> np.ndarray:
    rng = np.random.default_rng([seed, 1])
    return rng.integers(1, 16, (steps, 5)) * (rng.random((steps, 5)) < 0.3)


@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("gain", [1, 100], ids=["within", "saturating"])
def test_xylo2_is_an_arithmetic_of_ours(seed, gain):
    weights, x = xylo_weights(seed, gain), spikes_in(seed)
    network = as_fixed(*weights)
    want = xylo(*weights, x)
    for simulate in (reference.simulate, engine.simulate):
        result = simulate(network, x[None], spikes=True, counts=True, traces=["h", "o"])
        for name, (i, v, fired) in want.items():
            assert result.traces[name][0, 0].tolist() == i
            assert result.traces[name][1, 0].tolist() == v
            assert result.spikes[name][0].tolist() == fired
            assert result.counts[name][0].tolist() == np.sum(fired, axis=0).tolist()
    for name, most in (("h", 31), ("o", 1)):
        assert np.mean(np.array(want[name][2]) > 0) < 0.9
        assert np.max(want[name][2]) <= most
    assert np.max(want["h"][2]) > 1
    assert np.max(want["o"][2]) or seed == 1
    assert gain == 1 or result.saturations > 0


@pytest.mark.parametrize("rule", [
    {"rounding": "floor"}, {"rounding": "toward_zero"}, {"rounding": "nearest"}, {"rounding_u": "floor"},
    {"rounding_v": "floor"}, {"least_step": False}, {"input_first": False}, {"each_addend": False},
    {"overflow_u": "saturate"}, {"overflow_v": "saturate"}, {"overflow_u": "wrap"}, {"overflow_v": "wrap"},
    {"most_spikes": 1}, {"most_spikes": 15},
], ids=str)  # fmt: skip
def test_xylo2_with_one_rule_changed_is_another_machine(rule):
    differs = []
    for gain in (1, 100):
        weights, x = xylo_weights(3, gain), spikes_in(3)
        i, v, _ = xylo(*weights, x)["h"]
        states = reference.simulate(with_rules(as_fixed(*weights), **rule), x[None], traces=["h"]).traces["h"]
        differs.append(states[0, 0].tolist() != i or states[1, 0].tolist() != v)
    assert any(differs)


def test_a_session_keeps_how_often_each_neuron_fired(tmp_path):
    weights, x = xylo_weights(2), spikes_in(2)
    network = as_fixed(*weights)
    whole = engine.simulate(network, x[None], spikes=True)
    session = Simulator(network)
    for row in x[:50]:
        session.step(row)
    assert session.state.in_flight["h"].max() > 1
    session.state.save(tmp_path / "state.npz")
    other = Simulator(network)
    other.state = SimulatorState.load(tmp_path / "state.npz")
    fired = [other.step(row).spikes for row in x[50:100]]
    assert np.array_equal(np.stack([s["h"][0] for s in fired]), whole.spikes["h"][0, 50:100])
    rest = other.run(x[100:], spikes=True)
    assert np.array_equal(rest.spikes["h"][0], whole.spikes["h"][0, 100:])
    state = session.state
    state.in_flight["h"][:] = 32
    with pytest.raises(TclifError, match=r"the state's in_flight\['h'\] holds 32 spikes; a step has up to 31"):
        session.state = state


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
    [("rounding", "up"), ("rounding_u", "up"), ("overflow_v", "clip"), ("least_step", 2), ("each_addend", "yes"),
     ("most_spikes", 0)],
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


@pytest.mark.parametrize(("backend", "rule"), [
    (backend, rule) for backend in ("c", "onnx", "lava", "rtl") for rule, fields in RULES.items()
    if backend != "rtl" or fields.keys() - set(rtl.RULES)
])  # fmt: skip
def test_a_backend_that_has_not_a_rule_refuses_it_by_name_before_it_writes(tmp_path, backend, rule):
    network, _ = random_network(3, **SMALL)
    changed = with_rules(network, **RULES[rule])
    field = next(field for field in RULES[rule] if backend != "rtl" or field not in rtl.RULES)
    with pytest.raises(
        TclifError, match=f"{backend}: does not compute the arithmetic's {field}.*; engine computes all"
    ):
        backends.get(backend).emit(changed, load_target("ideal"), tmp_path / backend)
    assert not (tmp_path / backend).exists()
    backends.check_arithmetic(backend, network)
    backends.check_arithmetic("engine", changed)
    with pytest.raises(TclifError, match=f"netx: does not hold the arithmetic's .*{field}"):
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
    (weights, out), x = xylo_weights(2, gain=100), spikes_in(2)
    network = as_fixed(weights, out)
    bounds = layer_bounds(network, network.layers[0])
    traced = reference.simulate(network, x[None], traces=["h"]).traces["h"]
    reach = sum(abs(np.array(w)).sum(axis=1).max() * top for w, top in ((weights["w"], 15), (weights["r"], 31)))
    assert np.abs(traced[0]).max() <= bounds.u == TOP
    assert bounds.sum >= TOP + reach // 2
