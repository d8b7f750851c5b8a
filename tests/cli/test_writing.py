"""What commands write: whole or not at all, over nothing that is not theirs, whatever the disk does."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tclif_deploy.cli.main import run
from tests.helpers import checkpoints
from tests.helpers.mnist_files import write_mnist

MODEL, DATA, BUILD = "net/checkpoint.pth.tar", "data.npz", "b"
COMPILE = ("compile", MODEL, "--data", DATA, "--backend", "c", "-q", "-o", BUILD)
TRAIN = ("--data", "mnist", "--epochs", "1", "--batch-size", "8", "-q")

FILES: dict[str, tuple[str, ...]] = {
    "trace": ("simulate", BUILD, "--data", DATA, "--trace", "OUT.h5"),
    "page": ("report", BUILD, "-o", "OUT.html"),
    "table": ("sweep", MODEL, "--data", DATA, "--weight-bits", "8", "-q", "--jobs", "1", "-o", "OUT.csv"),
    "nir": ("export", MODEL, "--to", "nir", "-q", "-o", "OUT.nir"),
    "netx": ("export", MODEL, "--to", "netx", "-q", "-o", "OUT.net"),
    "torch": ("export", MODEL, "--to", "torch", "-q", "-o", "OUT.pt"),
    "checkpoint": ("train", "smnist-ff", *TRAIN, "-o", "OUT.pth.tar"),
}
"""what is written -> the command that writes it into one file"""
OTHERS: dict[str, tuple[str, ...]] = {
    "build": COMPILE,
    "explanation": ("explain", BUILD, "--data", DATA, "-q"),
    "figures": ("report", BUILD, "--figures", "figures"),
    "plot": (*FILES["table"][:-2], "-o", "table.csv", "--plot", "OUT.png"),
    "analysis": ("analyse", "dynamics", BUILD, "-q", "-o", "OUT.svg"),
    "onnx": ("export", MODEL, "--to", "onnx", "-q", "-o", "OUT-onnx"),
}


def out_of(argv: tuple[str, ...]) -> Path:
    return Path(next(word for word in argv if word.startswith("OUT")))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def place(tmp_path, monkeypatch, made) -> Path:
    """A working folder with a model, data and a build of its own."""
    for source in sorted(made.rglob("*")):
        target = tmp_path / source.relative_to(made)
        target.mkdir() if source.is_dir() else target.write_bytes(source.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    before = Path.cwd()
    os.chdir(folder)
    try:
        checkpoints.write_checkpoint(Path("net"))
        checkpoints.write_data(Path(DATA))
        write_mnist(Path("mnist"))
        assert run(list(COMPILE)) == 0
    finally:
        os.chdir(before)
    return folder


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file can grow beyond ``size`` bytes while the block runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def refused(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]) -> str:
    capsys.readouterr()
    assert run(list(argv)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "internal error" not in line
    return line


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 700])
@pytest.mark.parametrize("name", [*FILES, *OTHERS])
def test_on_a_full_disk_there_is_one_line_and_all_stays_as_it_was(place, capsys, name, size):
    argv = (FILES | OTHERS)[name]
    before = contents(place)
    with full_disk(min(size, 100) if name == "table" else size):
        line = refused(capsys, argv)
    assert "cannot be written" in line
    left = contents(place)
    if name == "plot":
        left.pop("table.csv", None)
    elif size and name == "checkpoint":  # what was written before it, whole
        left = {path: content for path, content in left.items() if path in before}
    elif size and name == "explanation":
        assert left.keys() == before.keys()
        left = before
    assert left == before
    assert run(list(argv)) in (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_link_is_replaced_and_what_it_led_to_stays(place, name):
    mine = place / "mine"
    mine.write_text("mine")
    out = out_of(FILES[name])
    if name == "table":  # a table that is there is gone on with: this one lacks a row
        assert run(list(FILES[name])) == 0
        mine.write_text(out.read_text().splitlines(keepends=True)[0])
        out.unlink()
    before = mine.read_text()
    out.symlink_to(mine)
    if name == "checkpoint":  # whoever trains goes on from what is there, and does not replace what is not its own
        assert run(list(FILES[name])) == 2
        assert out.is_symlink()
        assert mine.read_text() == before
        return
    assert run(list(FILES[name])) == 0
    assert not out.is_symlink()
    assert mine.read_text() == before
    assert out.stat().st_size > 0


@pytest.mark.parametrize("kind", ["fifo", "folder", "input"])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_place_for_a_file_is_refused_before_any_work(place, capsys, name, kind, monkeypatch):
    argv = FILES[name]
    out = out_of(argv)
    if kind == "fifo":
        os.mkfifo(out)
    elif kind == "folder":
        out.mkdir()
    else:
        given = {"trace": DATA, "page": f"{BUILD}/fixed.npz", "checkpoint": "start"}.get(name, MODEL)
        if name == "checkpoint":
            argv = (*argv, "--start", given)
            Path(given).touch()
        os.link(given, out)
    before = contents(place)
    expected = {"fifo": "is no regular file", "folder": "is a folder", "input": "is what this command reads"}[kind]
    assert expected in refused(capsys, argv)
    assert contents(place) == before


def test_links_in_a_build_that_somebody_sends_lead_nowhere(place, capsys):
    mine = place / "mine"
    mine.write_text("mine")
    for name in ("report.html", "explain.json"):
        (place / BUILD / name).unlink(missing_ok=True)
        (place / BUILD / name).symlink_to(mine)
    assert run(list(OTHERS["explanation"])) == 0
    (place / BUILD / "report.html").unlink()
    (place / BUILD / "report.html").symlink_to(mine)
    assert run(["report", BUILD]) == 0
    assert mine.read_text() == "mine"


def test_a_build_is_not_replaced_by_one_of_a_file_inside_it(place, capsys):
    before = contents(place)
    line = refused(capsys, ("compile", f"{BUILD}/network.nir", "--backend", "none", "-q", "-o", BUILD))
    assert (
        line == f"error: {BUILD}/network.nir: lies in {BUILD}, which this command would replace; choose another place"
    )
    assert contents(place) == before


@pytest.mark.parametrize("kind", ["fifo", "link", "file", "foreign", "empty name"])
def test_what_is_no_place_for_a_build_is_refused(place, capsys, kind):
    out = place / "out"
    making: dict[str, Callable[[], object]] = {
        "fifo": lambda: os.mkfifo(out), "link": lambda: out.symlink_to(place / BUILD), "file": out.touch,
        "foreign": lambda: (out.mkdir(), (out / "theirs").touch()), "empty name": lambda: None,
    }  # fmt: skip
    making[kind]()
    before = contents(place)
    named = "" if kind == "empty name" else "out"
    message = (
        "holds files that are not a build of ours" if kind in ("foreign", "empty name") else "out: is not a folder"
    )
    assert message in refused(capsys, (*COMPILE[:-1], named))
    tune = ("finetune", MODEL, "--data", "mnist", "--epochs", "1", "-q", "-o", named)
    assert message in refused(capsys, tune)
    assert contents(place) == before


def test_fine_tuning_does_not_clear_away_a_folder_of_somebody_else(place, capsys):
    (place / "t.tuning").mkdir()
    (place / "t.tuning" / "theirs").write_text("theirs")
    line = refused(capsys, ("finetune", MODEL, "--data", "mnist", "--epochs", "1", "-q", "-o", "t"))
    assert "t.tuning: holds files that are not those of an interrupted fine-tuning" in line
    assert (place / "t.tuning" / "theirs").read_text() == "theirs"


def test_a_failed_run_leaves_an_older_trace(place, capsys):
    assert run(list(FILES["trace"])) == 0
    before = contents(place)
    data = Path(DATA).read_bytes()
    Path(DATA).write_bytes(data[: len(data) // 2])
    refused(capsys, FILES["trace"])
    Path(DATA).write_bytes(data)
    assert contents(place) == before
