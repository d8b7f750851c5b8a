"""Damaged, foreign and hostile NIR files: one line that names the place, or the same network; never anything else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tclif_deploy import neurons
from tclif_deploy.comparison import equal
from tclif_deploy.errors import TclifError
from tclif_deploy.formats import read_nir, write_nir
from tclif_deploy.network import INPUT, Connection, Layer, Network

HIDDEN = "node/nodes/1_2_hidden"
INNER = f"{HIDDEN}/nodes"
METADATA = f"{HIDDEN}/metadata"


def network() -> Network:
    """An input of 3, a recurrent TC-LIF layer of 4 with bias, a readout of 2."""
    rng = np.random.default_rng(0)
    tclif = neurons.tclif(4, c1=0.1, c2=0.2, gamma=0.5, threshold=1.0, bias=rng.normal(size=4))
    loop = Connection("hidden", rng.normal(size=(4, 4)), delay=1)
    hidden = Layer("hidden", tclif, (Connection(INPUT, rng.normal(size=(4, 3))), loop))
    return Network(3, (hidden, Layer("out", neurons.readout(2), (Connection("hidden", rng.normal(size=(2, 4))),))))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sound file."""
    write_nir(network(), tmp_path / "network.nir")
    return tmp_path / "network.nir"


def error(path: Path) -> str:
    """What `read_nir` says: one line that begins with the file."""
    with pytest.raises(TclifError) as caught:
        read_nir(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    assert len(text) < 600
    return text.removeprefix(str(path))


def put(file: h5py.File, name: str, value: object) -> None:
    """Replace a dataset."""
    del file[name]
    file[name] = value


def scaled(name: str, factor: float) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        put(file, name, file[name][()] * factor)

    return edit


def replaced(name: str, value: object) -> Callable[[h5py.File], None]:
    return lambda file: put(file, name, value)


def with_edges(graph: str, change: Callable[[list[list[str]]], list[list[str]]]) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        name = f"{graph}/edges"
        edges = [[end.decode() for end in edge] for edge in file[name][()]]
        del file[name]
        file.create_dataset(name, data=change(edges), dtype=h5py.string_dtype())

    return edit


def with_node(parent: str, **fields: object) -> Callable[[h5py.File], None]:
    """A new node ``extra``."""

    def edit(file: h5py.File) -> None:
        group = file.create_group(f"{parent}/extra")
        for key, value in fields.items():
            group[key] = value

    return edit


def remove(*names: str) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        for name in names:
            del file[name]

    return edit


def all_of(*edits: Callable[[h5py.File], None]) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        for each in edits:
            each(file)

    return edit


def hollow(name: str, shape: tuple[int, ...], **options: object) -> Callable[[h5py.File], None]:
    """A dataset that declares ``shape`` and stores nothing."""

    def edit(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, shape, "f8", **options)

    return edit


def repeated_long_edges(file: h5py.File) -> None:
    """Edges between names of a megabyte."""
    del file[f"{HIDDEN}/edges"]
    ends = np.full((50, 2), "x" * 2**20, object)
    file.create_dataset(f"{HIDDEN}/edges", data=ends, dtype=h5py.string_dtype())


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "x", (4,))
    del file[f"{INNER}/14_dendrite/r"]
    file.create_virtual_dataset(f"{INNER}/14_dendrite/r", layout)


def external(file: h5py.File) -> None:
    del file[f"{INNER}/14_dendrite/r"]
    file.create_dataset(f"{INNER}/14_dendrite/r", (4,), "f8", external=[("/etc/passwd", 0, 32)])


NO_METADATA = remove(METADATA)
FIRST_EDGE = ["00_input", "11_dendrite_to_soma"]

