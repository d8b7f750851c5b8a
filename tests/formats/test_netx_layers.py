"""The kinds of layers that lava-dl's own netx files have: images in, delays, recurrence, a sum at the end."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from tclif_deploy import Dataset, TclifError, load, neurons, quantize, simulate
from tclif_deploy.cli.main import run
from tclif_deploy.formats import write_netx
from tests.formats.test_netx import TEMPLATE, run_script
from tests.helpers.cuba_networks import cuba_network

CUBA = {"type": "CUBA", "refDelay": 1, "gradedSpike": False}
SUM = {"type": "LOIHI", "iDecay": 4096, "vDecay": 0, "vThMant": 131071, "refDelay": 1}
"""what lava-dl writes for a last layer whose voltage is read"""


def neuron(current=4096, voltage=1024, threshold=25):
    return {**CUBA, "iDecay": current, "vDecay": voltage, "vThMant": threshold}


def write(path: Path, *layers: dict) -> Path:
    """A netx file of ``layers``, in the types that lava-dl's blocks write."""
    with h5py.File(path, "w") as file:
        for n, layer in enumerate(layers):
            group = file.create_group(f"layer/{n}")
            for name, value in layer.items():
                if name == "type":
                    group.create_dataset("type", (1,), "S10", [value.encode()])
                elif isinstance(value, dict):
                    for key, number in value.items():
                        group[f"{name}/{key}"] = number
                else:
                    group[name] = value
    return path


