"""The methods paragraph: what it says is what the build holds, as plain text and as LaTeX."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

import tclif_deploy as tc
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
