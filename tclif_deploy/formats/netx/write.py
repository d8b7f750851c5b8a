"""Networks of neurons that netx has, written as lava-dl's netx files: see `tclif_deploy.formats.netx.read`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.chains import chain_links
from tclif_deploy.convolution import Conv, Kernel, LinearMap, evenly_padded
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.formats.netx.read import STATE_SHIFT, WEIGHT_LIMIT
from tclif_deploy.formats.netx.read_layers import LONGEST_DELAY, READ_AS_VOLTAGE, UNITY, effective_weights
from tclif_deploy.grid import SAME
from tclif_deploy.hdf5 import write_hdf5
from tclif_deploy.network import INPUT, Connection, Float, Layer, Network

CHAINS = "netx writes nothing else: use --to nir"
THRESHOLD_LIMIT = (1 << 17) - 1
BIAS_LIMIT = (1 << 12) - 1
"""Lava's ``vth`` and ``bias_mant`` (lava-nc, proc/lif/models.py)"""


@dataclass(frozen=True, eq=False)
class _Integers:
    """A layer in netx's numbers."""

    links: tuple[Connection, ...]
    """of whole-number weights"""
    current: int
    voltage: int
    threshold: int
    bias: Float
    delays: NDArray[np.int64] | None = None
    """steps for each weight, where any waits"""
    kind: Literal["layer", "image", "sum"] = "layer"
    """``image``: an input layer with neurons; ``sum``: without neurons, which netx makes a sum over time"""


def fits_netx(network: Network) -> bool:
    """Whether every neuron is of netx's own kind, so that `write_netx` is what writes it."""
    *hidden, last = network.layers
    for layer in (*hidden, *((last,) if last.neuron.spiking else ())):
        n = layer.neuron
        if not n.spiking or n.reset != "hard" or n.b_u.any() or n.r_u.any():
            return False
        if n.input_to == "soma" and (layer is not network.layers[0] or not _is_image(layer)):
            return False
    one_a_layer = all(np.ptp(getattr(last.neuron, name)) == 0 for name in ("a_u", "a_v", "b_v"))
    return last.neuron.spiking or (len(network.layers) > 1 and last.neuron.input_to == "dendrite" and one_a_layer)


def write_netx(network: Network, path: Path | str) -> tuple[str, ...]:
    """Write a chain of CUBA-LIF or LIF layers as lava-dl's netx reads it; returns what rounding changed, in words.

    Matrices become its dense layers, convolutions its conv layers, with a flatten layer between a map and a matrix. A
    last layer that does not fire is written as lava-dl writes one whose voltage is read: without neurons where it is
    netx's sum over time, else with a threshold that is never passed. An image into the first layer's bias, as
    `read_netx` reads it, becomes an input layer with neurons.

    Where a layer carries the unit of integers that are netx's (`tclif_deploy.grid`), those are written. Otherwise
    weights are rounded to 8 bits with one scale a layer, decays to 4096ths, thresholds and biases to the weights'
    units. Netx has no word for a readout: where it is not the usual one, the words returned say that it is lost. Raises
    `TclifError` for layers that netx's neurons cannot be: it has hard resets to 0, > and one threshold and one pair of
    decays a layer.
    """
    layers, messages = [], []
    source = INPUT
    for n, layer in enumerate(network.layers):
        integers, error = (_image(layer), 0.0) if n == 0 and _is_image(layer) else _integers(layer, source)
        layers.append(integers)
        kind = {"layer": "CUBA", "image": "CUBA, an image into its bias", "sum": "the sum over time"}[integers.kind]
        messages.append(f"{layer.name}: {kind}, weights rounded by at most {error:.2g} of the largest")
        source = layer.name

    def fill(file: Any) -> None:
        parts: list[_Integers | tuple[str, tuple[int, ...]]] = []
        shape: tuple[int, ...] = ()
        for integers in layers:
            link = integers.links[0]
            if integers.kind == "image":
                parts.append(integers)
                shape = link.output_shape if link.conv is not None else ()
                continue
            if link.conv is not None and not shape:
                if parts:
                    raise TclifError(f"{path}: netx has no layer that makes a map of a row of neurons", "use --to nir")
                parts.append(("input", link.conv.input_shape))
            if link.conv is None and shape:
                parts.append(("flatten", ()))
            parts.append(integers)
            shape = link.output_shape if link.conv is not None else ()
        for n, part in enumerate(parts):
            group = file.create_group(f"layer/{n}")
            if isinstance(part, _Integers):
                _write_layer(group, part)
                continue
            group.create_dataset("type", (1,), "S10", [part[0].encode()])
            if part[1]:
                group["shape"] = np.array(part[1])

    write_hdf5(path, fill)
    return (*messages, *readout_notice(network))


def readout_notice(network: Network | FixedNetwork) -> tuple[str, ...]:
    """What is lost of a network whose readout is not the usual one."""
    if network.usual_readout:
        return ()
    return (f"the readout {network.readout} is not in the file: netx has no word for it",)


