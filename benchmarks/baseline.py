"""The other checkout that a benchmark runs by turns with this one."""

from __future__ import annotations

import argparse
from pathlib import Path


def check_baseline(parser: argparse.ArgumentParser, baseline: Path | None) -> None:
    """Refuse a folder that is no checkout: what is installed would be compared with itself."""
    if baseline is not None and not (baseline / "tclif_deploy" / "__init__.py").is_file():
        parser.error(f"--baseline {baseline}: no tclif_deploy in it; name the root of another checkout")
