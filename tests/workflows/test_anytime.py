"""Deciding early: the curves are what runs of fewer steps say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tclif_deploy as tc
from tclif_deploy import mapping
from tclif_deploy.cli.main import run
from tests.helpers.refusals import refused

MODEL, DATA = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
TEST = tc.load_data(DATA)[:40]


@pytest.fixture(scope="module")
def build(tmp_path_factory: Any) -> tc.Build:
    quick = tc.CompileOptions(backend="none", quantize=tc.QuantizeSettings(passes=()))
    folder = tmp_path_factory.mktemp("anytime") / "build"
    return tc.compile(MODEL, data=TEST, calibration=TEST[:8], output=folder, options=quick)


def test_stopping_after_steps_is_a_run_of_so_many_steps(build: tc.Build) -> None:
    early = tc.anytime(build, TEST, points=5)
    assert TEST.lengths is not None
    assert len(early.by_steps) == 5
    for part, stop in zip(range(1, 6), early.by_steps, strict=True):
        end = int(np.ceil(part / 5 * TEST.lengths.max()))
        lengths = np.minimum(TEST.lengths, end)
        classes = tc.simulate(build.fixed, TEST, lengths=lengths).classes
        assert stop.accuracy == (classes == TEST.y).mean()
        assert stop.steps == lengths.mean()
    assert early.by_steps[-1].settled == 1.0
    whole = mapping.cost(
        build.fixed, build.target, mapping.place(build.fixed, build.target), mapping.measure(build.fixed, TEST[:32])
    ).energy.total
    assert whole is not None
    # between measured lengths the curve is straight
    assert early.by_steps[-1].energy_nj_high == pytest.approx(whole[1], rel=0.1)
    energies = [stop.energy_nj_low for stop in early.by_steps]
    assert energies == sorted(energies, key=float)


def test_stopping_at_a_margin_is_what_its_words_say(build: tc.Build) -> None:
    early = tc.anytime(build, TEST, points=4)
    result = tc.simulate(build.fixed, TEST, readouts=True)
    assert result.readouts is not None
    assert TEST.lengths is not None
    values = result.readouts * build.fixed.readout_unit
    for stop in early.by_margin:
        right = steps = 0
        for sample in range(TEST.samples):
            last = int(TEST.lengths[sample])
            ordered = np.sort(values[sample], axis=1)
            leads = ordered[:, -1] - ordered[:, -2]
            at = next((t for t in range(last) if leads[t] >= stop.margin), last - 1)
            scores = result.readouts[sample, at] * build.fixed.readout_multiplier
            right += int(scores.argmax() == TEST.y[sample])
            steps += at + 1
        assert (stop.steps, stop.accuracy) == (steps / TEST.samples, right / TEST.samples)


def test_a_rule_that_decides_by_itself_says_when(tmp_path: Path) -> None:
    options = tc.CompileOptions(
        backend="none", quantize=tc.QuantizeSettings(passes=()), read=tc.ReadOptions(readout="first:2")
    )
    folder = tmp_path / "build"
    opened = tc.compile(MODEL, data=TEST, calibration=TEST[:8], output=folder, options=options)
    early = tc.anytime(opened, TEST, points=2)
    result = tc.simulate(opened.fixed, TEST)
    assert result.decided is not None
    assert early.decided is not None
    assert TEST.lengths is not None
    at = np.where(result.decided < 0, TEST.lengths, result.decided + 1)
    assert early.decided.steps == at.mean()
    assert early.decided.accuracy == (result.classes == TEST.y).mean()


def test_the_command_prints_draws_and_gives_json(build: tc.Build, tmp_path: Path, capsys: Any) -> None:
    words = ["anytime", str(build.folder), "--data", DATA, "--samples", "30", "--points", "4"]
    assert run([*words, "--plot", str(tmp_path / "curve.svg")]) == 0
    shown = capsys.readouterr().out
    assert "Stopping after so many steps" in shown
    assert (tmp_path / "curve.svg").read_text().startswith("<?xml")
    assert run([*words, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["by_steps"]) == 4


def test_what_has_no_classes_to_decide_between_is_refused(build: tc.Build, tmp_path: Path, capsys: Any) -> None:
    np.savez(tmp_path / "steps.npz", x=TEST.x, y=np.zeros(TEST.x.shape[:2], int), lengths=TEST.lengths)
    assert "step-label" in refused(capsys, "anytime", build.folder, "--data", tmp_path / "steps.npz")
    np.savez(tmp_path / "narrow.npz", x=TEST.x[:, :, :2])
    assert "features a step" in refused(capsys, "anytime", build.folder, "--data", tmp_path / "narrow.npz")
    place = tmp_path / "curve.txt"
    assert "no picture" in refused(capsys, "anytime", build.folder, "--data", DATA, "--plot", place)
    assert not place.exists()


def test_samples_that_are_longer_than_those_whose_spikes_are_counted(build: tc.Build) -> None:
    whole = tc.load_data(DATA)
    assert whole.lengths is not None
    order = np.argsort(whole.lengths, kind="stable")
    early = tc.anytime(build, whole[order], points=6)
    energies = [stop.energy_nj_high for stop in early.by_steps]
    assert None not in energies
    assert energies == sorted(energies, key=lambda energy: energy or 0.0)
