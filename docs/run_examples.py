"""Runs what the pages show, in order, in a fresh copy of the checkout for each page; any failure fails.

``python docs/run_examples.py README.md docs/tutorial.md`` runs; ``--write`` puts what was printed into the ``text``
block that follows a command. Every block of ``sh`` and ``python`` runs, each in a process of its own, unless a comment
on the lines before it says otherwise:

``<!-- not run: WHY -->``
    what a test cannot do: install, clone, train for hours, read the user's own files.
``<!-- file: NAME -->``
    not a command but a file, of any language, which is written for the blocks after it.
``<!-- same as: PATH -->``
    the text of a file of the checkout, which a test of its own runs.
``<!-- exit code: N -->``
    the block ends with N, which is what the page says of it.
``<!-- output: numbers vary, WHY -->``, ``<!-- output: varies, WHY -->``
    of what is printed, only the words are compared, or nothing. Else all lines are, but for times in seconds; a line
    ``...`` stands for any lines.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUN = ("sh", "python")
"""languages of blocks that are run"""
MARKS = ("not run", "file", "same as", "exit code", "output")
TIME_LIMIT = 900
"""seconds, of one block: a guard against hanging"""
BLOCK = re.compile(
    r"(?P<comments>(?:^<!-- [^\n]*? -->\n)*)^```(?P<language>\w*)\n(?P<body>.*?)^```\n"
    r"(?:\n^```text\n(?P<output>.*?)^```\n)?",
    re.DOTALL | re.MULTILINE,
)
COMMENT = re.compile(r"^<!-- (?P<name>[a-z ]+): (?P<value>.*?) -->$", re.MULTILINE)
NUMBER = re.compile(r"[-+−]?\d[\d.,]*(?:e[-+]?\d+)?")
LEFT_OUT = (".git", ".venv", "build", "dist", "*cache*", "__pycache__", "node_modules", "shared", ".hypothesis")


class PageError(Exception):
    """A block did not do what its page says."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    body: str
    output: str | None
    """what the page shows that it prints"""
    marks: dict[str, str]
    line: int
    """of the page, where its body begins"""

    @property
    def runs(self) -> bool:
        """Whether it is a command, or a program, that no mark takes out."""
        return self.language in RUN and not {"not run", "file", "same as"} & self.marks.keys()


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order; a ``text`` block that follows a command belongs to it."""
    return [
        Block(
            found["language"], found["body"], found["output"], dict(COMMENT.findall(found["comments"])),
            page.count("\n", 0, found.start("body")) + 1,
        )
        for found in BLOCK.finditer(page)
    ]  # fmt: skip


def fresh_checkout(folder: Path) -> None:
    """Copy the checkout into ``folder``, which does not exist yet: what a clone would hold."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)


def run(block: Block, folder: Path, width: int = 100) -> str:
    """What a block prints in ``folder``. Raises `PageError` where its exit code is another than the page says."""
    command = ["bash", "-ec", block.body] if block.language == "sh" else [sys.executable, "-c", block.body]
    env = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": str(width),
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    done = subprocess.run(
        command, cwd=folder, env=env, text=True, timeout=TIME_LIMIT, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    expected = int(block.marks.get("exit code", "0"))
    if done.returncode != expected:
        raise PageError(f"line {block.line}: exit code {done.returncode}, not {expected}:\n{block.body}\n{done.stdout}")
    text = done.stdout.replace(str(Path.home()), "~")
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n"


def differs(block: Block, printed: str) -> str:
    """What a block shows and does not print, empty where all is as the page says."""
    how = block.marks.get("output", "")
    if block.output is None or how.startswith("varies"):
        return ""
    rough = how.startswith("numbers vary")
    parts = [plain(part, rough) for part in re.split(r"^\.\.\.\n", block.output, flags=re.MULTILINE)]
    text, at = plain(printed, rough), 0
    if len(parts) == 1 and text != parts[0]:
        return f"line {block.line}: the page shows\n{parts[0]}\nand what is printed is\n{text}"
    for part in parts:
        found = text.find(part, at)
        if found < 0:
            return f"line {block.line}: not in what is printed:\n{part}\nof\n{text}"
        at = found + len(part)
    return ""


def settled(text: str) -> str:
    """``text`` without what only a first run prints."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("compiling for this CPU"))


def plain(text: str, rough: bool) -> str:
    """``text`` without times, and where ``rough`` without numbers, bars and the breaks of lines."""
    lines = [line.rstrip() for line in settled(text).splitlines()]
    text = re.sub(r"\d[\d.,]* s\b", "# s", "\n".join(lines))
    if rough:
        text = " ".join(re.sub(r"[█·─]+", " ", NUMBER.sub("#", text)).split())
    return text


def run_page(page: Path, folder: Path, *, write: bool = False) -> Iterator[Block]:
    """Run a page's blocks in ``folder``, and yield each that ran. Raises `PageError` at the first that differs."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(text):
        if "file" in block.marks:
            (folder / block.marks["file"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.marks["file"]).write_text(block.body, encoding="utf-8")
        elif block.runs:
            printed = run(block, folder)
            if write and block.output is not None and "..." not in block.output:
                text = text.replace(
                    f"{block.body}```\n\n```text\n{block.output}",
                    f"{block.body}```\n\n```text\n{settled(printed)}",
                )
                page.write_text(text, encoding="utf-8")
            elif difference := differs(block, printed):
                raise PageError(f"{page.name}: {difference}")
            yield block


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the outputs into the pages")
    parser.add_argument("pages", nargs="+", type=Path)
    options = parser.parse_args()
    for page in options.pages:
        with tempfile.TemporaryDirectory() as scratch:
            fresh_checkout(Path(scratch, "checkout"))
            for block in run_page(page, Path(scratch, "checkout"), write=options.write):
                print(f"{page}: line {block.line}: {block.body}", end="", flush=True)


if __name__ == "__main__":
    main()
