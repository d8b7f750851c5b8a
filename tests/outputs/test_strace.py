"""What a whole compile opens for writing, as the kernel sees it: nothing under a final name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.requirements import needs

ROOT = Path(__file__).parents[2]
FIXTURE = ROOT / "fixtures" / "spoken_digits"
WRITES = re.compile(r'\b(?:open|openat|creat)\((?:AT_FDCWD, |\d+, )?"([^"]*)".*\b(?:O_WRONLY|O_RDWR|O_CREAT|O_TRUNC)\b')
PART = ".tclif-part"


@pytest.mark.slow
def test_a_compile_writes_nothing_under_a_final_name(tmp_path: Path) -> None:
    needs("strace")
    log = tmp_path / "log"
    command = [
        sys.executable, "-m", "tclif_deploy.cli.main", "compile", FIXTURE / "checkpoint.pth.tar",
        "--data", FIXTURE / "test.npz", "--samples", "12", "--backend", "onnx,c", "--passes", "none",
        "-o", "build", "-q",
    ]  # fmt: skip
    calls = "trace=open,openat,creat,rename,renameat,renameat2"
    done = subprocess.run(
        ["strace", "-f", "-o", str(log), "-e", calls, *map(str, command)], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    if "ptrace" in done.stderr and "not permitted" in done.stderr:
        pytest.skip("this machine lets no process be traced")
    assert done.returncode == 0, done.stderr
    lines = log.read_text(errors="replace").splitlines()
    opened = [match[1] for line in lines if (match := WRITES.search(line))]
    ours = [path for path in opened if path.startswith(("build", ".build", str(tmp_path / "build")))]
    assert any("fixed.npz" in path for path in opened)
    assert [path for path in ours if PART not in path] == []
    assert any("rename" in line and '"build"' in line and PART in line for line in lines)
