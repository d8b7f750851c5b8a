"""The engine equals the reference in every spike, state, readout, class and overflow count."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tclif_deploy import QuantizeSettings, load, load_data, quantize
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import Arithmetic, FixedConnection, FixedLayer, FixedNetwork, InputEncoding
from tclif_deploy.jit import cache_folder
from tclif_deploy.network import INPUT
from tclif_deploy.simulation import engine, reference, simulate
from tclif_deploy.simulation.engine import layers
from tclif_deploy.simulation.engine.form import CHOICE, TWO_LOADS, Form, chosen_form, cpu_name
from tclif_deploy.simulation.engine.plan import MAX_CONNECTIONS, plan_fast
from tclif_deploy.simulation.engine.spec import DENSE, MIXED, SPIKES, Flag, KernelSpec
from tclif_deploy.simulation.session import Simulator
from tests.helpers.random_networks import (
    STARTS,
    assert_alive,
    assert_same,
    drawn_network,
    network_options,
    random_network,
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(network_options())
def test_random_networks_run_as_in_the_reference(chosen: dict[str, Any]) -> None:
    network, x = drawn_network(**chosen)
    want = reference.simulate(network, x)
    assert_alive(want)
    assert_same(engine.simulate(network, x, spikes=True), want)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(network_options(saturating=True))
def test_saturating_networks_run_as_in_the_reference(chosen: dict[str, Any]) -> None:
    network, x = drawn_network(**chosen)
    want = reference.simulate(network, x)
    assert want.saturations > 0
    assert_same(engine.simulate(network, x, spikes=True), want)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(network_options(), st.data())
def test_each_sample_is_read_at_its_own_length(chosen: dict[str, Any], data: st.DataObject) -> None:
    network, x = drawn_network(**chosen)
    lengths = np.array(data.draw(st.lists(st.integers(1, x.shape[1]), min_size=len(x), max_size=len(x))))
    want = reference.simulate(network, x, lengths=lengths, spikes=False, counts=True)
    assert_same(engine.simulate(network, x, lengths=lengths, counts=True), want)


@pytest.mark.slow
def test_spikes_of_more_steps_than_a_byte_can_count_are_counted() -> None:
    network, x = random_network(15, recurrent=True, samples=4, time=520, spiking_output=True, density=0.3)
    lengths = np.array([254, 255, 256, 520])
    want = reference.simulate(network, x, lengths=lengths, counts=True)
    assert max(counts.max() for counts in want.counts.values()) > 255
    assert_same(engine.simulate(network, x, lengths=lengths, spikes=True, counts=True), want)


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("options", STARTS.values(), ids=STARTS)
def test_starts_and_a_hard_reset_of_the_dendrite_run_as_in_the_reference(options: Any, recurrent: bool) -> None:
    network, x = random_network(5, recurrent=recurrent, **options)
    plan = plan_fast(network)
    assert plan is not None
    assert any(layer.spec.has(Flag.HARD_RESET_U) for layer in plan.layers) == ("reset_u" in options)
    want = reference.simulate(network, x)
    assert_alive(want)
    assert_same(engine.simulate(network, x, spikes=True), want)


def test_overflowing_samples_are_counted_too() -> None:
    network, x = random_network(16, saturating=True)
    want = reference.simulate(network, x, counts=True)
    assert want.saturations > 0
    assert_same(engine.simulate(network, x, spikes=True, counts=True), want)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_inputs_run_as_in_the_reference(steps: int) -> None:
    network, x = random_network(5, recurrent=True, skip=True, delay=2)
    want = reference.simulate(network, x[:1, :steps])
    assert_same(engine.simulate(network, x[:1, :steps], spikes=True), want)


@pytest.mark.slow
@pytest.mark.parametrize("width", [128, 200, 257])
def test_recurrent_layers_of_one_tile_and_of_several_run_as_in_the_reference(width: int) -> None:
    network, x = random_network(12, recurrent=True, sizes=(70, width, 5), samples=5, time=30)
    want = reference.simulate(network, x)
    assert_alive(want)
    assert_same(engine.simulate(network, x, spikes=True), want)


@pytest.mark.parametrize("form", get_args(Form))
@pytest.mark.parametrize("options", [
    {}, {"skip": True, "forward_delay": 2, "graded": False, "bias": True}, {"exponent": 2, "spiking_output": True},
    {"reset": "hard", "reset_u": True, "input_to": "soma", "leaky": True, "bits_u": 20, "bits_v": 20},
    {"rounding": "nearest", "q": True, "s0": True},
    {"saturating": True, "rounding": "toward_zero", "bits_v": 14, "bits_u": 16},
], ids=lambda options: "-".join(options) or "plain")  # fmt: skip
def test_each_form_of_wide_layers_runs_as_in_the_reference(
    monkeypatch: pytest.MonkeyPatch, form: Form, options: dict[str, Any]
) -> None:
    monkeypatch.setenv(CHOICE, form)
    network, x = random_network(31, sizes=(9, 130, 257, 70, 4), samples=5, time=30, **options)
    plan = plan_fast(network)
    assert plan is not None
    wide = [layer for layer in plan.layers if layer.spec.has(Flag.WORDS)]
    assert [layer.spec.width for layer in wide] == ([256, 256, 128] if form == "words" else [])
    want = reference.simulate(network, x, counts=True)
    if "saturating" not in options:
        assert_alive(want)
    assert_same(engine.simulate(network, x, spikes=True, counts=True), want)


def test_the_form_is_that_of_the_cpu_unless_the_environment_says_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHOICE, raising=False)
    assert chosen_form() == ("words" if cpu_name() in TWO_LOADS else "bytes")
    monkeypatch.setattr("numba.core.config.CPU_NAME", "znver4")
    assert chosen_form() == "bytes"
    monkeypatch.setattr("numba.core.config.CPU_NAME", "icelake-server")
    assert chosen_form() == "words"
    monkeypatch.setenv(CHOICE, "nibbles")
    with pytest.raises(TclifError, match="TCLIF_ENGINE_FORM is 'nibbles'; expected bytes or words"):
        chosen_form()


@pytest.mark.parametrize("options", [{}, {"recurrent": True}, {"conv": True}, {"rounding": "toward_zero"}])
def test_a_form_that_is_none_is_refused_whether_or_not_a_layer_would_take_it(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHOICE, "nonsense")
    network, x = random_network(5, **options)
    refused = "TCLIF_ENGINE_FORM is 'nonsense'; expected bytes or words"
    with pytest.raises(TclifError, match=refused):
        engine.simulate(network, x)
    with pytest.raises(TclifError, match=refused):
        Simulator(network, 2)
    floating = load("fixtures/spoken_digits/checkpoint.pth.tar")
    with pytest.raises(TclifError, match=refused):
        simulate(floating, np.zeros((1, 2, floating.input_size)))


@pytest.mark.parametrize("delays", [MAX_CONNECTIONS - 1, MAX_CONNECTIONS, 2 * MAX_CONNECTIONS])
@pytest.mark.parametrize("time", [40, 700])
def test_a_layer_of_many_connections_runs_as_in_the_reference(delays: int, time: int) -> None:
    """Delays learned for each synapse are a connection each."""
    network, x = random_network(22, recurrent=True, time=time)
    first = network.layers[0]
    rng, one = np.random.default_rng(3), first.connections[0]
    delay = rng.integers(0, delays, one.weight.shape)
    delay.flat[:delays] = np.arange(delays)  # each is there
    spread = [replace(one, weight=np.where(delay == n, one.weight, 0), delay=n) for n in range(delays)]
    first = replace(first, connections=(*spread, *first.connections[1:]))
    network = replace(network, layers=(first, *network.layers[1:]))
    assert (plan_fast(network) is not None) == (len(first.connections) <= MAX_CONNECTIONS)
    want = reference.simulate(network, x)
    assert_same(engine.simulate(network, x, spikes=True), want)
    assert want.spikes["layer0"].any()


def test_states_are_traced_where_asked() -> None:
    network, x = random_network(6, recurrent=True)
    want = reference.simulate(network, x, traces=("layer1", "layer2"), spikes=False)
    assert np.ptp(want.traces["layer1"]) > 0
    assert_same(engine.simulate(network, x, traces=("layer1", "layer2")), want)


def test_many_samples_in_threads_are_the_same_samples() -> None:
    network, x = random_network(7, samples=150)
    one = engine.simulate(network, x, spikes=True, jobs=1)
    assert_same(engine.simulate(network, x, spikes=True, jobs=3), one)
    assert_same(one, reference.simulate(network, x))


def test_what_one_run_leaves_in_memory_does_not_reach_the_next() -> None:
    network, x = random_network(17, recurrent=True, sizes=(70, 40, 5), samples=6, time=40)
    inputs = [x, (x != 0).astype(np.uint8), x[:, :7], x[:3].astype(np.int32), np.zeros_like(x), x]
    for each in inputs:
        lengths = np.arange(len(each)) + 1
        want = reference.simulate(network, each, lengths=lengths, counts=True)
        assert_same(engine.simulate(network, each, lengths=lengths, spikes=True, counts=True), want)
    assert_alive(want)


@pytest.mark.slow
@pytest.mark.parametrize("features", [5, 70])
@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64, ">i4"])
def test_every_integer_dtype_is_read_alike(dtype: type[np.generic], features: int) -> None:
    network, x = random_network(8, graded=False, sizes=(features, 19, 4))
    assert_same(engine.simulate(network, x.astype(dtype), spikes=True), reference.simulate(network, x))


def test_graded_and_signed_input_is_read_in_its_own_dtype() -> None:
    network, x = random_network(13, signed=True, sizes=(70, 19, 4))
    want = reference.simulate(network, x)
    for dtype in (np.int16, np.int32, np.int64):
        assert_same(engine.simulate(network, x.astype(dtype), spikes=True), want)


@pytest.mark.slow
def test_strided_input_is_read_alike() -> None:
    network, x = random_network(9)
    strided = np.asfortranarray(np.repeat(x, 2, axis=1))[:, ::2]
    assert_same(engine.simulate(network, strided, spikes=True), reference.simulate(network, x))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((0, 4, 5), "0 samples"),
        ((2, 0, 5), "0 steps"),
        ((2, 4, 3), "3 features"),
        ((4, 5), r"shape \(4, 5\)"),
        ((5,), r"shape \(5,\)"),
    ],
)
def test_input_of_a_wrong_shape_is_refused(shape: tuple[int, ...], message: str) -> None:
    network, _ = random_network(10)
    with pytest.raises(TclifError, match=message):
        engine.simulate(network, np.zeros(shape, np.int64))


def test_input_beyond_the_payload_is_refused_in_any_block() -> None:
    network, x = random_network(11, samples=130)
    x[129, 3, 0] = network.input.limit + 1
    with pytest.raises(TclifError, match="payload"):
        engine.simulate(network, x)


@pytest.mark.parametrize("features", [5, 70])
@pytest.mark.parametrize("value", [np.iinfo(np.int64).min, np.iinfo(np.int64).max, 300, -300])
def test_integers_beyond_the_payload_are_refused_whatever_their_size(value: int, features: int) -> None:
    network, x = random_network(14, sizes=(features, 19, 4))
    x[2, 3, features - 1] = value
    with pytest.raises(TclifError, match="payload"):
        engine.simulate(network, x)


def test_every_kernel_spec_is_three_integers_of_its_own() -> None:
    kinds = [(), (SPIKES,), (MIXED,), (DENSE + 4,), (SPIKES, MIXED), (MIXED, SPIKES), (SPIKES, SPIKES)]
    flags = [Flag(0), *Flag, Flag.WIDE | Flag.HAS_Q]
    specs = [KernelSpec(*each) for each in itertools.product(flags, (16, 64, 256), kinds)]
    literals = [spec.literals for spec in specs]
    assert len(set(literals)) == len(specs)
    assert {type(number) for spec in literals for number in spec} == {int}
    assert [KernelSpec.from_literals(*each) for each in literals] == specs


def test_threads_that_make_kernels_at_once_share_them_and_their_folder() -> None:
    specs = [KernelSpec(Flag(flags), 64, (SPIKES,)) for flags in range(1 << 20, (1 << 20) + 50)]
    with ThreadPoolExecutor(4) as pool:
        kernels = list(pool.map(layers.feedforward, specs * 4))
    assert all(a is b for a, b in zip(kernels, kernels[len(specs) :], strict=False))
    assert {Path(each._cache.cache_path).parent for each in kernels} == {cache_folder(Path(layers.__file__).parent)}


@pytest.mark.slow
@pytest.mark.parametrize(("rounding", "factor", "fast"), [
    ("nearest", 4096, True), ("nearest", 6000, False), ("floor", 6000, True), ("toward_zero", 6000, True),
])  # fmt: skip
def test_a_half_is_added_in_float32_only_where_that_is_exact(rounding, factor, fast):
    """Rounding to nearest adds a half to a product: beyond 2^23 that takes a fused multiply-add, which not all have."""
    size, zero = 20, np.zeros(20, np.int64)
    weight = np.tile([[255, 1]], (size, 1))
    layer = FixedLayer(
        "out", (FixedConnection(INPUT, weight),), 0, np.full(size, factor), zero, zero, zero + 1, zero, *[zero] * 7,
        np.ones(size), np.ones(size), zero + 1, spiking=False,
    )  # fmt: skip
    net = FixedNetwork(InputEncoding(2, 1.0, 16), Arithmetic(12, rounding, 24, 24, "saturate", "saturate"), (layer,))
    rng = np.random.default_rng(0)
    x = np.zeros((40, 2, 2), np.int64)
    x[:, 0], x[:, 1] = rng.integers(28000, 32767, (40, 2)), -rng.integers(20000, 32767, (40, 2))
    assert (plan_fast(net) is not None) is fast
    assert_same(engine.simulate(net, x), reference.simulate(net, x))
    assert not reference.simulate(net, x).saturations


@pytest.mark.parametrize("name", ["smnist_ff", "smnist_rec", "spoken_digits"])
def test_trained_networks_take_the_fast_kernels(name):
    network = load(f"fixtures/{name}/checkpoint.pth.tar")
    calibration = load_data(f"fixtures/{name}/calibration.npz")[:4]
    assert plan_fast(quantize(network, "loihi2", calibration, QuantizeSettings(passes=()))) is not None
