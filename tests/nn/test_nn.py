"""Torch modules: whole-sequence layers against a plain loop under autograd, the paper's networks by name."""

import numpy as np
import pytest
import torch

from tclif_deploy.errors import TclifError
from tclif_deploy.nn import LIF, MODELS, PLIF, TCLIF, Recurrent, SequenceNetwork, build, parameter_count, reset_states
from tclif_deploy.nn.fused import fused_layer
from tclif_deploy.nn.sequence import layer
from tclif_deploy.nn.surrogate import CODES, derivative, spike

# reset, detached, strict
CONVENTIONS = [("soft", False, False), ("soft", True, True), ("hard", False, True), ("hard", True, False)]


def plain_tclif(x, linear, neuron, recurrent=None):
    """The paper's Eq. 10-12 as the authors' code runs them, one step after the other; x (time, samples, sources)."""
    b1, b2 = -torch.sigmoid(neuron.decay_factor[:, 0]), torch.sigmoid(neuron.decay_factor[:, 1])
    u = v = s = torch.zeros(x.shape[1], linear.out_features, dtype=x.dtype)
    spikes = []
    for current in linear(x):
        if recurrent is not None:
            current = current + recurrent(s)
        u = u + b1 * v + current
        v = v + b2 * u
        s = spike(v - neuron.threshold, neuron.strict, neuron.surrogate)
        gate = s.detach() if neuron.detach_reset else s
        if neuron.reset == "soft":
            u, v = u - neuron.gamma * gate, v - neuron.threshold * gate
        else:
            v = v * (1 - gate) + neuron.v_reset * gate
        spikes.append(s)
    return torch.stack(spikes)


def plain_single(x, linear, neuron):
    """LIF and PLIF step by step."""
    plif = isinstance(neuron, PLIF)
    decay = 1 - torch.sigmoid(neuron.w) if plif else neuron.decay
    gain = torch.sigmoid(neuron.w) if plif and neuron.decay_input else 1.0
    v = torch.zeros(x.shape[1], linear.out_features, dtype=x.dtype)
    spikes = []
    for current in linear(x):
        v = decay * v + gain * current
        s = spike(v - neuron.threshold, neuron.strict, neuron.surrogate)
        gate = s.detach() if neuron.detach_reset else s
        v = v - neuron.threshold * gate if neuron.reset == "soft" else v * (1 - gate) + neuron.v_reset * gate
        spikes.append(s)
    return torch.stack(spikes)


def random_network(spiking, sizes=(3, 17, 12, 4), recurrent=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    modules = []
    for index, size in enumerate(sizes[1:-1]):
        linear = torch.nn.Linear(sizes[index], size)
        linear.weight.data = torch.randn(size, sizes[index], generator=generator)
        linear.bias.data -= 0.2
        neuron = spiking(size)
        wrapped = Recurrent(neuron, size) if index < recurrent else neuron
        modules += [linear, wrapped]
    modules.append(torch.nn.Linear(*sizes[-2:]))
    return SequenceNetwork(modules).double()


def gradients(network, loss):
    network.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in network.named_parameters()}


def assert_same(result, expected):
    assert result.keys() == expected.keys()
    for name in expected:
        assert expected[name].abs().max() > 1e-6, f"{name}: the plain loop has no gradient there"
        torch.testing.assert_close(
            result[name], expected[name], rtol=1e-9, atol=1e-11, msg=lambda m, n=name: f"{n}: {m}"
        )


def assert_fires(spikes):
    for s in spikes:
        assert 0.01 < s.double().mean() < 0.6


@pytest.mark.slow
@pytest.mark.parametrize(("reset", "detached", "strict"), CONVENTIONS)
@pytest.mark.parametrize("per_neuron", [False, True])
def test_fused_spikes_and_every_gradient_equal_the_plain_loop(reset, detached, strict, per_neuron):
    torch.manual_seed(1)

    def neuron(size):
        decay = torch.randn(size if per_neuron else 1, 2)
        return TCLIF(
            1.1, 0.4, decay_factor=decay, strict=strict, reset=reset, v_reset=0.1, detach_reset=detached
        )  # fmt: skip

    network = random_network(neuron)
    x = 0.7 * torch.randn(5, 25, 3, dtype=torch.float64)
    readout = torch.randn(25, 5, 12, dtype=torch.float64)
    spikes = network.spikes(x)
    assert_fires(spikes)
    grad = gradients(network.features[:-1], (spikes[-1] * readout).sum())
    first, second = network.features[1], network.features[3]
    hidden = plain_tclif(x.transpose(0, 1), network.features[0], first.sub_module, first.hid_weight)
    deep = plain_tclif(hidden, network.features[2], second.sub_module, second.hid_weight)
    assert torch.equal(spikes[0], hidden)
    assert torch.equal(spikes[1], deep)
    assert_same(grad, gradients(network.features[:-1], (deep * readout).sum()))


