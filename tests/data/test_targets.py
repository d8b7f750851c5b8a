"""What y means: read from its shape and dtype where that is one thing, else said, else refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tclif_deploy import Connection, Dataset, Layer, Network, load_data, neurons
from tclif_deploy import write_nir as save_network
from tclif_deploy.cli.main import run
from tclif_deploy.data import as_dataset
from tclif_deploy.data.stream import open_stream
from tclif_deploy.errors import TclifError
from tclif_deploy.simulation.scores import check_classes, task_of

X = np.zeros((4, 6, 2))


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (np.arange(4), "label"),
        (np.arange(4, dtype=np.uint8), "label"),
        (np.zeros((4, 6), int), "step-label"),
        (np.zeros((4, 3)), "value"),
        (np.zeros((4, 1), np.float32), "value"),
        (np.zeros((4, 6, 3)), "step-value"),
    ],
)
def test_what_can_be_one_thing_is_read_as_that(y: Any, task: str) -> None:
    data = Dataset(X, y)
    assert data.task == task
    assert data.y is not None
    assert data.y.dtype == (np.int64 if task.endswith("label") else np.float64)
    assert data[1:3].task == task


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.zeros(4), "can mean value"),
        (np.zeros((4, 6)), "can mean value or step-value"),
        (np.zeros((4, 3), int), "can mean value"),
        (np.zeros((5,), int), "fits no task"),
        (np.zeros((4, 6, 2, 1)), "fits no task"),
        (np.zeros((4, 5, 3)), "fits no task"),
        (np.array(["a"] * 4), "dtype"),
        (np.eye(3, dtype=int)[[0, 1, 2, 0]], "one-hot"),
        (np.eye(3)[[0, 1, 2, 0]], "one-hot"),
        (np.full((4, 3), 1e200), "y reaches 1e"),
    ],
)
def test_what_can_be_more_things_or_none_is_refused(y: Any, said: str) -> None:
    with pytest.raises(TclifError, match=said):
        Dataset(X, y)


@pytest.mark.parametrize(
    ("y", "task", "shape"),
    [
        (np.zeros(4), "value", (4, 1)),
        (np.zeros((4, 6)), "value", (4, 6)),
        (np.zeros((4, 6)), "step-value", (4, 6, 1)),
        (np.zeros((4, 3), int), "value", (4, 3)),
        (np.zeros((4, 6), int), "step-label", (4, 6)),
    ],
)
def test_what_is_said_wins(y: Any, task: Any, shape: tuple[int, ...]) -> None:
    data = Dataset(X, y, task=task)
    assert data.y is not None
    assert (data.task, data.y.shape) == (task, shape)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"y": np.arange(4), "task": "step-label"}, r"expected integers of shape \(4, 6\)"),
        ({"y": np.zeros((4, 6)), "task": "label"}, r"expected integers of shape \(4,\)"),
        ({"y": np.arange(4), "task": "steps"}, "known: label, step-label"),
        ({"y": np.full((4, 3), np.nan)}, r"y\[0, 0\] is nan"),
        ({"y": np.arange(4), "mask": np.ones((4, 6), bool)}, "mask without targets of each step"),
        ({"mask": np.ones((4, 6), bool)}, "mask without targets of each step"),
        ({"y": np.zeros((4, 6), int), "mask": np.ones((4, 5), bool)}, r"expected booleans of shape \(4, 6\)"),
        ({"y": np.zeros((4, 6), int), "mask": np.full((4, 6), 2)}, "expected booleans"),
    ],
)
def test_what_contradicts_itself_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(TclifError, match=said):
        Dataset(X, **arguments)


def test_a_file_says_its_task_and_mask(tmp_path: Any) -> None:
    path, mask = tmp_path / "data.npz", np.tile(np.arange(6) % 2 == 0, (4, 1))
    np.savez(path, x=X, y=np.arange(24.0).reshape(4, 6), task="step-value", mask=mask)
    for data in (load_data(path), as_dataset(path), next(open_stream(path).batches(4))):
        assert data is not None
        assert data.y is not None
        assert data.mask is not None
        assert (data.task, data.y.shape) == ("step-value", (4, 6, 1))
        assert (data.mask == mask).all()
    np.savez(path, x=X, y=np.arange(24.0).reshape(4, 6), task="step-value")
    assert load_data(path, "value").task == "value"
    batches = list(open_stream(path, task="value").batches(3))
    assert [batch.task for batch in batches] == ["value", "value"]


@pytest.mark.parametrize("task", [np.array([1, 2]), np.array("steps"), np.array(b"\xff")])
def test_a_damaged_task_is_refused(task: Any, tmp_path: Any) -> None:
    np.savez(tmp_path / "data.npz", x=X, y=np.arange(4), task=task)
    for read in (load_data, open_stream):
        with pytest.raises(TclifError, match="known: label"):
            read(tmp_path / "data.npz")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (Dataset(X, np.array([1, 2, 3, 4])), "data: labels lie in 1..4; this network has the classes 0..3"),
        (Dataset(X, np.array([-1, -1, 0, 3])), "labels lie in -1..3"),
        (Dataset(X, np.array([0, 1, 2, 3])), None),
        (Dataset(X), None),
        (Dataset(X, np.full((4, 4), 9.5)), None),
        (Dataset(X, np.full((4, 6), 5)), "labels lie in 5..5"),
        (Dataset(X, np.full((4, 6), 5), mask=np.zeros((4, 6), bool)), None),
        (Dataset(X, np.where(np.arange(6) < 2, 0, -1) + np.zeros((4, 1), int), lengths=np.full(4, 2)), None),
    ],
)
def test_labels_that_are_no_class_are_refused_where_they_count(data: Dataset, said: str | None) -> None:
    for check in (check_classes, task_of):
        if said is None:
            check(data, 4)
            continue
        with pytest.raises(TclifError, match=said):
            check(data, 4)


@pytest.mark.parametrize("labels", [[1, 2, 3, 3], [-1, 0, 1, 2]])
def test_every_command_that_compares_with_labels_refuses_them(labels: list[int], tmp_path: Any, capsys: Any) -> None:
    out = Layer("out", neurons.readout(3), (Connection("input", np.eye(3)),))
    save_network(Network(3, (out,)), tmp_path / "net.nir")
    x = np.random.default_rng(0).random((4, 5, 3))
    np.savez(tmp_path / "right.npz", x=x, y=[0, 1, 2, 2])
    np.savez(tmp_path / "data.npz", x=x, y=labels)
    model, build, table = str(tmp_path / "net.nir"), str(tmp_path / "build"), str(tmp_path / "t.csv")
    made = ["compile", model, "--backend", "none", "--min-agreement", "0", "--max-accuracy-drop", "1"]
    made += ["--calibration", str(tmp_path / "right.npz")]
    assert run([*made, "-o", build, "--data", str(tmp_path / "right.npz")]) == 0
    before = sorted(tmp_path.rglob("*"))
    named = ["--data", str(tmp_path / "data.npz")]
    told = f"data.npz: labels lie in {min(labels)}..{max(labels)}; this network has the classes 0..2"
    for command in (
        [*made, "-o", str(tmp_path / "other"), *named], ["verify", build, *named], ["simulate", build, *named],
        ["simulate", build, *named, "--trace", str(tmp_path / "trace.h5")], ["explain", build, *named],
        ["robust", build, *named, "-o", table, "--runs", "1", "--jobs", "1"], ["anytime", build, *named],
        ["sweep", model, *named, "--calibration", str(tmp_path / "right.npz"), "--weight-bits", "8", "-o", table],
        ["analyse", "landscape", build, *named, "-o", str(tmp_path / "f.svg")],
    ):  # fmt: skip
        capsys.readouterr()
        assert run(command) == 2, command
        said = capsys.readouterr().err
        assert told in said, (command, said)
        assert "Traceback" not in said
    assert sorted(tmp_path.rglob("*")) == before
