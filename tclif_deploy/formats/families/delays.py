"""Delays learned for each synapse (DCLS, Hammouamri et al., ICLR 2024), as their code evaluates them.

Positions are rounded and clamped, and each synapse is one delay: version ``max`` with SIG 0. With a kernel of K steps a
position P is a delay of K//2 - P. Neurons are SpikingJelly's LIF, which leaves nothing in a state_dict, or PLIF
(``w``).
"""

from __future__ import annotations

import numpy as np

from tclif_deploy import neurons
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.families.chain import Chain, Tensors
from tclif_deploy.formats.families.dendritic import SPIKES
from tclif_deploy.graph.nodes import NO_BIAS, BatchNorm
from tclif_deploy.network import Float, Network, Neuron
from tclif_deploy.neurons.base import sigmoid

FAMILY = "delays learned by DCLS (Hammouamri et al.)"
DECAY = 1.0 - 1.0 / ((10.05 + 1e-9) / 10)
"""of their configuration: tau of 10.05 ms in steps of 10 ms"""
THRESHOLD, OUTPUT_THRESHOLD = 1.0, 2.0
NORMALIZATION = 1.0 + 1e-7
"""by which DCLS divides a kernel whose weights add up to one"""
LONGEST = 10_001


def read_delays(tensors: Tensors) -> Network:
    """Its modules in the order of their numbers."""
    chain = Chain(tensors)
    paths = sorted({name.rpartition(".")[0] for name in tensors.arrays}, key=_number)
    delayed = [path for path in paths if f"{path}.P" in tensors]
    for n, path in enumerate(delayed):
        between = [each for each in paths if _number(path) < _number(each)]
        if n + 1 < len(delayed):
            between = [each for each in between if _number(each) < _number(delayed[n + 1])]
        matrices, offset, delays = _synapses(tensors, path)
        size = len(offset)
        norm, factor = None, None
        for other in between:
            if f"{other}.running_mean" in tensors and norm is None and factor is None:
                names = ("running_mean", "running_var", "weight", "bias")
                mean, var, weight, bias = (tensors.take(f"{other}.{name}", size) for name in names)
                norm = BatchNorm(other, mean, var, weight, bias)
            elif f"{other}.w" in tensors and factor is None:
                factor = tensors.take(f"{other}.w", *tensors.arrays[f"{other}.w"].shape[:1]).reshape(-1)
        last = n + 1 == len(delayed)
        neuron = _neuron(tensors, size, factor, last)
        chain.add(path, neuron, matrices[0], offset, norm=norm, delays=delays, late=matrices)
    fires = chain.nodes[chain.order[-1]].neuron.spiking  # type: ignore[union-attr]
    return chain.network(
        "count" if fires else "softmax", "the authors' configuration sums the softmax of each step (loss 'sum')"
    )


def _synapses(tensors: Tensors, path: str) -> tuple[list[Float], Float, list[int]]:
    """(a matrix for each delay, bias, delays) of a Dcls1d."""
    weight = tensors.take(f"{path}.weight", None, None, None)
    positions = tensors.take(f"{path}.P", 1, *weight.shape)[0]
    tensors.get(f"{path}.SIG", 1, *weight.shape)  # 0 where the authors evaluate
    bias = tensors.get(f"{path}.bias", len(weight))
    steps = _kernel_size(tensors, path)
    half = steps // 2
    rounded = np.rint(positions)
    beyond = int((np.abs(rounded) > half).sum())
    if beyond:
        tensors.notices.append(
            f"{path}.P: {beyond} of {rounded.size} positions lie beyond {half} and are clamped there, as its authors' "
            "clamp_parameters does"
        )
    delay = (half - np.clip(rounded, -half, half)).astype(np.int64)
    delays = [int(d) for d in np.unique(delay)]
    matrices = [np.where(delay == d, weight, 0.0).sum(axis=2) / NORMALIZATION for d in delays]
    return matrices, np.zeros(len(weight)) if bias is None else bias, delays


def _kernel_size(tensors: Tensors, path: str) -> int:
    live = getattr(tensors.live.get(path), "dilated_kernel_size", None)
    size = tensors.given.dilated_kernel_size
    if size is None and live is not None:
        size = int(live[0] if isinstance(live, tuple | list) else live)
    if size is None:
        raise TclifError(
            f"{tensors.where}: {path} has learned delays, and the file does not say how many steps they may have",
            "say dilated_kernel_size (--dilated-kernel-size), 25 in the authors' configuration of SHD",
        )
    if not 1 <= size <= LONGEST or size % 2 == 0:
        raise TclifError(f"{tensors.where}: a dilated_kernel_size of {size}", f"expected an odd number up to {LONGEST}")
    told = (
        f"delays: the authors run {size // 2} steps of zeros more for each layer with delays; end the data with so many"
    )
    if told not in tensors.notices:
        tensors.notices.append(told)
    return size


def _neuron(tensors: Tensors, size: int, factor: Float | None, last: bool) -> Neuron:
    given = tensors.given
    fires = not last or (given.readout or "").split(":")[0] in SPIKES
    threshold = THRESHOLD if given.threshold is None else given.threshold
    if last and given.threshold is None:
        threshold = OUTPUT_THRESHOLD
    if given.decay is None and factor is None:
        told = f"decay {DECAY:.6g}: LIF leaves nothing in the file, and the authors' configuration has this"
        if told not in tensors.notices:
            tensors.notices.append(told)
    decay = 1.0 - sigmoid(factor) if factor is not None else np.asarray(DECAY if given.decay is None else given.decay)
    if not fires:
        return neurons.readout(size, decay=decay, bias=NO_BIAS)
    if factor is not None:
        return neurons.plif(size, w=factor, threshold=threshold, bias=NO_BIAS)
    return neurons.lif(size, decay=decay, threshold=threshold, reset="hard", bias=NO_BIAS)


def _number(path: str) -> int:
    last = path.rpartition(".")[2]
    return int(last) if last.isascii() and last.isdigit() and len(last) < 10 else -1
