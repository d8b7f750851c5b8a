"""lava-dl's netx files: those that lava-dl writes, ours run by lava-dl's own netx, and what is no netx."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from tclif_deploy import Dataset, TclifError, load, load_target, neurons, quantize, simulate
from tclif_deploy.cli.main import run
from tclif_deploy.convolution import Conv, Kernel
from tclif_deploy.formats import read_netx, write_netx, write_netx_fixed
from tclif_deploy.formats.netx.read_layers import effective_weights
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.readout import Readout
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers import foreign_graphs
from tests.helpers.cuba_networks import cuba_layer, cuba_network
from tests.helpers.requirements import needs_package

HELPERS = Path(__file__).parents[1] / "helpers"
TEMPLATE = Path(__file__).parents[2] / "tclif_deploy" / "backends" / "lava" / "template"


def trains(features=6, steps=80):
    return (np.random.default_rng(1).random((steps, features)) < 0.3).astype(int)


def refused(path: Path) -> str:
    with pytest.raises(TclifError) as error:
        load(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_is_written_comes_back_as_it_was_rounded(tmp_path):
    messages = write_netx(cuba_network(), tmp_path / "out.net")
    assert messages[0].startswith("a: CUBA, weights rounded by at most 0.00")
    back = read_netx(tmp_path / "out.net")
    a, b = cuba_network().layers[0], back.layers[0]
    scale = max(np.abs(c.weight).max() for c in a.connections) / 127
    for written, read_back in zip(a.connections, b.connections, strict=True):
        np.testing.assert_allclose(read_back.weight * scale, written.weight, atol=scale / 2 * 1.001)
        assert read_back.delay == written.delay
    assert abs(b.neuron.threshold[0] * scale - 1.7) <= scale
    x = trains()[None]
    before, after = (simulate_float(n, x).spikes for n in (cuba_network(), back))
    assert 0.01 <= before["a"].mean() <= 0.6
    assert 0.01 <= before["b"].mean() <= 0.6
    same = (before["a"] & after["layer0"]).sum() / (before["a"] | after["layer0"]).sum()
    assert same > 0.6  # 8-bit weights in a loop: alike, no more


def test_a_readout_that_netx_has_no_word_for_is_said(tmp_path):
    said = "the readout max is not in the file: netx has no word for it"
    assert write_netx(cuba_network().with_readout("max"), tmp_path / "out.net")[-1] == said
    assert not any("readout" in line for line in write_netx(cuba_network(), tmp_path / "out.net"))
    fixed, _ = compiled()
    assert write_netx_fixed(fixed, tmp_path / "fixed.net") == ()
    assert write_netx_fixed(replace(fixed, readout=Readout("max")), tmp_path / "fixed.net") == (said,)


def run_script(name: str, *arguments: object) -> None:
    """A script beside this file, which needs lava-dl's netx, in a process of its own."""
    needs_package("lava.lib.dl.netx")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(HELPERS / name), *map(str, arguments)], timeout=900,
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


SHAPES = {"dense": (20,), "recurrent": (20,), "convolutional": (2, 8, 8), "delayed": (20,), "pooled": (2, 8, 8)}


@pytest.fixture(scope="module")
def lava_dl(tmp_path_factory) -> Path:
    """What make_netx.py leaves: each network's file, its input and its spikes."""
    folder = tmp_path_factory.mktemp("lava_dl")
    rng = np.random.default_rng(1)
    np.savez(folder / "inputs.npz", **{k: (rng.random((*s, 100)) < 0.3).astype(np.int8) for k, s in SHAPES.items()})
    run_script("make_netx.py", folder / "inputs.npz", folder, TEMPLATE)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dense", "recurrent", "convolutional", "delayed"])
