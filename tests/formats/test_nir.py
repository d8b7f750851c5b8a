"""NIR files: an unmodified nir.read opens them, their primitives spike as the float model, the reader loses nothing."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tclif_deploy import neurons
from tclif_deploy.comparison import equal
from tclif_deploy.errors import TclifError
from tclif_deploy.formats import NotInNir, read_nir, write_nir
from tclif_deploy.network import INPUT, NEURON_ARRAYS, Connection, Layer, Network, Neuron
from tclif_deploy.neurons import canonical
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers.nir_interpreter import Machine, Simultaneous, run

FIXTURES = Path(__file__).parents[2] / "fixtures"
SCHEDULERS = pytest.mark.parametrize("scheduler", [Simultaneous, Machine], ids=["at once", "by name"])


@pytest.fixture(scope="module")
def smnist() -> Network:
    """The S-MNIST fixture, built by hand from its checkpoint."""
    folder = FIXTURES / "smnist_ff"
    weights = torch.load(folder / "checkpoint.pth.tar", map_location="cpu", weights_only=False)["state_dict"]
    gamma = json.loads((folder / "args.json").read_text())["gamma"]
    layers, source = [], INPUT
    for index in (0, 2, 4, 6):
        weight, bias = (weights[f"features.{index}.{key}"].double().numpy() for key in ("weight", "bias"))
        if index < 6:
            c1, c2 = weights[f"features.{index + 1}.decay_factor"].double().numpy()[0]
            neuron = neurons.tclif(len(weight), c1=c1, c2=c2, gamma=gamma, threshold=1.0, bias=bias)
        else:
            neuron = neurons.readout(len(weight), bias=bias)
        name = f"features.{index}"
        layers.append(Layer(name, neuron, (Connection(source, weight),)))
        source = name
    return Network(1, tuple(layers))


def mixed_network(seed: int) -> Network:
    """Recurrence, feedback, a skip, and every kind of neuron that NIR can express, each at a level that spikes."""
    rng = np.random.default_rng(seed)

    def some(size: int, low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, size)

    def link(source: str, size: int, sources: int, scale: float, delay: int = 0) -> Connection:
        return Connection(source, rng.normal(0.1, 1.0, (size, sources)) * scale / np.sqrt(sources), delay)

    tclif = canonical(
        20, "tclif", a_u=1.0, b_u=-some(20, 0.3, 0.7), a_v=1.0, b_v=some(20, 0.3, 0.7), threshold=some(20, 0.7, 1.2),
        r_u=0.5, r_v=1.0, bias_u=some(20, 0, 0.1), bias_v=some(20, 0, 0.1), v0=some(20, -1, 0.5),
        u0=some(20, -1, 0.5), s0=some(20, 0, 1).round(),
    )  # fmt: skip
    leaky = canonical(
        20, "generalized", a_u=some(20, 0.5, 1.0), b_u=-some(20, 0.1, 0.4), a_v=some(20, 0.5, 1.0),
        b_v=some(20, 0.3, 0.7), threshold=1.0, r_u=0.3, r_v=0.8, bias_u=some(20, 0, 0.1), bias_v=some(20, 0, 0.1),
        input_to="soma", strict=True, u0=some(20, -0.5, 1), s0=some(20, 0, 1).round(),
    )  # fmt: skip
    lif = neurons.lif(20, decay=some(20, 0.6, 0.95), threshold=1.0, bias=some(20, 0, 0.1))
    hard = replace(
        neurons.lif(20, decay=some(20, 0.6, 0.95), threshold=1.0, reset="hard", v_reset=-0.2, strict=True),
        v0=some(20, -1, 0.9), s0=some(20, 0, 1).round(), bias_v=some(20, 0, 0.1),
    )  # fmt: skip
    hard_if = canonical(20, "if", a_v=1.0, b_v=0.5, a_u=0.9, bias_u=0.01, input_to="soma", reset="hard", threshold=1.0)
    return Network(6, (
        Layer("tclif", tclif, (link(INPUT, 20, 6, 1.0), link("tclif", 20, 20, 0.3, 1), link("lif", 20, 20, 0.3, 1))),
        Layer("leaky", leaky, (link("tclif", 20, 20, 1.5),)),
        Layer("lif", lif, (link("leaky", 20, 20, 1.0), link(INPUT, 20, 6, 0.5))),
        Layer("hard", hard, (link("lif", 20, 20, 1.0), link("hard", 20, 20, 0.2, 1))),
        Layer("hard if", hard_if, (link("hard", 20, 20, 1.0), link("lif", 20, 20, 0.5))),
        Layer("out", neurons.readout(4, decay=0.9, bias=0.1), (link("hard if", 4, 20, 1.0), link("tclif", 4, 20, 1.0))),
    ))  # fmt: skip


def assert_primitives_spike_alike(network: Network, x: np.ndarray, path: Path, scheduler: type[Machine]) -> None:
    """The file's primitives spike as `simulate_float` does, each layer in 1 to 60 % of its neuron steps."""
    write_nir(network, path)
    primitives = run(nir.read(path), x, scheduler)
    last = network.layers[-1]
    expected = simulate_float(network, x, traces=(last.name,))
    for layer, output in zip(network.layers, primitives, strict=True):
        if layer.neuron.spiking:
            spikes = expected.spikes[layer.name]
            assert 0.01 < spikes.mean() < 0.6, f"{layer.name} fires in {spikes.mean():.1%} of its neuron steps"
            np.testing.assert_array_equal(output, spikes, err_msg=layer.name)
    if not last.neuron.spiking:
        np.testing.assert_allclose(primitives[-1], expected.traces[last.name][1], rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@SCHEDULERS
def test_the_primitives_spike_as_the_float_model_on_real_digits(
    smnist: Network, tmp_path: Path, scheduler: type[Machine]
) -> None:
    data = np.load(FIXTURES / "smnist_test.npz")
    x = data["x"][:6] * float(data["scale"])
    assert x.shape == (6, 784, 1)
    assert_primitives_spike_alike(smnist, x, tmp_path / "network.nir", scheduler)


@pytest.mark.slow
@SCHEDULERS
@pytest.mark.parametrize("seed", range(4))
def test_the_primitives_spike_as_the_float_model_with_loops_skips_and_all_kinds_of_neurons(
    tmp_path: Path, scheduler: type[Machine], seed: int
) -> None:
    x = np.random.default_rng(seed).random((3, 150, 6)) < 0.3
    assert_primitives_spike_alike(mixed_network(seed), x.astype(float), tmp_path / "network.nir", scheduler)


@SCHEDULERS
@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize(("strict", "steps"), [(False, 4), (True, 5)])
def test_a_soma_that_just_reaches_its_threshold_fires_unless_the_comparator_is_strict(
    tmp_path: Path, scheduler: type[Machine], reset: str, strict: bool, steps: int
) -> None:
    neuron = canonical(1, "if", a_v=1.0, b_v=1.0, threshold=1.0, r_v=float(reset == "soft"), strict=strict, reset=reset)
    write_nir(Network(1, (Layer("a", neuron, (Connection(INPUT, np.array([[0.25]])),)),)), tmp_path / "a.nir")
    (spikes,) = run(nir.read(tmp_path / "a.nir"), np.ones((1, 5, 1)), scheduler)
    assert spikes[0, :, 0].tolist() == [float(t == steps - 1) for t in range(5)]


def test_a_changed_reset_in_the_file_changes_spikes(tmp_path: Path) -> None:
    network, x = mixed_network(0), (np.random.default_rng(0).random((3, 150, 6)) < 0.3).astype(float)
    write_nir(network, tmp_path / "network.nir")
    with h5py.File(tmp_path / "network.nir", "r+") as file:
        scale = file["node/nodes/1_3_tclif/nodes/07_reset_dendrite/scale"]
        scale[3] = scale[3] * 1.01
    spikes = run(nir.read(tmp_path / "network.nir"), x, Simultaneous)[0]
    assert (spikes != simulate_float(network, x).spikes["tclif"]).any()


def test_tc_lif_is_written_in_integrators_scales_and_a_threshold(smnist: Network, tmp_path: Path) -> None:
    write_nir(smnist, tmp_path / "network.nir")
    graph = nir.read(tmp_path / "network.nir")
    first = graph.nodes["1_1_features.0"]
    assert {name: type(node).__name__ for name, node in first.nodes.items()} == {
        "00_input": "Input", "07_reset_dendrite": "Scale", "08_reset_soma": "Scale", "10_soma_to_dendrite": "Scale",
        "11_dendrite_to_soma": "Scale", "14_dendrite": "I", "15_soma": "I", "16_spikes": "Threshold",
        "17_output": "Output",
    }  # fmt: skip
    assert first.nodes["16_spikes"].threshold[0] == np.nextafter(1.0, 0.0)
    assert first.nodes["07_reset_dendrite"].scale[0] == -0.5
    assert json.loads(graph.metadata["tclif_deploy"])["dt"] == 1.0
    np.testing.assert_array_equal(first.metadata["b_u"], smnist.layers[0].neuron.b_u)


def test_nodes_sort_in_evaluation_order(tmp_path: Path) -> None:
    neuron, one = neurons.lif(1, decay=0.5, threshold=1.0), np.ones((1, 1))
    layers = [Layer(f"z{n}", neuron, (Connection(INPUT if n == 11 else f"z{n + 1}", one),)) for n in range(11, 0, -1)]
    write_nir(Network(1, tuple(layers)), tmp_path / "network.nir")
    names = list(nir.read(tmp_path / "network.nir").nodes)
    assert [n for n in names if "z" in n] == [f"{k:02}_1_z{12 - k}" for k in range(1, 12)]
    assert (names[0], names[1], names[-1]) == ("00_input", "01_0_weights", "12_output")


# Reading ------------------------------------------------------------------------------------------------------------

VALUES = st.floats(-4, 4) | st.sampled_from([0.0, -0.0, 1.0, -1.0, 5e-324, 1e29])
NAMES = st.text(min_size=1, max_size=12).filter(str.isprintable) | st.sampled_from(
    ["a/b", ".", "..", "ünïcödé ☃", "with space", "%2F", "1_0_x", "|"]
)


@st.composite
def drawn_neuron(draw: st.DrawFn, size: int, spiking: bool) -> Neuron:
    """Any neurons that have a NIR form, however dull their activity."""
    vector = st.lists(VALUES, min_size=size, max_size=size).map(np.array)
    arrays = {key: draw(vector) for key in NEURON_ARRAYS if draw(st.booleans())}
    arrays.pop("s0", None)
    if spiking and draw(st.booleans()):
        arrays["s0"] = np.array(draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=size, max_size=size)))
    hard = draw(st.booleans())
    if spiking and hard:
        arrays.pop("b_u", None)
        arrays.pop("r_u", None)
        leaks = draw(st.lists(VALUES.filter(lambda a: a != 1), min_size=size, max_size=size))
        arrays["a_v"] = draw(st.sampled_from([np.ones(size), np.array(leaks)]))
    elif spiking:
        arrays.pop("q", None)
        arrays["threshold"] = np.maximum(np.abs(arrays.get("threshold", np.ones(size))), 5e-324)
    return canonical(
        size, draw(st.text(max_size=5)), strict=draw(st.booleans()), reset="hard" if hard else "soft",
        input_to=draw(st.sampled_from(["dendrite", "soma"])), spiking=spiking, **arrays,
    )  # fmt: skip


