"""The baseline: a clean float32 loop in torch, one matrix product a layer a step, no autograd."""

from __future__ import annotations

import numpy as np
import torch

from tclif_deploy.network import INPUT, Network


class TorchLoop:
    """A float network as one would write it in torch for inference."""

    def __init__(self, network: Network) -> None:
        def tensor(value: np.ndarray) -> torch.Tensor:
            return torch.tensor(value, dtype=torch.float32)

        self.layers = []
        for layer in network.layers:
            n = layer.neuron
            links = [(c.source, tensor(c.weight.T.copy()), c.delay) for c in layer.connections]
            constants = {name: tensor(getattr(n, name)) for name in ("b_u", "b_v", "bias_u", "threshold", "r_u", "r_v")}
            self.layers.append((layer.name, n.spiking, links, constants))

    @torch.inference_mode()
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """``x`` float32 (time, samples, features); the summed readout (samples, classes)."""
        samples = x.shape[1]
        u = [torch.zeros(samples, c["b_u"].shape[0]) for _, _, _, c in self.layers]
        v = [torch.zeros_like(item) for item in u]
        now = {name: torch.zeros_like(u[n]) for n, (name, *_) in enumerate(self.layers)}
        for step in x:
            before = dict(now)
            now[INPUT] = step
            for n, (name, spiking, links, c) in enumerate(self.layers):
                current = c["bias_u"]
                for source, weight, delay in links:
                    current = torch.addmm(current, (before if delay else now)[source], weight)
                if not spiking:
                    v[n] += current
                    continue
                u[n] += c["b_u"] * v[n] + current
                v[n] += c["b_v"] * u[n]
                spikes = (v[n] >= c["threshold"]).float()
                u[n] -= c["r_u"] * spikes
                v[n] -= c["r_v"] * spikes
                now[name] = spikes
        return v[-1]
