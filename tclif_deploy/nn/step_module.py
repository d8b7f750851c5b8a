"""A float network as a plain torch module that takes one step after another: what other tools can hook into.

Each connection is a ``Linear`` or ``Conv2d`` of torch, each spiking layer a `StepNeuron`, all called once a step, so
that a tool that counts by forward hooks sees what flows (NeuroBench's harness: ``TorchModel(StepModule(network))``,
then ``add_activation_module(StepNeuron)``).
"""

from __future__ import annotations

import torch
from torch import Tensor

from tclif_deploy.network import INPUT, NEURON_ARRAYS, Connection, Layer, Network, check_network


class StepLayer(torch.nn.Module):
    """A layer that does not spike, one step a call: current (samples, neurons) in, its soma out.

    Its numbers are buffers, one where all neurons share it; ``u`` and ``v`` are the states after the last step,
    (neurons,) before the first and then (samples, neurons).
    """

    u: Tensor
    v: Tensor

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        n = layer.neuron
        self.hard, self.strict, self.to_soma = n.reset == "hard", n.strict, n.input_to == "soma"
        for name in NEURON_ARRAYS:
            values = torch.from_numpy(getattr(n, name).copy())
            self.register_buffer(name, values[:1] if bool((values == values[0]).all()) else values)
        for name in ("u", "v"):
            self.register_buffer(name, torch.zeros(layer.size, dtype=torch.float64))

    def start(self, samples: int) -> None:
        """Begin a sequence."""
        zeros = self.u.new_zeros(samples, self.u.shape[-1])
        c = dict(self.named_buffers())
        after = c["v_reset"] if self.hard else c["v0"] - (c["r_v"] + c["q"] * c["u0"])
        self.u = zeros + torch.where(c["s0"] != 0, c["u0"] - c["r_u"], c["u0"])
        self.v = zeros + torch.where(c["s0"] != 0, after, c["v0"])

    def forward(self, current: Tensor) -> Tensor:
        """One step."""
        c = dict(self.named_buffers())
        into_u, into_v = (0.0, current) if self.to_soma else (current, 0.0)
        self.u = c["a_u"] * self.u + c["b_u"] * self.v + into_u + c["bias_u"]
        self.v = c["a_v"] * self.v + c["b_v"] * self.u + into_v + c["bias_v"]
        return self.v


class StepNeuron(StepLayer):
    """A layer of spiking neurons, one step a call: current (samples, neurons) in, spikes (0 and 1) out."""

    def forward(self, current: Tensor) -> Tensor:
        """One step."""
        super().forward(current)
        c, u, v = dict(self.named_buffers()), self.u, self.v
        fired = v > c["threshold"] if self.strict else v >= c["threshold"]
        s = fired.to(v.dtype)
        self.u = u - c["r_u"] * s
        self.v = torch.where(fired, c["v_reset"], v) if self.hard else v - (c["r_v"] + c["q"] * u) * s
        return s


class StepModule(torch.nn.Module):
    """``network`` in double precision: input (samples, time, features) to what the last layer gives in each step.

    Input of any dtype is taken in the module's own; ``.float()`` makes that single precision, as of any torch module.
    Where a convolution's padding differs between opposite sides, its zeros are put there before the module's Conv2d.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> from tclif_deploy.nn.step_module import StepModule
    >>> import torch
    >>> digits = tc.load("fixtures/spoken_digits/checkpoint.pth.tar")
    >>> test = tc.load_data("fixtures/spoken_digits/test.npz")[:2]
    >>> module = StepModule(digits)
    >>> steps = module(torch.from_numpy(test.values()))
    >>> tuple(steps.shape), [type(child).__name__ for child in module.children()][:3]
    ((2, 92, 10), ['Linear', 'Linear', 'StepNeuron'])
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        check_network(network)
        self.layers = network.layers
        for m, layer in enumerate(network.layers):
            for k, c in enumerate(layer.connections):
                self.add_module(f"connection{m}_{k}", _map(c))
            kind, name = (StepNeuron, "neuron") if layer.neuron.spiking else (StepLayer, "readout")
            self.add_module(f"{name}{m}", kind(layer))

    def forward(self, x: Tensor) -> Tensor:
        """(samples, time, features) to (samples, time, outputs), from the start of the states."""
        x = x.to(next(self.buffers()).dtype)
        neurons = [child for child in self.children() if isinstance(child, StepLayer)]
        for neuron in neurons:
            neuron.start(len(x))
        longest = 1 + max(c.delay for layer in self.layers for c in layer.connections)
        sent = {
            layer.name: [torch.zeros_like(n.u) + n.get_buffer("s0"), *[torch.zeros_like(n.u)] * longest]
            for layer, n in zip(self.layers, neurons, strict=True)
        }
        sent[INPUT] = [torch.zeros_like(x[:, 0])] * longest
        out = []
        for t in range(x.shape[1]):
            sent[INPUT] = [x[:, t], *sent[INPUT][: longest - 1]]
            for m, layer in enumerate(self.layers):
                current = torch.zeros_like(neurons[m].u)
                for k, c in enumerate(layer.connections):
                    # what layers behind this one sent is a step older in their lists: they have not run yet
                    late = c.delay - (c.source != INPUT and self._after(c.source, m))
                    current = current + _through(self.get_submodule(f"connection{m}_{k}"), c, sent[c.source][late])
                sent[layer.name] = [neurons[m](current), *sent[layer.name][: longest - 1]]
            out.append(sent[self.layers[-1].name][0])
        return torch.stack(out, dim=1)

    def _after(self, source: str, m: int) -> bool:
        """Whether the layer ``source`` runs after layer ``m``, or is it."""
        return any(layer.name == source for layer in self.layers[m:])


def _map(c: Connection) -> torch.nn.Module:
    weight = torch.from_numpy(c.weight.copy())
    if c.conv is None:
        linear = torch.nn.Linear(c.sources, c.neurons, bias=False, dtype=torch.float64)
        linear.weight = torch.nn.Parameter(weight, requires_grad=False)
        return linear
    channels, kernel = c.conv.input_shape[0], (weight.shape[2], weight.shape[3])
    conv = torch.nn.Conv2d(
        channels, len(weight), kernel, c.conv.stride, (0, 0) if _uneven(c) else c.conv.padding[:2], c.conv.dilation,
        c.conv.groups, bias=False, dtype=torch.float64,
    )  # fmt: skip
    conv.weight = torch.nn.Parameter(weight, requires_grad=False)
    return conv


def _uneven(c: Connection) -> bool:
    """Whether the zeros around the map differ between opposite sides, which torch's Conv2d does not have."""
    return c.conv is not None and c.conv.padding[:2] != c.conv.padding[2:]


def _through(module: torch.nn.Module, c: Connection, sent: Tensor) -> Tensor:
    if c.conv is None:
        return torch.as_tensor(module(sent))
    maps = sent.reshape(len(sent), *c.conv.input_shape)
    if _uneven(c):
        top, left, bottom, right = c.conv.padding
        maps = torch.nn.functional.pad(maps, (left, right, top, bottom))
    return torch.as_tensor(module(maps).flatten(1))
