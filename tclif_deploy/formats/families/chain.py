"""The tensors of one model, taken by their names, and the chain of layers that a family's reader makes of them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tclif_deploy import neurons
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.read_options import ReadOptions, check_threshold
from tclif_deploy.graph.layer_names import unique_name
from tclif_deploy.graph.lower import lower
from tclif_deploy.graph.nodes import NO_BIAS, Affine, BatchNorm, Input, NetworkGraph, Node, Output, Population
from tclif_deploy.network import INPUT, Float, Network, Neuron
from tclif_deploy.readout import Readout

RISK = (
    "it starts from zero here, where its authors start from random states: a network that leans on them answers "
    "otherwise (one public network is right in 36.7 % of samples so, and in 96.7 % with theirs); measure its accuracy "
    "before you trust it"
)


@dataclass
class Tensors:
    """The tensors of a model by their names: each is taken once, and none may be left over."""

    where: str
    """the file or the model, for messages"""
    family: str
    """what the model is taken for, for messages"""
    arrays: dict[str, Float]
    given: ReadOptions
    live: Mapping[str, Any] = field(default_factory=dict)
    """the modules of a live model by their paths; none of a file"""
    notices: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    @property
    def unsaid(self) -> str:
        """What notices say of a number that neither a file's tensors nor a live model's attributes hold."""
        return "no module of it says it" if self.live else "the file does not say it"

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def take(self, name: str, *shape: int | None) -> Float:
        """The tensor of that name. Raises `TclifError` unless it is there and has the ``shape`` (None: any size)."""
        if name not in self.arrays:
            raise TclifError(f"{self.where}: no {name}, which a network of {self.family} has", "is it complete?")
        value = self.arrays[name]
        fits = value.ndim == len(shape) and all(s in (None, n) for s, n in zip(shape, value.shape, strict=True))
        if not fits or 0 in value.shape:
            wanted = ", ".join("n" if size is None else str(size) for size in shape)
            raise TclifError(f"{self.where}: {name} has shape {value.shape}", f"expected ({wanted}) of {self.family}")
        self.taken.add(name)
        return value

    def get(self, name: str, *shape: int | None) -> Float | None:
        """The tensor of that name, where there is one."""
        return self.take(name, *shape) if name in self.arrays else None

    def linear(self, path: str, rows: int | None = None) -> tuple[Float, Float]:
        """(weight, bias) of a Linear; a bias that it has not is zero."""
        weight = self.take(f"{path}.weight", rows, None)
        bias = self.get(f"{path}.bias", len(weight))
        return weight, np.zeros(len(weight)) if bias is None else bias

    def clamped(self, name: str, size: int, low: float, high: float) -> Float:
        """A tensor within the limits to which its authors' forward clamps it; a notice says where it was beyond."""
        value = self.take(name, size)
        beyond = int(((value < low) | (value > high)).sum())
        if beyond:
            self.notices.append(
                f"{name}: {beyond} of {size} values lie beyond {low:.6g}..{high:.6g} and are clamped there, as its "
                "authors' forward does"
            )
        return np.clip(value, low, high)

    def attribute(self, path: str, name: str, default: float) -> float:
        """A number of a live module; where nothing says it, the authors' ``default``, with a notice."""
        if path in self.live and hasattr(self.live[path], name):
            return self.said(path, name, default)
        told = f"{name} {default:g}: {self.unsaid}, and its authors' code has this"
        if told not in self.notices:
            self.notices.append(told)
        return default

    def said(self, path: str, name: str, default: float) -> float:
        """A number of a live module, or ``default``. Raises `TclifError` where what stands there is no number."""
        value = getattr(self.live.get(path), name, default)
        return number(value, f"{self.where}: {path}.{name}")

    def threshold(self, path: str, name: str, default: float) -> float:
        """The firing threshold: given by hand, a live module's, or its authors' ``default``."""
        if self.given.threshold is not None:
            return self.given.threshold
        return check_threshold(self.attribute(path, name, default), f"{self.where}: {path}.{name}")

    def refuse_rest(self) -> None:
        """Raise `TclifError` where tensors are left that no layer has taken."""
        rest = [name for name in self.arrays if name not in self.taken]
        if rest:
            raise TclifError(
                f"{self.where}: holds {', '.join(rest):.200}, which no network of {self.family} has",
                "is it the checkpoint of another network?",
            )