def write_weights(group: Any, links: Sequence[LinearMap]) -> None:
    """A layer's type, shape and whole-number weights: ``links`` are what leads into it, its recurrence second."""
    recurrent, link = len(links) > 1, links[0]
    kind = "conv" if link.conv is not None else "dense_rec" if recurrent else "dense"
    group.create_dataset("type", (1,), "S10", [kind.encode()])
    group["shape"] = np.array(link.output_shape)
    group["weight"] = link.weight.astype(np.int32)
    if link.conv is not None:
        group["inChannels"], group["outChannels"] = link.conv.input_shape[0], len(link.weight)
        group["kernelSize"], group["groups"] = np.array(link.weight.shape[2:]), link.conv.groups
        for name, values in (("stride", link.conv.stride), ("dilation", link.conv.dilation)):
            group[name] = np.array(values)
        group["padding"] = np.array(link.conv.padding[:2])
    else:
        group["inFeatures"], group["outFeatures"] = link.sources, link.neurons
    if recurrent:
        group["weight_rec"] = links[1].weight.astype(np.int32)


def _write_layer(group: Any, integers: _Integers) -> None:
    if integers.kind == "image":
        link = integers.links[0]
        group.create_dataset("type", (1,), "S10", [b"input"])
        group["shape"] = np.array(link.output_shape if link.conv is not None else (link.neurons,))
        group["weight"], group["bias"] = int(link.weight.flat[0]), int(integers.bias[0])
    else:
        write_weights(group, integers.links)
        if integers.bias.any():
            group["bias"] = integers.bias.astype(np.int32)
    if integers.delays is not None:
        group["delay"] = integers.delays
    if integers.kind == "sum":
        return
    neuron = group.create_group("neuron")
    neuron["type"] = "CUBA"
    neuron["iDecay"], neuron["vDecay"], neuron["vThMant"] = integers.current, integers.voltage, integers.threshold
    neuron["refDelay"], neuron["gradedSpike"] = 1, False


def _integers(layer: Layer, source: str) -> tuple[_Integers, float]:
    """(netx's numbers of a layer, the largest relative error of a weight)."""
    n, where = layer.neuron, f"layer {layer.name}"
    links, delays = _links(layer, source)
    if (
        n.type == "tclif"
        or n.b_u.any()
        or n.q.any()
        or n.v0.any()
        or n.u0.any()
        or n.s0.any()
        or (n.spiking and n.r_u.any())
        or n.input_to != "dendrite"
    ):
        raise TclifError(f"{where}: a {n.type} is not one of netx's neurons", "use --to nir, or the Lava backend")
    if n.spiking and (n.reset != "hard" or n.v_reset.any()):
        raise TclifError(f"{where}: netx's CUBA neurons reset to 0, this one does not", "use --to nir")
    for name in ("a_u", "a_v", "threshold", "b_v"):
        if np.ptp(getattr(n, name)) > 0:
            raise TclifError(f"{where}: {name} differs from neuron to neuron, netx has one a layer", "use --to nir")
    gain, theta = float(n.b_v[0]), float(n.threshold[0])
    if gain <= 0:
        raise TclifError(f"{where}: a gain of {gain:g} cannot be written as netx", "use --to nir")
    largest = max(float(np.abs(c.weight).max()) for c in links) * gain
    scale = _own_scale(layer, links, gain) or (largest / WEIGHT_LIMIT if largest else 1.0)
    rounded = tuple(replace(c, weight=np.rint(c.weight * gain / scale)) for c in links)
    if len(links) > 1 and any(c.conv is not None for c in links):
        raise TclifError(f"{where}: netx has no recurrence of convolutions", "use --to nir")
    errors = (float(np.abs(w.weight * scale - c.weight * gain).max()) for w, c in zip(rounded, links, strict=True))
    error = max(errors) / largest if largest else 0.0
    if n.a_u.any() and n.bias_u.any():
        raise TclifError(f"{where}: a bias into the current is not one of netx's", "use --to nir")
    bias = np.rint((n.bias_u * gain + n.bias_v) / scale)
    # v > threshold in whole numbers: a comparator of >= is met by the next lower one where theta/scale is whole
    threshold = READ_AS_VOLTAGE
    if n.spiking:
        threshold = int(np.floor(theta / scale) if n.strict else np.ceil(theta / scale) - 1)
    if not 0 < threshold <= THRESHOLD_LIMIT or np.abs(bias).max() > BIAS_LIMIT:
        raise TclifError(
            f"{where}: its threshold is {threshold} and its bias {np.abs(bias).max():g} in units of the weights",
            f"Loihi holds {THRESHOLD_LIMIT} and {BIAS_LIMIT}",
        )
    current, voltage = (int(np.rint((1 - float(a[0])) * UNITY)) for a in (n.a_u, n.a_v))
    if not n.spiking and (current, voltage) == (0, UNITY) and links[0].conv is None and len(links) == 1:
        return _Integers(tuple(rounded), current, voltage, threshold, bias, delays, "sum"), error
    if not 1 <= current <= UNITY or not 0 <= voltage < UNITY:
        raise TclifError(
            f"{where}: its decays are {current} and {voltage} of {UNITY}",
            f"Lava holds 1 to {UNITY} for the current, 0 to {UNITY - 1} for the voltage",
        )
    if links[0].conv is not None:
        rows = bias[:: links[0].neurons_per_row]
        if not np.array_equal(links[0].per_neuron(rows), bias):
            raise TclifError(f"{where}: its bias differs within a channel, netx has one a channel", "use --to nir")
        bias = rows
    return _Integers(rounded, current, voltage, threshold, bias, delays), error


