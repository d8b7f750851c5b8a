"""NeuroBench's metrics: the harness's own figures, and what its definitions say where it cannot count."""

from dataclasses import replace

import numpy as np
import pytest

import tclif_deploy as tc
from tclif_deploy import neurons
from tclif_deploy.convolution import Conv
from tclif_deploy.data import Dataset
from tclif_deploy.network import NEURON_ARRAYS, Connection, Layer, Network
from tclif_deploy.quantization.dequantizer import dequantize
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.verification.neurobench import NeuroBenchMetrics, neurobench
from tests.helpers.random_networks import STARTS, random_network
from tests.helpers.requirements import needs_module
from tests.helpers.tclif_networks import calibration_data, tclif_network

KINDS = {
    "chain": {},
    "recurrent": {"recurrent": True, "delay": 2, "input_to": "soma"},
    "loop": {"feedback": True, "skip": True, "forward_delay": 1, "q": True, "bias": True, "v0": True},
    "hard": {"reset": "hard", "spiking_output": True, "leaky": True, "graded": False},
    "starts": {**STARTS["s0, long delays"], "u0": True, "v0": True},
    "a hard reset that takes r_u": STARTS["s0 before such a reset"],
    "convolutions": {"conv": True},
}


def thinned(network: Network, seed: int) -> Network:
    """``network`` without some of its weights."""
    rng = np.random.default_rng(seed)
    layers = []
    for layer in network.layers:
        weights = [c.weight * (rng.random(c.weight.shape) < 0.8) for c in layer.connections]
        links = [replace(c, weight=weight) for c, weight in zip(layer.connections, weights, strict=True)]
        layers.append(replace(layer, connections=tuple(links)))
    return replace(network, layers=tuple(layers))


def by_harness(network: Network, data: Dataset) -> dict:
    """What the harness itself counts, on the torch module, all samples in one batch."""
    torch = needs_module("torch")
    benchmarks, models = needs_module("neurobench.benchmarks"), needs_module("neurobench.models")
    static, workload = needs_module("neurobench.metrics.static"), needs_module("neurobench.metrics.workload")
    from tclif_deploy.nn.step_module import StepModule, StepNeuron

    metrics = [
        [static.Footprint, static.ConnectionSparsity],
        [workload.ActivationSparsity, workload.ActivationSparsityByLayer, workload.SynapticOperations],
    ]
    x, y = torch.from_numpy(data.values()), torch.zeros(data.samples)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=data.samples)
    found = {}
    # the footprint is that of single precision, spikes are those of double
    for module, chosen in ((StepModule(network).float(), [metrics[0], []]), (StepModule(network), [[], metrics[1]])):
        model = models.TorchModel(module)
        model.add_activation_module(StepNeuron)
        given = loader if chosen[1] else torch.utils.data.DataLoader([], batch_size=1)
        found |= benchmarks.Benchmark(model, given, [], [], chosen).run(quiet=True)
    return found


def assert_as_the_harness_counts(metrics: NeuroBenchMetrics, found: dict) -> None:
    assert metrics.footprint == found["Footprint"]
    assert metrics.connection_sparsity == found["ConnectionSparsity"]
    assert metrics.activation_sparsity == pytest.approx(found["ActivationSparsity"], rel=1e-12)
    by_layer = list(metrics.activation_sparsity_by_layer.values())
    assert by_layer == pytest.approx(list(found["ActivationSparsityByLayer"].values()), rel=1e-12)
    ours, theirs = metrics.synaptic_operations, found["SynapticOperations"]
    assert [ours.effective_macs, ours.effective_acs, ours.dense] == pytest.approx(
        [theirs["Effective_MACs"], theirs["Effective_ACs"], theirs["Dense"]], rel=1e-12
    )
    assert ours.dense > ours.effective_macs + ours.effective_acs > 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "convolutions"])
