"""A run on Lava ends: in success, in one clear line, or with the program that asked for it; nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tclif_deploy import TclifError, load_target
from tclif_deploy.backends import lava
from tclif_deploy.fixed import Int
from tests.helpers.random_networks import random_network
from tests.helpers.stuck import GUARD, wait_until

pytestmark = pytest.mark.slow

RECEIVE = "        arrived = self.a_in.recv()\n"
"""the line of the emitted neuron behind which the tests put trouble"""


@pytest.fixture
def network(tmp_path: Path) -> Iterator[tuple[Path, Int]]:
    """An emitted network and an input; nothing of it may still run after the test."""
    fixed, x = random_network(5, time=30)
    lava.emit(fixed, load_target("loihi2"), tmp_path / "net")
    yield tmp_path / "net", x
    assert running(tmp_path) == []


def running(folder: Path) -> list[str]:
    """Command lines that name ``folder``."""
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(folder) in line]


def end_session(child: subprocess.Popen[Any]) -> None:
    """So that a test that fails leaves nothing behind either."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def lines_of(stderr: str) -> list[str]:
    """Without what Python's resource tracker tells where it frees memory, whose manager was ended beside the others."""
    return [line for line in stderr.splitlines() if "resource_tracker" not in line and "warnings.warn" not in line]


def ctrl_c_works() -> None:
    """A test run in a shell's background ignores SIGINT, and so would all its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def stops_work() -> None:
    """Nor do all surroundings leave SIGHUP its meaning."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def trouble(folder: Path, line: str) -> None:
    """Let the neuron run ``line`` at its 20th step."""
    path = folder / "tclif_lava" / "processes" / "tclif" / "process.py"
    source = path.read_text()
    assert RECEIVE in source
    path.write_text(source.replace(RECEIVE, f"{RECEIVE}        if self.time_step == 20:\n            {line}\n"))


SLOW_SHUTDOWN = """
import multiprocessing.managers as managers
import time
DISPATCH = managers.dispatch
def slow(connection, ident, name, *more):
    if name == "shutdown":
        time.sleep(3)
    return DISPATCH(connection, ident, name, *more)
managers.dispatch = slow
"""
"""the manager of Lava's shared memory hears of its end only after a while"""


def test_an_exception_inside_a_process_ends_the_run_and_is_told(network: tuple[Path, Int]) -> None:
    folder, x = network
    trouble(folder, "raise ValueError('the moon')")
    with pytest.raises(TclifError, match=r"lava: the run failed: .*ValueError: the moon"):
        lava.run(folder, x)


def test_a_process_that_dies_ends_the_run(network: tuple[Path, Int]) -> None:
    folder, x = network
    trouble(folder, "import os; os._exit(1)")
    with pytest.raises(TclifError, match="a process of the network was killed"):
        lava.run(folder, x)


def test_a_hang_ends_after_the_timeout(network: tuple[Path, Int]) -> None:
    folder, x = network
    trouble(folder, "import time; time.sleep(100_000)")
    with pytest.raises(TclifError, match=r"no progress for 4 s.*longer timeout"):
        lava.run(folder, x, timeout=4)


ENDLESS = """
import sys
import numpy as np
from tclif_deploy.backends import lava
x = np.load(sys.argv[2])["x"]
lava.run(sys.argv[1], np.tile(x, (200, 1, 1)), progress=lambda done, total: print(done, flush=True))
"""


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_and_death_of_the_parent_end_the_run(
    network: tuple[Path, Int], number: int, slow: bool, tmp_path: Path
) -> None:
    """However long the end takes: a dead parent is seen by two threads, and only one may end the interpreter."""
    folder, x = network
    if slow:
        path = folder / "tclif_lava" / "simulation.py"
        path.write_text(path.read_text() + SLOW_SHUTDOWN)
    np.savez(tmp_path / "given.npz", x=x)
    parent = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(folder), str(tmp_path / "given.npz")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=ctrl_c_works,
    )  # fmt: skip
    assert parent.stdout is not None
    while int(parent.stdout.readline()) == 0:
        pass
    assert len(running(folder)) > 3
    os.kill(parent.pid, number)
    _, stderr = parent.communicate(timeout=GUARD)
    assert parent.returncode != 0
    assert number == signal.SIGKILL or stderr.rstrip().endswith("KeyboardInterrupt")
    wait_until(lambda: not running(folder))


