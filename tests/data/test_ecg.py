"""The ECG files of Yin and others: read as they stand, or refused in one line; trained, compiled and verified."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tclif_deploy as tc
from tclif_deploy.cli.main import run
from tclif_deploy.data.ecg import load_ecg
from tclif_deploy.errors import TclifError
from tests.helpers.refusals import refused
from tests.helpers.requirements import needs_module
from tests.helpers.step_tasks import beats


def write_mat(path: Path, x: Any, y: Any, **more: Any) -> Path:
    """A MAT file with the names that the authors' have."""
    needs_module("scipy").io.savemat(path, {"x": x, "y": y, "t": np.zeros(x.shape[:2]), "max_i": x.shape[1], **more})
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the authors' two files, small: x as doubles, y one-hot."""
    needs_module("scipy.io")
    folder = tmp_path / "data"
    folder.mkdir()
    for seed, part in enumerate(("train", "test")):
        x, y = beats(seed=seed)
        write_mat(folder / f"QTDB_{part}.mat", x.astype(np.float64), np.eye(6, dtype=np.uint8)[y])
    return folder


def test_the_authors_files_are_read(folder: Path) -> None:
    x, y = beats(seed=0)
    data = load_ecg(folder / "QTDB_train.mat")
    assert data.x.dtype == np.int8
    assert data.y is not None
    assert data.mask is not None
    assert (data.task, data.x.min()) == ("step-label", -1)
    np.testing.assert_array_equal(data.x, x)
    np.testing.assert_array_equal(data.y, y)
    assert not data.mask[:, :10].any()
    assert data.mask[:, 10:].all()


def test_steps_without_a_class_are_of_class_0_and_labels_are_taken_as_they_are(tmp_path: Path) -> None:
    needs_module("scipy.io")
    x, y = beats(samples=3)
    one_hot = np.eye(6)[y]
    one_hot[1, 40:] = 0
    data = load_ecg(write_mat(tmp_path / "a.mat", x + 0.25, one_hot))
    assert data.mask is not None
    assert data.x.dtype == np.float32
    assert data.mask[:, 10:].all()
    np.testing.assert_array_equal(data.y, np.where(one_hot.any(2), y, 0))
    labels = load_ecg(write_mat(tmp_path / "b.mat", x, y.astype(np.float64)))
    np.testing.assert_array_equal(labels.y, y)


@pytest.mark.slow
def test_train_learns_them_and_what_is_compiled_says_the_same(folder: Path, capsys: Any) -> None:
    out, build = folder.parent / "run" / "checkpoint.pth.tar", folder.parent / "build"
    words = ["train", "ecg", "--data", str(folder), "-o", str(out), "--epochs", "12", "--batch-size", "16"]
    assert run([*words, "--lr", "1e-2", "--json"]) == 0
    last = json.loads(capsys.readouterr().out)["history"][-1]
    assert last["task"] == "step-label"
    assert last["test"] > 0.5  # chance is 1/6
    args = json.loads((out.parent / "args.json").read_text())
    assert (args["task"], args["targets"], args["readout_decay"]) == ("ECG", "step-label", 0.9)
    test = load_ecg(folder / "QTDB_test.mat")
    words = ["compile", str(out), "--data", str(folder / "QTDB_test.mat"), "-o", str(build), "--min-accuracy", "0.5"]
    assert run([*words, "--backend", "c", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["accuracy"]["float"] == pytest.approx(last["test"], abs=0.02)
    assert report["judged"] % 50 == 0
    opened = tc.Build.open(build)
    said = tc.simulate(opened.fixed, test.x, readouts=True)
    exact = tc.simulate(opened.fixed, test.x[:2], readouts=True, engine="reference")
    np.testing.assert_array_equal(said.readouts[:2], exact.readouts)  # type: ignore[index]


def test_npz_files_of_the_user_come_first(folder: Path, tmp_path: Path) -> None:
    for part in ("train", "test"):
        x, y = beats(samples=8)
        np.savez(folder / f"{part}.npz", x=x, y=y)
    assert run(["train", "ecg", "--data", str(folder), "-o", str(tmp_path / "c"), "--epochs", "1", "-q"]) == 0


X, Y = beats(samples=2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"z": X}, "no x and y in it"),
        ({"x": X, "y": np.eye(6)[Y][:, :-1]}, "x is int8 of shape"),
        ({"x": X, "y": np.eye(6)[Y] * 0.5}, "not one-hot"),
        ({"x": X, "y": np.ones((2, 60, 6))}, "not one-hot"),
        ({"x": X, "y": Y + 0.5}, "no labels"),
        ({"x": X[0], "y": Y[0]}, "x is int8 of shape"),
        ({"x": np.full(X.shape, np.nan), "y": Y}, "inputs must be finite"),
        ({"x": "text", "y": Y}, "x is <U4"),
    ],
)
def test_other_content_is_refused_by_name(content: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "QTDB_train.mat"
    needs_module("scipy.io").savemat(path, content)
    with pytest.raises(TclifError, match=said) as caught:
        load_ecg(path)
    assert str(path) in str(caught.value)


def test_damaged_and_newer_files_are_refused(tmp_path: Path) -> None:
    needs_module("scipy.io")
    whole = write_mat(tmp_path / "whole.mat", X, Y).read_bytes()
    for name, data in (("cut", whole[: len(whole) // 2]), ("text", b"x" * 300), ("empty", b"")):
        path = tmp_path / f"{name}.mat"
        path.write_bytes(data)
        with pytest.raises(TclifError, match=r"cannot be read \("):
            load_ecg(path)
    lying = tmp_path / "lying.mat"
    lying.write_bytes(
        whole.replace(np.array(X.shape, "<i4").tobytes(), np.array([1 << 20, 1 << 10, 4], "<i4").tobytes())
    )
    with pytest.raises(TclifError, match="more than the file holds"):
        load_ecg(lying)
    newer = tmp_path / "newer.mat"
    newer.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124, b" ") + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n" * 8)
    with pytest.raises(TclifError, match=r"version 7\.3; save it with -v7"):
        load_ecg(newer)


def test_what_is_missing_is_named(folder: Path, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    words = ("train", "ecg", "--data", folder, "-o", tmp_path / "c.pth.tar", "-q")
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    assert "pip install 'tclif-deploy[ecg]', or write x and y into train.npz" in refused(capsys, *words)
    (folder / "QTDB_test.mat").unlink()
    assert "has no QTDB_test.mat or test.mat or test.npz" in refused(capsys, *words)
    (folder / "QTDB_train.mat").unlink()
    line = refused(capsys, *words)
    assert "has no QTDB_train.mat or train.mat or train.npz and QTDB_test.mat or test.mat or test.npz" in line
    assert "no data folder given" in refused(capsys, "train", "ecg", "-o", tmp_path / "c.pth.tar", "-q")
    assert "nowhere: no such folder" in refused(
        capsys, "train", "ecg", "--data", "nowhere", "-o", tmp_path / "c.pth.tar", "-q"
    )
