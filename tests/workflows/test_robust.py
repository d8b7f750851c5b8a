"""Disturbances are what they say, and their table is the same however it came about."""

import json
from dataclasses import replace

import numpy as np
import pytest

import tclif_deploy as tc
from tclif_deploy import Dataset, TclifError, neurons, quantize, simulate
from tclif_deploy.analysis.disturbances import DISTURBANCES, added_events, flipped_bits, lost_events, reached
from tclif_deploy.cli.main import run
from tclif_deploy.fixed import weight_bits
from tclif_deploy.fixed.mismatch import mismatch
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.report.robustness import Trial, robustness_blocks, short_of
from tclif_deploy.workflows.robust import generator, levels_of, robust
from tclif_deploy.workflows.table_file import read_rows
from tests.helpers import checkpoints
from tests.helpers.random_networks import random_network
from tests.helpers.tclif_networks import LOIHI2, calibration_data, tclif_network

KINDS = tuple(DISTURBANCES)
KEYS = [(0, "bits", 0.1, 0), (1, "bits", 0.1, 0), (0, "lost", 0.1, 0), (0, "bits", 0.2, 0), (0, "bits", 0.1, 1)]


def labelled(samples=12, seed=3) -> Dataset:
    data = calibration_data(seed, samples=samples)
    return replace(data, y=np.random.default_rng(seed).integers(0, 4, samples))


@pytest.fixture(scope="module")
def fixed() -> tc.FixedNetwork:
    return quantize(tclif_network(recurrent=True), LOIHI2, calibration_data(), tc.QuantizeSettings(passes=()))


def large() -> tc.FixedNetwork:
    """Enough integers for statistics; some of its factors a_v are 1."""
    rng = np.random.default_rng(0)
    neuron = neurons.lif(200, decay=np.where(np.arange(200) < 60, 1.0, 0.7), threshold=1.0)
    layers = (
        Layer("a", neuron, (Connection("input", rng.normal(0, 0.5, (200, 50))),)),
        Layer("out", neurons.readout(4), (Connection("a", rng.normal(0, 0.5, (4, 200))),)),
    )
    return quantize(Network(50, layers), LOIHI2, settings=tc.QuantizeSettings(passes=()))


