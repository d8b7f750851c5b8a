"""A test that cannot run says what would run it, and fails where everything is demanded."""

import subprocess
import sys

import pytest

from tests.helpers.requirements import REQUIRE_ALL, needs, needs_package

SKIPPING = """
from tests.helpers.requirements import needs_module
def test_one(): needs_module("no_such_module")
def test_two(): needs_module("no_such_module")
def test_here(): pass
"""


def test_a_missing_program_skips_or_fails_and_names_what_installs_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv(REQUIRE_ALL, raising=False)
    with pytest.raises(pytest.skip.Exception, match="qemu-riscv64 is not installed: apt-get install qemu-user"):
        needs("qemu-riscv64")
    monkeypatch.setenv(REQUIRE_ALL, "1")
    with pytest.raises(pytest.fail.Exception, match="no_such_module is not installed: pip install no_such_module"):
        needs_package("no_such_module")


def test_a_run_ends_with_what_it_skipped(tmp_path, monkeypatch):
    monkeypatch.delenv(REQUIRE_ALL, raising=False)
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.conftest", tmp_path],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    at = next(n for n, line in enumerate(lines) if "not run, and what would run it" in line)
    assert lines[at + 1].startswith("   2 tests: no_such_module is not installed (No module named")
    assert lines[at + 1].endswith(": pip install no_such_module")
