"""The terminal's manners: colours, completion, quiet and verbose, and what doctor says."""

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib import util

import pytest
from rich.console import Console

from tclif_deploy import backends
from tclif_deploy.cli.main import run
from tclif_deploy.errors import TclifError
from tclif_deploy.report.terminal.tables import print_target
from tclif_deploy.target import load_target
from tclif_deploy.workflows import doctor
from tests.helpers import checkpoints

COLOUR = re.compile(r"\x1b\[[0-9;]*(3[0-7]|4[0-7]|9[0-7])m")


def tclif(*argv, **env) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with more environment."""
    code = "from tclif_deploy.cli.start import main; main()"
    cleared = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    return subprocess.run(
        [sys.executable, "-c", code, *argv], env=cleared | env, capture_output=True, text=True, timeout=900
    )


@pytest.mark.slow
def test_colours_are_shown_where_asked_for_and_never_under_no_color():
    assert COLOUR.search(tclif("doctor", "--no-test", FORCE_COLOR="1").stdout)
    for done in (
        tclif("doctor", "--no-test", FORCE_COLOR="1", NO_COLOR="1"),
        tclif("doctor", "--no-test"),
        tclif("report", FORCE_COLOR="1", NO_COLOR="1"),
    ):
        assert done.stdout + done.stderr
        assert not COLOUR.search(done.stdout + done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "word"), [("tclif com", "compile"), ("tclif compile --tar", "--target")])
def test_the_shell_completes_commands_and_options(typed, word):
    words = typed.split()
    done = tclif(_TCLIF_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=str(len(words) - 1))
    assert done.returncode == 0
    assert word in done.stdout.split()


@pytest.mark.slow
def test_version_and_help_of_every_command(capsys):
    assert run(["--version"]) == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", capsys.readouterr().out)
    assert run(["--help"]) == 0
    commands = re.findall(r"^  ([a-z]+)  ", capsys.readouterr().out, re.MULTILINE)
    assert {"compile", "doctor", "report", "show", "targets"} <= set(commands)
    for command in commands:
        assert run([command, "--help"]) == 0
        assert f"Usage: tclif {command}" in capsys.readouterr().out


@pytest.mark.slow
def test_quiet_says_no_step_and_verbose_says_the_time(tmp_path, capsys):
    model = checkpoints.write_checkpoint(tmp_path / "net")
    argv = ["compile", str(model), "-o", str(tmp_path / "b"), "--backend", "none"]
    assert run([*argv, "-q"]) == 0
    assert capsys.readouterr().err == ""
    assert run([*argv, "-v"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 3
    assert all(re.match(r"\[ *\d+\.\d s\] \S", line) for line in lines)


def test_the_command_line_is_kept_for_who_builds_again(tmp_path):
    model = checkpoints.write_checkpoint(tmp_path / "net")
    out = tmp_path / "b"
    argv = ["compile", str(model), "-o", str(out), "--backend", "none", "--headroom", "2", "-q"]
    assert run(argv) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["command"] == f"tclif compile {model} --headroom 2.0 --backend none"


# --- doctor


def test_doctor_prints_the_exact_commands_for_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "installed_version", lambda: None)
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "matplotlib" else object())
    assert run(["doctor", "--no-test"]) == 0
    printed = capsys.readouterr().out
    figures = (
        "missing: matplotlib (figures for papers, --plot, tclif analyse); install it with:\n"
        "    pip install 'tclif-deploy[figures]'"
    )
    assert figures in printed
    assert "pip install --no-deps --ignore-requires-python lava-nc==0.10.0" in printed


@pytest.mark.slow
def test_the_self_test_network_fires_and_every_present_backend_equals_the_reference():
    tests = list(doctor.self_tests())
    assert [test.backend for test in tests] == list(backends.names())
    for test in tests:
        assert test.result in ("equal", "missing"), test
        assert test.result == "missing" or "18,000 neuron steps" in test.detail
    assert next(test for test in tests if test.backend == "engine").result == "equal"


@pytest.mark.slow
def test_doctor_fails_where_a_backend_differs_or_breaks(monkeypatch, capsys):
    engine = backends.get("engine")

    class Wrong:
        check_installed, emit = staticmethod(engine.check_installed), staticmethod(engine.emit)

        @staticmethod
        def run(folder, x, **options):
            result = engine.run(folder, x, **options)
            return replace(result, classes=result.classes + 1)

    class Broken(Wrong):
        @staticmethod
        def run(folder, x, **options):
            raise TclifError("the simulator died")

    class Absent(Wrong):
        @staticmethod
        def check_installed():
            raise TclifError("no simulator", "get one")

    for backend, code, line in (
        (Wrong, 1, "self: DIFFERENT, 0 spikes and 4 states differ"),
        (Broken, 1, "self: broken, the simulator died"),
        (Absent, 0, "self: missing, no simulator; get one"),
    ):
        monkeypatch.setattr(backends, "names", lambda: ("self",))
        monkeypatch.setattr(backends, "get", lambda name, backend=backend: backend)
        assert run(["doctor"]) == code
        assert line in capsys.readouterr().out


def test_doctor_speaks_json(capsys):
    assert run(["doctor", "--no-test", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {"numpy", "torch", "lava-nc"} <= {part["name"] for part in printed["parts"]}
    assert printed["self_tests"] == []


@pytest.mark.parametrize("command", ["main", "compile_main"])
def test_an_interruption_while_the_command_line_loads_is_one_line(command, monkeypatch, capsys):
    import builtins

    from tclif_deploy.cli import start

    load = builtins.__import__

    def interrupted(name, *args, **options):
        if name == "tclif_deploy.cli.main":
            raise KeyboardInterrupt
        return load(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    with pytest.raises(SystemExit) as ended:
        getattr(start, command)()
    monkeypatch.undo()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted: nothing was written\n"


@pytest.mark.parametrize("width", [80, 200])
def test_a_target_fits_its_terminal_a_line_a_limit_and_names_each_source_once(width):
    console = Console(width=width, record=True, force_terminal=True, file=io.StringIO())
    target = load_target("loihi2")
    print_target(console, target)
    printed = console.export_text()
    lines = printed.splitlines()
    assert max(map(len, lines)) <= width
    for name, limit in target.limits().items():
        assert len([line for line in lines if line.startswith(f"{name} ") and limit.evidence in line]) == 1, name
    text = " ".join(printed.split())
    assert text.count("energy_hop_horizontal, time_hop: no public figure") == 1
