"""A green word means good: limits that always hold, and what so few samples can tell."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tclif_deploy as tc
from tclif_deploy import Dataset
from tclif_deploy.cli.main import run
from tclif_deploy.mapping import HardwareSummary
from tclif_deploy.mapping.summary import EnergySummary, LatencySummary, MappingSummary
from tclif_deploy.report.content import Table
from tclif_deploy.report.sections.provenance import provenance
from tclif_deploy.verification import Requirements, Verdict
from tclif_deploy.verification.requirements import wilson
from tclif_deploy.verification.verdict import LayerFidelity
from tests.helpers.tclif_networks import calibration_data, tclif_network
from tests.workflows.test_tasks import FIXED, NET, SOMA, X


def verdict(
    samples: int, agreement: float | None, original: Any = None, fixed: Any = None, changed: Any = None
) -> Verdict:
    return Verdict(samples, original, fixed, agreement, None, (), {}, 0, answers_changed=changed)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (verdict(200, 0.985), "VERIFIED"),
        (verdict(200, 0.95), "VERIFIED"),
        (verdict(200, 0.94), "UNCERTAIN"),
        (verdict(1000, 0.94), "UNCERTAIN"),
        (verdict(20_000, 0.94), "FALLS SHORT"),
        (verdict(200, 0.5), "FALLS SHORT"),
        (verdict(8, 0.5), "FALLS SHORT"),
        (verdict(8, 0.875), "UNCERTAIN"),
        (verdict(200, 0.96, 0.955, 0.955, 0.04), "VERIFIED"),
        (verdict(200, 0.96, 0.955, 0.545, 0.41), "FALLS SHORT"),
        (verdict(200, 0.96, 0.955, 0.94, 0.025), "UNCERTAIN"),
        (verdict(20_000, 0.96, 0.955, 0.94, 0.025), "FALLS SHORT"),
        (verdict(200, 0.99, 0.955, 0.985, 0.03), "VERIFIED"),
        (verdict(200, None), "COMPARED"),
    ],
)
def test_the_limits_that_always_hold(given: Verdict, word: str) -> None:
    assert Requirements().judge(given).word == word


def test_how_many_samples_would_decide_is_said_and_true() -> None:
    (line,) = Requirements().judge(verdict(200, 0.94)).uncertain
    assert line.startswith(
        "agreement is 94.00 %, required at least 95 % (by default), but 200 samples say only 89.81 % to 96.53 %"
    )
    needed = int(line.split(": ")[-1].split(" ")[0].replace(",", ""))
    assert Requirements().judge(verdict(needed, 0.94)).word == "FALLS SHORT"
    assert Requirements().judge(verdict(int(needed * 0.9), 0.94)).word == "UNCERTAIN"


def test_wilson_holds_the_share_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    for share in (0.95, 0.5):
        seen = rng.binomial(200, share, 4000) / 200
        ends = np.array([wilson(float(one), 200) for one in seen])
        covered = ((ends[:, 0] <= share) & (share <= ends[:, 1])).mean()
        assert 0.93 <= covered <= 0.97


def test_the_drop_is_judged_by_paired_differences() -> None:
    """Two networks that are wrong on other samples tell less than two that are wrong on the same."""
    alike, apart = verdict(400, 1.0, 0.95, 0.93, 0.02), verdict(400, 1.0, 0.95, 0.93, 0.12)
    judged = [Requirements().judge(one) for one in (alike, apart)]
    assert [one.word for one in judged] == ["UNCERTAIN", "UNCERTAIN"]
    numbers = [int(one.uncertain[0].split(": ")[-1].split(" ")[0].replace(",", "")) for one in judged]
    assert numbers[0] < numbers[1]
    for changed, needed in zip((0.02, 0.12), numbers, strict=True):
        exact = 1.96**2 * (changed - 0.02**2) / 0.01**2
        assert math.isclose(needed, exact, rel_tol=0.1)


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        ({"min_agreement": 0.0, "max_accuracy_drop": 1.0}, "COMPARED"),
        ({"min_agreement": 0.0, "max_accuracy_drop": 0.6}, "VERIFIED"),
        ({"min_agreement": 0.5, "max_accuracy_drop": 0.6}, "VERIFIED"),
        ({"max_accuracy_drop": 0.6}, "FALLS SHORT"),
        ({"min_agreement": 0.3}, "FALLS SHORT"),
    ],
)
def test_flags_change_them(limits: dict[str, float], word: str) -> None:
    assert Requirements(**limits).judge(verdict(200, 0.55, 0.955, 0.545, 0.41)).word == word  # type: ignore[arg-type]


def test_a_network_that_never_fires_proves_nothing() -> None:
    silent = LayerFidelity("hidden", None, 0.0, 0.0, None)
    judged = Requirements().judge(replace(verdict(200, 1.0), layers=(silent, silent)))
    assert judged.word == "UNCERTAIN"
    assert judged.uncertain[0].startswith("no neuron fires on these samples, which proves nothing")
    alive = replace(silent, spike_rate_float=0.1, spike_rate_fixed=0.1, jaccard=1.0)
    assert Requirements().judge(replace(verdict(200, 1.0), layers=(silent, alive))).word == "VERIFIED"


def test_a_loss_of_accuracy_has_a_sign_and_so_has_what_is_allowed() -> None:
    (line,) = Requirements(min_agreement=0).judge(verdict(200, 0.96, 0.955, 0.545, 0.41)).shortfalls
    assert line == "accuracy changes by −41.00 points, allowed is down to −1.00 points (by default)"
    (line,) = Requirements().judge(verdict(200, 0.96, 0.955, 0.94, 0.025)).uncertain
    assert "200 samples say only −3.85 points to +0.88 points (95 %)" in line


def test_a_target_may_state_limits_of_quality_which_flags_override_and_the_verdict_says_whose_they_are(
    tmp_path: Path,
) -> None:
    file = tmp_path / "strict.toml"
    file.write_text('inherits = "loihi2"\nmin_agreement = 0.99\n[max_accuracy_drop]\n'
                    'value = 0.0\nsource = "the contract"\nevidence = "vendor"\n')  # fmt: skip
    strict = tc.load_target(file)
    given = verdict(20_000, 0.97, 0.955, 0.95, 0.01)
    assert Requirements().judge(given).word == "VERIFIED"
    assert Requirements().judge(given, target=strict).shortfalls == (
        "agreement is 97.00 %, required at least 99 % (of target strict)",
        "accuracy changes by −0.50 points, allowed is down to 0.00 points (of target strict)",
    )
    flags = Requirements(min_agreement=0.98, max_accuracy_drop=0.01)
    assert flags.judge(given, target=strict).shortfalls == ("agreement is 97.00 %, required at least 98 % (asked for)",)
    loose = strict.override(min_agreement=0.5, max_accuracy_drop=1.0)
    assert Requirements().judge(verdict(200, 0.6, 0.9, 0.5, 0.4), target=loose).word == "VERIFIED"


def test_the_page_says_whose_limits_they_are(tmp_path: Path) -> None:
    file = tmp_path / "loose.toml"
    file.write_text('inherits = "loihi2"\nname = "loose"\nmin_agreement = 0\nmax_accuracy_drop = 1\n')
    build = tc.compile(
        tclif_network(), tc.load_target(file), data=calibration_data(), output=tmp_path / "b",
        options=tc.CompileOptions(backend="none"),
    )  # fmt: skip
    (rows,) = (b.rows for b in provenance(build).blocks if isinstance(b, Table))
    assert ("required: agreement of at least", "0 % (of target loose)") in rows
    assert ("required: accuracy drop of at most", "100 % (of target loose)") in rows
    assert tc.Build.open(build.folder).target.min_agreement == tc.load_target(file).min_agreement


@pytest.mark.parametrize(
    ("limit", "word"),
    [
        ({"max_energy": 2.0}, "VERIFIED"),
        ({"max_energy": 1.0}, "FALLS SHORT"),
        ({"max_latency": 50.0}, "VERIFIED"),
        ({"max_latency": 30.0}, "FALLS SHORT"),
        ({"max_cores": 3}, "VERIFIED"),
        ({"max_cores": 2}, "FALLS SHORT"),
    ],
)
def test_limits_on_cost(limit: dict[str, Any], word: str) -> None:
    energy = EnergySummary(500.0, 1500.0, {}, None, None, {}, None)  # type: ignore[arg-type]
    latency = LatencySummary(us_per_inference_low=20.0, us_per_inference_high=40.0)
    hardware = HardwareSummary(mapping=MappingSummary("t", "greedy", 3, 1, {}), energy=energy, latency=latency)
    requirements = Requirements(**limit)
    assert requirements.judge(verdict(200, 1.0), hardware).word == word
    assert requirements.judge(verdict(200, 1.0), replace(hardware, energy=None, latency=None, mapping=None)).shortfalls


def test_numbers_without_a_limit_are_compared() -> None:
    data = Dataset(X, SOMA, task="step-value")
    assert Requirements().judge(tc.verify(NET, FIXED, data)).word == "COMPARED"
    assert Requirements(min_r2=0.5).judge(tc.verify(NET, FIXED, data)).word == "VERIFIED"


def test_the_commands_say_it_and_exit_by_it(tmp_path: Path, capsys: Any) -> None:
    tc.write_nir(NET, tmp_path / "net.nir")
    wrong = (SOMA[:, -1].argmax(axis=1) + 1) % 4
    np.savez(tmp_path / "data.npz", x=X, y=wrong)
    build, model, data = (str(tmp_path / name) for name in ("build", "net.nir", "data.npz"))
    words = ["compile", model, "--data", data, "-o", build, "--backend", "none", "-q"]
    assert run([*words, "--weight-bits", "2"]) == 1
    assert "FALLS SHORT" in capsys.readouterr().out
    assert run([*words, "--max-cores", "1"]) == 0
    assert "VERIFIED" in capsys.readouterr().out
    assert run(["verify", build, "--data", data]) == 0
    assert "VERIFIED" in capsys.readouterr().out
    assert run([*words, "--max-energy", "0.000001"]) == 1
    assert "energy (µJ)" in capsys.readouterr().out


def test_what_does_not_fit_exits_1_unless_it_may(tmp_path: Path, capsys: Any) -> None:
    tc.write_nir(NET, tmp_path / "net.nir")
    words = ["compile", str(tmp_path / "net.nir"), "-o", str(tmp_path / "build"), "--target", "speck2", "-q"]
    words += ["--backend", "none", "--data", str(tmp_path / "data.npz")]
    rng = np.random.default_rng(0)
    wide = tc.Network(
        3,
        (
            replace(NET.layers[0]),
            tc.Layer("big", tc.neurons.readout(4096), (tc.Connection("hidden", rng.normal(0, 0.1, (4096, 16))),)),
        ),
    )
    tc.write_nir(wide, tmp_path / "net.nir")
    np.savez(tmp_path / "data.npz", x=X)
    assert run([*words, "--min-agreement", "0"]) == 1
    assert "DOES NOT FIT" in capsys.readouterr().out
    assert run([*words, "--min-agreement", "0", "--allow-misfit"]) == 0
