"""lava-dl's netx files (``.net``, HDF5), read: dense, recurrent and conv layers of Loihi's CUBA neurons.

A netx file holds integers: weights, decays in 4096ths and thresholds in the weights' units. Loihi shifts weights,
bias and threshold left by the same 6 bits, so these shifts cancel; what remains is its truncation of each decay
product towards zero, which the float network does not have. The network carries these units, so that integers for a
target that holds them are the file's own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tclif_deploy import neurons
from tclif_deploy.convolution import Conv, Kernel
from tclif_deploy.errors import TclifError
from tclif_deploy.graph.lower import lower
from tclif_deploy.graph.nodes import Affine, Input, NetworkGraph, Node, Output, Population
from tclif_deploy.grid import InputGrid, LayerGrid
from tclif_deploy.hdf5 import DAMAGE, FileReader
from tclif_deploy.network import INPUT, Float, Layer, Network, Neuron

UNITY = 4096
"""a decay of 1: lava-dl's ``w_scale`` of 12 bits"""
STATE_SHIFT, STATE_BITS = 6, 24
"""states count 2^-6 of a weight, and have this width: Lava's ``LIF`` of fixed point (lava-nc, proc/lif/models.py)"""
WEIGHT_LIMIT = 127
"""of a written weight; Loihi's signed 8-bit synapses hold it exactly whatever the signs in its layer"""
EXPECTED = "expected a netx file of dense and conv layers with CUBA neurons, as lava-dl's export_hdf5 writes it"
_TYPES = ("dense", "dense_rec", "conv", "input", "flatten")


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
        graph = _graph(reader, reader.child(reader.file, "layer", h5py.Group, str(path)), str(path))
    network = lower(graph)
    layers = tuple(replace(layer, grid=_grid(layer)) for layer in network.layers)
    return replace(network, layers=layers, input_grid=InputGrid(lsb=1.0))


def _grid(layer: Layer) -> LayerGrid:
    """Whole weights, decays in 4096ths, and states that count 64ths of a weight: Loihi's shift by 6."""
    unit = np.full(layer.size, 2.0**-STATE_SHIFT)
    steps = tuple(np.ones(len(c.weight)) for c in layer.connections)
    return LayerGrid(STATE_BITS, unit, unit, steps)


def _graph(reader: FileReader, group: Any, where: str) -> NetworkGraph:
    count = len(group)
    if count == 0 or sorted(group, key=lambda k: (len(k), k)) != [str(n) for n in range(count)]:
        raise TclifError(f"{where}: its layers are not numbered from 0", EXPECTED)
    nodes: dict[str, Node] = {}
    edges: list[tuple[str, str, int]] = []
    order: list[str] = []
    shape: tuple[int, ...] = ()
    notices = ["netx: integers of Loihi, whose truncation of each decay towards zero the float network does not have"]
    for n in range(count):
        layer_where = f"{where}: layer {n}"
        layer = reader.child(group, str(n), h5py.Group, layer_where)
        kind = _text(reader, layer, "type", layer_where)
        if kind not in _TYPES:
            raise TclifError(
                f"{layer_where}: is of type {kind[:40]!r}, which is not read", f"read are {', '.join(_TYPES)}"
            )
        if kind == "input" and "neuron" in layer:
            raise TclifError(
                f"{layer_where}: an input layer with neurons of its own is not read", "feed the spikes directly"
            )
        if kind == "input" and "shape" in layer:
            shape = _shape(reader, layer, layer_where)
        if kind in ("input", "flatten"):
            continue
        weight: Float | Kernel
        if kind == "conv":
            weight = _kernel(reader, layer, shape, layer_where)
            shape, sources, size = weight.output_shape, weight.sources, weight.neurons
        else:
            weight = _weights(reader, layer, "weight", layer_where)
            shape, (size, sources) = (), weight.shape
        name = f"layer{n}"
        nodes.setdefault(INPUT, Input(sources))
        nodes[f"{name}.weight"] = Affine(weight)
        edges += [(order[-1] if order else INPUT, f"{name}.weight", 0), (f"{name}.weight", name, 0)]
        if kind == "dense_rec":
            recurrent = _weights(reader, layer, "weight_rec", layer_where)
            nodes[f"{name}.weight_rec"] = Affine(recurrent)
            edges += [(name, f"{name}.weight_rec", 1), (f"{name}.weight_rec", name, 0)]
        if "delay" in layer and reader.array(layer, "delay", layer_where).any():
            raise TclifError(f"{layer_where}: synaptic or axonal delays are not read", "train without delays")
        nodes[name] = Population(_neuron(reader, layer, weight, size, layer_where, notices))
        order.append(name)
    if not order:
        raise TclifError(f"{where}: no layer with neurons in it", EXPECTED)
    nodes["output"] = Output()
    edges.append((order[-1], "output", 0))
    return NetworkGraph(where, nodes, tuple(edges), tuple(notices), tuple(order))


