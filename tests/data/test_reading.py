"""What readers stand on: JSON, TOML and .npz are refused in one line, before memory is taken for what they declare."""

from __future__ import annotations

import os
import struct
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest

import tclif_deploy as tc
from tclif_deploy import load
from tclif_deploy.data import Dataset, load_data
from tclif_deploy.data.mnist import read_idx
from tclif_deploy.data.shd import load_shd
from tclif_deploy.data.stream import open_stream
from tclif_deploy.errors import LONGEST_WORD, TclifError, one_line
from tclif_deploy.files import as_path, open_npz, parse_json, read_json, read_toml
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.workflows.sweep import read as read_rows
from tests.helpers.random_networks import random_network


def refused(read, *arguments) -> str:
    with pytest.raises(TclifError) as error:
        read(*arguments)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" * 65 + "]" * 65, "{", "", "\xff", '"\\ud800"', "9" * 5000, "1e999", str(2**63), "[1,]"]
)
def test_json_that_cannot_be_used_is_refused(text, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin1"))
    assert refused(read_json, path, "write it again").startswith(f"{path}: is not JSON (")


def test_json_as_deep_as_ours_is_read():
    assert parse_json("[" * 64 + "]" * 64)
    assert parse_json('{"a": [1, 0.5, null, "ü"]}') == {"a": [1, 0.5, None, "ü"]}


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "[" * 70 + "]" * 70, "a", "\xff", "a = 2020-13-45"])
def test_toml_that_cannot_be_used_is_refused(text, tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(text.encode("latin1"))
    assert refused(read_toml, path, "see", 1 << 20).startswith(f"{path}: not a TOML file (")


def test_folders_and_files_that_are_too_large_are_no_json(tmp_path):
    assert "is a folder" in refused(read_json, tmp_path, "x")
    (tmp_path / "a.json").write_text(" " * 20 + "1")
    assert "has 21 bytes, at most 20 are read" in refused(read_json, tmp_path / "a.json", "x", 20)


def test_a_path_that_cannot_be_is_named_in_short():
    message = refused(as_path, "x" * 5000, "check it")
    assert "cannot be read (File name too long)" in message
    assert len(message) < 300
    assert "cannot be read" in refused(as_path, "a\0b", "check it")


def test_only_words_that_are_too_long_are_cut():
    text = "word " * 200 + "x" * LONGEST_WORD
    assert one_line(text) == text
    assert one_line(f"a {'x' * 5000} b") == f"a {'x' * 100}...{'x' * 60} b"


def test_what_a_message_lists_is_cut_in_the_middle_where_it_has_no_end():
    error = TclifError("begin " + "word " * 5000 + "end", "do " + "this " * 5000)
    assert (error.what[:6], error.what[-4:], error.hint[:3]) == ("begin ", " end", "do ")
    assert len(str(error)) < 1500


def npy(shape: str, descr: str = "<f8", values: bytes = b"") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + values


def npz(path, members: dict[str, bytes]):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (npy("(1000000000, 1000)"), "declares 8,000,000,000,000 bytes"), (npy("(-1,)"), "shape"),
        (npy("(" * 9000), "damaged"), (npy("[" * 200), "damaged"), (npy("(True,)"), "shape"),
        (npy("(1,)", "|O", bytes(8)), "object arrays"), (npy("(2,)", values=bytes(8)), "declares 16 bytes"),
        (npy("()", values=struct.pack("<d", float("nan"))), "a[] is nan"),
        (npy("(1,)", "|S8", bytes(8)), "expected numbers"),
        (b"", "damaged"),
    ],
)  # fmt: skip
def test_an_array_is_checked_before_memory_is_taken(member, message, tmp_path):
    path = npz(tmp_path / "a.npz", {"a": member})

    def read():
        with open_npz(path, "not ours", "make it again") as file:
            file.array("a")

    tracemalloc.start()
    line = refused(read)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert line.startswith(f"{path}: ")
    assert message in line
    assert peak < 50_000_000


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_array_packed_in_a_way_that_unpacks_to_any_size_is_not_unpacked(method, tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.npy", npy("(50000000,)", "|u1", bytes(50_000_000)))

    def read():
        with open_npz(path, "not ours", "make it again") as file:
            file.array("a")

    assert "packed in a way that numpy does not write" in refused(read)


@pytest.mark.parametrize("name", ["0.a_u", "0.multiplier", "0.lsb_v", "0.weight.0"])
def test_an_array_of_zeros_without_end_is_not_made_eight_times_as_large(name, tmp_path):
    network, _ = random_network(3)
    network.save(tmp_path / "fixed.npz")
    arrays = dict(np.load(tmp_path / "fixed.npz"))
    kind = np.float32 if "lsb" in name else np.uint8
    np.savez_compressed(tmp_path / "fixed.npz", **{**arrays, name: np.zeros(20_000_000, kind)})
    tracemalloc.start()
    assert " has shape " in refused(FixedNetwork.load, tmp_path / "fixed.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000_000


@pytest.mark.parametrize("read", [load_data, open_stream, read_idx, load_shd, read_rows, load, tc.load_target])
@pytest.mark.parametrize("stands", ["pipe", "device", "itself", "nowhere", "folder"])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(read, stands, tmp_path):
    for name in ("a.npz", "a.npy", "a.h5", "a-idx3-ubyte", "a.csv", "a.nir", "a.pt", "a.toml"):
        path = tmp_path / name
        if stands == "pipe":
            os.mkfifo(path)
        elif stands == "folder":
            path.mkdir()
        else:
            path.symlink_to({"device": "/dev/zero", "itself": name, "nowhere": "nowhere"}[stands])
        assert str(path) in refused(lambda path: list(read(path)), path)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", "<i4", ">i4", "f4", "?"])
def test_arrays_come_back_as_numpy_wrote_them(order, dtype, tmp_path):
    wanted = np.asarray(np.arange(24).reshape(2, 3, 4).astype(dtype), order=order)
    np.savez_compressed(tmp_path / "a.npz", a=wanted, none=wanted[:0], one=wanted[0, 0, 1])
    with open_npz(tmp_path / "a.npz", "not ours", "") as file:
        assert file.names == ("a", "none", "one")
        for name, values in (("a", wanted), ("none", wanted[:0]), ("one", wanted[0, 0, 1])):
            stored = file.array(name, "biuf")
            assert (stored.dtype, stored.shape) == (values.dtype, values.shape)
            assert (stored == values).all()


# --- what arrays and numbers mean


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("0.weight.0", np.nan, "expected integers"), ("0.weight.0", 0.5, "expected integers"),
        ("0.weight.0", 2**62, "a weight is 4611686018427387904); 32 bits are supported"),
        ("0.a_u", 2**31, "a_u is 2147483648); 32 bits are supported"), ("0.v0", -(2**40), "32 bits are supported"),
        ("0.threshold", -(2**62), "62 bits are supported"), ("0.lsb_u", np.nan, "lsb_u[0] is nan"),
        ("0.lsb_v", -1.0, "lsb_v is -1"), ("0.multiplier", 1.0, "expected integers"),
    ],
)  # fmt: skip
def test_integers_beyond_the_arithmetic_are_refused(name, value, message, tmp_path):
    network, _ = random_network(3)
    network.save(tmp_path / "fixed.npz")
    arrays = dict(np.load(tmp_path / "fixed.npz"))
    arrays[name] = np.full(arrays[name].shape, value)
    np.savez(tmp_path / "fixed.npz", **arrays)
    line = refused(FixedNetwork.load, tmp_path / "fixed.npz")
    assert line.startswith(f"{tmp_path / 'fixed.npz'}: not a compiled network (")
    assert message in line


