"""What ``--parallel`` names: refused in one line where it cannot be, the same bytes as one process where it can."""

import json
import os
import signal
import socket
import threading
import uuid
from functools import partial
from pathlib import Path

import pytest

from tclif_deploy import FixedNetwork, TclifError, load, load_data, load_target, quantize
from tclif_deploy import workers as workers_module
from tclif_deploy.cli.main import run
from tclif_deploy.data.stream import open_stream
from tclif_deploy.simulation.stream import run_all
from tclif_deploy.workers import address_of, check_parallel, workers
from tclif_deploy.workflows import sweep as sweep_module
from tclif_deploy.workflows.robust import robust
from tclif_deploy.workflows.sweep import grid, sweep
from tests.helpers import checkpoints
from tests.helpers.requirements import needs_module


def square(add, number):
    return number * number + add


def refuse(number):
    raise TclifError(f"number {number}", "choose another")


def mark(folder, number):
    """Leave a file for each time that it runs."""
    (Path(folder) / f"{number}-{uuid.uuid4().hex}").touch()


def mark_or_die(folder, fatal, number):
    """As `mark`; the first time that it is given ``fatal`` it ends its process, as a kernel out of memory does."""
    first = not list(Path(folder).glob(f"{number}-*"))
    mark(folder, number)
    if number == fatal and first:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def mark_and_die(folder, fatal, number):
    """As `mark`, and each time that it is given ``fatal`` it ends its process."""
    mark(folder, number)
    if number == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


row = sweep_module._row


def row_or_die(mark, *given):
    """A row of a sweep; the first process that is given the third point dies."""
    if given[-1].weight_bits == 5 and not Path(mark).exists():
        Path(mark).touch()
        die(0)
    return row(*given)


def never_row(*given):
    die(0)


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def nothing_there():
    raise ModuleNotFoundError("No module named 'only_here'")


class Unreadable:
    """What a worker cannot unpickle."""

    def __reduce__(self):
        return nothing_there, ()


def two_workers():
    distributed = needs_module("distributed")
    return distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0")


def name_of(cluster):
    return "dask" + cluster.scheduler_address.removeprefix("tcp")


@pytest.fixture(scope="module")
def cluster():
    with two_workers() as started:
        yield name_of(started)


