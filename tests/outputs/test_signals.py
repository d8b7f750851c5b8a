"""A signal before any system call of a program that replaces a folder and a file leaves the old or the new, whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tclif_deploy.errors import TclifError
from tclif_deploy.outputs import folders, neighbours, on_recovery, recover, write_file
from tests.helpers.requirements import needs
from tests.outputs.folders import SWAP, content, make, ours

CALLS = "%file,%desc,flock"
"""the system calls at each of which a signal comes"""

STOPPABLE = f"""
import signal
from tclif_deploy.cli.interruption import Interruption
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
interruption = Interruption()
interruption.listen()
program = {SWAP!r}
try:
    interruption.stoppable(lambda: exec(program))
except (KeyboardInterrupt, Exception):
    if not interruption.came:
        raise
    raise SystemExit(130)
finally:
    interruption.end(ignore=True)
"""
"""as the command line runs"""


def traced(place: Path, program: str, way: str, *inject: str) -> tuple[str, int]:
    """The system calls of a program that replaces what stands at ``place``, and its exit code."""
    place.mkdir()
    make(place / "a", "old")
    write_file(place / "f", b"old")
    log = place.with_name("log")
    code = f"import sys; sys.path[:0] = {sys.path!r}\n{program}"
    words = [sys.executable, "-B", "-S", "-I", "-c", code, place, way]
    done = subprocess.run(["strace", "-o", log, "-e", f"trace={CALLS}", *inject, *words], check=False)
    return log.read_text(errors="replace"), done.returncode


def at_each_call(tmp_path: Path, program: str, way: str, name: str) -> Iterator[tuple[Path, str, int]]:
    """What stands, the call, and the exit code, for each call of the program before which the signal came."""
    needs("strace")
    log = traced(tmp_path / "counted", program, way)[0].splitlines()
    calls = [line.partition("(")[0] for line in log]
    begin = max(n for n, line in enumerate(log) if re.search(r'stat\w*\((AT_FDCWD, )?"/",', line))
    end = max(n for n, line in enumerate(log) if "/f" in line)
    assert end - begin > 30
    for n in range(begin + 1, end + 1):
        place = tmp_path / str(n)
        count = calls[: n + 1].count(calls[n])  # strace counts each kind of call by itself
        seen, code = traced(place, program, way, "-e", f"inject={calls[n]}:signal={name}:when={count}")
        assert f"SIG{name}" in seen, log[n]
        yield place, log[n], code


def is_whole(place: Path) -> bool:
    states = ({"old"}, {"new"})
    return set(content(place / "a")) in states and {(place / "f").read_text()} in states


def interrupt(*words: object) -> bool:
    raise KeyboardInterrupt


def test_an_interrupted_recovery_leaves_no_lock_so_that_the_next_one_recovers(tmp_path):
    """In one process, whose own lock would keep it from what it looks at."""
    make(tmp_path / "a", "old")
    os.rename(
        tmp_path / "a", tmp_path / f"{neighbours.beginning(tmp_path / 'a')}{2**31 - 2:08x}deadbeef{neighbours.OLD}"
    )
    with pytest.raises(KeyboardInterrupt) as kept:  # with its frames, and the handles in them
        recover(tmp_path / "a", interrupt)
    recover(tmp_path / "a", ours)
    assert content(tmp_path / "a") == ("old", "old")
    assert kept.traceback


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts handles as Linux shows them")
def test_interrupted_while_it_waits_for_a_lock_a_writer_leaves_nothing(tmp_path, monkeypatch):
    handles = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(neighbours.fcntl, "flock", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "f", b"new")
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "a", "new")
    assert len(os.listdir("/proc/self/fd")) == handles
    assert os.listdir(tmp_path) == []


def test_what_somebody_else_puts_there_between_two_renames_stays(tmp_path, monkeypatch):
    make(tmp_path / "a", "old")
    monkeypatch.setattr(folders, "exchange", lambda one, other: False)
    rename = os.rename

    def late(one: Path, other: Path) -> None:
        rename(one, other)
        if one == tmp_path / "a":
            (tmp_path / "a").mkdir()
            (tmp_path / "a" / "theirs").touch()

    monkeypatch.setattr(os, "rename", late)
    with pytest.raises(TclifError, match="cannot be written"):
        make(tmp_path / "a", "new")
    assert os.listdir(tmp_path / "a") == ["theirs"]
    hidden = next(path for path in tmp_path.iterdir() if path.name.endswith(neighbours.OLD))
    assert content(hidden) == ("old", "old")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["exchange", "renames"])
def test_killed_before_any_system_call_the_old_or_the_new_is_there(tmp_path, way):
    said: list[str] = []
    on_recovery(said.append)
    before = after = 0
    for place, call, _ in at_each_call(tmp_path, SWAP, way, "KILL"):
        recover(place / "a", ours)  # as the next command does
        assert is_whole(place), f"killed before {call}"
        before += content(place / "a")[0] == "old"
        after += content(place / "a")[0] == "new"
        make(place / "a", "next")
        write_file(place / "f", b"next")
        assert sorted(os.listdir(place)) == ["a", "f"], f"left behind by a kill before {call}"
    on_recovery(lambda line: None)
    assert before > 5
    assert after > 5
    assert any("cleared away; a command that was killed had left it" in line for line in said)
    assert any("put back" in line for line in said) == (way == "renames")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["exchange", "renames"])
def test_interrupted_at_any_system_call_nothing_else_is_left(tmp_path, way):
    """The command itself clears away what it began, whenever Ctrl-C comes: no next one has to."""
    before = after = 0
    for place, call, code in at_each_call(tmp_path, STOPPABLE, way, "INT"):
        assert code == 130, f"interrupted at {call}"
        assert sorted(os.listdir(place)) == ["a", "f"], f"left behind by an interruption at {call}"
        assert is_whole(place), f"interrupted at {call}"
        before += content(place / "a")[0] == "old"
        after += content(place / "a")[0] == "new"
    assert before > 5
    assert after > 5
