"""Machine code between processes: kept where it can be, announced when it is made, not made twice."""

from __future__ import annotations

import ctypes
import os
import shutil
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


SMALL = """
import numpy as np
from tclif_deploy import jit
jit.on_compile(print)
from tclif_deploy.quantization.rounding import CompensatedRounding, damped
print(CompensatedRounding(damped(np.eye(2))).round(np.array([[1.4, 2.6]]), np.ones((1, 2)), 127).tolist())
"""


def as_any_user() -> None:
    """Let modes of files hold for root too, in this process and what it runs."""
    if sys.platform == "linux":
        PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


def small(folder: Path, **variables: str) -> list[str]:
    """What ``SMALL`` prints before its result; its one kernel is kept in ``folder``, where that can be written."""
    environment = {**os.environ, "TCLIF_CACHE_DIR": str(folder), **variables}
    done = subprocess.run(
        [sys.executable, "-c", SMALL], env=environment, capture_output=True, text=True, preexec_fn=as_any_user
    )
    assert done.returncode == 0, done.stderr
    *announced, result = done.stdout.splitlines()
    assert result == "[[1, 3]]"
    return announced


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def of_something_else(path: Path) -> None:
    path.write_bytes(b"something else\n" * 50)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def test_damaged_machine_code_is_made_again_and_replaced(tmp_path) -> None:
    assert small(tmp_path)
    for damage in (emptied, truncated, of_something_else, a_folder):
        for pattern in ("*.nbi", "*.nbc", "*.nb?"):
            files = list(tmp_path.rglob(pattern))
            assert files
            for path in files:
                damage(path)
            assert small(tmp_path), (damage, pattern)  # compiles
            assert all(path.stat().st_size and path.is_file() for path in files)
    assert not small(tmp_path)  # finds what the last one wrote


def test_a_file_where_machine_code_is_kept_is_replaced(tmp_path) -> None:
    assert small(tmp_path)
    (inner,) = tmp_path.glob("quantization-*/quantization_*")
    shutil.rmtree(inner)
    inner.write_bytes(b"")
    assert small(tmp_path)
    assert list(inner.glob("*.nbc"))


def test_machine_code_that_can_only_be_read_is_used_and_what_it_lacks_is_kept_elsewhere(tmp_path) -> None:
    filled, own = tmp_path / "filled", tmp_path / "own"
    assert small(filled)
    (inner,) = filled.glob("quantization-*/quantization_*")
    try:
        for folder in (inner, inner.parent, filled):
            folder.chmod(0o555)
        assert small(filled, NUMBA_CACHE_DIR=str(own)) == []
        assert not list(own.rglob("*.nbc"))
        (kept,) = inner.glob("*.nbc")
        kept.write_bytes(b"")
        assert small(filled, NUMBA_CACHE_DIR=str(own)) != []
        assert kept.read_bytes() == b""
        assert small(filled, NUMBA_CACHE_DIR=str(own)) == []  # from its own
        assert list(own.rglob("*.nbc"))
    finally:
        for folder in (filled, inner.parent, inner):
            folder.chmod(0o755)


FACTORY = """
from tclif_deploy.jit import kernel

def adding(number):
    @kernel
    def add(x):
        return x + number
    return add
"""
AT_ONCE = """
from numba.core.caching import IndexDataCacheFile as File
from factory import adding
written, save_data = [], File._save_data
File._load_index = lambda self: {}
File._save_data = lambda *given: written.append(given)
assert (adding(1)(1), adding(2)(1)) == (2, 3)
assert len(written) == 2
for given in reversed(written):
    save_data(*given)
"""
"""two processes that have read the index before either wrote it, the first of them being the last to write its code"""
LATER = """
from factory import adding
print(adding(1)(1), adding(2)(1))
"""


def test_kernels_of_one_file_that_are_made_at_once_stay_apart(tmp_path) -> None:
    (tmp_path / "factory.py").write_text(FACTORY)
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    environment = {**os.environ, "TCLIF_CACHE_DIR": str(tmp_path / "kept"), "PYTHONPATH": paths}
    for program in (AT_ONCE, LATER):
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert done.stdout == "2 3\n"
