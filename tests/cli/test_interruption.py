"""Signals end a command in one line with exit code 130, wherever they are heard, and whatever becomes of them there."""

from __future__ import annotations

import contextlib
import gc
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from llvmlite import binding as llvm
from pydantic import BaseModel, field_validator

from tclif_deploy import backends
from tclif_deploy.cli import main, start
from tclif_deploy.cli.commands import COMMANDS
from tclif_deploy.cli.interruption import NUMBERS
from tclif_deploy.cli.main import run
from tclif_deploy.cli.options import registered
from tclif_deploy.errors import TclifError
from tests.helpers import checkpoints

Register = Callable[[Callable[[], object]], None]


@pytest.fixture
def command(monkeypatch) -> Iterator[Register]:
    """Register a command ``stay`` that does what a test says, with the signals as a terminal gives them."""

    def register(body: Callable[[], object]) -> None:
        def stay() -> None:
            body()

        registered.command("stay")(stay)

    monkeypatch.setitem(COMMANDS, "stay", "Do what a test says.")
    monkeypatch.setitem(sys.modules, "tclif_deploy.cli.stay", sys.modules[__name__])  # where it registers itself
    monkeypatch.setattr(registered, "registered_commands", list(registered.registered_commands))
    before = {number: signal.getsignal(number) for number in NUMBERS}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield register
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupt(number: int = signal.SIGINT) -> None:
    signal.pthread_kill(threading.get_ident(), number)


def stay() -> None:
    """What a command does that somebody wants to end."""
    threading.Event().wait(60)


def finalize(kind: Callable[[], object]) -> None:
    """Make one and let it go."""
    kind()
    gc.collect()


def interrupted(capsys) -> bool:
    assert run(["stay"]) == 130
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err == "interrupted: nothing was written\n"


@pytest.mark.parametrize("number", NUMBERS)
def test_each_signal_ends_a_command_and_does_afterwards_what_it_did(command, capsys, number):
    command(lambda: (interrupt(number), stay()))
    before = [signal.getsignal(each) for each in NUMBERS]
    assert interrupted(capsys)
    assert [signal.getsignal(each) for each in NUMBERS] == before


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_that_is_ignored_stays_so(command, number):
    signal.signal(number, signal.SIG_IGN)
    command(lambda: interrupt(number))
    assert run(["stay"]) == 0


@pytest.mark.parametrize("callbacks", [[interrupt], [interrupt, stay, stay]], ids=["once", "dropped again"])
def test_an_interruption_in_a_callback_of_llvm_is_not_lost(command, capsys, callbacks):
    """Python drops what is raised there, as often as it is."""

    def compile_some() -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        for heard in callbacks:
            module = llvm.parse_assembly("define i32 @f() { ret i32 1 }")
            engine = llvm.create_mcjit_compiler(module, llvm.Target.from_default_triple().create_target_machine())
            engine.set_object_cache(lambda module, code, heard=heard: heard())
            engine.finalize_object()
        stay()

    command(compile_some)
    assert interrupted(capsys)


def test_an_interruption_in_a_finalizer_is_not_lost(command, capsys):
    class Gone:
        def __del__(self) -> None:
            interrupt()

    command(lambda: (finalize(Gone), stay()))
    assert interrupted(capsys)


def test_one_that_is_to_come_again_does_not_come_after_the_command(command, monkeypatch, capsys):
    class Gone:
        def __del__(self) -> None:
            interrupt()

    monkeypatch.setattr("tclif_deploy.cli.interruption.AGAIN_SECONDS", 3600.0)
    command(lambda: finalize(Gone))
    assert run(["stay"]) == 0
    assert not any(isinstance(thread, threading.Timer) for thread in threading.enumerate())
    assert capsys.readouterr().err == ""


def test_what_else_is_raised_in_a_finalizer_is_told_as_ever(command, monkeypatch):
    class Gone:
        def __del__(self) -> None:
            raise ValueError("ours")

    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: told.append(str(dropped.exc_value)))
    hook = sys.unraisablehook
    command(lambda: finalize(Gone))
    assert run(["stay"]) == 0
    assert sys.unraisablehook is hook  # put back
    assert told == ["ours"]


