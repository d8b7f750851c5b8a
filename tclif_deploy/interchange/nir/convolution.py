"""NIR's convolutions and poolings as the matrices that they are.

A network's connections are dense, so a convolution becomes one: exact, but with a number for every pair of
positions. Axes are (channels, height, width), flattened in that order; one dimension is a height of 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tclif_deploy.errors import TclifError
from tclif_deploy.frontends.dataflow import MOST_WEIGHTS
from tclif_deploy.network import Float

SAME = -1.0
"""stands for the padding ``same`` where numbers are read"""

Pair = tuple[int, int]
Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Kernel:
    """Weights (channels out, channels in of a group, height, width) and how they are moved over the input."""

    weight: Float
    stride: Pair
    padding: Pair
    """zeros on each side; `SAME` keeps height and width"""
    dilation: Pair = (1, 1)
    groups: int = 1


def output_shape(kernel: Kernel, shape: Shape, where: str) -> Shape:
    """(channels, height, width) of what comes out for an input of ``shape``; raises `TclifError` where none does."""
    channels, sizes = kernel.weight.shape[0], []
    if shape[0] != kernel.weight.shape[1] * kernel.groups or channels % kernel.groups:
        raise TclifError(
            f"{where}: weight {kernel.weight.shape} in {kernel.groups} groups meets {shape[0]} channels",
            "expected (channels out, channels in / groups, ...)",
        )
    for axis in (0, 1):
        before, after = paddings(kernel, axis)
        reach = kernel.dilation[axis] * (kernel.weight.shape[2 + axis] - 1) + 1
        sizes.append((shape[1 + axis] + before + after - reach) // kernel.stride[axis] + 1)
    if min(sizes) < 1:
        raise TclifError(f"{where}: nothing is left of an input of shape {shape}", "the kernel is larger than it")
    return channels, sizes[0], sizes[1]


def paddings(kernel: Kernel, axis: int) -> Pair:
    """Zeros before and after, along height (0) or width (1)."""
    if kernel.padding[axis] == SAME:
        total = kernel.dilation[axis] * (kernel.weight.shape[2 + axis] - 1)
        return total // 2, total - total // 2
    return kernel.padding[axis], kernel.padding[axis]


def matrix(kernel: Kernel, shape: Shape, where: str) -> Float:
    """The convolution as (outputs, inputs).

    Examples
    --------
    >>> kernel = Kernel(np.array([[[[1.0, 2.0]]]]), (1, 1), (0, 0))
    >>> matrix(kernel, (1, 1, 3), "here").tolist()
    [[1.0, 2.0, 0.0], [0.0, 1.0, 2.0]]
    """
    channels, height, width = output_shape(kernel, shape, where)
    inputs, outputs = int(np.prod(shape)), channels * height * width
    if inputs * outputs > MOST_WEIGHTS:
        raise TclifError(
            f"{where}: as a matrix this convolution has {outputs} x {inputs} weights",
            f"at most {MOST_WEIGHTS} are read",
        )
    found = np.zeros((channels, height * width, shape[0], shape[1] * shape[2]))
    group_out, group_in = channels // kernel.groups, shape[0] // kernel.groups
    rows, columns = np.arange(height), np.arange(width)
    for ky in range(kernel.weight.shape[2]):
        for kx in range(kernel.weight.shape[3]):
            y = rows * kernel.stride[0] + ky * kernel.dilation[0] - paddings(kernel, 0)[0]
            x = columns * kernel.stride[1] + kx * kernel.dilation[1] - paddings(kernel, 1)[0]
            inside = ((y >= 0) & (y < shape[1]))[:, None] & ((x >= 0) & (x < shape[2]))[None, :]
            to = np.flatnonzero(inside)
            start = (y[:, None] * shape[2] + x[None, :])[inside]
            for g in range(kernel.groups):
                out = slice(g * group_out, (g + 1) * group_out)
                found[out, to, g * group_in : (g + 1) * group_in, start] += kernel.weight[out, :, ky, kx]
    return found.reshape(outputs, inputs)


def pooling(channels: int, size: Pair, stride: Pair, padding: Pair, average: bool) -> Kernel:
    """A pooling as the convolution of each channel by itself with equal weights."""
    share = 1.0 / (size[0] * size[1]) if average else 1.0
    return Kernel(np.full((channels, 1, *size), share), stride, padding, groups=channels)
