"""lava-dl's netx files (``.net``, HDF5): dense and recurrent layers of Loihi's CUBA neurons.

A netx file holds integers: weights, decays in 4096ths and thresholds in the weights' units. Loihi shifts weights,
bias and threshold left by the same 6 bits, so these shifts cancel; what remains is its truncation of each decay
product towards zero, which the float network does not have.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tclif_deploy import neurons
from tclif_deploy.errors import TclifError
from tclif_deploy.frontends.parts import unique_name
from tclif_deploy.interchange.nir.hdf5 import DAMAGE, FileReader
from tclif_deploy.network import INPUT, Connection, Float, Layer, Network

UNITY = 4096
"""a decay of 1: lava-dl's ``w_scale`` of 12 bits"""
WEIGHT_LIMIT = 127
"""of a written weight; Loihi's signed 8-bit synapses hold it exactly whatever the signs in its layer"""
THRESHOLD_LIMIT = (1 << 17) - 1
BIAS_LIMIT = (1 << 12) - 1
"""Lava's ``vth`` and ``bias_mant`` (lava-nc, proc/lif/models.py)"""
EXPECTED = "expected a netx file of dense layers with CUBA neurons, as lava-dl's export_hdf5 writes it"
_TYPES = ("dense", "dense_rec", "input", "flatten")


def is_netx(path: Path) -> bool:
    """Whether an HDF5 file has netx's layout, or at least its name."""
    if path.suffix == ".net":
        return True
    try:
        with h5py.File(path, "r") as file:
            return "layer" in file and "node" not in file
    except DAMAGE:
        return False


def read_netx(path: Path | str) -> Network:
    """The network of a netx file, in units of its integer weights.

    Raises `TclifError` for a layer or a neuron that is not read, by name and number, and for damaged files.
    """
    path = Path(path)
    try:
        with h5py.File(path, "r") as file:
            reader = FileReader(str(path), path.stat().st_size)
            return _read(reader, reader.child(file, "layer", h5py.Group, str(path)), str(path))
    except DAMAGE as error:
        raise TclifError(f"{path}: damaged or not HDF5 ({' '.join(str(error).split())[:150]})", EXPECTED) from error


def _read(reader: FileReader, group: Any, where: str) -> Network:
    count = len(group)
    if count == 0 or sorted(group, key=lambda k: (len(k), k)) != [str(n) for n in range(count)]:
        raise TclifError(f"{where}: its layers are not numbered from 0", EXPECTED)
    layers: list[Layer] = []
    source, taken, size = INPUT, {INPUT}, 0
    for n in range(count):
        here = f"{where}: layer {n}"
        layer = reader.child(group, str(n), h5py.Group, here)
        kind = _text(reader, layer, "type", here)
        if kind not in _TYPES:
            raise TclifError(f"{here}: is of type {kind[:40]!r}, which is not read", f"read are {', '.join(_TYPES)}")
        if kind == "input" and "neuron" in layer:
            raise TclifError(f"{here}: an input layer with neurons of its own is not read", "feed the spikes directly")
        if kind in ("input", "flatten"):
            continue
        weight = _weights(reader, layer, "weight", here)
        links = [Connection(source, weight)]
        name = unique_name(f"layer{n}", taken)
        if kind == "dense_rec":
            links.append(Connection(name, _weights(reader, layer, "weight_rec", here), delay=1))
        if "delay" in layer and reader.array(layer, "delay", here).any():
            raise TclifError(f"{here}: synaptic or axonal delays are not read", "train without delays")
        size = size or weight.shape[1]
        layers.append(Layer(name, _neuron(reader, layer, len(weight), here), tuple(links)))
        source = name
    if not layers:
        raise TclifError(f"{where}: no dense layer in it", EXPECTED)
    try:
        notice = "netx: integers of Loihi, whose truncation of each decay towards zero the float network does not have"
        return Network(size, tuple(layers), (notice,))
    except TclifError as error:
        raise TclifError(f"{where}: {error.what}", error.hint) from error


def _weights(reader: FileReader, layer: Any, name: str, where: str) -> Float:
    weight = reader.array(layer, name, where)
    if weight.ndim != 2 or 0 in weight.shape:
        raise TclifError(f"{where}: {name} has shape {weight.shape}", "expected (neurons, sources)")
    if (weight % 1).any() or np.abs(weight).max() > 256:
        raise TclifError(f"{where}: {name} reaches {np.abs(weight).max():g}", "expected whole numbers up to 256")
    return effective_weights(weight)