@pytest.mark.parametrize("sigma", [0.03, 0.3])
def test_mismatch_is_normal_in_shares_and_leaves_ones_and_widths(sigma):
    before = large()
    after = mismatch(before, sigma, np.random.default_rng(1))
    a, b = before.layers[0], after.layers[0]
    weight, other = a.connections[0].weight, b.connections[0].weight
    assert np.abs(other).max() <= 127
    middle = (np.abs(weight) > 30) & (np.abs(weight) < 60)  # of these, rounding is little and no limit is met
    shares = other[middle] / weight[middle] - 1
    assert abs(shares.mean()) < 4 * sigma / np.sqrt(middle.sum())
    assert shares.std() == pytest.approx(sigma, rel=0.06)
    one = before.arithmetic.one
    ones = a.a_v == one
    assert ones.sum() == 60
    assert (b.a_v[ones] == one).all()
    assert (b.a_v[~ones] != a.a_v[~ones]).mean() > 0.9
    assert b.a_v.max() <= one
    assert (b.threshold != a.threshold).mean() > 0.9
    for name in ("bias_u", "bias_v", "r_u", "r_v", "v0", "multiplier"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_flipped_bits_are_bits_of_the_stored_width():
    before = large()
    after = flipped_bits(before, 0.05, np.random.default_rng(1))
    flips = 0
    for a, b in zip(before.layers, after.layers, strict=True):
        bits = weight_bits(a)
        for c, d in zip(a.connections, b.connections, strict=True):
            assert d.weight.min() >= -(2 ** (bits - 1))
            assert d.weight.max() < 2 ** (bits - 1)
            stored = (c.weight ^ d.weight) & (1 << bits) - 1
            flips += sum(int((stored >> bit & 1).sum()) for bit in range(bits))
    total = sum(weight_bits(la) * c.weight.size for la in before.layers for c in la.connections)
    assert flips / total == pytest.approx(0.05, rel=0.05)
    whole = flipped_bits(before, 1.0, np.random.default_rng(1))
    np.testing.assert_array_equal(whole.layers[0].connections[0].weight, ~before.layers[0].connections[0].weight)


def test_what_a_disturbance_came_to_is_measured():
    rng = np.random.default_rng(2)
    before = large()
    x = rng.integers(1, 9, (4, 60, 50)) * (rng.random((4, 60, 50)) < 0.3)
    valid = np.arange(60) < np.array([60, 60, 30, 10])[:, None]
    x = x * valid[:, :, None]
    for kind, disturbance in DISTURBANCES.items():
        after, given = before, x
        if disturbance.of_network is not None:
            after = disturbance.of_network(before, 0.2, rng)
        if disturbance.of_input is not None:
            given = disturbance.of_input(x, valid, 0.2, rng)
        assert reached(kind, before, after, x, given, valid) == pytest.approx(0.2, abs=0.07), kind
        assert reached(kind, before, before, x, x, valid) == 0
    # Of weights of two bits (-1, 0, 1) a deviation of a tenth leaves nearly all as they are.
    coarse = quantize(tclif_network(), LOIHI2.override(weight_bits=2), calibration_data())
    links = tuple(replace(c, weight=np.sign(c.weight)) for c in coarse.layers[1].connections)
    coarse = replace(coarse, layers=(coarse.layers[0], replace(coarse.layers[1], connections=links)))
    after = mismatch(coarse, 0.1, rng)
    np.testing.assert_array_equal(after.layers[1].connections[0].weight, links[0].weight)
    assert reached("mismatch", coarse, after, x, x, valid) < 0.08


def test_a_level_that_is_not_reached_is_said_and_one_that_cannot_be_is_refused(fixed, tmp_path):
    """Input without room for events: added in full measure where there is, hardly where there is not."""
    step = fixed.input.lsb
    dense = np.full((6, 20, fixed.input.size), 3.0)
    dense[:, 0, 0] = 0  # a single place a sample
    given = {"kinds": ("added", "lost"), "levels": (0.2,), "runs": 3, "jobs": 1}
    found = robust(fixed, Dataset(dense, scale=step), tmp_path / "a.csv", **given)
    added, lost = found.spreads()
    places = 20 * fixed.input.size
    assert added.reached == pytest.approx(1 / (places - 1))
    assert lost.reached == pytest.approx(0.2, rel=0.2)
    assert short_of([lost]) == []
    assert short_of([added]) == [f"added of 0.2 came to {added.reached:.2g}: the input has few empty places"]
    notes = [block for block in robustness_blocks(found) if getattr(block, "label", "") == "not reached"]
    assert [note.text for note in notes] == short_of([added])
    assert "reached" in (tmp_path / "a.csv").read_text().splitlines()[0].split(",")
    full, nothing = np.full((2, 5, fixed.input.size), 3.0), np.zeros((2, 5, fixed.input.size))
    for x, kind, why in (
        (full, "added", "no input value is 0, so no event can be added; leave added out"),
        (nothing, "added", "every input value is 0, so no event can be added"),
        (nothing, "lost", "every input value is 0, so no event can be lost; leave lost out"),
    ):
        with pytest.raises(TclifError, match=f"mine.npz: {why}"):
            robust(fixed, Dataset(x, name="mine.npz"), tmp_path / "b.csv", kinds=(kind,), runs=1, jobs=1)
    assert not (tmp_path / "b.csv").exists()


@pytest.mark.parametrize("kind", ["silent", "firing"])
@pytest.mark.parametrize(
    "options", [{}, {"input_to": "soma", "reset": "hard"}, {"recurrent": True, "bias": True, "v0": True, "q": True},
                {"spiking_output": True, "leaky": True}, {"conv": True}]
)  # fmt: skip
def test_stuck_neurons_are_stuck_and_only_their_share(kind, options):
    before, x = random_network(4, samples=2, time=30, **options)
    disturb = DISTURBANCES[kind].of_network
    after = disturb(before, 0.4, np.random.default_rng(0))
    spikes, first = simulate(after, x, spikes=True).spikes, before.layers[0]
    rates = spikes[first.name].mean(axis=(0, 1))
    stuck = rates == (kind == "firing")
    unhurt = simulate(before, x, spikes=True).spikes[first.name]
    assert 0.15 < stuck.mean() < 0.9
    if not any(c.source == first.name for c in first.connections):  # the others of the first layer hear the same
        np.testing.assert_array_equal(spikes[first.name][:, :, ~stuck], unhurt[:, :, ~stuck])
    everything = disturb(before, 1.0, np.random.default_rng(0))
    for fired in simulate(everything, x, spikes=True).spikes.values():
        assert fired.all() if kind == "firing" else not fired.any()


def test_neurons_of_a_convolution_into_the_soma_are_refused_by_name(tmp_path):
    before, x = random_network(4, samples=2, time=30, conv=True, input_to="soma")
    with pytest.raises(TclifError, match=r"layer layer0: neurons of a convolution .*leave silent and firing"):
        robust(before, Dataset(x, scale=before.input.lsb), tmp_path / "r.csv", kinds=("silent",), runs=1, jobs=1)
    assert not (tmp_path / "r.csv").exists()


def test_events_are_lost_and_added_in_their_share():
    rng = np.random.default_rng(0)
    x = rng.integers(1, 9, (5, 100, 40)) * (rng.random((5, 100, 40)) < 0.3)
    valid = np.arange(100) < np.array([100, 100, 100, 100, 12])[:, None]
    x[4, 12:] = 0
    lost = lost_events(x, valid, 0.2, rng)
    assert ((lost == x) | (lost == 0)).all()
    assert (lost != 0).sum() / (x != 0).sum() == pytest.approx(0.8, rel=0.03)
    added = added_events(x, valid, 0.2, rng)
    assert not added[4, 12:].any()  # what lies behind a sample's end is heard by nobody
    assert (added[4] != x[4]).sum() >= 5
    assert (added[x != 0] == x[x != 0]).all()
    assert ((added != 0) & (x == 0)).sum() / (x != 0).sum() == pytest.approx(0.2, rel=0.06)
    assert set(np.unique(added)) == set(np.unique(x))
    full = np.ones((1, 4, 4), int)
    np.testing.assert_array_equal(added_events(full, np.ones((1, 4), bool), 1.0, rng), full)
    np.testing.assert_array_equal(lost_events(full, np.zeros((1, 4), bool), 1.0, rng), full)


def test_equal_seeds_give_equal_bytes_in_any_order_and_others_do_not(fixed, tmp_path):
    given = {"levels": (0.05, 0.3), "runs": 2, "jobs": 1}
    one = robust(fixed, labelled(), tmp_path / "a.csv", **given)
    back = robust(fixed, labelled(), tmp_path / "b.csv", **{**given, "levels": (0.3, 0.05), "kinds": KINDS[::-1]})
    assert {(t.kind, t.level, t.run): t for t in one.trials} == {(t.kind, t.level, t.run): t for t in back.trials}
    robust(fixed, labelled(), tmp_path / "c.csv", parallel="threading", **{**given, "jobs": 2})
    assert (tmp_path / "c.csv").read_bytes() == (tmp_path / "a.csv").read_bytes()
    other = robust(fixed, labelled(), tmp_path / "d.csv", seed=1, **given)
    assert [t.agreement for t in other.trials] != [t.agreement for t in one.trials]
    assert {t.kind for t in one.trials if t.agreement < 1} >= {"mismatch", "bits"}


def test_a_trial_is_the_disturbed_network_run(fixed, tmp_path):
    data, own = labelled(), simulate(fixed, labelled()).classes
    found = robust(fixed, data, tmp_path / "a.csv", levels=(0.3,), kinds=("mismatch", "lost"), runs=3, seed=5, jobs=1)
    x = fixed.input.encode(data.x, data.scale)[0]
    for trial in found.trials:
        rng = generator(5, trial.kind, 0.3, trial.run)
        if trial.kind == "mismatch":
            classes = simulate(mismatch(fixed, 0.3, rng), x).classes
        else:
            classes = simulate(fixed, lost_events(x, data.valid(), 0.3, rng)).classes
        assert trial.agreement == (classes == own).mean()
        assert trial.accuracy == (classes == data.y).mean()
    assert len({generator(*key).integers(1 << 60) for key in KEYS}) == len(KEYS)


def test_an_interrupted_job_goes_on_and_runs_nothing_again(fixed, tmp_path):
    path = tmp_path / "r.csv"
    given = {"levels": (0.1,), "kinds": ("bits", "lost"), "runs": 3, "jobs": 1}
    whole = robust(fixed, labelled(), path, **given)
    content = path.read_bytes()
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[3], lines[5][:25]]))  # one row whole, one cut
    counted: list[tuple[int, int]] = []
    assert robust(fixed, labelled(), path, progress=lambda *at: counted.append(at), **given) == whole
    assert counted[0] == (1, 6)
    assert counted[-1] == (6, 6)
    assert path.read_bytes() == content
    with pytest.raises(TclifError, match=r"r\.csv: holds trials of another build, data or seed; choose another"):
        robust(fixed, labelled(seed=4), path, **given)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TclifError, match="not a table of tclif robust"):
        robust(fixed, labelled(), tmp_path / "other.csv", **given)
    assert (tmp_path / "other.csv").read_text() == "a,b\n1,2\n"