@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("kind", ["lif", "plif", "plif, decayed input"])
def test_single_compartment_neurons_equal_their_plain_loop(kind, reset):
    torch.manual_seed(2)

    def neuron(size):
        return LIF(0.9, reset=reset) if kind == "lif" else PLIF(0.9, reset=reset, decay_input="decayed" in kind)

    network = random_network(neuron, recurrent=0)
    x = 3 * torch.randn(4, 30, 3, dtype=torch.float64)
    spikes = network.spikes(x)
    assert_fires(spikes)
    readout = torch.randn(30, 4, 12, dtype=torch.float64)
    grad = gradients(network.features[:-1], (spikes[-1] * readout).sum())
    hidden = plain_single(x.transpose(0, 1), network.features[0], network.features[1])
    deep = plain_single(hidden, network.features[2], network.features[3])
    assert torch.equal(spikes[1], deep)
    assert_same(grad, gradients(network.features[:-1], (deep * readout).sum()))


@pytest.mark.parametrize("surrogate", sorted(CODES))
def test_compiled_surrogate_equals_the_torch_one(surrogate):
    torch.manual_seed(3)
    network = random_network(lambda size: TCLIF(surrogate=surrogate))
    x = torch.randn(3, 15, 3, dtype=torch.float64)
    assert_fires(network.spikes(x))
    grad = gradients(network, network(x).square().sum())
    assert_same(grad, gradients(network, network(x, plain=True).square().sum()))


@pytest.mark.parametrize("surrogate", sorted(CODES))
def test_surrogates_peak_at_the_threshold_and_are_even(surrogate):
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)
    y = derivative(surrogate, x)
    assert y.argmax() == 30 or y[30] == y.max()
    torch.testing.assert_close(y, y.flip(0))
    assert 0.3 < y[30] <= 1


