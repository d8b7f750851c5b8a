"""lava-dl's netx files (``.net``, HDF5), read: input, dense, recurrent and conv layers of Loihi's CUBA neurons.

A netx file holds integers: weights, decays in 4096ths and thresholds in the weights' units. Loihi shifts weights,
bias and threshold left by the same 6 bits, so these shifts cancel; what remains is its truncation of each decay
product towards zero, which the float network does not have. The network carries these units, so that integers for a
target that holds them are the file's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tclif_deploy.convolution import Kernel
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.netx.read_layers import (
    EXPECTED,
    check_kind,
    delays_of,
    dense_weights,
    input_of,
    kernel_of,
    neuron_of,
    readout_of,
    shape_of,
    text_of,
)
from tclif_deploy.graph.lower import lower
from tclif_deploy.graph.nodes import Affine, Input, NetworkGraph, Node, Output, Population
from tclif_deploy.graph.operators import LinearOperator
from tclif_deploy.grid import InputGrid, LayerGrid
from tclif_deploy.hdf5 import DAMAGE, FileReader
from tclif_deploy.network import INPUT, Float, Layer, Network, Neuron
from tclif_deploy.readout import Readout

STATE_SHIFT, STATE_BITS = 6, 24
"""states count 2^-6 of a weight, and have this width: Lava's ``LIF`` of fixed point (lava-nc, proc/lif/models.py)"""
WEIGHT_LIMIT = 127
"""of a written weight; Loihi's signed 8-bit synapses hold it exactly whatever the signs in its layer"""
RECURRENT = {"dense_rec": "weight_rec", "recurrent": "recWeight"}
"""type of a layer -> its recurrent weights, as lava-dl and the SLAYER before it name them; either name is read"""
_TYPES = ("dense", *RECURRENT, "conv", "input", "flatten", "average")


def is_netx(path: Path) -> bool:
    """Whether an HDF5 file has netx's layout, or at least its name."""
    if path.suffix == ".net":
        return True
    try:
        with h5py.File(path, "r") as file:
            return "layer" in file and "node" not in file
    except DAMAGE:
        return False


@np.errstate(all="ignore")  # what floats do not hold becomes inf or NaN, which no neuron or weight may be
def read_netx(path: Path | str) -> Network:
    """The network of a netx file, in units of its integer weights.

    Raises `TclifError` for a layer or a neuron that is not read, by name and number, and for damaged files.
    """
    with FileReader.opened(Path(path), str(path), EXPECTED) as reader:
        content = _Layers(reader, str(path))
        content.read(reader.child(reader.file, "layer", h5py.Group, str(path)))
    network = lower(content.graph())
    layers = tuple(replace(layer, grid=_grid(layer, content.factor)) for layer in network.layers)
    network = replace(network, layers=layers, input_grid=InputGrid(lsb=1.0 / content.factor))
    return network if content.votes is None else network.with_readout(content.votes)


def _grid(layer: Layer, factor: float) -> LayerGrid:
    """Whole weights, decays in 4096ths, and states that count 64ths of a weight: Loihi's shift by 6.

    An image is whole once it was multiplied by its ``factor``, which is then what one of its units weighs.
    """
    unit = np.full(layer.size, 2.0**-STATE_SHIFT)
    steps = tuple(np.full(len(c.weight), factor if c.source == INPUT else 1.0) for c in layer.connections)
    return LayerGrid(STATE_BITS, unit, unit, steps)


