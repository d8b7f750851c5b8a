"""One small real build and its inputs, and commands that are run on them while one file is damaged."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import torch

from tclif_deploy import load, write_nir
from tclif_deploy.cli.main import DISK_HINT, run
from tests.fuzz.damage import damaged

SECONDS = 120
"""that a command may take"""
MAIN = ("manifest.json", "report.json", "network.npz", "fixed.npz")
"""files of a build that every command reads"""
SIDE = ("record.npz", "mapping.json", "explain.json")
"""those that add a section; damaged, they are done without"""
CODE = (".c", ".h")
"""programs, which are run as they are: whoever changes them has other means"""

ON_BUILD: dict[str, list[str]] = {
    "show": ["show", "b"],
    "report": ["report", "b", "-o", "page.html"],
    "simulate": ["simulate", "b", "--data", "d.npz", "-q"],
    "verify": ["verify", "b", "--data", "d.npz", "-q"],
    "check": ["check", "b", "-q"],
    "check data": ["check", "b", "--data", "d.npz", "-q"],
    "cost": ["cost", "b", "--data", "d.npz", "-q"],
    "explain": ["explain", "b", "--data", "d.npz", "--samples", "2", "-q"],
    "fuzz": ["fuzz", "b", "--backend", "c", "--samples", "1", "--steps", "4", "-q"],
}
READS: dict[str, tuple[list[str], ...]] = {
    **{f"b/{name}": tuple(ON_BUILD.values()) for name in MAIN},
    **{f"b/{name}": (ON_BUILD["show"], ON_BUILD["report"], ON_BUILD["explain"]) for name in SIDE},
    "b/c/network.json": (ON_BUILD["fuzz"],),
    "b/network.nir": (["inspect", "b/network.nir"],),
    "d.npz": (
        ON_BUILD["simulate"], ON_BUILD["verify"], ON_BUILD["cost"], ON_BUILD["explain"], ON_BUILD["check data"],
        ["compile", "m.pt", "--data", "d.npz", "-o", "new", "--backend", "none", "-q"],
        ["check", "m.pt", "--calibration", "d.npz", "-q"],
    ),
    "x.npy": (["simulate", "b", "--data", "x.npy", "-q"],),
    "images-idx3-ubyte": (["simulate", "b1", "--data", "images-idx3-ubyte", "-q"],),
    "s.h5": (["simulate", "b700", "--data", "s.h5", "-q"], ["check", "b700", "--data", "s.h5", "-q"]),
    "t.toml": (
        ["check", "b", "-t", "t.toml", "-q"], ["targets", "t.toml"],
        ["compile", "m.pt", "-t", "t.toml", "--calibration", "d.npz", "--backend", "none", "-q"],
    ),
    "n.nir": (["inspect", "n.nir"], ["compile", "n.nir", "-o", "new", "--backend", "none", "-q"]),
    "f.nir": (["inspect", "f.nir", "--dt", "1e-4"],),
    "args.json": (["inspect", "m.pt"], ["compile", "m.pt", "-o", "new", "--backend", "none", "-q"]),
    "m.pt": (["inspect", "m.pt"],),
}  # fmt: skip
"""file -> commands that read it"""


@dataclass(frozen=True)
class Finding:
    """What should not be, and how to see it again."""

    seed: int
    number: int
    file: str
    kind: str
    command: list[str]
    what: str

    def __str__(self) -> str:
        again = f"python -m tests.fuzz.run --seed {self.seed} --first {self.number} --inputs 1"
        return f"{self.file} ({self.kind}): tclif {' '.join(self.command)}: {self.what}\n    {again}"


def make(folder: Path) -> None:
    """A tiny trained network, its data and targets, and its builds, in the empty ``folder``; all from fixed seeds."""
    rng = np.random.default_rng(0)
    state: dict[str, torch.Tensor] = {}
    sizes = (3, 12, 10, 4)

    def tensor(values: Any) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32)

    for n in range(3):
        m, k = sizes[n], sizes[n + 1]
        state[f"features.{2 * n}.weight"] = tensor(rng.normal(0.03, 0.9 / m**0.5, (k, m)))
        state[f"features.{2 * n}.bias"] = tensor(rng.normal(0.02, 0.03, k))
        if n < 2:
            state[f"features.{2 * n + 1}.decay_factor"] = tensor(rng.normal(0, 0.5, (1, 2)))
    x = rng.integers(0, 256, (8, 30, 3)).astype(np.uint8)
    with inside(folder), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        torch.save({"state_dict": state}, "m.pt")
        Path("args.json").write_text(json.dumps({"threshold": 1.0, "gamma": 0.5, "neuron": "tclif"}))
        np.savez("d.npz", x=x, scale=1 / 255, y=rng.integers(0, 4, 8), lengths=rng.integers(5, 31, 8))
        np.save("x.npy", x)
        header = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (4, 3, 5))
        Path("images-idx3-ubyte").write_bytes(header + rng.bytes(4 * 3 * 5))
        with h5py.File("s.h5", "w") as file:
            for name in ("times", "units"):
                column = file.create_dataset(
                    f"spikes/{name}", (3,), h5py.vlen_dtype(np.float32 if name == "times" else np.uint16)
                )
                for n in range(3):
                    values = rng.random(20) if name == "times" else rng.integers(0, 700, 20)
                    column[n] = values
            file["labels"] = np.arange(3)
        Path("t.toml").write_text(
            'inherits = "loihi2"\nname = "chip"\ndescription = "a chip"\n'
            'weight_bits = { value = 7, unit = "bit", source = "here", evidence = "assumed" }\n'
            "state_bits = 20\nthreshold_bits = 20\nreset_bits = 20\nbias_bits = 20\nneurons_per_core = 8\n"
            "energy_synapse = [1.0, 2.5]\n"
        )
        said = [run(["compile", "m.pt", "--data", "d.npz", "-o", "b", "--backend", "c", "-q"])]
        said.append(run(ON_BUILD["explain"]))
        for features in (1, 700):
            first = tensor(rng.normal(0.03, 0.9, (12, features)))
            torch.save({"state_dict": {**state, "features.0.weight": first}}, "other.pt")
            said.append(run(["compile", "other.pt", "-o", f"b{features}", "--backend", "none", "-q"]))
        write_nir(load("m.pt"), "n.nir")
        ones = np.ones(4)
        lif = nir.LIF(tau=20e-3 * ones, r=ones, v_leak=0 * ones, v_threshold=ones)
        nodes = {
            "input": nir.Input(np.array([3])), "fc": nir.Affine(rng.normal(0, 1, (4, 3)), 0 * ones), "lif": lif,
            "output": nir.Output(np.array([4])),
        }  # fmt: skip
        edges = [("input", "fc"), ("fc", "lif"), ("lif", "output")]
        nir.write("f.nir", nir.NIRGraph(nodes=nodes, edges=edges))
        assert not any(said), said


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in ``folder`` until the block ends."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def files(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every file below ``folder``, and what tells whether it was written."""
    made = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            status = path.lstat()
            made[str(path.relative_to(folder))] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return made


