"""The baseline: a clean float32 loop in torch, one matrix product a connection a step, no autograd."""

from __future__ import annotations

import numpy as np
import torch

from tclif_deploy.network import INPUT, Network

State = tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], dict[str, torch.Tensor]]
"""dendrites, somas and last spikes by layer, each (samples, neurons)"""


class TorchLoop:
    """A float network as one would write it in torch for inference; ``compiled`` has torch.compile make each step."""

    def __init__(self, network: Network, compiled: bool = False) -> None:
        def tensor(value: np.ndarray) -> torch.Tensor:
            return torch.tensor(value, dtype=torch.float32)

        self.layers = []
        for layer in network.layers:
            n = layer.neuron
            links = [(c.source, tensor(c.weight.T.copy()), c.delay) for c in layer.connections]
            constants = {name: tensor(getattr(n, name)) for name in ("b_u", "b_v", "bias_u", "threshold", "r_u", "r_v")}
            self.layers.append((layer.name, n.spiking, links, constants))
        self.advance = torch.compile(self._step, dynamic=False) if compiled else self._step

    def _step(self, x: torch.Tensor, state: State) -> State:
        u, v, before = state
        now = {INPUT: x}
        for name, spiking, links, c in self.layers:
            current = c["bias_u"]
            for source, weight, delay in links:
                current = torch.addmm(current, (before if delay else now)[source], weight)
            if not spiking:
                v[name] += current
                continue
            u[name] += c["b_u"] * v[name] + current
            v[name] += c["b_v"] * u[name]
            spikes = (v[name] >= c["threshold"]).float()
            u[name] -= c["r_u"] * spikes
            v[name] -= c["r_v"] * spikes
            now[name] = spikes
        return u, v, now

    @torch.inference_mode()
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """``x`` float32 (time, samples, features); the summed readout (samples, classes)."""
        u, v, spikes = (
            {name: torch.zeros(x.shape[1], c["b_u"].shape[0]) for name, _, _, c in self.layers} for _ in "uvs"
        )
        for step in x:
            u, v, spikes = self.advance(step, (u, v, spikes))
        return v[self.layers[-1][0]]
