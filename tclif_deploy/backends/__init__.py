"""Backends: each turns a `FixedNetwork` into something that runs elsewhere."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork, Int
from tclif_deploy.network import Progress
from tclif_deploy.simulate.result import Result
from tclif_deploy.target import Target

BACKENDS = {"lava": "tclif_deploy.backends.lava"}
"""name -> module that has the functions of `Backend`"""


class Backend(Protocol):
    """What a backend's module offers."""

    def check_installed(self) -> None:
        """Raise `TclifError`, saying how to install, where what `run` needs is missing."""

    def emit(self, fixed: FixedNetwork, target: Target, folder: Path) -> None:
        """Write everything that runs ``fixed`` into ``folder``."""

    def run(
        self,
        folder: Path,
        x: Int,
        *,
        lengths: Int | None = None,
        batched: bool = False,
        progress: Progress | None = None,
    ) -> Result:
        """Run what `emit` wrote on input integers ``x`` (samples, time, features)."""


def get(name: str) -> Backend:
    """The backend of that name. Raises `TclifError` for an unknown one."""
    if name not in BACKENDS:
        raise TclifError(f"backend {name!r} is not known", f"known: {', '.join(sorted(BACKENDS))}, none")
    return cast(Backend, import_module(BACKENDS[name]))
