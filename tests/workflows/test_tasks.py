"""Targets of other shapes, from data to verdict: labels of steps, numbers, and rules that only float has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tclif_deploy as tc
from tclif_deploy import Connection, Dataset, Layer, Network, neurons
from tclif_deploy.cli.main import run
from tclif_deploy.errors import TclifError
from tclif_deploy.readout import softmax
from tclif_deploy.simulation.scores import NumberScore
from tests.helpers.refusals import refused

RNG = np.random.default_rng(5)
X = RNG.normal(0, 1, (12, 30, 3))
FAST = tc.CompileOptions(backend="none", quantize=tc.QuantizeSettings(passes=()))


def network(outputs: int = 4, rule: str = "last") -> Network:
    rng = np.random.default_rng(1)
    hidden = Layer(
        "hidden", neurons.lif(16, decay=0.9, threshold=1.0), (Connection("input", rng.normal(size=(16, 3))),)
    )
    out = neurons.readout(outputs, decay=0.9)
    return Network(
        3, (hidden, Layer("out", out, (Connection("hidden", rng.normal(size=(outputs, 16))),)))
    ).with_readout(rule)


NET = network()
FIXED = tc.quantize(NET, "loihi2", X, tc.QuantizeSettings(passes=()))
FLOAT_RUN, FIXED_RUN = (tc.simulate(n, X, readouts=True, traces=["out"]) for n in (NET, FIXED))
SOMA = FLOAT_RUN.traces["out"][1]


def numbers(truth: np.ndarray, said: np.ndarray) -> tuple[float, float, float]:
    """R2, rmse and sMAPE of (numbers, outputs), as written in any textbook."""
    error, scatter = ((said - truth) ** 2).sum(axis=0), ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
    size = np.abs(said) + np.abs(truth)
    ratio = 2 * np.abs(said - truth) / np.where(size > 0, size, 1)
    return float((1 - error / scatter).mean()), float(np.sqrt(((said - truth) ** 2).mean())), 100 * float(ratio.mean())


def test_each_step_has_a_label() -> None:
    y = SOMA.argmax(axis=2)
    y[:, ::5] = (y[:, ::5] + 1) % 4
    mask = RNG.random((12, 30)) < 0.7
    lengths = RNG.integers(10, 31, 12)
    counts = mask & (np.arange(30) < lengths[:, None])
    verdict = tc.verify(NET, FIXED, Dataset(X, y, mask=mask, lengths=lengths))
    scores = FIXED_RUN.traces["out"][1] * FIXED.output.multiplier
    said = scores.argmax(axis=2)
    assert (verdict.task, verdict.judged) == ("step-label", int(counts.sum()))
    assert verdict.accuracy_float == (SOMA.argmax(axis=2) == y)[counts].mean()
    assert verdict.accuracy_fixed == (said == y)[counts].mean()
    assert verdict.agreement_argmax == (said == SOMA.argmax(axis=2))[counts].mean()


@pytest.mark.parametrize("task", ["value", "step-value"])
def test_numbers_have_three_figures(task: Any) -> None:
    said = [SOMA, FIXED_RUN.traces["out"][1] * FIXED.output.lsb_v]
    said = said if task == "step-value" else [values[:, -1] for values in said]
    y = said[0] + RNG.normal(0, 0.5, said[0].shape)
    verdict = tc.verify(NET, FIXED, Dataset(X, y, task=task))
    rows = [values.reshape(-1, 4) for values in (y, *said)]
    for name, at in (("r2", 0), ("rmse", 1), ("smape", 2)):
        figures = getattr(verdict, name)
        assert figures.original == pytest.approx(numbers(rows[0], rows[1])[at], rel=1e-9)
        assert figures.quantized == pytest.approx(numbers(rows[0], rows[2])[at], rel=1e-9)
        assert figures.agreement == pytest.approx(numbers(rows[1], rows[2])[at], rel=1e-9)
    assert verdict.agreement_argmax is None
    assert verdict.accuracy_fixed is None
    assert "R² against float" in str(verdict)


def test_numbers_add_up_in_any_batches() -> None:
    truth, said = RNG.normal(5, 1, (50, 3)), RNG.normal(5, 1, (50, 3))
    whole, parts = NumberScore(3), NumberScore(3)
    whole.add(truth, said)
    for n in range(0, 50, 7):
        parts.add(truth[n : n + 7], said[n : n + 7])
    for name in ("r2", "rmse", "smape"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-12)
    assert NumberScore(1).r2 is None
    assert NumberScore(1).rmse is None


def test_a_single_output_is_a_number() -> None:
    one = network(1)
    fixed = tc.quantize(one, "loihi2", X, tc.QuantizeSettings(passes=()))
    verdict = tc.verify(one, fixed, X)
    assert verdict.task == "value"
    assert verdict.r2 is not None
    assert verdict.r2.original is None
    assert verdict.r2.agreement is not None
    assert verdict.r2.agreement > 0.9


def test_the_loss_of_a_rule_is_not_called_quantization() -> None:
    soft = network(rule="softmax")
    fixed = tc.quantize(soft, "loihi2", X, tc.QuantizeSettings(passes=()))
    own = sum(softmax(SOMA[:, t]) for t in range(30)).argmax(axis=1)
    summed = SOMA.sum(axis=1).argmax(axis=1)
    y = np.where(np.arange(12) < 9, own, (own + 1) % 4)
    verdict = tc.verify(soft, fixed, (X, y))
    assert verdict.rule_loss is not None
    assert verdict.rule == "sum"
    assert verdict.rule_loss.declared == "softmax"
    assert verdict.accuracy_float == (own == y).mean()
    assert verdict.rule_loss.agreement == (own == summed).mean()
    assert verdict.rule_loss.accuracy == (summed == y).mean()
    assert verdict.agreement_argmax == (summed == tc.simulate(fixed, X).classes).mean()
    assert own.tolist() != summed.tolist()


def test_undecided_samples_are_counted() -> None:
    net = network(rule="first:6.0")
    fixed = tc.quantize(net, "loihi2", X, tc.QuantizeSettings(passes=()))
    verdict = tc.verify(net, fixed, X)
    assert verdict.undecided is not None
    never = int((SOMA.max(axis=(1, 2)) < 6.0).sum())
    assert verdict.undecided.original == never
    assert 0 < never < 12


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"y": np.zeros((12, 3))}, "3 values a sample, the network has 4 outputs"),
        ({"y": np.zeros((12, 30, 2))}, "2 values a step, the network has 4 outputs"),
        ({"y": np.zeros((12, 30), int), "mask": np.zeros((12, 30), bool)}, "mask leaves no step"),
    ],
)
def test_targets_that_do_not_fit_are_refused(data: dict[str, Any], said: str) -> None:
    with pytest.raises(TclifError, match=said):
        tc.verify(NET, FIXED, Dataset(X, **data))


def saved(folder: Path, **arrays: Any) -> tuple[str, str]:
    """A model file and a data file."""
    tc.write_nir(NET, folder / "net.nir")
    np.savez(folder / "data.npz", x=X, **arrays)
    return str(folder / "net.nir"), str(folder / "data.npz")


def test_a_build_of_numbers_says_so_everywhere(tmp_path: Path, capsys: Any) -> None:
    model, data = saved(tmp_path, y=SOMA[..., :4] + 0.1)
    build = str(tmp_path / "build")
    assert run(["compile", model, "--data", data, "-o", build, "--backend", "none", "--min-r2", "0.9"]) == 0
    report = json.loads((tmp_path / "build" / "report.json").read_text())
    assert report["task"] == "step-value"
    assert set(report["r2"]) == {"float", "fixed", "agreement"}
    assert report["r2"]["fixed"] > 0.9
    assert report["agreement"]["argmax"] is None
    assert "R²" in capsys.readouterr().out
    for words in (["show", build], ["verify", build, "--data", data], ["report", build]):
        assert run(words) == 0
        assert words[0] == "report" or "R²" in capsys.readouterr().out
    assert "R²" in (tmp_path / "build" / "report.html").read_text()
    assert run(["verify", build, "--data", data, "--max-rmse", "0.0001"]) == 1
    assert run(["verify", build, "--data", data, "--min-r2-to-float", "0.5"]) == 0
    opened = tc.Build.open(build)
    assert not opened.damaged
    assert opened.record is not None
    assert opened.record.confusion.shape == (0, 0)
    capsys.readouterr()
    assert run(["simulate", build, "--data", data, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["r2"] == pytest.approx(report["r2"]["fixed"], abs=0.05)


def test_a_rule_is_chosen_by_hand(tmp_path: Path, capsys: Any) -> None:
    model, data = saved(tmp_path, y=SOMA.max(axis=1).argmax(axis=1))
    build = str(tmp_path / "build")
    assert run(["compile", model, "--data", data, "-o", build, "--backend", "none", "--readout", "max"]) == 0
    opened = tc.Build.open(build)
    assert (str(opened.fixed.readout), str(opened.network.readout)) == ("max", "max")
    assert opened.verdict is not None
    assert opened.verdict.accuracy_float == 1.0
    assert run(["explain", build, "--data", data, "--samples", "6"]) == 0


@pytest.mark.parametrize(
    ("arrays", "words", "said"),
    [
        ({"y": np.zeros((12, 4))}, ("--min-accuracy", "0.5"), "its targets are numbers"),
        ({"y": np.zeros((12, 4))}, ("--min-agreement", "0.5"), "its targets are numbers"),
        ({"y": np.zeros(12, int)}, ("--min-r2", "0.5"), "its targets are labels"),
        ({}, ("--min-r2", "0.5"), "no targets"),
        ({"y": np.zeros(12)}, (), "can mean value"),
        ({"y": np.zeros((12, 30), int)}, ("--weight-bits", "auto"), "loses classes of samples against --auto-max-drop"),
        ({"y": np.zeros(12, int)}, ("--readout", "median"), "is not known"),
        ({"y": np.zeros(12, int)}, ("--readout", "count"), "does not fire"),
        ({"y": np.zeros(12, int)}, ("--task", "value", "--min-r2", "0"), "y has 1 values a sample"),
    ],
)
def test_what_cannot_be_is_one_line(arrays: Any, words: Any, said: str, tmp_path: Path, capsys: Any) -> None:
    model, data = saved(tmp_path, **arrays)
    line = refused(
        capsys, "compile", model, "--data", data, "-o", tmp_path / "build", "--backend", "none", "-q", *words
    )  # fmt: skip
    assert said in line
    assert not (tmp_path / "build").exists()


def spiking() -> Network:
    """Eight neurons that vote for four classes."""
    lif = neurons.lif(8, decay=0.9, threshold=1.0)
    rng = np.random.default_rng(3)
    out = Layer("out", lif, (Connection("hidden", rng.normal(0, 0.7, size=(8, 16))),))
    return Network(3, (NET.layers[0], out)).with_readout("votes:2")


@pytest.mark.parametrize("steps", [False, True])
def test_a_build_of_votes_or_of_labelled_steps_opens_whole(steps: bool, tmp_path: Path, capsys: Any) -> None:
    model = spiking() if not steps else NET
    y = SOMA.argmax(axis=2) if steps else np.arange(12) % 4
    opened = tc.compile(model, data=(X, y), output=tmp_path / "build", options=FAST)
    again = tc.Build.open(opened.folder)
    assert not again.damaged
    assert again.record is not None
    assert again.record.confusion.shape == (4, 4)
    assert again.verdict is not None
    assert again.verdict.task == ("step-label" if steps else "label")
    assert again.fixed.readout == opened.fixed.readout
    assert run(["show", str(opened.folder)]) == 0
    assert "4" in capsys.readouterr().out
