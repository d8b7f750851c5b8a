"""Everything about a build on a terminal."""

from __future__ import annotations

from rich.console import Console

from tclif_deploy.builds import Build
from tclif_deploy.report.compare import differences
from tclif_deploy.report.sections import report_content
from tclif_deploy.report.terminal.blocks import COLORS, labelled, print_line, show_blocks, show_text
from tclif_deploy.report.terminal.layout import medium
from tclif_deploy.report.tiles import tiles
from tclif_deploy.report.verdict_text import headline


def show(console: Console, build: Build) -> None:
    """Print every section of a build."""
    _verdict(console, "", build)
    show_blocks(console, [tiles(build)])
    for section in report_content(build):
        console.print()
        show_text(console, section.title, "bold underline")
        show_text(console, section.caption, "dim")
        show_blocks(console, section.blocks, build)


def show_differences(console: Console, a: Build, b: Build) -> None:
    """Print two builds' verdicts and what differs between them."""
    for name, build in (("A", a), ("B", b)):
        _verdict(console, f"{name}: {build.folder}: ", build)
    console.print()
    show_blocks(console, differences(a, b))


def _verdict(console: Console, prefix: str, build: Build) -> None:
    verdict = headline(build)
    show_text(console, f"{prefix}{build.report.model} on {build.target.name}", "bold")
    for line in labelled(verdict.word, verdict.sentence, f"bold reverse {COLORS[verdict.level]}", medium(console)):
        print_line(console, line)
