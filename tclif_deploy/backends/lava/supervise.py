"""Run an emitted network in a supervised subprocess: it ends in time, and nothing of it is left behind."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from tclif_deploy import processes
from tclif_deploy.backends.lava.template.tclif_lava.compat import INSTALL_COMMANDS, MISSING_HINT
from tclif_deploy.errors import TclifError
from tclif_deploy.files import open_npz
from tclif_deploy.fixed import Int
from tclif_deploy.network import Float
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.simulation.result import Result, check_lengths

STALL_SECONDS = 120.0
"""default of ``timeout``: one hundredth of the work takes seconds at most"""
POLL_SECONDS = 0.1
INPUT_FILE = "x.npz"
TAIL_LINES = 3
"""lines of the subprocess's stderr that an error message repeats"""


@dataclass(frozen=True, eq=False)
class FloatRun:
    """Outcome of a floating-point run on Lava."""

    spikes: dict[str, NDArray[np.bool_]]
    """spiking layer -> (samples, time, neurons)"""
    u: dict[str, Float]
    """layer -> dendrite after the last step, (samples, neurons)"""
    v: dict[str, Float]
    readout: Float
    classes: NDArray[np.int64]


def install_commands() -> tuple[str, ...]:
    """The commands that install Lava on any supported Python.

    Examples
    --------
    >>> print(install_commands()[1])
    pip install --no-deps --ignore-requires-python lava-nc==0.10.0
    """
    return INSTALL_COMMANDS


def installed_version() -> str | None:
    """Version of lava-nc, or None where it is not installed."""
    try:
        # `lava` is a namespace package: only a module of lava-nc's own shows that it is there.
        if importlib.util.find_spec("lava.magma") is None:
            return None
        return importlib.metadata.version("lava-nc")
    except (ImportError, ValueError, importlib.metadata.PackageNotFoundError):
        return None


def check_installed() -> None:
    """Raise `TclifError`, saying how to install it, where Lava is missing, and on Windows."""
    if os.name == "nt":
        raise TclifError(
            "the Lava backend does not run on Windows: its processes are ended as a POSIX session",
            "use --backend c, onnx or engine, or Linux (WSL)",
        )
    if installed_version() is None:
        raise TclifError("lava-nc is not installed", MISSING_HINT)


def run(
    folder: Path | str,
    x: Int,
    *,
    lengths: Int | None = None,
    batched: bool = False,
    timeout: float = STALL_SECONDS,
    progress: Progress = no_progress,
) -> Result:
    """Run integers ``x`` (samples, time, features) on the network that `emit` wrote into ``folder``.

    The result means what `simulation.reference.simulate`'s means. ``batched`` takes many samples at once through a
    Dense process that only a simulation can have, else Lava's own Dense takes one after another. ``progress`` is
    called with Lava steps. Raises `TclifError` where Lava is missing, where the run fails, and where it shows no
    progress for ``timeout`` seconds; in each case, and on Ctrl-C, all of its processes are ended.
    """
    if not np.issubdtype(np.asarray(x).dtype, np.integer):
        raise TclifError(
            f"lava: input has dtype {np.asarray(x).dtype}", "integers are needed: see InputEncoding.encode"
        )
    outputs = _run(Path(folder), x, lengths, batched, timeout, progress)
    return Result(
        spikes=_by_layer(outputs, "spikes"),
        u=_by_layer(outputs, "u"),
        v=_by_layer(outputs, "v"),
        readout=outputs["readout"],
        classes=outputs["classes"],
        overflows=_by_layer(outputs, "overflows"),
    )


def run_float(
    folder: Path | str,
    x: NDArray[Any],
    *,
    lengths: Int | None = None,
    batched: bool = False,
    timeout: float = STALL_SECONDS,
    progress: Progress = no_progress,
) -> FloatRun:
    """Like `run`, for what `emit_float` wrote: ``x`` is real, in the float network's own units."""
    outputs = _run(Path(folder), np.asarray(x, dtype=np.float64), lengths, batched, timeout, progress)
    states = {key: _by_layer(outputs, key) for key in ("spikes", "u", "v")}
    return FloatRun(**states, readout=outputs["readout"], classes=outputs["classes"])


def _by_layer(outputs: dict[str, NDArray[Any]], key: str) -> dict[str, Any]:
    """The arrays ``key.<layer>``."""
    return {name.removeprefix(f"{key}."): array for name, array in outputs.items() if name.startswith(f"{key}.")}


def _run(
    folder: Path, x: NDArray[Any], lengths: Int | None, batched: bool, timeout: float, progress: Progress
) -> dict[str, NDArray[Any]]:
    """Input to a file, ``run.py``, output from a file."""
    if not (folder / "run.py").is_file():
        raise TclifError(f"{folder}: no run.py", "compile first, or name the folder that emit wrote")
    if x.ndim != 3 or 0 in x.shape:
        raise TclifError(f"lava: input has shape {x.shape}", "expected (samples, time, features), none of them 0")
    check_installed()
    with tempfile.TemporaryDirectory(prefix="tclif-lava-") as scratch:
        source, target = Path(scratch, INPUT_FILE), Path(scratch, "out.npz")
        np.savez(source, x=x, lengths=check_lengths(lengths, *x.shape[:2]))
        command = [sys.executable, str(folder / "run.py"), "--input", str(source), "--output", str(target)]
        command += ["--integers", "--supervised", *(["--batched"] if batched else [])]
        _supervise(command, Path(scratch), timeout, progress)
        with open_npz(target, "Lava's output is damaged", "run it again") as file:
            return {name: file.array(name, "biuf", finite=False) for name in file.names}


def _supervise(command: list[str], scratch: Path, timeout: float, progress: Progress) -> None:
    """Run ``command`` in a session of its own until it ends well; `TclifError` says how it did not."""
    # No .pyc in the build folder; one thread each, for Lava starts a dozen processes.
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    with open(scratch / "stderr", "w+b") as stderr:
        lines: queue.Queue[bytes] = queue.Queue()
        last_progress = time.monotonic()
        child = processes.start(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr)
        try:
            threading.Thread(target=_collect, args=(cast(IO[bytes], child.stdout), lines), daemon=True).start()
            while child.poll() is None or not lines.empty():
                try:
                    words = lines.get(timeout=POLL_SECONDS).split()
                except queue.Empty:
                    if time.monotonic() - last_progress > timeout:
                        raise TclifError(
                            f"lava: no progress for {timeout:g} s{_tail(stderr, scratch)}", "give it a longer timeout"
                        ) from None
                    continue
                if len(words) == 3 and words[0] == b"progress":
                    last_progress = time.monotonic()
                    progress(int(words[1]), int(words[2]))
            if child.returncode != 0:
                raise TclifError(
                    f"lava: the run failed{_tail(stderr, scratch) or f' with exit code {child.returncode}'}"
                )
        finally:
            if child.poll() != 0:
                # after SIGTERM Python's resource tracker still frees shared memory
                processes.end_group(child)


def _collect(stream: IO[bytes], lines: queue.Queue[bytes]) -> None:
    """Pass on the lines of ``stream`` until its end."""
    with stream:
        for line in stream:
            lines.put(line)


def _tail(stderr: IO[bytes], scratch: Path) -> str:
    """What the subprocess said last, as one line: its own error where it named one."""
    stderr.seek(0)
    # The caller gave an array, and does not know of the file.
    text = stderr.read().decode(errors="replace").replace(str(scratch / INPUT_FILE), "input")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return "".join(f": {line}" for line in named[-1:] or lines[-TAIL_LINES:])