class Checked(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def stays(cls, value: int) -> int:
        try:
            interrupt()
            stay()
        except KeyboardInterrupt:
            raise ValueError("not a number") from None
        return value


def as_an_error_of_ours() -> None:
    try:
        interrupt()
        stay()
    except KeyboardInterrupt:
        raise TclifError("model: damaged", "read another") from None


def as_a_bad_descriptor() -> None:
    handle = os.open(os.devnull, os.O_RDONLY)
    try:
        os.close(handle)
        interrupt()
        stay()
    finally:
        os.close(handle)


@pytest.mark.parametrize("body", [lambda: Checked(number=1), as_an_error_of_ours, as_a_bad_descriptor])
def test_whatever_is_made_of_an_interruption_it_is_one(command, capsys, body):
    command(body)
    assert interrupted(capsys)


def test_the_same_errors_without_a_signal_are_errors(command, capsys):
    def fail() -> None:
        raise TclifError("model: damaged", "read another")

    command(fail)
    assert run(["stay"]) == 2
    assert "damaged" in capsys.readouterr().err


def test_further_signals_let_clear_away_what_was_begun(command, capsys):
    cleared = []

    @contextlib.contextmanager
    def begun() -> Iterator[None]:
        try:
            yield
        finally:
            for number in NUMBERS:
                interrupt(number)
            with contextlib.suppress(OSError):
                try:
                    raise OSError
                finally:
                    interrupt()
            cleared.append(True)

    def body() -> None:
        with begun():
            interrupt()
            stay()

    command(body)
    assert interrupted(capsys)
    assert cleared == [True]


def test_one_that_somebody_swallows_leaves_the_next_heard(command, capsys):
    def body() -> None:
        with contextlib.suppress(BaseException):
            interrupt()
            stay()
        interrupt()
        stay()

    command(body)
    assert interrupted(capsys)


@pytest.mark.parametrize("words", [["targets"], ["inspect", "nowhere"]])
def test_nothing_is_heard_while_the_process_ends(words):
    """A finished command is finished: no traceback, and no other exit code, from the interpreter's last moments."""
    code = (
        "import atexit, os, signal, sys\n"
        "from tclif_deploy.cli.interruption import NUMBERS\n"
        "for number in NUMBERS: signal.signal(number, signal.SIG_DFL)\n"
        "atexit.register(lambda: [os.kill(os.getpid(), number) for number in NUMBERS])\n"
        "from tclif_deploy.cli.start import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == (0 if words == ["targets"] else 2)
    assert len(done.stderr.splitlines()) == (0 if words == ["targets"] else 1)


def test_a_terminal_that_closes_ends_a_command_which_clears_away(tmp_path: Path):
    """Its line goes nowhere then, and it ends as ever."""
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "from tclif_deploy.cli import main\n"
        "from tclif_deploy.outputs import new_folder\n"
        "def stay(*args, **kwargs):\n"
        "    with new_folder(sys.argv[1]):\n"
        "        print('begun', flush=True)\n"
        "        time.sleep(600)\n"
        "main.app = stay\n"
        "sys.exit(main.run([], last=True))"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", code, str(tmp_path / "a" / "b")])
    said = b""
    while b"begun" not in said:
        said += os.read(terminal, 1000)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    assert os.listdir(tmp_path) == []


def test_one_that_comes_before_the_signals_are_heard_is_one_line(monkeypatch, capsys):
    def early(argv: list[str], *, last: bool) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "run", early)
    with pytest.raises(SystemExit) as ended:
        start.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted: nothing was written\n"


WAITS = """
import sys, threading
def check_installed(): pass
def emit(fixed, target, folder):
    folder.mkdir()
    (folder / "written").write_text("half")
def run(folder, x, *, lengths=None, batched=False, progress=None):
    print("waiting", file=sys.stderr, flush=True)
    threading.Event().wait()
"""
"""a backend whose run does not end"""


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS)
def test_a_second_signal_is_quiet(tmp_path: Path, number: int):
    """The first is answered, also while what was begun is cleared away."""
    (tmp_path / "waits-1.0.dist-info").mkdir()
    (tmp_path / "waits-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: waits\nVersion: 1.0\n")
    (tmp_path / "waits-1.0.dist-info" / "entry_points.txt").write_text(f"[{backends.GROUP}]\nwaits = waits\n")
    (tmp_path / "waits.py").write_text(WAITS)
    model, data = checkpoints.write_checkpoint(tmp_path / "net"), checkpoints.write_data(tmp_path / "data.npz")
    out = tmp_path / "out"
    words = ["compile", str(model), "--data", str(data), "-o", str(out / "b"), "--backend", "waits"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tclif_deploy", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])},
        # a shell's background job ignores SIGINT, and its children inherit that
        preexec_fn=lambda: [signal.signal(each, signal.SIG_DFL) for each in NUMBERS],
    )  # fmt: skip
    assert process.stderr is not None
    assert any(line == "waiting\n" for line in process.stderr)
    assert any(path.read_text() == "half" for path in out.rglob("written"))
    for _ in range(20):
        process.send_signal(number)
        time.sleep(0.01)
    stdout, err = process.communicate()
    assert (process.returncode, stdout, err) == (130, "", "interrupted: nothing was written\n")
    assert not out.exists()  # it was made for the build
