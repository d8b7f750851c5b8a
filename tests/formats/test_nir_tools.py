"""NIR files that other tools write, or run: spike for spike as these tools themselves run the network."""

from __future__ import annotations

from collections import OrderedDict

import nir
import numpy as np
import pytest
import torch

from tclif_deploy import load
from tclif_deploy.comparison import equal
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers import foreign_graphs
from tests.helpers.foreign_graphs import DT, run_steps, spike_trains, with_random_weights
from tests.helpers.requirements import needs_module


def same(ours: np.ndarray, expected: np.ndarray, name: str = "") -> None:
    """Equal, and neither silent nor always firing."""
    assert 0.01 <= ours.mean() <= 0.6, (name, ours.mean())
    np.testing.assert_array_equal(ours, expected.astype(bool), err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["norse", "snntorch"])
def test_lifs_that_norse_writes_spike_as_norse_and_snntorch_run_them(tmp_path, tool):
    norse = needs_module("norse.torch")
    export_nir = needs_module("norse.torch.utils.export_nir")
    every = {"tau_mem_inv": 320.0, "v_th": 0.12, "v_leak": 0.0}
    parameters = norse.LIFBoxParameters(**{name: torch.full((6,), value) for name, value in every.items()})
    module = norse.SequentialState(
        with_random_weights(torch.nn.Linear(4, 6), gain=0.8), norse.LIFBoxCell(parameters, dt=DT)
    )
    # the exporter writes dt / tau_mem_inv for tau: seconds, where dt is 1
    path = foreign_graphs.write_graph(export_nir.to_nir(module, torch.zeros(4), dt=1), tmp_path / "lif.nir")
    x = spike_trains(0.3, 4, steps=1000, samples=1)
    if tool == "snntorch":
        module = needs_module("snntorch.import_nir").import_from_nir(nir.read(path))
    (our_spikes,) = simulate_float(load(path, dt=DT, convention=tool), x).spikes.values()
    same(our_spikes, run_steps(module, x))


def snntorch_network(reset: str, bias: bool, gain: float) -> torch.nn.Module:
    """Ten inputs, 30 RSynaptic, six Synaptic; their export looks like `foreign.recurrent`."""
    snn = needs_module("snntorch")
    inner = snn.RSynaptic(0.5, 0.875, linear_features=30, reset_mechanism=reset, init_hidden=True)
    inner.recurrent = torch.nn.Linear(30, 30, bias=bias)
    alpha, beta = torch.full((6,), 0.4375), torch.full((6,), 0.5625)
    last = snn.Synaptic(alpha, beta, threshold=torch.ones(6), reset_mechanism=reset, init_hidden=True)
    module = with_random_weights(torch.nn.Sequential(OrderedDict(
        fc1=torch.nn.Linear(10, 30, bias=bias), lif1=inner, fc2=torch.nn.Linear(30, 6, bias=bias), lif2=last,
    )), gain=gain)  # fmt: skip
    with torch.no_grad():
        module.fc2.weight.mul_(0.5 / gain)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(("reset", "bias", "gain"), [
    ("zero", True, 0.25), ("zero", False, 0.25), ("subtract", True, 0.2), ("subtract", False, 0.25),
])  # fmt: skip
def test_a_recurrent_network_that_snntorch_writes_spikes_as_snntorch_runs_it(tmp_path, reset, bias, gain):
    """Reset in the step of the spike, as NIR has it: snnTorch 1.0's RSynaptic cannot, its Synaptic can.

    Where it subtracts, snnTorch takes a potential that is still above the threshold for one that was reset just now;
    ``gain`` is so small there that this does not occur.
    """
    snn, export_nir = needs_module("snntorch"), needs_module("snntorch.export_nir")
    module = snntorch_network(reset, bias, gain)
    graph = export_nir.export_to_nir(module, torch.zeros(1, 10), ignore_dims=[0])
    assert type(graph.nodes["lif1.w_rec"]) is (nir.Affine if bias else nir.Linear)
    path, x = foreign_graphs.write_graph(graph, tmp_path / "recurrent.nir"), spike_trains(0.15, 10)
    our_spikes = simulate_float(
        load(path, convention="snntorch", reset="soft" if reset == "subtract" else None), x
    ).spikes
    module = module.double()
    first, second = (
        snn.Synaptic(layer.alpha, layer.beta, threshold=layer.threshold, reset_mechanism=reset, reset_delay=False)
        for layer in (module.lif1, module.lif2)
    )
    spikes, a, b = torch.zeros(3, 30, dtype=torch.float64), (), ()
    seen: dict[str, list] = {"lif1.lif": [], "lif2": []}
    with torch.no_grad():
        for t in range(x.shape[1]):
            spikes, *a = first(module.fc1(torch.as_tensor(x[:, t])) + module.lif1.recurrent(spikes), *a)
            spikes = spikes.double()
            out, *b = second(module.fc2(spikes), *b)
            seen["lif1.lif"].append(spikes.numpy())
            seen["lif2"].append(out.numpy())
    for name, snntorch_spikes in seen.items():
        same(our_spikes[name], np.stack(snntorch_spikes, 1), name)


