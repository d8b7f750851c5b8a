"""Whatever a file holds, a command says one line, or works: exit code 0, 1 or 2, and nothing half-written."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz import cases, damage

INPUTS = 400
"""of each run; about a minute"""
SEED = 20_26
MOST_SECONDS = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fuzz")
    cases.make(made)
    return made


@pytest.mark.slow
def test_every_command_runs_on_files_that_are_whole(folder):
    for commands in cases.READS.values():
        for command in commands:
            before = cases.files(folder)
            code, stderr, trace = cases.called(folder, command)
            changed = {n for n, found in cases.files(folder).items() if before.get(n) != found}
            assert code in (0, 1), (command, stderr, trace)
            assert cases.judged(command, code, stderr, trace, changed) is None, command
            assert "done without" not in stderr
            cases.tidy(folder, set(before))


@pytest.mark.slow
def test_damage_is_one_line_or_does_no_harm(folder):
    """A sample of damages, drawn from a fixed seed; ``python -m tests.fuzz.run`` draws others, as many as wanted."""
    started, run, findings = time.monotonic(), 0, []
    for number in range(INPUTS):
        if time.monotonic() - started > MOST_SECONDS:
            break
        findings.append(cases.attempt(folder, SEED, number))
        run += 1
    wrong = [str(finding) for finding in findings if finding is not None]
    assert not wrong, f"{len(wrong)} of {run} inputs:\n" + "\n".join(wrong)
    assert run >= 100, f"only {run} inputs in {MOST_SECONDS} s"


def test_a_damaged_side_file_takes_away_its_own_section(folder):
    for name in cases.SIDE:
        whole = (folder / "b" / name).read_bytes()
        (folder / "b" / name).write_bytes(damage.DEEP.encode())
        for command in (["show", "b"], ["report", "b", "-o", "page.html"]):
            code, stderr, _ = cases.called(folder, command)
            assert (code, len(stderr.strip().splitlines())) == (0, 1), stderr
            assert f"b/{name}: " in stderr
            assert "done without" in stderr
        (folder / "b" / name).write_bytes(whole)
    (folder / "page.html").unlink()


def test_the_judge_knows_what_is_wrong():
    judged = cases.judged
    assert judged(["show", "b"], 2, "error: b: is a folder\n", "", set()) is None
    assert judged(["show", "b"], 2, "error: internal error: KeyError: 'x'\n", "", set()) is not None
    assert judged(["show", "b"], 2, "step\nerror: b\n", "", set()) is not None
    assert judged(["show", "b"], 0, "", "", {"b/report.json"}) is not None
    assert judged(["report", "b"], 0, "", "", {"page.html"}) is None
    assert judged(["show", "b"], None, "", "Traceback", set()) is not None


def test_the_same_number_draws_the_same_damage(folder):
    for number in range(30):
        first, second = (cases.drawn(folder, 7, number) for _ in range(2))
        assert first[:3] == second[:3]
    content = (folder / "d.npz").read_bytes()
    assert len({damage.damaged(content, ".npz", np.random.default_rng(n))[0] for n in range(60)}) >= 6
