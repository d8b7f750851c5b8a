"""An oracle's process: cases in, states out, and one sentence where it hangs or dies."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tclif_deploy import processes
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import Int
from tclif_deploy.oracles import INSTALL, Oracle
from tclif_deploy.text import count

States = dict[str, dict[str, Int]]
"""layer -> ``u``, ``v`` and ``spikes``, each (time, neurons)"""
SCRIPT = "import runpy; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
"""runs the file that the first argument names"""
LONGEST_LINE = 200
"""characters of what a process said last that an error repeats"""


def run_cases(oracle: Oracle, cases: list[dict[str, Any]], timeout_s: float) -> list[States]:
    """What ``oracle`` computes of each case. Raises `TclifError` where it is missing, fails, or takes longer than
    ``timeout_s``."""
    oracle.check_installed()
    with tempfile.TemporaryDirectory(prefix="tclif-oracle-") as folder:
        given, answer = Path(folder) / "cases.json", Path(folder) / "states.json"
        given.write_text(json.dumps(cases))
        command = [str(oracle.python), "-I", "-c", processes.dies_with_parent(SCRIPT)]
        command += [str(oracle.script), str(given), str(answer)]
        with (Path(folder) / "said").open("w+", encoding="utf-8", errors="replace") as said:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            try:
                child = processes.start(
                    command, scratch=Path(folder), env=environment, cwd=folder,
                    stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                )  # fmt: skip
            except OSError as error:
                why = error.strerror or str(error)
                raise TclifError(
                    f"{oracle.name}: {oracle.python} cannot be run: {why}", f"install it again: {INSTALL}"
                ) from None
            try:
                code = child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                raise TclifError(
                    f"{oracle.name}: no answer on {count(len(cases), 'network')} within {timeout_s:g} s",
                    "try again, or give more time (--timeout)",
                ) from None
            finally:
                processes.end_group(child)  # also where it has gone: what it started may be there
            if code:
                said.seek(0)
                lines = [line.strip() for line in said.read().splitlines() if line.strip()]
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                last = f": {lines[-1]:.{LONGEST_LINE}}" if lines else ""
                raise TclifError(f"{oracle.name}: its process ended with {how}{last}", f"install it again: {INSTALL}")
        return [_states(each, oracle, n) for n, each in enumerate(_answers(answer, oracle, len(cases)))]


def _answers(path: Path, oracle: Oracle, expected: int) -> list[Any]:
    try:
        answers = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise TclifError(f"{oracle.name}: its answer cannot be read: {error}", f"install it again: {INSTALL}") from None
    if not isinstance(answers, list) or len(answers) != expected:
        raise TclifError(
            f"{oracle.name}: no answer to each of {count(expected, 'network')}", f"install it again: {INSTALL}"
        )
    return answers


def _states(answer: Any, oracle: Oracle, case: int) -> States:
    try:
        return {
            layer: {name: np.array(values[name], dtype=np.int64) for name in ("u", "v", "spikes")}
            for layer, values in answer.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise TclifError(
            f"{oracle.name}: its answer to network {case} is no states: {error}", f"install it again: {INSTALL}"
        ) from None
