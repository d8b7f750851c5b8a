"""Backends are plug-ins: found by name, loaded with care, and the example of the documentation is one."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tclif_deploy import TclifError, backends
from tclif_deploy.simulation import reference
from tclif_deploy.target import load_target
from tests.helpers.random_networks import assert_same, random_network

EXAMPLE = Path("docs/example_backend")


def install(folder: Path, entry_points: str) -> None:
    """A distribution of that name on ``folder``, as pip would leave it."""
    info = folder / "stranger-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{backends.GROUP}]\n{entry_points}\n")


def test_the_built_in_backends_are_known_and_complete():
    assert backends.names()[: len(backends.BUILTIN)] == tuple(backends.BUILTIN)
    assert backends.BUILTIN.keys() >= {"lava", "onnx", "c", "engine"}
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
