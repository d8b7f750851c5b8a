"""Processes of this machine that run calls end with the one that they work for, whatever ends that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.stuck import MARK, marked, runs, wait_until

CALLS = """
import time
from tclif_deploy.workers import workers
from tests.workers.test_orphans import leave_mark, stay
with workers("loky", 2) as run_calls:
    list(run_calls(FUNCTION, (), range(2)))
time.sleep(100_000)
"""


def leave_mark(number: int) -> None:
    """Say which process runs this call, in a file of its own."""
    path = Path(f"{os.environ[MARK]}-{number}")
    made = path.with_name(f"{path.name}.new")
    made.write_text(f"{os.getpid()} {os.devnull}")
    made.replace(path)


def stay(number: int) -> None:
    """As `leave_mark`, and never end."""
    leave_mark(number)
    time.sleep(100_000)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a process of Windows keeps its parent's number")
@pytest.mark.parametrize("function", [stay, leave_mark], ids=["busy", "waiting for calls"])
def test_processes_of_this_machine_end_with_the_one_that_they_work_for(tmp_path, function):
    parent = subprocess.Popen(
        [sys.executable, "-c", CALLS.replace("FUNCTION", function.__name__)],
        cwd=Path(__file__).parents[2], env={**os.environ, MARK: str(tmp_path / "mark")},
    )  # fmt: skip
    marks = [tmp_path / f"mark-{number}" for number in range(2)]
    wait_until(lambda: all(mark.exists() for mark in marks))
    pids = [pid for mark in marks for pid in marked(mark)[0]]
    try:
        assert parent.pid not in pids
        parent.kill()
        parent.wait()
        wait_until(lambda: not any(runs(pid) for pid in pids))
    finally:
        for pid in filter(runs, pids):
            os.kill(pid, signal.SIGKILL)
