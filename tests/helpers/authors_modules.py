"""The published formulae of the TC-LIF authors' neurons and containers, transcribed as plain torch modules.

An oracle and a source of checkpoints in their formats: class names, attributes and tensor names are theirs,
nothing is shared with the package. ``run`` drives a model step by step and keeps each neuron's spikes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

LOWEST_RATE, HIGHEST_RATE = 0.01, 0.60


def at_least(x: Tensor) -> Tensor:
    return x.ge(0).to(x)


def above(x: Tensor) -> Tensor:
    return x.gt(0).to(x)


class Node(nn.Module):
    def __init__(self, v_threshold: float, hard_reset: bool, surrogate_function: Any) -> None:
        super().__init__()
        self.v_threshold, self.hard_reset, self.surrogate_function = v_threshold, hard_reset, surrogate_function
        self.reset()

    def reset(self) -> None:
        self.v1 = self.v2 = self.v = torch.zeros(1, dtype=torch.float64)
        self.record: list[Tensor] = []

    def keep(self, spike: Tensor) -> Tensor:
        self.record.append(spike)
        return spike


class TCLIFNode(Node):
    def __init__(
        self, v_threshold: float = 1.0, gamma: float = 0.5, hard_reset: bool = False, surrogate: Any = at_least,
        beta: tuple[float, float] = (0.0, 0.0),
    ) -> None:  # fmt: skip
        super().__init__(v_threshold, hard_reset, surrogate)
        self.gamma, self.v_reset = gamma, 0.0
        self.decay_factor = nn.Parameter(torch.tensor([beta]))

    def forward(self, x: Tensor) -> Tensor:
        self.v1 = self.v1 - torch.sigmoid(self.decay_factor[0][0]) * self.v2 + x
        self.v2 = self.v2 + torch.sigmoid(self.decay_factor[0][1]) * self.v1
        spike = self.surrogate_function(self.v2 - self.v_threshold)
        if self.hard_reset:
            self.v2 = (1.0 - spike) * self.v2
        else:
            self.v1 = self.v1 - spike * self.gamma
            self.v2 = self.v2 - spike * self.v_threshold
        return self.keep(spike)


class LIFNode(Node):
    def __init__(self, v_threshold: float = 1.0, hard_reset: bool = False, surrogate: Any = at_least) -> None:
        self.__dict__["decay_factor"] = torch.tensor(0.8).float()
        super().__init__(v_threshold, hard_reset, surrogate)

    def forward(self, x: Tensor) -> Tensor:
        self.v = self.v * self.decay_factor + x
        spike = self.surrogate_function(self.v - self.v_threshold)
        self.v = self.v * (1.0 - spike) if self.hard_reset else self.v - spike * self.v_threshold
        return self.keep(spike)


class ParametricLIFNode(Node):
    def __init__(self, v_threshold: float = 1.0, w: float = -1.4, surrogate: Any = at_least) -> None:
        super().__init__(v_threshold, False, surrogate)
        self.v_reset, self.decay_input = 0.0, False
        self.w = nn.Parameter(torch.as_tensor(w))

    def forward(self, x: Tensor) -> Tensor:
        self.v = self.v * (1.0 - self.w.sigmoid()) + x
        spike = self.surrogate_function(self.v - self.v_threshold)
        self.v = (1.0 - spike) * self.v + spike * self.v_reset
        return self.keep(spike)


class RecurrentContainer(nn.Module):
    def __init__(self, sub_module: nn.Module, size: int) -> None:
        super().__init__()
        self.hid_weight, self.sub_module = nn.Linear(size, size), sub_module
        self.reset()

    def reset(self) -> None:
        self.y: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.y is None:
            self.y = torch.zeros_like(x)
        self.y = self.sub_module(self.hid_weight(self.y) + x)
        return self.y


class LinearRecurrentContainer(nn.Module):
    def __init__(self, sub_module: nn.Module, size: int, bias: bool = True) -> None:
        super().__init__()
        self.rc, self.sub_module = nn.Linear(size, size, bias), sub_module
        self.reset()

    def reset(self) -> None:
        self.y: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.y is None:
            self.y = torch.zeros_like(x)
        self.y = self.sub_module(self.rc(self.y) + x)
        return self.y


class Net(nn.Module):
    """What their model classes are: one Sequential called ``features``."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers)


def nodes(model: nn.Module) -> list[Node]:
    return [module for module in model.modules() if isinstance(module, Node)]


def run(model: nn.Module, x: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """(each neuron's spikes (samples, time, neurons), output summed over time) of ``model`` in float64.

    Asserts that each layer fires in 1 to 60 % of its neuron steps: silence proves nothing.
    """
    model = model.double().eval()
    for module in model.modules():
        if hasattr(module, "reset"):
            module.reset()
    step = getattr(model, "features", model)
    with torch.no_grad():
        total = torch.stack([step(torch.from_numpy(x[:, t])) for t in range(x.shape[1])]).sum(0)
    spikes = [torch.stack(node.record, 1).numpy().astype(bool) for node in nodes(model)]
    for n, s in enumerate(spikes):
        assert LOWEST_RATE <= s.mean() <= HIGHEST_RATE, f"layer {n} fires in {s.mean():.1%} of its steps"
    return spikes, total.numpy()


def liven(model: nn.Module, seed: int, gain: float = 1.0) -> nn.Module:
    """``model`` with seeded weights that make it fire, and batch norms that have seen something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                spread = gain / module.in_features**0.5
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * spread)
                if module.bias is not None:
                    module.bias.copy_(torch.randn(module.bias.shape, generator=generator) * 0.1)
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator) * 0.3)
                module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) * 3 + 0.5)
                if module.weight is not None:
                    module.weight.copy_(torch.rand(module.weight.shape, generator=generator) + 0.5)
                    module.bias.copy_(torch.randn(module.bias.shape, generator=generator) * 0.2)
        for node in nodes(model):
            if isinstance(node, TCLIFNode):
                node.decay_factor.copy_(torch.randn(1, 2, generator=generator) * 0.5)
    return model


def args_json(**changes: Any) -> dict[str, Any]:
    """The settings that their MNIST script dumps, with ``changes``; a value of None leaves its key out."""
    values = {
        "task": "SMNIST", "time_window": 784, "threshold": 1.0, "detach_reset": False, "hard_reset": False,
        "decay_factor": 1.0, "beta1": 0.0, "beta2": 0.0, "gamma": 0.5, "sg": "triangle", "neuron": "tclif",
        "network": "ff", "ind": 1, "epochs": 200, "schedule": [60, 80], "results_dir": "./cs",
    } | changes  # fmt: skip
    return {key: value for key, value in values.items() if value is not None}


def write_checkpoint(folder: Path, model: nn.Module, args: dict[str, Any] | None, **save: Any) -> Path:
    """Their checkpoint of ``model`` in float32 (and args.json beside it); ``save`` goes to torch.save."""
    model = model.float()
    content = {
        "epoch": 3,
        "best_acc": argparse.Namespace(top1=torch.tensor([91.5]), top5=torch.tensor([99.0])),
        "state_dict": model.state_dict(),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=5e-4).state_dict(),
    }
    path = folder / "checkpoint.pth.tar"
    torch.save(content, path, **save)
    if args is not None:
        (folder / "args.json").write_text(json.dumps(args, indent=2))
    return path
