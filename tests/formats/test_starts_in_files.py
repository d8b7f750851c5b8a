"""u0, s0 and a hard reset's r_u: which files say them, which are refused, and what older files mean."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tclif_deploy as tc
from tclif_deploy import TclifError, neurons
from tclif_deploy.comparison import equal
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.formats import export_nir, read_nir, write_netx, write_nir
from tclif_deploy.formats.network_file import read_network, write_network
from tclif_deploy.nn.from_network import to_module
from tclif_deploy.nn.quantized import QuantizedNetwork
from tclif_deploy.outputs import write_npz
from tests.helpers.random_networks import random_network

STARTS: dict[str, dict[str, Any]] = {
    "u0": {"u0": np.array([0.5, 0.0, -0.25])}, "s0": {"s0": np.array([1.0, 0.0, 1.0])},
    "hard": {"r_u": np.full(3, 0.5), "reset": "hard"},
}  # fmt: skip


def network_of(**arrays: Any) -> tc.Network:
    """A chain whose hidden layer feeds itself."""
    rng = np.random.default_rng(0)
    hidden = replace(neurons.tclif(3, c1=0.1, c2=0.2, gamma=0.0, threshold=1.0), **arrays)
    into = tc.Connection("input", rng.normal(0, 1, (3, 2))), tc.Connection("a", rng.normal(0, 1, (3, 3)), 1)
    out = tc.Layer("out", neurons.readout(2), (tc.Connection("a", rng.normal(0, 1, (2, 3))),))
    return tc.Network(2, (tc.Layer("a", hidden, into), out))


def header_of(path: Path) -> dict[str, Any]:
    """Of one of our .npz files."""
    with np.load(path, allow_pickle=False) as file:
        return json.loads(file["header"].tobytes())


def as_version(path: Path, version: int) -> None:
    """Make a file say that it is of an older version."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(arrays["header"].tobytes()) | {"version": version}
    arrays["header"] = np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8)
    write_npz(path, arrays)


@pytest.mark.parametrize("kind", STARTS)
def test_networks_that_say_more_are_files_of_version_4_and_come_back(tmp_path: Path, kind: str) -> None:
    network = network_of(**STARTS[kind])
    write_network(network, tmp_path / "network.npz")
    assert header_of(tmp_path / "network.npz")["version"] == 4
    assert equal(read_network(tmp_path / "network.npz"), network)
    fixed = tc.quantize(network, "loihi2", tc.Dataset(np.random.default_rng(1).normal(0, 1, (4, 30, 2))))
    fixed.save(tmp_path / "fixed.npz")
    assert header_of(tmp_path / "fixed.npz")["version"] == 4
    assert equal(FixedNetwork.load(tmp_path / "fixed.npz"), fixed)


def test_networks_that_do_not_are_the_files_that_they_were(tmp_path: Path) -> None:
    write_network(network_of(), tmp_path / "network.npz")
    fixed, _ = random_network(3, v0=True, reset="hard")
    fixed.save(tmp_path / "fixed.npz")
    for name in ("network.npz", "fixed.npz"):
        assert header_of(tmp_path / name)["version"] == 1
        assert not any(entry.endswith(("u0.npy", "s0.npy")) for entry in zipfile.ZipFile(tmp_path / name).namelist())


def test_a_hard_reset_of_an_older_file_leaves_the_dendrite(tmp_path: Path) -> None:
    write_network(network_of(**STARTS["hard"]), tmp_path / "network.npz")
    as_version(tmp_path / "network.npz", 1)
    assert not read_network(tmp_path / "network.npz").layers[0].neuron.r_u.any()
    fixed, _ = random_network(3, reset="hard", reset_u=True)
    fixed.save(tmp_path / "fixed.npz")
    as_version(tmp_path / "fixed.npz", 1)
    assert not any(layer.r_u.any() for layer in FixedNetwork.load(tmp_path / "fixed.npz").layers)


@pytest.mark.parametrize("name", ["0.u0", "0.s0"])
@pytest.mark.parametrize(("values", "message"), [
    (np.zeros(2, np.int64), "has shape"), (np.array([0.5, 0.0, 0.0]), "expected"),
    (np.array([2**40, 0, 0]), "supported|s0 is"),
])  # fmt: skip
def test_damaged_starts_are_one_line(tmp_path: Path, name: str, values: Any, message: str) -> None:
    network = network_of(**STARTS["u0"], s0=STARTS["s0"]["s0"])
    path = tmp_path / "fixed.npz"
    tc.quantize(network, "loihi2", tc.Dataset(np.random.default_rng(1).normal(0, 1, (4, 30, 2)))).save(path)
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    write_npz(path, arrays | {name: values})
    with pytest.raises(TclifError, match=message) as error:
        FixedNetwork.load(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", STARTS)
def test_what_has_no_word_for_it_refuses_it_and_writes_nothing(tmp_path: Path, kind: str) -> None:
    network = network_of(**STARTS[kind])
    with pytest.raises(TclifError, match=r"layer a: .*(among the torch modules|none of the modules')"):
        to_module(network)
    with pytest.raises(TclifError, match="layer a: a tclif is not one of netx's neurons"):
        write_netx(network, tmp_path / "network.net")
    fixed = tc.quantize(network, "loihi2", tc.Dataset(np.random.default_rng(1).normal(0, 1, (4, 30, 2))))
    modules = list(to_module(network_of()).float())
    with pytest.raises(TclifError, match=r"layer a: .*(u0|s0|r_u); neurons with it cannot be fine-tuned|layer a: has"):
        QuantizedNetwork(modules, fixed, tc.load_target("loihi2"))
    assert not list(tmp_path.iterdir())


def test_nir_holds_starts_in_its_graph_and_refuses_what_it_cannot(tmp_path: Path) -> None:
    network = network_of(u0=STARTS["u0"]["u0"], s0=STARTS["s0"]["s0"])
    write_nir(network, tmp_path / "own.nir")
    assert equal(read_nir(tmp_path / "own.nir"), network)
    with pytest.raises(TclifError, match=r"layer a: connection from a: a spike before the first step \(s0\)"):
        export_nir(network, tmp_path / "standard.nir")
    with pytest.raises(TclifError, match="layer a: a hard reset that takes r_u from the dendrite"):
        write_nir(network_of(**STARTS["hard"]), tmp_path / "hard.nir")
    export_nir(network_of(**STARTS["u0"]), tmp_path / "started.nir")
    assert equal(read_nir(tmp_path / "started.nir").layers[0].neuron.u0, STARTS["u0"]["u0"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.nir", "started.nir"]
