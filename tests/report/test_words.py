"""Words in print: the page explains them as the documentation does, and headings use no others."""

import re
from pathlib import Path

import pytest

import tclif_deploy as tc
from tclif_deploy.cli.main import run
from tclif_deploy.report.compare import differences
from tclif_deploy.report.content import Bars, Plots, Table
from tclif_deploy.report.glossary import DEFINITIONS
from tclif_deploy.report.sections import report_content
from tclif_deploy.target import load_target
from tests.helpers import checkpoints

GLOSSARY = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text(encoding="utf-8")
EVERYDAY = {"after", "before", "high", "item", "kind", "low", "nj", "part", "quantity", "value", "weights"}


@pytest.fixture(scope="module")
def build(tmp_path_factory) -> tc.Build:
    folder = tmp_path_factory.mktemp("words")
    model = checkpoints.write_checkpoint(folder / "net")
    data = checkpoints.write_data(folder / "data.npz", samples=12)
    argv = [str(model), "--data", str(data), "--backend", "none", "-o", str(folder / "build"), "-q"]
    assert run(["compile", *argv]) == 0
    assert run(["explain", str(folder / "build"), "--data", str(data), "-q"]) == 0
    return tc.Build.open(folder / "build")


def entries() -> dict[str, str]:
    """The glossary's entries: word -> text without links and emphasis."""
    blocks = re.findall(r'^<a id="[^"]*"></a>\*\*(.+?)\*\*: (.*?)(?=\n\n)', GLOSSARY, re.MULTILINE | re.DOTALL)
    return {
        word: re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", " ".join(text.split())).replace("`", "").replace("*", "")
        for word, text in blocks
    }


@pytest.mark.parametrize("word", DEFINITIONS)
def test_the_page_s_definition_is_the_first_sentence_of_the_glossary_s(word):
    assert re.match(r".*?\.(?= |$)", entries()[word])[0] == DEFINITIONS[word]


def test_the_page_carries_the_definitions_and_stays_one_file(build):
    from tclif_deploy.report.page import render

    text = render(build)
    assert "<details" in text
    for word in DEFINITIONS:
        assert f"<dt>{word}</dt>" in text


def test_every_word_of_a_heading_is_in_the_glossary_or_everyday_english(build):
    names = [*entries(), *re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", GLOSSARY)]  # italics: other names, and columns
    known = set(re.findall(r"[a-z]+", " ".join(names).lower()))
    known |= {word + "s" for word in known} | EVERYDAY
    headings = set()
    for section in report_content(build):
        headings.add(section.title)
        for block in section.blocks:
            match block:
                case Table():
                    headings |= set(block.columns)
                case Bars():
                    headings |= {bar.label for bar in block.bars}
                case Plots():
                    headings |= {panel.title for panel in block.figure.panels}
    for table in differences(build, build):
        headings |= set(table.columns)
    words = {word for heading in headings for word in re.findall(r"[a-z]{2,}", heading.lower())}
    assert len(words) > 40
    assert sorted(words - known) == []


def test_one_word_for_one_thing(build):
    """Words that tables once used for what has another name."""
    texts = " ".join(map(str, report_content(build)))
    for word in ("name the same class", "decide alike", "saturations", "overflowed", "colour", "account of"):
        assert word not in texts, word
    assert re.findall(r"Jaccard(?!\))", texts) == []
    assert "couplings" not in str(next(s for s in report_content(build) if s.name == "fidelity").blocks)


def test_the_glossary_lists_every_limit_of_a_target():
    rows = " ".join(re.findall(r"^\| (`.*?) \|", GLOSSARY, re.MULTILINE))
    assert {name for name in load_target("loihi2").limits() if f"`{name}`" not in rows} == set()
