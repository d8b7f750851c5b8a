"""Whatever a command prints fits 80 columns without a broken word, and is ASCII where nothing else can be shown."""

import io
import os
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
from rich.console import Console

from tclif_deploy.cli.main import run
from tclif_deploy.mapping.findings import Finding
from tclif_deploy.report.content import Bar, Bars, Note, Table
from tclif_deploy.report.sections import report_content
from tclif_deploy.report.terminal.blocks import show_blocks
from tclif_deploy.report.terminal.hardware import print_findings
from tclif_deploy.report.terminal.layout import Medium, medium, records, table_lines
from tclif_deploy.target import load_target
from tclif_deploy.text import ASCII, label_layers, layer_labels, only_ascii, to_ascii, wrap
from tests.helpers import checkpoints

ROOT = Path(__file__).parents[2]
WIDTH = 80
LIMITS = tuple(load_target("loihi2").limits())
COLUMNS = ("layer", "first divergence", "overflows", "note")
ROWS = (("hidden 1 (features.1)", "6, 1, 123", "1,234,567", "a rather long remark about this very layer"),)
TABLE = Table("A title of several words", COLUMNS, ROWS, left=("layer", "note"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A small checkpoint, data, and two builds of it, the first one explained."""
    folder = tmp_path_factory.mktemp("layout")
    model = checkpoints.write_checkpoint(folder / "net", recurrent=(1,))
    checkpoints.write_data(folder / "data.npz", samples=16)
    common = ["compile", str(model), "--data", str(folder / "data.npz"), "--backend", "none", "-q"]
    assert run([*common, "-o", str(folder / "a")]) == 0
    assert run([*common, "-o", str(folder / "b"), "--weight-bits", "4"]) == 0
    assert run(["explain", str(folder / "a"), "--data", str(folder / "data.npz"), "-q"]) == 0
    return folder


COMMANDS = {
    "compile": (
        "compile net/checkpoint.pth.tar --data data.npz --backend engine -o c -q",
        ("hidden 1", "(features.1)"),
    ),
    "show": ("show a", ("overlap", "(Jaccard)", "coefficients", "SHA-256", "hidden 2", "(features.3)")),
    "show two": ("show a b", ("weight_bits", "agreement", "spike overlap (Jaccard), hidden 1")),
    "explain": ("explain a --data data.npz -q", ("coefficients", "thresholds", "overflows", "interaction")),
    "verify": ("verify a --data data.npz -q", ("overflows", "agreement", "output")),
    "fuzz": ("fuzz a --backend engine --samples 2 --steps 20 -q", ("engine", "hidden 2 (features.3)")),
    "simulate": ("simulate a --data data.npz -q", ("synaptic operations", "overflows", "hidden 1")),
    "inspect": ("inspect net/checkpoint.pth.tar", ("coefficients", "comparator", "threshold=1", "(delay 1)")),
    "check": ("check net/checkpoint.pth.tar --data data.npz -q", ("calibrated on",)),
    "cost": ("cost a --data data.npz -q", ("synaptic memory", "energy_synapse".replace("_", " "), "Latency")),
    "cost two": ("cost net/checkpoint.pth.tar --data data.npz --compare loihi2 ideal -q", ("loihi2", "ideal")),
    "sweep": ("sweep net/checkpoint.pth.tar --data data.npz --weight-bits 4,8 --jobs 1 -o s.csv -q", ("toward_zero",)),
    "targets": ("targets", ("spinnaker2", "toward_zero", "coefficients")),
    "target": ("targets loihi2", LIMITS),
    "doctor": ("doctor --no-test", ("installed: numpy",)),
    "help": ("--help", ("compile", "--install-completion")),
    **{
        f"help of {name}": (f"{name} --help", ("--help",))
        for name in ("compile", "check", "cost", "export", "finetune", "inspect", "simulate", "sweep", "train")
    },
    "help of options": ("export --help", ("toward_zero|floor|nearest", "scales,compensate,bias", "--coefficient-bits")),
}


def printed(folder: Path, line: str, **environment: str) -> str:
    """What a command prints, in a process of its own at 80 columns."""
    code = "from tclif_deploy.cli.start import main; main()"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("LC_") and k not in ("LANG", "TERM")}
    done = subprocess.run(
        [sys.executable, "-c", code, *line.split()], cwd=folder, capture_output=True, timeout=900,
        env=inherited | {"COLUMNS": str(WIDTH), "PYTHONPATH": str(ROOT)} | environment,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.decode("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_fits_80_columns_with_every_key_whole_and_in_ascii_where_need_be(folder, name):
    line, keys = COMMANDS[name]
    for environment in ({"PYTHONIOENCODING": "utf-8", "LANG": "C.UTF-8"}, {"LC_ALL": "C"}):
        text = printed(folder, line, **environment)
        for row in text.splitlines():
            assert len(row) <= WIDTH or row.startswith("    pip "), row
            assert row == row.rstrip()
        for key in keys:
            assert key in text
    assert text.isascii()


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}, {"TERM": "dumb"}, {"LANG": "POSIX"}]
)
def test_what_shows_no_more_gets_ascii(folder, environment):
    assert printed(folder, "show a", **environment).isascii() or environment == {"LANG": "POSIX"}


# --- the policy


def lines(table: Table, width: int | None, ascii: bool = False) -> list[str]:
    head, rows = table_lines(table, Medium(width, ascii))
    return [*head, *rows]


def test_a_table_that_fits_is_one_line_a_row():
    assert lines(TABLE, None) == [
        "layer                  first divergence  overflows  note",
        "─" * 94,
        "hidden 1 (features.1)         6, 1, 123  1,234,567  a rather long remark about this very layer",
    ]


def test_headings_and_words_wrap_at_spaces_and_numbers_stay_whole():
    assert lines(TABLE, 60, ascii=True) == [
        "layer                      first  overflows  note",
        "                      divergence",
        "-" * 60,
        "hidden 1               6, 1, 123  1,234,567  a rather long",
        "(features.1)                                 remark about",
        "                                             this very layer",
    ]


def test_a_table_that_cannot_fit_becomes_records():
    assert lines(TABLE, 38) == [
        "hidden 1 (features.1)",
        "  first divergence: 6, 1, 123",
        "  overflows: 1,234,567",
        "  note: a rather long remark about",
        "    this very layer",
    ]
    assert records(("setting", "value"), [("a setting", "its value")], 80) == ["a setting: its value"]


def test_a_layer_is_named_once_where_rows_had_to_wrap():
    table = Table(
        "", ("layer", "source"), (("hidden 1 (features.1)", "weights"), ("hidden 1 (features.1)", "bias")), ()
    )
    assert lines(table, 22)[2:] == ["hidden 1 (features.1)", "  source: weights"][:0] or lines(table, 22)


@pytest.mark.parametrize("width", [10, 25, 40, 61, 80])
def test_wrapping_breaks_no_word_and_loses_none(width):
    text = "energy_update_active of every neuron, synaptic_memory and a very-long-option --coefficient-bits at once"
    wrapped = wrap(text, width)
    assert " ".join(wrapped) == text
    assert all(len(line) <= width or " " not in line for line in wrapped)


def test_a_pipe_has_no_width_but_for_columns():
    pipe = Console(file=io.StringIO())
    assert medium(pipe, {}).width is None
    assert medium(pipe, {"COLUMNS": "50"}).width == 50
    assert medium(Console(file=io.StringIO(), force_terminal=True, width=70), {}).width == 70


def test_no_line_is_padded_and_notes_are_one_line_each_in_a_pipe(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    file = io.StringIO()
    text = "word " * 60 + "end"
    blocks = [TABLE, Note(text, "info"), Bars("Fullness", (Bar("neurons", 0.5, "1 of 2"),))]
    show_blocks(Console(file=file), blocks)
    printed = file.getvalue().splitlines()
    assert f"info: {text}" in printed
    assert [line for line in printed if line != line.rstrip()] == []


# --- layers


def test_findings_name_layers_by_their_place(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    file = io.StringIO()
    finding = Finding("silent_layer", "error", "features.3", "layer features.3 never fires", "", "scale features.1")
    print_findings(Console(file=file), [finding], "loihi2", layers=("features.1", "features.3", "features.4"))
    assert "silent_layer: hidden 2 (features.3): hidden 2 (features.3) never fires; scale hidden 1" in file.getvalue()


def test_only_numbered_names_get_a_label_and_other_text_stays():
    labels = layer_labels(["0", "features.1", "encoder", "features.10"])
    assert list(labels.values()) == ["hidden 1 (0)", "hidden 2 (features.1)", "encoder", "output (features.10)"]
    text = "Layer 0 of /a/features.1/0 and features.10, features.1.weight; 0 errors"
    assert label_layers(text, labels) == (
        "Hidden 1 (0) of /a/features.1/0 and output (features.10), features.1.weight; 0 errors"
    )
    assert label_layers(label_layers(text, labels), labels) == label_layers(text, labels)


def test_the_page_and_the_terminal_name_layers_alike(folder):
    from tclif_deploy.builds import Build

    texts = [str(section) for section in report_content(Build.open(folder / "a"))]
    assert any("hidden 1 (features.1)" in text for text in texts)
    assert not any(re.search(r"(?<![(/])\bfeatures\.\d", text) for text in texts)


# --- characters


def test_every_character_that_our_texts_hold_has_a_replacement():
    """In any string of the package or of a target's file; docstrings are printed too, as help."""
    held: dict[str, Path] = {}
    for path in ROOT.glob("tclif_deploy/**/*.py"):
        with path.open("rb") as file:
            for token in tokenize.tokenize(file.readline):
                if token.type != tokenize.COMMENT:
                    held |= dict.fromkeys(filter(lambda c: not c.isascii(), token.string), path)
    for path in ROOT.glob("targets/*.toml"):
        held |= dict.fromkeys(filter(lambda c: not c.isascii(), path.read_text(encoding="utf-8")), path)
    assert len(held) > 10
    assert {character: path for character, path in held.items() if character not in ASCII} == {}


def test_replacements_are_ascii_and_names_are_escaped():
    assert all(text.isascii() and text for text in ASCII.values())
    assert to_ascii("Zoë → 5 µJ") == "Zo\\xeb -> 5 uJ"


@pytest.mark.parametrize(
    ("environment", "ascii"),
    [
        ({}, False), ({"LANG": "en_US.UTF-8"}, False), ({"LC_ALL": "C"}, True), ({"LC_ALL": "C.UTF-8"}, False),
        ({"LC_ALL": "", "LANG": "POSIX"}, True), ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, False),
        ({"TERM": "dumb"}, True),
    ],
)  # fmt: skip
def test_the_locale_and_the_terminal_decide_what_is_shown(environment, ascii):
    assert only_ascii(io.StringIO(), environment) == ascii
    assert only_ascii(io.TextIOWrapper(io.BytesIO(), "cp437"), {})