@dataclass
class _Layers:
    """The chain of a file's layers, one after the other."""

    reader: FileReader
    where: str
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str, int]] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    """of the map that leaves the last layer, where that is known"""
    notices: list[str] = field(default_factory=list)
    factor: float = 1.0
    """by which an image enters the first layer's bias, where that takes one"""
    votes: Readout | None = None
    """what an average at the end says"""

    def read(self, group: Any) -> None:
        """Everything that is in the file's ``group`` of layers."""
        count = len(group)
        if count == 0 or sorted(group, key=lambda k: (len(k), k)) != [str(n) for n in range(count)]:
            raise TclifError(f"{self.where}: its layers are not numbered from 0", EXPECTED)
        self.notices.append(
            "netx: integers of Loihi, whose truncation of each decay towards zero the float network does not have"
        )
        for n in range(count):
            where = f"{self.where}: layer {n}"
            layer = self.reader.child(group, str(n), h5py.Group, where)
            kind = text_of(self.reader, layer, "type", where)
            if kind not in _TYPES:
                raise TclifError(
                    f"{where}: is of type {kind[:40]!r}, which is not read", f"read are {', '.join(_TYPES)}"
                )
            if self.votes is not None:
                raise TclifError(f"{where}: follows an average", "an average is what the last layer ends in")
            if kind == "input":
                self.input(layer, n, where)
            elif kind == "average":
                self.average(layer, where)
            elif kind == "conv":
                self.conv(layer, n, where, last=n == count - 1)
            elif kind != "flatten":
                self.dense(layer, kind, n, where, last=n == count - 1)

    def graph(self) -> NetworkGraph:
        """All of them; raises `TclifError` where there is none."""
        if not self.order:
            raise TclifError(f"{self.where}: no layer with neurons in it", EXPECTED)
        nodes = self.nodes | {"output": Output()}
        edges = (*self.edges, (self.order[-1], "output", 0))
        return NetworkGraph(self.where, nodes, edges, tuple(self.notices), tuple(self.order))

    def input(self, layer: Any, n: int, where: str) -> None:
        if self.order:
            raise TclifError(f"{where}: an input layer follows others", "it is the first one")
        if "shape" in layer:
            self.shape = shape_of(self.reader, layer, where)
        if check_kind(self.reader, layer, where):
            weight, neuron = input_of(self.reader, layer, self.shape, where, self.notices)
            row = weight.weight if isinstance(weight, Kernel) else weight
            self.factor = float(np.abs(row).max()) or 1.0
            self.add(n, (weight,), (0,), neuron)

    def average(self, layer: Any, where: str) -> None:
        """lava-dl's mean of neighbouring neurons' spikes: votes for as many classes as its shape says."""
        classes = shape_of(self.reader, layer, where)[0]
        last = self.nodes[self.order[-1]] if self.order else None
        if not isinstance(last, Population) or last.neuron.size % classes or not last.neuron.spiking:
            raise TclifError(f"{where}: an average over {classes} groups of neurons follows no such groups", EXPECTED)
        self.votes = Readout("count", votes=last.neuron.size // classes)

    def conv(self, layer: Any, n: int, where: str, last: bool) -> None:
        own = check_kind(self.reader, layer, where)
        kernel = kernel_of(self.reader, layer, self.shape, where)
        if "delay" in layer and self.reader.array(layer, "delay", where).any():
            raise TclifError(
                f"{where}: delays of a conv layer are not read: lava-dl's netx leaves them out", "train without delays"
            )
        self.shape = kernel.output_shape
        self.add(n, (kernel,), (0,), self.neuron(layer, kernel, kernel.neurons, where, own, last))

    def dense(self, layer: Any, kind: str, n: int, where: str, last: bool) -> None:
        own, recurrent = check_kind(self.reader, layer, where), kind in RECURRENT
        names = ["weight"]
        if recurrent:
            found = [name for name in (RECURRENT[kind], *RECURRENT.values()) if name in layer]
            names.append((found or [RECURRENT[kind]])[0])
        matrices = dense_weights(self.reader, layer, names, where)
        weight = matrices[0]
        steps = delays_of(self.reader, layer, (len(weight), weight.shape[1]), where, self.notices)
        self.shape = ()
        neuron = self.neuron(layer, weight, len(weight), where, own, last and not recurrent)
        if steps is None:
            self.add(n, (weight,), (0,), neuron, matrices[1:])
            return
        if recurrent:
            raise TclifError(
                f"{where}: delays beside recurrent weights are not read: lava-dl's netx runs both without the exponent "
                "of their weights, and its training delays what leaves the layer alone",
                "train without delays, or without recurrence",
            )
        delays = tuple(int(d) for d in np.unique(steps))
        self.add(n, tuple(np.where(steps == d, weight, 0.0) for d in delays), delays, neuron)

    def neuron(self, layer: Any, weight: LinearOperator, size: int, where: str, own: bool, last: bool) -> Neuron:
        if last:
            readout = readout_of(self.reader, layer, weight, size, where, self.notices)
            if readout is not None:
                return readout
        if not own:
            raise TclifError(f"{where}: has no neurons", "only the last layer may be without; lava-dl's netx sums it")
        return neuron_of(self.reader, layer, weight, size, where, self.notices)

    def add(
        self, n: int, weights: tuple[LinearOperator, ...], delays: tuple[int, ...], neuron: Neuron,
        recurrent: tuple[Float, ...] = (),
    ) -> None:  # fmt: skip
        """Neurons behind the last ones, with one weight for each delay, and their ``recurrent`` one."""
        name, first = f"layer{n}", weights[0]
        self.nodes.setdefault(INPUT, Input(first.sources if isinstance(first, Kernel) else first.shape[-1]))
        before = self.order[-1] if self.order else INPUT
        for source, kind, matrices, steps in (
            (before, "weight", weights, delays), (name, "weight_rec", recurrent, (1,)),
        ):  # fmt: skip
            for matrix, delay in zip(matrices, steps, strict=False):
                node = f"{name}.{kind}" if len(matrices) == 1 else f"{name}.{kind}{delay}"
                self.nodes[node] = Affine(matrix)
                self.edges += [(source, node, delay), (node, name, 0)]
        self.nodes[name] = Population(neuron)
        self.order.append(name)
