"""Whatever a file holds, a command says one line, or works: exit code 0, 1 or 2, and nothing half-written."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz import cases, damage, inputs, values

INPUTS = 1500
"""of each run; about a minute"""
SEED = 20_26
LEAST, MOST_SECONDS = 200, 60
"""inputs that are tried however slow the machine is, and when no more begin after them"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fuzz")
    inputs.make(made)
    cases.originals(made)
    return made


def test_every_file_of_a_build_is_damaged_but_for_programs_and_what_nobody_reads(folder):
    known = {name.removeprefix("b/") for name in cases.READS if name.startswith("b/")} | set(cases.NOT_READ)
    made = {path.relative_to(folder / "b").as_posix() for path in (folder / "b").rglob("*") if path.is_file()}
    assert {name for name in made if not name.endswith(cases.CODE)} == known


@pytest.mark.slow
def test_every_command_runs_on_files_that_are_whole(folder):
    for _, command in cases.PAIRS:
        before = cases.files(folder)
        outcome = cases.called(folder, command)
        after = cases.files(folder)
        changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        cases.restore(folder, changed)
        assert outcome.code in (0, 1), (command, outcome)
        assert cases.judged(command, outcome, changed) is None, command
        assert "done without" not in outcome.stderr
        assert set(cases.files(folder)) == set(before)


@pytest.mark.slow
def test_damage_is_one_line_or_does_no_harm(folder):
    """A sample of damages, drawn from a fixed seed; ``python -m tests.fuzz.run`` draws others, as many as wanted."""
    started, run, wrong = time.monotonic(), 0, []
    for number in range(INPUTS):
        if run >= LEAST and time.monotonic() - started > MOST_SECONDS:
            break
        case = cases.drawn(folder, SEED, number)
        said, _ = cases.attempt(folder, case)
        run += 1
        if said is not None:
            wrong.append(f"{case}: {said}\n    {case.again}")
    assert not wrong, f"{len(wrong)} of {run} inputs:\n" + "\n".join(wrong)


def test_a_damaged_side_file_takes_away_its_own_section(folder):
    for name in cases.SIDE:
        (folder / "b" / name).write_bytes(values.DEEP.encode())
        for command in (["show", "b"], ["report", "b", "-o", "page.html"]):
            outcome = cases.called(folder, command)
            assert (outcome.code, len(outcome.stderr.strip().splitlines())) == (0, 1), outcome
            assert f"b/{name}: " in outcome.stderr
            assert "done without" in outcome.stderr
        cases.restore(folder, {f"b/{name}"})
    (folder / "page.html").unlink()


def test_the_judge_knows_what_is_wrong():
    judged, outcome = cases.judged, cases.Outcome
    assert judged(["show", "b"], outcome(2, "error: b: is a folder\n"), set()) is None
    assert judged(["show", "b"], outcome(2, "error: internal error: KeyError: 'x'\n"), set()) is not None
    assert judged(["show", "b"], outcome(2, "error: not enough memory\n"), set()) is not None
    assert judged(["show", "b"], outcome(0, "a.py:3: RuntimeWarning: overflow\n"), set()) is not None
    assert judged(["show", "b"], outcome(2, "step\nerror: b\n"), set()) is not None
    assert judged(["show", "b"], outcome(0, ""), {"b/report.json"}) is not None
    assert judged(["report", "b", "-o", "page.html"], outcome(0, ""), {"page.html"}) is None
    assert judged(["report", "b", "-o", "page.html"], outcome(2, "error: b\n"), {"page.html"}) is not None
    assert judged(["show", "b"], outcome(None, "", "Traceback"), set()) is not None


def test_memory_that_a_command_takes_is_seen():
    held = cases.resident(peak=False)
    if not held:
        pytest.skip("the system does not say what a process holds")
    np.ones(cases.GROWTH // 8 * 5 // 4)
    assert cases.resident(peak=True) - held > cases.GROWTH
    assert cases.resident(peak=False) - held < cases.GROWTH


def test_the_same_number_draws_the_same_damage(folder):
    for number in range(30):
        first, second = (cases.drawn(folder, 7, number) for _ in range(2))
        assert (first.file, first.command, first.kind) == (second.file, second.command, second.kind)
        if Path(first.file).suffix not in (".nir", ".net", ".h5"):  # HDF5 writes the time
            assert first.content == second.content
    for name, kinds in (("d.npz", 6), ("n.nir", 4), ("t.toml", 5), ("m.pt", 5), ("args.json", 5)):
        content = cases.originals(folder)[name]
        drawn = {damage.damaged(content, Path(name).suffix, np.random.default_rng(n))[0] for n in range(200)}
        assert len(drawn) >= kinds, drawn


@pytest.mark.parametrize("kind", damage.PLACES)
def test_whatever_stands_at_a_files_place_is_put_right_again(folder, kind):
    case = cases.Case(0, 0, "d.npz", cases.ON_BUILD["simulate"], kind, None)
    said, outcome = cases.attempt(folder, case)
    assert said is None
    assert outcome.code == 2
    assert (folder / "d.npz").read_bytes() == cases.originals(folder)["d.npz"]
