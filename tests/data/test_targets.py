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
from tclif_deploy.simulation.scores import label_notice

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
        (
            Dataset(X, np.array([1, 2, 3, 4])),
            "data: label 4 is no class of this network, whose classes are 0 to 3: 1 of 4",
        ),
        (
            Dataset(X, np.array([-1, -1, 0, 3])),
            "label -1 is no class of this network, whose classes are 0 to 3: 2 of 4",
        ),
        (Dataset(X, np.array([0, 1, 2, 3])), None),
        (Dataset(X), None),
        (Dataset(X, np.full((4, 2), 9.5)), None),
        (Dataset(X, np.full((4, 6), 5)), "24 of 24 labels are outside"),
        (Dataset(X, np.full((4, 6), 5), mask=np.zeros((4, 6), bool)), None),
    ],
)
def test_labels_that_are_no_class_are_told(data: Dataset, said: str | None) -> None:
    notice = label_notice(data, 4)
    assert (notice is None) == (said is None)
    assert said is None or (notice is not None and notice.startswith("warning: ") and said in notice)


def test_every_command_that_compares_with_labels_tells_it(tmp_path: Any, capsys: Any) -> None:
    out = Layer("out", neurons.readout(3), (Connection("input", np.eye(3)),))
    save_network(Network(3, (out,)), tmp_path / "net.nir")
    x = np.random.default_rng(0).random((4, 5, 3))
    np.savez(tmp_path / "data.npz", x=x, y=[1, 2, 3, 3])
    named = ["--data", str(tmp_path / "data.npz")]
    build = str(tmp_path / "build")
    assert run(["compile", str(tmp_path / "net.nir"), *named, "--backend", "none", "-o", build]) == 0
    told = "label 3 is no class of this network, whose classes are 0 to 2"
    assert told in capsys.readouterr().out
    for command in ("verify", "simulate"):
        assert run([command, build, *named]) == 0
        assert told in capsys.readouterr().err
