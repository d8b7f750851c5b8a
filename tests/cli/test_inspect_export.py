"""``tclif inspect`` and ``tclif export`` as a stranger meets them."""

from __future__ import annotations

import json
from pathlib import Path

import nir
import numpy as np
import onnx
import pytest

from tclif_deploy import load
from tclif_deploy.cli.main import run
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers import checkpoints, foreign_graphs
from tests.helpers.cuba_networks import cuba_network
from tests.helpers.refusals import refused


@pytest.fixture
def model(tmp_path) -> Path:
    return checkpoints.write_checkpoint(tmp_path / "net")


@pytest.fixture
def recurrent(tmp_path) -> Path:
    """A NIR file of another tool."""
    return foreign_graphs.write_graph(foreign_graphs.recurrent_graph(), tmp_path / "recurrent.nir")


def spikes_of(network, features=3):
    x = np.random.default_rng(0).poisson(1.0, (4, 60, features)).astype(float)
    result = simulate_float(network, x)
    for s in result.spikes.values():
        assert 0.01 <= s.mean() <= 0.6
    return list(result.spikes.values()), result.readout


def test_inspect_tells_layers_neurons_conventions_and_assumptions(model, capsys):
    assert run(["inspect", str(model)]) == 0
    printed = capsys.readouterr().out
    for word in ("torch checkpoint", "3 features", "tclif", "v >= threshold, soft", "readout", "features.1"):
        assert word in printed


