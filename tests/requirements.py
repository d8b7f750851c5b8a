"""Programs that some tests need: a test is skipped without them, unless everything is demanded."""

import os
import shutil

import pytest

REQUIRE_ALL = "TCLIF_REQUIRE_ALL"
"""environment variable: 1 makes a missing program a failure"""


def needs(*programs: str) -> None:
    """Skip the running test, with the reason, unless every program is installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        reason = f"not installed: {', '.join(missing)}"
        if os.environ.get(REQUIRE_ALL) == "1":
            pytest.fail(f"{reason}, but {REQUIRE_ALL}=1")
        pytest.skip(reason)
