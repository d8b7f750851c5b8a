"""Vanilla RF and ALIF of Higuchi et al. (ICML 2024, "Balanced resonate-and-fire neurons"), as their code runs them.

``hidden.linear`` takes the input and the layer's own spikes of the step before; ``out`` is a leaky integrator. Their
balanced RF has the parameters of the vanilla one, and lowers its damping and raises its threshold by a third state.
"""

from __future__ import annotations

import numpy as np

from tclif_deploy import neurons
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.families.chain import Chain, Tensors, split
from tclif_deploy.graph.nodes import NO_BIAS
from tclif_deploy.network import Float, Network

RF = "vanilla RF (Higuchi et al.)"
ALIF = "ALIF (Higuchi et al.)"
BRF_REASON = (
    "BRF (balanced resonate-and-fire): its refractory variable q lowers the damping, a state that multiplies a state, "
    "and raises the threshold: three states"
)
HRF_REASON = (
    "HRF (harmonic resonate-and-fire): its refractory variable raises the threshold after each spike, a third state"
)
DT, RF_THRESHOLD = 0.01, 1.0
ALIF_THRESHOLD, ALIF_BETA = 0.01, 1.8
OUT = "out"
"""the readout's module"""
READOUT = "the authors score the last step where labels come last, each step (ECG), or the mean over steps (SHD)"


def read_rf(tensors: Tensors) -> Network:
    """Omega and b_offset by their absolute values, as the forward takes them."""
    chain = Chain(tensors)
    for path in _paths(tensors, "omega", "b_offset"):
        size = len(tensors.take(f"{path}.linear.weight", None, None))
        omega = np.abs(tensors.take(f"{path}.omega", size))
        damping = np.abs(tensors.take(f"{path}.b_offset", size))
        dt = tensors.given.dt or tensors.attribute(path, "dt", DT)
        threshold = tensors.threshold(path, "theta", RF_THRESHOLD)
        neuron = neurons.resonate_and_fire(
            len(omega), omega=omega, damping=damping, dt=dt, threshold=threshold, bias=NO_BIAS
        )
        weight, back, bias = _hidden(tensors, path, len(omega))
        chain.add(path, neuron, weight, bias, recurrent=back, gain=np.full(len(omega), dt))
    return _finished(chain)


def read_alif(tensors: Tensors) -> Network:
    """Time constants by their absolute values, as the forward takes them."""
    chain = Chain(tensors)
    for path in _paths(tensors, "tau_adp", "tau_mem"):
        size = len(tensors.take(f"{path}.linear.weight", None, None))
        tau = tensors.take(f"{path}.tau_mem", size)
        alpha = decay(tau, tensors, f"{path}.tau_mem")
        rho = decay(tensors.take(f"{path}.tau_adp", size), tensors, f"{path}.tau_adp")
        beta = tensors.given.adaptation
        if beta is None:
            beta = tensors.attribute(path, "beta", ALIF_BETA)
        neuron = neurons.alif_higuchi(
            len(tau), alpha=alpha, rho=rho, beta=beta, bias=NO_BIAS,
            threshold=tensors.threshold(path, "theta", ALIF_THRESHOLD),
        )  # fmt: skip
        weight, back, bias = _hidden(tensors, path, len(tau))
        chain.add(path, neuron, weight, bias, recurrent=back, gain=1.0 - alpha)
    return _finished(chain)


def _paths(tensors: Tensors, *parameters: str) -> list[str]:
    """The layers with one of ``parameters``, in the order of the state_dict: ``hidden``, or ``hidden1`` and
    ``hidden2``; the readout is another."""
    found = (name.rpartition(".") for name in tensors.arrays)
    return list(dict.fromkeys(path for path, _, leaf in found if leaf in parameters and path != OUT))


def decay(tau: Float, tensors: Tensors, name: str) -> Float:
    """exp(-1/|tau|); raises `TclifError` for a time constant of 0, or one that decays to nothing in a step."""
    with np.errstate(all="ignore"):
        value = np.exp(-1.0 / np.abs(tau))
    if not (value > 0).all():
        place = int(np.argmin(value))
        raise TclifError(f"{tensors.where}: {name}[{place}] is {tau[place]:g}", "a time constant is not that short")
    return value


def decay_of_positive(tau: Float, tensors: Tensors, name: str) -> Float:
    """exp(-1/tau) of positive time constants; raises `TclifError` for another: a state would grow by itself."""
    if (tau <= 0).any():
        place = int(np.argmin(tau))
        raise TclifError(f"{tensors.where}: {name}[{place}] is {tau[place]:g}", "a time constant is above 0")
    return decay(tau, tensors, name)


def _hidden(tensors: Tensors, path: str, size: int) -> tuple[Float, Float, Float]:
    """(weights of the input, recurrent ones, bias), masked where a mask is kept."""
    weight, bias = tensors.linear(f"{path}.linear", size)
    mask = tensors.get(f"{path}.linear.mask", *weight.shape)
    weight = weight if mask is None else weight * mask
    return *split(weight, size, f"{tensors.where}: {path}.linear.weight"), bias


def _finished(chain: Chain) -> Network:
    tensors = chain.tensors
    weight, bias = tensors.linear(f"{OUT}.linear")
    alpha = decay(tensors.take(f"{OUT}.tau_mem", len(weight)), tensors, f"{OUT}.tau_mem")
    chain.add_readout(OUT, alpha, weight, bias)
    return chain.network("last", READOUT)
