"""Connections as NIR's nodes, and the shapes that convolutions give the nodes around them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tclif_deploy.convolution import Kernel, evenly_padded, regrouped
from tclif_deploy.formats.nir.graph import NotInNir, Primitive
from tclif_deploy.network import INPUT, Connection, Float, Network


def weights_node(connection: Connection, gain: Float, bias: Float, line: bool, where: str) -> Primitive:
    """A connection whose current counts ``gain`` times and brings a ``bias``, both (neurons,), as a node of NIR's.

    A matrix is a Linear or Affine. A convolution is a Conv1d where maps are a ``line``, else a Conv2d, padded alike
    on both sides as NIR has it, in one group and with a square kernel: zeros make up for what is not so. Raises
    `NotInNir` where that cannot be, and where the neurons of a channel differ in gain or bias.
    """
    if connection.conv is None:
        arrays = {"weight": connection.weight * gain[:, None]} | ({"bias": bias} if bias.any() else {})
        return Primitive("Affine" if bias.any() else "Linear", arrays)
    rows = {}
    for name, values in (("gain", gain), ("bias", bias)):
        rows[name] = values[:: connection.neurons_per_row]
        if not np.array_equal(connection.per_neuron(rows[name]), values):
            raise NotInNir(
                f"{where}: the {name} differs within a channel of its convolution, NIR's has one a channel",
                "one bias a channel can be written",
            )
    kernel = _readable(Kernel(connection.weight * rows["gain"][:, None, None, None], connection.conv), line, where)
    conv, axes = kernel.conv, slice(1, 2) if line else slice(0, 2)
    weight = kernel.weight[:, :, 0] if line else kernel.weight
    return Primitive("Conv1d" if line else "Conv2d", {
        "input_shape": np.array(conv.input_shape[1:][axes]), "weight": weight,
        "stride": np.array(conv.stride[axes]), "padding": np.array(conv.padding[:2][axes]),
        "dilation": np.array(conv.dilation[axes]), "groups": np.array(1), "bias": rows["bias"],
    })  # fmt: skip


def is_line(kernel: Kernel) -> bool:
    """Whether it moves along one axis only."""
    top, _, bottom, _ = kernel.conv.padding
    return kernel.conv.input_shape[1] == kernel.weight.shape[2] == 1 and top == bottom == 0


def _readable(kernel: Kernel, line: bool, where: str) -> Kernel:
    """The same convolution in the form whose shapes ``nir.read`` infers rightly: one group and a square kernel.

    nir 1.0.8 takes the channels of a group for all channels and a kernel's height for its width, and refuses the file
    where that is wrong.
    """
    kernel = evenly_padded(kernel)
    if kernel.conv.groups > 1:
        weight = regrouped(kernel, 1)[0]
        kernel = Kernel(weight, replace(kernel.conv, groups=1))
    if line:
        return kernel
    more = abs(kernel.weight.shape[2] - kernel.weight.shape[3])
    axis = 0 if kernel.weight.shape[2] < kernel.weight.shape[3] else 1
    if more % 2:
        raise NotInNir(
            f"{where}: a kernel of {kernel.weight.shape[2]} x {kernel.weight.shape[3]}, padded alike on both sides, "
            "cannot be made square, and nir reads only square ones",
            "use a kernel whose sides are both odd or both even",
        )
    widths, (top, left, _, _) = [(0, 0)] * 4, kernel.conv.padding
    widths[2 + axis] = (more // 2, more // 2)
    around = more // 2 * kernel.conv.dilation[axis]
    top, left = (top + around, left) if axis == 0 else (top, left + around)
    return Kernel(np.pad(kernel.weight, widths), replace(kernel.conv, padding=(top, left, top, left)))


def map_shapes(network: Network) -> Mapping[str, tuple[int, ...]]:
    """Source or layer -> the shape of what leaves it: (channels, height, width) where a convolution begins or ends.

    Where all convolutions move along one axis, (channels, width). Raises `NotInNir` where two of them disagree.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    kernels = [Kernel(c.weight, c.conv) for la in network.layers for c in la.connections if c.conv is not None]
    flat = all(is_line(kernel) for kernel in kernels)
    for layer in network.layers:
        for c in layer.connections:
            if c.conv is None:
                continue
            for name, shape in ((c.source, c.conv.input_shape), (layer.name, c.output_shape)):
                if flat:
                    shape = (shape[0], shape[2])
                if shapes.setdefault(name, shape) != shape:
                    raise NotInNir(f"{name}: is a map of {shapes[name]} and of {shape} at once", "use one of them")
    sizes = {INPUT: network.input_size} | {layer.name: layer.size for layer in network.layers}
    return {name: shapes.get(name, (size,)) for name, size in sizes.items()}