@pytest.fixture
def fragile():
    """A cluster whose workers a test may kill."""
    with two_workers() as started:
        yield started


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model, its data, integers of it and a data set of real numbers as targets."""
    folder = tmp_path_factory.mktemp("files")
    model = checkpoints.write_checkpoint(folder / "net", recurrent=(0,), seed=1)
    data = checkpoints.write_data(folder / "data.npz", samples=46, time=40)
    quantize(load(model), "loihi2", load_data(data)).save(folder / "fixed.npz")
    return folder, model, data


def kill_a_worker(cluster):
    os.kill(next(iter(cluster.workers.values())).process.process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("dask://", "no host"),
        ("dask://host", "no port"),
        ("dask://host:0", "port 0"),
        ("dask://host:99999", "out of range"),
        ("dask://host:port", "Port could not be cast"),
        ("dask://a b:8786", "more than a host and a port"),
        ("dask://me:word@host:8786", "more than a host and a port"),
        ("dask://host:8786/x", "more than a host and a port"),
        ("dask:host:8786", "no host"),
        ("tcp://host:8786", "Invalid backend"),
        ("ray", "Invalid backend"),
        ("", "Invalid backend"),
        ("multiprocessing", "does not support"),
    ],
)
@pytest.mark.parametrize("command", ["sweep", "simulate"])
def test_a_name_that_is_none_is_refused_before_any_file_is_read(tmp_path, capsys, command, name, why):
    output = ["-o", str(tmp_path / "s.csv")] if command == "sweep" else []
    assert run([command, "no/such/file", "--data", "no.npz", "--parallel", name, *output]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--parallel {name}: " in line
    assert why in line
    assert "dask://" in line.partition(why)[2]
    assert list(tmp_path.iterdir()) == []


def test_addresses_are_those_of_dask():
    needs_module("distributed")
    assert address_of("dask") is None
    assert address_of("dask://node-7.lab:8786") == "tcp://node-7.lab:8786"
    assert address_of("dask://10.0.0.7:1") == "tcp://10.0.0.7:1"
    check_parallel("dask://[fe80::1]:8786")


def test_threads_run_every_call():
    with workers("threading", 2) as run_calls:
        assert sorted(run_calls(square, (1,), range(5))) == [1, 2, 5, 10, 17]


def test_a_table_stands_in_the_order_of_the_points_however_they_came(files, tmp_path):
    _, model, data = files
    points = grid(load_target("loihi2"), "8,5,3", "", "", "")
    whole, parts = tmp_path / "whole.csv", tmp_path / "parts.csv"
    one = partial(sweep, model, "loihi2", data=load_data(data)[:6], calibration=load_data(data)[6:12], jobs=1)
    one(points=points, path=whole)
    for part in (points[2:], points[1:2], points):
        one(points=part, path=parts)
    assert parts.read_bytes() == whole.read_bytes()
    assert [line.split(",")[1] for line in whole.read_text().splitlines()[1:]] == ["8", "5", "3"]
    one(points=points[:1], path=parts)  # rows of other points stay, before those that were asked for
    assert [line.split(",")[1] for line in parts.read_text().splitlines()[1:]] == ["5", "3", "8"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["nobody", "says nothing", "another program", "no worker", "a worker", "another version"]
)
def test_a_scheduler_that_cannot_be_used_is_refused_before_any_work(
    files, tmp_path, capsys, monkeypatch, cluster, kind
):
    distributed = needs_module("distributed")
    _, model, data = files
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        name, why = f"dask://127.0.0.1:{listening.getsockname()[1]}", "cannot be reached ("
        if kind in ("says nothing", "another program"):
            listening.listen()
        if kind == "another program":
            why = "no dask scheduler"

            def answer():
                with listening.accept()[0] as caller:
                    caller.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

            threading.Thread(target=answer, daemon=True).start()
        if kind == "another version":
            monkeypatch.setattr(workers_module, "__version__", "0.0.0")
            name, why = cluster, "here it is 0.0.0; install the same version"
        elif kind in ("no worker", "a worker"):
            started = distributed.LocalCluster(
                n_workers=int(kind == "a worker"), processes=False, dashboard_address="127.0.0.1:0", protocol="tcp"
            )
            with started:
                name, why = name_of(started), "the scheduler has no worker; start one: dask worker tcp://"
                if kind == "a worker":
                    name, why = "dask" + started.workers[0].address.removeprefix("tcp"), "a dask worker is there"
                check_is_refused(model, data, name, why, tmp_path, capsys)
            return
        check_is_refused(model, data, name, why, tmp_path, capsys)


def check_is_refused(model, data, name, why, folder, capsys):
    argv = ["sweep", str(model), "--data", str(data), "--weight-bits", "4,8", "-o", str(folder / "s.csv"), "-q"]
    assert run([*argv, "--parallel", name]) == 2
    line = capsys.readouterr().err.strip()
    assert f"--parallel {name}: " in line
    assert why in line
    assert "\n" not in line
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_a_sweep_and_a_run_on_two_workers_give_the_bytes_of_one_process(files, tmp_path, capsys, cluster):
    folder, model, data = files
    argv = ["sweep", str(model), "--data", str(data), "--weight-bits", "3..8", "--rounding", "floor,nearest", "-q"]
    assert run([*argv, "--jobs", "1", "-o", str(tmp_path / "one.csv")]) == 0
    assert run([*argv, "--parallel", cluster, "-o", str(tmp_path / "two.csv")]) == 0
    assert len((tmp_path / "one.csv").read_text().splitlines()) == 13
    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()

    capsys.readouterr()
    argv = ["simulate", str(folder / "fixed.npz"), "--data", str(data), "--batch", "3", "--json"]
    told = []
    for more in ([], ["--parallel", cluster], ["--parallel", cluster, "--jobs", "1"], ["--parallel", "dask"]):
        assert run([*argv, *more]) == 0
        summary = json.loads(capsys.readouterr().out)
        assert summary.pop("seconds") > 0
        summary.pop("samples_per_second")
        told.append(json.dumps(summary))
    assert told[0] == told[1] == told[2] == told[3]
    assert json.loads(told[0])["samples"] == 46


@pytest.mark.slow
def test_disturbed_runs_on_two_workers_give_the_bytes_of_one_process(files, tmp_path, cluster):
    folder, _, data = files
    fixed, given = FixedNetwork.load(folder / "fixed.npz"), {"levels": (0.05, 0.2), "runs": 3}
    one = robust(fixed, load_data(data), tmp_path / "one.csv", jobs=1, **given)
    two = robust(fixed, load_data(data), tmp_path / "two.csv", parallel=cluster, **given)
    assert one == two
    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert len(one.trials) == 36


@pytest.mark.slow
def test_a_worker_killed_in_a_sweep_changes_no_byte(files, tmp_path, fragile):
    _, model, data = files
    points = grid(load_target("loihi2"), "3..8", "", "", "floor,nearest")
    test, scales = load_data(data)[:20], load_data(data)[20:40]
    sweep(model, "loihi2", points, test, scales, tmp_path / "one.csv", jobs=1)
    killed = []

    def progress(done, total):
        if done == 2:
            kill_a_worker(fragile)
            killed.append(done)

    path = tmp_path / "two.csv"
    sweep(model, "loihi2", points, test, scales, path, parallel=name_of(fragile), progress=progress)
    assert killed == [2]
    assert path.read_bytes() == (tmp_path / "one.csv").read_bytes()


@pytest.mark.slow
def test_a_worker_killed_in_a_run_changes_no_figure(files, fragile):
    folder, _, data = files
    from tclif_deploy.fixed import FixedNetwork

    network = FixedNetwork.load(folder / "fixed.npz")
    killed = []

    def batches():
        for number, batch in enumerate(open_stream(data).batches(2)):
            if number == 9:
                kill_a_worker(fragile)
                killed.append(number)
            yield batch

    one = run_all(network, open_stream(data).batches(2)).to_json()
    two = run_all(network, batches(), parallel=name_of(fragile)).to_json()
    for told in (one, two):
        del told["seconds"], told["samples_per_second"]
    assert killed == [9]
    assert json.dumps(two) == json.dumps(one)


@pytest.mark.slow
def test_a_worker_that_dies_costs_what_it_had_in_hand_and_no_more(tmp_path, fragile):
    in_hand, fatal, calls = 4, 12, 24  # two workers of one thread, and two calls a thread are under way
    with workers(name_of(fragile)) as run_calls:
        assert sorted(run_calls(mark_or_die, (str(tmp_path), fatal), range(calls))) == list(range(calls))
    runs = [len(list(tmp_path.glob(f"{number}-*"))) for number in range(calls)]
    assert runs[fatal] == 2
    assert calls < sum(runs) <= calls + in_hand
    assert runs[: fatal - in_hand] == [1] * (fatal - in_hand)  # their results had come when it died


@pytest.mark.slow
def test_a_process_of_this_machine_that_dies_costs_no_call(tmp_path):
    fatal, calls = 7, 16
    with workers("loky", 2) as run_calls:
        assert sorted(run_calls(mark_or_die, (str(tmp_path), fatal), range(calls))) == list(range(calls))
    runs = [len(list(tmp_path.glob(f"{number}-*"))) for number in range(calls)]
    assert runs[fatal] == 2
    assert max(runs) == 2


@pytest.mark.slow
def test_a_call_that_ends_every_process_is_named_after_four_times(tmp_path):
    with workers("loky", 2, lambda number: f"number {number}") as run_calls:
        calls = run_calls(mark_and_die, (str(tmp_path), 3), range(6))
        with pytest.raises(
            TclifError, match=r"^--parallel loky: number 3 ended every worker that it was given to; they"
        ):
            list(calls)
    assert len(list(tmp_path.glob("3-*"))) == 4


@pytest.mark.slow
def test_a_process_killed_in_a_sweep_changes_no_byte(files, tmp_path, monkeypatch):
    _, model, data = files
    points = grid(load_target("loihi2"), "3..8", "", "", "")
    test, scales = load_data(data)[:20], load_data(data)[20:40]
    sweep(model, "loihi2", points, test, scales, tmp_path / "one.csv", jobs=1)
    monkeypatch.setattr(sweep_module, "_row", partial(row_or_die, str(tmp_path / "killed")))
    sweep(model, "loihi2", points, test, scales, tmp_path / "two.csv", jobs=2)
    assert (tmp_path / "killed").exists()
    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()


@pytest.mark.slow
def test_a_point_that_no_process_survives_is_one_line(files, tmp_path, monkeypatch, capsys):
    _, model, data = files
    monkeypatch.setattr(sweep_module, "_row", never_row)
    argv = ["sweep", str(model), "--data", str(data), "--weight-bits", "8", "--jobs", "2", "-q"]
    assert run([*argv, "-o", str(tmp_path / "s.csv")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--parallel loky: the point of weight_bits 8, coefficient_bits 12, state_bits 24, rounding" in line
    assert "our fault" not in line


@pytest.mark.slow
def test_what_goes_wrong_there_is_said_here(fragile):
    with workers(name_of(fragile)) as run_calls:
        with pytest.raises(TclifError, match=r"^number \d; choose another$"):
            list(run_calls(refuse, (), range(9)))
        with pytest.raises(RuntimeError, match="deserializ"):
            list(run_calls(square, (1,), [Unreadable()]))
        with pytest.raises(TclifError, match="call 0 ended every worker that it was given to; see the workers' logs"):
            list(run_calls(die, (), range(1)))


@pytest.mark.slow
def test_a_scheduler_that_goes_away_ends_the_job_with_a_line(fragile):
    def numbers():
        for number in range(40):
            if number == 8:
                fragile.close()
            yield number

    with (
        pytest.raises(TclifError, match="the scheduler went away; look whether it runs"),
        workers(name_of(fragile)) as run_calls,
    ):
        list(run_calls(square, (1,), numbers()))
