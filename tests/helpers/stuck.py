"""A program that never ends, with a child and a temporary file of its own, and what tells whether all are gone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

GUARD = 600.0
"""seconds after which a test that hangs ends; no test measures time"""
MARK = "TCLIF_TESTS_MARK"
"""environment variable: the file in which the program says its processes and its temporary file"""
LEAVE_MARK = f"""
mark = os.environ["{MARK}"]
with open(mark + ".new", "w") as said:
    print(*pids, file, file=said)
os.replace(mark + ".new", mark)
"""
SLEEPER = f"""
import os, sys, tempfile, time
_, file = tempfile.mkstemp()
pids = [os.getpid()]
{LEAVE_MARK}
time.sleep(100_000)
"""
STUCK = f"""
import os, subprocess, sys, tempfile, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100_000)"])
_, file = tempfile.mkstemp()
pids = [os.getpid(), child.pid]
{LEAVE_MARK}"""
"""goes on, or ends, after this; `SLEEPER` has no child"""
SLEEP = "\ntime.sleep(100_000)\n"


class Interrupted(BaseException):
    """As KeyboardInterrupt, which pytest would take for its own."""


def wait_until(condition: Callable[[], bool], seconds: float = GUARD) -> None:
    """Return as soon as ``condition`` holds; fail where it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def runs(pid: int) -> bool:
    """Whether there is such a process that is not dead already."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(listed.strip()) and not listed.startswith("Z")


def marked(mark: Path) -> tuple[list[int], Path]:
    """Processes and the temporary file of the program that left ``mark``, once it has."""
    wait_until(mark.exists)
    *pids, file = mark.read_text().split()
    return [int(pid) for pid in pids], Path(file)


def assert_gone(mark: Path) -> None:
    """Nothing of the program is left, soon; what is left where that fails is ended."""
    pids, file = marked(mark)
    try:
        wait_until(lambda: not any(runs(pid) for pid in pids) and not file.exists())
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def interrupt(call: Callable[[], object], mark: Path) -> None:
    """Call ``call``, and raise `Interrupted` in the midst of it, as soon as there is a ``mark``."""

    def raise_it(number: int, frame: object) -> None:
        raise Interrupted

    def wait() -> None:
        wait_until(mark.exists)
        os.kill(os.getpid(), signal.SIGALRM)

    previous = signal.signal(signal.SIGALRM, raise_it)
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    try:
        with pytest.raises(Interrupted):
            call()
    finally:
        signal.signal(signal.SIGALRM, previous)