def test_random_networks_have_the_harness_s_figures(kind):
    fixed, x = random_network(3, samples=4, time=30, **KINDS[kind])
    network = thinned(dequantize(fixed), 3)
    rng = np.random.default_rng(3)
    graded = KINDS[kind].get("graded", True)
    values = rng.uniform(0.2, 3.0, x.shape) * (rng.random(x.shape) < 0.4) if graded else (x != 0).astype(np.float64)
    if graded:
        values[:, :, 0] = 0.5  # no step of all samples looks like spikes
    data = Dataset(values)
    metrics = neurobench(network, fixed, data)
    assert (metrics.float.synaptic_operations.effective_macs > 0) == graded
    assert_as_the_harness_counts(metrics.float, by_harness(network, data))


def test_convolutions_have_the_harness_s_figures():
    rng = np.random.default_rng(1)
    conv = Conv((2, 6, 5), stride=(2, 1), padding=(1, 2, 1, 2), dilation=(1, 2), groups=2)
    maps = Connection("input", rng.normal(0.1, 0.3, (4, 1, 3, 2)) * (rng.random((4, 1, 3, 2)) < 0.8), conv=conv)
    first = Layer("a", neurons.lif(maps.neurons, decay=0.9, threshold=1.0), (maps,))
    dense = Connection("a", rng.normal(0, 0.3, (3, maps.neurons)) * (rng.random((3, maps.neurons)) < 0.7), delay=1)
    network = Network(60, (first, Layer("out", neurons.readout(3), (dense,))))
    data = Dataset(rng.uniform(0.1, 1.0, (3, 20, 60)) * (rng.random((3, 20, 60)) < 0.5))
    found = by_harness(network, data)
    assert_as_the_harness_counts(neurobench(network, tc.quantize(network, "loihi2", data), data).float, found)


def test_a_trained_network_has_the_harness_s_figures():
    network = tc.load("fixtures/spoken_digits/checkpoint.pth.tar")
    data = tc.load_data("fixtures/spoken_digits/test.npz")[:3]
    data = replace(data, lengths=None)  # the harness knows no lengths
    fixed = tc.quantize(network, "loihi2", data, tc.QuantizeSettings(passes=()))
    found = by_harness(network, data)
    metrics = neurobench(network, fixed, data)
    # steps in which no sample of the batch has a value count as spikes there, with no operation
    assert_as_the_harness_counts(metrics.float, found)
    assert metrics.fixed.footprint < metrics.float.footprint / 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_torch_module_fires_as_the_float_network(kind):
    torch = needs_module("torch")
    from tclif_deploy.nn.step_module import StepModule, StepNeuron

    fixed, x = random_network(8, samples=3, time=30, **KINDS[kind])
    network = dequantize(fixed)
    values = x * fixed.input.lsb
    wanted = simulate_float(network, values, spikes=True)
    module, fired = StepModule(network), {}
    names = [layer.name for layer in network.layers if layer.neuron.spiking]
    for name, child in zip(names, (c for c in module.children() if isinstance(c, StepNeuron)), strict=True):
        child.register_forward_hook(lambda _, __, out, name=name: fired.setdefault(name, []).append(out.numpy()))
    module(torch.from_numpy(values))
    for name in names:
        np.testing.assert_array_equal(np.stack(fired[name], 1).astype(bool), wanted.spikes[name], err_msg=name)


def counted_by_hand(network, run, lengths) -> float:
    """Membrane updates of all samples, one comparison after another; ``run`` holds traces."""
    total = 0
    for trace in run.traces.values():
        for soma, length in zip(trace[1], lengths, strict=True):
            for before, after in zip([None, *soma[: length - 1]], soma[:length], strict=True):
                total += len(after) if before is None else sum(a != b for a, b in zip(before, after, strict=True))
    return total / len(lengths)


