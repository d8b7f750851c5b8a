"""Delays learned for each synapse (DCLS, Hammouamri et al., ICLR 2024), as their code evaluates them.

Positions are rounded and clamped, and each synapse is one delay: version ``max`` with SIG 0. With a kernel of K steps a
position P is a delay of K//2 - P. Neurons are SpikingJelly's LIF, which leaves nothing in a state_dict, or PLIF
(``w``); a live model's say their own constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tclif_deploy import neurons
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.families.chain import Chain, Tensors, number
from tclif_deploy.formats.families.dendritic import SPIKES
from tclif_deploy.formats.read_options import check_threshold
from tclif_deploy.graph.nodes import NO_BIAS, BatchNorm
from tclif_deploy.network import Float, Network, Neuron, Reset
from tclif_deploy.neurons.base import sigmoid

FAMILY = "delays learned by DCLS (Hammouamri et al.)"
DECAY = 1.0 - 1.0 / ((10.05 + 1e-9) / 10)
"""of their configuration: tau of 10.05 ms in steps of 10 ms"""
THRESHOLD, OUTPUT_THRESHOLD = 1.0, 2.0
NORMALIZATION = 1.0 + 1e-7
"""by which DCLS divides a kernel whose weights add up to one"""
LONGEST = 10_001
NODES = ("LIFNode", "ParametricLIFNode", "IFNode")
"""SpikingJelly's neurons that are read"""
NEVER = 1e9
"""threshold of their configuration for an output that integrates: no membrane reaches it"""
FILTER_REASON = "a SynapseFilter, which makes leaky sums of spikes before the weights: a state of its own"
FILTER_HINT = "train with stateful_synapse = False"


def read_delays(tensors: Tensors) -> Network:
    """Its modules in the order of their numbers."""
    chain = Chain(tensors)
    paths = sorted({name.rpartition(".")[0] for name in tensors.arrays}, key=_order)
    delayed = [path for path in paths if f"{path}.P" in tensors]
    for n, path in enumerate(delayed):
        after = delayed[n + 1] if n + 1 < len(delayed) else None
        matrices, offset, delays = _synapses(tensors, path)
        size, before = len(offset), path
        norm, factor = None, None
        for other in _between(paths, path, after):
            if f"{other}.running_mean" in tensors and norm is None and factor is None:
                names = ("running_mean", "running_var", "weight", "bias")
                mean, var, weight, bias = (tensors.take(f"{other}.{name}", size) for name in names)
                eps = tensors.said(other, "eps", BatchNorm.eps)
                norm, before = BatchNorm(other, mean, var, weight, bias, eps), other
            elif f"{other}.w" in tensors and factor is None:
                if not tensors.live and not _adjacent(before, other):
                    raise TclifError(f"{tensors.where}: {other}.w: {FILTER_REASON}", FILTER_HINT)
                factor = tensors.take(f"{other}.w", *tensors.arrays[f"{other}.w"].shape[:1]).reshape(-1)
        leak = _of_live(tensors, path, after) if tensors.live else _of_file(tensors, factor, after is None)
        neuron = _neuron(tensors, size, leak, factor, after is None)
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
        first = live[0] if isinstance(live, tuple | list) and live else live
        asked = number(first, f"{tensors.where}: {path}.dilated_kernel_size")
        size = int(asked) if asked.is_integer() else 0
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


@dataclass(frozen=True)
class _Leak:
    """What is known of the neurons behind a layer of delays."""

    threshold: float
    decay: Float
    decay_input: bool = False
    """whether the input is multiplied by what the decay leaves out"""
    v_reset: float | None = 0.0
    """None where what a spike takes is the threshold"""
    resets: bool = False
    """whether its own threshold is known to be one that a membrane reaches"""


def _of_file(tensors: Tensors, factor: Float | None, last: bool) -> _Leak:
    """The authors' constants where nothing else is given by hand, each with a notice."""
    given, told = tensors.given, []
    threshold = OUTPUT_THRESHOLD if last else THRESHOLD
    if given.threshold is not None:
        threshold = given.threshold
    elif not last or _by_spikes(tensors):
        told.append(f"threshold {threshold:g}: nothing in the file says it, and the authors' configuration has this")
    decay = DECAY if given.decay is None else given.decay
    if given.decay is None and factor is None:
        told.append(f"decay {DECAY:.6g}: LIF leaves nothing in the file, and the authors' configuration has this")
    tensors.notices += [line for line in told if line not in tensors.notices]
    return _Leak(threshold, np.asarray(decay) if factor is None else 1.0 - sigmoid(factor))


