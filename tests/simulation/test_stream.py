"""Whole data sets: files read piece by piece, counts that add up, traces on disk, the command."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tclif_deploy import Dataset, TclifError, load, load_data, quantize, simulate
from tclif_deploy.cli.main import run
from tclif_deploy.data.stream import open_stream
from tclif_deploy.simulation import Engine, reference
from tclif_deploy.simulation.stream import count_events, run_all
from tclif_deploy.simulation.trace_file import TraceFile
from tests.helpers import checkpoints
from tests.helpers.random_networks import random_network
from tests.helpers.requirements import needs_module


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A compiled little network, its data file, and both as objects."""
    folder = tmp_path_factory.mktemp("run")
    model = checkpoints.write_checkpoint(folder / "net", recurrent=(0,), seed=1)
    data = checkpoints.write_data(folder / "data.npz", samples=23, time=40)
    fixed = quantize(load(model), "loihi2", data)
    fixed.save(folder / "fixed.npz")
    return folder / "fixed.npz", data, fixed


def joined(stream, size):
    batches = list(stream.batches(size))
    assert all(batch.samples == size for batch in batches[:-1])
    return np.concatenate([batch.x for batch in batches]), batches


@pytest.mark.parametrize("size", [1, 7, 23, 100])
@pytest.mark.parametrize("compressed", [False, True])
def test_an_npz_is_streamed_as_it_would_be_loaded(tmp_path, size, compressed):
    path = checkpoints.write_data(tmp_path / "d.npz", samples=23, lengths=np.arange(23) + 1)
    data = load_data(path)
    if compressed:
        with np.load(path) as file:
            np.savez_compressed(path, **file)
    stream = open_stream(path)
    x, batches = joined(stream, size)
    assert (stream.samples, stream.features, stream.labelled) == (23, 3, True)
    assert np.array_equal(x, data.x)
    assert np.array_equal(np.concatenate([batch.y for batch in batches]), data.y)
    assert np.array_equal(np.concatenate([batch.lengths for batch in batches]), data.lengths)
    assert {batch.scale for batch in batches} == {data.scale}


def test_streaming_an_npz_takes_no_memory_for_what_was_read(tmp_path):
    path = tmp_path / "large.npz"
    np.savez_compressed(path, x=np.zeros((4000, 500, 10), np.uint8))  # 20 MB
    tracemalloc.start()
    for batch in open_stream(path).batches(50):
        assert batch.samples == 50
    max_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max_bytes < 4e6


def test_a_truncated_npz_says_at_which_sample(tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, x=np.random.default_rng(0).integers(0, 9, (400, 100, 30)).astype(np.uint8))
    raw = bytearray(path.read_bytes())
    raw[600_000] ^= 255  # a flipped byte: the checksum tells at the end
    path.write_bytes(raw)
    with pytest.raises(TclifError, match="truncated at sample"):
        list(open_stream(path).batches(10))


def test_an_npy_is_mapped_and_an_shd_file_is_binned_in_pieces(tmp_path):
    x = np.random.default_rng(0).integers(0, 5, (9, 8, 2))
    np.save(tmp_path / "x.npy", x)
    assert np.array_equal(joined(open_stream(tmp_path / "x.npy"), 4)[0], x)
    rng = np.random.default_rng(1)
    with h5py.File(tmp_path / "shd.h5", "w") as file:
        times = file.create_dataset("spikes/times", (5,), h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (5,), h5py.vlen_dtype(np.int64))
        for n in range(5):
            times[n], units[n] = rng.uniform(0, 1.3, 40), rng.integers(0, 700, 40)
        file["labels"] = np.arange(5)
    stream = open_stream(tmp_path / "shd.h5", steps=100)
    x, batches = joined(stream, 2)
    assert x.shape == (5, 100, 700)
    assert np.array_equal(x, load_shd_whole(tmp_path / "shd.h5"))
    assert [batch.y.tolist() for batch in batches] == [[0, 1], [2, 3], [4]]
    assert 150 < x.sum() <= 200


