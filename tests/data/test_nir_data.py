"""NIR's data: what nir.write_data writes, what nir.read_data reads, and what is neither."""

from __future__ import annotations

import json

import h5py
import nir
import numpy as np
import pytest

from tclif_deploy import Dataset, TclifError, load, load_data, neurons, simulate
from tclif_deploy.cli.main import run
from tclif_deploy.data.nir_data import step_of, write_nir_data
from tclif_deploy.data.stream import open_stream
from tclif_deploy.network import Connection, Layer, Network

DT = 1e-3


def spikes(samples=4, steps=30, features=5):
    return np.random.default_rng(0).random((samples, steps, features)) < 0.2


def graph_data(observable, node="input", name="spikes"):
    return nir.NIRGraphData({node: nir.NIRNodeData({name: observable})})


def written(path, observable, **names):
    nir.write_data(path, graph_data(observable, **names))
    return path


def valued(x):
    """NIR's valued events of values on a grid."""
    most = int((x != 0).sum(axis=(1, 2)).max())
    idx, time, value = np.full((len(x), most), -1), np.full((len(x), most), np.inf), np.zeros((len(x), most))
    for n, sample in enumerate(x):
        step, neuron = np.nonzero(sample)
        idx[n, : len(step)], time[n, : len(step)], value[n, : len(step)] = neuron, step * DT, sample[step, neuron]
    return nir.ValuedEventData(idx=idx, time=time, n_neurons=x.shape[2], t_max=x.shape[1] * DT, value=value)


def test_what_nir_writes_is_read_as_data(tmp_path):
    x = spikes()
    values = np.where(x, np.random.default_rng(1).normal(size=x.shape), 0.0)
    grid = nir.TimeGriddedData(x, DT)
    for name, observable, wanted in (
        ("grid", grid, x), ("real", nir.TimeGriddedData(values, DT), values),
        ("events", grid.to_event(400), x), ("late", grid.to_event(400, time_shift=0.4 * DT), x),
        ("valued", valued(values), values),
    ):  # fmt: skip
        path = written(tmp_path / f"{name}.nir", observable)
        data = load_data(path, dt=DT)
        np.testing.assert_array_equal(data.x, wanted, err_msg=name)
        assert data.y is None
        if not isinstance(observable, nir.TimeGriddedData):
            np.testing.assert_array_equal(observable.to_time_gridded(DT).data, data.x)
    assert load_data(tmp_path / "grid.nir").x.dtype == np.uint8
    assert open_stream(tmp_path / "grid.nir").samples == 4


def test_data_in_memory_are_taken_everywhere(tmp_path):
    x = spikes()
    layer = Layer("n", neurons.lif(3, decay=0.9, threshold=0.5), (Connection("input", np.full((3, 5), 0.3)),))
    network = Network(5, (layer,))
    wanted = simulate(network, x).readout
    assert wanted.any()
    grid = nir.TimeGriddedData(x, DT)
    path = written(tmp_path / "x.nir", grid, node="first", name="anything")
    for given in (grid, graph_data(grid), nir.NIRNodeData({"spikes": grid}), nir.NIRGraphData({"a": graph_data(grid)}),
                  nir.read_data(path), path, str(path)):  # fmt: skip
        np.testing.assert_array_equal(simulate(network, given).readout, wanted)
    with pytest.raises(TclifError, match=r"holds events in time; give data.to_time_gridded\(dt\)"):
        simulate(network, grid.to_event(400))


