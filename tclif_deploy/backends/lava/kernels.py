"""Convolutions in the form that Lava's Conv takes: padding alike on both sides, and numbers that its 8 bits hold."""

from __future__ import annotations

from dataclasses import replace

from tclif_deploy.convolution import Kernel, evenly_padded, regrouped
from tclif_deploy.errors import TclifError

CONV_LIMIT = 127
"""Conv keeps kernel size, stride, padding, dilation and groups in int8"""


def symmetric(kernel: Kernel, where: str) -> Kernel:
    """The same convolution; zeros in the kernel make up for padding that differs from side to side.

    Where there are more groups than Conv holds, several become one, with zeros. Raises `TclifError` for a kernel,
    stride, padding or dilation that is too large.
    """
    groups = max(g for g in range(1, CONV_LIMIT + 1) if kernel.conv.groups % g == 0)
    padded = evenly_padded(kernel)
    if groups != kernel.conv.groups:
        weight = regrouped(padded, groups).reshape(len(padded.weight), -1, *padded.weight.shape[2:])
        padded = Kernel(weight, replace(padded.conv, groups=groups))
    largest = max(*padded.weight.shape[2:], *padded.conv.stride, *padded.conv.padding, *padded.conv.dilation)
    if largest > CONV_LIMIT:
        raise TclifError(
            f"{where}: a kernel, stride, padding or dilation of {largest}, Lava's Conv holds up to {CONV_LIMIT}",
            "use another backend",
        )
    return padded
