"""The same as real processes: exit code, one line, no file, and no more memory than whole files take and a bound."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.fuzz import cases, inputs, processes

PROCESSES = 150
SEED = 20_26
LEAST, MOST_SECONDS = 30, 75
"""processes that are tried however slow the machine is, two at a time, and when no more begin after them"""


@pytest.mark.slow
def test_damage_is_one_line_in_a_process_of_its_own(tmp_path):
    whole, *folders = [tmp_path / name for name in ("whole", "one", "other")]
    whole.mkdir()
    inputs.make(whole)
    for folder in folders:
        shutil.copytree(whole, folder)
        cases.originals(folder)
    judged = list(processes.run(folders, whole, SEED, range(PROCESSES), MOST_SECONDS, LEAST))
    wrong = [f"{case}: {said}" for case, said in judged if said is not None]
    assert not wrong, f"{len(wrong)} of {len(judged)} processes:\n" + "\n".join(wrong)
    assert len(judged) >= LEAST


def test_a_process_that_takes_too_much_or_ends_by_a_signal_is_found():
    judged = cases.judged
    assert judged(["show", "b"], cases.Outcome(2, "error: b\n", growth=cases.GROWTH + 1), set()) is not None
    assert judged(["show", "b"], cases.Outcome(2, "error: b\n", growth=cases.GROWTH), set()) is None
    assert judged(["show", "b"], cases.Outcome(-11, ""), set()) is not None
    assert judged(["show", "b"], cases.Outcome(None, "", "more than 60 s"), set()) is not None


def test_only_commands_without_torch_run_as_processes():
    assert {command[0] for _, command in processes.QUICK} >= {"show", "check", "inspect", "targets", "report"}
    assert not any(Path(part).suffix == ".pt" for _, command in processes.QUICK for part in command)
