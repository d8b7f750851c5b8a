"""Commands as real processes: what a user starts, with its exit code, its streams and its memory."""

from __future__ import annotations

import functools
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.cases import PAIRS, SECONDS, Case, Outcome, attempt, drawn

ROOT = Path(__file__).parents[2]
START = "from tclif_deploy.cli.start import main; main()"
ADDRESSES = 16 << 30
"""bytes that a process may map: more is a file's doing"""
QUICK = [
    (name, command) for name, command in PAIRS
    if command[0] in ("show", "check", "inspect", "targets", "simulate", "verify", "cost", "report")
    and not any(model in command for model in ("m.pt", "k/m.pt", "saved.pt"))
]  # fmt: skip
"""those that do without torch, whose loading takes longer than all the rest"""


def started(folder: Path, command: list[str]) -> Outcome:
    """Run a command in ``folder``, in a process of its own."""
    outcome, peak = _run(folder, command)
    return Outcome(outcome.code, outcome.stderr, outcome.trace, peak - (needed(tuple(command)) if peak else 0))


@functools.cache
def needed(command: tuple[str, ...]) -> int:
    """Bytes of memory that a command takes on whole files."""
    return _run(_whole, list(command))[1]


_whole = Path()
"""inputs that are not damaged; `run` says where"""


def _run(folder: Path, command: list[str]) -> tuple[Outcome, int]:
    """(what it did, the most bytes of memory that it held; 0: not known)."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", START, *command], cwd=folder, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True,
        )  # fmt: skip
        if hasattr(resource, "prlimit"):
            resource.prlimit(process.pid, resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
        end = time.monotonic() + SECONDS
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            if time.monotonic() > end:
                process.kill()
                process.wait()
                return Outcome(None, "", f"more than {SECONDS} s"), 0
            time.sleep(0.01)
        _, status, used = ended
        process.returncode = os.waitstatus_to_exitcode(status)  # it has been waited for
        stderr.seek(0)
        text = stderr.read().decode(errors="replace")
    return Outcome(process.returncode, text), used.ru_maxrss << (10 if sys.platform == "linux" else 0)


def run(
    folders: list[Path], whole: Path, seed: int, numbers: range, seconds: float, least: int = 0
) -> Iterator[tuple[Case, str | None]]:
    """(case, what is wrong) of inputs, as many at once as there are ``folders`` of them, until the time is over
    and ``least`` of them are done."""
    global _whole
    _whole = whole
    end = time.monotonic() + seconds

    def some(place: int) -> list[tuple[Case, str | None]]:
        judged = []
        for number in numbers[place :: len(folders)]:
            if len(judged) * len(folders) >= least and time.monotonic() > end:
                break
            case = drawn(folders[place], seed, number, QUICK)
            judged.append((case, attempt(folders[place], case, started)[0]))
        return judged

    with ThreadPoolExecutor(len(folders)) as pool:
        for judged in pool.map(some, range(len(folders))):
            yield from judged