def test_inspect_in_json_has_every_number(model, capsys):
    assert run(["inspect", str(model), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    network = load(model)
    assert printed["kind"] == "torch checkpoint"
    assert printed["input"]["features"] == 3
    assert (
        printed["parameters"]
        == sum(layer["parameters"] for layer in printed["layers"])
        == 3 * 12 + 12 * 10 + 10 * 4 + 26
    )
    first = printed["layers"][0]
    assert first["connections"] == [{"source": "input", "kind": "dense", "shape": [12, 3], "delay": 0}]
    assert first["fires_at"] == ">="
    b_u = network.layers[0].neuron.b_u
    assert first["coefficients"]["b_u"] == [b_u.min(), b_u.max()]
    assert first["spectral_radius"] == pytest.approx(1.0, abs=1e-9)
    assert printed["layers"][-1]["fires_at"] is None


@pytest.mark.slow
def test_inspect_reads_every_kind_of_file(model, recurrent, tmp_path, capsys):
    from tclif_deploy.formats import write_netx, write_nir

    write_nir(load(model), tmp_path / "ours.nir")
    write_netx(cuba_network(), tmp_path / "ours.net")
    kinds = {tmp_path / "ours.nir": "NIR file of tclif", tmp_path / "ours.net": "netx file of lava-dl"}
    for path, kind in kinds.items():
        assert run(["inspect", str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["kind"] == kind
    assert run(["inspect", str(recurrent), "--dt", "1e-4"]) == 0
    printed = capsys.readouterr().out
    assert "lif1.lif (delay 1)" in printed
    assert "discretised with dt = 0.0001" in printed


def test_inspect_refuses_in_one_line(recurrent, tmp_path, capsys):
    assert "--dt 1e-4 for snnTorch" in refused(capsys, "inspect", recurrent)
    assert "file not found" in refused(capsys, "inspect", tmp_path / "none.pt")
    assert "known: nir" in refused(capsys, "inspect", recurrent, "--dt", "1e-4", "--convention", "mine")


@pytest.mark.slow
def test_export_to_nir_and_back_keeps_every_spike(model, tmp_path):
    out = tmp_path / "out.nir"
    assert run(["export", str(model), "--to", "nir", "-o", str(out), "-q"]) == 0
    assert isinstance(nir.read(out), nir.NIRGraph)
    (mine, a), (theirs, b) = spikes_of(load(model)), spikes_of(load(out))
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(a, b, rtol=1e-9)


@pytest.mark.parametrize("recurrent", [(), (0, 1)])
def test_export_to_torch_is_a_model_file_that_spikes_the_same(tmp_path, recurrent):
    model, out = checkpoints.write_checkpoint(tmp_path / "net", recurrent=recurrent), tmp_path / "out.pt"
    assert run(["export", str(model), "--to", "torch", "-o", str(out), "-q"]) == 0
    (mine, a), (theirs, b) = spikes_of(load(model)), spikes_of(load(out))
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(a, b, rtol=1e-9)


def test_export_to_onnx_writes_graphs_that_onnx_accepts(model, tmp_path, capsys):
    out = tmp_path / "onnx"
    data = checkpoints.write_data(tmp_path / "data.npz")
    assert run(["export", str(model), "--to", "onnx", "-o", str(out), "--calibration", str(data)]) == 0
    onnx.checker.check_model(onnx.load(out / "step.onnx"))
    assert "written: " in capsys.readouterr().err


def test_export_from_nir_to_netx(tmp_path):
    from tclif_deploy.formats import export_nir

    export_nir(cuba_network(), tmp_path / "in.nir")
    assert run(["export", str(tmp_path / "in.nir"), "--to", "netx", "-o", str(tmp_path / "out.net"), "-q"]) == 0
    assert [layer.size for layer in load(tmp_path / "out.net").layers] == [10, 5]


@pytest.mark.slow
def test_export_refuses_in_one_line_and_leaves_no_file(model, recurrent, tmp_path, capsys):
    out = tmp_path / "out"
    assert "known: nir, onnx, netx, torch" in refused(capsys, "export", model, "--to", "matlab", "-o", out)
    assert "is what this command reads" in refused(capsys, "export", model, "--to", "nir", "-o", model)
    assert "--calibration is for --to onnx or netx" in refused(
        capsys, "export", model, "--to", "nir", "-o", out, "--calibration", model
    )
    assert "time step" in refused(capsys, "export", model, "--to", "nir", "-o", out, "--export-dt", "0")
    assert "not among the torch modules" in refused(
        capsys, "export", recurrent, "--dt", "1e-4", "--to", "torch", "-o", out
    )
    assert not out.exists()


@pytest.mark.slow
def test_a_foreign_nir_file_compiles(recurrent, tmp_path):
    """Through quantization, the reference and a build folder."""
    x = (np.random.default_rng(0).random((6, 80, 10)) < 0.15).astype(np.int64)
    np.savez(tmp_path / "data.npz", x=x)
    command = ["compile", str(recurrent), "--dt", "1e-4", "--data", str(tmp_path / "data.npz"), "--backend", "none",
               "--weight-bits", "16", "-o", str(tmp_path / "build"), "-q", "--json"]  # fmt: skip
    assert run(command) == 0
    report = json.loads((tmp_path / "build" / "report.json").read_text())
    assert report["layers"][1]["jaccard"] > 0.99  # with 8 bits its weights alone leave 0.50
    assert all(0.01 <= layer["spike_rate_fixed"] <= 0.6 for layer in report["layers"])
    assert any("discretised with dt = 0.0001" in notice for notice in report["notices"])


@pytest.mark.slow
@pytest.mark.parametrize("command", ["check", "cost", "sweep"])
def test_a_foreign_nir_file_is_checked_costed_and_swept_with_its_time_step(recurrent, tmp_path, command, capsys):
    x = (np.random.default_rng(0).random((4, 40, 10)) < 0.15).astype(np.int64)
    np.savez(tmp_path / "data.npz", x=x)
    words = [command, str(recurrent), "--data", str(tmp_path / "data.npz"), "-q"]
    out = ["--output", str(tmp_path / "sweep.csv"), "--jobs", "1"] if command == "sweep" else []
    assert run([*words, *out, "--dt", "1e-4"]) in (0, 1)  # 1: it does not fit
    capsys.readouterr()
    assert run([*words, *out]) == 2
    assert "--dt" in capsys.readouterr().err