def standalone(folder: Path, given: Path, prepared: Callable[[], None]) -> subprocess.Popen[str]:
    """The emitted network's own program, on an input, in a session of its own that begins with ``prepared``."""
    return subprocess.Popen(
        [sys.executable, str(folder / "run.py"), "--input", str(given)],
        stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=prepared,
    )  # fmt: skip


def test_ctrl_c_at_a_standalone_run_is_one_line(network: tuple[Path, Int], tmp_path: Path) -> None:
    folder, x = network
    np.savez(tmp_path / "given.npz", x=np.tile(x, (200, 1, 1)))
    child = standalone(folder, tmp_path / "given.npz", ctrl_c_works)
    wait_until(lambda: len(running(folder)) > 8)
    time.sleep(1)
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to every process of the run
    _, stderr = child.communicate(timeout=GUARD)
    assert (child.returncode, stderr) == (130, "interrupted\n")


def shared_memory(child: subprocess.Popen[Any]) -> set[Path]:
    """Files of the run's shared memory, which its manager makes, and has open."""
    found = set()
    for opened in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError, ValueError):
            if os.getsid(int(opened.parts[2])) == child.pid and "/dev/shm/psm_" in os.readlink(opened):
                found.add(opened.readlink())
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize(("name", "whole_session", "code", "said"), [
    ("SIGTERM", False, 143, ["ended by SIGTERM"]), ("SIGTERM", True, 143, ["ended by SIGTERM"]),
    ("SIGHUP", False, 129, ["ended by SIGHUP"]), ("SIGHUP", True, 129, ["ended by SIGHUP"]),
    ("SIGKILL", False, -9, []),
])  # fmt: skip
def test_whatever_ends_a_standalone_run_ends_all_of_it(
    network: tuple[Path, Int], tmp_path: Path, name: str, whole_session: bool, code: int, said: list[str]
) -> None:
    folder, x = network
    np.savez(tmp_path / "given.npz", x=np.tile(x, (200, 1, 1)))
    child = standalone(folder, tmp_path / "given.npz", stops_work)
    try:
        wait_until(lambda: len(running(folder)) > 8)
        memory = shared_memory(child)
        assert memory
        (os.killpg if whole_session else os.kill)(child.pid, getattr(signal, name))
        _, stderr = child.communicate(timeout=GUARD)
        assert child.returncode == code
        assert lines_of(stderr) == said
        wait_until(lambda: not running(folder))
        wait_until(lambda: not any(file.exists() for file in memory))
    finally:
        end_session(child)


STOP_BEFORE = """
create_runtime = NetworkProcess.create_runtime
def create(*given, **named):
    os.kill(os.getpid(), signal.SIGTERM)
    create_runtime(*given, **named)
NetworkProcess.create_runtime = create
"""
"""SIGTERM comes before Lava starts its processes"""
STOP_MEANWHILE = """
from lava.magma.runtime.message_infrastructure.multiprocessing import MultiProcessing
build_actor = MultiProcessing.build_actor
def build(self, *given, **named):
    build_actor(self, *given, **named)
    if len(self.actors) == ACTOR:
        os.killpg(os.getpgid(0), signal.SIGTERM)
MultiProcessing.build_actor = build
"""
"""SIGTERM comes to the whole session when some processes are started"""
STOP_BEFORE_MEMORY = """
from multiprocessing.managers import SharedMemoryManager
def start(self):
    os.killpg(os.getpgid(0), signal.SIGTERM)
SharedMemoryManager.start = start
"""
"""SIGTERM comes before the manager of Lava's shared memory is there"""


@pytest.mark.parametrize("stop", [
    STOP_BEFORE, STOP_BEFORE_MEMORY, STOP_MEANWHILE.replace("ACTOR:", "1:"), STOP_MEANWHILE.replace("ACTOR:", "5:")
], ids=["before", "memory", "first", "fifth"])  # fmt: skip
def test_sigterm_before_the_first_step_is_one_line(network: tuple[Path, Int], stop: str) -> None:
    folder, _ = network
    path = folder / "tclif_lava" / "simulation.py"
    path.write_text(path.read_text() + stop)
    child = subprocess.Popen(
        [sys.executable, str(folder / "run.py")], stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=stops_work,
    )  # fmt: skip
    try:
        _, stderr = child.communicate(timeout=GUARD)
        assert (child.returncode, lines_of(stderr)) == (143, ["ended by SIGTERM"])
        wait_until(lambda: not running(folder))
    finally:
        end_session(child)


