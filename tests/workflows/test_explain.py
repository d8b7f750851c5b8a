"""Error attribution: sources that add up, the first spike that differs, states' safety, what is measured."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tclif_deploy import (
    Build,
    QuantizeSettings,
    ReadOptions,
    TclifError,
    load_data,
    neurons,
    quantize,
    simulate,
    verify,
)
from tclif_deploy.builds.attribution import Worst
from tclif_deploy.builds.folder import write_json
from tclif_deploy.cli.main import app
from tclif_deploy.data import Dataset
from tclif_deploy.mapping import Behaviour, Finding, LayerBehaviour, behaviour_findings, measure
from tclif_deploy.network import Connection
from tclif_deploy.report.sections.error_attribution import advice, attribution_blocks
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.simulation.partially_quantized import decide_mixed, simulate_mixed
from tclif_deploy.simulation.quantized_parts import LAYER_PARTS, parts_of
from tclif_deploy.verification.error_attribution import Effect, Loss, attribute_error
from tclif_deploy.verification.remedies import Remedy, remedies
from tclif_deploy.verification.state_safety import state_safety
from tclif_deploy.workflows.compile import CompileOptions, compile
from tclif_deploy.workflows.explain import FILE, explain
from tests.helpers.random_networks import assert_alive
from tests.helpers.tclif_networks import LOIHI2, calibration_data, tclif_network

QUIET = replace(calibration_data(), x=calibration_data().x // 8)
"""calibration data that show a small part of the ranges"""
COARSE = LOIHI2.override(weight_bits=4, coefficient_bits=8, state_bits=16)


def networks():
    """Networks of every kind that the mixed simulation handles."""
    yield tclif_network()
    yield tclif_network(4, recurrent=True)
    yield tclif_network(5, reset="hard", strict=True)
    net = tclif_network(0)
    adaptive = neurons.alif_yin(16, alpha=0.9, rho=0.95, beta=0.2, threshold=0.3)
    yield replace(net, layers=(replace(net.layers[0], neuron=adaptive), *net.layers[1:]))


def fed_back():
    """A network whose layer b also feeds a, so that both take each step together."""
    net = tclif_network(6)
    back = Connection("b", np.random.default_rng(6).normal(0, 0.2, (16, 12)), delay=1)
    return replace(
        net, layers=(replace(net.layers[0], connections=(*net.layers[0].connections, back)), *net.layers[1:])
    )


@pytest.mark.slow
@pytest.mark.parametrize("rounding", ["toward_zero", "floor", "nearest"])
def test_with_every_part_quantized_it_is_the_fixed_network_and_with_none_the_float_network(rounding):
    for net in networks():
        fixed = quantize(net, COARSE.override(rounding=rounding), calibration_data())
        real, whole = (
            simulate_float(net, calibration_data().values()),
            simulate(fixed, calibration_data(), spikes=True, engine="reference"),
        )
        assert_alive(whole)
        mixed = simulate_mixed(net, fixed, calibration_data(), parts_of(net), spikes=True)
        spikes = np.concatenate([whole.spikes[la.name] for la in net.spiking_layers], axis=2)
        assert np.array_equal(mixed.spikes[:, :, : spikes.shape[2]], spikes)
        assert np.array_equal(mixed.readout, whole.readout * fixed.output.lsb_v)
        assert np.array_equal(mixed.classes, whole.classes)
        none = simulate_mixed(net, fixed, calibration_data(), ())
        np.testing.assert_allclose(none.readout, real.readout, rtol=1e-9, atol=1e-9)
        assert not np.array_equal(none.readout, mixed.readout)


def test_overflow_is_a_part_of_the_states():
    for overflow in ("saturate", "wrap"):
        target = LOIHI2.override(state_bits=12, overflow_u=overflow, overflow_v=overflow)
        fixed = quantize(tclif_network(), target, QUIET, QuantizeSettings(headroom=1.0))
        whole = simulate(fixed, calibration_data(), engine="reference")
        assert whole.saturations > 0
        mixed = simulate_mixed(tclif_network(), fixed, calibration_data(), parts_of(tclif_network()))
        assert np.array_equal(mixed.readout, whole.readout * fixed.output.lsb_v)


def test_a_part_alone_changes_only_what_it_is_about():
    net = tclif_network()
    fixed = quantize(net, COARSE, calibration_data())
    results = [simulate_mixed(net, fixed, calibration_data(), [("out", part)]) for part in LAYER_PARTS]
    base = simulate_mixed(net, fixed, calibration_data(), (), spikes=True)
    for part in LAYER_PARTS:
        only_out = simulate_mixed(net, fixed, calibration_data(), [("out", part)], spikes=True)
        assert np.array_equal(only_out.spikes, base.spikes)
    assert len({result.readout.tobytes() for result in results}) >= 3


@pytest.mark.parametrize("n", range(5))
def test_sets_of_parts_that_run_together_come_to_what_each_comes_to_alone(n):
    net = [*networks(), fed_back()][n]
    fixed, data = quantize(net, COARSE, calibration_data()), calibration_data(seed=3, samples=19)
    rng = np.random.default_rng(n)
    everything = sorted(parts_of(net))
    chosen = [frozenset(part for part in everything if rng.random() < share) for share in (0.1, 0.5, 0.9) * 4]
    chosen += [frozenset([part]) for part in everything] + [frozenset(), frozenset(everything)]
    counted: list[tuple[int, int]] = []
    decided = decide_mixed(net, fixed, data, chosen, progress=lambda *at: counted.append(at))
    assert decided.keys() == set(chosen)
    assert counted[-1] == (data.samples * len(decided),) * 2
    for one, (readout, classes) in decided.items():
        alone = simulate_mixed(net, fixed, data, one)
        np.testing.assert_array_equal(readout, alone.readout, err_msg=str(sorted(one)))
        np.testing.assert_array_equal(classes, alone.classes)
    assert len({readout.tobytes() for readout, _ in decided.values()}) > len(everything) // 2


def test_the_sources_add_up_with_their_interaction():
    net = tclif_network()
    attribution = attribute_error(
        net, quantize(net, COARSE, calibration_data()), calibration_data(samples=40), calibration_data()
    )
    assert attribution.loss.readout > 0
    total = sum(effect.alone.agreement for effect in attribution.sources.values())
    assert total + attribution.interaction == pytest.approx(attribution.loss.agreement, abs=1e-12)
    by_layer = sum(effect.alone.agreement for effect in attribution.layers.values())
    given = attribution.sources["input"].alone.agreement
    assert by_layer + given + attribution.layer_interaction == pytest.approx(attribution.loss.agreement, abs=1e-12)


def test_the_worst_source_is_the_one_that_was_made_bad():
    net = tclif_network()
    fine = LOIHI2.override(weight_bits=12, coefficient_bits=20, state_bits=32)
    bad = quantize(net, fine, calibration_data(), QuantizeSettings(weight_bits=(12, 2, 12)))
    attribution = attribute_error(net, bad, calibration_data(samples=20))
    assert attribution.worst == ("b", "weights")
    assert attribution.parts["b"]["weights"].without.readout < attribution.loss.readout / 4


def test_an_input_cut_to_two_bits_is_the_worst_source_and_a_wider_input_is_measured_to_help():
    net, target = tclif_network(), LOIHI2.override(weight_bits=12, coefficient_bits=20, state_bits=32, input_bits=2)
    data = calibration_data(samples=20)
    data = replace(data, x=data.values() * 0.37, scale=1.0)
    attribution = attribute_error(net, quantize(net, target, data), data)
    assert attribution.worst == ("input", "input")
    tried = remedies(attribution, net, target, QuantizeSettings(), data, data)
    assert [(remedy.layer, remedy.what) for remedy in tried] == [("", "3-bit input"), ("", "4-bit input")]
    assert tried[1].helps(attribution.loss)
    assert tried[1].loss.readout < attribution.loss.readout / 2


def told(attribution, **changes):
    """What is said of an attribution of 40 samples where weights of b lose 5 %, the input 2 %, and all of it 6 %."""
    effect, small = Effect(Loss(0.05, 0.3), Loss(0.02, 0.1)), Effect(Loss(0.02, 0.1), Loss(0.05, 0.3))
    known = replace(
        attribution, samples=40, loss=Loss(0.06, 0.32), worst=Worst("b", "weights"), sources={"input": small},
        parts={"a": {}, "b": {"weights": effect}, "out": {}}, **changes,
    )  # fmt: skip
    return " ".join(advice(known))


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    """An attribution of a small network."""
    folder, data = tmp_path_factory.mktemp("some") / "build", calibration_data()
    options = CompileOptions(backend="none", quantize=QuantizeSettings(passes=()))
    made = compile(tclif_network(), LOIHI2, data=data, output=folder, options=options)
    return explain(made, data, samples=3)


def test_what_did_not_help_is_told_apart_and_never_recommended(some):
    text = told(some, remedies=(
        Remedy("b", "9-bit weights", Loss(0.01, 0.2)), Remedy("", "one more bit for every weight", Loss(0.06, 0.31)),
        Remedy("", "25-bit states", Loss(0.08, 0.33)),
    ))  # fmt: skip
    helps, *useless = text.split("Measured, and no help: ")
    assert (
        "Measured, and it helps: 9-bit weights in layer b: 6.00 % → 1.00 % of 40 samples change their class; readout "
        "error 32.0 % → 20.0 % of its spread." in helps
    )
    assert "one more bit" not in helps
    assert "25-bit states" not in helps
    assert useless[0].startswith("one more bit for every weight: 6.00 % of 40 samples change their class, as before; ")
    assert useless[1].startswith("25-bit states: 6.00 % → 8.00 % of 40 samples change their class; ")


def test_the_input_is_named_where_it_is_the_worst(some):
    effect = Effect(Loss(0.68, 0.9), Loss(0.0, 0.0))
    attribution = replace(some, worst=Worst("input", "input"), sources={**some.sources, "input": effect}, remedies=())
    first = advice(attribution)[0]
    assert first.startswith(
        "Worst: the encoding of the input as integers: with nothing else quantized, 68.00 % of 3 samples change their "
        "class and the readout is 90.0 % of its spread off; "
    )
    assert not any("fine-tun" in line for line in advice(attribution))
    layers = next(
        block for block in attribution_blocks(attribution) if getattr(block, "title", "").endswith("by layer")
    )
    assert any("input" in row[:2] for row in layers.rows)


def test_a_build_keeps_an_attribution_to_the_input(some, tmp_path):
    data = calibration_data()
    options = CompileOptions(backend="none", quantize=QuantizeSettings(passes=()))
    made = compile(tclif_network(), LOIHI2, data=data, output=tmp_path / "b", options=options)
    write_json(made.folder / FILE, replace(some, worst=Worst("input", "input")))
    assert Build.open(made.folder).attribution.worst == Worst("input", "input")
    write_json(made.folder / FILE, replace(some, worst=Worst("input", "weights")))
    assert Build.open(made.folder).attribution is None


def test_the_first_divergence_is_where_both_networks_are_told_apart():
    net = tclif_network()
    fixed = quantize(net, COARSE, calibration_data(), QuantizeSettings(passes=()))
    first = attribute_error(net, fixed, calibration_data(samples=12)).divergence
    real = simulate_float(net, calibration_data(samples=12).values()).spikes
    whole = simulate(fixed, calibration_data(samples=12), spikes=True).spikes
    steps = [int(np.flatnonzero((real[n] != whole[n]).any(axis=(0, 2)))[0]) for n in real]
    assert first.step == min(steps)
    assert real[first.layer][first.sample, first.step, first.neuron] == (first.fired == "float")
    assert whole[first.layer][first.sample, first.step, first.neuron] == (first.fired == "fixed")
    assert (first.margin_float >= 0) == (first.fired == "float")
    assert (first.margin_fixed >= 0) == (first.fired == "fixed")
    assert first.compartment == ("dendrite" if abs(first.error_u) > abs(first.error_v) else "soma")


def test_a_proven_bound_holds_for_inputs_that_try_to_break_it():
    net = tclif_network()
    fixed = quantize(net, LOIHI2, calibration_data())
    rng = np.random.default_rng(0)
    top = fixed.input.limit
    hard = Dataset(rng.choice([-top, 0, top], (20, 30, 3)).astype(np.int32), scale=fixed.input.lsb)
    peaks = simulate_mixed(net, fixed, hard, parts_of(net)).peaks
    states = state_safety(fixed, peaks, peaks, dict.fromkeys(["a", "b", "out"], 0), 30)
    for state in states:
        assert state.bound is not None
        assert 0 <= state.seen <= state.bound
    assert all(state.bound < 1 for state in states if state.proven)


def test_a_layer_that_falls_silent_is_named_with_its_cause():
    net = tclif_network()
    fixed = quantize(net, LOIHI2, calibration_data())
    dead = replace(fixed.layers[0], connections=tuple(
        replace(c, weight=np.zeros_like(c.weight)) for c in fixed.layers[0].connections
    ), bias_u=np.zeros_like(fixed.layers[0].bias_u))  # fmt: skip
    broken = replace(fixed, layers=(dead, *fixed.layers[1:]))
    first, second = behaviour_findings(broken, verify(net, broken, calibration_data()).behaviour())
    assert (first.rule, first.subject, first.severity) == ("silent_layer", "a", "error")
    assert "rounded to 0" in first.value
    assert second.subject == "b"
    assert "its source a is silent" in second.value
    assert behaviour_findings(fixed, verify(net, fixed, calibration_data()).behaviour()) == ()


def test_overflows_are_counted_and_named():
    net = tclif_network()
    fixed = quantize(net, LOIHI2, QUIET, QuantizeSettings(headroom=1.0))
    verdict = verify(net, fixed, calibration_data())
    findings = [f for f in behaviour_findings(fixed, verdict.behaviour()) if f.rule == "overflow"]
    assert {f.severity for f in findings} == {"warning"}
    for finding in findings:
        assert f"{verdict.saturations[finding.subject]:,} state values overflowed on 6 samples" in finding.value


def behaves(rate, rate_float, **more):
    """The findings where layer a of a network does this, and all others what is usual."""
    fixed = quantize(tclif_network(), LOIHI2, calibration_data())
    layers = {"a": LayerBehaviour(0, rate, rate_float), "b": LayerBehaviour(0, 0.1, 0.1), "out": LayerBehaviour(0)}
    return behaviour_findings(fixed, Behaviour(6, layers, **{"input_clipped": 0, **more}))


@pytest.mark.parametrize(
    ("rate", "rate_float", "expected"),
    [
        (0.0, 0.2, [("silent_layer", "error")]),
        (0.0, None, [("silent_layer", "error")]),
        (0.0, 0.0, [("silent_layer", "warning")]),
        (0.2, 0.0, []),
        (0.9, 0.2, []),
        (0.95, 0.2, [("busy_layer", "warning")]),
        (1.0, 1.0, [("busy_layer", "warning")]),
        (0.95, None, [("busy_layer", "warning")]),
    ],
)  # fmt: skip
def test_a_layer_is_judged_by_its_rate_beside_floats(rate, rate_float, expected):
    assert [(f.rule, f.severity) for f in behaves(rate, rate_float)] == expected


def test_clipped_input_is_counted_and_nothing_in_a_behaviour_is_a_misfit():
    (clipped,) = behaves(0.2, 0.2, input_clipped=7)
    assert (clipped.rule, clipped.severity, clipped.value) == (
        "clipped_input",
        "warning",
        "7 values clipped on 6 samples",
    )
    assert not any(f.is_misfit for f in (clipped, *behaves(0.0, 0.2)))


def test_a_measurement_and_a_verdict_of_the_same_samples_say_the_same():
    net = tclif_network()
    fixed = quantize(net, LOIHI2, QUIET, QuantizeSettings(headroom=1.0))
    measured, verified = (
        measure(fixed, calibration_data()).behaviour(),
        verify(net, fixed, calibration_data()).behaviour(),
    )
    assert (measured.samples, measured.input_clipped) == (verified.samples, verified.input_clipped)
    for name, layer in verified.layers.items():
        assert measured.layers[name] == replace(layer, rate_float=None)


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain") / "build"
    compile(
        "fixtures/spoken_digits/checkpoint.pth.tar", COARSE, data="fixtures/spoken_digits/test.npz", output=folder,
        options=CompileOptions(samples=12, backend="none"),
    )  # fmt: skip
    return folder


@pytest.mark.slow
def test_the_command_prints_the_error_attribution_and_keeps_it_in_the_build(build):
    words = ["explain", str(build), "--data", "fixtures/spoken_digits/test.npz", "--samples", "6"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    for word in (
        "weights",
        "interaction",
        "first spike that differs",
        "Worst:",
        "Measured, and ",
        "of at most 1× is a promise",
    ):
        assert word in " ".join(done.output.split()), word
    kept = json.loads((build / FILE).read_text())
    assert kept["samples"] == 6
    assert kept["remedies"]
    page = (build / "report.html").read_text()
    assert "first spike that differs" in page
    again = CliRunner().invoke(app, [*words, "--json"])
    assert json.loads(again.stdout) == kept


def test_data_of_another_width_are_refused(build):
    with pytest.raises(TclifError, match="features a step, the network takes"):
        explain(build, calibration_data())


@pytest.mark.slow
def test_what_explain_returns_is_what_the_build_keeps(build):
    attribution = explain(build, "fixtures/spoken_digits/test.npz", samples=3)
    assert Build.open(build).attribution == attribution


@pytest.mark.slow
def test_explain_looks_at_the_samples_that_the_build_was_verified_on(tmp_path):
    test = load_data("fixtures/spoken_digits/test.npz")
    model = tmp_path / "model.pth.tar"  # with no calibration.npz beside it: the first quarter of the data serves
    model.write_bytes(Path("fixtures/spoken_digits/checkpoint.pth.tar").read_bytes())
    args = Path("fixtures/spoken_digits/args.json")
    options = CompileOptions(samples=12, backend="none", read=ReadOptions(args=args))
    made = compile(model, COARSE, data=test, output=tmp_path / "b", options=options)
    assert (made.calibration.kind, made.calibration.samples, made.report.samples) == ("first_quarter", 3, 9)
    attribution = explain(made, test)
    assert attribution.samples == 9
    assert attribution.calibration == made.calibration
    assert attribution.accuracy.quantized == made.report.accuracy.quantized


@pytest.mark.slow
def test_a_build_needs_its_model_no_more(tmp_path):
    model = tmp_path / "model.pth.tar"
    model.write_bytes(Path("fixtures/spoken_digits/checkpoint.pth.tar").read_bytes())
    args = Path("fixtures/spoken_digits/args.json")
    options = CompileOptions(samples=4, backend="none", read=ReadOptions(args=args))
    compile(model, COARSE, data="fixtures/spoken_digits/test.npz", output=tmp_path / "b", options=options)
    model.unlink()
    (tmp_path / "b" / "network.nir").unlink()
    assert explain(tmp_path / "b", "fixtures/spoken_digits/test.npz", samples=2).samples == 2


@pytest.mark.slow
def test_on_the_page_a_finding_of_the_build_is_not_printed_again_by_its_error_attribution(build):
    finding = Finding("overflow", "warning", "a", "3 state values overflowed", "", "headroom", kind="network")
    attribution = replace(explain(build, "fixtures/spoken_digits/test.npz", samples=2), findings=(finding,))
    for printed, times in (((), 1), ((finding,), 0)):
        assert [getattr(block, "label", "") for block in attribution_blocks(attribution, printed)].count(
            "warning"
        ) == times
