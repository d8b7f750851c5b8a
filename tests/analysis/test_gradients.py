"""Gradients over time: those of the network that is simulated, whatever its neurons, and of torch's own loss."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tclif_deploy import Connection, Dataset, Layer, Network, TclifError, neurons, simulate
from tclif_deploy.analysis import gradients
from tclif_deploy.analysis.torch_run import run
from tclif_deploy.nn import LIF, TCLIF, SequenceNetwork
from tclif_deploy.nn.from_network import to_module
from tclif_deploy.nn.gradient import gradient_share
from tclif_deploy.quantization.dequantizer import dequantize
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers.random_networks import STARTS, random_network

RNG = np.random.default_rng(3)
OUT = neurons.readout(3)


def weights(*shape: int, scale: float = 0.6) -> np.ndarray:
    return RNG.normal(0.1, scale, shape)


def network(first=None, second=None, *, delay: int = 0) -> Network:
    """Two spiking layers, the first recurrent, and a readout that the first reaches too."""
    first = neurons.tclif(6, c1=0.0, c2=0.0, gamma=0.5, threshold=1.0) if first is None else first
    second = neurons.lif(5, decay=0.8, threshold=1.0) if second is None else second
    return Network(2, (
        Layer("a", first, (Connection("input", weights(6, 2), delay), Connection("a", weights(6, 6, scale=0.2), 1))),
        Layer("b", second, (Connection("a", weights(5, 6)),)),
        Layer("out", OUT, (Connection("b", weights(3, 5)), Connection("a", weights(3, 6), 2))),
    ))  # fmt: skip


def chain(threshold: float = 1.0, bias: float = 0.0) -> Network:
    """What a module of ours can be."""
    first = neurons.tclif(6, c1=0.3, c2=-0.4, gamma=0.5, threshold=threshold)
    second = neurons.tclif(5, c1=0.0, c2=0.0, gamma=0.5, threshold=1.0, bias=bias)
    return Network(2, (
        Layer("a", first, (Connection("input", weights(6, 2)), Connection("a", weights(6, 6, scale=0.2), 1))),
        Layer("b", second, (Connection("a", weights(5, 6)),)),
        Layer("out", OUT, (Connection("b", weights(3, 5)),)),
    ))  # fmt: skip


def samples(count: int = 3, time: int = 24, **fields) -> Dataset:
    return Dataset(RNG.random((count, time, 2)), **fields)


@pytest.mark.parametrize(
    "first",
    [
        neurons.tclif(6, c1=0.0, c2=0.0, gamma=0.5, threshold=1.0),
        neurons.lif(6, decay=0.9, threshold=1.0, reset="hard", v_reset=-0.2, v0=0.3, bias=0.05, strict=True),
        neurons.alif_bellec(6, alpha=0.9, rho=0.9, kappa=0.5, threshold=1.0),
        neurons.ahp(6, alpha=0.9, rho=0.9, jump=0.5, threshold=1.0),
    ],
    ids=["tclif", "hard", "adaptive", "ahp"],
)
def test_the_run_in_torch_fires_as_the_simulator_does(first):
    net, data = network(first, delay=1), samples()
    made, simulated = run(net, torch.from_numpy(data.values())), simulate(net, data, spikes=True, traces=["out"])
    for name, fired in simulated.spikes.items():
        assert fired.any()
        assert (torch.stack(made.spikes[name], 1).detach().numpy() == fired).all()
    somas = torch.stack(made.somas, 1).detach().numpy()
    np.testing.assert_allclose(somas, simulated.traces["out"][1], atol=1e-12)


def test_the_shares_are_those_of_the_neuron_s_own_module():
    net, data = chain(), samples()
    found = gradients(net, data)
    made = run(net, torch.from_numpy(data.values()))
    for layer, c in zip(found.layers, ((0.3, -0.4), (0.0, 0.0)), strict=True):
        current = torch.stack(made.currents[layer.layer]).detach()
        own = gradient_share(TCLIF(decay_factor=torch.tensor([c], dtype=torch.float64)), current)
        np.testing.assert_allclose(layer.share, own, rtol=1e-9)
        np.testing.assert_allclose(layer.lif_share, gradient_share(LIF(), current), rtol=1e-9)
        assert sum(layer.share) == pytest.approx(1.0)


def test_the_loss_s_gradients_are_those_of_the_module_that_trains():
    net, data = chain(), samples(y=np.array([0, 2, 1]))
    found = gradients(net, data)
    module = SequenceNetwork(list(to_module(net)))
    logits = module(torch.from_numpy(data.values()), plain=True)
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(data.y))
    loss.backward()
    features = module.features
    expected = [
        torch.cat([features[0].weight.grad.ravel(), features[1].hid_weight.weight.grad.ravel()]).norm(),
        features[2].weight.grad.norm(),
    ]
    assert [layer.weights for layer in found.layers] == pytest.approx([float(norm) for norm in expected], rel=1e-9)
    assert all(len(layer.loss) == data.time for layer in found.layers)


def test_numbers_of_steps_have_a_loss_too():
    data = samples(y=RNG.normal(size=(3, 24, 3)), task="step-value")
    assert all(max(layer.loss) > 0 for layer in gradients(chain(), data).layers)


def test_a_padded_sample_is_aligned_at_its_end_and_its_padding_counts_nothing():
    whole = samples(1, 24)
    net = chain()
    padded = replace(whole, x=np.concatenate([whole.x, 5 * np.ones((1, 10, 2))], 1), lengths=np.array([24]))
    two = replace(padded, x=np.concatenate([padded.x, RNG.random((1, 34, 2))]), lengths=np.array([24, 34]))
    assert gradients(net, padded) == gradients(net, whole)
    assert gradients(net, two).steps == 34


def test_a_layer_that_never_fires_is_named_and_what_it_leads_to_has_no_gradient():
    found = gradients(chain(threshold=1e4, bias=0.4), samples(y=np.array([0, 2, 1])))
    assert found.silent == ("a",)
    silent, after = found.layers
    assert (silent.rate, silent.weights, after.weights) == (0.0, 0.0, 0.0)
    assert set(silent.loss) == {0.0}
    assert sum(silent.share) == pytest.approx(1.0)


def test_without_targets_or_with_another_readout_there_is_no_loss():
    net = chain()
    assert gradients(net, samples()).layers[0].loss is None
    labelled = samples(y=np.array([0, 2, 1]))
    assert gradients(net.with_readout("max"), labelled).layers[0].weights is None


def test_what_does_not_fit_is_refused():
    net = chain()
    with pytest.raises(TclifError, match=r"labels lie in 0\.\.7; this network has the classes 0\.\.2"):
        gradients(net, samples(y=np.array([0, 7, 1])))
    with pytest.raises(TclifError, match="3 features a step, the network takes 2"):
        gradients(net, np.zeros((1, 4, 3)))
    with pytest.raises(TclifError, match="a network by itself has no samples; give samples: --data FILE"):
        gradients(net)
    with pytest.raises(TclifError, match="no layer of this network fires"):
        gradients(Network(2, (Layer("out", OUT, (Connection("input", weights(3, 2)),)),)), samples())
    with pytest.raises(TclifError, match=r"gradients: samples is 0; expected a whole number, 1 or more"):
        gradients(net, samples(), samples=0)


@pytest.mark.parametrize("options", STARTS.values(), ids=STARTS)
def test_starts_and_resets_of_the_dendrite_are_the_simulator_s_too(options):
    fixed, x = random_network(6, recurrent=True, samples=2, time=30, **options)
    network = dequantize(fixed)
    values = x * fixed.input.lsb
    found = run(network, torch.from_numpy(values))
    wanted = simulate_float(network, values, spikes=True).spikes
    for name, spikes in wanted.items():
        fired = torch.stack(found.spikes[name], 1).detach().numpy() > 0
        np.testing.assert_array_equal(fired, spikes, err_msg=name)
