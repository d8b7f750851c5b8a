"""What the documentation shows can be typed: commands parse, Python runs, pages are there."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from tclif_deploy import QuantizeSettings, load, quantize
from tclif_deploy.cli.main import app
from tclif_deploy.target import known_targets, load_target
from tclif_deploy.target.schema import UNITS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def typed(page: Path) -> list[list[str]]:
    """The tclif commands of a page's ``sh`` blocks, as words."""
    commands = []
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(re.split(r" (?:\||2?>) ", line)[0], comments=True)
            if words and words[0] == "tclif-compile":
                commands.append(["compile", *words[1:]])
            elif words and words[0] == "tclif":
                commands.append(words[1:])
    return commands


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_on_the_page_exists_with_its_options(page):
    group: Any = typer.main.get_command(app)
    for command, *words in typed(page):
        assert command in group.commands, command
        group.commands[command].make_context(command, words)


def test_the_guides_show_commands_at_all():
    assert len(typed(ROOT / "docs" / "index.md")) >= 2
    assert {words[0] for words in typed(ROOT / "docs" / "tutorial.md")} >= {
        "train", "check", "compile", "show", "report", "fuzz", "cost",
    }  # fmt: skip


def test_every_sh_block_of_the_guides_shows_what_it_printed():
    for name in ("index.md", "tutorial.md"):
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        marked = len(re.findall(r"^<!-- not run: .*-->\n```sh$", text, re.MULTILINE))
        shown = re.findall(r"```sh\n[^`]*?```\n\n```text\n(.*?)```", text, re.DOTALL)
        assert len(shown) == len(blocks(ROOT / "docs" / name, "sh")) - marked
        assert all(output.strip() for output in shown), name


@pytest.mark.slow
def test_the_page_s_own_neuron_runs_fires_and_agrees(capsys):
    (block,) = blocks(ROOT / "docs" / "neurons.md", "python")
    exec(compile(block, "neurons.md", "exec"), {})
    match = re.fullmatch(r"fires in ([\d.]+)% of its steps, agreement (\d+)%\n", capsys.readouterr().out)
    assert 1 < float(match[1]) < 60
    assert int(match[2]) >= 80


@pytest.mark.slow
def test_the_page_s_live_source_takes_every_step_and_draws_its_latencies(tmp_path):
    fixed = quantize(load("fixtures/spoken_digits/checkpoint.pth.tar"), "loihi2", settings=QuantizeSettings(passes=()))
    fixed.save(tmp_path / "fixed.npz")
    done = subprocess.run(
        [sys.executable, "docs/stream_file.py", tmp_path / "fixed.npz", "fixtures/spoken_digits/test.npz",
         "--rate", "4000", "--steps", "300", "--figure", tmp_path / "latency.svg"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    first, second, *bars = done.stdout.splitlines()
    assert re.fullmatch(r"300 steps at 4,000 a second, \d+ of them later than the next input", first)
    assert re.fullmatch(r"latency in µs: median [\d.]+, 99 % within [\d.]+, at most [\d.]+", second)
    assert sum(int(bar.split()[-1].replace(",", "")) for bar in bars) == 300
    assert "steps" in (tmp_path / "latency.svg").read_text(encoding="utf-8")


def test_the_command_reference_is_made_from_the_code(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import hooks

    for page in ROOT.glob("docs/*.md"):
        text = page.read_text(encoding="utf-8")
        assert hooks.refreshed(text) == text, f"{page.name}: python docs/hooks.py makes it anew"
    made = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    group: Any = typer.main.get_command(app)
    assert re.findall(r"^## tclif (\S+)$", made, re.MULTILINE) == list(group.commands)
    for command in group.commands.values():
        for parameter in command.params:
            assert all(f"`{option}`" in made for option in parameter.opts if option.startswith("--"))


def test_the_site_shows_the_pages_of_the_root(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import hooks

    for name in ("changelog", "contributing"):
        text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
        assert hooks.on_page_markdown(text) == (ROOT / f"{name.upper()}.md").read_text(encoding="utf-8")
        assert f"(../{name.upper()}.md)" in text
    assert hooks.on_page_markdown("# Other\n") == "# Other\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_reads_the_same_on_a_forge(page):
    text = page.read_text(encoding="utf-8")
    assert "--8<--" not in text, "a forge shows the mark, not the file"
    assert "\n!!!" not in text, "admonitions are mkdocs' own"
    for line in FENCE.sub("", text).splitlines():
        assert line == line.rstrip()
        assert not re.match(r" {4}(?:import|from|tclif|pip|python)\b", line), "code stands in a fenced block"


def test_every_page_stands_in_the_navigation_and_every_figure_exists():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in ROOT.glob("docs/*.md"):
        assert f": {page.name}" in navigation, page.name
        for target in re.findall(r"\]\(([^)#]+\.(?:svg|md))", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


def test_the_version_is_the_same_everywhere():
    from tclif_deploy.version import __version__

    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def table_of_the_glossary(title: str) -> set[str]:
    """What stands in the first column of the table under that heading."""
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {title}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def printed_rules() -> set[str]:
    """The names of rules that findings carry, from the source: a rule may look for more than its function says."""
    names: set[str] = set()
    for file in (ROOT / "tclif_deploy" / "mapping").glob("rules*.py"):
        for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and node.args]
            made = [c.args[0] for c in calls if isinstance(c.func, ast.Name) and c.func.id in MAKES_FINDINGS]
            names |= {ast.literal_eval(name) for name in made if isinstance(name, ast.Constant)}
            if any(isinstance(name, ast.Name) for name in made):  # the name comes from the table that it loops over
                rows = [node for node in ast.walk(function) if isinstance(node, ast.Tuple)]
                firsts = [row.elts[0] for row in rows if row.elts]
                names |= {ast.literal_eval(first) for first in firsts if isinstance(first, ast.Constant)}
    return names


MAKES_FINDINGS = ("Finding", "_finding", "over")


def test_the_glossary_has_every_design_rule_and_no_other():
    assert len(printed_rules()) > 15
    assert table_of_the_glossary("Design rules") == printed_rules()


def test_the_glossary_has_every_limit_that_a_target_can_list_and_no_other():
    listed = {name for target in known_targets() for name in load_target(target).limits()}
    assert listed <= UNITS.keys()
    assert table_of_the_glossary("Limits of a target") == UNITS.keys()


@pytest.mark.slow
def test_the_page_on_readouts_runs_and_prints_what_it_measured(capsys):
    (block,) = blocks(ROOT / "docs" / "readouts.md", "python")
    exec(compile(block, "readouts.md", "exec"), {})
    rule, agreement, task, r2 = capsys.readouterr().out.split()
    assert (rule, task) == ("max", "step-value")
    assert float(agreement) >= 0.9
    assert float(r2) >= 0.95
