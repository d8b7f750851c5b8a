"""The float network's kernels equal its specification in every bit, and the specification plain Python floats."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tclif_deploy as tc
from tclif_deploy.network import NEURON_ARRAYS, Connection, Layer, Network
from tclif_deploy.quantization.dequantizer import dequantize
from tclif_deploy.simulation.engine import float_plan, float_run
from tclif_deploy.simulation.float_result import FloatResult
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers.random_networks import STARTS, drawn_network, network_options, random_network

FIXTURES = Path("fixtures")


def real_network(fixed: tc.FixedNetwork, seed: int, strict: bool) -> Network:
    """What ``fixed`` stands for, with numbers that no sum holds exactly."""
    rng = np.random.default_rng(seed)

    def moved(values: Any) -> Any:
        return values * (1 + 1e-3 * rng.standard_normal(values.shape))

    layers = []
    for layer in dequantize(fixed).layers:
        arrays = {name: moved(getattr(layer.neuron, name)) for name in NEURON_ARRAYS if name != "s0"}
        neuron = replace(layer.neuron, **arrays, strict=strict and layer.neuron.spiking)  # type: ignore[arg-type]
        layers.append(Layer(layer.name, neuron, tuple(replace(c, weight=moved(c.weight)) for c in layer.connections)))
    return Network(fixed.input.size, tuple(layers), readout=fixed.readout)


def assert_same_bits(result: FloatResult, expected: FloatResult) -> None:
    """Every array of two runs, byte for byte."""
    for name in ("spikes", "counts", "peaks", "traces"):
        left, right = getattr(result, name), getattr(expected, name)
        assert left.keys() == right.keys(), name
        for layer in right:
            assert left[layer].dtype == right[layer].dtype, (name, layer)
            np.testing.assert_array_equal(left[layer], right[layer], err_msg=f"{name} of {layer}")
            assert np.ascontiguousarray(left[layer]).tobytes() == np.ascontiguousarray(right[layer]).tobytes(), name
    for name in ("readout", "classes", "readouts", "decided", "step_classes", "other_classes", "other_readout"):
        one, other = getattr(result, name), getattr(expected, name)
        assert (one is None) == (other is None), name
        if one is not None:
            assert (one.dtype, one.tobytes()) == (other.dtype, other.tobytes()), name


def both(network: Network, x: Any, **keep: Any) -> tuple[FloatResult, FloatResult]:
    """By the kernels, and by the specification, with all that a run can keep."""
    everything: dict[str, Any] = {"counts": True, "traces": [la.name for la in network.layers], "readouts": True}
    everything |= keep
    return tuple(simulate_float(network, x, engine=e, **everything) for e in ("engine", "reference"))  # type: ignore[return-value]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(network_options(), st.data())
def test_random_networks_run_as_the_specification_says(chosen: dict[str, Any], data: st.DataObject) -> None:
    fixed, x = drawn_network(**chosen)
    network = real_network(fixed, chosen["seed"], data.draw(st.booleans()))
    rules = ["count", "rate", "first"] if chosen["spiking_output"] else ["last", "sum", "mean", "max", "softmax"]
    network = network.with_readout(data.draw(st.sampled_from(rules)))
    lengths = data.draw(st.lists(st.integers(1, x.shape[1]), min_size=len(x), max_size=len(x)))
    result, expected = both(network, x * fixed.input.lsb, lengths=np.array(lengths))
    assert any(s.any() for s in expected.spikes.values())
    assert_same_bits(result, expected)


@pytest.mark.parametrize(
    "chosen",
    [
        {"recurrent": True, "skip": True, "sizes": (3, 130, 65, 20)},
        {"feedback": True, "reset": "hard", "delay": 2, "sizes": (70, 17, 64, 5)},
        {"conv": True, "recurrent": True, "leaky": True},
        {"q": True, "input_to": "soma", "forward_delay": 2, "spiking_output": True, "bias": True, "v0": True},
        {"conv": True, "recurrent": True, "feedback": True, "delay": 2, "s0": True, "u0": True},
        *({"recurrent": True, "feedback": True, **options} for options in STARTS.values()),
    ],
    ids=["recurrent", "feedback", "convolution", "soma", "convolution, s0", *STARTS],
)
def test_kinds_of_networks_run_as_the_specification_says(chosen: dict[str, Any]) -> None:
    fixed, x = random_network(5, **chosen)
    network = real_network(fixed, 5, strict=True)
    result, expected = both(network, x * fixed.input.lsb, lengths=np.array([x.shape[1], 7, 1]))
    assert all(s.any() for s in expected.spikes.values())
    assert_same_bits(result, expected)


def test_the_specification_is_what_plain_floats_come_to() -> None:
    options = {"recurrent": True, "skip": True, "q": True, "bias": True, "v0": True, "u0": True, "s0": True, "delay": 2}
    fixed, x = random_network(2, **options, sizes=(4, 7, 3), samples=1)
    network = real_network(fixed, 2, strict=False)
    real = (x * fixed.input.lsb)[0]
    result = simulate_float(network, real[None], engine="reference", traces=[la.name for la in network.layers])
    u = {la.name: la.neuron.u0.tolist() for la in network.layers}
    v = {la.name: la.neuron.v0.tolist() for la in network.layers}
    before = {"input": [0.0] * 4, **{la.name: la.neuron.s0.tolist() for la in network.layers}}
    assert sum(before["layer0"]) > 0
    for layer in network.layers:
        n = layer.neuron
        for j in np.flatnonzero(n.s0).tolist():
            v[layer.name][j] -= float(n.r_v[j]) + float(n.q[j]) * u[layer.name][j]
            u[layer.name][j] -= float(n.r_u[j])
    sent: dict[str, list[list[float]]] = {"input": [], **{la.name: [] for la in network.layers}}
    for t, row in enumerate(real.tolist()):
        sent["input"].append(row)
        for layer in network.layers:
            n, own_u, own_v, fired = layer.neuron, u[layer.name], v[layer.name], []
            for j in range(layer.size):
                current = 0.0
                for c in layer.connections:
                    if t >= c.delay - 1:
                        values = sent[c.source][t - c.delay] if t >= c.delay else before[c.source]
                        for weight, value in zip(c.weight[j].tolist(), values, strict=True):
                            current += weight * value
                own = {name: float(getattr(n, name)[j]) for name in NEURON_ARRAYS}
                into_u, into_v = (current, 0.0) if n.input_to == "dendrite" else (0.0, current)
                own_u[j] = own["a_u"] * own_u[j] + own["b_u"] * own_v[j] + into_u + own["bias_u"]
                own_v[j] = own["a_v"] * own_v[j] + own["b_v"] * own_u[j] + into_v + own["bias_v"]
                fires = n.spiking and own_v[j] >= own["threshold"]
                fired.append(float(fires))
                if fires:
                    own_v[j] -= own["r_v"] + own["q"] * own_u[j]
                    own_u[j] -= own["r_u"]
            sent[layer.name].append(fired)
            assert result.traces[layer.name][:, 0, t].tolist() == [own_u, own_v], (layer.name, t)
    assert any(sum(step) for step in sent["layer0"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["smnist_ff", "smnist_rec", "psmnist_ff", "psmnist_rec", "spoken_digits", "mackey_glass"]
)
def test_trained_networks_run_as_the_specification_says(name: str) -> None:
    network = tc.load(FIXTURES / name / "checkpoint.pth.tar")
    data = tc.load_data(FIXTURES / name / "calibration.npz")[:5]
    result, expected = both(network, data.values(), lengths=data.lengths, readouts=False)
    assert_same_bits(result, expected)


def test_samples_threads_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed, x = random_network(8, recurrent=True, samples=5, sizes=(5, 70, 9, 4))
    network, real = real_network(fixed, 8, strict=False), x * fixed.input.lsb
    expected = simulate_float(network, real, counts=True)
    for one, sample in enumerate(real):
        alone = simulate_float(network, sample[None], jobs=1)
        assert alone.readout.tobytes() == expected.readout[one : one + 1].tobytes()
    monkeypatch.setattr(float_run, "MEMORY", 1)
    assert_same_bits(simulate_float(network, real, counts=True, jobs=3), expected)
    monkeypatch.setattr(float_plan, "MAX_SOURCES", 4)  # sums by neurons, as of layers that 16 bits cannot number
    assert_same_bits(simulate_float(replace(network), real, counts=True), expected)


FINGERPRINT = """
import hashlib, json
import numpy as np
import tclif_deploy as tc
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers.random_networks import random_network
from tests.simulation.test_float_engine import real_network
fixed, x = random_network(8, recurrent=True, samples=5, sizes=(5, 70, 9, 4))
network, real = real_network(fixed, 8, strict=False), x * fixed.input.lsb
told = {}
for rule in ("last", "sum", "mean", "max", "softmax"):
    run = simulate_float(network.with_readout(rule), real, engine=ENGINE, traces=[la.name for la in network.layers])
    states = b"".join(run.traces[la.name].tobytes() for la in network.layers)
    told[rule] = [hashlib.sha256(states).hexdigest(), run.readout.tolist()]
