"""DH-LIF with one branch (Zheng et al., Nature Communications 2024), as its authors' code runs it.

``X.{dense,tau_m,tau_n}`` are layers with a dendritic branch, recurrent (``rnn_N``) or not (``dense_N``); ``X.{dense,
tau_m}`` are their plain LIF, or at the end a leaky readout. Factors are sigmoids; what a spike takes is taken one step
later, after the decay. A live module's class says more: whether it is recurrent, and the variants of the plain LIF
whose names end so, without a reset or with one to 0.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tclif_deploy import neurons
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.families.chain import RISK, Chain, Tensors, split
from tclif_deploy.graph.nodes import NO_BIAS
from tclif_deploy.network import Network
from tclif_deploy.neurons.base import sigmoid

FAMILY = "DH-LIF with one branch (Zheng et al.)"
BRANCHES_REASON = "DH-LIF with several branches: each is a state of its own, and this machine's neuron has two in all"
THRESHOLD, OUTPUT_THRESHOLD = 1.0, 0.5
"""of layers with a branch, and of a last layer that fires without one, as in the script for S-MNIST"""
PLAIN = tuple(
    f"spike_{kind}_test_origin{reset}" for kind in ("rnn", "dense") for reset in ("", "_noreset", "_hardreset")
)
"""classes of the plain LIF"""
SPIKES = ("count", "rate", "votes", "step")
"""readouts of a last layer that fires"""


def read_dendritic(tensors: Tensors) -> Network:
    """Its layers in the order of the state_dict."""
    chain = Chain(tensors)
    paths = list(dict.fromkeys(n.rpartition(".")[0] for n in tensors.arrays if n.endswith(".tau_m")))
    for path in paths:
        last = path == paths[-1] and len(paths) > 1
        branches = tensors.get(f"{path}.tau_n", None, None)
        if branches is not None and branches.shape[1] > 1:
            raise TclifError(
                f"{tensors.where}: {path}.tau_n has {branches.shape[1]} branches: {BRANCHES_REASON}", "train one branch"
            )
        tau = tensors.take(f"{path}.tau_m", None)
        weight, bias = tensors.linear(f"{path}.dense", len(tau))
        alpha = sigmoid(tau)
        if branches is None and last and not _fires(tensors, path):
            chain.add_readout(path, alpha, weight, bias)
            continue
        recurrent, kind = None, type(tensors.live.get(path)).__name__
        named = kind.removeprefix("spike_") if kind.startswith("spike_") else path.rpartition(".")[2]
        if named.startswith("rnn"):
            weight, recurrent = split(weight, len(tau), f"{tensors.where}: {path}.dense.weight")
        hard = kind.endswith("_hardreset")  # one step late, before the decay, which is the same
        beta = np.zeros(len(tau)) if branches is None else sigmoid(tensors.take(f"{path}.tau_n", len(tau), 1)[:, 0])
        neuron = neurons.cuba_lif(
            len(tau), current_decay=1.0 - beta, voltage_decay=1.0 - alpha, gain=1.0 - alpha,
            threshold=tensors.threshold(path, "vth", OUTPUT_THRESHOLD if branches is None and last else THRESHOLD),
            reset="hard" if hard else "soft", delayed_reset=not hard, bias=NO_BIAS,
        )  # fmt: skip
        if kind.endswith("_noreset"):
            neuron = replace(neuron, r_v=np.zeros(len(tau)))
        chain.add(path, neuron, weight, bias, recurrent=recurrent, gain=1.0 - beta)
    tensors.notices.append(f"DH-LIF: {RISK}")
    if chain.nodes[chain.order[-1]].neuron.spiking:  # type: ignore[union-attr]
        return chain.network("count", "the last layer fires")
    return chain.network("softmax", "the authors sum the softmax of each step on SHD and SSC, the output itself on GSC")


def _fires(tensors: Tensors, path: str) -> bool:
    """Whether a last layer with tau_m alone fires: a live module says it by its threshold, a file by the readout."""
    if path in tensors.live:
        return hasattr(tensors.live[path], "vth")
    rule = (tensors.given.readout or "").split(":")[0]
    if rule not in SPIKES:
        tensors.notices.append(f"{path}: taken as the authors' leaky readout (say --readout count if it fires)")
    return rule in SPIKES
