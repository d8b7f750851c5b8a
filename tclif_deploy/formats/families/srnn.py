"""ALIF networks of Yin, Corradi and Bohte (Nature Machine Intelligence 2021), as their scripts run them.

Two layouts: flat ones (``i2h``, ``h2h``, ``tau_m_h``, ...) of the ECG, S-MNIST, SHD and SSC scripts, and modules
(``rnn_1.{dense,recurrent,tau_m,tau_adp}``) of the GSC script. The adaptation starts at the threshold, as there; the
flat scripts start the rest from random states, that of GSC from zero.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tclif_deploy import neurons
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.families.chain import RISK, Chain, Tensors
from tclif_deploy.formats.families.dendritic import SPIKES
from tclif_deploy.formats.families.higuchi import decay_of_positive
from tclif_deploy.graph.nodes import NO_BIAS
from tclif_deploy.network import Float, Network, Neuron

FAMILY = "SRNN with ALIF (Yin et al.)"
THRESHOLD, BETA = 0.01, 1.8
"""of the scripts with a flat layout"""
GSC_THRESHOLD, GSC_BETA = 1.6, 0.184
"""of the script for GSC, with modules"""
LAYOUTS: tuple[tuple[tuple[str, str | None, str], ...], ...] = (
    (("i2h", "h2h", "h"), ("h2o", None, "o")),
    (("i_2_h1", "h1_2_h1", "h1"), ("h1_2_h2", "h2_2_h2", "h2"), ("h2o", None, "o")),
    (("i2h", "h2h", "r1"), ("h2d", "d2d", "r2"), ("dense1", None, "d1"), ("d2o", None, "o")),
)
"""of the scripts: (weights, recurrent weights, ending of the time constants) of each layer"""


def read_flat(tensors: Tensors) -> Network:
    """A layout of one of the scripts; the output integrates, or adapts and fires where the readout counts spikes."""
    layout = next((each for each in LAYOUTS if {f"tau_m_{end}" for *_, end in each} == _ends(tensors)), None)
    if layout is None:
        known = "; ".join(", ".join(f"tau_m_{end}" for *_, end in each) for each in LAYOUTS)
        raise TclifError(f"{tensors.where}: tau_m of {', '.join(sorted(_ends(tensors)))}", f"known layouts: {known}")
    chain = Chain(tensors)
    for name, back, end in layout:
        weight, bias = tensors.linear(name)
        size, recurrent = len(weight), None
        if back is not None:
            recurrent, more = tensors.linear(back, size)
            bias = bias + more
        tau, adapts = tensors.take(f"tau_m_{end}", size), tensors.take(f"tau_adp_{end}", size)
        alpha = decay_of_positive(tau, tensors, f"tau_m_{end}")
        if end == "o" and not _fires(tensors, layout):
            chain.add_readout(name, alpha, weight, bias)
            continue
        neuron = _neuron(
            tensors,
            "",
            alpha,
            decay_of_positive(adapts, tensors, f"tau_adp_{end}"),
            _flat_beta(tensors, end, adapts),
            THRESHOLD,
        )
        chain.add(name, neuron, weight, bias, recurrent=recurrent, gain=1.0 - alpha)
    tensors.notices.append(f"SRNN: {RISK}")
    return _finished(chain, layout == LAYOUTS[0])


def read_modules(tensors: Tensors) -> Network:
    """Modules with ``tau_m`` in the order of the state_dict; the last one without ``tau_adp`` is the readout."""
    chain = Chain(tensors)
    paths = list(dict.fromkeys(n.rpartition(".")[0] for n in tensors.arrays if n.endswith(".tau_m")))
    for path in paths:
        tau = tensors.take(f"{path}.tau_m", None)
        weight, bias = tensors.linear(f"{path}.dense", len(tau))
        alpha = decay_of_positive(tau, tensors, f"{path}.tau_m")
        adapts, recurrent = tensors.get(f"{path}.tau_adp", len(tau)), None
        if f"{path}.recurrent.weight" in tensors:
            recurrent, more = tensors.linear(f"{path}.recurrent", len(tau))
            bias = bias + more
        if adapts is None:
            if path != paths[-1]:
                raise TclifError(f"{tensors.where}: {path} has no tau_adp", "only the last layer may be a readout")
            chain.add_readout(path, alpha, weight, bias)
            continue
        adaptive = getattr(tensors.live.get(path), "is_adaptive", True)
        beta = _beta(tensors, GSC_BETA, "script for GSC has this") if adaptive else 0.0
        neuron = _neuron(
            tensors, path, alpha, decay_of_positive(adapts, tensors, f"{path}.tau_adp"), beta, GSC_THRESHOLD
        )
        chain.add(path, neuron, weight, bias, recurrent=recurrent, gain=1.0 - alpha)
    if "thr" in tensors:
        value = float(tensors.take("thr", 1)[0])
        tensors.notices.append(
            f"thr: the authors' GSC script feeds +1 where the input is above {value:g} and -1 below {-value:g}: give "
            "the data so"
        )
    return _finished(chain, False)


def _finished(chain: Chain, one_hidden: bool) -> Network:
    if chain.nodes[chain.order[-1]].neuron.spiking:  # type: ignore[union-attr]
        return chain.network("count", "the authors count the output's spikes")
    if one_hidden:
        return chain.network("last", "the authors of this layout, for ECG, score each step")
    return chain.network("sum", "the authors sum the membrane (SSC, GSC) or its softmax (SHD: --readout softmax)")


def _ends(tensors: Tensors) -> set[str]:
    return {name for name in tensors.arrays if name.startswith("tau_m_")}


def _fires(tensors: Tensors, layout: tuple[tuple[str, str | None, str], ...]) -> bool:
    """Whether the output's spikes answer, as in the S-MNIST script, or its membrane, as in the others."""
    rule = (tensors.given.readout or "").split(":")[0]
    if rule:
        return rule in SPIKES
    decoded = getattr(tensors.live.get(""), "DC_f", None)
    if decoded == "adp-mem":
        raise TclifError(
            f"{tensors.where}: its DC_f is adp-mem: the membrane of an output that fires, which is no readout here",
            "train with DC_f adp-spike or integrator",
        )
    if decoded is not None:
        return bool(decoded == "adp-spike")
    if layout == LAYOUTS[2]:
        tensors.notices.append("the output fires, as in the S-MNIST script (say --readout sum if it integrates)")
        return True
    if layout == LAYOUTS[0]:
        tensors.notices.append(
            "the output integrates: in the ECG script it fires too, and answers by its membrane, which is the same for "
            "as long as it does not fire (--readout step takes its spikes)"
        )
    return False