def load_shd_whole(path):
    from tclif_deploy.data.shd import load_shd

    return load_shd(path, steps=100).x


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 100, 65), (2, 255, 4), (4, 256, 3)])
def test_events_are_counted_right(shape):
    fired = np.random.default_rng(0).random(shape) < 0.7
    assert np.array_equal(count_events(fired), fired.sum(axis=(0, 1)))


def test_the_counts_of_a_run_are_those_of_the_reference(build):
    _, path, fixed = build
    data = load_data(path)
    x, _ = fixed.input.encode(data.x, data.scale)
    expected = reference.simulate(fixed, x)
    summary = run_all(fixed, open_stream(path).batches(10))
    assert summary.samples == 23
    assert summary.accuracy == float((expected.classes == data.y).mean())
    sources = {"input": x != 0, **expected.spikes}
    for layer, counted in zip(fixed.layers, summary.layers, strict=True):
        if layer.spiking:
            assert counted.spikes == expected.spikes[layer.name].sum()
            assert 0.01 < counted.rate < 0.6
        operations = sum(
            int(fired.sum()) * int(np.count_nonzero(c.weight[:, j]))
            for c in layer.connections
            for j, fired in enumerate(sources[c.source].transpose(2, 0, 1))
        )
        assert counted.synaptic_operations == operations


def test_padding_is_not_counted(build):
    _, path, fixed = build
    data = load_data(path)
    short = Dataset(data.x, scale=data.scale, lengths=np.full(23, 10))
    cut = Dataset(data.x[:, :10], scale=data.scale)
    a, b = (run_all(fixed, [item]) for item in (short, cut))
    assert a.steps == b.steps == 230
    assert [layer.spikes for layer in a.layers] == [layer.spikes for layer in b.layers]


@pytest.mark.slow
def test_joblibs_processes_find_the_same(build):
    _, path, fixed = build
    one = run_all(fixed, open_stream(path).batches(5)).to_json()
    many = run_all(fixed, open_stream(path).batches(5), parallel="loky", jobs=2).to_json()
    for key in ("seconds", "samples_per_second"):
        del one[key], many[key]
    assert one == many
    assert one["layers"][0]["spikes"] > 0


@pytest.mark.slow
def test_a_local_dask_cluster_finds_the_same(build):
    distributed = needs_module("distributed")
    _, path, fixed = build
    one = run_all(fixed, open_stream(path).batches(5)).to_json()
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
    ):
        many = run_all(fixed, open_stream(path).batches(5), parallel="dask").to_json()
    for key in ("seconds", "samples_per_second"):
        del one[key], many[key]
    assert one == many


def test_an_unknown_parallel_backend_is_refused(build):
    _, path, fixed = build
    with pytest.raises(TclifError, match="--parallel warp"):
        run_all(fixed, open_stream(path).batches(5), parallel="warp")


def test_traces_on_disk_are_the_spikes_and_states_of_the_run(build, tmp_path):
    _, path, fixed = build
    data = load_data(path)
    expected = simulate(fixed, data, spikes=True, traces=("features.1",), engine="reference")
    with TraceFile(tmp_path / "t.h5", fixed, states=("features.1",)) as trace:
        run_all(fixed, open_stream(path).batches(9), spikes=True, traces=("features.1",), each=trace.add)
    with h5py.File(tmp_path / "t.h5") as file:
        for name, spikes in expected.spikes.items():
            packed = file[f"spikes/{name}"]
            unpacked = np.unpackbits(packed[:], axis=2, count=packed.attrs["neurons"]).astype(bool)
            assert np.array_equal(unpacked, spikes)
        assert np.array_equal(file["states/features.1"][:].transpose(1, 0, 2, 3), expected.traces["features.1"])
        assert np.array_equal(file["classes"][:], expected.classes)


