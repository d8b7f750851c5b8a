"""Ctrl-C while a tool of others runs for a backend: the tool, what it started and its temporary files are gone."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

from tclif_deploy.backends import c
from tclif_deploy.backends.rtl import simulate, synthesis
from tclif_deploy.backends.rtl.source import BENCH, FILES
from tests.helpers.random_networks import random_network
from tests.helpers.stuck import MARK, SLEEP, STUCK, assert_gone, interrupt, marked

PLACED = f"def run(arguments):\n    exec({STUCK + SLEEP!r})\n"
SMALL = {"sizes": (4, 9, 8, 3), "samples": 2, "time": 30}


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program in a tool's place says that it runs; temporary files lie where the test sees all of them."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setenv(MARK, str(tmp_path / "mark"))
    return tmp_path / "mark"


def stuck(tmp_path: Path) -> Path:
    """A program that never ends."""
    program = tmp_path / "stuck"
    program.write_text(f"#!{sys.executable}\n{STUCK}{SLEEP}")
    program.chmod(0o755)
    return program


def assert_nothing_left(mark: Path) -> None:
    assert_gone(mark)
    assert list((mark.parent / "temporary").iterdir()) == []


@pytest.mark.parametrize("place", ["compiler", "program"])
def test_the_c_backend(mark: Path, tmp_path: Path, place: str) -> None:
    network, x = random_network(1, **SMALL)
    c.emit(network, None, tmp_path / "net")
    command = [str(stuck(tmp_path))]
    if place == "compiler":
        interrupt(lambda: c.run(tmp_path / "net", x, compiler=command), mark)
    else:
        interrupt(lambda: c.run(tmp_path / "net", x, compiler=["true"], emulator=command), mark)
    assert_nothing_left(mark)


@pytest.mark.parametrize("tool", ["compiler", "verilator"])
def test_the_tools_of_the_rtl_backend(mark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    monkeypatch.setattr(simulate, "cache_folder", lambda source: tmp_path)
    if tool == "compiler":
        monkeypatch.setenv("CXX", str(stuck(tmp_path)))
    else:
        monkeypatch.setattr(simulate, "_runtime", lambda cache, scratch: [])
        (tmp_path / "verilator.py").write_text(STUCK + SLEEP)
    for name in (FILES, BENCH):
        (tmp_path / name).touch()
    interrupt(lambda: simulate.compiled(tmp_path), mark)
    assert_nothing_left(mark)


def test_the_simulated_circuit(mark: Path, tmp_path: Path) -> None:
    interrupt(lambda: simulate.stream(stuck(tmp_path), tmp_path, b""), mark)
    marked(mark)[1].unlink()  # ours makes none
    assert_nothing_left(mark)


def test_yosys_and_nextpnr(mark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "cache_folder", lambda source: tmp_path)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch, "rtl")
        place.mkdir()
        (place / "placer.py").write_text(PLACED)
        interrupt(lambda: synthesis._call("placer", "run", [], place), mark)
        assert marked(mark)[1].parent == Path(scratch)
    assert_nothing_left(mark)