@st.composite
def drawn_network(draw: st.DrawFn) -> Network:
    """A chain of one to three layers with some skips, recurrence and feedback."""
    names = draw(st.lists(NAMES.filter(lambda name: name != INPUT), min_size=1, max_size=3, unique=True))
    sizes = {name: draw(st.integers(1, 4)) for name in [INPUT, *names]}
    last_spikes = draw(st.booleans())
    layers = []
    for index, name in enumerate(names):
        spiking = name != names[-1] or last_spikes
        ahead = names[index:] if last_spikes else names[index:-1]
        possible = [(INPUT, 0), *((n, 0) for n in names[:index]), *((n, 1) for n in ahead)]
        chosen = [possible[index], *draw(st.lists(st.sampled_from(possible), max_size=3))]
        links = []
        for source, delay in draw(st.permutations(chosen)):
            shape = (sizes[name], sizes[source])
            weights = draw(st.lists(VALUES, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
            links.append(Connection(source, np.array(weights).reshape(shape), delay))
        layers.append(Layer(name, draw(drawn_neuron(sizes[name], spiking)), tuple(links)))
    return Network(sizes[INPUT], tuple(layers))


def strip_metadata(path: Path) -> None:
    """Remove every node's metadata from a NIR file."""
    with h5py.File(path, "r+") as file:
        paths: list[str] = []
        file.visit(lambda name: paths.append(name) if name.endswith("/metadata") else None)
        assert paths
        for name in paths:
            del file[name]


def assert_recovered(read_back: Network, written: Network) -> None:
    """All that has an effect is the same: weights bit for bit, coefficients to 1e-12."""
    assert read_back.input_size == written.input_size
    assert [layer.name for layer in read_back.layers] == [layer.name for layer in written.layers]
    for a, b in zip(read_back.layers, written.layers, strict=True):
        assert equal(a.connections, b.connections)
        n, hard = b.neuron, b.neuron.reset == "hard"
        assert (a.neuron.spiking, a.neuron.input_to) == (n.spiking, n.input_to)
        without_effect = {"v_reset"} if n.spiking and not hard else {"v_reset", "r_u", "r_v", "q"}
        if n.spiking:
            assert a.neuron.reset == n.reset
            without_effect -= {"v_reset"} if hard else set()
        else:
            without_effect |= {"threshold"}
        if hard and n.spiking:  # v0 has no effect where s0 resets it
            n = replace(n, v0=n.start[1])
        for key in set(NEURON_ARRAYS) - without_effect:
            np.testing.assert_allclose(
                getattr(a.neuron, key), getattr(n, key), rtol=1e-12, atol=1e-12, err_msg=f"{b.name}: {key}"
            )


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(network=drawn_network())
def test_any_network_comes_back_bit_for_bit_and_without_metadata_to_1e_12(tmp_path: Path, network: Network) -> None:
    path = tmp_path / "network.nir"
    write_nir(network, path)
    nir.read(path)
    assert equal(read_nir(path), network)
    strip_metadata(path)
    assert_recovered(read_nir(path), network)


def test_the_trained_network_comes_back_bit_for_bit_and_without_metadata_to_1e_12(
    smnist: Network, tmp_path: Path
) -> None:
    path = tmp_path / "network.nir"
    write_nir(smnist, path)
    assert equal(read_nir(path), smnist)
    strip_metadata(path)
    assert_recovered(read_nir(path), smnist)


@pytest.mark.slow
def test_a_file_that_nir_itself_wrote_again_is_read_too(tmp_path: Path) -> None:
    write_nir(mixed_network(1), tmp_path / "ours.nir")
    nir.write(tmp_path / "theirs.nir", nir.read(tmp_path / "ours.nir"))
    assert equal(read_nir(tmp_path / "theirs.nir"), mixed_network(1))


@pytest.mark.slow
def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    write_nir(mixed_network(2), tmp_path / "first.nir")
    time.sleep(1.1)  # HDF5 counts time in seconds
    write_nir(mixed_network(2), tmp_path / "second.nir")
    assert (tmp_path / "first.nir").read_bytes() == (tmp_path / "second.nir").read_bytes()
    write_nir(mixed_network(3), tmp_path / "third.nir")
    assert (tmp_path / "first.nir").read_bytes() != (tmp_path / "third.nir").read_bytes()


# What NIR cannot say ------------------------------------------------------------------------------------------------


def one_layer(neuron: Neuron, *more: Connection) -> Network:
    return Network(1, (Layer("hidden", neuron, (Connection(INPUT, np.ones((2, 1))), *more)),))


LIF = neurons.lif(2, decay=0.5, threshold=1.0)
LOOP = np.ones((2, 2))


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (one_layer(neurons.tclif(2, c1=0, c2=0, gamma=0.5, threshold=1.0, reset="hard")), "hard reset.*b_u"),
        (one_layer(replace(LIF, q=np.array([0, 0.1]))), "q != 0"),
        (one_layer(replace(LIF, threshold=np.array([1.0, 0.0]))), "threshold of 0"),
        (one_layer(replace(LIF, reset="hard", a_v=np.array([1.0, 0.5]))), "some neurons leak"),
        (one_layer(LIF, Connection("hidden", LOOP, 2)), "from hidden: a delay of 2.*must be 1"),
        (one_layer(LIF, Connection(INPUT, np.ones((2, 1)), 1)), "from input: a delay of 1.*must be 0"),
        (Network(1, (Layer("hidden", LIF, (Connection("hidden", LOOP, 1),)),)), "reads the input"),
        (Network(1, (one_layer(LIF).layers[0], replace(one_layer(LIF).layers[0], name="b"))), "hidden: nothing reads"),
    ],
    ids=["hard", "q", "threshold", "leaks", "delay", "input delay", "no input", "unread"],
)
def test_what_nir_cannot_express_is_refused_with_the_reason(tmp_path: Path, network: Network, words: str) -> None:
    with pytest.raises(NotInNir, match=words) as caught:
        write_nir(network, tmp_path / "network.nir")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TclifError, match="cannot be written"):
        write_nir(one_layer(LIF), tmp_path / "none" / "network.nir")


