"""What Loihi did: recordings of the chip, reproduced from the numbers that it was given.

The neuron: Pedersen et al., Neuromorphic intermediate representation, Nature Communications 15, 2024; repository
neuromorphs/NIR, paper/01_lif/lif_lava_loihi_fixed.csv (BSD-3-Clause): one LIF, 1000 steps, of which a hundred are
quoted here. The chip decays v by (v * (4096 - 163)) >> 12 towards zero, adds 640 for a spike of the step before,
fires where v is above 1600 and starts from 0 again. At a spike it shows 128 instead of 0: it counts its refractory
period there, 128 a step (nengo-loihi, pull request 132; lava, issue 282), so this is no state of the model.

Layers of a trained network: repository lava-nc/lava-dl, tests/lava/lib/dl/netx/gts/pilotnet_lif (BSD-3-Clause), which
are too long to quote. The environment variable ``TCLIF_SILICON`` names a folder: that one itself, with
``network.net`` and ``*.npy`` as they are there, or files of single layers. Each ``dense*.npz`` holds weight (out,
in), bias, u_decay, v_decay, threshold_mantissa, x (in, steps), u, v, s (out, steps), and reset_at, the steps before
which the state was set to 0. The chip hears its input one step late. ``lif.npz`` holds x, v and s of the neuron
above.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from tclif_deploy import Dataset, FixedNetwork, compile, load, load_target, quantize, simulate
from tests.helpers import oracle
from tests.helpers.netx_file import write_netx_file

FOLDER = "TCLIF_SILICON"
MARKER = 128
"""what the chip shows for v at a spike"""

STEPS = 1000
INPUT = (
    60, 220, 270, 310, 320, 350, 370, 400, 410, 430, 440, 450, 460, 470, 480, 490, 500, 510, 520, 530, 670, 680,
    690, 700, 710, 720, 730, 740, 750, 760, 770, 780, 840, 850,
)  # fmt: skip
"""steps of the neuron's input spikes"""
SPIKES = (461, 511, 711, 761)
FIRST = 440
V = (
    824, 1431, 1374, 1319, 1266, 1215, 1166, 1119, 1074, 1031, 989, 1589, 1525, 1464, 1405, 1349, 1295, 1243, 1193,
    1145, 1099, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 640, 614, 589, 565, 542, 520, 499, 479, 459, 440, 1062, 1019, 978,
    939, 901, 865, 830, 796, 764, 733, 1343, 1289, 1237, 1187, 1139, 1093, 1049, 1007, 966, 927, 1530, 1469, 1410,
    1353, 1299, 1247, 1197, 1149, 1103, 1059, 128, 0, 0, 0, 0, 0, 0, 0, 0,
)  # fmt: skip
"""v after the steps from FIRST on, two spikes among them"""


def neuron(folder: Path, **changes: int) -> FixedNetwork:
    """The recorded neuron as a netx file, compiled for the chip: 640 is a weight of 10, 1600 a threshold of 25."""
    numbers = {"weight": [[10]], "u_decay": 4096, "v_decay": 163, "threshold_mantissa": 25, **changes}
    path = write_netx_file(folder / "lif.net", [numbers])
    return quantize(load(path), load_target("loihi1"), heard(np.isin(np.arange(STEPS), INPUT)[None]))


def heard(x: np.ndarray) -> np.ndarray:
    """Spikes (features, steps) as (1, steps, features), each a step late."""
    late = np.zeros((1, x.shape[1], x.shape[0]), np.int64)
    late[0, 1:] = x.T[:-1]
    return late


