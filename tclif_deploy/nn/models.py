"""The paper's networks by name (supplementary Tables 5 and 6), and those for spoken digits, ECG and Mackey-Glass.

Parameter counts equal Table 6's thousands, but for the two 40-input S-MNIST networks: its strings 40-256-128-10
and 40-200-64-10 have 44.7 and 66.1 thousand weights and biases (61.9 with the first layer alone recurrent), where
it says 44.8 and 63.6. No choice of biases or of recurrent layers gives its numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from tclif_deploy.errors import TclifError
from tclif_deploy.nn.config import NeuronName
from tclif_deploy.nn.neuron import LIF, PLIF, TCLIF, LeakyReadout, Recurrent, Reset, SpikingNeuron
from tclif_deploy.nn.sequence import SequenceNetwork


@dataclass(frozen=True)
class Architecture:
    """A network: sizes, which layers are recurrent, TC-LIF's initial values, and what is read at each step."""

    sizes: tuple[int, ...]
    """inputs, spiking layers, outputs"""
    recurrent: int = 0
    """how many spiking layers, counted from the first, are recurrent"""
    gamma: float = 0.5
    betas: tuple[float, float] = (-0.5, 0.5)
    """initial (beta1, beta2)"""
    threshold: float = 1.0
    decay: float = 0.9
    """initial decay of the readout, where each step is read and it leaks"""


MODELS = {
    "smnist-ff": Architecture((1, 64, 256, 256, 10)),
    "smnist-ff-40": Architecture((40, 256, 128, 10)),
    "smnist-rec": Architecture((1, 64, 256, 256, 10), 2, betas=(-0.8, 0.4)),
    "smnist-rec-40": Architecture((40, 200, 64, 10), 2, betas=(-0.8, 0.4)),
    "psmnist-ff": Architecture((1, 64, 256, 256, 10), gamma=0.7, threshold=1.5),
    "psmnist-ff-40": Architecture((40, 256, 128, 10), gamma=0.7, threshold=1.5),
    "psmnist-rec": Architecture((1, 64, 256, 256, 10), 2, betas=(-0.2, 0.8), threshold=1.8),
    "psmnist-rec-40": Architecture((40, 200, 64, 10), 2, betas=(-0.2, 0.8), threshold=1.8),
    "gsc-ff": Architecture((40, 300, 300, 12), gamma=0.6, threshold=1.2),
    "gsc-rec": Architecture((40, 300, 300, 12), 1, gamma=0.7, betas=(-0.8, 0.8), threshold=1.25),
    "shd-ff": Architecture((700, 128, 128, 20), threshold=1.5),
    "shd-rec": Architecture((700, 128, 128, 20), 2, threshold=1.5),
    "ssc-ff": Architecture((700, 128, 128, 35), threshold=1.5),
    "ssc-rec": Architecture((700, 128, 35), 1, threshold=1.5),
    "digits-rec": Architecture((13, 128, 128, 10), 2),
    "ecg": Architecture((4, 36, 6), 1),
    "mackey-glass": Architecture((1, 64, 64, 1), 2),
}
"""model name -> its architecture; all but the last three are the paper's"""


def architecture(name: str) -> Architecture:
    """The architecture called ``name``; a `TclifError` lists the known ones."""
    if name not in MODELS:
        raise TclifError(f"model is {name!r}", f"known: {', '.join(MODELS)}")
    return MODELS[name]


def build(
    model: str | Architecture,
    neuron: NeuronName = "tclif",
    *,
    seed: int = 0,
    per_neuron: bool = False,
    strict: bool = False,
    reset: Reset = "soft",
    detach_reset: bool = False,
    surrogate: str = "triangle",
    readout_decay: float = 1.0,
) -> SequenceNetwork:
    """A fresh network, its weights drawn as torch's Linear does from ``seed`` (the global generator is not touched).

    ``per_neuron`` gives every TC-LIF neuron betas of its own instead of every layer. ``readout_decay`` below 1 ends the
    network in a `LeakyReadout`, whose decay begins there.

    Examples
    --------
    >>> net = build("smnist-ff")
    >>> parameter_count(net)
    85130
    """
    arch = architecture(model) if isinstance(model, str) else model
    if neuron not in ("tclif", "lif", "plif"):
        raise TclifError(f"neuron is {neuron!r}", "known: tclif, lif, plif")
    logits = [math.log(abs(b) / (1 - abs(b))) for b in arch.betas]

    def population(size: int) -> SpikingNeuron:
        if neuron == "lif":
            return LIF(arch.threshold, strict=strict, reset=reset, detach_reset=detach_reset, surrogate=surrogate)
        if neuron == "plif":
            return PLIF(arch.threshold, strict=strict, reset=reset, detach_reset=detach_reset, surrogate=surrogate)
        return TCLIF(
            arch.threshold, arch.gamma, decay_factor=torch.tensor([logits]).repeat(size if per_neuron else 1, 1),
            strict=strict, reset=reset, detach_reset=detach_reset, surrogate=surrogate,
        )  # fmt: skip

    modules: list[torch.nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for index, size in enumerate(arch.sizes[1:-1]):
            modules.append(torch.nn.Linear(arch.sizes[index], size))
            spiking = population(size)
            modules.append(Recurrent(spiking, size) if index < arch.recurrent else spiking)
        modules.append(torch.nn.Linear(arch.sizes[-2], arch.sizes[-1]))
    if readout_decay < 1:
        modules.append(LeakyReadout(arch.sizes[-1], readout_decay))
    return SequenceNetwork(modules)


def parameter_count(network: SequenceNetwork) -> int:
    """Weights and biases of ``network``, as the paper counts them: neurons' own parameters left out."""
    linear = (module for module in network.modules() if isinstance(module, torch.nn.Linear))
    return sum(p.numel() for module in linear for p in module.parameters())
