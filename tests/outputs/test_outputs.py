"""Files and folders are there whole or not at all, whatever kills the process that writes them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tclif_deploy import outputs
from tclif_deploy.errors import TclifError
from tclif_deploy.outputs import check_file_place, new_file, new_folder, on_recovery, recover, write_file, write_files
from tests.outputs.folders import SWAP, content, make, ours

NOBODY = 2**31 - 2
"""the number of no process"""


@pytest.fixture
def said():
    lines: list[str] = []
    on_recovery(lines.append)
    yield lines
    on_recovery(lambda line: None)


def write_half(path: Path) -> None:
    with new_file(path) as part:
        part.write_text("half")
        assert path.read_text() == "old"
        raise KeyboardInterrupt


def make_half(folder: Path, meanwhile: Callable[[], object]) -> None:
    with new_folder(folder, ours=ours) as part:
        (part / "mark").write_text("half")
        meanwhile()


# --- files


def test_a_file_is_replaced_only_when_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    write_file(path, b"old")
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert path.read_text() == "old"
    write_file(path, lambda file: file.write(b"new"))
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_link_is_replaced_and_never_followed(tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    link = tmp_path / "link"
    for target in (mine, tmp_path / "nothing", link):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        write_file(link, b"written")
        assert not link.is_symlink()
        assert link.read_text() == "written"
        assert mine.read_text() == "mine"


def test_what_is_no_regular_file_stays(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for place, message in (
        (tmp_path / "fifo", "is no regular file"), (tmp_path / "folder", "is a folder"), (Path("/dev/null"), "regular"),
        (Path(""), "is a folder"), (tmp_path / ("x" * 300), "File name too long"), (Path("a\0b"), "null"),
    ):  # fmt: skip
        with pytest.raises(TclifError, match=message):
            write_file(place, b"")
    for place in ("fifo", "/dev/null"):
        with pytest.raises(TclifError, match="is not a folder"):
            make(tmp_path / place, "")
    assert sorted(os.listdir(tmp_path)) == ["fifo", "folder"]
    assert Path("/dev/null").is_char_device()


def test_an_input_is_no_place_for_an_output_under_any_of_its_names(tmp_path):
    given = tmp_path / "data.npz"
    given.write_text("data")
    (tmp_path / "link").symlink_to(given)
    os.link(given, tmp_path / "other-name")
    for place in (given, tmp_path / "link", tmp_path / "other-name", tmp_path / "." / "data.npz"):
        with pytest.raises(TclifError, match="is what this command reads; choose another file"):
            write_file(place, b"", inputs=(None, tmp_path / "elsewhere", given))
    check_file_place(tmp_path / "free", (given,))
    make(tmp_path / "build", "old")
    with pytest.raises(TclifError, match=r"lies in .*build, which this command would replace"):
        outputs.check_folder_place(tmp_path / "build", ours, "a build", (tmp_path / "build" / "one",))


@pytest.mark.parametrize("failing", ["write", "fsync", "replace"])
def test_a_disk_that_refuses_is_one_line_and_leaves_what_was_there(tmp_path, monkeypatch, failing):
    path = tmp_path / "a.txt"
    write_file(path, b"old")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if failing != "write":
        monkeypatch.setattr(os, failing, full)
    with pytest.raises(TclifError) as error:
        write_file(path, full if failing == "write" else b"new")
    assert str(error.value).endswith(
        "a.txt: cannot be written (No space left on device); what stood there before is intact; free some space or "
        "choose another place"
    )
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_vanished_or_read_only_folder_is_one_line(tmp_path):
    with pytest.raises(TclifError, match=r"b.txt: cannot be written .No such file or directory"):
        write_file(tmp_path / "gone" / "b.txt", b"")
    write_file(tmp_path / "made" / "deep" / "b.txt", b"", parents=True)
    with pytest.raises(TclifError, match=r"cannot be written .Not a directory"):
        write_file(tmp_path / "made" / "deep" / "b.txt" / "c.txt", b"", parents=True)


# --- folders


def test_a_folder_takes_the_place_of_nothing_an_empty_one_or_ours(tmp_path):
    place = tmp_path / "deep" / "a"
    make(place, "1")
    make(place, "2")
    assert content(place) == ("2", "2")
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty", "3")
    assert content(tmp_path / "empty") == ("3", "3")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "theirs").touch()
    for refused, message in (
        (foreign, "holds files that are not ours; choose another place, or empty it"),
        (foreign / "theirs", "is not a folder"),
    ):  # fmt: skip
        with pytest.raises(TclifError, match=message):
            make(refused, "4")
    (tmp_path / "link").symlink_to(place)
    with pytest.raises(TclifError, match="link: is not a folder"):
        make(tmp_path / "link", "5")
    assert sorted(os.listdir(tmp_path)) == ["deep", "empty", "foreign", "link"]
    assert os.listdir(tmp_path / "deep") == ["a"]
    assert os.listdir(foreign) == ["theirs"]


def test_a_failed_first_folder_leaves_no_parents(tmp_path):
    with pytest.raises(ZeroDivisionError):
        make_half(tmp_path / "b" / "c" / "d", lambda: 1 / 0)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_that_becomes_somebody_elses_meanwhile_is_not_replaced(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(outputs.folders, "exchange", lambda one, other: False)
    place = tmp_path / "a"
    with pytest.raises(TclifError, match="holds files that are not"):
        make_half(place, lambda: (place / "theirs").parent.mkdir() or (place / "theirs").touch())
    assert os.listdir(tmp_path) == ["a"]
    assert os.listdir(place) == ["theirs"]


def test_without_an_exchange_two_renames_do(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs.folders, "exchange", lambda one, other: False)
    make(tmp_path / "a", "1")
    make(tmp_path / "a", "2")
    assert content(tmp_path / "a") == ("2", "2")
    assert os.listdir(tmp_path) == ["a"]


def test_the_work_of_a_process_that_runs_is_left_alone_and_the_later_of_two_stays(tmp_path, said):
    place = tmp_path / "a"
    with new_folder(place, ours=ours) as part:
        make(place, "other")
        recover(place, ours)
        assert part.is_dir()
        (part / "one").write_text("this")
        (part / "mark").write_text("this")
    assert content(place) == ("this", "this")
    assert os.listdir(tmp_path) == ["a"]
    assert said == []


# --- killed processes

MANY = (
    SWAP.replace('os.stat("/")', "outputs.on_recovery(print)\nfor n in range(25):")
    .replace("with new_folder", "  with new_folder")
    .replace("    (part", "      (part")
    .replace("write_file(place", "  write_file(place")
)


def test_processes_that_write_the_same_leave_one_whole_folder_and_take_nothing_for_an_orphan(tmp_path):
    program = [sys.executable, "-c", MANY, tmp_path, "exchange"]
    running = [subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(4)]
    assert [(each.communicate()[0].decode(), each.returncode) for each in running] == [("", 0)] * 4
    assert content(tmp_path / "a") == ("new", "new")
    assert sorted(os.listdir(tmp_path)) == ["a", "f"]


def test_orphans_of_a_neighbour_with_a_longer_name_are_its_own(tmp_path, said):
    """`a-b`'s begin as `a`'s do; names that are cut are told apart by a digest."""
    for name, other in (("a", "a-b"), ("x" * 150 + "1", "x" * 150 + "2")):
        make(tmp_path / other, "theirs")
        beginning = outputs.neighbours.beginning(tmp_path / other)
        os.rename(tmp_path / other, tmp_path / f"{beginning}{NOBODY:08x}deadbeef{outputs.neighbours.OLD}")
        recover(tmp_path / name, ours)
        make(tmp_path / name, "mine")
        assert said == []
        recover(tmp_path / other, ours)
        assert content(tmp_path / other) == ("theirs", "theirs")
        assert len(said) == 1
        said.clear()


def test_a_process_of_the_same_number_does_not_keep_an_orphan_for_ever(tmp_path, said):
    part = (
        tmp_path / f"{outputs.neighbours.beginning(tmp_path / 'f')}{os.getpid():08x}deadbeef{outputs.neighbours.PART}"
    )
    part.touch()
    write_file(tmp_path / "f", b"")
    assert part.exists()
    os.utime(part, (time.time() - 2 * outputs.neighbours.YOUNG_SECONDS,) * 2)
    write_file(tmp_path / "f", b"")
    assert os.listdir(tmp_path) == ["f"]
    assert len(said) == 1


def test_what_is_put_there_at_the_last_moment_goes_back(tmp_path, monkeypatch):
    place, exchange, calls = tmp_path / "a", outputs.folders.exchange, []

    def late(one: Path, other: Path) -> bool:
        if not calls:
            (other / "mark").unlink()
        calls.append(1)
        return exchange(one, other)

    make(place, "old")
    monkeypatch.setattr(outputs.folders, "exchange", late)
    with pytest.raises(TclifError, match="changed while it was replaced; try again"):
        make(place, "new")
    assert os.listdir(tmp_path) == ["a"]
    assert (place / "one").read_text() == "old"


def test_a_second_rename_that_fails_puts_the_old_one_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(Path("a"), "old")
    monkeypatch.setattr(outputs.folders, "exchange", lambda one, other: False)
    rename, calls = os.rename, []

    def failing(one, other):
        calls.append(one)
        if len(calls) == 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(other))
        rename(one, other)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(TclifError, match=r"^a: cannot be written .Input/output error"):
        make(Path("a"), "new")
    assert content(Path("a")) == ("old", "old")
    assert os.listdir() == ["a"]


def test_an_error_of_reading_is_not_called_one_of_writing(tmp_path):
    with pytest.raises(FileNotFoundError):
        make_half(tmp_path / "a", lambda: (tmp_path / "data").read_bytes())


def test_files_have_the_mode_that_the_user_s_mask_gives(tmp_path):
    before = os.umask(0o077)
    try:
        write_file(tmp_path / "f", b"")
        make(tmp_path / "a", "1")
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("f", "a")] == [0o600, 0o700]


def test_a_killed_writer_of_a_file_leaves_nothing_after_the_next(tmp_path, said):
    code = (
        "import sys, time; from tclif_deploy.outputs import new_file\n"
        "with new_file(sys.argv[1]) as part: part.write_text('half'); print('x', flush=True); time.sleep(60)"
    )
    path = tmp_path / ("a" * 240)
    running = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    assert running.stdout is not None
    running.stdout.readline()
    write_file(path, b"first")  # the other still runs: its part is left alone
    assert len(os.listdir(tmp_path)) == 2
    running.kill()
    running.wait()
    time.sleep(0.01)
    write_file(path, b"second")
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_text() == "second"
    assert len(said) == 1


def test_files_of_a_set_are_all_there_or_none(tmp_path):
    (tmp_path / "b.txt").mkdir()  # no place for a file
    with pytest.raises(TclifError, match=r"b\.txt: is a folder"):
        write_files(tmp_path, {"a.txt": b"1", "b.txt": b"2", "c.txt": b"3"})
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]
    (tmp_path / "b.txt").rmdir()
    write_files(tmp_path, {"a.txt": b"1", "b/b.txt": b"2"})
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*.txt")} == {"a.txt": b"1", "b.txt": b"2"}