def test_gradient_of_the_input_equals_the_plain_loop():
    torch.manual_seed(4)
    network = random_network(lambda size: TCLIF())
    x = torch.randn(3, 12, 3, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(network(x).square().sum(), x)
    (expected,) = torch.autograd.grad(network(x, plain=True).square().sum(), x)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(grad, expected, rtol=1e-9, atol=1e-11)


def test_between_layers_a_gradient_is_left_out_only_where_it_would_be_lost():
    torch.manual_seed(12)
    network = random_network(lambda size: TCLIF(1.3, surrogate="rectangle"))
    x = torch.randn(6, 20, 3, dtype=torch.float64)
    hidden, deep = network.spikes(x)
    readout = torch.randn_like(deep)
    (between,) = torch.autograd.grad((deep * readout).sum(), hidden)

    linear, spiking = network.features[2], network.features[3]
    alone = hidden.detach().requires_grad_()
    spikes, _ = layer(alone, linear, spiking)
    (whole,) = torch.autograd.grad((spikes * readout).sum(), alone)

    first = network.features[1]
    u = v = s = torch.zeros(6, 17, dtype=torch.float64)
    b1, b2 = -torch.sigmoid(first.sub_module.decay_factor[0])[0], torch.sigmoid(first.sub_module.decay_factor[0])[1]
    steep = []
    for current in network.features[0](x.transpose(0, 1)):
        u = u + b1 * v + current + first.hid_weight(s)
        v = v + b2 * u
        steep.append((v - 1.3).abs() < 0.5)
        s = (v >= 1.3).double()
        u, v = u - first.sub_module.gamma * s, v - 1.3 * s
    steep = torch.stack(steep)
    assert 0.1 < steep.double().mean() < 0.9
    assert (whole[~steep] != 0).double().mean() > 0.5
    assert not between[~steep].any()
    torch.testing.assert_close(between[steep], whole[steep], rtol=1e-12, atol=1e-13)


def test_one_step_calls_equal_the_whole_sequence():
    torch.manual_seed(5)
    network = random_network(lambda size: TCLIF())
    x = torch.randn(4, 20, 3, dtype=torch.float64)
    with torch.no_grad():
        reset_states(network)
        steps = sum(network.features(x[:, t]) for t in range(20))
        torch.testing.assert_close(network(x), steps, rtol=1e-12, atol=1e-12)
        assert_fires(network.spikes(x))


def test_steps_after_a_samples_length_change_nothing():
    torch.manual_seed(6)
    network = random_network(lambda size: TCLIF())
    x = torch.randn(3, 20, 3, dtype=torch.float64)
    lengths = torch.tensor([20, 7, 13])
    scores = network(x, lengths)
    for sample, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(scores[sample], network(x[sample : sample + 1, :length])[0])
    noise = x.clone()
    noise[1, 7:] = 9.0
    torch.testing.assert_close(network(noise, lengths), scores)


@pytest.mark.slow
def test_half_spikes_lose_nothing_forward_and_keep_the_gradients_direction():
    network = build("smnist-ff", seed=1)
    x = torch.rand(4, 120, 1, generator=torch.Generator().manual_seed(0))
    full, bfloat16 = network.spikes(x), network.spikes(x, torch.bfloat16)
    assert_fires(full[:2])
    assert all(torch.equal(a, b.float()) for a, b in zip(full, bfloat16, strict=True))
    target = torch.tensor([1, 2, 3, 4])
    one = gradients(network, torch.nn.functional.cross_entropy(network(x), target))
    two = gradients(network, torch.nn.functional.cross_entropy(network(x, dtype=torch.bfloat16), target))
    for name in one:
        cosine = torch.nn.functional.cosine_similarity(one[name].flatten(), two[name].flatten(), dim=0)
        assert cosine > 0.999, name
        assert (one[name] - two[name]).norm() < 0.03 * one[name].norm(), name


def test_counts_equal_the_papers_thousands_where_its_strings_allow():
    paper = {
        "smnist-ff": 85.1, "smnist-rec": 155.1, "psmnist-ff": 85.1, "psmnist-rec": 155.1, "gsc-ff": 106.2,
        "gsc-rec": 196.5, "shd-ff": 108.8, "shd-rec": 141.8, "ssc-ff": 110.8, "ssc-rec": 110.8,
    }  # fmt: skip
    assert {name: round(parameter_count(build(name)) / 1000, 1) for name in paper} == paper
    # Table 6 says 44.8 and 63.6 for the strings 40-256-128-10 and 40-200-64-10; see models.py
    assert parameter_count(build("smnist-ff-40")) == 44_682
    assert parameter_count(build("smnist-rec-40")) == 66_074


def test_fresh_networks_start_at_the_papers_betas_and_share_none():
    network = build("smnist-rec")
    betas = [module.decay_factor for module in network.modules() if isinstance(module, TCLIF)]
    for beta in betas:
        np.testing.assert_allclose(torch.sigmoid(beta).detach().numpy(), [[0.8, 0.4]], rtol=1e-6)
    assert len({beta.data_ptr() for beta in betas}) == 3


def test_the_same_seed_makes_the_same_network_and_leaves_torchs_generator_alone():
    torch.manual_seed(11)
    state = torch.get_rng_state()
    one, two, other = build("shd-rec", seed=3), build("shd-rec", seed=3), build("shd-rec", seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.features[0].weight, other.features[0].weight)


def test_keys_are_those_of_the_authors_checkpoints():
    assert list(build("smnist-rec").state_dict())[:6] == [
        "features.0.weight", "features.0.bias", "features.1.hid_weight.weight", "features.1.hid_weight.bias",
        "features.1.sub_module.decay_factor", "features.2.weight",
    ]  # fmt: skip


ONES = torch.ones(1, 1, 1)


def relu_network():
    return SequenceNetwork([torch.nn.Linear(1, 2), torch.nn.ReLU(), torch.nn.Linear(2, 2)])


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: build("mnist"), "known: smnist-ff"),
        (lambda: build("smnist-ff", "alif"), "known: tclif, lif, plif"),
        (lambda: TCLIF(threshold=0.0), "threshold is 0.0"),
        (lambda: TCLIF(surrogate="step"), "surrogate is 'step'"),
        (lambda: SequenceNetwork([torch.nn.Linear(1, 2), TCLIF()]), "do not alternate"),
        (lambda: relu_network()(torch.ones(1, 2, 1)), "ReLU"),
        (lambda: fused_layer(ONES, ONES[0].half(), ONES[0, 0], None, LIF().coefficients(ONES)), "float16"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(act, message):
    with pytest.raises(TclifError, match=message):
        act()


def test_every_model_by_name_can_be_built():
    for name in MODELS:
        assert parameter_count(build(name, "plif")) == parameter_count(build(name))
