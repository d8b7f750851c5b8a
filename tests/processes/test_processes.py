"""Programs of others end with the call that started them, and with this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tclif_deploy import processes
from tests.helpers.stuck import MARK, SLEEP, SLEEPER, STUCK, assert_gone, interrupt, marked, wait_until

PYTHON = [sys.executable, "-c"]
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN){STUCK}"


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(MARK, str(tmp_path / "mark"))
    return tmp_path / "mark"


def test_a_command_gets_its_input_and_says_its_output(tmp_path: Path) -> None:
    code = "import sys; print(sys.stdin.read(), end='!'); print('no', file=sys.stderr); sys.exit(3)"
    done = processes.run([*PYTHON, code], b"moon", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.split()) == (3, b"moon!", [b"no"])
    assert processes.run([*PYTHON, "import sys; print(len(sys.stdin.read()))"]).stdout.strip() == b"0"
    with pytest.raises(OSError, match="No such file"):
        processes.run([tmp_path / "nowhere"])


def test_temporary_files_lie_in_the_callers_folder(tmp_path: Path) -> None:
    done = processes.run([*PYTHON, "import tempfile; print(tempfile.gettempdir())"], scratch=tmp_path)
    assert done.stdout.decode().strip() == str(tmp_path)


@pytest.mark.parametrize("program", [STUCK + SLEEP, DEAF + SLEEP], ids=["polite", "deaf"])
def test_an_interruption_ends_a_command_with_all_that_it_started(mark: Path, tmp_path: Path, program: str) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    interrupt(lambda: processes.run([*PYTHON, program], scratch=scratch), mark)
    pids, file = marked(mark)
    assert file.parent == scratch
    file.unlink()
    assert_gone(mark)
    with pytest.raises(ProcessLookupError):  # also no zombie of ours
        os.kill(pids[0], 0)


def test_a_child_of_what_has_ended_is_ended(mark: Path, tmp_path: Path) -> None:
    child = processes.start([*PYTHON, STUCK], scratch=tmp_path)
    child.wait()
    processes.end_group(child)
    marked(mark)[1].unlink()
    assert_gone(mark)


def test_without_groups_the_child_alone_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    child = processes.start([*PYTHON, "import time; time.sleep(100_000)"])
    monkeypatch.delattr(os, "killpg")
    processes.end_group(child)
    assert child.returncode == -signal.SIGKILL
    processes.end_group(child)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a process of its parent's death")
def test_sigkill_of_the_parent_ends_what_dies_with_it(mark: Path) -> None:
    outer = (
        "import sys; from tclif_deploy import processes\n"
        f"processes.run([sys.executable, '-c', processes.dies_with_parent({SLEEPER!r})])"
    )
    parent = subprocess.Popen([*PYTHON, outer])
    wait_until(mark.exists)
    parent.kill()
    parent.wait()
    marked(mark)[1].unlink()
    assert_gone(mark)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a process of its parent's death")
def test_what_starts_after_its_parents_death_ends_at_once(tmp_path: Path) -> None:
    code = processes.dies_with_parent("print('here')").replace(f"!= {os.getpid()}:", "!= 1_000_000_000:")
    assert subprocess.run([*PYTHON, code], capture_output=True, check=False).stdout == b""