def _links(layer: Layer, source: str) -> tuple[list[Connection], NDArray[np.int64] | None]:
    """What leads into a layer of a chain, and the steps that each weight waits, where any does."""
    late = layer.connections
    alone = all(c.source == source and c.conv is None for c in late)
    used = sum((c.weight != 0).astype(np.int64) for c in late) if alone else np.zeros(0)
    if not alone or not any(c.delay for c in late) or np.max(used) > 1 or max(c.delay for c in late) > LONGEST_DELAY:
        return [_even(c) for c in chain_links(layer, source, CHAINS)], None
    steps = np.zeros(late[0].weight.shape, np.int64)
    for c in late:
        steps[c.weight != 0] = c.delay
    return [replace(late[0], weight=np.sum([c.weight for c in late], axis=0), delay=0)], steps


def _is_image(layer: Layer) -> bool:
    """Whether a first layer is an input layer of netx, as `read_netx` reads one, with integers of its own."""
    n, (link, *more) = layer.neuron, layer.connections
    if more or layer.grid is None or n.input_to != "soma" or not n.spiking or n.b_v.any() or link.source != INPUT:
        return False
    if link.conv is None:
        operator = (
            link.weight - np.diag(np.diag(link.weight)) if len(link.weight) == link.weight.shape[1] else link.weight
        )
        return not operator.any() and np.ptp(np.diag(link.weight)) == 0
    plain = Kernel(link.weight, Conv(link.conv.input_shape, groups=link.conv.input_shape[0]))
    return bool(link.conv == plain.conv and link.weight.shape[1:] == (1, 1, 1) and np.ptp(link.weight) == 0)


def _image(layer: Layer) -> _Integers:
    """netx's numbers of an input layer with neurons; raises `TclifError` where it has no such numbers."""
    n, where, link = layer.neuron, f"layer {layer.name}", layer.connections[0]
    assert layer.grid is not None
    unit = float(layer.grid.lsb_v[0]) * 2.0**STATE_SHIFT
    factor = link.weight.flat[0] / unit
    numbers = {"threshold": n.threshold / unit, "bias": n.bias_v / unit, "vDecay": (1.0 - n.a_v) * UNITY}
    for name, values in (*numbers.items(), ("weight", np.array([factor]))):
        if np.ptp(values) > 0 or abs(values[0] - np.rint(values[0])) > SAME * max(1.0, abs(values[0])):
            raise TclifError(f"{where}: its {name} is {values[0]:g}, netx has one whole number a layer", "use --to nir")
    if n.reset != "hard" or n.v_reset.any() or n.v0.any() or n.s0.any() or not n.strict:
        raise TclifError(f"{where}: netx's CUBA neurons start at 0, fire above their threshold and reset to 0", CHAINS)
    whole = {name: int(np.rint(values[0])) for name, values in numbers.items()}
    links = (replace(link, weight=np.where(link.weight != 0, np.rint(factor), 0.0)),)
    return _Integers(links, UNITY, whole["vDecay"], whole["threshold"], np.array([whole["bias"]]), None, "image")


def _own_scale(layer: Layer, links: list[Connection], gain: float) -> float | None:
    """The one unit of the layer's weights, where it carries one in which all its numbers are netx's; else None."""
    if layer.grid is None:
        return None
    units = np.unique(np.concatenate(layer.grid.steps)) * gain
    numbers = [c.weight * gain / units[0] for c in links]
    others = np.concatenate([layer.neuron.threshold, layer.neuron.bias_u * gain, layer.neuron.bias_v]) / units[0]
    whole = all(np.abs(x - np.rint(x)).max() <= SAME * max(1.0, np.abs(x).max()) for x in (*numbers, others))
    held = all(np.array_equal(effective_weights(np.rint(x)), np.rint(x)) for x in numbers)
    return float(units[0]) if units.size == 1 and whole and held else None


def _even(connection: Connection) -> Connection:
    """A convolution padded alike on both sides, as netx has it; a matrix as it is."""
    if connection.conv is None:
        return connection
    kernel = evenly_padded(Kernel(connection.weight, connection.conv))
    return replace(connection, weight=kernel.weight, conv=kernel.conv)