def effective_weights(weight: Float) -> Float:
    """What Loihi's synapses make of a layer's weights: with both signs, beyond 8 bits, the lowest bit is lost.

    As lava-dl's ``optimize_weight_bits`` clips them and Lava's Dense truncates them.

    Examples
    --------
    >>> effective_weights(np.array([[129.0, -3.0]])), effective_weights(np.array([[29.0, -3.0]]))
    (array([[128.,  -4.]]), array([[29., -3.]]))
    """
    mixed = weight.max() >= 0 > weight.min()
    if mixed and (weight.max() > WEIGHT_LIMIT or weight.min() < -WEIGHT_LIMIT - 1):
        return np.asarray(np.floor(np.clip(weight, -256, 254) / 2) * 2)
    return np.clip(weight, -256, 255)


def _neuron(reader: FileReader, layer: Any, size: int, where: str) -> Any:
    if "neuron" not in layer:
        raise TclifError(f"{where}: has no neurons", EXPECTED)
    group = reader.child(layer, "neuron", h5py.Group, where)
    kind = _text(reader, group, "type", where)
    if kind == "TCLIF":
        raise TclifError(f"{where}: holds a compiled network's integers", "read the model that it was compiled from")
    if kind not in ("CUBA", "LOIHI"):
        raise TclifError(f"{where}: {kind[:40]!r} neurons are not read", "read are CUBA")

    def number(name: str) -> float:
        value = reader.array(group, name, where)
        if value.size != 1:
            raise TclifError(f"{where}: {name} has {value.size} values, expected one")
        return float(value.reshape(()))

    for name, allowed in (("refDelay", (0.0, 1.0)), ("gradedSpike", (0.0,))):
        if name in group and _flag(reader, group, name, where) not in allowed:
            reason = "a refractory period counts steps" if name == "refDelay" else "spikes of this machine are 0 or 1"
            raise TclifError(f"{where}: {name} is {_flag(reader, group, name, where):g}, which is not read: {reason}")
    current, voltage, threshold = number("iDecay"), number("vDecay"), number("vThMant")
    for name, value in (("iDecay", current), ("vDecay", voltage)):
        if not 0 <= value <= UNITY or value % 1:
            raise TclifError(f"{where}: {name} is {value:g}", f"expected a whole number from 0 to {UNITY}")
    bias = np.zeros(size)
    if "bias" in layer:
        bias = reader.array(layer, "bias", where).reshape(-1)
        if bias.size not in (1, size):
            raise TclifError(f"{where}: bias has {bias.size} values, the layer {size} neurons")
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
        reader.account(data, name, where)
        return str(data[0].decode("utf8", errors="replace"))
    return reader.text(group, name, where)


@dataclass(frozen=True, eq=False)
class _Integers:
    """A layer in netx's numbers."""

    weights: tuple[Float, ...]
    current: int
    voltage: int
    threshold: int
    bias: Float


def fits_netx(network: Network) -> bool:
    """Whether every neuron is of netx's own kind, so that `write_netx` is what writes it."""
    return all(la.neuron.spiking and la.neuron.reset == "hard" and not la.neuron.b_u.any() for la in network.layers)


def write_netx(network: Network, path: Path | str) -> tuple[str, ...]:
    """Write a chain of CUBA-LIF or LIF layers as lava-dl's netx reads it; returns what rounding changed, in words.

    Weights are rounded to 8 bits with one scale a layer, decays to 4096ths, thresholds and biases to the weights'
    units. Raises `TclifError` for layers that netx's neurons cannot be: it has hard resets to 0, > and one threshold
    and one pair of decays a layer.
    """
    layers, told = [], []
    source = INPUT
    for n, layer in enumerate(network.layers):
        if not layer.neuron.spiking and n == len(network.layers) - 1:
            raise TclifError(f"layer {layer.name}: netx has no readout without spikes", "end in a spiking layer")
        found, error = _integers(layer, source)
        layers.append(found)
        told.append(f"{layer.name}: CUBA, weights rounded by at most {error:.2g} of the largest")
        source = layer.name

    def fill(file: Any) -> None:
        for n, found in enumerate(layers):
            _write_layer(file.create_group(f"layer/{n}"), found)

    save_hdf5(path, fill)
    return tuple(told)


