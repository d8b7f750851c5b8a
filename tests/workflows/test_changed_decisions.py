"""Samples that float and fixed decide differently: margins, and those about which float itself is chaotic."""

from dataclasses import replace

import numpy as np
import pytest

import tclif_deploy as tc
from tclif_deploy import neurons
from tclif_deploy.formats.network_file import write_network
from tclif_deploy.report.sections.fidelity import changed_blocks, decision_table
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.verification import changed_decisions as changed_module
from tclif_deploy.verification.changed_decisions import NUDGE, nudged_starts
from tests.helpers.tclif_networks import LOIHI2, calibration_data, tclif_network

QUIET = tc.QuantizeSettings(passes=())


def integrator() -> tc.Network:
    """One neuron that fires as soon as its inputs add up to 1: class 1 if it fires, else class 0."""
    hidden = tc.Layer(
        "hidden", neurons.integrate_and_fire(1, threshold=1.0), (tc.Connection("input", np.ones((1, 1))),)
    )
    out = tc.Layer("out", neurons.readout(2, bias=[0.25, 0.0]), (tc.Connection("hidden", np.array([[0.0], [2.0]])),))
    return tc.Network(1, (hidden, out))


def stubborn(net: tc.Network, data: tc.Dataset) -> tc.FixedNetwork:
    """Its integers, whose neuron never fires."""
    fixed = tc.quantize(net, LOIHI2, data, QUIET)
    first = fixed.layers[0]
    return replace(fixed, layers=(replace(first, threshold=first.threshold * 4), *fixed.layers[1:]))


def data(*rows: list[float]) -> tc.Dataset:
    return tc.Dataset(np.array(rows)[:, :, None])


def test_margins_are_those_of_the_readouts_and_the_chaotic_are_told_apart():
    net, given = integrator(), data([0.5, 0.5], [0.25, 0.25], [0.75, 0.5])
    fixed = stubborn(net, given)
    verdict = tc.verify(net, fixed, given)
    found = verdict.changed_decisions
    assert found is not None
    assert (found.count, found.looked_at, found.chaotic, found.draws, found.nudge) == (2, 2, 1, 5, NUDGE)
    assert [(c.sample, c.original, c.quantized) for c in found.samples] == [(0, 1, 0), (2, 1, 0)]
    assert [c.chaotic for c in found.samples] == [True, False]  # the first adds up to the threshold, and no more
    a = simulate_float(net, given.values()).readout
    b = tc.simulate(fixed, given).readout * fixed.readout_unit
    for c in found.samples:
        assert c.margin == pytest.approx(a[c.sample, 1] - a[c.sample, 0])
        assert c.margin - c.margin_lost == pytest.approx(b[c.sample, 1] - b[c.sample, 0])
        assert c.margin_lost > c.margin > 0


def test_they_are_in_the_json_form_and_on_the_page():
    net, given = integrator(), data([0.5, 0.5], [0.75, 0.5])
    verdict = tc.verify(net, stubborn(net, given), given)
    item = verdict.to_json()["changed_decisions"]
    assert (item["count"], item["chaotic"]) == (2, 1)
    assert {"sample", "float", "fixed", "margin", "margin_lost", "chaotic"} == set(item["samples"][0])
    table, note = changed_blocks(verdict.changed_decisions)
    assert [row[0] for row in table.rows] == ["0", "1"]
    assert [row[-1] for row in table.rows] == ["yes", "no"]
    assert note.text.startswith("1 of 2 is chaotic: float itself decides otherwise in at least one of 5 runs")
    assert ("decided differently", "2") in decision_table(verdict.summary()).rows
    assert ("of these chaotic", "1 of 2 looked at") in decision_table(verdict.summary()).rows


def test_where_all_is_decided_alike_nothing_is_listed():
    net, given = integrator(), data([0.5, 0.75], [0.25, 0.25])
    verdict = tc.verify(net, tc.quantize(net, LOIHI2, given, QUIET), given)
    assert verdict.changed_decisions is not None
    assert verdict.changed_decisions.count == 0
    assert verdict.changed_decisions.samples == ()
    assert changed_blocks(verdict.changed_decisions) == []


def test_of_many_only_the_first_are_looked_at_and_the_page_says_so(monkeypatch):
    monkeypatch.setattr(changed_module, "MOST", 3)
    net, given = integrator(), data(*[[0.75, 0.5]] * 40)
    found = tc.verify(net, stubborn(net, given), given).changed_decisions
    assert (found.count, found.looked_at, found.chaotic) == (40, 3, 0)
    assert [c.sample for c in found.samples] == [0, 1, 2]
    table, note = changed_blocks(found)
    assert "the first 3 of 40" in table.title
    assert note.text.startswith("None of 3 that were looked at, of 40, is chaotic")


def test_answers_that_are_no_classes_of_samples_have_none():
    net = integrator()
    given = replace(data([0.5, 0.5], [0.75, 0.5]), y=np.zeros((2, 2), np.int64), task="step-label")
    assert tc.verify(net, stubborn(net, given), given).changed_decisions is None


def test_starts_move_by_a_millionth_of_each_threshold_and_alike_every_time():
    net = tclif_network()
    moved = nudged_starts(net)
    assert len(moved) == 5
    for other, again in zip(moved, nudged_starts(net), strict=True):
        for layer, a, b in zip(net.layers, other.layers, again.layers, strict=True):
            assert np.array_equal(a.neuron.v0, b.neuron.v0)
            step = NUDGE * layer.neuron.threshold if layer.neuron.spiking else 0.0
            np.testing.assert_allclose(np.abs(a.neuron.v0 - layer.neuron.v0), np.broadcast_to(step, layer.size))
    assert not np.array_equal(moved[0].layers[0].neuron.v0, moved[1].layers[0].neuron.v0)


def test_padded_samples_keep_their_lengths():
    net, given = integrator(), data([0.5, 0.5, 0.9], [0.75, 0.5, 0.0])
    given = replace(given, lengths=np.array([2, 3]))
    found = tc.verify(net, stubborn(net, given), given).changed_decisions
    assert [c.chaotic for c in found.samples] == [True, False]


def test_a_build_keeps_them(tmp_path):
    net, given = tclif_network(4), calibration_data(7, samples=60)
    model = tmp_path / "network.npz"
    write_network(net, model)
    options = tc.CompileOptions(backend="none", quantize=tc.QuantizeSettings(weight_bits=(2, 2, 2), passes=()))
    build = tc.compile(model, data=given, calibration=calibration_data(), output=tmp_path / "b", options=options)
    assert build.report.changed_decisions.count > 0
    again = tc.Build.open(tmp_path / "b")
    assert again.report.changed_decisions == build.verdict.changed_decisions == again.verdict.changed_decisions