def test_membrane_updates_and_operations_of_samples_of_different_length_are_those_of_their_definition():
    network = tclif_network(2, recurrent=True)
    given = calibration_data(samples=5, time=24)
    lengths = np.array([24, 1, 7, 20, 13])
    data = replace(given, lengths=lengths)
    fixed = tc.quantize(network, "loihi2", given)
    metrics = neurobench(network, fixed, data)
    for net, found in ((network, metrics.float), (fixed, metrics.fixed)):
        run = tc.simulate(net, data, spikes=True, traces=("a", "b"))
        assert found.membrane_updates == counted_by_hand(net, run, lengths)
        operations = spikes = 0
        for n, length in enumerate(lengths):
            for layer in net.layers:
                for c in layer.connections:
                    for t in range(length - c.delay):
                        sent = data.x[n, t] if c.source == "input" else run.spikes[c.source][n, t]
                        count = sum(int((c.weight[:, j] != 0).sum()) for j in np.flatnonzero(sent))
                        operations, spikes = operations + count, spikes + count * (c.source != "input")
        assert found.synaptic_operations.effective_acs == spikes / 5
        assert found.synaptic_operations.effective_macs == (operations - spikes) / 5
        dense = sum(c.weight.size for layer in net.layers for c in layer.connections)
        assert found.synaptic_operations.dense == dense * lengths.sum() / 5


def test_the_footprint_of_integers_is_that_of_their_widths():
    fixed = tc.quantize(tclif_network(1), "loihi2", calibration_data())
    m, bits = fixed.arithmetic, 0
    for layer in fixed.layers:
        for name in NEURON_ARRAYS:
            numbers = len(set(getattr(layer, name).tolist())) > 1
            width = m.frac_bits + 1 if name in ("a_u", "b_u", "a_v", "b_v", "q") else 1 if name == "s0" else 24
            bits += width * (layer.size if numbers else 1)
        bits += 8 * layer.connections[0].weight.size + 48 * layer.size
    assert neurobench(tclif_network(1), fixed, calibration_data()).fixed.footprint == -(-bits // 8)


@pytest.mark.parametrize("kind", ["float32", "float64", "uint8"])
def test_the_module_takes_batches_of_any_dtype_in_its_own(kind):
    """In single precision as docs/builds.md has it: the page's footprint and, but for a few spikes, its counts."""
    torch = needs_module("torch")
    benchmarks, models = needs_module("neurobench.benchmarks"), needs_module("neurobench.models")
    static, workload = needs_module("neurobench.metrics.static"), needs_module("neurobench.metrics.workload")
    from tclif_deploy.nn.step_module import StepModule, StepNeuron

    rng = np.random.default_rng(2)
    network = thinned(tclif_network(recurrent=True), 1)
    x = rng.integers(0, 3, (6, 40, network.input_size))
    batch = torch.from_numpy(x).to(getattr(torch, kind))
    page = neurobench(network, tc.quantize(network, "loihi2", x.astype(float)), Dataset(x.astype(float))).float
    for module, footprint, exact in (
        (StepModule(network).float(), page.footprint, 2e-3), (StepModule(network), 2 * page.footprint, 1e-12),
    ):  # fmt: skip
        model = models.TorchModel(module)
        model.add_activation_module(StepNeuron)
        data = torch.utils.data.TensorDataset(batch, torch.zeros(len(batch)))
        chosen = [[static.Footprint], [workload.ActivationSparsity, workload.SynapticOperations]]
        loader = torch.utils.data.DataLoader(data, batch_size=len(batch))
        found = benchmarks.Benchmark(model, loader, [], [], chosen).run(quiet=True)
        assert found["Footprint"] == footprint
        assert module(batch).dtype == next(module.parameters()).dtype
        assert found["ActivationSparsity"] == pytest.approx(page.activation_sparsity, rel=exact)
        operations = found["SynapticOperations"]
        assert operations["Dense"] == page.synaptic_operations.dense
        counted = operations["Effective_MACs"] + operations["Effective_ACs"]
        ours = page.synaptic_operations.effective_macs + page.synaptic_operations.effective_acs
        assert counted == pytest.approx(ours, rel=5 * exact)
