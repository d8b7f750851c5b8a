"""``python -m tclif_deploy.oracles [NAME ...]``: install all oracles, or those named, unless they are there."""

from __future__ import annotations

import sys

from tclif_deploy.errors import TclifError
from tclif_deploy.oracles import ORACLES, install


def main(names: list[str]) -> int:
    """Install ``names``, or all; the exit code."""
    unknown = [name for name in names if name not in ORACLES]
    if unknown:
        print(f"error: oracle {unknown[0]!r:.60} is not known; known: {', '.join(ORACLES)}", file=sys.stderr)
        return 2
    for oracle in (ORACLES[name] for name in names or ORACLES):
        if oracle.installed:
            print(f"{oracle.name} {oracle.version} is there: {oracle.environment}")
            continue
        print(f"{oracle.name} {oracle.version}: installing into {oracle.environment}", flush=True)
        try:
            install(oracle)
        except TclifError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
