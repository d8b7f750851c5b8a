"""One small real build and its inputs, and commands that are run on them while one file is damaged."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import stat
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import typer

from tclif_deploy.cli import main
from tests.fuzz.damage import damaged
from tests.fuzz.inputs import STATE, TUNE, inside, silent

SECONDS = 600
"""that a command may take"""
GROWTH = 192 << 20
"""bytes by which a command on a damaged file may grow beyond what the process held before it"""
LONGEST = 1500
"""characters of a line"""
MAIN = ("manifest.json", "report.json", "network.npz", "fixed.npz")
"""files of a build that every command reads"""
SIDE = ("record.npz", "mapping.json", "explain.json")
"""those that add a section; damaged, they are done without"""
NOT_READ = ("report.html", "c/size.json")
"""what no command reads again; programs (`CODE`) are neither"""
CODE = (".c", ".h", "CMakeLists.txt")
"""programs, which are run as they are: whoever changes them has other means"""

ON_BUILD: dict[str, list[str]] = {
    "show": ["show", "b"],
    "report": ["report", "b", "-o", "page.html"],
    "compare": ["report", "--compare", "b1", "b", "-o", "page.html"],
    "simulate": ["simulate", "b", "--data", "d.npz", "-q"],
    "verify": ["verify", "b", "--data", "d.npz", "-q"],
    "check": ["check", "b", "-q"],
    "check data": ["check", "b", "--data", "d.npz", "-q"],
    "cost": ["cost", "b", "--data", "d.npz", "-q"],
    "explain": ["explain", "b", "--data", "d.npz", "--samples", "2", "-q"],
    "fuzz": ["fuzz", "b", "--backend", "c", "--samples", "1", "--steps", "4", "-q"],
}


def on_model(model: str, to: str, *, data: bool = False, more: tuple[str, ...] = ()) -> tuple[list[str], ...]:
    """Commands that read a model, with ``more`` to say how; ``to``: formats that can say it."""
    calibration = ["--calibration", "d.npz"] if data else []
    return (
        ["inspect", model, *more],
        ["compile", model, "-o", "new", "--backend", "none", "-q", *calibration, *more],
        ["check", model, "-q", *calibration, *more],
        *(["export", model, "--to", form, "-o", "new.file", "-q", *more] for form in to.split()),
        *((["cost", model, "--data", "d.npz", "-q", *more],) if data else ()),
    )


SWEEP = ["sweep", "m.pt", "--data", "d.npz", "--weight-bits", "7,8", "-o", "w.csv", "--jobs", "1", "-q"]
READS: dict[str, tuple[list[str], ...]] = {
    **{f"b/{name}": tuple(ON_BUILD.values()) for name in MAIN},
    **{f"b/{name}": tuple(ON_BUILD[n] for n in ("show", "report", "compare", "explain")) for name in SIDE},
    "b/c/network.json": (ON_BUILD["fuzz"],),
    "b/network.nir": on_model("b/network.nir", "nir netx", data=True),
    "d.npz": (
        *(ON_BUILD[name] for name in ("simulate", "verify", "cost", "explain", "check data")), SWEEP,
        ["compile", "m.pt", "--data", "d.npz", "-o", "new", "--backend", "none", "-q"],
        ["check", "m.pt", "--calibration", "d.npz", "-q"],
    ),
    "k/calibration.npz": (
        ["compile", "k/m.pt", "-o", "new", "--backend", "none", "-q"], ["check", "k/m.pt", "-q"],
        ["cost", "k/m.pt", "--data", "d.npz", "-q"], ["export", "k/m.pt", "--to", "netx", "-o", "new.net", "-q"],
    ),
    "x.npy": (["simulate", "b", "--data", "x.npy", "-q"],),
    "images-idx3-ubyte": (["simulate", "b1", "--data", "images-idx3-ubyte", "-q"],),
    "images-idx3-ubyte.gz": (["simulate", "b1", "--data", "images-idx3-ubyte.gz", "-q"],),
    "s.h5": (["simulate", "b700", "--data", "s.h5", "-q"], ["check", "b700", "--data", "s.h5", "-q"]),
    "t.toml": (
        ["check", "b", "-t", "t.toml", "-q"], ["targets", "t.toml"],
        ["cost", "b", "-t", "t.toml", "--data", "d.npz", "-q"],
        ["compile", "m.pt", "-t", "t.toml", "--calibration", "d.npz", "-o", "new", "--backend", "none", "-q"],
        ["export", "m.pt", "--to", "netx", "-t", "t.toml", "-o", "new.net", "-q"],
        ["sweep", "m.pt", "--data", "d.npz", "-t", "t.toml", "-o", "new.csv", "--jobs", "1", "-q"],
    ),
    "n.nir": on_model("n.nir", "torch", data=True),
    "f.nir": on_model("f.nir", "nir", data=True, more=("--dt", "1e-4")),
    "v.nir": on_model("v.nir", "nir"),
    "c.net": on_model("c.net", "nir netx"),
    "args.json": on_model("m.pt", "netx", data=True),
    "m.pt": (*on_model("m.pt", "nir netx torch", data=True), SWEEP),
    "saved.pt": on_model("saved.pt", "nir torch", data=True),
    "w.csv": (SWEEP,),
    "f/train.npz": (TUNE,),
    "f/test.npz": (TUNE,),
    STATE: (TUNE,),
}  # fmt: skip
"""file -> commands that read it"""
DEAR = {
    "explain": 0.1, "fuzz": 0.1, "finetune": 0.15, "compile": 0.25, "report": 0.25, "sweep": 0.25, "show": 0.5,
    "cost": 0.6, "export": 0.6, "inspect": 3.0, "targets": 3.0,
}  # fmt: skip
"""command -> how often it is drawn, against 1: what takes long is seldom run"""


Pairs = list[tuple[str, list[str]]]
"""(file, command that reads it)"""
PAIRS: Pairs = [(name, command) for name, commands in READS.items() for command in commands]


@dataclass(frozen=True)
class Case:
    """A command, and what one of the files that it reads has become."""

    seed: int
    number: int
    file: str
    command: list[str]
    kind: str
    """of damage"""
    content: bytes | None
    """None: ``kind`` says what stands there"""

    def __str__(self) -> str:
        return f"{self.file} ({self.kind}): tclif {' '.join(self.command)}"

    @property
    def again(self) -> str:
        """How to see it again."""
        return f"python -m tests.fuzz.run --seed {self.seed} --first {self.number} --inputs 1"


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int | None
    """None: it did not end by itself"""
    stderr: str
    trace: str = ""
    """traceback of what escaped"""
    growth: int = 0
    """bytes that it took more than there were before it, or more than on whole files"""


# --- one case


def drawn(folder: Path, seed: int, number: int, pairs: Pairs = PAIRS) -> Case:
    """Input ``number`` of a seed, for one of ``pairs``."""
    rng = np.random.default_rng([seed, number])
    weights = np.array([DEAR.get(command[0], 1.0) for _, command in pairs])
    name, command = pairs[int(rng.choice(len(pairs), p=weights / weights.sum()))]
    kind, content = damaged(originals(folder)[name], Path(name).suffix, rng)
    return Case(seed, number, name, command, kind, content)


@functools.cache
def originals(folder: Path) -> dict[str, bytes]:
    """Every file as it was made: asked for the first time before anything is damaged."""
    return {name: (folder / name).read_bytes() for name in files(folder)}


def damage(path: Path, kind: str, content: bytes | None) -> None:
    """Leave ``content`` at ``path``, or what ``kind`` says."""
    if content is not None:
        path.write_bytes(content)
        return
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind != "delete":
        path.symlink_to({"link to nowhere": "nowhere", "link to itself": path.name, "device": "/dev/zero"}[kind])


def attempt(
    folder: Path, case: Case, call: Callable[[Path, list[str]], Outcome] | None = None
) -> tuple[str | None, Outcome]:
    """(what is wrong, what the command did): damages a file in ``folder``, runs, and puts everything back as it was."""
    originals(folder)
    damage(folder / case.file, case.kind, case.content)
    before = files(folder)
    outcome = (call or called)(folder, case.command)
    after = files(folder)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    restore(folder, {*changed, case.file})
    return judged(case.command, outcome, changed), outcome


def restore(folder: Path, names: set[str]) -> None:
    """Put back files as they were made, and remove those that were not; folders that are empty then, too."""
    whole = originals(folder)
    for name in sorted(names):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif name not in whole or not stat.S_ISREG(_mode(path)):
            path.unlink(missing_ok=True)
        if name in whole:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(whole[name])
        else:
            for parent in Path(name).parents:
                with contextlib.suppress(OSError):
                    os.rmdir(folder / parent)


def _mode(path: Path) -> int:
    return path.lstat().st_mode if os.path.lexists(path) else stat.S_IFREG


def files(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every file below ``folder``, and what tells whether it was written."""
    made: dict[str, tuple[int, int, int]] = {}
    pending = [""]
    while pending:
        place = pending.pop()
        with os.scandir(folder / place) as entries:
            for entry in entries:
                name = f"{place}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{name}/")
                else:
                    status = entry.stat(follow_symlinks=False)
                    made[name] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return made


