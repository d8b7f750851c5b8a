"""The parts of a network in the order in which a step passes them, and how they become a `Network`.

Every front end that reads torch weights ends here: a weights file by the names of its tensors
(`tclif_deploy.formats.checkpoint.state_dict`), our own file and a live module by their description
(`tclif_deploy.formats.model_file.description`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from tclif_deploy import neurons
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.read_options import NeuronSettings
from tclif_deploy.network import INPUT, Connection, Float, Layer, Network, Neuron


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
class BatchNorm:
    """``y = (x - mean)/sqrt(var + eps)*weight + bias``, with the running statistics."""

    path: str
    mean: Float
    var: Float
    weight: Float | None = None
    bias: Float | None = None
    eps: float = 1e-5
    """torch's default, which the authors leave as it is; a state_dict does not hold it"""

    def affine(self) -> tuple[Float, Float]:
        """(scale, shift) such that ``y = x*scale + shift``."""
        if (self.var < 0).any() or self.eps <= 0:
            raise TclifError(f"{self.path}: running_var reaches {self.var.min()}", "a variance cannot be negative")
        scale = 1.0 / np.sqrt(self.var + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        shift = -self.mean * scale
        return scale, shift if self.bias is None else shift + self.bias


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
    """None where the file does not say them"""


Part = Linear | BatchNorm | Spiking


def neuron_parameter(neuron: str, value: Float, where: str) -> Float:
    """A neuron's parameter tensor in the shape that `Spiking` wants, or a `TclifError` where it has another."""
    if neuron == "tclif" and (value.ndim != 2 or value.shape[1] != 2 or len(value) == 0):
        raise TclifError(f"{where} has shape {value.shape}", "expected (1, 2) or (neurons, 2)")
    if neuron == "plif" and (value.ndim > 1 or value.size == 0):
        raise TclifError(f"{where} has shape {value.shape}", "expected one number, or (neurons,)")
    return value if neuron == "tclif" else value.reshape(-1)


def assemble(parts: tuple[Part, ...], settings: NeuronSettings | None, notices: tuple[str, ...], where: str) -> Network:
    """The network of ``parts``; ``settings`` serve every `Spiking` part that has none of its own.

    A batch norm after a Linear is folded into it, before recurrent weights join; one that stands before a
    Linear, into that one. The last Linear without a neuron is the readout: the sum over time.
    Raises `TclifError` where the parts do not chain.
    """
    layers: list[Layer] = []
    names = {INPUT}
    source, width, input_size = INPUT, 0, 0
    current: Linear | None = None  # waits for its neuron
    before: tuple[str, Float, Float] | None = None  # batch norm that waits for its Linear
    for part in parts:
        if isinstance(part, Linear):
            if current is not None:
                raise TclifError(
                    f"{where}: {part.path or 'the model'} is a Linear that follows the Linear {current.path} "
                    "with no neuron between them",
                    "put a spiking neuron there, or multiply the two weights into one",
                )
            if width and part.weight.shape[1] != width:
                raise TclifError(
                    f"{where}: {part.path}.weight takes {part.weight.shape[1]} inputs, "
                    f"but the layer before it ({source}) has {width} neurons",
                    "is the order of the layers right?",
                )
            input_size = input_size or part.weight.shape[1]
            current = part if before is None else _fold_before(part, before, where)
            before = None
        elif isinstance(part, BatchNorm):
            scale, shift = part.affine()
            if current is None:
                before = (part.path, scale, shift)
                continue
            _check_size(where, part.path, scale.size, current)
            bias = np.zeros(current.size) if current.bias is None else current.bias
            current = Linear(current.path, current.weight * scale[:, None], bias * scale + shift)
        else:
            if current is None or before is not None:
                raise TclifError(f"{where}: the neuron {part.path} has no Linear before it", "each needs one")
            own = part.settings or settings
            assert own is not None
            name = unique_name(part.path, names)
            connections = [Connection(source, current.weight)]
            bias = np.zeros(current.size) if current.bias is None else current.bias
            if part.recurrent is not None:
                _check_size(where, part.recurrent.path, part.recurrent.weight.shape, current)
                connections.append(Connection(name, part.recurrent.weight, delay=1))
                bias = bias if part.recurrent.bias is None else bias + part.recurrent.bias
            layers.append(Layer(name, neuron_of(part, own, current.size, bias, where), tuple(connections)))
            source, width, current = name, current.size, None
    if before is not None:
        raise TclifError(
            f"{where}: the batch norm {before[0]} has no Linear to be folded into", "move it before the neuron"
        )
    if not layers:
        raise TclifError(f"{where}: no spiking layer in it", "is this a spiking network?")
    if current is not None:
        readout = neurons.readout(current.size, bias=0.0 if current.bias is None else current.bias)
        layers.append(Layer(unique_name(current.path, names), readout, (Connection(source, current.weight),)))
    return Network(input_size, tuple(layers), notices)


def _fold_before(linear: Linear, norm: tuple[str, Float, Float], where: str) -> Linear:
    """``linear`` that takes the input of the batch norm in front of it."""
    path, scale, shift = norm
    if scale.size != linear.weight.shape[1]:
        raise TclifError(f"{where}: {path} has {scale.size} features, {linear.path} takes {linear.weight.shape[1]}")
    bias = linear.weight @ shift
    return Linear(linear.path, linear.weight * scale, bias if linear.bias is None else bias + linear.bias)


def _check_size(where: str, path: str, size: int | tuple[int, ...], linear: Linear) -> None:
    expected = linear.size if isinstance(size, int) else (linear.size, linear.size)
    if size != expected:
        raise TclifError(
            f"{where}: {path} has size {size}, but {linear.path} before it has {linear.size} neurons",
            f"expected {expected}",
        )


def neuron_of(part: Spiking, own: NeuronSettings, size: int, bias: Float, where: str) -> Neuron:
    """The canonical neurons of a spiking part of ``size`` neurons."""
    if own.neuron == "lif":
        return neurons.lif(
            size, decay=own.decay, threshold=own.threshold, strict=own.strict, reset=own.reset,
            v_reset=own.v_reset, bias=bias,
        )  # fmt: skip
    assert part.parameter is not None
    count = part.parameter.shape[0]
    if count not in (1, size):
        raise TclifError(
            f"{where}: {part.path} has parameters for {count} neurons, the layer has {size}", f"expected 1 or {size}"
        )
    if own.neuron == "plif":
        return neurons.plif(
            size, w=part.parameter, threshold=own.threshold, strict=own.strict, reset=own.reset,
            v_reset=own.v_reset, decay_input=own.decay_input, bias=bias,
        )  # fmt: skip
    return neurons.tclif(
        size, c1=part.parameter[:, 0], c2=part.parameter[:, 1], gamma=own.gamma, threshold=own.threshold,
        strict=own.strict, reset=own.reset, v_reset=own.v_reset, bias=bias,
    )  # fmt: skip


def unique_name(path: str, names: set[str]) -> str:
    """A readable layer name from a module's path, safe as a file name, not yet in ``names`` (which it joins).

    ``features.1`` stays; ``1`` (a bare Sequential) becomes ``layer1``; odd characters become ``_``.
    """
    name = re.sub(r"[^A-Za-z0-9_.]", "_", path)[:60].strip(".")
    if not name or not name[0].isalpha():
        name = f"layer{name}"
    base, count = name, 2
    while name in names:
        name, count = f"{base}_{count}", count + 1
    names.add(name)
    return name
