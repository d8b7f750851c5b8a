"""The commands of fixtures/README.md begin as the logs beside the networks say."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

FIXTURES = Path("fixtures")
SEED = re.compile(r"--seed \d+")


def command_of(name: str) -> str:
    """What trained the fixture ``name``."""
    section = (FIXTURES / "README.md").read_text().split(f"\n### {name}:")[1]
    found = re.search(r"\| command \| `tclif (train .*?)` \|", section)
    assert found
    return found[1]


def first_epoch(command: str, output: Path) -> dict[str, str]:
    """Rate and loss of the first line that ``command`` prints, its checkpoint in place of the fixture's."""
    words = shlex.split(command)
    words[words.index("--output") + 1] = str(output / "checkpoint.pth.tar")
    with subprocess.Popen(
        [sys.executable, "-m", "tclif_deploy", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as training:
        assert training.stdout is not None
        line = next(line for line in training.stdout if line.startswith("epoch"))
        training.kill()
    return numbers(line)


def numbers(line: str) -> dict[str, str]:
    """A line of a log by its words."""
    return dict(re.findall(r"(epoch|lr|loss) +(\S+)", line))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["spoken_digits", "mackey_glass"])
def test_the_first_epoch_is_the_logs(name: str, tmp_path: Path) -> None:
    """Within 4e-3: gradients between layers have been summed in float32 since, and CPUs sum in orders of their own."""
    logged = numbers((FIXTURES / name / "train.log").read_text().splitlines()[0])
    command = command_of(name)
    again, other = (
        first_epoch(one, tmp_path / str(n)) for n, one in enumerate((command, SEED.sub("--seed 9", command)))
    )
    assert (again["epoch"], again["lr"]) == (logged["epoch"], logged["lr"]) == ("1", other["lr"])
    assert float(again["loss"]) == pytest.approx(float(logged["loss"]), rel=4e-3)
    assert float(other["loss"]) != pytest.approx(float(logged["loss"]), rel=4e-3)