print(json.dumps(told))
"""


def test_a_cpu_of_fewer_instructions_says_the_same_but_for_the_last_bits_of_a_softmax() -> None:
    from numpy._core import _multiarray_umath as numpy_core

    found = numpy_core.__cpu_features__
    fewer = " ".join(name for name in numpy_core.__cpu_dispatch__ if found.get(name))
    told = []
    for engine, variables in (("engine", {}), ("reference", {"NPY_DISABLE_CPU_FEATURES": fewer})):
        done = subprocess.run(
            [sys.executable, "-c", FINGERPRINT.replace("ENGINE", repr(engine))],
            env={**os.environ, **variables}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        told.append(json.loads(done.stdout))
    one, other = told
    softmax = [np.array(each.pop("softmax")[1]) for each in told]
    assert one == other
    np.testing.assert_allclose(*softmax, rtol=1e-13)


def test_states_that_grow_without_end_are_refused_by_both() -> None:
    loop = Connection("a", np.full((2, 2), 1e20), delay=1)
    neuron = tc.neurons.canonical(2, "growing", a_u=1e20, a_v=1e20, b_u=-1e20, b_v=1e20, bias_u=1.0, threshold=1e30)
    network = Network(1, (Layer("a", neuron, (Connection("input", np.ones((2, 1))), loop)),))
    for engine in ("engine", "reference"):
        with pytest.raises(tc.TclifError, match="layer a: the float network's states grow"):
            simulate_float(network, np.ones((3, 60, 1)), engine=engine)  # type: ignore[arg-type]


def test_the_public_function_takes_an_engine() -> None:
    fixed, x = random_network(1)
    network = real_network(fixed, 1, strict=False)
    data = tc.Dataset(x * fixed.input.lsb)
    results = [tc.simulate(network, data, engine=e, spikes=True) for e in ("auto", "engine", "reference")]  # type: ignore[call-overload]
    assert_same_bits(results[0], results[2])
    assert_same_bits(results[1], results[2])
    with pytest.raises(tc.TclifError, match="engine is 'slow'"):
        tc.simulate(network, data, engine="slow")  # type: ignore[call-overload]
