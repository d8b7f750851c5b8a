"""The ONNX models against the reference: in onnxruntime, in onnx's own evaluator, by step and by sequence."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from tclif_deploy import Simulator, TclifError, extras, load
from tclif_deploy.backends import onnx as backend
from tclif_deploy.backends.onnx.files import session
from tclif_deploy.data import load_data
from tclif_deploy.fixed import LAYER_ARRAYS, FixedConnection, FixedNetwork, Int
from tclif_deploy.quantization import quantize
from tclif_deploy.readout import decide
from tclif_deploy.simulation import reference
from tests.helpers import readouts
from tests.helpers.random_networks import (
    STARTS,
    assert_alive,
    assert_same,
    drawn_network,
    network_options,
    random_network,
)

SMALL = {"sizes": (4, 9, 8, 3), "samples": 2, "time": 30}
FUZZ = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def some_lengths(x: Int) -> Int:
    return np.random.default_rng(0).integers(1, x.shape[1] + 1, x.shape[0])


def emitted(network: FixedNetwork, folder: Path) -> Path:
    backend.emit(network, None, folder)
    return folder


def evaluated(path: Path, feeds: dict) -> dict:
    """A model's outputs in onnx's reference evaluator, which shares no code with onnxruntime."""
    model = onnx.load(path)
    values = ReferenceEvaluator(model).run(None, feeds)
    return {output.name: value for output, value in zip(model.graph.output, values, strict=True)}


def assert_models_equal(network: FixedNetwork, x: Int, folder: Path) -> None:
    """All of `Result` by both models in both runtimes, of a network that fires."""
    assert_alive(reference.simulate(network, x))
    assert_models_read_alike(network, x, some_lengths(x), folder)


def assert_models_read_alike(network: FixedNetwork, x: Int, lengths: Int, folder: Path) -> None:
    """All of `Result` by both models in both runtimes, and the readout after each step."""
    emitted(network, folder)
    traces = [la.name for la in network.layers]
    assert_same(backend.run(folder, x, lengths=lengths), reference.simulate(network, x, lengths=lengths))
    want = reference.simulate(network, x, lengths=lengths, traces=traces, readouts=True)
    feeds = {"x": x.astype(np.int32), "lengths": lengths}
    by_evaluator = evaluated(folder / backend.TRACE, feeds)
    for name, value in evaluated(folder / backend.SEQUENCE, feeds).items():
        np.testing.assert_array_equal(value, by_evaluator[name])
    names = {la["name"]: la["tensor"] for la in layers_of(folder)}
    for name, tensor in names.items():
        np.testing.assert_array_equal(by_evaluator[f"u_{tensor}"], want.u[name])
        np.testing.assert_array_equal(by_evaluator[f"v_{tensor}"], want.v[name])
        np.testing.assert_array_equal(by_evaluator[f"overflows_{tensor}"], want.overflows[name])
        if name in want.spikes:
            np.testing.assert_array_equal(by_evaluator[f"spikes_{tensor}"], want.spikes[name])
    np.testing.assert_array_equal(by_evaluator["readout"], want.readout)
    np.testing.assert_array_equal(by_evaluator["classes"], want.classes)
    np.testing.assert_array_equal(by_evaluator.get("decided"), want.decided)

    runtime, evaluator = session(folder / backend.STEP), ReferenceEvaluator(onnx.load(folder / backend.STEP))
    outputs = [output.name for output in runtime.get_outputs()]
    for run in (runtime.run, evaluator.run):
        states = first_states(network, runtime, x.shape[0])
        for t in range(x.shape[1]):
            step = dict(zip(outputs, run(outputs, {"x": x[:, t].astype(np.int32), **states}), strict=True))
            states = {name: step[f"{name}_next"] for name in states}
            for name, tensor in names.items():
                np.testing.assert_array_equal(step[f"u_{tensor}_next"], want.traces[name][0][:, t])
                np.testing.assert_array_equal(step[f"v_{tensor}_next"], want.traces[name][1][:, t])
                if name in want.spikes:
                    np.testing.assert_array_equal(step[f"spikes_{tensor}"], want.spikes[name][:, t])
            done, valid = lengths == t + 1, lengths > t
            np.testing.assert_array_equal(step["readout"][valid], want.readouts[valid, t])
            classes = decide(network.readout, want.readouts[:, t], network.readout_multiplier, network.output.threshold)
            np.testing.assert_array_equal(step["classes"][valid], classes[valid])
            if want.decided is not None:
                np.testing.assert_array_equal(step["decided"][done], want.decided[done])


def layers_of(folder: Path) -> list[dict]:
    props = {p.key: p.value for p in onnx.load(folder / backend.STEP).metadata_props}
    return json.loads(props["layers"])


def first_states(network: FixedNetwork, runtime, samples: int) -> dict:
    start = json.loads(runtime.get_modelmeta().custom_metadata_map["initial_states"])
    kinds = {"tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(uint8)": np.uint8}
    return {
        value.name: np.broadcast_to(np.array(start[value.name], kinds[value.type]), (samples, *value.shape[1:])).copy()
        for value in runtime.get_inputs()
        if value.name != "x"
    }


@pytest.mark.slow
@settings(max_examples=20, **FUZZ)
@given(network_options(), st.data())
def test_every_option_and_readout_rule_equals_the_reference_in_onnxruntime(tmp_path_factory, chosen, data):
    network, x = drawn_network(**chosen)
    network = readouts.drawn_rule(network, x, data)
    folder = emitted(network, tmp_path_factory.mktemp("onnx"))
    lengths = some_lengths(x)
    assert_same(backend.run(folder, x, lengths=lengths), reference.simulate(network, x, lengths=lengths))


@pytest.mark.slow
@settings(max_examples=8, **FUZZ)
@given(network_options(**SMALL))
def test_both_models_equal_the_reference_in_both_runtimes(tmp_path_factory, chosen):
    network, x = drawn_network(**chosen)
    assert_models_equal(network, x, tmp_path_factory.mktemp("onnx"))


@pytest.mark.slow
@pytest.mark.parametrize("rounding", ["toward_zero", "floor", "nearest"])
@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize(("reset", "bits"), [("soft", 12), ("hard", 14), ("soft", 31), ("soft", 32)])
def test_overflowing_states_and_their_counts_equal_the_reference(tmp_path, rounding, overflow, reset, bits):
    network, x = random_network(
        11, rounding=rounding, overflow_u=overflow, overflow_v=overflow, reset=reset, bits_u=bits, bits_v=bits,
        saturating=True, recurrent=True, **SMALL,
    )  # fmt: skip
    assert reference.simulate(network, x).saturations > 0
    assert_models_equal(network, x, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [1, 2, 3])
def test_delays_skips_and_feedback_carry_their_history(tmp_path, delay):
    network, x = random_network(5, recurrent=True, skip=True, feedback=True, delay=delay, forward_delay=2, **SMALL)
    assert_models_equal(network, x, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "bits"), [(0, 8), (1, 12), (3, 8), (6, 8)])
def test_convolutions_equal_the_reference_in_both_runtimes(tmp_path, seed, bits):
    network, x = random_network(seed, conv=True, recurrent=seed == 1, signed=True, weight_bits=bits, **SMALL)
    assert {c.kind for layer in network.layers for c in layer.connections} == {"dense", "conv"}
    assert_models_equal(network, x, tmp_path)
    kinds = [node.op_type for node in onnx.load(tmp_path / backend.STEP).graph.node]
    assert "ConvInteger" in kinds


@pytest.mark.slow
def test_a_spiking_output_is_read_by_its_count(tmp_path):
    network, x = random_network(6, spiking_output=True, **SMALL)
    assert reference.simulate(network, x).readout.any()
    assert_models_equal(network, x, tmp_path)


def test_states_of_24_bits_take_32_bit_integers_and_wider_ones_64(tmp_path):
    for bits, kind in ((24, "tensor(int32)"), (32, "tensor(int64)")):
        network, _ = random_network(8, bits_u=bits, bits_v=bits, rounding="toward_zero", **SMALL)
        folder = emitted(network, tmp_path / str(bits))
        types = {value.name: value.type for value in session(folder / backend.STEP).get_inputs()}
        assert types["u_layer0"] == types["v_layer1"] == kind


def test_opset_18_and_no_tensor_that_is_not_an_integer(tmp_path):
    network, _ = random_network(9, recurrent=True, **SMALL)
    folder = emitted(network, tmp_path)
    types = onnx.TensorProto
    integers = {types.UINT8, types.INT8, types.INT32, types.INT64, types.UINT64, types.BOOL}
    for name in (backend.STEP, backend.SEQUENCE, backend.TRACE):
        model = onnx.shape_inference.infer_shapes(onnx.load(folder / name), strict_mode=True)
        onnx.checker.check_model(model, full_check=True)
        assert [(item.domain, item.version) for item in model.opset_import] == [("", 18)]
        graphs = [model.graph, *(a.g for node in model.graph.node for a in node.attribute if a.name == "body")]
        for graph in graphs:
            values = [*graph.input, *graph.output, *graph.value_info]
            assert {value.type.tensor_type.elem_type for value in values} <= integers
            assert {tensor.data_type for tensor in graph.initializer} <= integers
            assert all(node.output[0] in {v.name for v in values} for node in graph.node)


def test_batch_and_time_are_dynamic_and_metadata_says_the_scales(tmp_path):
    network, x = random_network(10, **SMALL)
    folder = emitted(network, tmp_path)
    inputs = {value.name: value.shape for value in session(folder / backend.SEQUENCE).get_inputs()}
    assert inputs == {"x": ["batch", "time", 4], "lengths": ["batch"]}
    for samples, time in ((1, 1), (5, 7)):
        repeated = np.tile(x[:1, :time], (samples, 1, 1))
        assert_same(backend.run(folder, repeated), reference.simulate(network, repeated))
    assert layers_of(folder)[0]["lsb_u"] == network.layers[0].lsb_u.tolist()


@pytest.mark.slow
@pytest.mark.parametrize(("text", "spiking"), readouts.RULED)
def test_every_readout_rule_equals_the_reference_in_both_runtimes(tmp_path, text, spiking):
    assert_models_read_alike(*readouts.ruled(text, spiking), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["sum", "max", "first"])
def test_readout_rules_of_wide_states_that_wrap_equal_the_reference(tmp_path, text):
    ruled = readouts.ruled(text, True, reset="hard", bits_v=32, overflow_v="wrap", v0=True)
    assert_models_read_alike(*ruled, tmp_path)


def test_a_model_says_its_readout_rule_where_it_is_not_the_usual_one(tmp_path):
    for text, wanted in {"count": None, "votes:2": ("count", 2), "sum": ("sum", 1), "first": ("first", 1)}.items():
        network, _, _ = readouts.ruled(text, True)
        for model in (backend.STEP, backend.SEQUENCE, backend.TRACE):
            props = onnx.load(emitted(network, tmp_path / text) / model).metadata_props
            said = json.loads({p.key: p.value for p in props}.get("readout", "null"))
            assert wanted == (said and (said["rule"], said["votes"]))


def test_a_sum_of_too_many_steps_is_refused(tmp_path):
    network, x, _ = readouts.ruled("sum", False, bits_v=32)
    out = replace(network.output, multiplier=np.full(network.output.size, 2**31 - 1))
    folder = emitted(replace(network, layers=(*network.layers[:-1], out)), tmp_path)
    with pytest.raises(TclifError, match="readout sum: a sum over 30 steps can exceed 64 bits"):
        backend.run(folder, x)


def test_equal_scores_go_to_the_lowest_class(tmp_path):
    network, x = random_network(20, sizes=(4, 9, 5), samples=2, time=30)
    last = network.layers[-1]
    same = FixedConnection("layer0", np.repeat(last.connections[0].weight[:1], 5, axis=0))
    tied = replace(last, connections=(same,), **{
        name: np.repeat(getattr(last, name)[:1], 5) for name in (*LAYER_ARRAYS, "multiplier")
    })  # fmt: skip
    network = replace(network, layers=(network.layers[0], tied))
    want = reference.simulate(network, x)
    assert (want.readout == want.readout[:, :1]).all()
    assert backend.run(emitted(network, tmp_path), x).classes.tolist() == [0, 0]


def test_more_samples_than_a_batch_are_joined(tmp_path, monkeypatch):
    network, x = random_network(12, sizes=(4, 9, 3), samples=5, time=20)
    monkeypatch.setattr("tclif_deploy.backends.onnx.files.BATCH", 2)
    folder = emitted(network, tmp_path)
    calls = []
    assert_same(backend.run(folder, x, progress=lambda *a: calls.append(a)), reference.simulate(network, x))
    assert calls == [(2, 5), (4, 5), (5, 5)]


def test_layer_names_that_are_no_identifiers_stay_apart(tmp_path):
    network, x = random_network(13, **SMALL)
    names = {"layer0": "a.b", "layer1": "a_b", "layer2": "a b ü"}
    layers = tuple(
        replace(la, name=names[la.name],
                connections=tuple(replace(c, source=names.get(c.source, c.source)) for c in la.connections))
        for la in network.layers
    )  # fmt: skip
    renamed = replace(network, layers=layers)
    assert [la["tensor"] for la in layers_of(emitted(renamed, tmp_path))] == ["a_b", "a_b_2", "a_b__"]
    assert_same(backend.run(tmp_path, x), reference.simulate(renamed, x))


def test_one_changed_weight_in_the_file_changes_spikes(tmp_path):
    network, x = random_network(14, **SMALL)
    folder = emitted(network, tmp_path)
    before = backend.run(folder, x)
    model = onnx.load(folder / backend.TRACE)
    body = next(a.g for node in model.graph.node for a in node.attribute if a.name == "body")
    tensor = next(t for t in body.initializer if t.data_type == onnx.TensorProto.INT8)
    weight = numpy_helper.to_array(tensor).copy()
    weight.flat[np.abs(weight).argmax()] *= -1
    tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    onnx.save(model, folder / backend.TRACE)
    after = backend.run(folder, x)
    assert any((before.spikes[name] != after.spikes[name]).any() for name in before.spikes)


def test_same_network_same_bytes(tmp_path):
    network, _ = random_network(15, **SMALL)
    a, b = emitted(network, tmp_path / "a"), emitted(network, tmp_path / "b")
    for name in (backend.STEP, backend.SEQUENCE, backend.TRACE):
        assert (a / name).read_bytes() == (b / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("target", ["loihi2", "ideal"])
def test_the_trained_network_equals_the_reference(tmp_path, target):
    network = quantize(load("fixtures/smnist_ff/checkpoint.pth.tar"), target, "fixtures/smnist_ff/calibration.npz")
    data = load_data("fixtures/smnist_test.npz")[:2]
    x, _ = network.input.encode(data.x, data.scale)
    want = reference.simulate(network, x)
    assert_alive(want)
    assert_same(backend.run(emitted(network, tmp_path), x), want)


@pytest.mark.parametrize("text", ["last", "max", "first"])
def test_the_foreign_script_says_what_the_reference_says(tmp_path, text):
    options = {"recurrent": True, "v0": True, "delay": 2, "sizes": (4, 9, 8, 4), "samples": 5}
    network, x, lengths = readouts.ruled(text, False, seed=16, **options)
    folder = emitted(network, tmp_path)
    np.savez(tmp_path / "data.npz", x=x, scale=network.input.lsb, lengths=lengths)
    # In isolated mode, and where this package cannot be imported: only numpy and onnxruntime.
    blocked = "import sys; sys.modules['tclif_deploy'] = None; sys.modules['onnx'] = None\n"
    script = blocked + "import runpy; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, "docs/run_onnx.py", folder, tmp_path / "data.npz"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    want = reference.simulate(network, x, lengths=lengths)
    assert done.stdout.splitlines()[0] == "classes: " + " ".join(map(str, want.classes))


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [
    {}, {"recurrent": True, "skip": True, "delay": 3, "forward_delay": 2, "spiking_output": True}, {"conv": True},
])  # fmt: skip
def test_the_page_s_session_of_the_step_model_goes_as_a_simulator_does(tmp_path, chosen, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "docs"))
    from step_onnx import OnnxSession

    network, x = random_network(18, **SMALL, v0=True, **chosen)
    folder, want = emitted(network, tmp_path), reference.simulate(network, x)
    assert_alive(want)
    session, simulator = OnnxSession(folder / backend.STEP, batch=len(x)), Simulator(network, batch=len(x))
    names = {la["tensor"]: la["name"] for la in layers_of(folder)}
    for _ in range(2):
        for t in range(x.shape[1]):
            kept = session.state
            session.step(np.zeros_like(x[:, t]))
            session.state = kept  # as if that step had not been
            (fired, readout), step = session.step(x[:, t]), simulator.step(x[:, t])
            assert np.array_equal(readout, step.readout)
            assert {names[tensor] for tensor in fired} == set(step.spikes)
            for tensor, spikes in fired.items():
                assert np.array_equal(spikes, step.spikes[names[tensor]])
        assert np.array_equal(readout, want.readout)
        session.reset()
        simulator.reset()


@pytest.mark.parametrize("options", STARTS.values(), ids=STARTS)
def test_starts_and_a_hard_reset_of_the_dendrite_equal_the_reference(tmp_path, options):
    network, x = random_network(3, recurrent=True, feedback=True, **options, **SMALL)
    assert_models_equal(network, x, tmp_path)


def test_a_value_beyond_64_bits_is_refused_with_the_numbers(tmp_path):
    network, _ = random_network(17, **SMALL)
    first = network.layers[0]
    huge = FixedConnection("input", first.connections[0].weight << 20, exponent=30)
    layers = (replace(first, connections=(huge,)), *network.layers[1:])
    with pytest.raises(TclifError, match=r"layer layer0: a value can reach \d{19,}, 64 bits hold 9223372036854775807"):
        backend.emit(replace(network, layers=layers), None, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((0, 5, 4), int), "0 samples"),
        (np.zeros((2, 0, 4), int), "0 steps"),
        (np.zeros((2, 5, 3), int), "has 3 features a step, the network takes 4"),
        (np.zeros((2, 5, 4)), "integers are needed"),
        (np.full((2, 5, 4), 10**6), "payload"),
    ],
)
def test_wrong_input_is_refused_with_the_reason(tmp_path, x, message):
    network, _ = random_network(3, **SMALL)
    with pytest.raises(TclifError, match=message):
        backend.run(emitted(network, tmp_path), x)


def test_a_file_that_onnxruntime_refuses_is_one_line(tmp_path):
    network, x = random_network(3, **SMALL)
    emitted(network, tmp_path)
    model = onnx.load(tmp_path / backend.SEQUENCE)
    model.opset_import[0].version = 99
    for content in (b"not a model", model.SerializeToString()):
        (tmp_path / backend.SEQUENCE).write_bytes(content)
        with pytest.raises(TclifError, match=r"onnxruntime .* refuses it") as error:
            backend.run(tmp_path, x)
        assert "\n" not in str(error.value)
    with pytest.raises(TclifError, match="file not found"):
        backend.run(tmp_path / "nowhere", x)


@pytest.mark.parametrize("module", ["onnx", "onnxruntime"])
def test_without_the_library_the_message_says_how_to_get_it(module, monkeypatch):
    monkeypatch.setattr(extras, "installed", lambda name: name != module)
    with pytest.raises(
        TclifError,
        match=rf"{module} is not installed, which the ONNX backend needs; pip install 'tclif-deploy\[onnx\]'",
    ):
        backend.check_installed()


def test_a_runtime_known_to_be_wrong_is_refused(monkeypatch):
    monkeypatch.setattr("onnxruntime.__version__", "1.18.1")
    with pytest.raises(TclifError, match=r"onnxruntime 1\.18\.1 reuses memory too early"):
        backend.check_installed()
