"""Live torch modules, read by running them: the authors' classes, ours, SpikingJelly's, snnTorch's and Norse's."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from tclif_deploy import TclifError, load, neurons, register_neuron, sliding_windows
from tclif_deploy.nn import LIF, PLIF, TCLIF, Recurrent, SequenceNetwork
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers.authors_modules import LinearRecurrentContainer, RecurrentContainer, TCLIFNode, liven
from tests.helpers.requirements import needs_module

STEPS = 60


def example(features=6, samples=3, steps=STEPS, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return rng.poisson(0.6, (samples, steps, features)).astype(np.float32) * scale


def linear(sources, size, seed, gain=1.0, bias=True):
    """A Linear whose weights make neurons fire."""
    layer = nn.Linear(sources, size, bias)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(size, sources, generator=generator) * gain / sources**0.5 + 0.3 / sources)
        if bias:
            layer.bias.copy_(torch.randn(size, generator=generator) * 0.05)
    return layer


def rates(network, x):
    return {name: float(s.mean()) for name, s in simulate_float(network, x).spikes.items()}


def alive(network, x):
    """Every spiking layer fires in 1 to 60 % of its steps: the import's own check would prove nothing on silence."""
    for name, rate in rates(network, np.asarray(x, np.float64)).items():
        assert 0.01 <= rate <= 0.6, f"{name} fires in {rate:.1%} of its steps"
    assert any("checked against the model itself" in notice for notice in network.notices)


