"""A session equals one whole run, however its steps are cut into calls; what it refuses leaves it as it was."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import tclif_deploy as tc
from tclif_deploy import Simulator, SimulatorState, TclifError
from tclif_deploy.fixed import FixedNetwork, Int
from tclif_deploy.network import INPUT
from tclif_deploy.simulation import engine, reference
from tclif_deploy.simulation.engine import run as engine_run
from tclif_deploy.simulation.engine.plan import plan_fast
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.simulation.session import fingerprint
from tests.helpers.random_networks import (
    STARTS,
    assert_alive,
    assert_same,
    drawn_network,
    network_options,
    random_network,
)
from tests.helpers.readouts import OF_SPIKES, OF_STATES, with_rule

RANDOM = {"deadline": None, "suppress_health_check": list(HealthCheck)}
RICH = {"recurrent": True, "skip": True, "delay": 3, "forward_delay": 2, "sizes": (5, 19, 17, 4)}


def cuts(data: st.DataObject, time: int) -> list[tuple[int, int, bool]]:
    """Chunks (first step, end, whether by `step`) of a stream."""
    ends = sorted({*data.draw(st.lists(st.integers(1, time), max_size=6)), time})
    return [(a, b, data.draw(st.booleans())) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def joined(session: Simulator, x: Any, chunks: list[tuple[int, int, bool]], lengths: Int) -> Any:
    """What `simulate` would return of a whole run, put together from chunks by `step` or `run`."""
    spikes: dict[str, list[np.ndarray]] = {}
    readout = np.zeros((len(x), session.state.readout.shape[1]), session.state.readout.dtype)
    for begin, end, by_step in chunks:
        if by_step:
            for t in range(begin, end):
                fired, now = session.step(x[:, t])
                for name, each in fired.items():
                    spikes.setdefault(name, []).append(each[:, None])
                readout[lengths == t + 1] = now[lengths == t + 1]
        else:
            here = (begin < lengths) & (lengths <= end)
            result = session.run(x[:, begin:end], spikes=True, lengths=np.where(here, lengths - begin, end - begin))
            for name, each in result.spikes.items():
                spikes.setdefault(name, []).append(each)
            readout[here] = result.readout[here]
    return {name: np.concatenate(each, axis=1) for name, each in spikes.items()}, readout


def some_lengths(data: st.DataObject, x: Any) -> Int:
    return np.array(data.draw(st.lists(st.integers(1, x.shape[1]), min_size=len(x), max_size=len(x))))


def assert_session_equals_a_whole_run(
    network: FixedNetwork, x: Int, chunks: list[tuple[int, int, bool]], lengths: Int, fewest: int = 1
) -> None:
    want = reference.simulate(network, x, lengths=lengths)
    session = Simulator(network, batch=len(x))
    with mock.patch.object(engine_run, "FEWEST_STEPS", fewest):
        spikes, readout = joined(session, x, chunks, lengths)
    state = session.state
    assert state.steps == x.shape[1]
    got = replace(want, spikes=spikes, u=state.u, v=state.v, readout=readout, overflows=session.overflows)
    assert_same(got, want)
    at_the_end = reference.simulate(network, x)
    np.testing.assert_array_equal(state.readout, at_the_end.readout)
    np.testing.assert_array_equal(session.classes, at_the_end.classes)


@pytest.mark.slow
@settings(max_examples=40, **RANDOM)
@given(network_options(), st.data())
def test_any_chunks_of_random_networks_equal_a_whole_run(chosen, data):
    network, x = drawn_network(**chosen)
    assert_alive(reference.simulate(network, x))
    fewest = data.draw(st.sampled_from([1, 32, 10**6]))
    assert_session_equals_a_whole_run(network, x, cuts(data, x.shape[1]), some_lengths(data, x), fewest)


@pytest.mark.slow
@settings(max_examples=20, **RANDOM)
@given(network_options(saturating=True), st.data())
def test_any_chunks_of_saturating_networks_equal_a_whole_run_and_count_alike(chosen, data):
    network, x = drawn_network(**chosen)
    assert reference.simulate(network, x).saturations > 0
    assert_session_equals_a_whole_run(network, x, cuts(data, x.shape[1]), some_lengths(data, x))


@pytest.mark.slow
@settings(max_examples=40, **RANDOM)
@given(
    network_options(feedback=False, conv=False, bits_u=24, bits_v=24, frac_bits=12, weight_bits=8, input_bits=9),
    st.data(),
)
def test_any_chunks_in_the_fast_kernels_equal_a_whole_run(chosen, data):
    network, x = drawn_network(**chosen)
    assume(plan_fast(network) is not None)
    assert_session_equals_a_whole_run(network, x, cuts(data, x.shape[1]), some_lengths(data, x))


CASES = {
    "plain": {}, "rich": RICH, "conv": {"conv": True, "recurrent": True}, "spiking output": {"spiking_output": True},
    "feedback": {"feedback": True, "delay": 2}, "one tile": {"recurrent": True, "sizes": (70, 130, 5)},
    "several tiles": {"recurrent": True, "sizes": (5, 257, 5), "time": 25}, "v0": {"v0": True, "bias": True},
    **STARTS, "wraps": {"saturating": True, "overflow_u": "wrap", "overflow_v": "wrap"},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("fewest", [1, 10**6])
def test_steps_and_chunks_by_turns_equal_a_whole_run(case, fewest):
    network, x = random_network(21, **CASES[case])
    chunks = [(0, 1, True), (1, 2, False), (2, 9, False), (9, 12, True), (12, 13, False), (13, x.shape[1], False)]
    assert_session_equals_a_whole_run(network, x, chunks, np.array([2, 12, 25]), fewest)


def test_a_chunk_of_few_steps_runs_in_the_general_kernel_and_one_of_many_in_the_fast_ones():
    network, x = random_network(22, time=80, samples=1)
    session = Simulator(network)
    workers = engine_run.prepare(network).idle
    session.run(x[:, :10])
    assert workers == []
    session.run(x[:, 10:])
    (worker,) = workers
    assert worker.shape == (2, 70, x.shape[2], 0)


def test_counts_and_overflows_of_chunks_add_up():
    network, x = random_network(16, saturating=True)
    want = reference.simulate(network, x, counts=True)
    session = Simulator(network, batch=3)
    parts = [session.run(x[:, :15], counts=True), session.run(x[:, 15:], counts=True)]
    for name in want.counts:
        np.testing.assert_array_equal(sum(part.counts[name] for part in parts), want.counts[name])
    for name in want.overflows:
        np.testing.assert_array_equal(sum(part.overflows[name] for part in parts), want.overflows[name])
        np.testing.assert_array_equal(session.overflows[name], want.overflows[name])
    session.reset()
    assert not any(each.any() for each in session.overflows.values())


def test_many_samples_in_threads_go_on_as_in_one():
    network, x = random_network(7, samples=150)
    want = reference.simulate(network, x)
    session = Simulator(network, batch=150)
    session.run(x[:, :13], jobs=3)
    assert_same(replace(session.run(x[:, 13:], jobs=2), overflows=want.overflows), replace(want, spikes={}))


def test_a_state_at_the_lowest_number_of_twos_complement_goes_on_exactly():
    network, x = random_network(3, saturating=True, overflow_u="wrap", overflow_v="wrap", bits_u=16, bits_v=16)
    general, fast = Simulator(network, batch=3), Simulator(network, batch=3)
    state = general.state
    for session in (general, fast):
        for each in (state.u, state.v):
            for name in each:
                each[name][0, ::2] = -(1 << 15)
        session.state = state
    for t in range(x.shape[1]):
        general.step(x[:, t])
    with mock.patch.object(engine_run, "FEWEST_STEPS", 1):
        fast.run(x)
    assert_states_equal(fast.state, general.state)


def test_reset_begins_anew():
    network, x = random_network(23, **RICH)
    session = Simulator(network, batch=3)
    first = session.state
    session.run(x)
    assert session.state.steps == x.shape[1]
    session.reset()
    assert_states_equal(session.state, first)
    assert_session_equals_a_whole_run(network, x, [(0, 20, True), (20, 40, False)], np.full(3, 40))


def assert_states_equal(one: SimulatorState, other: SimulatorState) -> None:
    for field in ("u", "v", "in_flight"):
        left, right = getattr(one, field), getattr(other, field)
        assert left.keys() == right.keys()
        for name in left:
            assert left[name].dtype == right[name].dtype, (field, name)
            np.testing.assert_array_equal(left[name], right[name], err_msg=f"{field} of {name}")
    np.testing.assert_array_equal(one.readout, other.readout)
    assert (one.steps, one.fingerprint) == (other.steps, other.fingerprint)


def test_what_a_step_gives_belongs_to_the_caller():
    network, x = random_network(24, spiking_output=True)
    kept, changed = Simulator(network, batch=3), Simulator(network, batch=3)
    for t in range(20):
        fired, readout = changed.step(x[:, t])
        kept.step(x[:, t])
        for each in fired.values():
            each[:] = True
        readout[:] = 7
    state = changed.state
    assert_states_equal(state, kept.state)
    state.u["layer0"][:] = 1
    assert_states_equal(changed.state, kept.state)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64, np.uint64])
def test_a_step_takes_every_integer_dtype_and_one_sample_without_its_axis(dtype):
    network, x = random_network(8, graded=False, samples=1)
    want = reference.simulate(network, x)
    for each in (x[0].astype(dtype), x[0].tolist(), x.transpose(1, 0, 2).astype(dtype)):
        session = Simulator(network)
        steps = [session.step(row) for row in each]
        np.testing.assert_array_equal(steps[-1].readout, want.readout)
        for name in want.spikes:
            np.testing.assert_array_equal(np.stack([s.spikes[name] for s in steps], axis=1), want.spikes[name])


def test_real_values_with_a_scale_are_encoded_as_simulate_does():
    fixed, _ = random_network(25, samples=2)
    network = replace(fixed, input=replace(fixed.input, lsb=0.25))
    data = tc.Dataset(np.random.default_rng(0).normal(0, 50, (2, 30, 5)), scale=0.5)
    want = tc.simulate(network, data, spikes=True)
    session = Simulator(network, batch=2)
    fired = [session.step(data.x[:, t], scale=0.5).spikes["layer0"] for t in range(10)]
    rest = session.run(data.x[:, 10:], scale=0.5, spikes=True)
    got = np.concatenate([np.stack(fired, axis=1), rest.spikes["layer0"]], axis=1)
    np.testing.assert_array_equal(got, want.spikes["layer0"])
    np.testing.assert_array_equal(rest.readout, want.readout)


# --- float networks


@pytest.mark.slow
@settings(max_examples=25, **RANDOM)
@given(network_options(bits_u=24, bits_v=24), st.data())
def test_any_chunks_of_a_float_network_equal_a_whole_run(chosen, data):
    fixed, integers = drawn_network(**chosen)
    network, x = tc.dequantize(fixed), integers * fixed.input.lsb
    lengths = some_lengths(data, x)
    want = simulate_float(network, x, lengths=lengths, traces=[layer.name for layer in network.layers])
    session = Simulator(network, batch=len(x))
    spikes, readout = joined(session, x, cuts(data, x.shape[1]), lengths)
    for name in want.spikes:
        np.testing.assert_array_equal(spikes[name], want.spikes[name])
    np.testing.assert_array_equal(readout, want.readout)
    state = session.state
    for name, trace in want.traces.items():
        np.testing.assert_array_equal(state.u[name], trace[0][:, -1])
        np.testing.assert_array_equal(state.v[name], trace[1][:, -1])
    np.testing.assert_array_equal(session.classes, simulate_float(network, x).classes)


def test_peaks_of_a_float_networks_chunks_are_those_of_a_whole_run():
    fixed, x = random_network(26, **RICH, v0=True)
    network = tc.dequantize(fixed)
    want = simulate_float(network, x).peaks
    session = Simulator(network, batch=3)
    parts = [session.run(x[:, :11]).peaks, session.run(x[:, 11:]).peaks]
    for name in want:
        np.testing.assert_array_equal(np.maximum(parts[0][name], parts[1][name]), want[name])
    assert session.overflows == {}


def test_a_float_step_scales_its_input():
    fixed, x = random_network(27, samples=1)
    network = tc.dequantize(fixed)
    session, other = Simulator(network), Simulator(network)
    for row in x[0]:
        readout = session.step(row, scale=0.5).readout
        np.testing.assert_array_equal(other.step(row * 0.5).readout, readout)


def test_a_float_network_that_grows_without_end_stays_as_it_was():
    neuron = tc.neurons.readout(2)
    grows = replace(neuron, a_v=np.full(2, 1e30))
    network = tc.Network(1, (tc.Layer("out", grows, (tc.Connection(INPUT, np.ones((2, 1))),)),))
    session = Simulator(network)
    for _ in range(11):
        session.step([1.0])
    before = session.state
    for call in (lambda: session.step([1.0]), lambda: session.run([[1.0], [1.0]])):
        with pytest.raises(TclifError, match=r"layer out: .* grow beyond what a float64 holds; is it trained"):
            call()
        assert_states_equal(session.state, before)


# --- states


def both_kinds() -> list[tuple[Any, Any]]:
    fixed, x = random_network(28, **RICH, spiking_output=True)
    return [(fixed, x), (tc.dequantize(fixed), x.astype(np.float64))]


@pytest.mark.parametrize("kind", [0, 1])
def test_a_saved_state_goes_on_in_another_simulator(kind, tmp_path):
    network, x = both_kinds()[kind]
    session, other = Simulator(network, batch=3), Simulator(network, batch=3)
    session.run(x[:, :17])
    session.state.save(tmp_path / "state.npz")
    other.state = SimulatorState.load(tmp_path / "state.npz")
    assert_states_equal(other.state, session.state)
    assert set(session.state.in_flight) == {INPUT, "layer0", "layer1"}
    for t in range(17, 40):
        one, same = session.step(x[:, t]), other.step(x[:, t])
        np.testing.assert_array_equal(one.readout, same.readout)
        for name in one.spikes:
            np.testing.assert_array_equal(one.spikes[name], same.spikes[name])
    (tmp_path / "again.npz").write_bytes((tmp_path / "state.npz").read_bytes())
    SimulatorState.load(tmp_path / "state.npz").save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "state.npz").read_bytes()


@pytest.mark.parametrize("kind", [0, 1])
def test_a_state_taken_before_delays_have_passed_goes_on_exactly(kind):
    network, x = both_kinds()[kind]
    whole, other = Simulator(network, batch=3), Simulator(network, batch=3)
    want = whole.run(x).readout
    for t in range(x.shape[1]):
        other.step(x[:, t])
        again = Simulator(network, batch=3)
        again.state = other.state
        other = again
    np.testing.assert_array_equal(other.state.readout, want)


@pytest.mark.parametrize("case", STARTS)
@pytest.mark.parametrize("kind", [0, 1])
def test_a_state_holds_what_fired_before_the_first_step(case, kind):
    fixed, x = random_network(9, recurrent=True, feedback=True, time=20, **STARTS[case])
    network, values = ((fixed, x), (tc.dequantize(fixed), x * fixed.input.lsb))[kind]
    whole = Simulator(network, batch=3)
    want = [whole.step(values[:, t]).readout.copy() for t in range(20)]
    for cut in range(4):
        other, again = Simulator(network, batch=3), Simulator(network, batch=3)
        for t in range(cut):
            other.step(values[:, t])
        again.run(values[:, :5])  # forgotten
        again.state = other.state
        got = [again.step(values[:, t]).readout.copy() for t in range(cut, 20)]
        np.testing.assert_array_equal(got, want[cut:])
    again.reset()
    np.testing.assert_array_equal(again.step(values[:, 0]).readout, want[0])


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("fewest", [1, 10**6])
def test_nothing_was_in_flight_before_the_first_step(kind, fewest, monkeypatch):
    monkeypatch.setattr(engine_run, "FEWEST_STEPS", fewest)
    network, x = both_kinds()[kind]
    fresh, set_back = Simulator(network, batch=3), Simulator(network, batch=3)
    start = fresh.state
    set_back.state = replace(start, in_flight={name: np.ones_like(sent) for name, sent in start.in_flight.items()})
    fresh.run(x)
    set_back.run(x)
    assert_states_equal(set_back.state, fresh.state)


def test_a_state_may_be_changed_and_put_back():
    network, _ = random_network(29, samples=1)
    session = Simulator(network)
    state = session.state
    state.v["layer0"][0, 3] = 1 << 22
    session.state = state
    assert_states_equal(session.state, state)
    assert session.step(np.zeros(5, np.int64)).spikes["layer0"].nonzero()[1].tolist() == [3]


def test_a_network_loaded_again_has_the_same_fingerprint_and_another_has_another(tmp_path):
    network, _ = random_network(30, conv=True, recurrent=True)
    network.save(tmp_path / "fixed.npz")
    assert fingerprint(FixedNetwork.load(tmp_path / "fixed.npz")) == fingerprint(network)
    assert fingerprint(replace(network, notices=("said",))) == fingerprint(network)
    first = network.layers[0]
    (c, *others) = first.connections
    changed = [
        replace(first, shift=first.shift + 1), replace(first, threshold=first.threshold + 1),
        replace(first, connections=(replace(c, weight=c.weight + 1), *others)),
        replace(first, connections=(replace(c, delay=1), *others)), replace(first, input_to="soma"),
    ]  # fmt: skip
    prints = {fingerprint(replace(network, layers=(layer, *network.layers[1:]))) for layer in changed}
    assert len(prints | {fingerprint(network), fingerprint(tc.dequantize(network))}) == 7


# --- what is refused


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            np.zeros((3, 4), int),
            r"step: x has shape \(3, 4\), this network takes 5 features a step of each of 3 samples",
        ),
        (np.zeros((2, 5), int), r"has shape \(2, 5\), .*; expected \(3, 5\)"),
        (np.zeros(5, int), r"has shape \(5,\)"),
        (np.zeros((3, 1, 5), int), r"has shape \(3, 1, 5\)"),
        ("text", r"step: x is a str \('text'\); expected an array of numbers"),
        (None, "step: x is None; expected an array of numbers"),
        (np.full((3, 5), np.nan), "without a scale|holds nan"),
        (np.full((3, 5), 1j), "complex|number"),
    ],
)
def test_a_step_that_is_refused_leaves_the_state_as_it_was(kind, x, message):
    network, stream = both_kinds()[kind]
    session = Simulator(network, batch=3)
    session.run(stream[:, :9])
    before = session.state
    with pytest.raises(TclifError, match=message) as refused:
        session.step(x)
    assert "\n" not in str(refused.value)
    if np.ndim(x) != 3:
        with pytest.raises(TclifError, match=r"run: x "):
            session.run(x)
    assert_states_equal(session.state, before)
    session.run(stream[:, 9:])
    whole = Simulator(network, batch=3)
    whole.run(stream)
    assert_states_equal(session.state, whole.state)


@pytest.mark.parametrize("fewest", [1, 10**6])
def test_input_beyond_the_payload_leaves_the_state_as_it_was(fewest, monkeypatch):
    monkeypatch.setattr(engine_run, "FEWEST_STEPS", fewest)
    network, x = random_network(31, **RICH)
    session = Simulator(network, batch=3)
    session.run(x[:, :9])
    before, counted = session.state, copy.deepcopy(session.overflows)
    beyond = x[:, 9:].copy()
    beyond[2, 20, 4] = network.input.limit + 1
    with pytest.raises(TclifError, match=r"input reaches 256, the payload is 9 bits"):
        session.run(beyond)
    for value in (256, -256, np.iinfo(np.int64).min):
        with pytest.raises(TclifError, match="payload is 9 bits"):
            session.step(np.full((3, 5), value))
    with pytest.raises(TclifError, match="lengths lie in 0"):
        session.run(x[:, 9:], lengths=np.array([0, 1, 2]))
    with pytest.raises(TclifError, match="jobs is 0"):
        session.run(x[:, 9:], jobs=0)
    with pytest.raises(TclifError, match="has 3 samples of 0 steps"):
        session.run(x[:, :0])
    assert_states_equal(session.state, before)
    assert all((session.overflows[name] == counted[name]).all() for name in counted)
    for t in range(9, x.shape[1]):
        session.step(x[:, t])
    np.testing.assert_array_equal(session.state.readout, engine.simulate(network, x).readout)


def rest(layers: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in layers.items() if name != "layer0"}


@pytest.mark.parametrize("kind", [0, 1])
def test_a_state_that_does_not_fit_is_refused_and_nothing_changes(kind):
    network, x = both_kinds()[kind]
    session = Simulator(network, batch=3)
    session.run(x[:, :9])
    before = session.state
    other, _ = random_network(33, **RICH, spiking_output=True)
    foreign = [
        (Simulator(other, batch=3).state, "the state is that of another network .*; give it to a Simulator of"),
        (Simulator(both_kinds()[1 - kind][0], batch=3).state, "the state is that of another network"),
        (Simulator(network, batch=2).state, "the state is that of 2 samples, this simulator has 3; make one with b"),
        ("state.npz", "Simulator.state is a str"),
        (replace(before, u=rest(before.u), v=rest(before.v)), r"the state has no u\['layer0'\]"),
        (replace(before, v=before.v | {"layer1": np.zeros((3, 2), int)}), r"v\['layer1'\] is an array of int64, shape"),
        (replace(before, in_flight=before.in_flight | {"layer0": np.ones((3, 3, 19))}), r"in_flight\['layer0'\] is an"),
        (replace(before, in_flight={}), r"the state has no in_flight\['"),
        (replace(before, readout=np.zeros((3, 9))), "readout is an array"),
    ]
    for fields in ({"u": {}}, {"v": {"layer0": before.v["layer0"]}}, {"readout": np.zeros(3)}, {"steps": -1}):
        with pytest.raises(TclifError, match="SimulatorState: "):
            replace(before, **fields)
    wrong = before.u["layer0"] * (1 << 40) + (1 << 40) if kind == 0 else before.u["layer0"] + np.inf
    foreign.append((replace(before, u=before.u | {"layer0": wrong}), r"u\['layer0'\] holds .*; .*(bits|finite)"))
    for state, message in foreign:
        with pytest.raises(TclifError, match=message) as refused:
            session.state = state
        assert "\n" not in str(refused.value)
        assert_states_equal(session.state, before)


def test_a_damaged_file_is_no_state(tmp_path):
    network, x = random_network(34, **RICH)
    session = Simulator(network, batch=3)
    session.run(x[:, :9])
    path = tmp_path / "state.npz"
    session.state.save(path)
    whole = path.read_bytes()
    with np.load(path) as file:
        arrays = dict(file)
    network.save(tmp_path / "fixed.npz")
    for content, message in [
        (whole[: len(whole) // 2], "state.npz: not a simulator's state"),
        (b"", "it is empty"),
        ((tmp_path / "fixed.npz").read_bytes(), "format tclif-fixed 1, expected tclif-state 1"),
    ]:
        path.write_bytes(content)
        with pytest.raises(TclifError, match=message):
            SimulatorState.load(path)
    del arrays["u.1"]
    np.savez(path, **arrays)
    with pytest.raises(TclifError, match=r"state.npz: .*no array 'u.1'.*; save a Simulator's state again"):
        SimulatorState.load(path)
    with pytest.raises(TclifError, match="file not found"):
        SimulatorState.load(tmp_path / "nowhere.npz")


def test_a_file_damaged_anywhere_is_refused_in_one_line_or_read(tmp_path):
    network, x = random_network(36, **RICH)
    session = Simulator(network, batch=3)
    session.run(x[:, :9])
    path = tmp_path / "state.npz"
    session.state.save(path)
    whole, rng, messages = path.read_bytes(), np.random.default_rng(0), []
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        path.write_bytes(bytes(damaged[: len(damaged) if rng.random() < 0.8 else rng.integers(len(damaged))]))
        try:
            session.state = SimulatorState.load(path)
        except TclifError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert "\n" not in "".join(messages)


@pytest.mark.parametrize("batch", [0, -1, 2.5, "many", None])
def test_a_wrong_batch_is_refused(batch):
    network, _ = random_network(35)
    with pytest.raises(TclifError, match="batch is"):
        Simulator(network, batch=batch)


def test_what_is_no_network_is_refused():
    with pytest.raises(TclifError, match="network is a str"):
        Simulator("fixed.npz")


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(network_options(conv=False), st.data())
def test_a_session_says_by_every_rule_what_a_whole_run_says(chosen: dict[str, Any], data: st.DataObject) -> None:
    network, x = drawn_network(**chosen)
    out = network.output
    rules = [text for text in (OF_SPIKES if out.spiking else OF_STATES) if ":" not in text or out.size % 2 == 0]
    ruled = with_rule(network, data.draw(st.sampled_from(rules)), 50)
    session, whole = tc.Simulator(ruled, batch=len(x)), reference.simulate(ruled, x, readouts=True)
    at = 0
    while at < x.shape[1]:
        size = data.draw(st.sampled_from([1, 2, 5, 12, 40]))
        if size == 1:
            _, readout = session.step(x[:, at])
        else:
            readout = session.run(x[:, at : at + size]).readout
        at += size
        assert whole.readouts is not None
        assert (readout == whole.readouts[:, min(at, x.shape[1]) - 1]).all()
        if data.draw(st.booleans()):
            other = tc.Simulator(ruled, batch=len(x))
            other.state = session.state
            session = other
    assert (session.classes == whole.classes).all()
    if whole.decided is not None:
        assert (session.state.decided == whole.decided).all()


@pytest.mark.parametrize("rule", ["votes:2", "rate:2", "count"])
def test_votes_are_counted_by_the_fast_kernels_too(rule: str) -> None:
    network, x = random_network(7, spiking_output=True, sizes=(5, 19, 6), time=60)
    ruled = with_rule(network, rule)
    assert plan_fast(ruled) is not None
    session = tc.Simulator(ruled, batch=len(x))
    for part in (slice(0, 20), slice(20, 60)):
        readout = session.run(x[:, part]).readout
    assert (readout == reference.simulate(ruled, x).readout).all()
