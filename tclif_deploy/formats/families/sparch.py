"""adLIF, RadLIF, LIF and RLIF of sparch (Bittar and Garner 2022), as its code runs them: ``snn.N.{W,V,alpha,...}``.

Parameters are clamped as its forward clamps them, and the diagonal of V is zero. Spikes go through V from the left
(``st @ V``), so that the recurrent weights are V transposed. The readout sums the softmax of a leaky integrator.
"""

from __future__ import annotations

import math

import numpy as np

from tclif_deploy import neurons
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.families.chain import RISK, Chain, Tensors
from tclif_deploy.graph.nodes import NO_BIAS, BatchNorm
from tclif_deploy.network import Float, Network, Neuron

FAMILY = "sparch's LIF, adLIF, RLIF and RadLIF (Bittar and Garner)"
ALPHA = math.exp(-1 / 5), math.exp(-1 / 25)
BETA = math.exp(-1 / 30), math.exp(-1 / 120)
A, B = (-1.0, 1.0), (0.0, 2.0)
TAKEN = 1.0
"""what a spike takes off the membrane, whatever the threshold"""


def read_sparch(tensors: Tensors) -> Network:
    """Its layers in the order of their numbers."""
    prefix = next(name for name in tensors.arrays if name.endswith(".W.weight")).rpartition(".W.")[0].rpartition(".")[0]
    prefix = f"{prefix}." if prefix else ""
    count = sum(name.startswith(prefix) and name.endswith(".W.weight") for name in tensors.arrays)
    chain, size = Chain(tensors), None
    for n in range(count):
        path = f"{prefix}{n}"
        weight, bias = tensors.linear(f"{path}.W")
        twice = size is not None and weight.shape[1] == 2 * size
        if twice or getattr(tensors.live.get(path), "bidirectional", False):
            shown = f"takes twice the {size} neurons before it" if twice else "is bidirectional"
            raise TclifError(
                f"{tensors.where}: {path}.W {shown}: such layers of sparch see the sequence from its end",
                "train with bidirectional=False",
            )
        size = len(weight)
        alpha = tensors.clamped(f"{path}.alpha", size, *ALPHA)
        norm = _norm(tensors, f"{path}.norm", size)
        back = tensors.get(f"{path}.V.weight", size, size)
        recurrent = None if back is None else (back * (1.0 - np.eye(size))).T
        adapts = any(f"{path}.{name}" in tensors for name in ("beta", "a", "b"))
        if n == count - 1 and n > 0 and not adapts and back is None and _has_readout(tensors, path):
            chain.add_readout(path, alpha, weight, bias, norm)
            tensors.notices.append(f"sparch: {RISK}")
            return chain.network("softmax", "sparch's readout layer sums the softmax of each step")
        neuron = _neuron(tensors, path, alpha, adapts)
        chain.add(path, neuron, weight, bias, recurrent=recurrent, norm=norm, gain=1.0 - alpha)
    tensors.notices.append(f"sparch: {RISK}")
    return chain.network("count", "without a readout layer, sparch's last layer answers by its spikes")


def _neuron(tensors: Tensors, path: str, alpha: Float, adapts: bool) -> Neuron:
    threshold, size = tensors.threshold(path, "threshold", 1.0), alpha.size
    if not adapts:  # u <- alpha*(u - s) + ...
        lif = neurons.lif(size, decay=alpha, threshold=threshold, strict=True, bias=NO_BIAS)
        return neurons.canonical(
            size, "lif", a_v=lif.a_v, b_v=lif.b_v, threshold=threshold, r_v=TAKEN, strict=True, bias_u=NO_BIAS
        )
    beta, a, b = (
        tensors.clamped(f"{path}.{name}", size, *limits) for name, limits in (("beta", BETA), ("a", A), ("b", B))
    )
    return neurons.adlif(size, alpha=alpha, beta=beta, a=a, b=b, threshold=threshold, r_v=TAKEN, bias=NO_BIAS)


def _has_readout(tensors: Tensors, path: str) -> bool:
    """Whether a last layer with nothing but alpha is a readout: a live module's class says it, else what is usual."""
    if path in tensors.live:
        return type(tensors.live[path]).__name__ == "ReadoutLayer"
    if tensors.given.readout is not None and tensors.given.readout.split(":")[0] in ("count", "rate", "votes", "step"):
        return False
    tensors.notices.append(f"{path}: taken as sparch's readout layer (say --readout count if it fires)")
    return True


def _norm(tensors: Tensors, path: str, size: int) -> BatchNorm | None:
    if f"{path}.weight" not in tensors and f"{path}.running_mean" not in tensors:
        return None
    if f"{path}.running_mean" not in tensors:
        raise TclifError(
            f"{tensors.where}: {path} is a layer norm, which depends on each step's values: no weights can hold it",
            "train with normalization='batchnorm', or none",
        )
    mean, var, weight, bias = (
        tensors.take(f"{path}.{name}", size) for name in ("running_mean", "running_var", "weight", "bias")
    )
    eps = tensors.said(path, "eps", BatchNorm.eps)
    return BatchNorm(path, mean, var, weight, bias, eps)
