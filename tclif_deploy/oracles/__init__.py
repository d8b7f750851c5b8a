"""Oracles: simulators that others made of chips, to which a target is compared.

Each lives in a virtual environment of its own and runs a script of `scripts` in a process of its own; this package
never imports one. ``python -m tclif_deploy.oracles`` installs them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tclif_deploy.errors import TclifError

FOLDER = "TCLIF_ORACLES"
"""environment variable: where the environments are"""
INSTALL = "make oracles, or python -m tclif_deploy.oracles"
READY = "ready"
"""file of an environment that is complete; it holds what was installed"""


@dataclass(frozen=True)
class Oracle:
    """A simulator that others made of a chip."""

    name: str
    version: str
    requirements: tuple[str, ...]
    """what pip installs, pinned"""
    maker: str
    alone: tuple[str, ...] = ()
    """what pip installs then without what it asks for: it declares older versions of Python, or needs less here"""
    newest_python: tuple[int, int] | None = None
    """for which its packages are made; None: for this one too"""

    @property
    def environment(self) -> Path:
        """The folder of its virtual environment, there or not."""
        return oracles_folder() / f"{self.name}-{self.version}"

    @property
    def python(self) -> Path:
        """The interpreter that has it."""
        return self.environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

    @property
    def script(self) -> Path:
        """What runs cases in it."""
        return Path(__file__).parent / "scripts" / f"run_{self.name.replace('-', '_')}.py"

    @property
    def pinned(self) -> str:
        """All that is installed, a line each."""
        return "\n".join((*self.requirements, *self.alone))

    @property
    def installed(self) -> bool:
        """Whether its environment is complete, and made of what is pinned now."""
        try:
            return (self.environment / READY).read_text() == self.pinned and self.python.exists()
        except OSError:
            return False

    def check_installed(self) -> None:
        """Raise `TclifError`, which says how to install it, where it is missing."""
        if not self.installed:
            raise TclifError(
                f"{self.name} {self.version} is not installed in {self.environment}",
                f"{INSTALL} {self.name} installs it, in an environment of its own",
            )


ORACLES = {
    oracle.name: oracle
    for oracle in (
        Oracle("xylosim", "0.1.3", ("xylosim==0.1.3", "pybind11==3.1.0"), "SynSense"),
        Oracle(
            "nengo-loihi",
            "1.1.0",
            ("nengo-loihi==1.1.0", "nengo==4.1.0", "numpy==2.4.6", "scipy==1.17.1"),
            "Applied Brain Research",
        ),
        Oracle(
            "brian2-loihi",
            "0.5.2",
            ("brian2-loihi==0.5.2", "Brian2==2.9.0", "numpy==1.26.4"),
            "C. Michaelis, A. Lehr, W. Oed and C. Tetzlaff",
            newest_python=(3, 12),
        ),
        Oracle(
            "lava",
            "0.10.0",
            ("numpy==2.4.6", "scipy==1.17.1", "networkx==2.8.7", "asteval==1.0.10"),
            "Intel",
            alone=("lava-nc==0.10.0",),
        ),
        Oracle(
            "sinabs",
            "3.1.3",
            ("torch==2.13.0", "numpy==2.4.6", "h5py==3.16.0", "matplotlib==3.11.2", "pbr==7.1.3", "setuptools==84.2.1"),
            "SynSense",
            alone=("sinabs==3.1.3", "nir==1.0.4", "nirtorch==1.0"),
        ),
    )
}
"""name -> oracle"""


def oracles_folder() -> Path:
    """Where the environments are: the user's choice, or the user's cache."""
    if os.environ.get(FOLDER):
        return Path(os.environ[FOLDER]).absolute()
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "tclif-deploy" / "oracles"


def install(oracle: Oracle) -> None:
    """Make the environment of ``oracle``; what pip says goes to the terminal. Raises `TclifError` where it fails."""
    (oracle.environment / READY).unlink(missing_ok=True)
    made = [_interpreter(oracle), "-m", "venv", "--clear", "--without-pip", str(oracle.environment)]
    if subprocess.run(made, check=False).returncode:
        raise TclifError(f"{oracle.name}: no environment in {oracle.environment}", "what Python said stands above")
    command = [sys.executable, "-m", "pip", "--python", str(oracle.python), "--disable-pip-version-check", "install"]
    for packages, options in ((oracle.requirements, ()), (oracle.alone, ("--no-deps", "--ignore-requires-python"))):
        if packages and subprocess.run([*command, "--quiet", *options, *packages], check=False).returncode:
            raise TclifError(f"{oracle.name}: pip could not install {', '.join(packages)}", "what it said stands above")
    (oracle.environment / READY).write_text(oracle.pinned)


def _interpreter(oracle: Oracle) -> str:
    """This Python, or the newest on the path for which the packages of ``oracle`` are made."""
    newest = oracle.newest_python
    if newest is None or sys.version_info[:2] <= newest:
        return sys.executable
    for minor in range(newest[1], 10, -1):
        found = shutil.which(f"python3.{minor}")
        if found is not None and not subprocess.run([found, "-c", ""], check=False, capture_output=True).returncode:
            return found
    raise TclifError(
        f"{oracle.name} {oracle.version}: its packages are made for Python up to {newest[0]}.{newest[1]}",
        f"put a python3.{newest[1]} on the path",
    )
