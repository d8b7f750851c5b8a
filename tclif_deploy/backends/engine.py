"""The fast engine as a backend: what every other one is compared with can itself be compared."""

from __future__ import annotations

from pathlib import Path

from tclif_deploy.fixed import RULES, FixedNetwork, Int
from tclif_deploy.outputs import make_folder
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.readout import OF_INTEGERS as READOUTS
from tclif_deploy.simulation import simulate
from tclif_deploy.simulation.result import Result
from tclif_deploy.target import Target

__all__ = ["READOUTS", "RULES", "STARTS", "check_installed", "emit", "run"]

STARTS = True
"""see `tclif_deploy.backends.check_starts`"""
FILE = "fixed.npz"


def check_installed() -> None:
    """The engine is always there."""


def emit(fixed: FixedNetwork, target: Target | None, folder: Path) -> None:
    """Write ``fixed.npz`` into ``folder`` (made where missing)."""
    make_folder(folder)
    fixed.save(Path(folder) / FILE)


def run(
    folder: Path,
    x: Int,
    *,
    lengths: Int | None = None,
    batched: bool = False,
    progress: Progress = no_progress,
) -> Result:
    """Run the engine on input integers ``x`` (samples, time, features). Raises `TclifError`."""
    result = simulate(FixedNetwork.load(Path(folder) / FILE), x, lengths=lengths, spikes=True, engine="engine")
    progress(x.shape[0], x.shape[0])
    return result
