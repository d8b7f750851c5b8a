"""Convolutions driven by events: one input value, added through the kernel into all positions that see it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.convolution import Conv, LinearMap
from tclif_deploy.fixed import Int
from tclif_deploy.jit import helper

(
    OUTPUTS, POSITIONS, SIZE, WIDTH, ROWS, COLUMNS, KERNEL_Y, KERNEL_X, STRIDE_Y, STRIDE_X, DILATION_Y, DILATION_X,
    TOP, LEFT, GROUP_IN, GROUP_OUT,
) = range(16)  # fmt: skip
"""A convolution's numbers: channels out, positions of an output map, elements and width of an input map, height and
width of an output map, the kernel's, and channels of a group."""


NO_CONVOLUTION = (0,) * (GROUP_OUT + 1)
"""those of a matrix"""


def shape_of(connection: LinearMap) -> tuple[int, ...]:
    """Those numbers; `NO_CONVOLUTION` for a matrix."""
    conv = connection.conv
    if conv is None:
        return NO_CONVOLUTION
    outputs, rows, columns = connection.output_shape
    height, width = conv.input_shape[1:]
    kernel, within = connection.weight.shape[2:], connection.weight.shape[1]
    return (
        outputs, rows * columns, height * width, width, rows, columns, *kernel, *conv.stride, *conv.dilation,
        *conv.padding[:2], within, outputs // conv.groups,
    )  # fmt: skip


def weights_of(connection: LinearMap) -> NDArray[Any]:
    """All weights, flat: one source's after the other, or by (channel in, y, x, channel out in the group)."""
    return flat(connection.weight, connection.conv)


def flat(weight: NDArray[Any], conv: Conv | None) -> NDArray[Any]:
    """`weights_of` of a connection with this ``weight``."""
    if conv is None:
        return np.ascontiguousarray(weight.T).reshape(-1)
    out, *rest = weight.shape
    grouped = weight.reshape(conv.groups, out // conv.groups, *rest)
    return np.ascontiguousarray(grouped.transpose(0, 2, 3, 4, 1)).reshape(-1)


@helper
def scatter(sums: Int, value: int, source: int, shape: Int, weights: Int) -> None:
    """Add ``value`` of a source to ``sums``, which stand in the order (y, x, channel out)."""
    channel, place = source // shape[SIZE], source % shape[SIZE]
    y, x = place // shape[WIDTH] + shape[TOP], place % shape[WIDTH] + shape[LEFT]
    first, count = channel // shape[GROUP_IN] * shape[GROUP_OUT], shape[GROUP_OUT]
    for kernel_y in range(shape[KERNEL_Y]):
        down = y - kernel_y * shape[DILATION_Y]
        row = down // shape[STRIDE_Y]
        if down < 0 or down % shape[STRIDE_Y] != 0 or row >= shape[ROWS]:
            continue
        for kernel_x in range(shape[KERNEL_X]):
            right = x - kernel_x * shape[DILATION_X]
            column = right // shape[STRIDE_X]
            if right < 0 or right % shape[STRIDE_X] != 0 or column >= shape[COLUMNS]:
                continue
            to = (row * shape[COLUMNS] + column) * shape[OUTPUTS] + first
            at = ((channel * shape[KERNEL_Y] + kernel_y) * shape[KERNEL_X] + kernel_x) * count
            for n in range(count):
                sums[to + n] += value * weights[at + n]
