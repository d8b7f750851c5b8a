"""What some tests need beside this package: a test is skipped without it, unless everything is demanded."""

import importlib.util
import os
import shutil
from types import ModuleType

import pytest

REQUIRE_ALL = "TCLIF_REQUIRE_ALL"
"""environment variable: 1 makes a missing program a failure"""


def needs(*programs: str) -> None:
    """Skip the running test, with the reason, unless every program is installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        _missing(", ".join(missing))


def needs_module(name: str) -> ModuleType:
    """The module of that name; where it is not installed, the running test is skipped, with the reason."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        _missing(f"{name} ({error})")
        raise


def needs_package(name: str) -> None:
    """Skip the running test, with the reason, unless the package is installed; it is not imported."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        spec = None
    if spec is None:
        _missing(name)


def _missing(requirement: str) -> None:
    reason = f"not installed: {requirement}"
    if os.environ.get(REQUIRE_ALL) == "1":
        pytest.fail(f"{reason}, but {REQUIRE_ALL}=1")
    pytest.skip(reason)