def _flat_beta(tensors: Tensors, end: str, tau: Float) -> float:
    """How much the threshold rises in a layer of a flat layout.

    A file does not say it, but that for ECG, whose script runs its hidden layer without adaptation, shows what was
    never trained.
    """
    ecg = {"tau_m_h", "tau_m_o"} == _ends(tensors)
    adaptive = getattr(tensors.live.get(""), "is_adaptive", None)
    if ecg and end == "o":
        return BETA
    if adaptive is not None and not adaptive:
        return 0.0
    untrained = ecg and adaptive is None and tau.size > 1 and np.ptp(tau) == 0
    if tensors.given.adaptation is None and untrained:
        tensors.notices.append(
            f"adaptation 0: tau_adp of {end} is {tau[0]:g} throughout, so nothing trained it and its neurons do not "
            f"adapt, as in the script for ECG (else --adaptation {BETA:g})"
        )
        return 0.0
    return _beta(tensors, BETA, f"scripts have this, that of GSC {GSC_BETA:g}")


def _beta(tensors: Tensors, default: float, whose: str) -> float:
    """How much the threshold rises: given by hand, or what the authors' code has."""
    if tensors.given.adaptation is not None:
        return tensors.given.adaptation
    told = f"adaptation {default:g} (beta): {tensors.unsaid}, and its authors' {whose}"
    if told not in tensors.notices:
        tensors.notices.append(told)
    return default


def _neuron(tensors: Tensors, path: str, alpha: Float, rho: Float, beta: float, default: float) -> Neuron:
    threshold = tensors.threshold(path, "b_j0", default)
    told = "b_j0: the authors' scripts have 0.01, 0.1 or 1.6 from task to task (--threshold)"
    said = tensors.given.threshold is not None or hasattr(tensors.live.get(path), "b_j0")
    if not said and told not in tensors.notices:
        tensors.notices.append(told)
    neuron = neurons.alif_yin(alpha.size, alpha=alpha, rho=rho, beta=beta, threshold=threshold, bias=NO_BIAS)
    start = np.full(alpha.size, threshold)  # the adaptation's; the soma holds the membrane minus what it adds
    return replace(neuron, u0=start, v0=-beta * start)
