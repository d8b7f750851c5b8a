"""The built wheel, installed outside the checkout: everything it needs is inside it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import checkpoints

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_wheel_compiles_a_model_outside_the_checkout(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=900)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=900)
    model = checkpoints.write_checkpoint(tmp_path / "net")
    data = checkpoints.write_data(tmp_path / "data.npz")
    code = (
        "import sys, tclif_deploy; assert tclif_deploy.__file__.startswith(sys.argv[1]), tclif_deploy.__file__\n"
        "from tclif_deploy.cli.main import run; sys.exit(run(sys.argv[2:]))"
    )
    env = os.environ | {"PYTHONPATH": str(site)}
    for argv in (["targets", "loihi2"], ["compile", str(model), "--data", str(data), "-o", str(tmp_path / "b")]):
        done = subprocess.run(
            [sys.executable, "-c", code, str(site), *argv],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr
    assert "every bit of" in done.stdout
    assert (tmp_path / "b" / "lava" / "run.py").is_file()
