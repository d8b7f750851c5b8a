"""Small networks of the float modules, what quantizes them for training, and what says that they run as the engine."""

from pathlib import Path

import numpy as np
import torch

from tclif_deploy import QuantizeSettings, load, quantize
from tclif_deploy.data import Dataset
from tclif_deploy.nn import TCLIF, Recurrent, SequenceNetwork
from tclif_deploy.nn.config import TrainConfig
from tclif_deploy.nn.from_network import to_module
from tclif_deploy.nn.quantized import QuantizedNetwork
from tclif_deploy.nn.trainer import Trainer

DIGITS = Path(__file__).parents[2] / "fixtures" / "spoken_digits"
STEPS = 40
FINEST = {"weight_bits": 16, "coefficient_bits": 20, "state_bits": 32, "rounding": "nearest"}
"""a machine so fine that its network is the float network"""


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


def quantized(model, data, target, learn=(), **settings):
    network = load(torch.nn.Sequential(*model.features))
    fixed = quantize(network, target, data, QuantizeSettings(**settings))
    modules = list(to_module(network, plif="decays" in learn).float())
    return QuantizedNetwork(modules, fixed, target, learn=learn), fixed


def encoded(fixed, data):
    x, _ = fixed.input.encode(data.x, data.scale)
    return Dataset(x.astype(np.int32), data.y, 1.0, data.lengths, data.name)


def train(network, data, steps, lr):
    config = TrainConfig("a test", None, Path("nowhere"), lr=lr, threads=1)
    with Trainer(network, config) as trainer:
        for _ in range(steps):
            losses, _ = trainer.step(data, np.arange(data.samples), lr)
            assert torch.isfinite(losses).all()


def assert_runs_as(network, x, expected, lengths=None):
    """Every spike, every readout integer and every class of the training forward is the engine's."""
    spikes = network.spikes(x)
    for trained, name in zip(spikes, expected.spikes, strict=True):
        np.testing.assert_array_equal(trained.detach().float().numpy().transpose(1, 0, 2), expected.spikes[name])
    np.testing.assert_array_equal(network.readout_integers(spikes[-1], lengths), expected.readout)
    network.take_overflows()
    np.testing.assert_array_equal(network(x, lengths).detach().argmax(1), expected.classes)
    assert network.take_overflows() == expected.saturations


def tclif(size, threshold=1.0, **kwargs):
    return TCLIF(threshold, 0.5, decay_factor=torch.tensor([[-0.5, 0.2]]), **kwargs)


def per_neuron(size):
    generator = torch.Generator().manual_seed(size)
    return TCLIF(1.2, 0.3, decay_factor=0.5 * torch.randn(size, 2, generator=generator), strict=True)


def some_digits(folder: Path) -> Path:
    """``folder`` with a little training and test data of the spoken digits."""
    data = np.load(DIGITS / "test.npz")
    for part, piece in (("train", slice(0, 96)), ("test", slice(96, 160))):
        arrays = {key: data[key] if data[key].ndim == 0 else data[key][piece] for key in data.files}
        np.savez(folder / f"{part}.npz", **arrays)
    return folder