def test_the_command_prints_a_table_and_json_and_writes_a_trace(build, tmp_path, capsys):
    fixed, data, _ = build
    argv = ["simulate", str(fixed), "--data", str(data)]
    assert run([*argv, "--trace", str(tmp_path / "t.h5"), "--states", "features.3"]) == 0
    assert "samples/s" in capsys.readouterr().out
    with h5py.File(tmp_path / "t.h5") as file:
        assert set(file["states"]) == {"features.3"}
    reports = []
    for engine in ("engine", "reference"):
        assert run([*argv, "--json", "--engine", engine, "--samples", "9"]) == 0
        reports.append(json.loads(capsys.readouterr().out))
    assert reports[0]["samples"] == 9
    assert reports[0]["layers"] == reports[1]["layers"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--states", "features.1"], "--states without --trace"),
        (["--trace", "t.h5", "--parallel", "loky"], "--trace with --parallel"),
        (["--trace", "t.h5", "--states", "nosuch"], "no layer 'nosuch'"),
        (["--trace", "no/such/folder/t.h5"], "cannot be written"),
        (["--engine", "warp"], "--engine is 'warp'"),
    ],
)
def test_wrong_flags_are_refused_in_one_line(build, capsys, argv, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fixed, data, _ = build
    assert run(["simulate", str(fixed), "--data", str(data), "-q", *argv]) == 2
    printed = capsys.readouterr().err.strip()
    assert message in printed
    assert "\n" not in printed


def test_a_build_that_is_none_and_data_of_another_width_are_refused(build, tmp_path, capsys):
    fixed, _, _ = build
    wide = checkpoints.write_data(tmp_path / "wide.npz", features=5)
    assert run(["simulate", str(fixed), "--data", str(wide), "-q"]) == 2
    assert "5 features a step, the network takes 3" in capsys.readouterr().err
    assert run(["simulate", str(tmp_path), "--data", str(wide), "-q"]) == 2
    assert "not a build folder" in capsys.readouterr().err


JOBS = [0, -1, 1025, np.uint16(1025)]


@pytest.mark.parametrize("jobs", JOBS)
@pytest.mark.parametrize("how", ["auto", "reference"])
def test_jobs_are_one_to_1024_in_every_engine(jobs: int, how: Engine) -> None:
    network, x = random_network(3, samples=2, time=4)
    with pytest.raises(TclifError, match=f"^simulate: jobs is {jobs}; expected a whole number, 1 to 1,024"):
        simulate(network, x, engine=how, jobs=jobs)
    floating = load("fixtures/spoken_digits/checkpoint.pth.tar")
    with pytest.raises(TclifError, match=f"^simulate: jobs is {jobs}; expected a whole number, 1 to 1,024"):
        simulate(floating, np.zeros((1, 2, floating.input_size)), engine=how, jobs=jobs)


def test_more_workers_than_that_are_refused_before_any_starts() -> None:
    network, x = random_network(3, samples=2, time=4)
    with pytest.raises(TclifError, match="jobs is 1025; 1,024 at most"):
        run_all(network, [Dataset(x)], jobs=1025, parallel="threading")


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint64])
def test_numbers_of_numpy_count_as_pythons_do(kind: type[np.integer[Any]]) -> None:
    """300 samples, a thread, batches of 100: each more than some of these types hold in a sum."""
    network, x = random_network(3, samples=300, time=4)
    want = simulate(network, x, jobs=1)
    got = simulate(network, x, jobs=kind(1))
    assert (got.readout == want.readout).all()
    assert [batch.samples for batch in Dataset(x).batches(kind(100))] == [100, 100, 100]
    assert run_all(network, Dataset(x).batches(kind(100)), jobs=kind(1)).samples == 300


@pytest.mark.parametrize("size", [0, -1, np.int8(-3), 2.5, None, True, "8"])
def test_batches_of_no_samples_are_refused(size: Any, tmp_path: Path) -> None:
    data = Dataset(np.zeros((3, 2, 1)), name="mine")
    with pytest.raises(TclifError, match=r"^mine: batches of size .*; expected a whole number of samples, 1 or more"):
        data.batches(size)
    np.save(tmp_path / "x.npy", data.x)
    for samples in (None, 2):
        with pytest.raises(TclifError, match=r"x.npy: batches of size .*; expected a whole number of samples"):
            open_stream(tmp_path / "x.npy", samples=samples).batches(size)