def run(fixed: FixedNetwork, x: np.ndarray, engine: str = "reference") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(spikes, u, v) of the only layer, each (steps, neurons)."""
    result = simulate(fixed, x, spikes=True, traces=("layer0",), engine=engine)
    u, v = result.traces["layer0"][:, 0]
    return result.spikes["layer0"][0], u, v


@pytest.mark.parametrize("engine", ["reference", "auto"])
def test_the_neurons_thousand_steps(tmp_path, engine):
    fixed = neuron(tmp_path)
    spikes, _, v = run(fixed, heard(np.isin(np.arange(STEPS), INPUT)[None]), engine)
    assert np.flatnonzero(spikes[:, 0]).tolist() == list(SPIKES)
    shown = np.where(spikes[:, 0], MARKER, v[:, 0])
    assert shown[FIRST : FIRST + len(V)].tolist() == list(V)


def test_the_tests_own_arithmetic_says_the_same(tmp_path):
    v, spikes, shown = 0, [], []
    for t in range(STEPS):  # the paper's rule, in Python
        v = v * (4096 - 163) // 4096 if v >= 0 else -(-v * (4096 - 163) // 4096)
        v += 640 * (t - 1 in INPUT)
        if v > 1600:
            v = 0
            spikes.append(t)
        shown.append(MARKER if t in spikes else v)
    assert tuple(spikes) == SPIKES
    assert tuple(shown[FIRST : FIRST + len(V)]) == V
    x = heard(np.isin(np.arange(STEPS), INPUT)[None])
    assert np.flatnonzero(oracle.run(neuron(tmp_path), x.tolist())["spikes"]["layer0"][0]).tolist() == spikes


def test_another_rule_is_another_recording(tmp_path):
    """Each part of the rule shows in the hundred figures: a wrong one cannot pass."""
    fixed, x = neuron(tmp_path), heard(np.isin(np.arange(STEPS), INPUT)[None])
    layer = fixed.layers[0]
    others = {
        "nearest": replace(fixed, arithmetic=replace(fixed.arithmetic, rounding="nearest")),
        "4095 - 163": replace(fixed, layers=(replace(layer, a_v=layer.a_v - 1),)),
        "soft reset": replace(fixed, layers=(replace(layer, reset="soft", r_v=layer.threshold),)),
        "threshold": replace(fixed, layers=(replace(layer, threshold=layer.threshold - 64),)),
        "weight": replace(fixed, layers=(replace(layer, shift=layer.shift - 1),)),
    }
    for name, other in others.items():
        spikes, _, v = run(other, x)
        shown = np.where(spikes[:, 0], MARKER, v[:, 0])
        assert shown[FIRST : FIRST + len(V)].tolist() != list(V), name


def recordings(pattern: str) -> list[Path]:
    folder = os.environ.get(FOLDER)
    if not folder:
        pytest.skip(f"{FOLDER} is not set: it names the folder of recordings that this file describes")
    found = sorted(Path(folder).glob(pattern))
    if not found:
        pytest.skip(f"{folder} holds no {pattern}")
    return found


def test_the_neurons_whole_recording(tmp_path):
    for path in recordings("lif.npz"):
        with np.load(path) as chip:
            x, v, s = chip["x"], chip["v"], chip["s"]
        spikes, _, ours = run(neuron(tmp_path), heard(x[None]))
        assert np.flatnonzero(x).tolist() == list(INPUT)
        assert np.array_equal(spikes[:, 0], s)
        assert np.array_equal(np.where(s, MARKER, ours[:, 0]), v)


def stretches(x: np.ndarray, reset_at: np.ndarray) -> Dataset:
    """Each stretch of x (features, steps) between resets as a sample of its own."""
    late = heard(x)[0]
    bounds = [0, *np.atleast_1d(reset_at).tolist(), len(late)]
    lengths = np.diff(bounds)
    x = np.zeros((len(lengths), lengths.max(), late.shape[1]), np.int64)
    for sample, (start, end) in enumerate(itertools.pairwise(bounds)):
        x[sample, : end - start] = late[start:end]
    return Dataset(x, lengths=lengths)


def joined(values: np.ndarray, data: Dataset) -> np.ndarray:
    """What `stretches` cut, put together again: (neurons, steps)."""
    return np.concatenate([v[:length] for v, length in zip(values, data.lengths, strict=True)]).T


def test_layers_of_a_trained_network_from_the_file_to_the_chips_spikes(tmp_path):
    for path in recordings("dense*.npz"):
        with np.load(path) as file:
            chip = dict(file)
        data, where = stretches(chip["x"], chip["reset_at"]), f"{path.name}: "
        net = write_netx_file(tmp_path / f"{path.stem}.net", [chip])
        build = compile(net, "loihi1", data=data, calibration=data, output=tmp_path / path.stem)
        layer = build.fixed.layers[0]
        # the file's own numbers, in the chip's units
        assert np.array_equal(layer.connections[0].weight << layer.connections[0].exponent, chip["weight"]), where
        assert (layer.threshold == 64 * chip["threshold_mantissa"] + 1).all()
        assert np.array_equal(layer.bias_v, 64 * chip["bias"].astype(int))
        for engine in ("reference", "auto"):
            result = simulate(build.fixed, data, spikes=True, traces=("layer0",), engine=engine)
            spikes = joined(result.spikes["layer0"], data)
            assert np.array_equal(spikes, chip["s"]), f"{where}{np.count_nonzero(spikes != chip['s'])} spikes differ"
            u, v = (joined(part, data) for part in result.traces["layer0"])
            assert np.array_equal(u, chip["u"]), where
            assert np.array_equal(np.where(chip["s"], MARKER, v), chip["v"]), where
        floor = replace(build.fixed, arithmetic=replace(build.fixed.arithmetic, rounding="floor"))
        u, v = (joined(part, data) for part in simulate(floor, data, traces=("layer0",)).traces["layer0"])
        assert not np.array_equal(np.where(chip["s"], MARKER, v), chip["v"]), "floor would do as well"


PUBLISHED = {2: "conv-1", 3: "conv-2", 4: "conv-3", 5: "conv-4", 7: "fc-0", 8: "fc-1", 9: "fc-2"}
"""layers of network.net of which input, spikes, u and v are recorded"""
FRAME = 17
"""steps from one reset to the next: 16 of a frame, and one"""


def published(folder: Path, name: str) -> np.ndarray:
    """A recording (neurons, steps); maps are stored as (width, height, channels, steps)."""
    values = np.load(folder / f"{name}.npy")
    return values.transpose(2, 1, 0, 3).reshape(-1, values.shape[3]) if values.ndim == 4 else values


@pytest.mark.slow
def test_layers_of_the_published_network_convolutions_among_them(tmp_path):
    folder = recordings("network.net")[0].parent
    before = "conv-0"
    with h5py.File(folder / "network.net") as whole:
        for depth, (n, name) in enumerate(PUBLISHED.items(), 2):
            path = tmp_path / f"{name}.net"
            with h5py.File(path, "w") as file:
                layers = file.create_group("layer")
                if name.startswith("conv"):
                    layers.create_group("0").create_dataset("type", (1,), "S10", [b"input"])
                    layers["0/shape"] = np.load(folder / f"{before}.npy").shape[2::-1]
                whole.copy(whole[f"layer/{n}"], layers, str(len(layers)))
            x, s, u, v = (published(folder, part) for part in (before, name, f"{name}-u", f"{name}-v"))
            data = stretches(x, np.arange(depth, x.shape[1], FRAME))
            fixed = quantize(load(path), "loihi1", data)
            assert len(fixed.notices) == 1
            assert "are kept as they are" in fixed.notices[0]
            layer = fixed.layers[0].name
            result = simulate(fixed, data, spikes=True, traces=(layer,))
            assert np.array_equal(joined(result.spikes[layer], data), s), name
            ours = [joined(part, data) for part in result.traces[layer]]
            assert np.array_equal(ours[0], u), name
            assert np.array_equal(np.where(s, MARKER, ours[1]), v), name
            before = name