@pytest.mark.parametrize("kind", ["grid", "events"])
@pytest.mark.parametrize("case", ["spikes", "counts", "pixels", "real"])
def test_what_is_written_is_read_by_nir_and_comes_back_whole(tmp_path, kind, case):
    rng = np.random.default_rng(2)
    x, scale = {
        "spikes": (spikes().astype(np.uint8), 1.0), "counts": (rng.poisson(0.4, (4, 30, 5)).astype(np.int16), 1.0),
        "pixels": (rng.integers(0, 256, (4, 30, 5)).astype(np.uint8), 1 / 255),
        "real": (rng.normal(size=(4, 30, 5)) * (rng.random((4, 30, 5)) < 0.5), 0.5),
    }[case]  # fmt: skip
    data = Dataset(x, np.arange(120).reshape(4, 30) % 3, scale, task="step-label", mask=rng.random((4, 30)) < 0.5)
    write_nir_data(data, tmp_path / "x.nir", DT, kind)
    (observable,) = nir.read_data(tmp_path / "x.nir").nodes["input"].observables.values()
    if kind == "events":
        assert (case == "spikes") == (type(observable) is nir.EventData)
        observable = observable.to_time_gridded(DT)
    np.testing.assert_array_equal(observable.data, data.values())
    assert observable.dt == DT
    back = load_data(tmp_path / "x.nir")
    np.testing.assert_array_equal(back.values(), data.values())
    np.testing.assert_array_equal(back.y, data.y)
    np.testing.assert_array_equal(back.mask, data.mask)
    assert back.task == data.task
    if case != "real":
        assert (back.x.dtype, back.scale) == (x.dtype, scale)
        np.testing.assert_array_equal(back.x, x)


def test_lengths_stay_and_padding_is_no_event(tmp_path):
    data = Dataset(np.ones((2, 10, 3), np.uint8), [1, 0], lengths=np.array([4, 10]))
    said = write_nir_data(data, tmp_path / "x.nir", DT, "events")
    assert said[0] == "18 values behind the ends of their samples: left out"
    assert not any("left out" in line for line in write_nir_data(data, tmp_path / "g.nir", DT, "grid"))
    ended = Dataset(np.where(data.valid()[:, :, None], data.x, 0), lengths=data.lengths)
    assert not any("left out" in line for line in write_nir_data(ended, tmp_path / "e.nir", DT, "events"))
    (observable,) = nir.read_data(tmp_path / "x.nir").nodes["input"].observables.values()
    assert (observable.idx >= 0).sum(axis=1).tolist() == [12, 30]
    back = load_data(tmp_path / "x.nir")
    assert back.lengths.tolist() == [4, 10]
    assert back.y.tolist() == [1, 0]


