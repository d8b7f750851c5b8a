"""What a plain install does, and what it says of a package that is missing: before any work, and never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import plain_install
from tests.helpers.requirements import needs

ROOT = Path(__file__).parents[2]
MODEL, DATA = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"


def tclif(*words: object) -> subprocess.CompletedProcess[str]:
    """The command, where only what pyproject's dependencies bring can be imported."""
    command = [sys.executable, "-m", "tests.helpers.plain_install", *map(str, words)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_what_is_hidden_are_the_extras_and_nothing_that_is_needed():
    assert {"onnx", "onnxruntime", "matplotlib", "pandas", "pytest"} <= plain_install.hidden()
    assert not plain_install.hidden() & {"numpy", "torch", "nir", "numba", "jinja2", "plotly", "joblib", "tclif_deploy"}


@pytest.mark.slow
def test_a_plain_install_compiles_verifies_sweeps_and_writes_the_page(tmp_path):
    needs("gcc")
    build, table = tmp_path / "build", tmp_path / "sweep.csv"
    for words in (
        ("compile", MODEL, "--data", DATA, "--samples", 40, "--backend", "c,engine", "-o", build),
        ("verify", build, "--data", DATA, "--samples", 20),
        ("fuzz", build, "--samples", 2, "--steps", 40),
        ("report", build),
        ("sweep", MODEL, "--data", DATA, "--samples", 24, "--weight-bits", "4,8", "--passes", "none", "-o", table),
        ("simulate", build, "--data", DATA, "--samples", 8, "--parallel", "loky", "--jobs", 1),
        ("doctor", "--no-test"),
    ):
        done = tclif(*words)
        assert done.returncode == 0, (words, done.stderr)
    assert (build / "report.html").stat().st_size > 1_000_000
    assert len(table.read_text().splitlines()) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["compile", MODEL, "--data", DATA], ["lava-nc is not installed", "pip install", "--backend c"]),
        (["compile", MODEL, "--backend", "onnx"], ["tclif-deploy[onnx]'", "--backend c"]),
        (["export", MODEL, "--to", "onnx"], ["tclif-deploy[onnx]'"]),
        (["finetune", MODEL, "--backend", "onnx"], ["tclif-deploy[onnx]'", "--backend c"]),
        (["sweep", MODEL, "--data", DATA, "--plot", "OUT.svg"], ["tclif-deploy[figures]'", "leave --plot out"]),
        (["sweep", MODEL, "--data", DATA, "--parallel", "dask"], ["tclif-deploy[parallel]'", "choose --parallel loky"]),
        (["report", "OUT", "--figures", "OUT"], ["tclif-deploy[figures]'", "leave it out"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_what_is_missing_is_said_before_any_work_with_the_command_and_what_does_without(tmp_path, words, says):
    place = ["-o", str(tmp_path / "out")] if "report" not in words else []
    done = tclif(*(word.replace("OUT", str(tmp_path / "out")) for word in words), *place)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()  # no line of progress before it, and no traceback
    for part in says:
        assert part in line
    assert list(tmp_path.iterdir()) == []
