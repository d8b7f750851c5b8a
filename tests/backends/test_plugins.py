"""Backends are plug-ins: found by name, loaded with care, and the example of the documentation is one."""

import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from tclif_deploy import Connection, Layer, Network, TclifError, backends, neurons, write_nir
from tclif_deploy.readout import DECIDING, OF_INTEGERS
from tclif_deploy.simulation import reference
from tclif_deploy.target import load_target
from tclif_deploy.verification import difference
from tclif_deploy.workflows.compile import CompileOptions, compile
from tclif_deploy.workflows.fuzz import fuzz
from tests.helpers import readouts
from tests.helpers.random_networks import assert_same, random_network
from tests.helpers.requirements import needs

EXAMPLE = Path("docs/example_backend")


def install(folder: Path, entry_points: str) -> None:
    """A distribution of that name on ``folder``, as pip would leave it."""
    info = folder / "stranger-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{backends.GROUP}]\n{entry_points}\n")


def test_the_built_in_backends_are_known_and_complete():
    assert backends.names()[: len(backends.BUILTIN)] == tuple(backends.BUILTIN)
    assert backends.BUILTIN.keys() >= {"lava", "onnx", "c", "engine", "rtl"}
    for name in backends.BUILTIN:
        assert all(callable(getattr(backends.get(name), function)) for function in backends.FUNCTIONS)


def test_the_packages_own_metadata_names_the_built_in_backends():
    text = Path("pyproject.toml").read_text()
    for name, module in backends.BUILTIN.items():
        assert f'{name} = "{module}"' in text


@pytest.mark.slow
@pytest.mark.parametrize("name", backends.BUILTIN)
def test_every_built_in_backend_equals_the_reference_through_the_protocol(tmp_path, name):
    network, x = random_network(21, recurrent=True, bits_u=24, bits_v=24, sizes=(3, 9, 4), samples=3, time=25)
    backend = backends.get(name)
    backend.check_installed()
    backend.emit(network, load_target("loihi2"), tmp_path / name)
    assert_same(backend.run(tmp_path / name, x), reference.simulate(network, x))


@pytest.mark.slow
def test_the_example_plug_in_installs_runs_and_equals_the_reference(tmp_path, monkeypatch):
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
         "--target", site, EXAMPLE],
        check=True,
    )  # fmt: skip
    monkeypatch.syspath_prepend(str(site))
    assert backends.names()[-1] == "exact"
    assert metadata.version("tclif-exact") == "1.0"
    backend = backends.get("exact")
    backend.check_installed()
    for chosen in ({"rounding": "toward_zero", "reset": "hard"}, {"rounding": "nearest", "overflow_u": "wrap"}):
        network, x = random_network(
            22, recurrent=True, skip=True, feedback=True, saturating=True, bits_u=14, bits_v=14, q=True, delay=2,
            sizes=(3, 9, 8, 4), samples=2, time=25, **chosen,
        )  # fmt: skip
        backend.emit(network, load_target("ideal"), tmp_path / "exact")
        assert_same(backend.run(tmp_path / "exact", x), reference.simulate(network, x))


def test_the_example_plug_in_is_one_page():
    assert len((EXAMPLE / "tclif_exact.py").read_text().splitlines()) <= 62


@pytest.mark.parametrize(
    ("declared", "computed"), [("", ()), ("READOUTS = ('max', 'count')\n", ("max", "count", "votes:2"))]
)
def test_a_plug_in_gets_the_readout_rules_that_it_declares(tmp_path, monkeypatch, declared, computed):
    functions = "def check_installed(): pass\ndef emit(fixed, target, folder): pass\ndef run(folder, x): pass\n"
    module = f"stranger_{len(declared)}"
    (tmp_path / f"{module}.py").write_text(declared + functions)
    install(tmp_path, f"stranger = {module}")
    monkeypatch.syspath_prepend(str(tmp_path))
    network, _ = random_network(21, sizes=(3, 9, 4), spiking_output=True)
    backends.check_readout("stranger", network)
    for text in ("last", "sum", "max", "votes:2", "first"):
        ruled = readouts.with_rule(network, text)
        if text in computed:
            backends.check_readout("stranger", ruled)
            continue
        with pytest.raises(TclifError, match=f"stranger: does not compute the readout {text}; it computes (last|max),"):
            backends.check_readout("stranger", ruled)


@pytest.mark.parametrize("options", [{"u0": True}, {"s0": True}, {"reset": "hard", "reset_u": True}])
def test_a_plug_in_gets_starts_and_resets_of_the_dendrite_where_it_says_so(tmp_path, monkeypatch, options):
    functions = "def check_installed(): pass\ndef emit(fixed, target, folder): pass\ndef run(folder, x): pass\n"
    for name, declared in (("plain", ""), ("starting", "STARTS = True\n")):
        (tmp_path / f"{name}.py").write_text(declared + functions)
    install(tmp_path, "plain = plain\nstarting = starting")
    monkeypatch.syspath_prepend(str(tmp_path))
    network, _ = random_network(21, sizes=(3, 9, 4), **options)
    for name in ("starting", *backends.BUILTIN):
        backends.check_starts(name, network)
    said = next(iter(options)) if len(options) == 1 else "a hard reset that takes r_u"
    with pytest.raises(TclifError, match=f"plain: layer layer0: does not compute {said}"):
        backends.check_starts("plain", network)
    backends.check_starts("plain", random_network(21, sizes=(3, 9, 4), reset="hard")[0])