def test_two_jobs_on_one_table_lose_nothing(fixed, tmp_path):
    """Each writes while the other is under way, other kinds and the same ones; the table has all rows, once."""
    path = tmp_path / "r.csv"
    given = {"levels": (0.1, 0.2), "runs": 2, "jobs": 1}
    whole = robust(fixed, labelled(), tmp_path / "whole.csv", kinds=("bits", "lost", "silent"), **given)

    def other(done, total):
        if done == 2:
            robust(fixed, labelled(), path, kinds=("silent", "bits"), **given)

    robust(fixed, labelled(), path, kinds=("bits", "lost"), progress=other, **given)
    rows = list(read_rows(Trial, path, "tclif robust"))
    assert len(rows) == 12
    assert {(r.kind, r.level, r.run): r for r in rows} == {(t.kind, t.level, t.run): t for t in whole.trials}
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [("accuracy", "1.5", "accuracy is 1.5"), ("accuracy", "nan", "accuracy is nan"), ("agreement", "-0.1", "agreement"),
     ("agreement", "inf", "agreement"), ("level", "2", "level is 2"), ("run", "-1", "run is -1"),
     ("reached", "-1", "reached"), ("kind", "rays", "no disturbance is called 'rays'")],
)  # fmt: skip
def test_kept_figures_that_none_can_be_are_refused_with_their_line(fixed, tmp_path, column, value, why):
    path = tmp_path / "r.csv"
    given = {"levels": (0.1,), "kinds": ("bits",), "runs": 2, "jobs": 1}
    robust(fixed, labelled(), path, **given)
    lines = [line.split(",") for line in path.read_text().splitlines()]
    lines[2][lines[0].index(column)] = value
    damaged = "\n".join(map(",".join, lines)) + "\n"
    path.write_text(damaged)
    with pytest.raises(TclifError, match=rf"r\.csv: line 3: .*{why}.*; choose another --output"):
        robust(fixed, labelled(), path, **given)
    assert path.read_text() == damaged