def test_a_network_that_lava_dl_writes_spikes_as_lava_dl_runs_it(lava_dl, name):
    """Only the dense one has decays, which lava-dl truncates; no spike of this input hangs on it."""
    network = load(lava_dl / f"{name}.net")
    with np.load(lava_dl / "inputs.npz") as inputs:
        x = inputs[name].reshape(network.input_size, -1).T[None].astype(float)
    our_spikes = simulate_float(network, x).spikes
    with np.load(lava_dl / f"{name}.npz") as lava_spikes:
        assert list(our_spikes) == list(lava_spikes)
        for delay, layer in enumerate(our_spikes, 1):
            assert 0.01 <= our_spikes[layer].mean() <= 0.6
            np.testing.assert_array_equal(
                lava_spikes[layer][delay:].astype(bool), our_spikes[layer][0, :-delay], err_msg=layer
            )


@pytest.mark.slow
def test_neurons_and_weights_are_those_of_lava_dls_file(lava_dl):
    network = load(lava_dl / "dense.net")
    first = network.layers[0].neuron
    assert (first.strict, first.reset) == (True, "hard")
    with h5py.File(lava_dl / "dense.net") as file:
        stored = file["layer/0/neuron"]
        assert first.a_u[0] == 1 - stored["iDecay"][()] / 4096 == 0.5
        assert first.a_v[0] == 1 - stored["vDecay"][()] / 4096 == 0.875
        assert first.threshold[0] == stored["vThMant"][()]
        for n, layer in enumerate(network.layers):
            np.testing.assert_array_equal(layer.connections[0].weight, file[f"layer/{n}/weight"][()])


def test_pooling_of_lava_dl_is_refused_by_name(lava_dl):
    assert "layer 1: is of type 'pool', which is not read" in refused(lava_dl / "pooled.net")