# --- run in this process


@functools.cache
def parser() -> Any:
    """The command line's parser, which takes longer to build than most commands run."""
    return typer.main.get_command(main.app)


def called(folder: Path, command: list[str]) -> Outcome:
    """Run a command in ``folder``, in this process."""

    def late(signum: int, frame: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    previous = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    code, trace, held = None, "", resident(peak=False)
    with inside(folder), silent() as stderr, warnings.catch_warnings(), mock.patch.object(main, "app", parser()):
        warnings.simplefilter("always", RuntimeWarning)
        try:
            code = main.run(command)
        except (Exception, SystemExit):
            trace = traceback.format_exc()
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, previous)
    return Outcome(code, stderr.getvalue(), trace, resident(peak=True) - held)


def resident(*, peak: bool) -> int:
    """Bytes of memory that this process holds, from now on the least its peak can be; or that peak. 0: not known."""
    try:
        if not peak:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:  # no Linux
        return 0
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def judged(command: list[str], outcome: Outcome, changed: set[str]) -> str | None:
    """What is wrong with the outcome of a command; None where it is as promised."""
    code, stderr = outcome.code, outcome.stderr
    lines = stderr.strip().splitlines()
    if code not in (0, 1, 2):
        return f"exit code {code}: {(outcome.trace or stderr)[-400:]}"
    if any(
        words in stderr for words in ("internal error", main.DISK_HINT, "Traceback", "Warning", "not enough memory")
    ):
        return stderr[-400:]
    if code == 2 and (len(lines) != 1 or not lines[0].startswith("error: ")):
        return f"not one line: {stderr[:400]!r}"
    if any(len(line) > LONGEST for line in lines):
        return f"a line of {max(map(len, lines))} characters: {stderr[:200]!r}"
    if outcome.growth > GROWTH:
        return f"took {outcome.growth >> 20} MB: {stderr[:200]!r}"
    allowed = {"b/explain.json", "b/report.html"} if command[0] == "explain" else set()
    if "-o" in command:
        output = command[command.index("-o") + 1]
        allowed = {name for name in changed if name == output or name.startswith((f"{output}/", f"{output}.tuning/"))}
    if (code == 2 and changed) or changed - allowed:
        return f"exit code {code}, but written: {sorted(changed)}"
    return None
