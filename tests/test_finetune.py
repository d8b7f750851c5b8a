"""Fine-tuning: what is trained is what runs, its gradients are the float network's, and the command around it."""

import numpy as np
import pytest
import torch

from tclif_deploy import load, load_target, quantize, simulate
from tclif_deploy.data import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.frontends.to_torch import to_module
from tclif_deploy.network import equal
from tclif_deploy.nn import LIF, PLIF, TCLIF, Recurrent, SequenceNetwork
from tclif_deploy.nn.canonical import loop
from tclif_deploy.nn.config import TrainConfig
from tclif_deploy.nn.fused import layer_gradients
from tclif_deploy.nn.quantized import QuantizedNetwork
from tclif_deploy.nn.trainer import Trainer

from .networks import assert_alive

STEPS = 40


def float_network(neuron, recurrent, seed=0, sizes=(5, 24, 17, 4)):
    """A chain whose neurons fire on `samples`' data."""
    generator = torch.Generator().manual_seed(seed)
    modules = []
    for index, size in enumerate(sizes[1:-1]):
        linear = torch.nn.Linear(sizes[index], size)
        linear.weight.data = (0.4 - 0.2 * index) * torch.randn(size, sizes[index], generator=generator) + 0.05 * (
            1 - index
        )
        linear.bias.data = 0.05 * torch.randn(size, generator=generator)
        modules += [linear, Recurrent(neuron(size), size, bias=False) if recurrent else neuron(size)]
        if recurrent:
            modules[-1].hid_weight.weight.data = 0.3 * torch.randn(size, size, generator=generator)
    last = torch.nn.Linear(*sizes[-2:])
    last.weight.data = 0.2 * torch.randn(sizes[-1], sizes[-2], generator=generator)
    last.bias.data.zero_()
    return SequenceNetwork([*modules, last])


def samples(count=12, features=5, seed=0, lengths=False):
    rng = np.random.default_rng(seed)
    x = rng.integers(-60, 120, (count, STEPS, features)).astype(np.int16)
    steps = rng.integers(STEPS // 2, STEPS + 1, count) if lengths else None
    return Dataset(x, rng.integers(0, 4, count), 1 / 128, steps, "random")


def quantized(model, data, target):
    network = load(torch.nn.Sequential(*model.features))
    fixed = quantize(network, target, data)
    return QuantizedNetwork(list(to_module(network).float()), fixed, target), fixed


def encoded(fixed, data):
    x, _ = fixed.input.encode(data.x, data.scale)
    return Dataset(x.astype(np.int32), data.y, 1.0, data.lengths, data.name)


def train(network, data, steps, lr):
    config = TrainConfig("a test", None, None, lr=lr, threads=1)
    with Trainer(network, config) as trainer:
        for _ in range(steps):
            losses, _ = trainer.step(data, np.arange(data.samples), lr)
            assert torch.isfinite(losses).all()


def assert_runs_as(network, x, law, lengths=None):
    """Every spike, every readout integer and every class of the training forward is the engine's."""
    spikes = network.spikes(x)
    for found, name in zip(spikes, law.spikes, strict=True):
        np.testing.assert_array_equal(found.detach().float().numpy().transpose(1, 0, 2), law.spikes[name])
    np.testing.assert_array_equal(network.readout_integers(spikes[-1], lengths), law.readout)
    np.testing.assert_array_equal(network.readout(spikes[-1], lengths).detach().argmax(1), law.classes)


def tclif(size, threshold=1.0, **kwargs):
    return TCLIF(threshold, 0.5, decay_factor=torch.tensor([[-0.5, 0.2]]), **kwargs)


def per_neuron(size):
    generator = torch.Generator().manual_seed(size)
    return TCLIF(1.2, 0.3, decay_factor=0.5 * torch.randn(size, 2, generator=generator), strict=True)


NEURONS = {
    "TC-LIF": tclif,
    "TC-LIF per neuron, strict": per_neuron,
    "TC-LIF, hard reset": lambda size: tclif(size, threshold=1.4, reset="hard", v_reset=0.1),
    "LIF": lambda size: LIF(1.0),
    "PLIF": lambda size: PLIF(1.0),
}
FINE, COARSE = {"rounding": "nearest", "coefficient_bits": 6}, {"weight_bits": 4}
SMALL = {"rounding": "floor", "state_bits": 14}
CASES = [
    ("TC-LIF", {}), ("TC-LIF", COARSE), ("TC-LIF", FINE), ("TC-LIF, hard reset", {}), ("TC-LIF, hard reset", SMALL),
    ("TC-LIF per neuron, strict", {}), ("TC-LIF per neuron, strict", FINE), ("LIF", SMALL), ("PLIF", COARSE),
]  # fmt: skip


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize(("neuron", "changed"), CASES)
def test_the_training_forward_equals_the_engine_bit_for_bit_before_and_after_training(neuron, changed, recurrent):
    machine = load_target("loihi2").override(**changed)
    data = samples(lengths=recurrent)
    network, fixed = quantized(float_network(NEURONS[neuron], recurrent), data, machine)
    given = encoded(fixed, data)
    assert equal(network.fixed(), fixed)
    x = torch.from_numpy(given.x).float()
    lengths = None if data.lengths is None else torch.from_numpy(data.lengths)
    for trained in (False, True):
        if trained:
            train(network, given, 4, 0.01)
            moved = [not equal(a, b) for a, b in zip(network.fixed().layers, fixed.layers, strict=True)]
            assert all(moved)
        law = simulate(network.fixed(), data, spikes=True)
        assert_alive(law)
        network.take_overflows()
        assert_runs_as(network, x, law, lengths)
        assert network.take_overflows() == law.saturations


@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
def test_states_that_overflow_do_so_as_in_the_engine_and_are_counted(overflow):
    data = samples()
    machine = load_target("loihi2").override(state_bits=12, weight_bits=6)
    machine = machine.model_copy(
        update={name: getattr(machine, name).model_copy(update={"value": overflow}) for name in ("overflow_u", "overflow_v")}
    )  # fmt: skip
    model = float_network(tclif, True)
    network, fixed = quantized(model, samples(count=2, seed=5), machine)
    x = fixed.input.encode(3 * data.x, data.scale)[0]
    law = simulate(fixed, x, spikes=True)
    assert law.saturations > 10
    assert_alive(law)
    assert_runs_as(network, torch.from_numpy(x).float(), law)
    assert network.take_overflows() == law.saturations