CTRL_C_MEANWHILE = """
create_runtime = NetworkProcess.create_runtime
def create(*given, **named):
    create_runtime(*given, **named)
    os.killpg(os.getpgid(0), signal.SIGINT)
    time.sleep(1)
NetworkProcess.create_runtime = create
"""
"""Ctrl-C comes while Lava starts its processes"""


def test_ctrl_c_before_the_first_step_is_one_line(network: tuple[Path, Int], tmp_path: Path) -> None:
    folder, x = network
    np.savez(tmp_path / "given.npz", x=x)
    path = folder / "tclif_lava" / "simulation.py"
    path.write_text(path.read_text() + CTRL_C_MEANWHILE)
    child = standalone(folder, tmp_path / "given.npz", ctrl_c_works)
    _, stderr = child.communicate(timeout=GUARD)
    assert (child.returncode, stderr) == (130, "interrupted\n")


def test_a_run_whose_reader_has_gone_ends(network: tuple[Path, Int], tmp_path: Path) -> None:
    """Its last line reaches nobody then, and it ends all the same."""
    folder, x = network
    np.savez(tmp_path / "given.npz", x=x)
    trouble(folder, "import os; os._exit(1)")
    reader, writer = os.pipe()
    child = subprocess.Popen(
        [sys.executable, str(folder / "run.py"), "--input", str(tmp_path / "given.npz")],
        stderr=writer, start_new_session=True,
    )  # fmt: skip
    os.close(reader)
    os.close(writer)
    try:
        assert child.wait(GUARD) == 3
    finally:
        end_session(child)


def test_progress_counts_up_to_the_end(network: tuple[Path, Int]) -> None:
    folder, x = network
    calls: list[tuple[int, int]] = []
    lava.run(folder, x, batched=True, progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert calls[-1][0] == calls[-1][1] > 30


def test_missing_lava_is_told_with_the_commands_that_install_it(network: tuple[Path, Int]) -> None:
    folder, _ = network
    attempt = (
        "import sys; sys.modules['lava'] = None; import numpy as np; from tclif_deploy.backends import lava\n"
        "assert lava.installed_version() is None\n"
        "try: lava.run(sys.argv[1], np.zeros((1, 2, 5), np.int64))\n"
        "except lava.supervise.TclifError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", attempt, folder], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("lava-nc is not installed; ")
    assert all(command in done.stdout for command in lava.install_commands())


def test_run_py_without_lava_says_how_to_install_it(network: tuple[Path, Int]) -> None:
    folder, _ = network
    attempt = "import runpy, sys; sys.modules['lava'] = None; runpy.run_path(sys.argv.pop(), run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", attempt, folder / "run.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: lava-nc cannot be imported")
    assert done.stderr.count("\n") == 1
    assert all(command in done.stderr for command in lava.install_commands())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.zeros(2)}, "no array 'x'"),
        ({"x": np.zeros((2, 30))}, "expected (samples, time, 5)"),
        ({"x": np.zeros((2, 30, 4))}, "expected (samples, time, 5)"),
        ({"x": np.full((2, 30, 5), np.nan)}, "not finite"),
        ({"x": np.zeros((2, 30, 5)), "lengths": np.array([30, 31])}, "values in 1..30"),
        ({"x": np.zeros((2, 30, 5)), "scale": np.array(-1.0)}, "one positive number"),
        ({"x": np.zeros((2, 30, 5)), "y": np.zeros(3)}, "expected (2,)"),
        ({"x": np.array([[[None] * 5]])}, "cannot be read"),
    ],
)
def test_bad_input_of_run_py_is_one_line(arrays: dict[str, Int], message: str, network: tuple[Path, Int]) -> None:
    folder, _ = network
    np.savez(folder / "bad.npz", **arrays)  # type: ignore[arg-type]
    done = subprocess.run(
        [sys.executable, folder / "run.py", "--input", folder / "bad.npz"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_input_beyond_the_payload_is_refused(network: tuple[Path, Int]) -> None:
    folder, x = network
    with pytest.raises(TclifError, match="input: x reaches 256, the payload is 9 bits"):
        lava.run(folder, np.where(x == x.max(), 256, x))


def test_a_folder_without_a_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TclifError, match=r"no run\.py; compile first"):
        lava.run(tmp_path, np.zeros((1, 2, 5), np.int64))
