"""Programs of others that run beside this one: whatever ends a call ends all that it started, temporary files too."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.1
GRACE_SECONDS = 1.0
"""between SIGTERM, after which programs clear away what they began, and SIGKILL"""
DIES_WITH_PARENT = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
    if os.getppid() != {parent}:  # it has gone already
        os._exit(1)
{code}
"""


def run(
    command: Sequence[str | Path], data: bytes | None = None, *, cwd: Path | None = None, scratch: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run ``command`` to its end, on ``data`` as its input; what it says, and its exit code.

    ``scratch`` is a folder for its temporary files, which go with it. Where an exception comes meanwhile, as Ctrl-C
    does, the command has ended with all that it started before the exception goes on. Raises OSError where the command
    cannot be run.
    """
    given = subprocess.DEVNULL if data is None else subprocess.PIPE
    with start(
        command, scratch=scratch, cwd=cwd, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:  # fmt: skip
        try:
            said, complained = child.communicate(data)
        except BaseException:
            end_group(child)
            raise
    return subprocess.CompletedProcess(command, child.returncode, said, complained)


def start(
    command: Sequence[str | Path], *, scratch: Path | None = None, env: dict[str, str] | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """Start ``command`` in a session of its own, which `end_group` ends; ``scratch`` is as in `run`."""
    given = dict(os.environ if env is None else env)
    if scratch is not None:
        given |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    return subprocess.Popen(command, env=given, start_new_session=True, **options)


def dies_with_parent(code: str) -> str:
    """Python ``code`` for a process that this thread starts: on Linux SIGKILL of this process ends that one too."""
    return DIES_WITH_PARENT.format(parent=os.getpid(), code=code)


def end_group(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM to all that ``child`` started and to itself, and SIGKILL to what is left of them after a grace.

    Where there are no such groups, on Windows, the child alone is ended.
    """
    if not hasattr(os, "killpg"):
        child.kill()
        child.wait()
        return
    try:
        _signal_group(child, signal.SIGTERM)
    finally:  # also where Ctrl-C comes once more
        _signal_group(child, signal.SIGKILL)


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal, and wait until nobody is left, or a grace is over."""
    try:
        os.killpg(child.pid, number)
        end = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < end:
            child.poll()
            os.killpg(child.pid, 0)
            time.sleep(POLL_SECONDS)
    except (ProcessLookupError, PermissionError):  # the second where all that is left is dead: macOS
        child.poll()
