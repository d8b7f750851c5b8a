"""The command line as a stranger meets it: what it writes, what it prints, and how it refuses."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tclif_deploy.cli.main import run
from tclif_deploy.fixed import FixedNetwork
from tests.helpers import checkpoints
from tests.helpers.refusals import refused

KEYS = {
    "samples", "accuracy.float", "accuracy.fixed", "agreement.argmax", "agreement.logit_snr_db", "saturations",
}  # fmt: skip
LAYER_KEYS = {"name", "jaccard", "spike_rate_float", "spike_rate_fixed", "first_divergence"}


@pytest.fixture
def model(tmp_path) -> Path:
    return checkpoints.write_checkpoint(tmp_path / "net")


@pytest.fixture
def data(tmp_path) -> Path:
    return checkpoints.write_data(tmp_path / "data.npz")


@pytest.mark.slow
def test_compile_writes_a_whole_build_and_a_report_with_the_promised_keys(model, data, tmp_path, capsys):
    out = tmp_path / "build"
    assert run(["compile", str(model), "--data", str(data), "-o", str(out), "--json", "--backend-samples", "2"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((out / "report.json").read_text())
    for key in KEYS:
        value = report
        for part in key.split("."):
            value = value[part]
    assert [set(layer) for layer in report["layers"]] == [LAYER_KEYS] * 2
    for layer in report["layers"]:
        assert 0.01 < layer["spike_rate_float"] < 0.6
        assert 0.5 < layer["jaccard"] <= 1
    assert report["samples"] == 6  # the first quarter calibrated
    assert report["backends"]["lava"]["samples"] == 2
    assert report["backends"]["lava"]["spike_mismatches"] == 0
    assert report["backends"]["lava"]["state_mismatches"] == 0
    for name in ("manifest.json", "network.nir", "fixed.npz", "lava/run.py"):
        assert (out / name).is_file()
    assert FixedNetwork.load(out / "fixed.npz").input.size == 3


@pytest.mark.slow
def test_same_input_same_bytes(model, data, tmp_path):
    for name in ("a", "b"):
        assert (
            run(["compile", str(model), "--data", str(data), "-o", str(tmp_path / name), "--backend", "none", "-q"])
            == 0
        )
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) >= 4
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_without_data_it_compiles_and_says_that_nothing_was_verified(model, tmp_path, capsys):
    assert run(["compile", str(model), "-o", str(tmp_path / "build")]) == 0
    printed = capsys.readouterr()
    assert "nothing was verified" in printed.out
    assert "worst-case bound" in printed.out
    report = json.loads((tmp_path / "build" / "report.json").read_text())
    assert report["samples"] == 0
    assert report["accuracy"] == {"float": None, "fixed": None}


def test_without_labels_accuracy_is_null_and_agreement_counts(model, tmp_path, capsys):
    data = checkpoints.write_data(tmp_path / "data.npz", labels=False)
    assert (
        run(["compile", str(model), "--data", str(data), "-o", str(tmp_path / "b"), "--json", "--backend", "none"]) == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert report["accuracy"] == {"float": None, "fixed": None}
    assert 0 <= report["agreement"]["argmax"] <= 1


@pytest.mark.slow
def test_an_old_build_is_replaced_and_a_foreign_folder_refused(model, data, tmp_path, capsys):
    out = tmp_path / "build"
    argv = ["compile", str(model), "-o", str(out), "--backend", "none", "-q"]
    assert run(argv) == 0
    (out / "mine").write_text("x")
    capsys.readouterr()
    assert "build: holds mine, which no build has" in refused(capsys, *argv)
    assert (out / "mine").read_text() == "x"
    (out / "mine").unlink()
    (out / "onnx").mkdir()
    (out / "onnx" / "stale").write_text("x")
    assert run(argv) == 0
    assert not (out / "onnx").exists()
    capsys.readouterr()
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("x")
    assert "not a build of ours" in refused(capsys, "compile", model, "-o", foreign, "-q")
    assert (foreign / "thesis.tex").read_text() == "x"


@pytest.mark.slow
def test_a_verdict_that_falls_short_exits_1_and_keeps_the_build(model, data, tmp_path, capsys):
    argv = ["compile", str(model), "--data", str(data), "-o", str(tmp_path / "b"), "--backend", "none", "-q"]
    assert run([*argv, "--weight-bits", "2", "--min-agreement", "1", "--min-jaccard", "0.99"]) == 1
    assert "verdict: FALLS SHORT: agreement" in capsys.readouterr().out
    assert (tmp_path / "b" / "report.json").is_file()
    assert run([*argv, "--min-agreement", "0"]) == 0


def test_calibration_beside_the_model_leaves_all_data_to_the_verdict(model, data, tmp_path, capsys):
    checkpoints.write_data(model.parent / "calibration.npz", seed=5)
    assert (
        run(["compile", str(model), "--data", str(data), "-o", str(tmp_path / "b"), "--backend", "none", "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["samples"] == 8


def test_threshold_nowhere_says_where_to_put_it(tmp_path, capsys):
    model = checkpoints.write_checkpoint(tmp_path / "net", args=None)
    line = refused(capsys, "compile", model, "-q")
    assert "threshold" in line
    assert "--threshold" in line
    assert run(["compile", str(model), "--threshold", "1", "--gamma", "0.5", "-o", str(tmp_path / "b"), "-q"]) == 0


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"features": 5}, "5 features a step, the network takes 3"),
        ({"x": np.array([[{"a": 1}]], dtype=object)}, "object arrays"),
        ({"x": np.full((4, 9, 3), np.nan)}, r"x[0, 0, 0] is nan"),
        ({"x": np.zeros((0, 9, 3))}, "at least one sample"),
        ({"y": np.zeros(3, int)}, "y is int64 of shape (3,)"),
        ({"scale": -1.0}, "scale is -1.0"),
        ({"lengths": np.full(8, 99)}, "lengths lie in 99..99"),
    ],
)
def test_wrong_data_is_refused_in_one_line_and_nothing_is_left(model, tmp_path, capsys, arrays, message):
    data = checkpoints.write_data(tmp_path / "bad.npz", **arrays)
    out = tmp_path / "out" / "build"
    assert message in refused(capsys, "compile", model, "--data", data, "-o", out, "-q")
    assert not out.exists()
    assert not out.parent.exists() or not any(out.parent.iterdir())


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 truncated"])
def test_broken_data_files_are_refused_in_one_line(model, tmp_path, capsys, content):
    (tmp_path / "bad.npz").write_bytes(content)
    refused(capsys, "compile", model, "--data", tmp_path / "bad.npz", "-o", tmp_path / "b", "-q")


def test_data_without_x_names_what_it_found(model, tmp_path, capsys):
    np.savez(tmp_path / "d.npz", images=np.zeros(3))
    line = refused(capsys, "compile", model, "--data", tmp_path / "d.npz", "-o", tmp_path / "b", "-q")
    assert "no array 'x' (found: images)" in line


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--target", "lohi2"], "did you mean loihi2? known: ecp5-25f, "),
        (["--target", "nowhere.toml"], "nowhere.toml: file not found"),
        (["--data", "nowhere.npz"], "nowhere.npz: file not found"),
        (["--threshold", "-1"], "threshold"),
        (["--threshold", "nan"], "threshold"),
        (["--backend", "lvaa"], "backend 'lvaa' is not known"),
        (["--engine", "warp"], "--engine is 'warp'; known"),
        (["--min-agreement", "1.5"], "--min-agreement is 1.5"),
        (["--min-agreement", "0.9"], "--min-agreement needs something to measure; give --data"),
        (["--headroom", "0"], "headroom is 0"),
        (["--weight-bits", "1"], "weight_bits"),
        (["--rounding", "up"], "rounding"),
        (["--samples", "0"], "--samples"),
        (["--no-such-flag"], "No such option"),
        (["extra"], "extra"),
    ],
)
def test_wrong_flags_are_refused_in_one_line(model, capsys, argv, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, "compile", model, "-q", *argv)
    assert not (tmp_path / "build").exists() or not any((tmp_path / "build").iterdir())


def test_labels_missing_where_accuracy_is_asked_for(model, tmp_path, capsys):
    data = checkpoints.write_data(tmp_path / "d.npz", labels=False)
    line = refused(capsys, "compile", model, "--data", data, "--min-accuracy", "0.5", "-o", tmp_path / "b", "-q")
    assert "no labels" in line


@pytest.mark.parametrize("name", ["missing.pt", "folder"])
def test_a_model_that_is_not_there(tmp_path, capsys, name):
    (tmp_path / "folder").mkdir()
    refused(capsys, "compile", tmp_path / name, "-q")


def test_an_output_that_cannot_be_written(model, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert "cannot be written" in refused(capsys, "compile", model, "-o", tmp_path / "file" / "build", "-q")
    assert "is not a folder" in refused(capsys, "compile", model, "-o", tmp_path / "file", "-q")


def test_debug_shows_the_traceback(model, capsys):
    assert run(["compile", str(model), "--target", "nowhere", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.slow
def test_missing_lava_is_said_with_the_commands_before_any_work(model, data, tmp_path):
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name.split('.')[0] == 'lava' else find(name, *a)\n"
        "sys.modules['lava'] = None\n"
        "from tclif_deploy.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )
    argv = ["compile", str(model), "--data", str(data), "-o", str(tmp_path / "b"), "-q"]
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, timeout=900)
    assert done.returncode == 2
    assert "lava-nc==0.10.0" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "b").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_halfway_nothing_is_left(tmp_path, number):
    model = checkpoints.write_checkpoint(tmp_path / "net")
    data = checkpoints.write_data(tmp_path / "data.npz", samples=64, time=3000)
    out = tmp_path / "out" / "build"
    argv = [sys.executable, "-m", "tclif_deploy.cli.main", "compile", str(model), "--data", str(data), "-o", str(out)]
    child = subprocess.Popen(
        argv, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
        # a shell's background job ignores SIGINT, and its children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert child.stderr is not None
    for line in child.stderr:
        if "verifying" in line or "running lava" in line:
            break
    time.sleep(0.3)
    child.send_signal(number)
    rest = child.stderr.read()
    assert child.wait(60) == 130
    assert "interrupted: nothing was written" in rest
    assert not out.parent.exists()  # it was made for the build


def test_help_and_version_answer(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == "0.1.0"
    assert run(["compile", "--help"]) == 0
    assert "--min-agreement" in capsys.readouterr().out


@pytest.mark.slow
def test_doctor_names_what_is_installed(capsys):
    assert run(["doctor"]) == 0
    assert "lava-nc 0.10.0" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_tclif_alone_shows_its_help(words):
    done = subprocess.run(
        [sys.executable, "-m", "tclif_deploy", *words], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "compile" in done.stdout
    assert "Usage: tclif" in done.stdout


@pytest.mark.parametrize("words", [["targets"], ["targets", "--json"], ["--help"], ["inspect", "nowhere"]])
def test_a_reader_that_stops_is_no_network_that_falls_short(words):
    """As in ``tclif targets | head``: the exit code is a shell's for SIGPIPE, whatever was to be said."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "tclif_deploy", *words]
    assert subprocess.run(command, stdout=writing, stderr=writing, check=False).returncode == 141
    if words != ["inspect", "nowhere"]:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
        assert (done.returncode, done.stderr) == (141, b"")
    os.close(writing)
