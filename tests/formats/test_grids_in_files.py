"""The units of numbers that are integers already, through every file that carries them, to the same integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

from tclif_deploy import TclifError, dequantize, load, load_target, neurons, quantize
from tclif_deploy.comparison import equal
from tclif_deploy.convolution import Conv
from tclif_deploy.fixed import LAYER_ARRAYS, FixedNetwork
from tclif_deploy.formats import export_nir, read_netx, read_nir, write_netx, write_nir
from tclif_deploy.formats.network_file import read_network, write_network
from tclif_deploy.grid import InputGrid, LayerGrid
from tclif_deploy.network import Connection, Layer, Network
from tests.helpers.tclif_networks import LOIHI2, calibration_data, tclif_network

LOIHI1 = load_target("loihi1")
KEPT = "are kept as they are"


def with_units(name: str, neuron: neurons.Neuron, *connections: Connection) -> Layer:
    """A layer of netx's units."""
    unit = np.full(neuron.size, 2.0**-6)
    grid = LayerGrid(24, unit, unit, tuple(np.ones(len(c.weight)) for c in connections))
    return Layer(name, neuron, connections, grid)


def cuba(size: int, current_decay: float = 1.0, bias: float = 3.0) -> neurons.Neuron:
    return neurons.cuba_lif(
        size, current_decay=current_decay, voltage_decay=163 / 4096, threshold=25.0, bias_v=bias
    )  # fmt: skip


def whole(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).integers(-9, 10, shape).astype(float)


RECURRENT = Network(4, (
    with_units("first", cuba(6, 0.5), Connection("input", whole(6, 4)), Connection("first", whole(6, 6), 1)),
    with_units("b", cuba(3, bias=0.0), Connection("first", whole(3, 6))),
), input_grid=InputGrid(1.0))  # fmt: skip
MAPS = Network(16, (
    with_units("m", cuba(32), Connection("input", whole(2, 1, 3, 3), 0, Conv((1, 4, 4), padding=(1, 1, 1, 1)))),
    with_units("c", cuba(5), Connection("m", whole(5, 32))),
), input_grid=InputGrid(1.0))  # fmt: skip
TCLIF = dequantize(quantize(tclif_network(recurrent=True), LOIHI2, calibration_data()))
NETWORKS = {"recurrent": (RECURRENT, LOIHI1), "maps": (MAPS, LOIHI1), "tc-lif": (TCLIF, LOIHI2)}


def data_of(network: Network) -> np.ndarray:
    return (np.random.default_rng(0).random((2, 20, network.input_size)) < 0.4).astype(np.int8)


def assert_same_integers(one: FixedNetwork, other: FixedNetwork) -> None:
    assert one.input == other.input
    assert KEPT in one.notices[-1]
    assert KEPT in other.notices[-1]
    for a, b in zip(one.layers, other.layers, strict=True):
        # without memory in u, a bias into u is one into v: NIR's own LIF has it in the weights before it
        np.testing.assert_array_equal(a.bias_u + a.bias_v, b.bias_u + b.bias_v)
        moved = ("bias_u", "bias_v") if not a.a_u.any() and (a.b_v == one.arithmetic.one).all() else ()
        for name in set(LAYER_ARRAYS) - set(moved):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=f"{a.name}: {name}")
        for c, d in zip(a.connections, b.connections, strict=True):
            np.testing.assert_array_equal(c.weight, d.weight)
        assert a.shift == b.shift


@pytest.mark.parametrize("name", NETWORKS)
def test_our_own_form_gives_the_network_back_to_the_last_bit(tmp_path, name):
    network, target = NETWORKS[name]
    write_network(network, tmp_path / "network.npz")
    back = read_network(tmp_path / "network.npz")
    assert equal(back, network)
    assert_same_integers(quantize(network, target, data_of(network)), quantize(back, target, data_of(network)))


@pytest.mark.parametrize("write", [write_nir, export_nir])
@pytest.mark.parametrize("name", NETWORKS)
def test_nir_carries_them_to_the_same_integers_and_other_tools_read_it(tmp_path, name, write):
    network, target = NETWORKS[name]
    path = tmp_path / "network.nir"
    write(network, path)
    for back in (load(path), load(nir.read(str(path)))):
        assert_same_integers(quantize(network, target, data_of(network)), quantize(back, target, data_of(network)))


