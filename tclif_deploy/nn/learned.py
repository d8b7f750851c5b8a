"""What fine-tuning learns beside weights, biases, couplings and gains: the step of a neuron's weights, and gamma."""

from __future__ import annotations

import torch
from torch import Tensor

MOST_COUPLING = 1 - 2.0**-20
"""the largest that a sigmoid of float32 makes without loss"""


def on_grid(weight: Tensor, step: Tensor, log_scale: Tensor, limit: int) -> Tensor:
    """``weight`` (neurons, sources) as the nearest multiple, up to ``limit``, of a step that is learned with it.

    ``step`` (neurons, 1) times exp of ``log_scale`` (neurons,) or (1,) is the step. Rounding's gradient is 1, so that
    the step's is what rounding adds, in steps: (rounded - exact); beyond the limit it is the limit, and the weight has
    none (S. K. Esser et al., Learned step size quantization, ICLR 2020).
    """
    step = step * torch.exp(log_scale)[:, None]
    count = (weight / step).clamp(-limit, limit)
    return (count + (count.round() - count).detach()) * step


def take_gamma_into_couplings(state: dict[str, Tensor], n: int, factor: float) -> bool:
    """Make the ``n``-th spiking layer of a checkpoint's ``state`` one of gamma over ``factor``, which fires alike.

    Its dendrite counts in units of another size then: weights, bias and what the soma puts into it are divided by
    ``factor``, what it puts into the soma is multiplied. Not done, and False, where a coupling would leave (0, 1).
    """
    key = f"features.{2 * n + 1}.decay_factor"
    key = key if key in state else f"features.{2 * n + 1}.sub_module.decay_factor"
    beta = torch.sigmoid(state[key].double()) * torch.tensor([1 / factor, factor], dtype=torch.float64)
    if bool(((beta <= 0) | (beta > MOST_COUPLING)).any()):
        return False
    state[key] = torch.logit(beta).float()
    for name in layer_keys(state, n):
        state[name] = state[name] / factor
    return True


def layer_keys(state: dict[str, Tensor], n: int) -> list[str]:
    """Names of what brings current into the ``n``-th spiking layer of a checkpoint's ``state``."""
    names = (f"{2 * n}.weight", f"{2 * n}.bias", f"{2 * n + 1}.hid_weight.weight")
    return [key for name in names if (key := f"features.{name}") in state]