@pytest.mark.parametrize("reset", ["value", "subtract"])
def test_a_recurrent_graph_spikes_as_norse_runs_it(tmp_path, reset):
    """Without biases; `test_nir_conventions` has them, of which Norse leaves the loop's out of the first step."""
    import_nir, resets = needs_module("norse.torch.utils.import_nir"), needs_module("norse.torch.functional.reset")
    path, x = (
        foreign_graphs.write_graph(foreign_graphs.recurrent_graph(bias=False), tmp_path / "recurrent.nir"),
        spike_trains(0.15, 10),
    )
    module = import_nir.from_nir(
        nir.read(path), ignore_warnings=True, dt=DT, reset_method=getattr(resets, f"reset_{reset}")
    )
    network = load(path, dt=DT, convention="norse", reset="soft" if reset == "subtract" else None)
    our_spikes = simulate_float(network, x).spikes
    assert 0.01 <= our_spikes["lif1.lif"].mean() <= 0.6
    same(our_spikes["lif2"], run_steps(module, x))


@pytest.mark.parametrize("bias", [True, False])
def test_a_loop_in_a_graph_of_its_own_is_the_same_network(tmp_path, bias):
    graph, x = foreign_graphs.recurrent_graph(bias), spike_trains(0.15, 10)
    flat = load(foreign_graphs.write_graph(graph, tmp_path / "flat.nir"), dt=DT)
    inner = load(foreign_graphs.write_graph(foreign_graphs.with_subgraph(graph), tmp_path / "nested.nir"), dt=DT)
    for a, b in zip(*(simulate_float(network, x).spikes.values() for network in (flat, inner)), strict=True):
        same(a, b)


@pytest.mark.parametrize("graph", [foreign_graphs.recurrent_graph, foreign_graphs.lif_chain_with_leak])
def test_a_file_of_nir_0_2_resets_to_zero(tmp_path, graph):
    """It had no v_reset yet."""
    new = load(foreign_graphs.write_graph(graph(), tmp_path / "new.nir"), dt=DT)
    old = load(foreign_graphs.rewrite_as_nir_0_2(foreign_graphs.write_graph(graph(), tmp_path / "old.nir")), dt=DT)
    for a, b in zip(new.layers, old.layers, strict=True):
        assert equal(a.neuron, b.neuron)
        assert not b.neuron.v_reset.any()


SPIKINGJELLY = {
    "IFNode": {}, "LIFNode": {"tau": 4.0, "decay_input": True, "v_threshold": 0.3},
    "ParametricLIFNode": {"init_tau": 3.0, "decay_input": False},
    "CUBALIFNode": {"c_decay": 0.5, "v_decay": 0.75, "v_threshold": 2.5},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", SPIKINGJELLY)
def test_neurons_that_spikingjelly_writes_spike_as_spikingjelly_runs_them(tmp_path, kind):
    neuron, functional, exchange = (
        needs_module(f"spikingjelly.activation_based.{name}") for name in ("neuron", "functional", "nir_exchange")
    )
    cells = [getattr(neuron, kind)(v_reset=0.0, **SPIKINGJELLY[kind]) for _ in range(2)]
    module = torch.nn.Sequential(torch.nn.Linear(10, 20), cells[0], torch.nn.Linear(20, 6), cells[1])
    exchange.export_to_nir(
        with_random_weights(module, gain=0.8), torch.zeros(1, 10), save_path=tmp_path / "sj.nir", dt=DT
    )
    functional.reset_net(module)
    x = spike_trains(0.3, 10)
    with torch.no_grad():
        spikingjelly_spikes = torch.stack(
            [module(torch.as_tensor(x[:, t], dtype=torch.float32)) for t in range(x.shape[1])], 1
        )
    our_spikes = simulate_float(load(tmp_path / "sj.nir", dt=DT, convention="spikingjelly"), x).spikes
    for spikes in our_spikes.values():
        assert 0.01 <= spikes.mean() <= 0.6
    same(list(our_spikes.values())[-1], spikingjelly_spikes.numpy())


def test_a_feedforward_graph_spikes_as_snntorchs_own_import_runs_it(tmp_path):
    import_nir = needs_module("snntorch.import_nir")
    rng = np.random.default_rng(5)
    tau = 8e-4
    node = nir.LIF(tau=np.full(6, tau), r=np.full(6, tau / DT), v_leak=np.zeros(6), v_threshold=np.full(6, 1.1),
                   v_reset=np.zeros(6))  # fmt: skip
    nodes = {"input": nir.Input(np.array([4])), "fc": nir.Affine(rng.normal(0.2, 0.5, (6, 4)), rng.normal(0, 0.1, 6)),
             "lif": node, "output": nir.Output(np.array([6]))}  # fmt: skip
    graph = nir.NIRGraph(nodes, [("input", "fc"), ("fc", "lif"), ("lif", "output")], metadata={})
    x = spike_trains(0.3, 4)
    our_spikes = simulate_float(
        load(foreign_graphs.write_graph(graph, tmp_path / "graph.nir"), convention="snntorch"), x
    ).spikes["lif"]
    same(our_spikes, run_steps(import_nir.import_from_nir(graph), x))