DAMAGE: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "no graph": (remove("node"), ": no node"),
    "not a graph": (replaced("node/type", "LIF"), ": is a 'LIF', expected a NIRGraph"),
    "type is a number": (replaced(f"{HIDDEN}/type", 3), "node 1_2_hidden: type is not a string"),
    "no type": (remove(f"{INNER}/15_soma/type"), "node 1_2_hidden/15_soma: no type"),
    "unknown node": (
        with_node("node/nodes", type="Conv3d", weight=np.ones(3)), "node extra: is of type 'Conv3d', which is not read",
    ),
    "unknown node in a layer": (
        with_node(INNER, type="Conv3d"), "node 1_2_hidden/extra: is of type 'Conv3d', which is not read",
    ),
    "neuron outside a layer": (with_node("node/nodes", type="I", r=np.ones(4)), "node extra: is a I outside a layer"),
    "graph in a layer": (with_node(INNER, type="NIRGraph"), "node 1_2_hidden/extra: no nodes"),
    "two inputs": (with_node("node/nodes", type="Input", shape=[3]), "2 Input nodes (0_input, extra)"),
    "weights to nowhere": (
        with_node("node/nodes", type="Linear", weight=np.ones((2, 2))), "node extra: leads from nothing to nothing",
    ),
    "dataset for a node": (replaced(f"{INNER}/15_soma", "x"), "node 1_2_hidden/15_soma: 15_soma is a dataset"),
    "missing node": (
        all_of(
            remove(f"{INNER}/08_reset_soma"), with_edges(HIDDEN, lambda es: [e for e in es if "08_reset_soma" not in e])
        ),
        "metadata and its nodes disagree: node 08_reset_soma is missing",
    ),
    "missing node and metadata": (
        all_of(
            remove(f"{INNER}/14_dendrite", METADATA),
            with_edges(HIDDEN, lambda es: [e for e in es if "14_dendrite" not in e]),
        ), "node 1_2_hidden: no node 14_dendrite",
    ),
    "edge to nowhere": (
        with_edges(HIDDEN, lambda es: [*es, ["15_soma", "y"]]), "there is an edge '15_soma' -> 'y', but no node 'y'",
    ),
    "missing edge": (
        with_edges(HIDDEN, lambda es: [e for e in es if e != FIRST_EDGE]),
        "edge 00_input -> 11_dendrite_to_soma is missing",
    ),
    "missing edge, no metadata": (
        all_of(with_edges(HIDDEN, lambda es: [e for e in es if e != FIRST_EDGE]), NO_METADATA),
        "not a layer that this program knows: edge 00_input -> 11_dendrite_to_soma is missing",
    ),
    "edge twice": (with_edges(HIDDEN, lambda es: [*es, es[0]]), "an edge occurs twice"),
    "edge without weights": (with_edges("node", lambda es: [*es, ["0_input", "1_2_hidden"]]), "does not belong here"),
    "output reads the hidden layer": (
        with_edges("node", lambda es: [*es[:-1], ["1_2_hidden", "3_output"]]), "node 3_output: reads 1_2_hidden",
    ),
    "edges of one name": (replaced(f"{HIDDEN}/edges", np.ones((3, 1))), "edges have shape (3, 1)"),
    "long strings": (repeated_long_edges, "string of 1048576 characters"),
    "weight of another width": (
        replaced("node/nodes/1_0_weights/weight", np.ones((5, 3))),
        "node 1_0_weights: weight is (5, 3), bias is (4,), but it feeds 4 neurons",
    ),
    "weight with another fan-in": (
        replaced("node/nodes/1_1_weights/weight", np.ones((4, 3))),
        "edge 1_2_hidden -> 1_1_weights: 4 values meet a weight of shape (4, 3)",
    ),
    "weight of three axes": (replaced("node/nodes/1_1_weights/weight", np.ones((4, 4, 1))), "weight is (4, 4, 1)"),
    "scale of another width": (
        replaced(f"{INNER}/10_soma_to_dendrite/scale", np.ones(5)),
        "node 1_2_hidden/10_soma_to_dendrite: scale is (5,), but 14_dendrite has 4 neurons",
    ),
    "another input": (
        replaced("node/nodes/0_input/shape", [7]),
        "edge 0_input -> 1_0_weights: 7 values meet a weight of shape (4, 3)",
    ),
    "input in two axes": (replaced("node/nodes/0_input/shape", [3, 1]), "node 0_input: shape is [3.0, 1.0]"),
    "another output": (
        replaced("node/nodes/3_output/shape", [3]), "edge 2_1_out -> 3_output: 2 values meet a node of 3",
    ),
    "nan": (scaled("node/nodes/1_0_weights/weight", np.nan), "node 1_0_weights: weight[0, 0] is nan"),
    "infinite metadata": (scaled(f"{METADATA}/r_u", np.inf), "metadata: r_u[0] is inf"),
    "text for numbers": (replaced(f"{INNER}/15_soma/r", "four"), "node 1_2_hidden/15_soma: r has type object"),
    "unknown parameter": (with_node(f"{INNER}/15_soma"), "a I has no parameter 'extra'"),
    "changed reset": (
        scaled(f"{INNER}/07_reset_dendrite/scale", 1.5),
        "node 1_2_hidden: its metadata and its nodes disagree: 07_reset_dendrite.scale is off by 0.25",
    ),
    "changed leak": (scaled(f"{INNER}/15_soma/r", 0.5), "disagree: 15_soma.r is off by 0.5"),
    "changed leak, no metadata": (
        all_of(scaled(f"{INNER}/15_soma/r", 0.5), NO_METADATA), "node 1_2_hidden: not a layer that this program knows",
    ),
    "changed bias": (scaled("node/nodes/1_0_weights/bias", 2), "disagree: the bias of 1_0_weights is off by"),
    "changed metadata": (scaled(f"{METADATA}/b_u", 2), "disagree: 10_soma_to_dendrite.scale is off by"),
    "metadata that nir cannot express": (scaled(f"{METADATA}/threshold", -1), "threshold of -1 cannot be written"),
    "metadata of other neurons": (replaced(f"{METADATA}/b_u", np.ones(3)), "metadata: neuron tclif: "),
    "metadata without an array": (remove(f"{METADATA}/q"), "metadata lacks the array q"),
    "metadata is not json": (replaced(f"{METADATA}/tclif_deploy", "{"), "is not a JSON object"),
    "metadata is deep json": (replaced(f"{METADATA}/tclif_deploy", "[" * 90_000), "is not a JSON object"),
    "metadata of the future": (replaced(f"{METADATA}/tclif_deploy", '{"version": 3}'), "has version 3"),
    "metadata says nothing": (replaced(f"{METADATA}/tclif_deploy", '{"version": 1}'), "metadata name is null"),
    "another step": (replaced("node/metadata/tclif_deploy", '{"version": 1, "dt": 0.1}'), "dt = 0.1"),
    "huge": (hollow("node/nodes/1_1_weights/weight", (2**40, 2**20)), "declares 9223372036854775808 bytes"),
    "huge in chunks": (
        hollow("node/nodes/1_1_weights/weight", (2**40, 2**20), chunks=(64, 64), compression="gzip"),
        "node 1_1_weights: weight declares 9223372036854775808 bytes, the file stores 0 for it",
    ),
    "never stored": (hollow(f"{INNER}/15_soma/r", (4,), fillvalue=1.0), "15_soma: r declares 32 bytes"),
    "virtual": (virtual, "15_soma: r has no values in this file".replace("15_soma", "14_dendrite")),
    "external": (external, "14_dendrite: r has no values in this file"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_graph_is_one_line_that_names_the_node(path: Path, name: str) -> None:
    edit, words = DAMAGE[name]
    with h5py.File(path, "r+") as file:
        edit(file)
    assert words in error(path)


def test_a_string_that_claims_to_be_of_four_gigabytes_is_refused_before_memory_is_taken(path: Path) -> None:
    with h5py.File(path, "r") as file:
        offset = file[f"{INNER}/15_soma/type"].id.get_offset()
    with path.open("r+b") as raw:
        raw.seek(offset)
        raw.write(b"\xf0\xff\xff\xff")
    assert "15_soma: type has a string of 4294967280 characters" in error(path)


@pytest.mark.parametrize("link", [h5py.ExternalLink("other.nir", "node"), h5py.SoftLink("/node")], ids=["file", "soft"])
def test_links_are_not_followed(path: Path, tmp_path: Path, link: object) -> None:
    write_nir(network(), tmp_path / "other.nir")
    with h5py.File(path, "r+") as file:
        file.move("node", "graph")
        file["node"] = link
    assert "is a link to elsewhere" in error(path)


@pytest.mark.slow
def test_a_graph_that_contains_itself_is_refused(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["node/nodes/again"] = file["node"]
    assert "more than 16 deep" in error(path)


def test_a_graph_that_contains_itself_many_times_is_refused_before_it_fills_the_memory(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        for n in range(12):
            file[f"node/nodes/again{n}"] = file["node"]
            file[f"node/nodes/1_2_hidden/nodes/again{n}"] = file["node"]
    assert "nodes are read" in error(path) or "deep" in error(path)


def test_unprintable_node_names_stay_out_of_messages(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.create_group("node/nodes/a\nb\x1b[2J")
    assert r"'a\nb\x1b[2J' has unprintable characters" in error(path)


def test_missing_empty_and_foreign_files_are_one_line(tmp_path: Path) -> None:
    assert "file not found" in error(tmp_path / "none.nir")
    assert "is a folder" in error(tmp_path)
    (tmp_path / "empty.nir").touch()
    assert "is empty" in error(tmp_path / "empty.nir")
    (tmp_path / "text.nir").write_text("hello\n" * 100)
    assert "damaged or not HDF5" in error(tmp_path / "text.nir")
    with h5py.File(tmp_path / "other.nir", "w") as file:
        file["x"] = 1
    assert "no node" in error(tmp_path / "other.nir")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_one_line(path: Path) -> None:
    path.chmod(0)
    assert "Permission" in error(path)


def test_a_truncated_file_is_one_line(path: Path) -> None:
    content = path.read_bytes()
    for size in range(1, len(content), len(content) // 25):
        path.write_bytes(content[:size])
        error(path)


@pytest.mark.slow
def test_wrong_bytes_anywhere_give_one_line_or_a_network(path: Path) -> None:
    content, rng = path.read_bytes(), np.random.default_rng(0)
    messages = []
    for _ in range(100):
        damaged = bytearray(content)
        for at in rng.integers(len(content), size=4):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            assert isinstance(read_nir(path), Network)
        except TclifError as caught:
            messages.append(str(caught))
    assert len(messages) > 10
    assert all("\n" not in text for text in messages)
    path.write_bytes(content)
    assert equal(read_nir(path), network())
