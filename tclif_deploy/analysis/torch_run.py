"""The float network step by step in torch, so that gradients reach every current: slow, for a few samples.

It computes what `tclif_deploy.simulation.float_session` specifies, with the triangle surrogate (the paper's Eq. 21).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tclif_deploy.network import INPUT, NEURON_ARRAYS, Layer, Network, Neuron
from tclif_deploy.nn.surrogate import spike
from tclif_deploy.progress import Progress, no_progress


class Population:
    """One layer's neurons."""

    def __init__(self, neuron: Neuron) -> None:
        self.neuron = neuron
        self.of = {name: torch.from_numpy(getattr(neuron, name).copy()) for name in NEURON_ARRAYS}

    def start(self, samples: int) -> tuple[Tensor, Tensor]:
        """u and v before the first step, (samples, neurons)."""
        u, v = (torch.from_numpy(state.copy()).expand(samples, -1) for state in self.neuron.start)
        return u, v

    def step(self, u: Tensor, v: Tensor, i: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(u, v, spikes, v before the reset) after a step of current ``i``, each (samples, neurons)."""
        n, c = self.neuron, self.of
        to_u, to_v = (i, 0.0) if n.input_to == "dendrite" else (0.0, i)
        u = c["a_u"] * u + c["b_u"] * v + to_u + c["bias_u"]
        v = c["a_v"] * v + c["b_v"] * u + to_v + c["bias_v"]
        if not n.spiking:
            return u, v, torch.zeros_like(v), v
        s = spike(v - c["threshold"], n.strict)
        if n.reset == "hard":
            return u - c["r_u"] * s, (1 - s) * v + s * c["v_reset"], s, v
        return u - c["r_u"] * s, v - (c["r_v"] + c["q"] * u) * s, s, v

    def somas(self, current: Tensor) -> Tensor:
        """Each step's soma before its reset for ``current`` (time, samples, neurons), of the same shape."""
        u, v = self.start(current.shape[1])
        charged = []
        for i in current:
            u, v, _, before = self.step(u, v, i)
            charged.append(before)
        return torch.stack(charged)


@dataclass
class Run:
    """What a network did: each list has one tensor (samples, neurons) a step."""

    currents: dict[str, list[Tensor]] = field(default_factory=dict)
    """layer -> what its connections brought, biases left out"""
    spikes: dict[str, list[Tensor]] = field(default_factory=dict)
    somas: list[Tensor] = field(default_factory=list)
    """of the last layer, after the step"""
    weights: dict[str, list[Tensor]] = field(default_factory=dict)
    """layer -> its connections' matrices, (neurons, sources)"""


def run(network: Network, x: Tensor, progress: Progress = no_progress) -> Run:
    """Run ``x`` (samples, time, features), what the float network sees, in float64."""
    samples, time, _ = x.shape
    result = Run({layer.name: [] for layer in network.layers}, {layer.name: [] for layer in network.layers})
    populations = {layer.name: Population(layer.neuron) for layer in network.layers}
    states = {name: population.start(samples) for name, population in populations.items()}
    for layer in network.layers:
        matrices = [torch.from_numpy(connection.matrix().copy()) for connection in layer.connections]
        result.weights[layer.name] = [matrix.requires_grad_() for matrix in matrices]
    for t in range(time):
        for layer in network.layers:
            current = _current(layer, result, x, t, populations)
            result.currents[layer.name].append(current)
            u, v, s, _ = populations[layer.name].step(*states[layer.name], current)
            states[layer.name] = u, v
            result.spikes[layer.name].append(s)
        result.somas.append(states[network.layers[-1].name][1])
        progress(t + 1, time)
    return result


def _current(layer: Layer, result: Run, x: Tensor, t: int, populations: Mapping[str, Population]) -> Tensor:
    """What the connections of ``layer`` bring at step ``t``; before the first step s0 was sent, and nothing before."""
    current = x.new_zeros(x.shape[0], layer.size)
    for connection, weight in zip(layer.connections, result.weights[layer.name], strict=True):
        sent = t - connection.delay
        if sent >= 0:
            source = x[:, sent] if connection.source == INPUT else result.spikes[connection.source][sent]
            current = current + source @ weight.t()
        elif sent == -1 and connection.source != INPUT:
            current = current + populations[connection.source].of["s0"] @ weight.t()
    return current