def test_a_file_of_something_else_is_not_written_over(tmp_path, capsys):
    """Data of another format, a network, a text; data of NIR are."""
    np.savez(tmp_path / "x.npz", x=spikes())
    np.savez(tmp_path / "other.npz", x=spikes())
    nir.write(tmp_path / "model.nir", nir.NIRGraph.from_list(nir.Affine(np.ones((2, 3)), np.ones(2))))
    (tmp_path / "notes.txt").write_text("mine")
    for name in ("other.npz", "model.nir", "notes.txt"):
        before = (tmp_path / name).read_bytes()
        assert run(["export-data", str(tmp_path / "x.npz"), "-o", str(tmp_path / name)]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line.startswith(f"error: {tmp_path / name}: holds something else than NIR's data; choose another file")
        assert (tmp_path / name).read_bytes() == before
    for _ in range(2):
        assert run(["export-data", str(tmp_path / "x.npz"), "-o", str(tmp_path / "data.nir")]) == 0


def test_the_command_writes_any_data_and_puts_events_on_a_grid(tmp_path, capsys):
    np.savez(tmp_path / "x.npz", x=spikes(), y=[0, 1, 2, 0])
    assert run(["export-data", str(tmp_path / "x.npz"), "-o", str(tmp_path / "e.nir"), "--kind", "events"]) == 0
    assert "y: in a group of its own" in " ".join(capsys.readouterr().err.split())
    assert type(nir.read_data(tmp_path / "e.nir").nodes["input"].observables["spikes"]) is nir.EventData
    np.testing.assert_array_equal(load_data(tmp_path / "e.nir").x, spikes())
    theirs = written(tmp_path / "theirs.nir", nir.TimeGriddedData(spikes(), DT).to_event(400))
    assert run(["export-data", str(theirs), "-o", str(tmp_path / "g.nir")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "holds events in time, and no step; say one: tclif export-data FILE --dt DT" in said
    assert not (tmp_path / "g.nir").exists()
    command = ["export-data", str(theirs), "--dt", "1e-3", "-o", str(tmp_path / "g.nir"), "--samples", "3"]
    assert run(command) == 0
    grid = nir.read_data(tmp_path / "g.nir").nodes["input"].observables["spikes"]
    assert grid.dt == DT
    np.testing.assert_array_equal(grid.data, spikes()[:3])
    assert run(["export-data", str(theirs), "--dt", "1e-3", "-o", str(theirs)]) == 2
    assert run(["export-data", str(tmp_path / "x.npz"), "--export-dt", "-1", "-o", str(tmp_path / "n.nir")]) == 2
    assert "a step of -1" in capsys.readouterr().err


@pytest.mark.parametrize(("given", "wanted"), [
    ([], 2e-3), (["--dt", "2e-3"], 2e-3), (["--export-dt", "5e-4"], 5e-4),
    (["--dt", "2e-3", "--export-dt", "5e-4"], 5e-4),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["grid", "events"])
def test_what_the_file_says_of_its_step_is_kept_unless_another_is_given(tmp_path, kind, given, wanted):
    write_nir_data(Dataset(spikes().astype(np.uint8)), tmp_path / "in.nir", 2e-3, kind)
    for written_kind in ("grid", "events"):
        command = ["export-data", str(tmp_path / "in.nir"), "-o", str(tmp_path / "out.nir"), "--kind", written_kind]
        assert run([*command, *given]) == 0
        assert step_of(tmp_path / "out.nir") == wanted
        np.testing.assert_array_equal(load_data(tmp_path / "out.nir").x, spikes())
        (observable,) = nir.read_data(tmp_path / "out.nir").nodes["input"].observables.values()
        assert getattr(observable, "dt", None) == wanted or observable.t_max == pytest.approx(30 * wanted)


def test_data_that_say_no_step_have_the_usual_one(tmp_path):
    np.savez(tmp_path / "x.npz", x=spikes())
    for given, wanted in (([], 1e-4), (["--export-dt", "3e-3"], 3e-3)):
        assert run(["export-data", str(tmp_path / "x.npz"), "-o", str(tmp_path / "out.nir"), *given]) == 0
        assert step_of(tmp_path / "out.nir") == wanted
    assert step_of(tmp_path / "x.npz") is None


@pytest.mark.parametrize("name", ["x.dat", "x", "x.npz", "x.idx", "x.h5"])
def test_hdf5_is_known_by_its_first_bytes(tmp_path, name):
    path = tmp_path / name
    written(tmp_path / "theirs.nir", nir.TimeGriddedData(spikes(), DT)).rename(path)
    np.testing.assert_array_equal(load_data(path).x, spikes())
    assert open_stream(path).samples == 4
    with h5py.File(path, "w") as file:  # HDF5 of another kind
        file["other"] = 1
    for read in (load_data, open_stream):
        with pytest.raises(TclifError, match="spikes") as error:
            read(path)
        assert "\n" not in str(error.value)


def test_commands_take_nirs_data(tmp_path, capsys):
    rng = np.random.default_rng(0)
    layers = (
        Layer("n", neurons.lif(6, decay=0.9, threshold=0.5), (Connection("input", rng.normal(0.1, 0.3, (6, 5))),)),
        Layer("out", neurons.readout(3), (Connection("n", rng.normal(0, 1, (3, 6))),)),
    )
    from tclif_deploy import write_nir

    write_nir(Network(5, layers), tmp_path / "net.nir")
    path = tmp_path / "x.nir"
    write_nir_data(Dataset(spikes(), [0, 1, 2, 0]), path, DT)
    build = str(tmp_path / "build")
    loose = ["--min-agreement", "0", "--max-accuracy-drop", "1", "-q"]
    common = ["--data", str(path), "--backend", "engine"]
    assert run(["compile", str(tmp_path / "net.nir"), *common, "-o", build, *loose]) == 0
    capsys.readouterr()
    assert run(["simulate", build, "--data", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    with pytest.raises(TclifError, match="holds NIR's data, not a graph; give it as data"):
        load(path)
    with pytest.raises(TclifError, match="is no file of NIR's data; nir"):
        load_data(tmp_path / "net.nir")


def put(name, value):
    def edit(file):
        group = file["nodes/input/observables/spikes"]
        if name in group:
            del group[name]
        group[name] = value

    return edit


def attribute(name, value):
    return lambda file: file["nodes/input/observables/spikes"].attrs.__setitem__(name, value)


@pytest.mark.parametrize(("edit", "message"), [
    (put("idx", np.full((4, 9), 1)), "idx has shape (4, 9), time (4, 400)"),
    (put("idx", np.full((4, 400), 5)), "an event of sample 0 is of neuron 5, expected 0..4, or -1 for none"),
    (put("idx", np.full((4, 400), -2)), "an event of sample 0 is of neuron -2"),
    (put("time", np.full((4, 400), 0.03)), "an event of sample 0 is at time 0.03, expected 0 to less than 0.03"),
    (put("time", np.full((4, 400), np.nan)), "an event of sample 0 is at time nan"),
    (put("time", np.full((4, 400), b"a")), "time has type |S1"),
    (attribute("t_max", 1e30), "are more than"),
    (attribute("t_max", np.nan), "t_max is nan"),
    (attribute("n_neurons", 4.5), "n_neurons or t_max is missing or not whole"),
    (attribute("n_neurons", "five"), "n_neurons is"),
    (lambda file: file["nodes/input/observables/spikes"].attrs.__delitem__("t_max"), "n_neurons or t_max is missing"),
    (lambda file: file["nodes/input/observables"].__delitem__("spikes"), "holds no observable"),
    (lambda file: file.__setitem__("nodes/input/observables/v/data", np.zeros((1, 1, 1))), "which one is the input?"),
    (put("data", h5py.SoftLink("/nodes")), "link to elsewhere"),
])  # fmt: skip
def test_data_that_mean_nothing_are_one_line(tmp_path, edit, message):
    path = written(tmp_path / "x.nir", nir.TimeGriddedData(spikes(), DT).to_event(400))
    with h5py.File(path, "r+") as file:
        edit(file)
    with pytest.raises(TclifError) as error:
        load_data(path, dt=DT)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_step_that_is_not_the_files_is_refused_and_other_files_have_none(tmp_path):
    path = written(tmp_path / "x.nir", nir.TimeGriddedData(spikes(), DT))
    with pytest.raises(TclifError, match=r"has steps of 0.001, not of 0.002"):
        load_data(path, dt=2e-3)
    np.save(tmp_path / "x.npy", np.zeros((1, 2, 3)))
    with pytest.raises(TclifError, match="dt is for events of NIR's data"):
        load_data(tmp_path / "x.npy", dt=1.0)
    with pytest.raises(TclifError, match="dt"):
        load_data(path, dt=-1.0)


def test_wrong_bytes_give_one_line_or_data(tmp_path):
    rng = np.random.default_rng(0)
    write_nir_data(Dataset(spikes().astype(np.uint8), [0, 1, 2, 0]), tmp_path / "good.nir", DT, "events")
    good, outcomes = (tmp_path / "good.nir").read_bytes(), set()
    for _ in range(80):
        damaged = bytearray(good)
        for _ in range(rng.integers(1, 6)):
            place = rng.integers(len(damaged))
            damaged[place : place + 4] = rng.integers(0, 256, 4).astype(np.uint8).tobytes()
        (tmp_path / "bad.nir").write_bytes(damaged)
        try:
            load_data(tmp_path / "bad.nir")
            outcomes.add("read")
        except TclifError as error:
            outcomes.add("refused" if "\n" not in str(error) else "more than a line")
    assert outcomes == {"read", "refused"}