def image_layers(rng, decays=True):
    """An image of 3 maps, a conv layer, a dense one of one dimension, two with recurrence and delays, and a sum."""
    leak = {"voltage": 1024} if decays else {"voltage": 0}
    current = {"current": 1024} if decays else {}
    return (
        {"type": "input", "shape": np.array([3, 4, 5]), "weight": 36.0, "bias": 34.0,
         "neuron": neuron(**leak, threshold=250)},
        {"type": "conv", "shape": np.array([4, 4, 5]), "weight": rng.integers(-18, 24, (4, 3, 3, 3)).astype("f4"),
         "bias": rng.integers(-3, 4, 4).astype("f4"), "stride": np.array([1, 1]), "padding": np.array([1, 1]),
         "dilation": np.array([1, 1]), "groups": 1, "neuron": neuron(**leak, threshold=90)},
        {"type": "flatten", "shape": np.array([80, 1, 1])},
        {"type": "dense", "shape": np.array([8, 1, 1]), "weight": rng.integers(-20, 30, 640).astype("f4"),
         "neuron": neuron(**leak, **current, threshold=600 if decays else 120), "delay": np.arange(8) % 4},
        {"type": "dense_rec", "shape": np.array([8]), "weight": rng.integers(-20, 60, (8, 8)),
         "weight_rec": rng.integers(-20, 20, (8, 8)), "neuron": neuron(**leak, **current, threshold=80)},
        {"type": "dense", "shape": np.array([5]), "weight": rng.integers(-20, 60, (5, 8)),
         "neuron": neuron(**leak, threshold=40), "delay": rng.integers(0, 4, (5, 8))},
        {"type": "dense", "shape": np.array([3]), "weight": rng.integers(-90, 127, 15).astype("f4")},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("decays", [False, True])
def test_an_image_goes_through_every_kind_of_layer_as_in_lava_dls_own_netx(tmp_path, decays):
    """With decays, which Loihi truncates, the compiled integers are equal; without, the float network is too."""
    path, steps = write(tmp_path / "a.net", *image_layers(np.random.default_rng(3), decays)), 60
    image = np.random.default_rng(4).integers(-30, 190, 60) / 36  # whole in the bias
    np.save(tmp_path / "image.npy", np.rint(image * 36) / 36)
    run_script("run_netx_image.py", path, tmp_path / "image.npy", steps, tmp_path / "out.npz", TEMPLATE)
    network = load(path)
    x = np.tile(image, (1, steps, 1))
    fixed = quantize(network, "loihi2", calibration=Dataset(x))
    assert not any("not kept" in line for line in fixed.notices)
    runs = [simulate(fixed, x, spikes=True)] + ([] if decays else [simulate(network, x, spikes=True)])
    with np.load(tmp_path / "out.npz") as lava:
        for result in runs:
            for n, spikes in enumerate(result.spikes.values()):
                assert 0.01 <= spikes.mean() <= 0.6, n
                np.testing.assert_array_equal(lava[f"spikes{n}"], spikes[0], err_msg=f"layer {n}")
            unit = fixed.layers[-1].lsb_v if result is runs[0] else 1.0
            np.testing.assert_array_equal(result.readout[0] * unit, lava["voltage"])


def test_an_image_enters_the_voltage_and_a_layer_without_neurons_sums(tmp_path):
    """Against the equations of lava-dl's netx, in plain Python."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(-20, 30, (4, 6)), rng.integers(-20, 30, 8)
    path = write(
        tmp_path / "a.net",
        {"type": "input", "shape": np.array([6]), "weight": 36.0, "bias": 34.0, "neuron": neuron()},
        {"type": "dense", "shape": np.array([4, 1, 1]), "weight": first, "neuron": neuron(1024, 512, 80)},
        {"type": "dense", "shape": np.array([2]), "weight": second.astype("f4"), "bias": np.array([3.0])},
    )
    x = rng.integers(-3, 3, (40, 6))
    v, u1, v1, total, seen = np.zeros(6), np.zeros(4), np.zeros(4), np.zeros(2), [[], []]
    for step in x:
        v = 0.75 * v + 36 * step + 34
        s = v > 25
        v[s] = 0
        u1 = 0.75 * u1 + first @ s
        v1 = 0.875 * v1 + u1
        s1 = v1 > 80
        v1[s1] = 0
        total += second.reshape(2, 4) @ s1
        seen[0].append(s)
        seen[1].append(s1)
    network = load(path)
    result = simulate(network, x[None].astype(float), spikes=True)
    for spikes, wanted in zip(result.spikes.values(), seen, strict=True):
        assert 0.01 <= np.mean(wanted) <= 0.6
        np.testing.assert_array_equal(spikes[0], wanted)
    np.testing.assert_array_equal(result.readout[0], total + 3)  # the bias enters the voltage, which sums nothing
    assert "layer 2: has no neurons, so its sum over time is read, as in lava-dl's netx" in network.notices
    assert (network.layers[-1].neuron.type, str(network.readout)) == ("readout", "last")


def test_what_was_read_is_written_as_it_was(tmp_path, capsys):
    """Images, delays, recurrence and sums: the file of the file is the same network, weight by weight."""
    path = write(tmp_path / "a.net", *image_layers(np.random.default_rng(3)))
    network = load(path)
    assert run(["export", str(path), "--to", "netx", "-o", str(tmp_path / "b.net")]) == 0
    assert "layer0: CUBA, an image into its bias, weights rounded by at most 0" in capsys.readouterr().err
    again = load(tmp_path / "b.net")
    assert len(again.layers) == len(network.layers)
    for one, other in zip(network.layers, again.layers, strict=True):
        assert [c.delay for c in one.connections] == [c.delay for c in other.connections]
        for a, b in zip(one.connections, other.connections, strict=True):
            np.testing.assert_array_equal(a.matrix(), b.matrix())
        for name in ("a_u", "a_v", "b_v", "threshold", "bias_v"):
            np.testing.assert_array_equal(getattr(one.neuron, name), getattr(other.neuron, name), err_msg=name)
        assert one.neuron.spiking == other.neuron.spiking
    assert again.input_grid == network.input_grid


def test_a_sum_and_a_leaky_readout_of_any_network_are_written(tmp_path):
    for decay, kind in ((1.0, "CUBA"), (0.875, "CUBA")):
        last = neurons.readout(5, decay=decay)
        messages = write_netx(cuba_network(second=last), tmp_path / "a.net")
        assert f"b: {kind}, weights rounded" in messages[1]
        back = load(tmp_path / "a.net").layers[1].neuron
        assert (back.spiking, back.a_u[0], back.a_v[0]) == (False, 0.0, decay)


def test_recurrence_of_the_older_names_and_votes_at_the_end(tmp_path):
    rng = np.random.default_rng(1)
    weight, back = rng.integers(-20, 60, (6, 5)), rng.integers(-20, 20, (6, 6))
    layer = {"shape": np.array([6, 1, 1]), "weight": weight, "neuron": neuron()}
    new = load(write(tmp_path / "new.net", {"type": "dense_rec", "weight_rec": back, **layer}))
    average = {"type": "average", "shape": np.array([2, 1, 1])}
    old = load(write(tmp_path / "old.net", {"type": "recurrent", "recWeight": back.reshape(-1), **layer}, average))
    x = (rng.random((2, 50, 5)) < 0.3).astype(float)
    spikes = [simulate(network, x, spikes=True).spikes["layer0"] for network in (new, old)]
    assert 0.01 <= spikes[0].mean() <= 0.6
    np.testing.assert_array_equal(*spikes)
    assert [(c.source, c.delay) for c in old.layers[0].connections] == [("input", 0), ("layer0", 1)]
    assert str(old.readout) == "votes:3"
    assert old.outputs == 2


def test_delays_of_neurons_and_of_sources(tmp_path):
    weight = np.array([[3, 5], [7, 11], [13, 17]])
    layer = {"type": "dense", "shape": np.array([3]), "weight": weight, "neuron": neuron()}

    def matrices(delay):
        connections = load(write(tmp_path / "a.net", {**layer, "delay": delay})).layers[0].connections
        return {c.delay: c.weight.tolist() for c in connections}

    assert matrices(np.array([0, 4, 4])) == {0: [[3, 5], [0, 0], [0, 0]], 4: [[0, 0], [7, 11], [13, 17]]}
    assert matrices(np.array([2, 0])) == {0: [[0, 5], [0, 11], [0, 17]], 2: [[3, 0], [7, 0], [13, 0]]}
    assert matrices(3) == {3: weight.tolist()}
    assert matrices(np.array([[0, 1]] * 3)) == {0: [[3, 0], [7, 0], [13, 0]], 1: [[0, 5], [0, 11], [0, 17]]}
    network = load(write(tmp_path / "a.net", {**layer, "delay": 99}))
    assert network.layers[0].connections[0].delay == 62
    assert "layer 0: delays of up to 99 steps are cut to 62, as lava-dl's netx does" in network.notices


def test_a_last_layer_of_a_threshold_that_is_never_passed_is_read_by_its_voltage(tmp_path):
    layers = ({"type": "dense", "shape": np.array([2]), "weight": np.ones((2, 2)), "neuron": SUM},)
    network = load(write(tmp_path / "a.net", *layers))
    assert network.layers[0].neuron.type == "readout"
    assert "layer 0: its threshold of 131071 is never passed, so its voltage is read" in network.notices
    x = np.ones((1, 5, 2))
    assert simulate(network, x).readout.tolist() == [[10.0, 10.0]]


def broken(**changes):
    layers = image_layers(np.random.default_rng(0))
    place = int(changes.pop("layer"))
    edited = {name: value for name, value in {**layers[place], **changes}.items() if value is not None}
    return (*layers[:place], edited, *layers[place + 1 :])


@pytest.mark.parametrize(("changes", "message"), [
    ({"layer": 0, "weight": np.ones(3)}, "layer 0: weight has shape (3,)"),
    ({"layer": 0, "weight": 1e300}, "layer 0: weight is"),
    ({"layer": 0, "shape": None}, "layer 0: has neurons and no shape"),
    ({"layer": 0, "neuron": {"type": "SDNN", "vThMant": 1}},
     "layer 0: 'SDNN' neurons are not read: they send the changes of a value"),
    ({"layer": 0, "neuron": {"type": "RF", "vThMant": 1}}, "layer 0: 'RF' neurons are not read: lava-dl's resonators"),
    ({"layer": 1, "delay": np.ones(4)}, "layer 1: delays of a conv layer are not read"),
    ({"layer": 3, "weight": np.ones(641)}, "layer 3: weight has 641 values, which are no rows of 8 neurons"),
    ({"layer": 3, "neuron": None}, "layer 3: has no neurons; only the last layer may be without"),
    ({"layer": 3, "type": "input"}, "layer 3: an input layer follows others"),
    ({"layer": 3, "delay": np.ones(5)}, "layer 3: delay has shape (5,), the weights (8, 80)"),
    ({"layer": 3, "delay": -np.ones(8)}, "layer 3: delay reaches -1"),
    ({"layer": 3, "delay": np.full(8, 0.5)}, "layer 3: delay reaches 0.5"),
    ({"layer": 4, "weight_rec": np.ones((7, 8))}, "layer 4: weights of shapes (8, 8) and (7, 8) lead into the same"),
    ({"layer": 4, "weight_rec": None}, "layer 4: no weight_rec"),
    ({"layer": 4, "delay": np.ones(8)}, "layer 4: delays beside recurrent weights are not read"),
    ({"layer": 5, "type": "average", "shape": np.array([3])}, "layer 5: an average over 3 groups of neurons"),
    ({"layer": 5, "type": "average", "shape": np.array([4])}, "layer 6: follows an average"),
])  # fmt: skip
def test_layers_that_mean_nothing_are_refused_by_their_number(tmp_path, changes, message):
    path = write(tmp_path / "bad.net", *broken(**changes))
    with pytest.raises(TclifError) as error:
        load(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
