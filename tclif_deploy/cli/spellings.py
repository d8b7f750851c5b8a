"""Spellings that the documentation once showed: they work until version 0.3, with a hint at today's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import typer
from rich.markup import escape

from tclif_deploy.cli.help import Group
from tclif_deploy.cli.output import err


def _fraction(points: str) -> str:
    """Points of a hundred as a fraction; what is no number is left for the new option to refuse."""
    try:
        return f"{float(points) / 100:g}"
    except ValueError:
        return points


OPTIONS: dict[tuple[str, str], tuple[str, Callable[[str], str]]] = {
    ("compile", "--min-accuracy-drop"): ("--auto-max-drop", _fraction),
    ("finetune", "--easy"): ("--min-sample-probability", str),
    ("finetune", "--samples"): ("--train-samples", str),
    ("fuzz", "--fuzz"): ("--samples", str),
    ("sweep", "--coef-bits"): ("--coefficient-bits", str),
    ("sweep", "--out"): ("--output", str),
    ("train", "--easy"): ("--min-sample-probability", str),
    ("train", "--out"): ("--output", str),
}
"""(command, its old option) -> (the option now, the old value in today's unit)"""
COMMANDS = {"verify": ("fuzz", {"--fuzz", "--backend", "--steps", "--seed"}, "--data")}
"""old command -> (the command now, options of the old meaning, an option of what the name means today)"""


def modernize(words: list[str]) -> tuple[list[str], list[str]]:
    """A command line in today's spelling, and what is now called otherwise.

    Examples
    --------
    >>> modernize(["sweep", "net.pt", "--coef-bits=8"])
    (['sweep', 'net.pt', '--coefficient-bits', '8'], ['--coef-bits 8 is now --coefficient-bits 8'])
    """
    words = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    hints: list[str] = []
    place = next((n for n, word in enumerate(words) if not word.startswith("-")), None)
    if place is None:
        return words, hints
    command, marks, today = COMMANDS.get(words[place], (words[place], set(), ""))
    if marks.intersection(words) and today not in words:
        hints.append(f"tclif {words[place]} on random inputs is now tclif {command}")
        words[place] = command
    for n, old in enumerate(words):
        if (words[place], old) in OPTIONS:
            new, convert = OPTIONS[words[place], old]
            hints.append(f"{' '.join(words[n : n + 2])} is now {' '.join([new, *map(convert, words[n + 1 : n + 2])])}")
            words[n : n + 2] = [new, *map(convert, words[n + 1 : n + 2])]
    return words, hints


class OldSpellings(Group):
    """Commands, in their old spellings too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the line in today's spelling."""
        args, hints = modernize(args)
        quiet = any(re.fullmatch(r"--quiet|-\w*q\w*", word) for word in args)
        ctx.meta[__name__] = "" if quiet else ", ".join(hints)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and hint afterwards: nothing stands beside an error."""
        code = None
        try:
            result = super().invoke(ctx)
        except typer.Exit as exit:
            code = exit
        if ctx.meta[__name__]:
            line = f"[yellow]notice:[/] {escape(ctx.meta[__name__])}; the old spelling goes with version 0.3"
            err.print(line, highlight=False, soft_wrap=True)
        if code is not None:
            raise code
        return result
