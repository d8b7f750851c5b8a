"""Machine code between processes: kept where it can be, announced when it is made, not made twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tclif_deploy

pytestmark = pytest.mark.slow

PROGRAM = """
import numpy as np, torch
from tclif_deploy import jit
jit.on_compile(print)
from tclif_deploy.mapping import place
from tclif_deploy.nn.fused import spike_counts
from tclif_deploy.simulation import engine
from tclif_deploy.target import load_target
from tests.helpers.random_networks import random_network

network, x = random_network(3)
engine.simulate(network, x)
spike_counts(torch.ones(3, 2, 4), torch.float32)
place(network, load_target("loihi2"))
"""


def run(folder: Path, **variables: str) -> str:
    """What ``PROGRAM`` prints in a process of its own that can write nothing but temporary files in ``folder``."""
    kept = {name: value for name, value in os.environ.items() if name not in ("TCLIF_CACHE_DIR", "XDG_CACHE_HOME")}
    environment = {**kept, "HOME": os.devnull, "TMPDIR": str(folder), "NUMBA_CACHE_DIR": "", **variables}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def machine_code(folder: Path) -> set[str]:
    """Source folders whose kernels are kept below ``folder``."""
    return {path.relative_to(folder).parts[1].split("-")[0] for path in folder.rglob("*.nbc")}


def test_without_a_home_or_a_place_beside_the_sources_kernels_are_kept_in_a_private_temporary_folder(tmp_path) -> None:
    printed = run(tmp_path)
    (private,) = tmp_path.glob("tclif-deploy-*")
    assert printed.splitlines() == [f"compiling for this CPU (once for each kind of kernel; kept in {private})"]
    assert private.stat().st_mode & 0o077 == 0
    assert machine_code(tmp_path) == {"engine", "nn", "mapping"}
    assert not list(Path(tclif_deploy.__file__).parent.rglob("*.nbc"))
    assert run(tmp_path) == ""  # the next process finds all of it


def test_the_user_chooses_the_folder(tmp_path) -> None:
    run(tmp_path, TCLIF_CACHE_DIR=str(tmp_path / "chosen"))
    assert machine_code(tmp_path) == {"engine", "nn", "mapping"}
    assert {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.nbc")} == {"chosen"}


def test_a_disk_that_takes_no_machine_code_costs_the_next_process_and_not_this_one(tmp_path) -> None:
    program = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))
import numpy as np
from tclif_deploy.quantization.rounding import CompensatedRounding, damped
print(CompensatedRounding(damped(np.eye(2))).round(np.array([[1.4, 2.6]]), np.ones((1, 2)), 127).tolist())
"""
    environment = {**os.environ, "TCLIF_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[[1, 3]]\n"), done.stderr
    assert not list(tmp_path.rglob("*.nbc"))