def refused(model, x=None, **options) -> str:
    with pytest.raises(TclifError) as error:
        load(model, example_input=example() if x is None else x, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


class OverTime(nn.Module):
    """As the authors write their models: a loop over time in forward, and the sum of what comes out."""

    def __init__(self, *layers, time_first=False, window=None):
        super().__init__()
        self.features = nn.Sequential(*layers)
        self.time_first, self.window = time_first, window

    def forward(self, x):
        if self.time_first:
            x = x.transpose(0, 1)
        out = []
        for t in range(x.size(1)):
            if self.window is None:
                step = x[:, t, :]
            else:
                first = t if t < x.size(1) - self.window else x.size(1) - self.window
                step = x[:, first : first + self.window, :].reshape(-1, self.window)
            out.append(self.features(step))
        return torch.stack(out, 0).sum(0)


def authors_layers(hard=False):
    return (
        linear(6, 16, 1), nn.Dropout(0.3), RecurrentContainer(TCLIFNode(hard_reset=hard), 16),
        linear(16, 12, 2), nn.BatchNorm1d(12), LinearRecurrentContainer(TCLIFNode(gamma=0.3), 12),
        linear(12, 10, 3, 1.5), TCLIFNode(1.1, hard_reset=hard), linear(10, 4, 4),
    )  # fmt: skip


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("time_first", [False, True])
def test_the_authors_recurrent_models_are_read_with_batch_norm_folded_and_dropout_dropped(hard, time_first):
    model = liven(OverTime(*authors_layers(hard), time_first=time_first), 3, 1.1)
    x = example()
    network = load(model, example_input=x.swapaxes(0, 1) if time_first else x)
    assert [layer.name for layer in network.layers] == ["features.2", "features.5", "features.7", "features.8"]
    assert [[c.delay for c in layer.connections] for layer in network.layers] == [[0, 1], [0, 1], [0], [0]]
    alive(network, x)


def test_what_is_read_by_running_equals_what_is_read_by_class_names():
    model = liven(OverTime(*authors_layers()), 3, 1.3)
    by_class, by_run = load(model), load(model, example_input=example())
    x = example(seed=9).astype(np.float64)
    a, b = simulate_float(by_class, x), simulate_float(by_run, x)
    for name in a.spikes:
        np.testing.assert_array_equal(a.spikes[name], b.spikes[name])
    np.testing.assert_allclose(a.readout, b.readout, rtol=1e-9)


def test_a_window_that_slides_over_the_input_is_found_and_told():
    model = OverTime(linear(8, 12, 1, 1.5), TCLIF(), linear(12, 3, 2), window=8)
    x = example(features=1, samples=2)
    network = load(model, example_input=x)
    assert network.input_size == 8
    assert "sliding_windows(x, 8)" in network.notices[0]
    alive(network, sliding_windows(x, 8))
    with torch.no_grad():
        wanted = copy.deepcopy(model).double()(torch.as_tensor(x).double())
    windows = sliding_windows(x.astype(np.float64), 8)
    np.testing.assert_allclose(simulate_float(network, windows).readout, wanted, rtol=1e-9)


def test_our_own_modules_and_sequence_networks_are_read():
    layers = [linear(6, 14, 1, 1.4), Recurrent(TCLIF(gamma=0.4), 14), linear(14, 12, 2, 1.2),
              LIF(decay=0.7, reset="hard"), linear(12, 9, 3, 1.5), PLIF(decay_input=True, threshold=0.2),
              linear(9, 4, 4)]  # fmt: skip
    x = example()
    for model in (SequenceNetwork(layers), OverTime(*layers), nn.Sequential(*layers)):
        alive(load(model, example_input=x), x)


def test_skips_and_recurrence_written_by_hand_are_followed():
    class ByHand(nn.Module):
        def __init__(self):
            super().__init__()
            self.i2h, self.h2h, self.skip = linear(6, 12, 1, 1.4), linear(12, 12, 2, 0.5), linear(6, 8, 3)
            self.h2o, self.back = linear(12, 8, 4), linear(8, 12, 5, 0.5)
            self.first, self.second, self.out = TCLIF(), TCLIF(threshold=1.2), linear(8, 3, 6)

        def forward(self, x):
            h, o, total = torch.zeros(len(x), 12), torch.zeros(len(x), 8), 0
            for t in range(x.shape[1]):
                new = self.first(self.i2h(x[:, t]) + self.h2h(h) + 0.5 * self.back(o))
                o = self.second(self.h2o(new) + self.skip(x[:, t]) - self.h2o(h) / 4)
                h = new
                total = total + self.out(o)
            return total / x.shape[1]

    x = example()
    network = load(ByHand(), example_input=x)
    assert {(c.source, c.delay) for c in network.layers[0].connections} == {("input", 0), ("first", 1), ("second", 1)}
    assert {(c.source, c.delay) for c in network.layers[1].connections} == {("input", 0), ("first", 0), ("first", 1)}
    alive(network, x)


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize("v_reset", [None, 0.0, -0.2])
def test_spikingjelly_networks_in_both_step_modes(mode, v_reset):
    sj = needs_module("spikingjelly.activation_based.neuron")
    model = nn.Sequential(
        linear(6, 16, 1, 2.5), sj.LIFNode(tau=2.5, v_reset=v_reset, step_mode=mode),
        linear(16, 12, 2, 1.4), sj.ParametricLIFNode(init_tau=3.0, decay_input=False, v_reset=v_reset, step_mode=mode),
        linear(12, 10, 3, 1.4), sj.IFNode(v_threshold=0.5, v_reset=v_reset, step_mode=mode), linear(10, 4, 4),
    )  # fmt: skip
    x = example()
    alive(load(model, example_input=x.swapaxes(0, 1) if mode == "m" else x), x)


@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_snntorch_networks_with_hidden_states(reset):
    snn = needs_module("snntorch")
    options = {"reset_mechanism": reset, "reset_delay": reset == "subtract"}
    model = nn.Sequential(
        linear(6, 16, 1, 1.5), snn.Leaky(beta=0.85, init_hidden=True, reset_mechanism=reset),
        linear(16, 12, 2, 1.2),
        snn.Synaptic(alpha=0.5, beta=0.8, threshold=1.4, init_hidden=True, **options),
        linear(12, 10, 3, 1.3),
        snn.RLeaky(beta=0.7, linear_features=10, init_hidden=True, **options),
    )  # fmt: skip
    with torch.no_grad():
        model[5].recurrent.weight.mul_(0.5)
    x = example()
    network = load(model, example_input=x)
    assert network.layers[-1].neuron.spiking
    assert {c.delay for c in network.layers[-1].connections} == {0, 1}
    alive(network, x)


def test_an_snntorch_model_that_hands_its_states_around_itself():
    snn = needs_module("snntorch")

    class Tutorial(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.lif1 = linear(6, 16, 1, 1.5), snn.Leaky(beta=0.9)
            self.fc2, self.lif2 = linear(16, 4, 2, 1.2), snn.Leaky(beta=0.8)

        def forward(self, x):
            mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
            spikes, mems = [], []
            for t in range(x.shape[1]):
                spk1, mem1 = self.lif1(self.fc1(x[:, t]), mem1)
                spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
                spikes.append(spk2)
                mems.append(mem2)
            return torch.stack(spikes), torch.stack(mems)

    x = example()
    network = load(Tutorial(), example_input=x)
    assert [layer.name for layer in network.layers] == ["lif1", "lif2"]
    alive(network, x)


@pytest.mark.slow
def test_norse_networks_with_a_leaky_readout():
    norse = needs_module("norse.torch")
    model = norse.SequentialState(
        linear(6, 16, 1, 8.0), norse.LIFBoxCell(p=norse.LIFBoxParameters(tau_mem_inv=torch.tensor(200.0))),
        linear(16, 12, 2, 3.0), norse.LIFCell(), linear(12, 4, 3), norse.LICell(),
    )  # fmt: skip
    x = example()
    network = load(model, example_input=x)
    assert not network.layers[-1].neuron.spiking
    alive(network, x)


class Ternary(nn.Module):
    """A neuron that no library has: v <- v/4 + i, fires at 1/2, keeps half of v."""

    def __init__(self, keep=0.5):
        super().__init__()
        self.keep, self.v = keep, None

    def reset(self):
        self.v = None

    def forward(self, x):
        v = x if self.v is None else self.v / 4 + x
        z = (v > 0.5).to(x)
        self.v = v - z * self.keep
        return z


def test_a_neuron_of_the_users_own_is_read_once_it_is_registered():
    model = nn.Sequential(linear(6, 12, 1), Ternary(), linear(12, 3, 2))
    assert "register_neuron" in refused(model)
    register_neuron(
        Ternary,
        lambda m, size: neurons.canonical(size, "mine", a_v=0.25, b_v=1.0, threshold=0.5, r_v=0.5, strict=True),
    )
    alive(load(model, example_input=example()), example())
    message = refused(nn.Sequential(linear(6, 12, 1), Ternary(keep=0.4), linear(12, 3, 2)))
    assert "does not spike as the model does: first at step" in message
    assert "layer layer1, neuron" in message


def test_the_model_is_left_as_it_was():
    model = OverTime(linear(6, 12, 1, 1.5), nn.BatchNorm1d(12), TCLIF(), linear(12, 3, 2)).train()
    before = copy.deepcopy(model.state_dict())
    model.features[2].u = model.features[2].v = torch.ones(3, 12)
    load(model, example_input=example())
    assert model.training
    assert model.features[0].weight.dtype == torch.float32
    assert torch.equal(model.features[2].u, torch.ones(3, 12))
    assert not model.features[2]._forward_hooks
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_one_neuron_object_for_two_layers_is_refused():
    shared = TCLIF()
    message = refused(nn.Sequential(linear(6, 6, 1), shared, linear(6, 6, 2), shared, linear(6, 3, 3)))
    assert "called 2 times a step" in message
    assert "stands for 2 layers" in message


def wild(between):
    class Wild(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.lif1, self.fc2 = linear(6, 12, 1, 1.5), TCLIF(), linear(12, 3, 2)

        def forward(self, x):
            return sum(self.fc2(between(self.lif1(self.fc1(x[:, t])), t)) for t in range(x.shape[1]))

    return Wild()


@pytest.mark.parametrize(("between", "message"), [
    (lambda z, t: torch.relu(z), "fc2: its input comes through torch's relu"),
    (lambda z, t: z + 0.1, "fc2: its input comes through a constant is added"),
    (lambda z, t: z * z, "fc2: its input comes through torch's"),
    (lambda z, t: torch.cat([z[:, :6], z[:, :6]], 1), "several steps or layers put into one tensor"),
    (lambda z, t: z if t % 2 else 2 * z, "fc2: what it is fed changes at step"),
    (lambda z, t: torch.zeros(3, 12), "comes from nowhere"),
    (lambda z, t: z.flip(1), "fc2: its input comes through torch's flip"),
])  # fmt: skip
def test_what_stands_between_layers_and_cannot_be_read_is_named(between, message):
    assert message in refused(wild(between))


@pytest.mark.parametrize("block", [
    lambda: nn.Sequential(linear(6, 12, 1, 1.5), nn.ReLU()),
    lambda: nn.Sequential(linear(6, 12, 1, 1.5), nn.ReLU(), linear(12, 12, 3)),
    nn.Softmax,
])  # fmt: skip
def test_a_first_block_of_real_values_is_refused_as_such_and_the_chip_s_part_behind_it_is_read(block):
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = block(-1) if block is nn.Softmax else block()
            self.body = wild(lambda z, t: z)
            self.body.fc1 = linear(6 if block is nn.Softmax else 12, 12, 1, 1.5)

        def forward(self, x):
            return self.body(torch.stack([self.stem(x[:, t]) for t in range(x.shape[1])], 1))

    model, x = Whole().double(), example()
    message = refused(model, x)
    assert "before any neuron: that block computes with real values" in message
    assert "run it on the host, and load the modules behind it" in message
    features = model.stem(torch.tensor(x, dtype=torch.float64)).detach()
    assert [layer.name for layer in load(model.body, example_input=features).layers] == ["lif1", "fc2"]


def test_a_permutation_by_indexing_does_not_pass_the_check():
    assert "readout" in refused(wild(lambda z, t: z[:, torch.arange(11, -1, -1)]))


@pytest.mark.parametrize(("model", "message"), [
    (nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), "no neurons that are known in it (it has Linear, R"),
    (nn.Sequential(linear(5, 4, 1), TCLIF(), linear(4, 2, 2)), "fails on the example input of shape (3, 60, 6)"),
    (nn.Sequential(linear(6, 4, 1), nn.BatchNorm1d(4, track_running_stats=False), TCLIF(), linear(4, 2, 2)),
     "keeps no running statistics"),
])  # fmt: skip
def test_models_that_cannot_be_read_are_one_line(model, message):
    assert message in refused(model)


def test_examples_and_options_that_make_no_sense_are_one_line(tmp_path):
    model = nn.Sequential(linear(6, 12, 1), TCLIF(), linear(12, 3, 2))
    assert "shape (3, 6)" in refused(model, np.ones((3, 6)))
    assert "shape (3, 0, 6)" in refused(model, np.ones((3, 0, 6)))
    assert "complex" in refused(model, np.ones((3, 4, 6), complex))
    assert "a live module says everything itself, threshold included" in refused(model, threshold=1.0)
    assert "for live modules, not for files" in refused(tmp_path / "model.pt")


@pytest.mark.parametrize(("make", "message"), [
    (lambda snn: snn.Leaky(beta=0.9, init_hidden=True, reset_mechanism="none"), "without a reset"),
    (lambda snn: snn.Leaky(beta=0.9, init_hidden=True, inhibition=True), "inhibition"),
    (lambda snn: snn.Synaptic(alpha=0.5, beta=0.9, init_hidden=True, reset_mechanism="zero"), "deletes the next step"),
    (lambda snn: snn.Alpha(alpha=0.9, beta=0.5, init_hidden=True), "no neurons that are known"),
])  # fmt: skip
def test_snntorch_neurons_that_this_machine_cannot_be_are_refused_with_the_reason(make, message):
    snn = needs_module("snntorch")
    refusal = refused(nn.Sequential(linear(6, 12, 1), make(snn), linear(12, 3, 2)))
    assert message in refusal or "third state" in refusal


def test_the_authors_alif_is_refused_by_name():
    class ALIF(TCLIFNode):
        pass

    model = nn.Sequential(linear(6, 12, 1), ALIF(), linear(12, 3, 2))
    assert "two comparisons a step" in refused(model)
