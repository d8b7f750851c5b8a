"""The installed commands: they load the command line, and end in one line when they are interrupted meanwhile."""

from __future__ import annotations

import sys


def main() -> None:
    """``tclif``."""
    raise SystemExit(_run(sys.argv[1:]))


def compile_main() -> None:
    """``tclif-compile``, which is ``tclif compile``."""
    raise SystemExit(_run(["compile", *sys.argv[1:]]))


def _run(argv: list[str]) -> int:
    try:
        from tclif_deploy.cli.main import run

        return run(argv, last=True)
    except KeyboardInterrupt:  # loading takes a second
        sys.stderr.write("interrupted: nothing was written\n")
        return 130