def _weights(reader: FileReader, layer: Any, name: str, where: str) -> Float:
    weight = reader.array(layer, name, where)
    if weight.ndim != 2 or 0 in weight.shape:
        raise TclifError(f"{where}: {name} has shape {weight.shape}", "expected (neurons, sources)")
    if (weight % 1).any() or np.abs(weight).max() > 256:
        raise TclifError(f"{where}: {name} reaches {np.abs(weight).max():g}", "expected whole numbers up to 256")
    return effective_weights(weight)


def _shape(reader: FileReader, layer: Any, where: str) -> tuple[int, ...]:
    """A layer's (channels, height, width), or (neurons,)."""
    values = reader.array(layer, "shape", where).reshape(-1)
    if not 1 <= values.size <= 3 or (values < 1).any() or (values % 1).any():
        raise TclifError(f"{where}: shape is {values.tolist()}", "expected (channels, height, width)")
    return tuple(int(v) for v in values)


def _kernel(reader: FileReader, layer: Any, shape: tuple[int, ...], where: str) -> Kernel:
    """A convolution of maps of ``shape``; Lava's Conv takes its weights as they are."""
    weight = reader.array(layer, "weight", where)
    weight = weight[..., 0] if weight.ndim == 5 and weight.shape[4] == 1 else weight
    if weight.ndim != 4 or 0 in weight.shape or (weight % 1).any() or np.abs(weight).max() > 256:
        raise TclifError(
            f"{where}: weight has shape {weight.shape} and reaches {np.abs(weight).max(initial=0):g}",
            "expected whole numbers up to 256, (channels out, channels in / groups, height, width)",
        )
    if len(shape) != 3:
        raise TclifError(f"{where}: its input's shape is not known", "put an input layer with a shape before it")

    def pair(name: str, least: int) -> tuple[int, int]:
        values = reader.array(layer, name, where).reshape(-1)
        if values.size not in (1, 2) or (values % 1).any() or (values < least).any():
            raise TclifError(f"{where}: {name} is {values.tolist()}", f"expected whole numbers of at least {least}")
        return int(values[0]), int(values[-1])

    stride, padding, dilation = pair("stride", 1), pair("padding", 0), pair("dilation", 1)
    try:
        conv = Conv((shape[0], shape[1], shape[2]), stride, (*padding, *padding), dilation, pair("groups", 1)[0])
        kernel = Kernel(weight, conv)
    except TclifError as error:
        raise TclifError(f"{where}: {error.what}", error.hint) from error
    if _shape(reader, layer, where) != kernel.output_shape:
        declared = _shape(reader, layer, where)
        raise TclifError(f"{where}: shape is {declared}, its convolution gives {kernel.output_shape}", "is it damaged?")
    return kernel


