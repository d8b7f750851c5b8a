"""``--help`` in plain text: wrapped at spaces, no option or choice of values ever broken, options by subject."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

from tclif_deploy.text import wrap

INDENT = "  "
WIDEST_NAME = 24
"""characters of an option and its values; the help of a longer one begins on the next line"""

Row = tuple[str, str]
"""(name, what it is)"""


class Command(TyperCommand):
    """A command whose help lists its options by the settings that they belong to."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Usage and text; arguments, the command's own options, then those of each dataclass of settings."""
        sections: dict[str, list[Row]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                own = "Arguments" if parameter.param_type_name == "argument" else "Options"
                sections.setdefault(getattr(parameter, "rich_help_panel", None) or own, []).append(record)
        _write(self, ctx, formatter, sections)


class Group(TyperGroup):
    """Commands, each with its whole first paragraph."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Usage, text, options, and a row a command in the order of use."""
        options = [record for p in self.get_params(ctx) if (record := p.get_help_record(ctx)) is not None]
        _write(self, ctx, formatter, {"Options": options, "Commands": self.summaries()})

    def summaries(self) -> list[Row]:
        """A row a command."""
        return [(name, _paragraphs(command.help)[0]) for name, command in self.commands.items()]


def _write(command: Any, ctx: Any, formatter: Any, sections: dict[str, list[Row]]) -> None:
    width = formatter.width
    lines = [" ".join(["Usage:", ctx.command_path, *_usage(command, ctx)])]
    for paragraph in _paragraphs(command.help):
        lines += ["", *(INDENT + line for line in wrap(paragraph, width - len(INDENT)))]
    for title, rows in sections.items():
        if rows:
            lines += ["", f"{title}:", *_rows(rows, width)]
    formatter.write("\n".join(lines) + "\n")


def _usage(command: Any, ctx: Any) -> list[str]:
    """``[OPTIONS]`` and the arguments, brackets round those that may be left out."""
    arguments = [p for p in command.get_params(ctx) if p.param_type_name == "argument"]
    names = [(p.metavar or p.name.upper()).strip("[]{}") for p in arguments]
    shown = [name if p.required else f"[{name}]" for name, p in zip(names, arguments, strict=True)]
    return ["[OPTIONS]", *shown, *(["COMMAND ..."] if isinstance(command, Group) else [])]


def _rows(rows: Iterable[Row], width: int) -> list[str]:
    rows = list(rows)
    column = max((len(name) for name, _ in rows if len(name) <= WIDEST_NAME), default=WIDEST_NAME)
    start = len(INDENT) + column + 2
    lines = []
    for name, text in rows:
        first, *rest = wrap(" ".join(text.split()), width - start)
        head = f"{INDENT}{name}"
        lines += [f"{head:<{start}}{first}"] if len(head) + 2 <= start else [head, " " * start + first]
        lines += [" " * start + line for line in rest]
    return lines


def _paragraphs(text: str | None) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in (text or "").split("\n\n")]