def test_inspect_knows_a_file_of_lava_dl(lava_dl, capsys):
    assert run(["inspect", str(lava_dl / "dense.net"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "netx file of lava-dl"


@pytest.mark.slow
@pytest.mark.parametrize("recurrent", [False, True])
def test_lava_dls_own_netx_runs_our_file_spike_for_spike(tmp_path, recurrent):
    write_netx(cuba_network(recurrent=recurrent), tmp_path / "out.net")
    np.save(tmp_path / "x.npy", trains())
    run_script("run_netx.py", tmp_path / "out.net", tmp_path / "x.npy", tmp_path / "out.npy", TEMPLATE)
    lava_spikes = np.load(tmp_path / "out.npy")
    our_spikes = simulate_float(read_netx(tmp_path / "out.net"), trains()[None]).spikes["layer1"][0]
    assert 0.01 <= our_spikes.mean() <= 0.6
    np.testing.assert_array_equal(lava_spikes[2:82].astype(bool), our_spikes)


def convolutional():
    """Two maps, padded unlike and in groups, and a dense layer; no decays, which Loihi would truncate."""
    rng = np.random.default_rng(3)
    exact = {"current_decay": 1.0, "voltage_decay": 0.0}
    first = Kernel(rng.normal(0.1, 0.4, (4, 1, 3, 2)), Conv((1, 6, 5), padding=(1, 0, 1, 1)))
    second = Kernel(rng.normal(0.1, 0.4, (6, 2, 2, 3)), Conv(first.output_shape, (2, 1), dilation=(1, 2), groups=2))
    bias = first.per_neuron(np.linspace(-0.02, 0.03, 4))
    return Network(30, (
        Layer("a", cuba_layer(first.neurons, bias_v=bias, **exact),
              (Connection("input", first.weight, conv=first.conv),)),
        Layer("b", cuba_layer(second.neurons, **exact), (Connection("a", second.weight, conv=second.conv),)),
        Layer("c", cuba_layer(7, **exact), (Connection("b", rng.normal(0.1, 0.3, (7, second.neurons))),)),
    ))  # fmt: skip


def test_convolutions_come_back_as_they_were_rounded(tmp_path):
    wanted = convolutional()
    write_netx(wanted, tmp_path / "out.net")
    back = read_netx(tmp_path / "out.net")
    assert [layer.size for layer in back.layers] == [layer.size for layer in wanted.layers]
    assert [c.kind for layer in back.layers for c in layer.connections] == ["conv", "conv", "dense"]
    for written, read_back in zip(wanted.layers, back.layers, strict=True):
        a, b = written.connections[0].matrix(), read_back.connections[0].matrix()
        np.testing.assert_allclose(b * np.abs(a).max() / 127, a, atol=np.abs(a).max() / 127 / 2 * 1.001)


@pytest.mark.slow
def test_lava_dls_own_netx_runs_our_convolutions_spike_for_spike(tmp_path):
    write_netx(convolutional(), tmp_path / "out.net")
    x = trains(30)
    np.save(tmp_path / "x.npy", x)
    run_script("run_netx.py", tmp_path / "out.net", tmp_path / "x.npy", tmp_path / "out.npy", TEMPLATE)
    lava_spikes = np.load(tmp_path / "out.npy")
    our_spikes = simulate_float(read_netx(tmp_path / "out.net"), x[None]).spikes
    assert all(0.01 <= spikes.mean() <= 0.6 for spikes in our_spikes.values()), {
        k: v.mean() for k, v in our_spikes.items()
    }
    np.testing.assert_array_equal(lava_spikes[3:83].astype(bool), list(our_spikes.values())[-1][0])


@pytest.mark.parametrize(("edit", "message"), [
    (lambda layers: layers["1"].__delitem__("stride"), "layer 1: no stride"),
    (lambda layers: layers["0"].__delitem__("shape"), "layer 1: its input's shape is not known"),
    (lambda layers: layers["1/shape"].write_direct(np.array([9, 9, 9])), "shape is (9, 9, 9), its convolution gives"),
    (lambda layers: layers["1/groups"].write_direct(np.array(3)), "layer 1: 3 groups of 1 channels"),
    (lambda layers: layers["0/shape"].write_direct(np.array([1, 1 << 20, 1 << 20])), "maps of up to"),
])  # fmt: skip
def test_a_conv_layer_without_meaning_is_refused_by_its_number(tmp_path, edit, message):
    write_netx(convolutional(), tmp_path / "bad.net")
    with h5py.File(tmp_path / "bad.net", "r+") as file:
        edit(file["layer"])
    assert message in refused(tmp_path / "bad.net")


def compiled(weight_bits=7):
    """A recurrent TC-LIF network in integers, and graded input for it."""
    rng = np.random.default_rng(0)
    cell = {"c1": 0.2, "c2": -0.3, "gamma": 0.4, "threshold": 1.0, "bias": 0.03}
    network = Network(6, (
        Layer("a", neurons.tclif(10, **cell), (Connection("input", rng.normal(0.1, 0.5, (10, 6))),)),
        Layer("b", neurons.tclif(7, **cell), (
            Connection("a", rng.normal(0.1, 0.5, (7, 10))), Connection("b", rng.normal(0, 0.2, (7, 7)), 1),
        )),
        Layer("out", neurons.readout(3), (Connection("b", rng.normal(0.2, 0.5, (3, 7))),)),
    ))  # fmt: skip
    other = np.random.default_rng(1)
    starts = {"u0": other.normal(0, 0.5, 7), "v0": other.normal(0, 0.5, 7), "s0": other.integers(0, 2, 7)}
    layers = [replace(la, neuron=replace(la.neuron, **starts)) if la.name == "b" else la for la in network.layers]
    network = replace(network, layers=tuple(layers))
    x = rng.poisson(0.5, (1, 60, 6)).astype(np.int64)
    return quantize(network, load_target("loihi2").override(weight_bits=weight_bits), Dataset(x)), x


@pytest.mark.slow
def test_our_loader_runs_tclif_in_netx_bit_for_bit(tmp_path):
    fixed, x = compiled()
    write_netx_fixed(fixed, tmp_path / "out.net")
    np.save(tmp_path / "x.npy", x[0])
    run_script("run_netx_tclif.py", tmp_path / "out.net", tmp_path / "x.npy", tmp_path / "out.npz")
    result = simulate(fixed, x, spikes=True, engine="reference")
    with np.load(tmp_path / "out.npz") as lava_spikes:
        for n, name in enumerate(("a", "b")):
            our_spikes = result.spikes[name][0]
            assert 0.01 <= our_spikes.mean() <= 0.6
            np.testing.assert_array_equal(lava_spikes[f"spikes{n}"][1 + n : 61 + n].astype(bool), our_spikes)
        np.testing.assert_array_equal(lava_spikes["readout"], result.v["out"][0])


def test_compiled_integers_that_netx_does_not_hold_are_refused_and_are_not_read_as_a_model(tmp_path):
    fixed, _ = compiled(weight_bits=8)
    with pytest.raises(TclifError, match="layer b: its weights reach 254, exponents included"):
        write_netx_fixed(fixed, tmp_path / "out.net")
    write_netx_fixed(compiled()[0], tmp_path / "out.net")
    assert "layer 0: holds a compiled network's integers" in refused(tmp_path / "out.net")


@pytest.mark.parametrize(("written", "held"), [
    ([255, 3], [255, 3]), ([-255, 3], [-255, 3]), ([-128, 127], [-128, 127]), ([129, -3], [129, -3]),
    ([256, -256], [254, -256]), ([256, 0], [255, 0]), ([-256, -3], [-255, -3]),
])  # fmt: skip
def test_synapses_hold_their_lowest_bit_whatever_their_signs(written, held):
    np.testing.assert_array_equal(effective_weights(np.array([written], float)), [held])


@pytest.mark.slow
def test_lava_dls_netx_and_lavas_dense_hold_as_much_of_the_weights():
    """Their own functions, one after another, as Dense calls them."""
    needs_package("lava.lib.dl.netx")
    code = (
        "import sys, types, numpy as np\n"
        f"sys.path.insert(0, {str(TEMPLATE)!r})\n"
        "from tclif_lava import compat\n"
        "compat.prepare()\n"
        "sys.modules['lava.lib.dl.slayer.object_detection'] = types.ModuleType('object_detection')\n"
        "from lava.lib.dl.netx.utils import optimize_weight_bits\n"
        "from lava.utils.weightutils import SignMode, clip_weights, truncate_weights\n"
        "for top in (100, 129, 200, 253):\n"
        "    weight = np.random.default_rng(top).integers(-top, top + 1, (6, 9))\n"
        "    held, bits, exponent, sign = optimize_weight_bits(weight)\n"
        "    sign = SignMode(sign.value)\n"
        "    held = truncate_weights(clip_weights(held, sign, num_bits=8), sign, bits)\n"
        "    assert (held * 2.0**exponent == weight).all(), (held * 2.0**exponent, weight)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=900,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_mixed_weight_beyond_127_fires_where_it_alone_passes_the_threshold(tmp_path):
    weight = np.array([[129.0, -5.0], [7.0, -128.0]])
    layer = Layer("a", cuba_layer(2, current_decay=1.0), (Connection("input", np.ones((2, 2))),))
    write_netx(Network(2, (layer,)), tmp_path / "a.net")
    with h5py.File(tmp_path / "a.net", "r+") as file:
        put("layer/0/weight", weight)(file)
        put("layer/0/neuron/vThMant", 128)(file)
        put("layer/0/neuron/vDecay", 4096)(file)
    spikes = simulate_float(load(tmp_path / "a.net"), np.tile([[[1.0, 0.0], [0.0, 1.0]]], (1, 20, 1))).spikes["layer0"][
        0
    ]
    assert spikes[:, 0].tolist() == [True, False] * 20
    assert not spikes[:, 1].any()


def test_decays_of_each_neuron_and_of_each_channel_are_read(tmp_path):
    write_netx(cuba_network(), tmp_path / "dense.net")
    each = np.arange(10) * 400
    with h5py.File(tmp_path / "dense.net", "r+") as file:
        put("layer/0/neuron/iDecay", each + 5)(file)
        put("layer/0/neuron/vDecay", each)(file)
    neuron = load(tmp_path / "dense.net").layers[0].neuron
    np.testing.assert_array_equal(neuron.a_u, 1 - (each + 5) / 4096)
    np.testing.assert_array_equal(neuron.a_v, 1 - each / 4096)
    write_netx(convolutional(), tmp_path / "maps.net")
    with h5py.File(tmp_path / "maps.net", "r+") as file:
        put("layer/1/neuron/vDecay", np.arange(4) * 1000)(file)
    neuron = load(tmp_path / "maps.net").layers[0].neuron
    np.testing.assert_array_equal(neuron.a_v, np.repeat(1 - np.arange(4) * 1000 / 4096, neuron.size // 4))


def test_fractions_of_biases_are_cut_off_as_lava_dls_netx_does(tmp_path):
    write_netx(cuba_network(), tmp_path / "a.net")
    with h5py.File(tmp_path / "a.net", "r+") as file:
        put("layer/0/bias", np.linspace(-2.7, 2.7, 10))(file)
    network = load(tmp_path / "a.net")
    assert network.layers[0].neuron.bias_v.tolist() == [-2, -2, -1, 0, 0, 0, 0, 1, 2, 2]
    assert "layer 0: fractions of its biases are cut off, as lava-dl's netx does" in network.notices


@pytest.mark.parametrize(("made", "message"), [
    (lambda: cuba_network(first=cuba_layer(10, v_reset=0.2)), "layer a: netx's CUBA neurons reset to 0"),
    (lambda: cuba_network(first=neurons.lif(10, decay=0.5, threshold=1.0)), "layer a: netx's CUBA neurons reset to 0"),
    (lambda: cuba_network(first=neurons.tclif(10, c1=0, c2=0, gamma=0.5, threshold=1)), "layer a: a tclif is not"),
    (lambda: cuba_network(second=neurons.readout(5, decay=np.linspace(0.5, 1, 5))), "layer b: a_v differs from neuron"),
    (lambda: cuba_network(first=cuba_layer(10, threshold=np.linspace(1, 2, 10))),
     "threshold differs from neuron to neuron"),
    (lambda: cuba_network(first=cuba_layer(10, threshold=1e6)), "Loihi holds 131071"),
    (lambda: cuba_network(first=cuba_layer(10, voltage_decay=1e-5, current_decay=1e-5)),
     "its decays are 0 and 0 of 4096"),
])  # fmt: skip
def test_what_netx_cannot_say_is_refused_and_leaves_no_file(tmp_path, made, message):
    with pytest.raises(TclifError) as error:
        write_netx(made(), tmp_path / "out.net")
    assert message in str(error.value)
    assert not list(tmp_path.iterdir())


def put(name, value):
    def edit(file):
        if name in file:
            del file[name]
        file[name] = value

    return edit


DAMAGE = {
    "kernel": (put("layer/1/type", "conv"), "layer 1: weight has shape (5, 10) and reaches 127"),
    "pooling": (put("layer/1/type", "pool"), "layer 1: is of type 'pool', which is not read"),
    "resonate and fire": (put("layer/0/neuron/type", "RF_PHASE"), "layer 0: 'RF_PHASE' neurons are not read"),
    "refractory": (put("layer/0/neuron/refDelay", 3), "layer 0: refDelay is 3, which is not read: a refractory period"),
    "graded": (put("layer/0/neuron/gradedSpike", True), "layer 0: gradedSpike is 1, which is not read"),
    "fractions": (put("layer/0/weight", np.full((10, 6), 0.5)), "layer 0: weight reaches 0.5, which"),
    "too large": (
        put("layer/0/weight", np.full((10, 6), 1000)),
        "layer 0: weight reaches 1000; expected whole numbers",
    ),
    "flat weight": (
        put("layer/0/weight", np.ones(61)),
        "layer 0: weight has 61 values, which are no rows of 10 neurons",
    ),
    "not meeting": (
        put("layer/1/weight", np.ones((5, 9))),
        "edge layer0 -> layer1.weight: 10 values meet a weight of shape (5, 9)",
    ),
    "decay": (put("layer/0/neuron/iDecay", 5000), "layer 0: iDecay is 5000"),
    "no decay": (lambda f: f.__delitem__("layer/0/neuron/vDecay"), "no vDecay"),
    "threshold": (put("layer/0/neuron/vThMant", 0), "layer 0: vThMant is 0; a threshold must be a positive"),
    "a threshold below 0": (put("layer/0/neuron/vThMant", -3), "layer 0: vThMant is -3; a threshold must be a"),
    "no threshold": (put("layer/0/neuron/vThMant", np.nan), "layer 0: vThMant is nan"),
    "bias": (put("layer/0/bias", np.ones(3)), "layer 0: bias has 3 values, the layer 10 neurons"),
    "numbers": (lambda f: f.move("layer/1", "layer/7"), "its layers are not numbered from 0"),
    "delays": (put("layer/0/delay", np.ones(7)), "layer 0: delay has shape (7,), the weights (10, 6)"),
    "nan": (put("layer/0/weight", np.full((10, 6), np.nan)), "weight[0, 0] is nan"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_netx_file_that_cannot_be_read_is_one_line_that_names_the_layer(tmp_path, name):
    path = tmp_path / "bad.net"
    write_netx(cuba_network(), path)
    edit, message = DAMAGE[name]
    with h5py.File(path, "r+") as file:
        edit(file)
    assert message.removesuffix(", which") in refused(path)


def test_a_netx_file_by_content_not_by_name_and_options_that_it_does_not_take(tmp_path):
    path = tmp_path / "network.hdf5"
    write_netx(cuba_network(), path)
    assert load(path).input_size == 6
    with pytest.raises(TclifError, match="netx file says everything itself, threshold included"):
        load(path, threshold=1.0)
    (tmp_path / "text.net").write_bytes(b"\x89HDF\r\n\x1a\n" + b"x" * 100)
    assert "damaged or not HDF5" in refused(tmp_path / "text.net")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_wrong_bytes_anywhere_give_one_line_or_a_network(tmp_path, seed):
    """Of netx files, and of NIR files of other tools."""
    rng = np.random.default_rng(seed)
    write_netx(cuba_network(), tmp_path / "good.net")
    nir_file = foreign_graphs.write_graph(foreign_graphs.lif_chain_with_leak(), tmp_path / "good.nir")
    outcomes = set()
    for n in range(60):
        source = nir_file if n % 2 else tmp_path / "good.net"
        damaged = bytearray(source.read_bytes())
        for _ in range(rng.integers(1, 6)):
            place = rng.integers(len(damaged))
            damaged[place : place + 4] = rng.integers(0, 256, 4).astype(np.uint8).tobytes()
        bad = tmp_path / f"bad{'.nir' if n % 2 else '.hdf5'}"
        bad.write_bytes(damaged)
        try:
            load(bad, **({"dt": 1e-4} if n % 2 else {}))
            outcomes.add("read")
        except TclifError as error:
            outcomes.add("refused" if "\n" not in str(error) else "more than a line")
    assert outcomes == {"read", "refused"}


def test_a_layer_without_any_weight_is_written(tmp_path):
    silent = Layer("a", cuba_layer(4), (Connection("input", np.zeros((4, 6))),))
    write_netx(Network(6, (silent,)), tmp_path / "zeros.net")
    assert not read_netx(tmp_path / "zeros.net").layers[0].connections[0].weight.any()