def effective_weights(weight: Float) -> Float:
    """What Loihi's synapses hold of a layer's weights: -256 to 254 where signs are mixed, else up to 255 of either.

    As lava-dl's ``optimize_weight_bits`` and Lava's Dense clip them. Beyond 127 of mixed signs the first asks for a
    ninth bit where one is odd, so that the second truncates none away.

    Examples
    --------
    >>> effective_weights(np.array([[129.0, -3.0]])), effective_weights(np.array([[256.0, -3.0]]))
    (array([[129.,  -3.]]), array([[254.,  -3.]]))
    """
    mixed = weight.max() >= 0 > weight.min()
    return np.clip(weight, -256 if mixed else -255, 254 if mixed else 255)


def _neuron(
    reader: FileReader, layer: Any, weight: Float | Kernel, size: int, where: str, notices: list[str]
) -> Neuron:
    if "neuron" not in layer:
        raise TclifError(f"{where}: has no neurons", EXPECTED)
    group = reader.child(layer, "neuron", h5py.Group, where)
    kind = _text(reader, group, "type", where)
    if kind == "TCLIF":
        raise TclifError(f"{where}: holds a compiled network's integers", "read the model that it was compiled from")
    if kind not in ("CUBA", "LOIHI"):
        raise TclifError(f"{where}: {kind[:40]!r} neurons are not read", "read are CUBA")

    def values(name: str) -> Float:
        """One number for all neurons, or (not ``shared_param``) one for each, or for each channel of a map."""
        value = reader.array(group, name, where).reshape(-1)
        if isinstance(weight, Kernel) and value.size == len(weight.weight):
            value = weight.per_neuron(value)
        if value.size not in (1, size):
            raise TclifError(f"{where}: {name} has {value.size} values, the layer {size} neurons")
        return value if value.size == size else value.reshape(())

    for name, allowed in (("refDelay", (0.0, 1.0)), ("gradedSpike", (0.0,))):
        if name in group and _flag(reader, group, name, where) not in allowed:
            reason = "a refractory period counts steps" if name == "refDelay" else "spikes of this machine are 0 or 1"
            raise TclifError(f"{where}: {name} is {_flag(reader, group, name, where):g}, which is not read: {reason}")
    current, voltage, threshold = values("iDecay"), values("vDecay"), values("vThMant")
    for name, value in (("iDecay", current), ("vDecay", voltage)):
        wrong = value[(value < 0) | (value > UNITY) | (value % 1 != 0)]
        if wrong.size:
            raise TclifError(
                f"{where}: {name} is {wrong.reshape(-1)[0]:g}", f"expected a whole number from 0 to {UNITY}"
            )
    bias = np.zeros(size)
    if "bias" in layer:
        bias = reader.array(layer, "bias", where).reshape(-1)
        if isinstance(weight, Kernel) and bias.size == len(weight.weight):
            bias = weight.per_neuron(bias)
        if bias.size not in (1, size):
            raise TclifError(f"{where}: bias has {bias.size} values, the layer {size} neurons")
        if (bias % 1).any():
            notices.append(
                f"layer {where.rpartition(' ')[2]}: fractions of its biases are cut off, as lava-dl's netx does"
            )
            bias = np.trunc(bias)
    return neurons.cuba_lif(
        size, current_decay=current / UNITY, voltage_decay=voltage / UNITY, threshold=threshold, bias_v=bias
    )


def _flag(reader: FileReader, group: Any, name: str, where: str) -> float:
    data = reader.child(group, name, h5py.Dataset, where)
    if data.dtype.kind == "b" and data.shape == ():
        return float(bool(data[()]))
    return float(reader.array(group, name, where).reshape(-1)[0])


def _text(reader: FileReader, group: Any, name: str, where: str) -> str:
    """A string, alone or as the only element of an array, as netx has both."""
    data = reader.child(group, name, h5py.Dataset, where)
    if data.dtype.kind == "S" and data.shape == (1,) and data.dtype.itemsize <= 100:
        reader.count_bytes(data, name, where)
        return str(data[0].decode("utf8", errors="replace"))
    return reader.text(group, name, where)