def test_the_constructor_checks_what_the_file_does():
    network, _ = random_network(3)
    layer = network.layers[0]
    for change in (
        {"shift": 99}, {"reset": "hart"}, {"a_u": layer.a_u + 2**40}, {"lsb_u": layer.lsb_u * np.nan}, {"name": "a\nb"},
        {"name": ""},
    ):  # fmt: skip
        with pytest.raises(TclifError):
            replace(network, layers=(replace(layer, **change), *network.layers[1:]))


@pytest.mark.parametrize("scale", [1e-320, 1e-308, 1e308, 0, -1, np.nan, np.inf, 1j, "x", [1.0, 2.0], []])
def test_a_scale_that_cannot_be_is_refused(scale):
    assert "scale" in refused(lambda: Dataset(np.ones((2, 3, 1)), scale=scale, name="d"))


@pytest.mark.parametrize(("x", "scale"), [(1e308, 1.0), (-1e31, 1.0), (1e20, 1e20), (np.float32(3e38), 1.0)])
def test_values_beyond_what_networks_compute_with_are_refused(x, scale):
    assert "too large for a network" in refused(lambda: Dataset(np.full((2, 3, 1), x), scale=scale))


def test_the_largest_values_are_read():
    assert Dataset(np.full((2, 3, 1), 1e30)).samples == 2
    assert Dataset(np.full((2, 3, 1), 2**64 - 1, np.uint64), scale=1e10).samples == 2


def test_an_npy_is_x_alone_by_whatever_name(tmp_path):
    x = np.random.default_rng(0).integers(0, 5, (3, 4, 2)).astype(np.int16)
    np.save(tmp_path / "x.npy", np.asfortranarray(x))
    (tmp_path / "x.npz").write_bytes((tmp_path / "x.npy").read_bytes())
    for name in ("x.npy", "x.npz"):
        data = load_data(tmp_path / name)
        np.testing.assert_array_equal(data.x, x)
        assert (data.y, data.scale, data.name) == (None, 1.0, str(tmp_path / name))
        (batch,) = open_stream(tmp_path / name).batches(10)
        np.testing.assert_array_equal(batch.x, x)
    np.save(tmp_path / "flat.npy", x[0])
    assert "flat.npy: has shape (4, 2); expected (samples, time, features)" in refused(load_data, tmp_path / "flat.npy")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-2])
    assert "the file holds 46" in refused(load_data, tmp_path / "cut.npy")


@pytest.mark.parametrize("name", ["labels", "Y", "Label", "targets"])
def test_labels_under_another_name_are_read_where_there_is_no_y(tmp_path, name):
    x = np.ones((3, 4, 2))
    np.savez(tmp_path / "d.npz", x=x, **{name: np.array([0, 1, 2])}, notes=np.arange(2))
    assert load_data(tmp_path / "d.npz").y.tolist() == [0, 1, 2]
    np.savez(tmp_path / "d.npz", x=x, y=np.array([2, 2, 2]), **{name: np.array([0, 1, 2])})
    assert load_data(tmp_path / "d.npz").y.tolist() == [2, 2, 2]


def test_two_arrays_that_may_be_the_labels_are_refused(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.ones((3, 4, 2)), labels=np.arange(3), targets=np.arange(3))
    with pytest.raises(TclifError, match=r"holds labels and targets, and no y; call one of them y"):
        load_data(tmp_path / "d.npz")


def test_samples_of_several_lengths_get_advice(tmp_path):
    x = np.empty(2, object)
    x[0], x[1] = np.ones((4, 2)), np.ones((5, 2))
    np.savez(tmp_path / "d.npz", x=x)
    with pytest.raises(TclifError, match=r"object arrays.*padded to one, with their lengths beside them"):
        load_data(tmp_path / "d.npz")
