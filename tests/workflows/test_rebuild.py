"""A build again from its manifest: the same bytes, or the name of each file that differs and why it cannot be made."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tclif_deploy as tc
from tclif_deploy import TclifError
from tclif_deploy.builds.folder import MANIFEST, write_json
from tclif_deploy.cli.main import run
from tclif_deploy.workflows.rebuild import rebuild
from tests.helpers import checkpoints
from tests.helpers.tclif_networks import calibration_data, tclif_network

QUIET = ["--min-agreement", "0", "--max-accuracy-drop", "1", "-q"]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a checkpoint, data and a build of them with other options than the usual ones."""
    folder = tmp_path_factory.mktemp("rebuild")
    model, data = checkpoints.write_checkpoint(folder / "net"), checkpoints.write_data(folder / "data.npz", samples=12)
    argv = ["compile", str(model), "--data", str(data), "-o", str(folder / "b"), "--backend", "c", *QUIET]
    assert run([*argv, "--weight-bits", "6", "--rounding", "nearest", "--samples", "9", "--headroom", "2"]) == 0
    return folder


@pytest.fixture
def copy(made, tmp_path) -> Path:
    """The build alone, to be changed; its model and data stay where they are."""
    shutil.copytree(made / "b", tmp_path / "b")
    return tmp_path / "b"


def test_every_file_comes_out_the_same(made, tmp_path, capsys):
    again = rebuild(made / "b", tmp_path / "again")
    assert again.equal
    names = {path.relative_to(made / "b").as_posix() for path in (made / "b").rglob("*") if path.is_file()}
    assert again.files == len(names) > 8
    assert {"manifest.json", "report.json", "fixed.npz", "report.html", "record.npz"} <= names
    assert tc.Build.open(tmp_path / "again") == tc.Build.open(made / "b")
    assert run(["rebuild", str(made / "b"), "-q"]) == 0
    assert f"{len(names)} files, every byte the same" in capsys.readouterr().out


def test_a_file_that_differs_is_named_and_the_exit_code_is_1(copy, capsys):
    with (copy / "fixed.npz").open("ab") as file:
        file.write(b"x")
    (copy / "c" / "more.txt").write_text("mine")
    assert run(["rebuild", str(copy), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["differ"] == ["c/more.txt", "fixed.npz"]
    assert (said["equal"], said["folder"]) == (False, None)


def test_what_explain_added_is_left_out(copy, made):
    tc.explain(copy, made / "data.npz", samples=2, jobs=1)
    again = rebuild(copy)
    assert again.equal
    assert again.files == rebuild(made / "b").files - 1  # the page, which explain wrote again


def test_a_circuit_that_was_placed_is_left_out(copy, made):
    build = tc.Build.open(copy)
    tc.backends.get("rtl").emit(build.fixed, build.target, copy / "rtl")
    assert not rebuild(copy).equal
    (copy / "rtl" / "synthesis.json").write_text("{}")
    again = rebuild(copy)
    assert again.equal
    assert again.files == rebuild(made / "b").files - 1  # the page, which may show it


def test_widths_that_were_found_are_found_again(made, tmp_path):
    argv = ["compile", str(made / "net" / "checkpoint.pth.tar"), "--data", str(made / "data.npz"), "--backend", "none"]
    assert run([*argv, "-o", str(tmp_path / "auto"), "--weight-bits", "auto", *QUIET]) == 0
    assert rebuild(tmp_path / "auto").equal


def test_other_input_than_then_is_refused_by_name(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "x")
    monkeypatch.chdir(tmp_path)
    argv = ["compile", "x/net/checkpoint.pth.tar", "--data", "x/data.npz", "-o", "b", "--backend", "none", *QUIET]
    assert run(argv) == 0
    assert rebuild("b").equal
    data = dict(np.load("x/data.npz"))
    np.savez("x/data.npz", **{**data, "y": (data["y"] + 1) % 3})
    with pytest.raises(TclifError, match=r"x/data.npz: holds other data by now; put the former ones back"):
        rebuild("b")
    Path("x/data.npz").unlink()
    with pytest.raises(TclifError, match=r"x/data.npz: the data are not there; run it in the folder from which"):
        rebuild("b")
    np.savez("x/data.npz", **data)
    model = Path("x/net/checkpoint.pth.tar")
    model.write_bytes(model.read_bytes() + b"0")
    with pytest.raises(TclifError, match=r"checkpoint.pth.tar: is another model by now"):
        rebuild("b")
    model.unlink()
    with pytest.raises(TclifError, match=r"checkpoint.pth.tar: the model is not there"):
        rebuild("b")


def test_what_only_its_program_can_make_is_refused(copy, tmp_path):
    options = tc.CompileOptions(backend="none", quantize=tc.QuantizeSettings(passes=()))
    live = tc.compile(tclif_network(), data=calibration_data(), output=tmp_path / "live", options=options)
    with pytest.raises(TclifError, match=r"its model was a live module \(Network\)"):
        rebuild(live)
    manifest = tc.Build.open(copy).manifest
    in_memory = replace(manifest, verified_on=replace(manifest.verified_on, path=None))
    write_json(copy / MANIFEST, in_memory)
    with pytest.raises(TclifError, match="its data were in memory"):
        rebuild(copy)
    kept = json.loads((copy / MANIFEST).read_text())
    del kept["choices"], kept["verified_on"]
    (copy / MANIFEST).write_text(json.dumps(kept))
    with pytest.raises(TclifError, match=r"manifest.json is of an earlier version.*it was made by: tclif compile"):
        rebuild(copy)


def test_another_version_of_a_package_is_said(copy):
    manifest = tc.Build.open(copy).manifest
    write_json(copy / MANIFEST, replace(manifest, versions={**manifest.versions, "numpy": "0.1"}))
    lines: list[str] = []
    again = rebuild(copy, say=lines.append)
    assert again.versions[0].startswith("numpy 0.1 then, ")
    assert again.versions[0] in lines
    assert again.differ == ("manifest.json",)


def test_an_earlier_build_of_other_settings_is_not_replaced_in_silence(made, tmp_path, capsys):
    argv = ["compile", str(made / "net" / "checkpoint.pth.tar"), "--data", str(made / "data.npz"), "--backend", "none"]
    argv += ["-o", str(tmp_path / "b"), "--min-agreement", "0", "--max-accuracy-drop", "1"]
    for more, told in ([[], False], [[], False], [["--weight-bits", "5"], True], [["--weight-bits", "5"], False]):
        assert run([*argv, *more]) == 0
        said = " ".join(capsys.readouterr().err.split())
        assert ("replaces an earlier build with other settings" in said) == told
        assert ("target: weight_bits 8 → 5" in said) == told
    (tmp_path / "b" / "fixed.npz").write_bytes(b"")
    assert run(argv) == 0
    assert "replaces an earlier build that cannot be read" in capsys.readouterr().err