def drawn(folder: Path, seed: int, number: int) -> tuple[str, list[str], str, bytes | None]:
    """(file, command, kind of damage, what it leaves) of input ``number``."""
    rng = np.random.default_rng([seed, number])
    name = list(READS)[int(rng.integers(len(READS)))]
    command = READS[name][int(rng.integers(len(READS[name])))]
    kind, content = damaged((folder / name).read_bytes(), Path(name).suffix, rng)
    return name, command, kind, content


def attempt(folder: Path, seed: int, number: int) -> Finding | None:
    """Damage a file in ``folder``, run a command that reads it, judge, and put everything back as it was."""
    name, command, kind, content = drawn(folder, seed, number)
    path, whole, kept = folder / name, (folder / name).read_bytes(), {}
    if command[0] == "explain":
        kept = {n: (folder / n).read_bytes() for n in ("b/explain.json", "b/report.html")}
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    before = files(folder)
    code, stderr, trace = called(folder, command)
    after = files(folder)
    changed = {n for n in {*before, *after} if before.get(n) != after.get(n)}
    tidy(folder, set(before))
    for n, old in kept.items():
        (folder / n).write_bytes(old)
    path.write_bytes(whole)
    wrong = judged(command, code, stderr, trace, changed)
    return None if wrong is None else Finding(seed, number, name, kind, command, wrong)


def tidy(folder: Path, known: set[str]) -> None:
    """Remove every file that is none of ``known``, and the folders that are empty then."""
    for name in set(files(folder)) - known:
        (folder / name).unlink()
    for place, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(place)


def called(folder: Path, command: list[str]) -> tuple[int | None, str, str]:
    """(exit code, standard error, traceback of what escaped) of a command run in ``folder``."""

    def late(signum: int, frame: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    stderr, previous = io.StringIO(), signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        with inside(folder), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(stderr):
            return run(command), stderr.getvalue(), ""
    except (Exception, SystemExit):
        return None, stderr.getvalue(), traceback.format_exc()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def judged(command: list[str], code: int | None, stderr: str, trace: str, changed: set[str]) -> str | None:
    """What is wrong with the outcome of a command; None where it is as promised."""
    lines = stderr.strip().splitlines()
    if code not in (0, 1, 2):
        return f"exit code {code}: {(trace or stderr)[-400:]}"
    if "internal error" in stderr or DISK_HINT in stderr or "Traceback" in stderr or "Warning" in stderr:
        return stderr[-400:]
    if code == 2 and (len(lines) != 1 or not lines[0].startswith("error: ")):
        return f"not one line: {stderr[:400]!r}"
    if any(len(line) > 1500 for line in lines):
        return f"a line of {max(map(len, lines))} characters: {stderr[:200]!r}"
    allowed = {
        "report": {"page.html"}, "explain": {"b/explain.json", "b/report.html"},
    }.get(command[0], set())  # fmt: skip
    if code != 2 and command[0] == "compile":
        allowed = {n for n in changed if n.startswith(("new/", "build/"))}
    if (code == 2 and changed) or changed - allowed:
        return f"exit code {code}, but written: {sorted(changed)}"
    return None