def test_files_of_networks_without_units_are_the_bytes_that_they_were(tmp_path):
    bare = tclif_network()
    write_network(bare, tmp_path / "network.npz")
    write_nir(bare, tmp_path / "network.nir")
    with np.load(tmp_path / "network.npz") as file:
        assert b'"version": 1' in file["header"].tobytes()
        assert not [key for key in file.files if "grid" in key]
    with h5py.File(tmp_path / "network.nir") as file:
        assert list(file["node/metadata"]) == ["tclif_deploy"]
        assert b'"version": 1' in file["node/metadata/tclif_deploy"][()]


def damaged(path: Path, edit) -> str:
    write_nir(RECURRENT, path)
    with h5py.File(path, "a") as file:
        edit(file["node/metadata"])
    with pytest.raises(TclifError) as error:
        read_nir(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_damaged_units_are_told_in_a_line(tmp_path):
    path = tmp_path / "network.nir"

    def drop(metadata) -> None:
        del metadata["grid_0_step_1"]

    def negative(metadata) -> None:
        metadata["grid_1_lsb_v"][...] = -1.0

    def retype(metadata) -> None:
        text = metadata["tclif_deploy"][()].decode().replace('"state_bits": 24', '"state_bits": "x"')
        del metadata["tclif_deploy"]
        metadata["tclif_deploy"] = text

    assert "metadata grids: the array grid_0_step_1 is missing" in damaged(path, drop)
    assert "metadata grids: grid: lsb_v of shape (3,) is not one positive number" in damaged(path, negative)
    assert "metadata grids: layers.0.state_bits" in damaged(path, retype)


def test_units_of_another_graph_are_left_out_with_a_notice(tmp_path):
    write_nir(RECURRENT, tmp_path / "network.nir")
    with h5py.File(tmp_path / "network.nir", "a") as file:
        metadata = file["node/metadata"]
        text = metadata["tclif_deploy"][()].decode().replace("[[-1, 0], [0, 1]]", "[[-1, 0], [0, 2]]")
        del metadata["tclif_deploy"]
        metadata["tclif_deploy"] = text
    back = load(tmp_path / "network.nir")
    assert back.layers[0].grid is None
    assert back.notices[-1].startswith("the units in the metadata are of other layers or connections")
    assert equal(
        back, replace(RECURRENT, layers=tuple(replace(la, grid=None) for la in RECURRENT.layers), input_grid=None)
    )


@pytest.mark.parametrize("name", ["recurrent", "maps"])
def test_netx_in_and_out_and_in_again_is_the_same_numbers(tmp_path, name):
    network, target = NETWORKS[name]
    messages = write_netx(network, tmp_path / "once.net")
    assert all("rounded by at most 0 of" in line for line in messages)
    back = read_netx(tmp_path / "once.net")
    write_netx(back, tmp_path / "twice.net")
    assert (tmp_path / "once.net").read_bytes() == (tmp_path / "twice.net").read_bytes()
    for a, b in zip(network.layers, back.layers, strict=True):
        assert all(np.array_equal(c.weight, d.weight) for c, d in zip(a.connections, b.connections, strict=True))
        assert np.array_equal(a.neuron.threshold, b.neuron.threshold)
    assert_same_integers(quantize(network, target, data_of(network)), quantize(back, target, data_of(network)))


def test_integers_that_are_not_netxs_are_rounded_to_its_own(tmp_path):
    first = replace(RECURRENT.layers[0], neuron=replace(RECURRENT.layers[0].neuron, threshold=np.full(6, 25.5)))
    messages = write_netx(replace(RECURRENT, layers=(first, RECURRENT.layers[1])), tmp_path / "out.net")
    assert "rounded by at most 0 of" not in messages[0]
    assert "rounded by at most 0 of" in messages[1]


def test_load_reads_network_npz_and_takes_nothing_by_hand(tmp_path):
    path = tmp_path / "network.npz"
    write_network(TCLIF, path)
    assert equal(load(path), TCLIF)
    with pytest.raises(TclifError, match=r"network\.npz: a network\.npz says everything itself, threshold included"):
        load(path, threshold=2.0)
    quantize(RECURRENT, LOIHI1).save(tmp_path / "fixed.npz")
    with pytest.raises(TclifError, match=r"fixed\.npz: holds a compiled network's integers, not a model; name network"):
        load(tmp_path / "fixed.npz")
    np.savez(tmp_path / "other.npz", header=np.zeros(3), x=np.zeros(2))
    with pytest.raises(TclifError, match=r"other\.npz: "):
        load(tmp_path / "other.npz")


def test_without_data_a_spike_is_a_spike():
    fixed = quantize(RECURRENT, LOIHI1)
    assert (fixed.input.lsb, fixed.input.bits) == (1.0, 2)
    assert fixed.notices == ("the model's own weights, factors, thresholds and biases are kept as they are: first, b",)