def test_every_rule_is_computed_by_the_backends_that_declare_all():
    for name in ("c", "onnx", "engine"):
        assert set(backends.get(name).READOUTS) == set(OF_INTEGERS)
    assert set(OF_INTEGERS) - set(backends.get("lava").READOUTS) == set(DECIDING)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["sum", "votes:2", "first"])
def test_the_engine_reads_what_emit_wrote_by_its_rule(tmp_path, text):
    network, x, lengths = readouts.ruled(text, True)
    backend = backends.get("engine")
    backend.emit(network, None, tmp_path)
    assert_same(backend.run(tmp_path, x, lengths=lengths), reference.simulate(network, x, lengths=lengths))


def test_a_decision_that_differs_or_is_missing_is_found():
    network, x, lengths = readouts.ruled("first", False)
    want = reference.simulate(network, x, lengths=lengths)
    assert difference(want, want, x.shape[1]).equal
    assert difference(want, replace(want, decided=want.decided + 1), x.shape[1]).state_mismatches == len(x)
    with pytest.raises(TclifError, match=r"the backend's decided is missing, expected \(6,\)"):
        difference(want, replace(want, decided=None), x.shape[1])


def ruled_model(folder: Path, text: str) -> Path:
    neuron = neurons.readout(4, decay=0.9)
    out = Layer("out", neuron, (Connection("input", np.random.default_rng(1).normal(size=(4, 3))),))
    write_nir(Network(3, (out,)).with_readout(text), folder / "model.nir")
    return folder / "model.nir"


def test_a_build_with_a_backend_that_cannot_compute_its_readout_is_refused_and_leaves_nothing(tmp_path):
    model = ruled_model(tmp_path, "first:0.5")
    with pytest.raises(TclifError, match=r"lava: does not compute the readout first:0\.5"):
        compile(model, "loihi2", output=tmp_path / "build", options=CompileOptions(backend="lava,engine"))
    assert [path.name for path in tmp_path.iterdir()] == ["model.nir"]


@pytest.mark.slow
def test_a_build_compares_its_backends_readout_and_fuzzes_those_that_compute_it(tmp_path):
    needs("gcc")
    x = np.random.default_rng(2).normal(size=(4, 30, 3))
    options = CompileOptions(backend="c,onnx,engine")
    build = compile(ruled_model(tmp_path, "first:0.5"), "loihi2", data=x, calibration=x, output=tmp_path / "build",
                    options=options)  # fmt: skip
    assert {name: check.equal for name, check in build.verdict.backends.items()} == dict.fromkeys(
        ("c", "onnx", "engine"), True
    )
    report = fuzz(build, ("c", "onnx", "lava"), 2, steps=20, skip_missing=True)
    assert report.equal
    assert report.backends.keys() == {"c", "onnx"}
    assert "does not compute the readout" in report.skipped["lava"]


def test_an_unknown_backend_is_refused_with_the_known_ones():
    with pytest.raises(TclifError, match="backend 'lavaa' is not known; known: lava, onnx, c, engine"):
        backends.get("lavaa")
    with pytest.raises(TclifError, match=r"backend 'x' is not known; known: lava, onnx, c, engine.*all, none"):
        backends.parse("c,x")


def test_a_list_of_names_is_parsed_each_once():
    assert backends.parse("c, onnx,c") == ("c", "onnx")
    assert backends.parse("none") == ()
    assert backends.parse("all") == backends.names()


def test_a_broken_plug_in_is_one_line_and_harms_no_other(tmp_path, monkeypatch):
    (tmp_path / "stranger_broken.py").write_text("raise RuntimeError('no licence\\nfound')\n")
    (tmp_path / "stranger_half.py").write_text("def emit(fixed, target, folder): pass\n")
    install(tmp_path, "broken = stranger_broken\nabsent = stranger_absent\nhalf = stranger_half\n../evil = os")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert {"broken", "absent", "half"} <= set(backends.names())
    assert "../evil" not in backends.names()
    with pytest.raises(TclifError, match="backend broken: stranger_broken cannot be loaded"):
        backends.get("broken")
    with pytest.raises(TclifError, match=r"backend absent: stranger_absent cannot be loaded .ModuleNotFoundError"):
        backends.get("absent")
    with pytest.raises(TclifError, match="backend half: stranger_half has no check_installed, run"):
        backends.get("half")
    with pytest.raises(TclifError, match="not known"):
        backends.get("../evil")
    assert backends.get("c").__name__ == "tclif_deploy.backends.c"


def test_no_plug_in_takes_a_built_in_name(tmp_path, monkeypatch):
    install(tmp_path, "c = stranger_absent")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert backends.names().count("c") == 1
    assert backends.get("c").__name__ == "tclif_deploy.backends.c"
