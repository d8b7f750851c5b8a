"""How far back a neuron's gradient reaches (the paper's Fig. 3)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tclif_deploy.nn.canonical import step
from tclif_deploy.nn.neuron import SpikingNeuron


def gradient_share(neuron: SpikingNeuron, current: Tensor) -> NDArray[np.float64]:
    """Share of each step in the gradient of the last soma with respect to the input current, (time,); sums to 1.

    ``current`` (time, samples, neurons) drives the neuron; magnitudes are averaged over samples and neurons, through
    the neuron's own resets and surrogate.

    Examples
    --------
    >>> import torch
    >>> from tclif_deploy.nn import LIF
    >>> gradient_share(LIF(), torch.zeros(3, 1, 1)).round(3).tolist()
    [0.262, 0.328, 0.41]
    """
    current = current.detach().double().requires_grad_()
    with torch.enable_grad():
        coefficients = neuron.coefficients(current)
        u = v = torch.zeros_like(current[0])
        for i in current[:-1]:
            u, v, _ = step(coefficients, u, v, i)
        # the last soma before its reset
        u = coefficients.a_u * u + coefficients.b_u * v + current[-1]
        v = coefficients.a_v * v + coefficients.b_v * u
        (grad,) = torch.autograd.grad(v.sum(), current)
    size = grad.abs().mean((1, 2)).numpy()
    return np.asarray(size / size.sum(), dtype=np.float64)
