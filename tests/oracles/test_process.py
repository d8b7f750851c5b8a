"""Simulators that are missing, hang, die or answer nonsense: one line each, exit code 2."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from benchmarks import prove_targets
from tclif_deploy import TclifError
from tclif_deploy.cli.main import run
from tclif_deploy.oracles import FOLDER, INSTALL, ORACLES, READY, install
from tclif_deploy.oracles.__main__ import main
from tests.helpers.stuck import GUARD, LEAVE_MARK, MARK, SLEEP, STUCK, assert_gone, marked, wait_until

XYLOSIM = ORACLES["xylosim"]
HANGS = "time.sleep(100_000)"
STARTED_AND_KILLED = """
import os, sys
from pathlib import Path
from tclif_deploy.oracles import Oracle
from tclif_deploy.oracles.process import run_cases
class Stuck(Oracle):
    installed = True
    python = Path(sys.executable)
    script = Path(sys.argv[1])
run_cases(Stuck("stuck", "1", (), "nobody"), [], 100_000)
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Puts a program in the place of an oracle's interpreter."""
    monkeypatch.setenv(FOLDER, str(tmp_path / "oracles"))

    def put(program: str) -> None:
        XYLOSIM.python.parent.mkdir(parents=True)
        XYLOSIM.python.write_text(
            f"#!{sys.executable}\nimport os, signal, sys, time\nanswer = sys.argv[-1]\n{program}\n"
        )
        XYLOSIM.python.chmod(0o755)
        (XYLOSIM.environment / READY).write_text(XYLOSIM.pinned)

    return put


@pytest.mark.parametrize(("program", "said"), [
    pytest.param(
        HANGS, "xylosim: no answer on 2 networks within 2 s; try again, or give more time (--timeout)",
        marks=pytest.mark.slow,
    ),
    ("os.kill(os.getpid(), signal.SIGSEGV)", "xylosim: its process ended with signal 11; install it again"),
    ("sys.exit('no such module')", "xylosim: its process ended with exit code 1: no such module; install it again"),
    ("pass", "xylosim: its answer cannot be read: [Errno 2]"),
    ("open(answer, 'w').write('[1, ')", "xylosim: its answer cannot be read: Expecting value"),
    ("open(answer, 'w').write('[]')", "xylosim: no answer to each of 2 networks"),
    ("open(answer, 'w').write('[1, 2]')", "xylosim: its answer to network 0 is no states"),
    ("open(answer, 'w').write('[{\"hidden\": {\"u\": \"x\"}}, {}]')", "xylosim: its answer to network 0 is no states"),
    ("open(answer, 'w').write('[{}, {}]')", "xylosim: its answer to network 0 has no states of layer hidden"),
], ids=["hangs", "dies", "fails", "silent", "cut", "too few", "no layers", "no numbers", "no layer"])  # fmt: skip
def test_a_simulator_that_fails_is_one_line(fake, capsys, program, said):
    fake(program)
    timeout = "2" if program == HANGS else str(GUARD)
    assert run(["verify-target", "xylo2", "--cases", "2", "--timeout", timeout, "-q"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: " + said)


def test_what_a_simulator_started_ends_with_it(fake, capsys, tmp_path, monkeypatch):
    """Also where it died by itself."""
    monkeypatch.setenv(MARK, str(tmp_path / "mark"))
    fake(f"{STUCK}\nos.kill(os.getpid(), signal.SIGKILL)")
    assert run(["verify-target", "xylo2", "--cases", "1", "--timeout", str(GUARD), "-q"]) == 2
    assert "xylosim: its process ended with signal 9" in capsys.readouterr().err
    assert_gone(tmp_path / "mark")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a process of its parent's death")
def test_a_simulator_ends_with_this_process_whatever_ends_that(tmp_path, monkeypatch):
    monkeypatch.setenv(MARK, str(tmp_path / "mark"))
    script = tmp_path / "stuck.py"
    script.write_text(f"import os, sys, time\nfile, pids = sys.argv[0], [os.getpid()]\n{LEAVE_MARK}{SLEEP}")
    parent = subprocess.Popen([sys.executable, "-c", STARTED_AND_KILLED, script])
    wait_until((tmp_path / "mark").exists)
    parent.kill()
    parent.wait()
    assert marked(tmp_path / "mark")[1] == script  # arguments are as of a script that is run by its name
    script.unlink()
    assert_gone(tmp_path / "mark")


def test_an_interpreter_that_cannot_be_run_is_one_line(fake, capsys):
    """Such as one whose Python was removed, or of another machine."""
    fake("pass")
    for spoil, why in (
        (lambda: XYLOSIM.python.write_text("#!/nowhere/python\n"), "No such file or directory"),
        (lambda: XYLOSIM.python.write_bytes(b"\0\0"), "Exec format error"),
        (lambda: XYLOSIM.python.chmod(0o644), "Permission denied"),
    ):
        spoil()
        assert run(["verify-target", "xylo2", "--cases", "1", "-q"]) == 2
        error = capsys.readouterr().err
        assert error == f"error: xylosim: {XYLOSIM.python} cannot be run: {why}; install it again: {INSTALL}\n"


@pytest.mark.parametrize(("arguments", "said"), [
    (["many"], "'many' is no number of neuron steps; expected 1 or more"),
    (["0"], "'0' is no number of neuron steps; expected 1 or more"),
    (["1", "nosuch"], "target 'nosuch' is not known"),
    (["1", "xylo2"], "xylosim 0.1.3 is not installed in "),
])  # fmt: skip
def test_the_count_of_all_targets_ends_in_one_line(fake, capsys, arguments, said):
    assert prove_targets.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}")
    assert error.count("\n") == 1


def test_a_simulator_that_is_missing_or_of_another_version_is_one_line(fake, capsys):
    for prepare in (lambda: None, lambda: fake("pass")):
        prepare()
        if (XYLOSIM.environment / READY).exists():
            (XYLOSIM.environment / READY).write_text("xylosim==0.1.2")
        assert run(["verify-target", "xylo2", "-q"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: xylosim 0.1.3 is not installed in ")
        assert "python -m tclif_deploy.oracles xylosim installs it" in error
        assert error.count("\n") == 1


@pytest.mark.parametrize(("arguments", "said"), [
    (["verify-target", "nosuch"], "target 'nosuch' is not known"),
    (["verify-target", "xylo2", "--oracle", "nosuch"], "oracle 'nosuch' is not known"),
    (["verify-target", "ideal"], "target ideal: its file names no simulator of others"),
])  # fmt: skip
def test_wrong_calls_are_one_line(capsys, arguments, said):
    assert run([*arguments, "-q"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_a_simulator_of_older_pythons_alone_says_so(fake, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(TclifError, match=r"its packages are made for Python up to 3.9; put a python3.9 on the path"):
        install(replace(ORACLES["brian2-loihi"], newest_python=(3, 9)))


def test_an_unknown_simulator_is_not_installed(capsys):
    assert main(["nosuch"]) == 2
    assert "oracle 'nosuch' is not known; known: xylosim" in capsys.readouterr().err
