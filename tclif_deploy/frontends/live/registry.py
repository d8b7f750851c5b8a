"""Neurons of users' own classes: what they are is said by a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tclif_deploy.arguments import checked
from tclif_deploy.network import Neuron

NeuronReader = Callable[[Any, int], Neuron]
"""(module, number of neurons) -> the canonical neurons that it is."""

REGISTERED: dict[type, NeuronReader] = {}


@checked
def register_neuron(kind: type, reader: NeuronReader) -> None:
    """Let live models with neurons of your own class be read: ``reader(module, neurons)`` says what they are.

    ``reader`` returns a `Neuron` of so many neurons, for instance by a constructor of `tclif_deploy.neurons`. Reading
    such a model needs an example input, on which what was said is checked, spike by spike: `load` raises `TclifError`
    where they differ.

    Examples
    --------
    >>> import torch
    >>> from tclif_deploy import load, neurons, register_neuron
    >>> class Threshold(torch.nn.Module):
    ...     def forward(self, x): return (x >= 1).to(x)
    >>> register_neuron(Threshold, lambda module, size: neurons.lif(size, decay=0.0, threshold=1.0))
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 8), Threshold(), torch.nn.Linear(8, 2))
    >>> network = load(model, example_input=3 * torch.randn(4, 10, 3))
    >>> [(layer.size, layer.neuron.type) for layer in network.layers]
    [(8, 'lif'), (2, 'readout')]
    """
    REGISTERED[kind] = reader