def save_hdf5(path: Path | str, fill: Callable[[Any], None]) -> None:
    """An HDF5 file with what ``fill`` puts into it, there whole or not at all; `TclifError` where it cannot be."""
    path, buffer = Path(path), io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(buffer.getbuffer())
        os.replace(temporary, path)
    except OSError as error:
        raise TclifError(f"{path}: cannot be written ({error.strerror})", "choose another path") from error
    finally:
        temporary.unlink(missing_ok=True)


def _write_layer(group: Any, found: _Integers) -> None:
    recurrent = len(found.weights) > 1
    size, sources = found.weights[0].shape
    group.create_dataset("type", (1,), "S10", [b"dense_rec" if recurrent else b"dense"])
    group["shape"] = np.array([size])
    group["inFeatures"], group["outFeatures"] = sources, size
    group["weight"] = found.weights[0].astype(np.int32)
    if recurrent:
        group["weight_rec"] = found.weights[1].astype(np.int32)
    if found.bias.any():
        group["bias"] = found.bias.astype(np.int32)
    neuron = group.create_group("neuron")
    neuron["type"] = "CUBA"
    neuron["iDecay"], neuron["vDecay"], neuron["vThMant"] = found.current, found.voltage, found.threshold
    neuron["refDelay"], neuron["gradedSpike"] = 1, False


def _integers(layer: Layer, source: str) -> tuple[_Integers, float]:
    """(netx's numbers of a layer, the largest relative error of a weight)."""
    n, where = layer.neuron, f"layer {layer.name}"
    links = sorted(layer.connections, key=lambda c: c.source == layer.name)
    if [(c.source, c.delay) for c in links] not in ([(source, 0)], [(source, 0), (layer.name, 1)]):
        raise TclifError(f"{where}: netx writes chains, and recurrence of one step within a layer", "use --to nir")
    if n.type == "tclif" or n.b_u.any() or n.q.any() or n.v0.any() or n.input_to != "dendrite":
        raise TclifError(f"{where}: a {n.type} is not one of netx's neurons", "use --to nir, or the Lava backend")
    if n.reset != "hard" or n.v_reset.any():
        raise TclifError(f"{where}: netx's CUBA neurons reset to 0, this one does not", "use --to nir")
    for name in ("a_u", "a_v", "threshold", "b_v"):
        if np.ptp(getattr(n, name)) > 0:
            raise TclifError(f"{where}: {name} differs from neuron to neuron, netx has one a layer", "use --to nir")
    gain, theta = float(n.b_v[0]), float(n.threshold[0])
    if gain <= 0:
        raise TclifError(f"{where}: a gain of {gain:g} cannot be written as netx", "use --to nir")
    largest = max(float(np.abs(c.weight).max()) for c in links) * gain
    scale = largest / WEIGHT_LIMIT if largest else 1.0
    weights = tuple(np.rint(c.weight * gain / scale) for c in links)
    error = max(float(np.abs(w * scale - c.weight * gain).max()) for w, c in zip(weights, links, strict=True)) / largest
    if n.a_u.any() and n.bias_u.any():
        raise TclifError(f"{where}: a bias into the current is not one of netx's", "use --to nir")
    bias = np.rint((n.bias_u * gain + n.bias_v) / scale)
    # v > threshold in whole numbers: a comparator of >= is met by the next lower one where theta/scale is whole
    threshold = int(np.floor(theta / scale) if n.strict else np.ceil(theta / scale) - 1)
    if not 0 < threshold <= THRESHOLD_LIMIT or np.abs(bias).max() > BIAS_LIMIT:
        raise TclifError(
            f"{where}: its threshold is {threshold} and its bias {np.abs(bias).max():g} in units of the weights",
            f"Loihi holds {THRESHOLD_LIMIT} and {BIAS_LIMIT}",
        )
    current, voltage = (int(np.rint((1 - float(a[0])) * UNITY)) for a in (n.a_u, n.a_v))
    if not 1 <= current <= UNITY or not 0 <= voltage < UNITY:
        raise TclifError(
            f"{where}: its decays are {current} and {voltage} of {UNITY}",
            f"Lava holds 1 to {UNITY} for the current, 0 to {UNITY - 1} for the voltage",
        )
    return _Integers(weights, current, voltage, threshold, bias), error
