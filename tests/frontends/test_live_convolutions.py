"""Live torch modules with convolutions: read as convolutions, spikes as the module's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tclif_deploy import load
from tclif_deploy.nn import TCLIF
from tests.frontends.test_live_modules import alive, refused
from tests.helpers.requirements import needs_module


def conv(layer: nn.Module, seed: int, gain: float = 1.0) -> nn.Module:
    """``layer`` with weights that make neurons fire."""
    generator = torch.Generator().manual_seed(seed)
    fan = layer.weight[0].numel()
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * gain / fan**0.5 + 0.3 / fan)
        if layer.bias is not None:
            layer.bias.copy_(torch.randn(len(layer.bias), generator=generator) * 0.05)
    return layer


def images(*shape: int, steps: int = 40) -> np.ndarray:
    return np.random.default_rng(0).poisson(0.5, (2, steps, *shape)).astype(np.float32)


def kinds(network) -> list[str]:
    return [c.kind for layer in network.layers for c in layer.connections]


def norm(layer: nn.Module) -> nn.Module:
    """A batch norm that has seen data."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for name, low, high in (("running_mean", -0.1, 0.1), ("running_var", 0.5, 2.0), ("weight", 0.6, 1.4)):
            values = getattr(layer, name)
            values.copy_(torch.rand(values.shape, generator=generator) * (high - low) + low)
    return layer


class OverTime(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.features = nn.Sequential(*layers)

    def forward(self, x):
        return torch.stack([self.features(x[:, t]) for t in range(x.shape[1])]).sum(0)


def test_a_network_of_convolutions_poolings_and_batch_norms():
    """Padding, stride, groups and dilation; what follows a neuron up to the next becomes one convolution."""
    model = OverTime(
        conv(nn.Conv2d(2, 4, 3, padding="same"), 1), norm(nn.BatchNorm2d(4)), TCLIF(),
        nn.AvgPool2d(2), conv(nn.Conv2d(4, 6, (3, 1), stride=(1, 2), padding=(1, 0), groups=2), 2, 4.0),
        nn.Dropout2d(), TCLIF(),
        conv(nn.Conv2d(6, 6, 2, dilation=(2, 1), groups=6, bias=False), 3, 4.0), TCLIF(),
        nn.Flatten(), conv(nn.Linear(12, 3), 4),
    )  # fmt: skip
    x = images(2, 8, 8)
    network = load(model, example_input=x)
    assert kinds(network) == ["conv", "conv", "conv", "dense"]
    assert network.layers[1].connections[0].weight.shape == (6, 2, 6, 2)
    assert not any("matrix" in notice for notice in network.notices)
    alive(network, x.reshape(2, 40, -1))


def test_one_dimensional_convolutions():
    model = OverTime(
        conv(nn.Conv1d(3, 6, 5, padding=2), 1, 1.5), norm(nn.BatchNorm1d(6)), TCLIF(), nn.AvgPool1d(2),
        conv(nn.Conv1d(6, 4, 3, stride=2), 2, 3.0), TCLIF(), nn.Flatten(), conv(nn.Linear(16, 3), 3),
    )  # fmt: skip
    x = images(3, 20)
    network = load(model, example_input=x)
    assert kinds(network) == ["conv", "conv", "dense"]
    alive(network, x.reshape(2, 40, -1))


def test_poolings_before_the_readout_join_its_matrix():
    model = OverTime(
        conv(nn.Conv2d(1, 3, 3), 1, 1.5), TCLIF(), nn.AvgPool2d(2), nn.Flatten(), conv(nn.Linear(12, 3), 2)
    )
    x = images(1, 6, 6)
    network = load(model, example_input=x)
    assert kinds(network) == ["conv", "dense"]
    assert network.layers[1].connections[0].weight.shape == (3, 48)
    alive(network, x.reshape(2, 40, -1))


def test_an_snntorch_network():
    snn = needs_module("snntorch")
    model = OverTime(
        conv(nn.Conv2d(1, 4, 3), 1, 1.5), snn.Leaky(beta=0.8, init_hidden=True), nn.AvgPool2d(2),
        conv(nn.Conv2d(4, 6, 2), 2, 3.0), snn.Leaky(beta=0.7, init_hidden=True), nn.Flatten(),
        conv(nn.Linear(24, 5), 3, 2.0), snn.Leaky(beta=0.9, init_hidden=True),
    )  # fmt: skip
    x = images(1, 8, 8)
    network = load(model, example_input=x)
    assert kinds(network) == ["conv", "conv", "dense"]
    alive(network, x.reshape(2, 40, -1))


@pytest.mark.parametrize("mode", ["s", "m"])
def test_a_spikingjelly_network_in_both_step_modes(mode):
    sj, layer = (needs_module(f"spikingjelly.activation_based.{name}") for name in ("neuron", "layer"))
    model = nn.Sequential(
        conv(layer.Conv2d(1, 4, 3, bias=False, step_mode=mode), 1, 2.0), norm(layer.BatchNorm2d(4, step_mode=mode)),
        sj.LIFNode(step_mode=mode), layer.AvgPool2d(2, step_mode=mode), layer.Flatten(step_mode=mode),
        conv(layer.Linear(36, 5, step_mode=mode), 2, 4.0), sj.IFNode(step_mode=mode),
    )  # fmt: skip

    class OneStep(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = model

        def forward(self, x):
            return torch.stack([self.net(x[:, t]) for t in range(x.shape[1])])

    class AllSteps(OneStep):
        def forward(self, x):
            return self.net(x.transpose(0, 1))

    x = images(1, 8, 8)
    network = load(OneStep() if mode == "s" else AllSteps(), example_input=x)
    assert kinds(network) == ["conv", "dense"]
    alive(network, x.reshape(2, 40, -1))


@pytest.mark.parametrize(("layer", "message"), [
    (nn.Conv2d(1, 3, 3, padding=1, padding_mode="circular"), "pads by circular"),
    (nn.AvgPool2d(3, ceil_mode=True), "ceil_mode"),
    (nn.AvgPool2d(2, padding=1, count_include_pad=False), "without the padding"),
    (nn.MaxPool2d(2), "torch's max_pool2d"),
    (nn.Linear(8, 4), "row by row"),
])  # fmt: skip
def test_what_is_no_convolution_is_refused_by_its_path(layer, message):
    model = OverTime(layer, conv(nn.Conv2d(3 if isinstance(layer, nn.Conv2d) else 1, 2, 2), 1), TCLIF())
    assert message in refused(model, images(1, 8, 8, steps=5))


def test_a_pooling_padded_into_the_next_convolution_is_a_matrix_and_said_so():
    model = OverTime(
        conv(nn.Conv2d(1, 2, 3, padding=1), 1), conv(nn.Conv2d(2, 2, 3, padding=1), 2, 2.0), TCLIF(), nn.Flatten(),
        conv(nn.Linear(50, 3), 3),
    )  # fmt: skip
    x = images(1, 5, 5)
    network = load(model, example_input=x)
    assert kinds(network) == ["dense", "dense"]
    assert any("no one convolution does what it and its neighbour do" in notice for notice in network.notices)
    alive(network, x.reshape(2, 40, -1))
