"""Runs every ``sh`` block of the given pages, from a folder that has the checkout's fixtures; any failure fails.

``python docs/run_examples.py --write README.md docs/tutorial.md`` also puts what was printed into the ``text`` block
that follows a command.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"```sh\n(?P<command>.*?)```\n(?:\n```text\n(?P<output>.*?)```\n)?", re.DOTALL)
LINKED = ("fixtures", "targets", "tclif_deploy", "docs")
TIME_LIMIT = 900


def commands(page: str) -> list[str]:
    """The ``sh`` blocks of a page."""
    return [found["command"] for found in BLOCK.finditer(page)]


def run(command: str, folder: Path) -> str:
    """What the shell prints. Raises `subprocess.CalledProcessError`."""
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100"}
    done = subprocess.run(
        ["bash", "-ec", command], cwd=folder, env=env, text=True, timeout=TIME_LIMIT, check=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    text = done.stdout.replace(str(Path.home()), "~")
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the outputs into the pages")
    parser.add_argument("pages", nargs="+", type=Path)
    options = parser.parse_args()
    for page in options.pages:
        text = page.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            for name in LINKED:
                (Path(folder) / name).symlink_to(ROOT / name)

            def shown(found: re.Match[str], folder: str = folder) -> str:
                print(f"$ {found['command']}", end="", flush=True)
                output = run(found["command"], Path(folder))
                print(output, end="", flush=True)
                if found["output"] is None:
                    return found[0]
                return f"```sh\n{found['command']}```\n\n```text\n{output}```\n"

            text = BLOCK.sub(shown, text)
        if options.write:
            page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
