"""Compile the emitted C with the machine's compiler and stream samples through it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tclif_deploy import json_form, processes
from tclif_deploy.backends.c.source import DESCRIPTION
from tclif_deploy.convolution import MOST_UNITS
from tclif_deploy.errors import TclifError
from tclif_deploy.files import read_bytes
from tclif_deploy.fixed import InputEncoding, Int
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.readout import Readout
from tclif_deploy.simulation.result import Result, check_integers, check_lengths

COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c99", "-O3", "-DTCLIF_COUNT_OVERFLOWS=1")
BATCH = 32
"""samples a run of the program: bounds the memory that spikes take"""


def find_compiler() -> str | None:
    """The C compiler: ``$CC``, else the first of cc, gcc and clang that is installed."""
    return next((name for name in (os.environ.get("CC", ""), *COMPILERS) if name and shutil.which(name)), None)


def check_installed() -> None:
    """Raise `TclifError` where there is no C compiler."""
    if find_compiler() is None:
        raise TclifError("no C compiler is installed", "install gcc or clang (Debian: apt install gcc), or set CC")


def run(
    folder: Path,
    x: Int,
    *,
    lengths: Int | None = None,
    batched: bool = False,
    progress: Progress = no_progress,
    compiler: Sequence[str] = (),
    emulator: Sequence[str] = (),
) -> Result:
    """Compile what `emit` wrote and run it on input integers ``x`` (samples, time, features).

    ``compiler`` is another compiler and its flags, ``emulator`` the command that runs what it made. Raises
    `TclifError` where there is no compiler, and where it or the program fails.
    """
    if not compiler:
        check_installed()
        compiler = (str(find_compiler()),)
    folder = Path(folder)
    try:
        path = folder / DESCRIPTION
        description = json_form.parse(_Description, read_bytes(path, ""), str(path), "")
    except TclifError as error:
        raise TclifError(f"{folder}: holds no C network ({error.what})", "compile with --backend c") from error
    encoding, layers = description.input, description.layers
    x = check_integers(encoding, x)
    samples, time, _ = x.shape
    lengths = check_lengths(lengths, samples, time)
    records = []
    with tempfile.TemporaryDirectory(prefix="tclif-c-") as scratch:
        program = Path(scratch, "network")
        sources = [str(folder / name) for name in ("network.c", "main.c")]
        _call([*compiler, *FLAGS, *sources, "-o", str(program)], b"", Path(scratch))
        for start in range(0, samples, BATCH):
            batch = slice(start, start + BATCH)
            output = _call([*emulator, str(program)], _stream(x[batch], lengths[batch]), Path(scratch))
            record = _record(layers, description.readout, time)
            expected = len(x[batch]) * record.itemsize
            if len(output) != expected:
                raise TclifError(
                    f"{folder}: its program writes {len(output):,} bytes, {expected:,} by its {DESCRIPTION}",
                    "compile with --backend c",
                )
            records.append(np.frombuffer(output, record))
            progress(min(start + BATCH, samples), samples)
    return _result(layers, np.concatenate(records))


def _call(command: list[str], data: bytes, scratch: Path) -> bytes:
    """Standard output of a command, or a `TclifError` with the first line that it complains in."""
    try:
        done = processes.run(command, data, scratch=scratch)
    except OSError as error:
        raise TclifError(f"{command[0]}: cannot be run ({error.strerror})", "install it, or name another") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").split("\n")
        first = next((line for line in lines if "error" in line), lines[0])
        raise TclifError(f"{Path(command[0]).name} failed ({done.returncode}): {first.strip()}")
    return done.stdout


def _stream(x: Int, lengths: Int) -> bytes:
    """The input of main.c."""
    samples, time, features = x.shape
    rows = np.empty((samples, 1 + time * features), np.int32)
    rows[:, 0] = lengths
    rows[:, 1:] = x.reshape(samples, -1)
    return np.array([samples, time], np.uint32).tobytes() + rows.tobytes()


@dataclass(frozen=True)
class _Layer:
    name: str
    size: int
    spiking: bool


@dataclass(frozen=True)
class _Description:
    """``network.json``: what the program reads and writes."""

    __pydantic_config__ = json_form.EXACT

    input: InputEncoding
    layers: tuple[_Layer, ...]
    readout: Readout = Readout()

    def __post_init__(self) -> None:
        if not self.layers or not all(0 < layer.size <= MOST_UNITS for layer in self.layers):
            raise TclifError("a layer without neurons, or none at all")
        self.readout.of(self.layers[-1].name, self.layers[-1].size, self.layers[-1].spiking)


def _record(layers: tuple[_Layer, ...], readout: Readout, time: int) -> np.dtype[np.void]:
    """What main.c writes for one sample."""
    neurons = sum(layer.size for layer in layers)
    firing = sum(layer.size for layer in layers if layer.spiking)
    decided = [("decided", np.int64, ())] * readout.decides
    return np.dtype([
        ("spikes", np.uint8, (time, firing)), ("u", np.int64, (neurons,)), ("v", np.int64, (neurons,)),
        ("readout", np.int64, (readout.outputs(layers[-1].size),)), ("class", np.int64), *decided,
        ("overflows", np.int64, (len(layers), 4)),
    ])  # fmt: skip


def _result(layers: tuple[_Layer, ...], records: NDArray[np.void]) -> Result:
    """Columns of the records, by layer."""
    spikes, u, v, overflows = {}, {}, {}, {}
    first = first_firing = 0
    for n, layer in enumerate(layers):
        name, end = layer.name, first + layer.size
        if layer.spiking:
            fired = records["spikes"][:, :, first_firing : first_firing + layer.size]
            spikes[name] = fired.astype(np.bool_)
            first_firing += layer.size
        u[name], v[name] = records["u"][:, first:end].copy(), records["v"][:, first:end].copy()
        overflows[name] = records["overflows"][:, n].sum(axis=0)
        first = end
    decided = records["decided"].copy() if "decided" in (records.dtype.names or ()) else None
    return Result(spikes, u, v, records["readout"].copy(), records["class"].copy(), overflows, decided=decided)