def _of_live(tensors: Tensors, path: str, after: str | None) -> _Leak:
    """The attributes of the neurons of a live model between two layers of delays; what is given by hand wins."""
    between = _between(sorted((each for each in tensors.live if each), key=_order), path, after)
    for other in between:
        if _is_a(tensors.live[other], "SynapseFilter"):
            raise TclifError(f"{tensors.where}: {other}: {FILTER_REASON}", FILTER_HINT)
    found = [other for other in between if hasattr(tensors.live[other], "v_threshold")]
    if len(found) != 1:
        raise TclifError(
            f"{tensors.where}: {', '.join(found)[:100] or 'no neuron'} behind the delays of {path}",
            f"one of {', '.join(NODES)} is expected between layers",
        )
    module, given = tensors.live[found[0]], tensors.given
    if not _is_a(module, *NODES):
        raise TclifError(
            f"{tensors.where}: {found[0]} ({type(module).__name__}) cannot be read", f"expected {', '.join(NODES)}"
        )
    said = {
        name: number(getattr(module, name, None), f"{tensors.where}: {found[0]}.{name}")
        for name in ("tau", "v_threshold", "v_reset")
        if (name != "tau" or not _is_a(module, "ParametricLIFNode", "IFNode"))
        and (name != "v_reset" or getattr(module, name, None) is not None)
    }
    if said.get("tau", 1.0) < 1.0:
        raise TclifError(f"{tensors.where}: {found[0]}.tau is {said['tau']:g}", "a time constant of 1 step or more")
    if _is_a(module, "ParametricLIFNode"):
        share = sigmoid(tensors.arrays[f"{found[0]}.w"].reshape(-1))
    else:
        share = np.asarray(0.0 if _is_a(module, "IFNode") else 1.0 / said["tau"])
        share = share if given.decay is None else np.asarray(1.0 - given.decay)
    where = f"{tensors.where}: {found[0]}.v_threshold"
    return _Leak(
        check_threshold(said["v_threshold"], where) if given.threshold is None else given.threshold,
        1.0 - share,
        bool(getattr(module, "decay_input", False)),
        said.get("v_reset"),
        said["v_threshold"] < NEVER,
    )


def _neuron(tensors: Tensors, size: int, leak: _Leak, factor: Float | None, last: bool) -> Neuron:
    rest, rule = leak.v_reset or 0.0, tensors.given.readout
    fires = not last or _by_spikes(tensors)
    if last and leak.resets and not fires:
        if rule is not None:
            raise TclifError(
                f"{tensors.where}: its output fires at {leak.threshold:g} and is reset, so that --readout {rule} of "
                "its membrane is no leaky sum",
                f"say --readout count, or set its v_threshold to {NEVER:g}, as the authors' configuration does",
            )
        fires = True
    gain = 1.0 - leak.decay if leak.decay_input else 1.0
    kind: Reset = "soft" if leak.v_reset is None else "hard"
    if not fires:
        return neurons.readout(size, decay=leak.decay, gain=gain, rest=rest, v0=rest, bias=NO_BIAS)
    if factor is not None:
        return neurons.plif(
            size, w=factor, threshold=leak.threshold, reset=kind, v_reset=rest, decay_input=leak.decay_input,
            bias=NO_BIAS,
        )  # fmt: skip
    return neurons.lif(
        size, decay=leak.decay, threshold=leak.threshold, reset=kind, v_reset=rest, gain=gain, rest=rest, v0=rest,
        bias=NO_BIAS,
    )  # fmt: skip


def _by_spikes(tensors: Tensors) -> bool:
    """Whether the readout that was given counts spikes."""
    return (tensors.given.readout or "").split(":")[0] in SPIKES


def _is_a(module: object, *names: str) -> bool:
    """Whether a module is of a class of one of the names, or of one made of it."""
    return any(kind.__name__ in names for kind in type(module).__mro__)


def _between(paths: Sequence[str], path: str, after: str | None) -> list[str]:
    """What stands in order behind ``path`` and before ``after``."""
    return [each for each in paths if _order(path) < _order(each) and (after is None or _order(each) < _order(after))]


def _adjacent(path: str, other: str) -> bool:
    """Whether ``other`` comes right behind ``path`` in one Sequential; where there are no numbers, it may."""
    (before, _, low), (within, _, high) = path.rpartition("."), other.rpartition(".")
    return before != within or not (_is_number(low) and _is_number(high)) or int(high) == int(low) + 1


def _order(path: str) -> list[tuple[bool, int, str]]:
    """What sorts paths by the numbers in them."""
    return [(not _is_number(part), int(part) if _is_number(part) else 0, part) for part in path.split(".")]


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) < 10
