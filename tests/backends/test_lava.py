"""The Lava backend computes what the reference computes: every spike, state, readout, class and overflow count."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tclif_deploy import TclifError, load, load_data, load_target, neurons, quantize
from tclif_deploy.backends import lava
from tclif_deploy.fixed import FixedNetwork, Int
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.simulation.reference import simulate
from tests.helpers import readouts
from tests.helpers.random_networks import STARTS, assert_alive, assert_same, random_network

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parents[2] / "fixtures"
LOIHI2 = load_target("loihi2")


@pytest.fixture(scope="module")
def images() -> Any:
    return load_data(FIXTURES / "smnist_test.npz")


@pytest.fixture(scope="module")
def trained() -> Network:
    return load(FIXTURES / "smnist_ff" / "checkpoint.pth.tar")


def compiled(network: Network) -> FixedNetwork:
    return quantize(network, LOIHI2, load_data(FIXTURES / "smnist_ff" / "calibration.npz"))


def recurrent(network: Network) -> Network:
    """``network`` with random connections from each hidden layer to itself, weak enough to keep it alive."""
    rng = np.random.default_rng(0)
    layers = []
    for layer in network.layers[:-1]:
        loop = Connection(layer.name, rng.normal(0, 0.05, (layer.size, layer.size)), delay=1)
        layers.append(replace(layer, connections=(*layer.connections, loop)))
    return replace(network, layers=(*layers, network.layers[-1]))


@pytest.mark.parametrize("form", ["feedforward", "recurrent"])
def test_stock_and_batched_dense_equal_the_reference_on_four_whole_images(
    form: str, trained: Network, images: Any, tmp_path: Path
) -> None:
    fixed = compiled(trained if form == "feedforward" else recurrent(trained))
    x, _ = fixed.input.encode(images.x[:4], images.scale)
    want = simulate(fixed, x)
    assert_alive(want)
    lava.emit(fixed, LOIHI2, tmp_path)
    assert_same(lava.run(tmp_path, x), want)
    assert_same(lava.run(tmp_path, x, batched=True), want)


ARITHMETIC = {
    "toward_zero": {"rounding": "toward_zero", "recurrent": True},
    "nearest, u wraps": {
        "rounding": "nearest", "overflow_u": "wrap", "bits_u": 16, "bits_v": 20, "bias": True, "saturating": True,
    },
    "floor, v wraps, q": {"overflow_v": "wrap", "bits_v": 12, "bits_u": 16, "q": True, "v0": True, "saturating": True},
    "hard reset, spiking output": {"reset": "hard", "leaky": True, "spiking_output": True, "saturating": True},
    "input to the soma": {"input_to": "soma", "leaky": True, "signed": True, "bias": True, "v0": True},
    "skips and long delays": {"skip": True, "recurrent": True, "delay": 3, "forward_delay": 2},
    "feedback faster than Dense": {"feedback": True, "recurrent": True, "skip": True, "delay": 1},
    "wide weights, exponents": {
        "weight_bits": 12, "exponent": 3, "recurrent": True, "frac_bits": 24, "bits_u": 32, "bits_v": 32,
    },
    "no fraction, shared coefficients": {
        "frac_bits": 0, "per_neuron": False, "graded": False, "signed": True, "input_to": "soma",
    },
    "sums beyond one Dense": {"sizes": (700, 12, 3), "input_bits": 16, "weight_bits": 12},
    "convolutions": {"conv": True, "recurrent": True, "signed": True},
    **{name: {"recurrent": True, "feedback": True} | options for name, options in STARTS.items()},
    "wide convolutions": {"conv": True, "weight_bits": 12, "input_bits": 9, "delay": 2, "recurrent": True},
}  # fmt: skip


NEEDS = {
    "skips and long delays": "wait=2",
    "feedback faster than Dense": "phases=2",
    "wide weights, exponents": 'weight="layer0.weight.0.1", exponent=8',
    "sums beyond one Dense": 'weight="layer0.weight.0.3"',
    "convolutions": "moves=Convolution(",
    "wide convolutions": 'weight="layer0.weight.0.1", exponent=8',
}
"""what ``network.py`` must contain, or the case is not what it says"""


@pytest.mark.parametrize("case", ARITHMETIC)
def test_every_arithmetic_option_equals_the_reference(case: str, tmp_path: Path) -> None:
    options = ARITHMETIC[case]
    fixed, x = random_network(11, **options, time=30)
    lengths = np.array([30, 7, 19])
    want = simulate(fixed, x, lengths=lengths)
    assert_alive(want)
    assert not options.get("saturating") or want.saturations
    lava.emit(fixed, LOIHI2, tmp_path)
    assert NEEDS.get(case, "") in (tmp_path / "network.py").read_text()
    assert_same(lava.run(tmp_path, x, lengths=lengths), want)
    assert_same(lava.run(tmp_path, x, lengths=lengths, batched=True), want)


@pytest.mark.parametrize(
    ("text", "spiking"), [("sum", False), ("max", True), ("step", True), ("votes:2", True), ("last", True)]
)
def test_readout_rules_equal_the_reference(text: str, spiking: bool, tmp_path: Path) -> None:
    fixed, x, lengths = readouts.ruled(text, spiking)
    lava.emit(fixed, LOIHI2, tmp_path)
    assert f'readout=Readout(rule="{fixed.readout.rule}"' in (tmp_path / "network.py").read_text()
    assert f"The readout is `{fixed.readout.rule}`" in (tmp_path / "README.md").read_text()
    want = simulate(fixed, x, lengths=lengths)
    assert_same(lava.run(tmp_path, x, lengths=lengths, batched=True), want)
    if text in ("sum", "max"):
        assert_same(lava.run(tmp_path, x[:3], lengths=lengths[:3]), simulate(fixed, x[:3], lengths=lengths[:3]))


@pytest.mark.parametrize(("text", "spiking"), [("first", False), ("first", True), ("threshold", True)])
def test_a_readout_that_waits_is_refused_before_anything_is_written(text: str, spiking: bool, tmp_path: Path) -> None:
    fixed, _, _ = readouts.ruled(text, spiking)
    with pytest.raises(TclifError, match=rf"lava: does not compute the readout {text}.*; it computes last, sum, mean"):
        lava.emit(fixed, LOIHI2, tmp_path / "lava")
    assert not (tmp_path / "lava").exists()


def test_the_floating_point_package_has_the_usual_readout_alone(tmp_path: Path) -> None:
    out = Layer("out", neurons.readout(2), (Connection("input", np.ones((2, 3))),))
    network = Network(3, (out,)).with_readout("max")
    with pytest.raises(TclifError, match="floating-point package does not compute the readout max"):
        lava.emit_float(network, tmp_path / "lava")
    assert not (tmp_path / "lava").exists()


def test_a_sum_of_too_many_steps_is_refused(tmp_path: Path) -> None:
    fixed, x, _ = readouts.ruled("sum", False, bits_v=32)
    out = replace(fixed.output, multiplier=np.full(fixed.output.size, 2**31 - 1))
    lava.emit(replace(fixed, layers=(*fixed.layers[:-1], out)), LOIHI2, tmp_path)
    with pytest.raises(TclifError, match="the readout's sum over 30 steps can exceed 64 bits"):
        lava.run(tmp_path, x)


def test_batches_follow_one_another_and_the_last_may_be_short(tmp_path: Path) -> None:
    fixed, x = random_network(4, recurrent=True, samples=5, time=30, saturating=True)
    want = simulate(fixed, x)
    assert_alive(want)
    lava.emit(fixed, LOIHI2, tmp_path)
    got = output_of(tmp_path, x, "--batched", "--batch", "2")
    for name in want.spikes:
        np.testing.assert_array_equal(got[f"spikes.{name}"], want.spikes[name])
    for name in want.u:
        np.testing.assert_array_equal(got[f"u.{name}"], want.u[name])
        np.testing.assert_array_equal(got[f"v.{name}"], want.v[name])
        np.testing.assert_array_equal(got[f"overflows.{name}"], want.overflows[name])
    np.testing.assert_array_equal(got["readout"], want.readout)


def output_of(folder: Path, x: Int, *arguments: str) -> dict[str, Any]:
    """What ``run.py`` writes, in an interpreter that cannot import this package."""
    source, target = folder / "given.npz", folder / "out.npz"
    np.savez(source, x=x)
    script = (
        "import runpy, sys; sys.modules['tclif_deploy'] = None; sys.argv = sys.argv[1:];"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", script, folder / "run.py", "--input", source, "--output", target, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(target, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def test_run_py_needs_nothing_of_this_package(tmp_path: Path) -> None:
    fixed, x = random_network(5, time=30)
    want = simulate(fixed, x)
    assert_alive(want)
    lava.emit(fixed, LOIHI2, tmp_path)
    assert "readout" not in (tmp_path / "network.py").read_text()
    got = output_of(tmp_path, x)
    for name in want.spikes:
        np.testing.assert_array_equal(got[f"spikes.{name}"], want.spikes[name])
    np.testing.assert_array_equal(got["classes"], want.classes)


def test_one_changed_number_in_weights_npz_changes_spikes(tmp_path: Path) -> None:
    fixed, x = random_network(5, time=30)
    want = simulate(fixed, x)
    lava.emit(fixed, LOIHI2, tmp_path)
    with np.load(tmp_path / "weights.npz") as file:
        arrays = {name: file[name] for name in file.files}
    arrays["layer0.weight.0.0"][0, 0] ^= 64
    np.savez(tmp_path / "weights.npz", **arrays)
    got = lava.run(tmp_path, x)
    assert (got.spikes["layer0"][..., 0] != want.spikes["layer0"][..., 0]).any()
    np.testing.assert_array_equal(got.spikes["layer0"][..., 1:], want.spikes["layer0"][..., 1:])


def test_real_data_enter_run_py_by_their_scale(tmp_path: Path) -> None:
    fixed, _ = random_network(5, time=30)
    fixed = replace(fixed, input=replace(fixed.input, lsb=0.25))
    values = np.random.default_rng(0).normal(0, 30, (2, 30, fixed.input.size)).astype(np.float32)
    x, clipped = fixed.input.encode(values, 0.5)
    assert clipped == 0
    want = simulate(fixed, x)
    lava.emit(fixed, LOIHI2, tmp_path)
    np.savez(tmp_path / "given.npz", x=values, scale=0.5, y=want.classes)
    done = subprocess.run(
        [sys.executable, tmp_path / "run.py", "--input", tmp_path / "given.npz", "--samples", "2", "--batched"],
        capture_output=True, text=True, timeout=900, check=True,
    )  # fmt: skip
    assert "accuracy: 100.00% of 2 samples" in done.stdout
    assert f"classes: {want.classes[0]} {want.classes[1]}" in done.stdout


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    fixed, _ = random_network(5)
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        lava.emit(fixed, LOIHI2, folder)
    first, second = ({p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in folders)
    assert first == second
    assert {"run.py", "network.py", "weights.npz", "example.npz", "README.md"} <= {str(path) for path in first}


def test_the_folder_says_that_it_is_no_silicon(tmp_path: Path) -> None:
    lava.emit(random_network(5)[0], LOIHI2, tmp_path)
    readme = (tmp_path / "README.md").read_text()
    assert "not silicon" in readme
    assert "only a simulation can have" in readme
    assert "loihi2" in readme
    assert all(command in readme for command in lava.install_commands())


def test_a_layer_name_cannot_become_code(tmp_path: Path) -> None:
    fixed, _ = random_network(5)
    name = 'x"); import os; os.abort()  #"""'
    last = replace(fixed.output, name=name)
    lava.emit(replace(fixed, layers=(*fixed.layers[:-1], last)), LOIHI2, tmp_path)
    check = (
        "import sys; sys.path.insert(0, sys.argv[1]); from network import NETWORK; print(repr(NETWORK.layers[-1].name))"
    )
    done = subprocess.run([sys.executable, "-c", check, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr(name)


def test_importing_the_package_and_emitting_does_not_import_lava(tmp_path: Path) -> None:
    check = (
        "import sys, tclif_deploy.workflows.compile, tclif_deploy.backends.lava as backend; backend.install_commands();"
        "print(*[name for name in sys.modules if name.split('.')[0] == 'lava'])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
