"""Networks of convolutions through the whole compiler: quantized by channel, built, verified, placed and costed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import nir
import numpy as np
import pytest

from tclif_deploy import Dataset, QuantizeSettings, load_target, neurons, quantize, simulate
from tclif_deploy.cli.main import run as command
from tclif_deploy.convolution import Conv, Kernel
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.formats import write_nir
from tclif_deploy.mapping import measure
from tclif_deploy.mapping.cost import formula
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.quantization.statistics import CalibrationStatistics
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.workflows.fuzz import fuzz
from tests.helpers import oracle
from tests.helpers.requirements import needs


def network() -> Network:
    """Two TC-LIF maps, the first with a loop, and a readout."""
    rng = np.random.default_rng(8)
    first = Kernel(rng.normal(0.1, 0.4, (4, 2, 3, 3)), Conv((2, 6, 6), padding=(1, 1, 1, 1)))
    loop = Kernel(rng.normal(0, 0.1, (4, 4, 1, 1)), Conv(first.output_shape))
    second = Kernel(rng.normal(0.1, 0.3, (6, 4, 2, 2)), Conv(first.output_shape, (2, 2)))
    layers, cell = [], {"gamma": 0.5, "threshold": 1.5}
    for name, kernel in (("a", first), ("b", second)):
        c1, c2 = kernel.per_neuron(rng.normal(0, 0.5, (2, len(kernel.weight)))[0]), rng.normal(0, 0.5, kernel.neurons)
        bias = kernel.per_neuron(rng.normal(0, 0.02, len(kernel.weight)))
        links = [Connection("a" if layers else "input", kernel.weight, conv=kernel.conv)]
        if not layers:
            links.append(Connection("a", loop.weight, 1, loop.conv))
        layers.append(Layer(name, neurons.tclif(kernel.neurons, c1=c1, c2=c2, bias=bias, **cell), tuple(links)))
    out = Connection("b", rng.normal(0, 0.3, (5, second.neurons)))
    return Network(72, (*layers, Layer("out", neurons.readout(5), (out,))))


def data(samples: int = 12, seed: int = 9) -> Dataset:
    x = (np.random.default_rng(seed).random((samples, 40, 72)) < 0.25).astype(np.int8)
    return Dataset(x, y=np.zeros(samples, np.int64))


def test_neurons_of_a_channel_share_one_scale_and_the_float_networks_spikes_survive():
    original = network()
    fixed = quantize(original, "loihi2", data())
    for layer in fixed.layers[:2]:
        neurons_per_row = layer.connections[0].neurons_per_row
        scale = (layer.lsb_u * 2.0**layer.shift).reshape(-1, neurons_per_row)
        assert (scale == scale[:, :1]).all()
        assert np.unique(scale[:, 0]).size == len(scale)
        for c in layer.connections:
            assert c.kind == "conv"
            assert 60 <= np.abs(c.weight).max() <= 127
    wanted = simulate_float(original, data().values()).spikes
    spikes = simulate(fixed, data().x.astype(np.int64), spikes=True).spikes
    for name, least in (("a", 0.85), ("b", 0.6)):
        assert 0.01 <= wanted[name].mean() <= 0.6, wanted[name].mean()
        assert (wanted[name] & spikes[name]).sum() / (wanted[name] | spikes[name]).sum() > least


@pytest.mark.slow
def test_passes_on_calibration_data_better_kernels_too():
    """On data that they did not see, at 4 bits; what a position sees is what the convolution multiplies."""
    original, unseen = network(), data(24, seed=10)
    wanted = simulate_float(original, unseen.values()).spikes
    alike = {}
    for passes in ((), ("scales", "compensate", "bias")):
        chosen = QuantizeSettings(passes=passes)
        fixed = quantize(original, load_target("loihi2").override(weight_bits=4), data(), chosen)
        spikes = simulate(fixed, unseen.x.astype(np.int64), spikes=True).spikes
        alike[passes] = [(wanted[n] & spikes[n]).sum() / (wanted[n] | spikes[n]).sum() for n in wanted]
        assert all(np.abs(c.weight).max() <= 7 for layer in fixed.layers for c in layer.connections)
    plain, better = alike.values()
    assert better[0] > plain[0] + 0.01
    layer = original.layers[1]
    context = SimpleNamespace(encoding=SimpleNamespace(lsb=1.0), settings=None)
    statistics = CalibrationStatistics(layer, dict, context)  # type: ignore[arg-type]
    events = (np.random.default_rng(2).random((3, 2, layer.connections[0].sources)) < 0.5).astype(np.float32)
    seen = statistics._seen(layer.connections[0], events)
    current = (seen @ layer.connections[0].shared_rows.T).reshape(3, 2, -1, 6)
    everywhere = layer.connections[0].apply(events.reshape(6, -1)).reshape(3, 2, 6, -1)
    expected = everywhere[..., statistics.sampled_output_positions]
    np.testing.assert_allclose(current, expected.swapaxes(2, 3), atol=1e-6)


def test_without_calibration_data_and_without_parameters_of_each_neuron_it_is_quantized_too():
    plain = load_target("loihi2").override(per_neuron_parameters=False)
    fixed = quantize(network(), plain)
    for layer in fixed.layers[:2]:
        assert np.unique(layer.lsb_u * 2.0**layer.shift).size == 1
    assert any("no calibration data" in notice for notice in fixed.notices)


@pytest.fixture(scope="module")
def build(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("conv")
    write_nir(network(), folder / "model.nir")
    np.savez(folder / "data.npz", x=data().x, y=data().y, scale=1.0)
    given = ["--data", str(folder / "data.npz"), "--calibration", str(folder / "data.npz"), "--backend", "c,onnx"]
    assert command(["compile", str(folder / "model.nir"), "-o", str(folder / "build"), *given, "-q"]) == 0
    return folder


@pytest.mark.slow
def test_a_build_keeps_its_kernels_and_every_backend_equals_the_reference(build):
    needs("gcc")
    fixed = FixedNetwork.load(build / "build" / "fixed.npz")
    assert [c.kind for layer in fixed.layers for c in layer.connections] == ["conv", "conv", "conv", "dense"]
    assert (build / "build" / "network.nir").is_file()
    page = (build / "build" / "report.html").read_text(encoding="utf-8")
    assert "4×2×3×3 kernel" in page
    report = fuzz(build / "build", ("c", "onnx", "engine"), 3, steps=40)
    assert report.equal
    assert all(0.01 < rate < 0.9 for rate in report.rates.values())


@pytest.mark.slow
def test_lava_equals_the_reference_too(build):
    report = fuzz(build / "build", ("lava",), 2, steps=20, skip_missing=True)
    assert report.equal
    assert report.backends or "lava" in report.skipped


def test_the_papers_formula_counts_a_convolutions_synapses_not_a_matrixs():
    fixed = quantize(network(), "loihi2", data())
    activity = measure(fixed, data(2))
    energy = formula(fixed, activity)
    synapses = [[sum(w != 0 for row in oracle.matrix(c) for w in row) for c in la.connections] for la in fixed.layers]
    rates = [activity.rate(name) for name in ("input", "a", "b")]
    additions = synapses[0][0] * rates[0] + (synapses[0][1] + 2 * 144) * rates[1]
    additions += synapses[1][0] * rates[1] + 2 * 54 * rates[2]
    assert energy.tclif == pytest.approx(additions * 0.9e-3 + 2 * (144 + 54) * 4.6e-3, rel=1e-2)  # few weights are 0


@pytest.mark.slow
@pytest.mark.parametrize(("form", "message"), [
    ("netx", "layer a: TC-LIF neurons fed by a convolution are not written as netx"),
    ("torch", "layer a: a convolution is not among the torch modules"),
])  # fmt: skip
def test_what_cannot_hold_a_convolution_is_refused_in_one_line(build, tmp_path, capsys, form, message):
    calibration = ["--calibration", str(build / "data.npz")] if form == "netx" else []
    assert command(["export", str(build / "model.nir"), "--to", form, "-o", str(tmp_path / "out"), *calibration]) == 2
    printed = capsys.readouterr().err
    assert message in " ".join(printed.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_it_is_exported_as_onnx_and_as_nir(build, tmp_path):
    onnx = ["export", str(build / "model.nir"), "--to", "onnx", "-o", str(tmp_path / "onnx")]
    assert command([*onnx, "--calibration", str(build / "data.npz")]) == 0
    assert command(["export", str(build / "model.nir"), "--to", "nir", "-o", str(tmp_path / "out.nir")]) == 0
    assert any(type(node).__name__ == "Conv2d" for node in nir.read(tmp_path / "out.nir").nodes.values())


def test_it_is_inspected_checked_and_costed(build, capsys):
    assert command(["inspect", str(build / "model.nir"), "--json"]) == 0
    layer = json.loads(capsys.readouterr().out)["layers"][0]
    assert layer["parameters"] == 72 + 16 + 144
    assert layer["connections"][0]["conv"]["input_shape"] == [2, 6, 6]
    assert layer["connections"][0]["output_shape"] == [4, 6, 6]
    assert command(["inspect", str(build / "model.nir")]) == 0
    assert "conv" in capsys.readouterr().out
    assert command(["check", str(build / "build"), "--target", "loihi2"]) == 0
    assert command(["cost", str(build / "build"), "--data", str(build / "data.npz"), "--target", "loihi2"]) == 0
    assert "synaptic" in capsys.readouterr().out
