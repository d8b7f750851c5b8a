"""The modules of a torch model in the order in which a step passes them, as a graph.

Every reader of torch weights ends here: a weights file by the names of its tensors
(`tclif_deploy.formats.checkpoint.state_dict`), our own file and a live module by their description
(`tclif_deploy.formats.model_file.description`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tclif_deploy import neurons
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.families.foreign import TS_LIF
from tclif_deploy.formats.read_options import NeuronSettings
from tclif_deploy.graph.layer_names import unique_name
from tclif_deploy.graph.nodes import NO_BIAS, Affine, BatchNorm, Input, NetworkGraph, Node, Output, Population
from tclif_deploy.network import INPUT, Float, Neuron
from tclif_deploy.neurons.base import sigmoid


@dataclass(frozen=True, eq=False)
class Linear:
    """``y = x @ weight.T + bias``."""

    path: str
    """of the module in the model, for names and messages"""
    weight: Float
    """(neurons, sources)"""
    bias: Float | None = None

    @property
    def size(self) -> int:
        """Neurons."""
        return int(self.weight.shape[0])


@dataclass(frozen=True, eq=False)
class Spiking:
    """A spiking population, with recurrent weights where it stands in a recurrent container."""

    path: str
    neuron: str
    """``tclif``, ``lif`` or ``plif``"""
    parameter: Float | None = None
    """TC-LIF's decay_factor (1, 2) or (neurons, 2); PLIF's w (1,) or (neurons,); LIF has none"""
    recurrent: Linear | None = None
    settings: NeuronSettings | None = None
    """None as long as they are not known"""


@dataclass(frozen=True, eq=False)
class Leak:
    """What the last Linear's neurons forget: v <- (1 - sigmoid(leak))*v + i."""

    path: str
    leak: Float
    """(1,) or (neurons,)"""


ModelPart = Linear | BatchNorm | Spiking | Leak


def neuron_parameter(neuron: str, value: Float, where: str) -> Float:
    """A neuron's parameter tensor in the shape that `Spiking` wants, or a `TclifError` where it has another."""
    if neuron == "tclif" and value.shape[-1:] == (4,):
        raise TclifError(f"{where} has four factors: {TS_LIF}", "this machine's neuron fires once")
    if neuron == "tclif" and (value.ndim != 2 or value.shape[1] != 2 or len(value) == 0):
        raise TclifError(f"{where} has shape {value.shape}", "expected (1, 2) or (neurons, 2)")
    if neuron == "plif" and (value.ndim > 1 or value.size == 0):
        raise TclifError(f"{where} has shape {value.shape}", "expected one number, or (neurons,)")
    return value if neuron == "tclif" else value.reshape(-1)


def graph_of_modules(parts: Sequence[ModelPart], notices: tuple[str, ...], where: str) -> NetworkGraph:
    """The graph of ``parts``, whose neurons all have their settings.

    A batch norm stands behind a Linear, or before one. The last Linear without a neuron is the readout: the sum over
    time, or what a `Leak` behind it says. Raises `TclifError` where the parts do not chain.
    """
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str, int]] = []
    order: list[str] = []
    taken, names = {INPUT}, {INPUT}
    last = INPUT
    linear: Linear | None = None  # waits for its neuron
    norm: BatchNorm | None = None  # waits for its Linear
    leak: Leak | None = None

    def add(path: str, node: Node, delay: int = 0) -> str:
        """Put ``node`` behind the last one."""
        name = unique_name(path, taken)
        nodes[name] = node
        edges.append((last, name, delay))
        return name

    def add_population(path: str, neuron: Neuron) -> str:
        order.append(add(path, Population(neuron, name=unique_name(path, names))))
        return order[-1]

    for part in parts:
        if leak is not None:
            raise TclifError(f"{where}: {part.path} follows the readout {leak.path}", "a readout is the last module")
        if isinstance(part, Leak):
            leak = part
        elif isinstance(part, Linear):
            if linear is not None:
                raise TclifError(
                    f"{where}: {part.path or 'the model'} is a Linear that follows the Linear {linear.path} "
                    "with no neuron between them",
                    "put a spiking neuron there, or multiply the two weights into one",
                )
            linear, norm = part, None
            last = add(part.path, Affine(part.weight, np.zeros(part.size) if part.bias is None else part.bias))
        elif isinstance(part, BatchNorm):
            norm = part if linear is None else None
            last = add(part.path, part)
        else:
            if linear is None:
                raise TclifError(f"{where}: the neuron {part.path} has no Linear before it", "each needs one")
            last = add_population(part.path, neuron_of(part, linear.size, NO_BIAS, where))
            if part.recurrent is not None:
                back = add(part.recurrent.path, Affine(part.recurrent.weight, part.recurrent.bias), delay=1)
                edges.append((back, last, 0))
            linear = None
    if norm is not None:
        raise TclifError(
            f"{where}: the batch norm {norm.path} has no Linear to be folded into", "move it before the neuron"
        )
    if not order:
        raise TclifError(f"{where}: no spiking layer in it", "is this a spiking network?")
    if leak is not None and linear is None:
        raise TclifError(f"{where}: the readout {leak.path} has no Linear before it", "it is what a Linear ends in")
    if linear is not None:
        last = add_population(linear.path, readout_of(leak, linear.size, where))
    add("output", Output())
    first = next(part for part in parts if isinstance(part, Linear))
    return NetworkGraph(where, nodes | {INPUT: Input(first.weight.shape[1])}, tuple(edges), notices, tuple(order))


def readout_of(leak: Leak | None, size: int, where: str) -> Neuron:
    """The readout of ``size`` outputs: the sum over time, or one that leaks."""
    if leak is None:
        return neurons.readout(size, bias=NO_BIAS)
    if leak.leak.shape not in ((1,), (size,)):
        raise TclifError(f"{where}: {leak.path}.leak has shape {leak.leak.shape}", f"expected (1,) or ({size},)")
    return neurons.readout(size, decay=sigmoid(-leak.leak), bias=NO_BIAS)


def neuron_of(part: Spiking, size: int, bias: ArrayLike, where: str) -> Neuron:
    """The canonical neurons of a spiking part of ``size`` neurons, whose settings are known."""
    own = part.settings
    assert own is not None
    common: dict[str, Any] = {
        "threshold": own.threshold, "strict": own.strict, "reset": own.reset, "v_reset": own.v_reset, "bias": bias,
    }  # fmt: skip
    if own.neuron == "lif":
        return neurons.lif(size, decay=own.decay, **common)
    assert part.parameter is not None
    count = part.parameter.shape[0]
    if count not in (1, size):
        raise TclifError(
            f"{where}: {part.path} has parameters for {count} neurons, the layer has {size}", f"expected 1 or {size}"
        )
    if own.neuron == "plif":
        return neurons.plif(size, w=part.parameter, decay_input=own.decay_input, **common)
    return neurons.tclif(size, c1=part.parameter[:, 0], c2=part.parameter[:, 1], gamma=own.gamma, **common)