@pytest.mark.parametrize("spiking", [False, True])
def test_every_readout_rule_comes_back(tmp_path: Path, spiking: bool) -> None:
    neuron = neurons.lif(4, decay=0.9, threshold=1.0) if spiking else neurons.readout(4)
    network = Network(3, (Layer("out", neuron, (Connection(INPUT, np.ones((4, 3))),)),))
    write_nir(network, tmp_path / "usual.nir")
    assert '"readout"' not in nir.read(tmp_path / "usual.nir").metadata["tclif_deploy"]
    rules = ["count", "rate:2", "votes:4", "first"] if spiking else ["first:0.1", "threshold:3.3", "softmax"]
    for text in [*rules, "last", "sum", "mean", "max", "step"]:
        ruled = network.with_readout(text)
        write_nir(ruled, tmp_path / "ruled.nir")
        assert read_nir(tmp_path / "ruled.nir").readout == ruled.readout
        assert (tmp_path / "ruled.nir").read_bytes() != (tmp_path / "usual.nir").read_bytes() or ruled.usual_readout


@pytest.mark.parametrize(
    ("readout", "message"),
    [
        ('{"rule": "mode", "votes": 1, "threshold": null}', "metadata readout: rule"),
        ('{"rule": "count", "votes": 3, "threshold": null}', "has 4 neurons"),
        ('{"rule": "last", "votes": 2, "threshold": null}', "readout last: votes is 2"),
        ("7", "metadata readout"),
    ],
)
def test_a_readout_that_does_not_fit_is_refused(tmp_path: Path, readout: str, message: str) -> None:
    neuron = neurons.lif(4, decay=0.9, threshold=1.0)
    network = Network(3, (Layer("out", neuron, (Connection(INPUT, np.ones((4, 3))),)),)).with_readout("sum")
    write_nir(network, tmp_path / "bad.nir")
    with h5py.File(tmp_path / "bad.nir", "r+") as file:
        stored = file["node/metadata/tclif_deploy"]
        text = json.loads(stored[()]) | {"readout": json.loads(readout)}
        del file["node/metadata/tclif_deploy"]
        file["node/metadata/tclif_deploy"] = json.dumps(text)
    with pytest.raises(TclifError, match=message) as error:
        read_nir(tmp_path / "bad.nir")
    assert str(tmp_path / "bad.nir") in str(error.value)
