"""SE-adLIF of Baronig et al. (2024, symplectic Euler), as their code runs it: ``l1``, ``l2`` and ``out_layer``.

The membrane is reset to 0 before the adaptation sees it. Parameters are taken as they are: the authors clamp them after
each batch of training, and their forward does not. Their EF-adLIF (Euler forward) has the same parameters and no
place here: its states see one another's values of the step before, and the reset of one would change the other.
"""

from __future__ import annotations

import numpy as np

from tclif_deploy import neurons
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.families.chain import Chain, Tensors, number
from tclif_deploy.formats.families.higuchi import decay_of_positive
from tclif_deploy.graph.nodes import NO_BIAS
from tclif_deploy.network import Float, Network

FAMILY = "SE-adLIF (Baronig et al.)"
EF_REASON = (
    "EF-adLIF: its states see each other's values of the step before, so that a hard reset of the membrane would have "
    "to change the other state by a product of a state and a spike"
)
THRESHOLD = 1.0
A, B = (0.0, 1.0), (0.0, 2.0)


def read_se_adlif(tensors: Tensors) -> Network:
    """Its one or two layers and the readout."""
    strength = tensors.given.adaptation
    chain = Chain(tensors)
    prefix = next(name for name in tensors.arrays if name.endswith("tau_w_trainer.weight"))
    prefix = prefix.removesuffix("tau_w_trainer.weight").rstrip(".").rpartition(".")[0]
    prefix = f"{prefix}." if prefix else ""
    names = list(dict.fromkeys(n.removeprefix(prefix).partition(".")[0] for n in tensors.arrays))
    for name in names:
        path = f"{prefix}{name}"
        if f"{path}.tau_w_trainer.weight" not in tensors:
            continue
        weight, bias = tensors.linear(path)
        size = len(weight)
        back = tensors.get(f"{path}.recurrent", size, size)
        alpha, beta = (_decay(tensors, f"{path}.tau_{state}_trainer", size) for state in "uw")
        q = strength if strength is not None else getattr(tensors.live.get(path), "q", None)
        if q is None:
            raise TclifError(
                f"{tensors.where}: the strength q of the adaptation is not in the file",
                "give it by hand: adaptation (--adaptation), 120 in the authors' configuration of SHD",
            )
        a, b = _as_it_is(tensors, f"{path}.a", size, *A), _as_it_is(tensors, f"{path}.b", size, *B)
        strong = number(q, f"{tensors.where}: {path}.q")
        neuron = neurons.se_adlif(
            size, alpha=alpha, beta=beta, a=a, b=b, q=strong, threshold=tensors.threshold(path, "thr", THRESHOLD),
            strict=True, bias=NO_BIAS,
        )  # fmt: skip
        chain.add(path, neuron, weight, bias, recurrent=back, gain=1.0 - alpha)
    out = next((f"{prefix}{n}" for n in names if f"{prefix}{n}.tau_w_trainer.weight" not in tensors), None)
    if out is None:
        raise TclifError(f"{tensors.where}: no out_layer, which a network of {FAMILY} has", "is it complete?")
    weight, bias = tensors.linear(out)
    chain.add_readout(out, _decay(tensors, f"{out}.tau_u_trainer", len(weight), fixed=True), weight, bias)
    return chain.network("softmax", "the authors sum the softmax of each step, where loss_agg says so")


def _decay(tensors: Tensors, path: str, size: int, fixed: bool = False) -> Float:
    """exp(-1/tau) of a trainer of time constants: between the least and the most, or ``fixed``."""
    share, low, high = (
        tensors.take(f"{path}.weight", size),
        tensors.take(f"{path}.tau_min"),
        tensors.take(f"{path}.tau_max"),
    )
    live = type(tensors.live.get(path)).__name__
    interpolates = not fixed if live == "NoneType" else live == "InterpolationTrainer"
    if interpolates:
        share = _as_it_is(tensors, f"{path}.weight", size, 0.0, 1.0)
        share = share * high + (1.0 - share) * low
    elif live == "NoneType":
        span = (share >= low - 1e-6) & (share <= high + 1e-6)
        if not span.all():
            raise TclifError(
                f"{tensors.where}: {path}.weight is {share[np.argmin(span)]:g}, no time constant in {low:g}..{high:g}",
                "a trained output time constant is known of a live module alone",
            )
    return decay_of_positive(share, tensors, f"{path}.weight")


def _as_it_is(tensors: Tensors, name: str, size: int, low: float, high: float) -> Float:
    """A tensor that its authors clamp after each batch of training and not in their forward; a notice where it is
    beyond.
    """
    value = tensors.take(name, size)
    beyond = int(((value < low) | (value > high)).sum())
    if beyond:
        tensors.notices.append(
            f"{name}: {beyond} of {size} values lie beyond {low:g}..{high:g}, where its authors clamp them after each "
            "batch of training: taken as they are, as their forward takes them"
        )
    return value
