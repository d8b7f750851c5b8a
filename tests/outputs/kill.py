"""Kill commands at random moments and look at what is left: ``python -m tests.outputs.kill --kills 200 --seed 1``.

After each kill the old or the new stands under its name, whole, and the same command then goes through and leaves no
hidden file. Prints every kill that left something else, and how many there were.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py

from tclif_deploy import Build, TclifError, load
from tclif_deploy.nn.checkpoint import load_torch
from tclif_deploy.nn.fit import resume_path
from tclif_deploy.workflows.sweep import read
from tests.helpers import checkpoints
from tests.helpers.mnist_files import write_mnist

MODEL, DATA = "net/checkpoint.pth.tar", "data.npz"
TRAIN = ("--data", "mnist", "--epochs", "2", "--batch-size", "8")
NO_LIMITS = ("--min-agreement", "0", "--max-accuracy-drop", "1")
"""the network is trained on random pixels"""
START = "from tclif_deploy.cli.start import main; main()"


def build_is_whole(place: Path) -> bool:
    build = Build.open(place / "b")
    page = (place / "b" / "report.html").read_text(encoding="utf-8")
    return build.attribution is not None and page.rstrip().endswith("</html>")


def absent_or(name: str, check: Callable[[Path], object]) -> Callable[[Path], bool]:
    def holds(place: Path) -> bool:
        if (place / name).exists():
            check(place / name)
        return True

    return holds


def training_is_finished(place: Path) -> bool:
    """With all epochs: what is left of one that was killed before has a state to resume from beside it."""
    out = place / "trained" / "checkpoint.pth.tar"
    if not out.exists() or resume_path(out).exists():
        return False
    assert load_torch(out)["epoch"] == 2
    return True


def trace_is_whole(path: Path) -> None:
    with h5py.File(path) as file:
        assert file["classes"].shape == (8,)
        assert all(file["spikes"][name][:].any() for name in file["spikes"])


@dataclass
class Command:
    """What is killed, and what must hold after it."""

    argv: tuple[str, ...]
    holds: Callable[[Path], bool]
    clear: tuple[str, ...] = ()
    """removed before each kill, so that there is something to write"""
    finished: Callable[[Path], bool] = lambda place: False
    """whether it was done when it was killed, and would not do it again"""
    seconds: float = field(default=0.0)


COMMANDS = (
    Command(("compile", MODEL, "--data", DATA, "--backend", "c", "--weight-bits", "7", "-o", "c"), lambda p: True),
    Command(("compile", MODEL, "--data", DATA, "--backend", "c", "-o", "b2"), lambda p: True),
    Command(("explain", "b", "--data", DATA), build_is_whole),
    Command(("report", "b"), build_is_whole),
    Command(("simulate", "b", "--data", DATA, "--trace", "t.h5"), absent_or("t.h5", trace_is_whole), ("t.h5",)),
    Command(
        ("sweep", MODEL, "--data", DATA, "--weight-bits", "2..8", "--jobs", "1", "-o", "s.csv"),
        absent_or("s.csv", lambda path: list(read(path))), ("s.csv",),
    ),
    Command(
        ("train", "smnist-ff", *TRAIN, "-o", "trained/checkpoint.pth.tar"),
        absent_or("trained/checkpoint.pth.tar", load), ("trained/checkpoint.pth.tar",), training_is_finished,
    ),
    Command(
        ("finetune", "small/checkpoint.pth.tar", *TRAIN, "--backend", "none", *NO_LIMITS, "-o", "f"),
        absent_or("f", Build.open),
    ),
)  # fmt: skip


def tclif(place: Path, argv: tuple[str, ...]) -> subprocess.Popen[bytes]:
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", START, *argv], cwd=place, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip


def prepare(place: Path) -> None:
    """Models, data and the build ``b``; how long each command takes."""
    checkpoints.write_checkpoint(place / "net")
    checkpoints.write_data(place / DATA)
    write_mnist(place / "mnist")
    finish(place, ("train", "smnist-ff", *TRAIN, "-o", "small/checkpoint.pth.tar"))
    finish(place, ("compile", MODEL, "--data", DATA, "--backend", "c", "-o", "b"))
    finish(place, ("explain", "b", "--data", DATA))
    for command in COMMANDS:
        began = time.monotonic()
        finish(place, command.argv)
        command.seconds = time.monotonic() - began


def finish(place: Path, argv: tuple[str, ...]) -> None:
    process = tclif(place, argv)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, f"tclif {' '.join(argv)}: {errors.decode(errors='replace')[-500:]}"


def kill_once(place: Path, command: Command, chance: random.Random) -> str | None:
    """Kill ``command`` at a random moment, mostly late; what is wrong then, or None."""
    for name in command.clear:
        (place / name).unlink(missing_ok=True)
    process = tclif(place, command.argv)
    delay = command.seconds * chance.uniform(0.3, 1.0)
    time.sleep(delay)
    with_group = process.poll() is None
    if with_group:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    what = f"tclif {' '.join(command.argv)}, killed after {delay:.2f} of {command.seconds:.2f} s"
    try:
        for name in ("b", "b2", "c"):
            Build.open(place / name)
        if not command.holds(place):
            return f"{what}: neither the old nor the new is there"
        if not command.finished(place):
            finish(place, command.argv)
        Build.open(place / "b")
    except (TclifError, AssertionError, OSError, KeyError) as error:
        return f"{what}: {type(error).__name__}: {error}"
    hidden = [path.name for path in place.rglob(".*") if ".tclif-" in path.name]
    return f"{what}: left {hidden}" if hidden else None


def run(kills: int, seed: int, say: Callable[[str], object] = print) -> list[str]:
    """What ``kills`` random kills left that should not be."""
    chance = random.Random(seed)
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        prepare(place)
        for n in range(kills):
            problem = kill_once(place, COMMANDS[n % len(COMMANDS)], chance)
            if problem is not None:
                wrong.append(problem)
                say(problem)
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    wrong = run(given.kills, given.seed)
    print(f"{given.kills} kills, seed {given.seed}: {len(wrong)} left something wrong")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