def number(value: Any, where: str) -> float:
    """A number, or a tensor of one. Raises `TclifError` for anything else, with what stands ``where``."""
    with contextlib.suppress(TypeError, ValueError, RuntimeError, OverflowError):
        if not isinstance(value, str) and not math.isnan(one := float(value)):
            return one
    shape = getattr(value, "shape", None)
    shown = f"{value!r:.40}" if isinstance(value, int | float | str | None) else f"a {type(value).__name__}"
    raise TclifError(f"{where} is {shown}{'' if not shape else f' of shape {tuple(shape)}'}", "expected a number")


@dataclass
class Chain:
    """Layers one behind the other, each with its weights, and recurrent ones of a step or more."""

    tensors: Tensors
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str, int]] = field(default_factory=list)
    order: list[str] = field(default_factory=list)

    def add(
        self, path: str, neuron: Neuron, weight: Float, bias: Float, *, recurrent: Float | None = None,
        norm: BatchNorm | None = None, delays: Sequence[int] = (0,), late: Sequence[Float] = (),
        gain: Float | None = None,
    ) -> None:  # fmt: skip
        """Neurons behind the last layer.

        ``recurrent`` weights bring their own spikes of the step before. ``norm`` stands behind the weights, ``gain``
        behind that and behind the recurrence. ``late`` are weights for each of ``delays``, in place of ``weight``.
        """
        taken = {node.name or name for name, node in self.nodes.items() if isinstance(node, Population)} | {INPUT}
        name = f"{path}.neuron"
        before = self.order[-1] if self.order else INPUT
        parts = list(zip(delays, late, strict=True)) if late else [(0, weight)]
        if before == INPUT:
            self.nodes[INPUT] = Input(parts[0][1].shape[1])
        self.nodes[name] = Population(neuron, name=unique_name(path, taken))
        ends = [name]
        if gain is not None:
            self.nodes[f"{path}.gain"] = Affine(gain)
            self.edges.append((f"{path}.gain", ends[-1], 0))
            ends.append(f"{path}.gain")
        if recurrent is not None:
            self.nodes[f"{path}.recurrent"] = Affine(recurrent)
            self.edges += [(name, f"{path}.recurrent", 1), (f"{path}.recurrent", ends[-1], 0)]
        if norm is not None:
            self.nodes[f"{path}.norm"] = norm
            self.edges.append((f"{path}.norm", ends[-1], 0))
            ends.append(f"{path}.norm")
        for n, (delay, matrix) in enumerate(parts):
            self.nodes[f"{path}.weight{n}"] = Affine(matrix, bias if n == 0 else None)
            self.edges += [(before, f"{path}.weight{n}", delay), (f"{path}.weight{n}", ends[-1], 0)]
        self.order.append(name)

    def add_readout(self, path: str, alpha: Float, weight: Float, bias: Float, norm: BatchNorm | None = None) -> None:
        """A leaky readout v <- alpha*v + (1 - alpha)*i behind the last layer."""
        neuron = neurons.readout(len(weight), decay=alpha, bias=NO_BIAS)
        self.add(path, neuron, weight, bias, norm=norm, gain=1.0 - alpha)

    def network(self, readout: str, reason: str) -> Network:
        """What the layers make, read by the authors' rule ``readout``; ``reason`` says where it is from."""
        self.tensors.refuse_rest()
        where, notices = self.tensors.where, [f"read as {self.tensors.family}", *self.tensors.notices]
        if self.tensors.given.readout is None:
            notices.append(f"readout {readout}: {reason}")
        nodes = self.nodes | {"output": Output()}
        edges = (*self.edges, (self.order[-1], "output", 0))
        network = lower(NetworkGraph(where, nodes, edges, tuple(notices), tuple(self.order)))
        return network if self.tensors.given.readout is not None else replace(network, readout=Readout.parse(readout))


def split(weight: Float, size: int, where: str) -> tuple[Float, Float]:
    """(weights of the input, recurrent ones) of a Linear that takes both one after the other."""
    sources = weight.shape[1] - size
    if sources < 1:
        raise TclifError(
            f"{where} has shape {weight.shape}: {size} recurrent columns leave none for the input",
            "its authors' layers take the input and their own spikes, one after the other",
        )
    return weight[:, :sources], weight[:, sources:]
