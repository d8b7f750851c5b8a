"""Convolutions in the form that Lava's Conv takes: padding alike on both sides, and numbers that its 8 bits hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.convolution import Conv, Kernel, regrouped
from tclif_deploy.errors import TclifError

MOST = 127
"""Conv keeps kernel size, stride, padding, dilation and groups in int8"""


def symmetric(kernel: Kernel, where: str) -> Kernel:
    """The same convolution; zeros in the kernel make up for padding that differs from side to side.

    Where there are more groups than Conv holds, several become one, with zeros. Raises `TclifError` for a kernel,
    stride, padding or dilation that is too large.
    """
    groups = max(g for g in range(1, MOST + 1) if kernel.conv.groups % g == 0)
    weight: NDArray[np.generic] = kernel.weight
    if groups != kernel.conv.groups:
        weight = regrouped(kernel, groups).reshape(len(weight), -1, *weight.shape[2:])
    padding, dilation = list(kernel.conv.padding), list(kernel.conv.dilation)
    for axis in (0, 1):
        before, after = padding[axis], padding[axis + 2]
        if (after - before) % dilation[axis]:
            weight, dilation[axis] = _spread(weight, 2 + axis, dilation[axis]), 1
        more = [(0, 0)] * 4
        more[2 + axis] = (max(after - before, 0) // dilation[axis], max(before - after, 0) // dilation[axis])
        weight = np.pad(weight, more)
        padding[axis] = padding[axis + 2] = max(before, after)
    largest = max(*weight.shape[2:], *kernel.conv.stride, *padding, *dilation)
    if largest > MOST:
        raise TclifError(
            f"{where}: a kernel, stride, padding or dilation of {largest}, Lava's Conv holds up to {MOST}",
            "use another backend",
        )
    top, left, bottom, right = padding
    conv = Conv(
        kernel.conv.input_shape, kernel.conv.stride, (top, left, bottom, right), (dilation[0], dilation[1]), groups
    )
    return Kernel(weight, conv)


def _spread(weight: NDArray[np.generic], axis: int, dilation: int) -> NDArray[np.generic]:
    """Zeros between the weights instead of a dilation."""
    shape = list(weight.shape)
    shape[axis] = dilation * (shape[axis] - 1) + 1
    found = np.zeros(shape, weight.dtype)
    place = [slice(None)] * weight.ndim
    place[axis] = slice(None, None, dilation)
    found[tuple(place)] = weight
    return found