def test_without_labels_it_tells_agreement(fixed, tmp_path):
    found = robust(fixed, calibration_data(), tmp_path / "r.csv", levels=(0.2,), kinds=("bits",), runs=2, jobs=1)
    assert found.accuracy is None
    (spread,) = found.spreads()
    assert (spread.accuracy, spread.accuracy_std) == (None, None)
    assert spread.agreement == np.mean([trial.agreement for trial in found.trials])


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("0.05", (0.05,)),
        ("0.01..0.1", tuple(n / 100 for n in range(1, 11))),
        ("0.1..0.5..0.2, 1", (0.1, 0.3, 0.5, 1.0)),
    ],
)
def test_levels_are_read(text, levels):
    assert levels_of(text) == levels


@pytest.mark.parametrize("text", ["", "0", "-0.1", "2", "nan", "x", "0.1..", "0.2..0.1", "0.1..0.5..0", "0.001..1"])
def test_what_is_no_level_is_refused(text):
    with pytest.raises(TclifError, match="--sigma "):
        levels_of(text)


def test_the_command_prints_a_table_a_file_and_a_picture(tmp_path, capsys):
    model = checkpoints.write_checkpoint(tmp_path / "net")
    data = checkpoints.write_data(tmp_path / "data.npz", samples=12)
    build, table, plot = tmp_path / "build", tmp_path / "r.csv", tmp_path / "r.svg"
    limits = ["--min-agreement", "0", "--max-accuracy-drop", "1"]
    assert run(["compile", str(model), "--data", str(data), "--backend", "none", "-o", str(build), "-q", *limits]) == 0
    argv = ["robust", str(build), "--data", str(data), "--sigma", "0.1..0.2", "--runs", "2", "-o", str(table)]
    capsys.readouterr()
    assert run([*argv, "--plot", str(plot), "-q", "--jobs", "1"]) == 0
    shown = capsys.readouterr().out
    for kind, disturbance in DISTURBANCES.items():
        assert f"{kind}: {disturbance.meaning} (2 runs each)" in shown
    assert plot.read_text().count("undisturbed") >= 1
    assert len(table.read_text().splitlines()) == 1 + 6 * 2 * 2
    assert run([*argv, "--json", "--jobs", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [spread["runs"] for spread in found["spreads"]] == [2] * 12
    assert len(found["trials"]) == 24
    for wrong, why in (
        (["--runs", "0"], "runs"),
        (["--sigma", "1.5"], "--sigma is '1.5'"),
        (["--kinds", "rays"], "no disturbance is called 'rays'; known: mismatch"),
        (["--jobs", "0"], "jobs is 0"),
        (["--plot", str(tmp_path / "r.txt")], "no picture is called so"),
        (["--seed", "1"], "holds trials of another build, data or seed"),
    ):
        assert run([*argv, *wrong]) == 2
        assert why in capsys.readouterr().err
