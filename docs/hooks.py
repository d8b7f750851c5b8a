"""What mkdocs does that a forge does not: pages of the root in the site's navigation.

``python docs/hooks.py`` refreshes the parts of pages that are made from the code: the command reference, and the fields
of a build's JSON files. A test holds them to it, so that the pages read the same on a forge.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from tclif_deploy.builds.schema import FORMS, schema
from tclif_deploy.cli.main import app

DOCS = Path(__file__).parent
NAMES = "<!-- docs/hooks.py: the site shows the whole docstring of each name below"
NAME = re.compile(r"^- `(tclif_deploy[\w.]*)`(?: <!-- (.*?) -->)?(?::.*\n(?:  .*\n)*|\n(?:  .*\n)*)", re.MULTILINE)
ROOT_PAGE = re.compile(r"<!-- the site shows: (\w+\.md) -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put a page of the root in the place of the one that names it."""
    found = ROOT_PAGE.search(markdown)
    if found is not None:
        return (DOCS.parent / found[1]).read_text(encoding="utf-8")
    return directives(markdown)


def directives(markdown: str) -> str:
    """A page whose names, with the first sentences of their docstrings, are mkdocstrings' directives instead."""
    if NAMES not in markdown:
        return markdown
    return NAME.sub(lambda m: f"::: {m[1]}\n" + (f"    options: {{{m[2]}}}\n" if m[2] else ""), markdown)


def sentence(name: str) -> str:
    """The first sentence of the docstring of a function, a class or a module; empty for types and constants."""
    value = locate(name)
    if not (inspect.isroutine(value) or inspect.isclass(value) or inspect.ismodule(value)):
        return ""
    first = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split()).replace("``", "`")
    return re.split(r"(?<=\.) (?=[A-Z`])", first)[0].rstrip(":.") + "."


def locate(name: str) -> Any:
    """The module whose file has that name, else the attribute."""
    path = DOCS.parent.joinpath(*name.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file():
        return import_module(name)
    outer, _, last = name.rpartition(".")
    return getattr(locate(outer), last)


def item(found: re.Match[str]) -> str:
    """A name's line with its sentence, wrapped."""
    name, options = found[1], found[2]
    said = sentence(name)
    head = f"- `{name}`" + (f" <!-- {options} -->" if options else "")
    text = textwrap.fill(f"{head}: {said}" if said else head, 120, subsequent_indent="  ", break_on_hyphens=False,
                         break_long_words=False)  # fmt: skip
    return f"{text}\n"


def refreshed(markdown: str) -> str:
    """A page with its commands, or schemas, as the code has them."""
    if NAMES in markdown:
        markdown = NAME.sub(item, markdown)
    for name, write in (("commands", commands), ("schemas", schemas)):
        begin, end = f"<!-- {name}, made by docs/hooks.py -->\n", f"<!-- end of {name} -->\n"
        if begin in markdown:
            head, rest = markdown.split(begin)
            markdown = f"{head}{begin}\n{write().strip()}\n\n{end}{rest.split(end)[1]}"
    return markdown


def schemas() -> str:
    """The fields of each file, with what they mean."""
    parts = []
    for name in FORMS:
        fields = schema(name)["properties"]
        rows = [f"| `{key}` | {' '.join(field.get('description', '').split())} |" for key, field in fields.items()]
        parts.append("\n".join([f"### {name}.json", "", "| key | what it is |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def commands() -> str:
    """Every command, in the order of use: what it does, its arguments and options."""
    group: Any = typer.main.get_command(app)
    return "\n".join(_command(name, command) for name, command in group.commands.items())


def _command(name: str, command: Any) -> str:
    parameters = [p for p in command.params if not getattr(p, "hidden", False)]
    arguments = [p for p in parameters if p.param_type_name == "argument"]
    usage = " ".join([f"tclif {name}", "[OPTIONS]", *(_placeholder(p) for p in arguments)])
    rows = [f"| {_title(p)} | {_cell(p)} |" for p in parameters if p.name != "help"]
    table = "\n".join(["| argument or option | what it is |", "|---|---|", *rows])
    return f"## tclif {name}\n\nUsage: `{usage}`\n\n{command.help}\n\n{table}\n"


def _placeholder(parameter: Any) -> str:
    word = str(parameter.name).upper()
    return word if parameter.required else f"[{word}]"


def _title(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{str(parameter.name).upper()}`"
    return "<br>".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))


def _cell(parameter: Any) -> str:
    text = (getattr(parameter, "help", None) or "").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
    default = parameter.default
    if isinstance(parameter.show_default, str):
        return f"{text} Default: {parameter.show_default.replace('<', '&lt;')}."
    plain = isinstance(default, (int, float, str)) and not isinstance(default, bool)
    return text + (f" Default: `{default}`." if plain and default != "" else "")


if __name__ == "__main__":
    for page in DOCS.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        if refreshed(text) != text:
            page.write_text(refreshed(text), encoding="utf-8")
