"""Convolutions in the form that Lava's Conv takes: padding alike on both sides, and numbers that its 8 bits hold."""

from __future__ import annotations

from dataclasses import replace

from tclif_deploy.convolution import Kernel, evenly_padded, regrouped
from tclif_deploy.errors import TclifError

MOST = 127
"""Conv keeps kernel size, stride, padding, dilation and groups in int8"""


def symmetric(kernel: Kernel, where: str) -> Kernel:
    """The same convolution; zeros in the kernel make up for padding that differs from side to side.

    Where there are more groups than Conv holds, several become one, with zeros. Raises `TclifError` for a kernel,
    stride, padding or dilation that is too large.
    """
    groups = max(g for g in range(1, MOST + 1) if kernel.conv.groups % g == 0)
    found = evenly_padded(kernel)
    if groups != kernel.conv.groups:
        weight = regrouped(found, groups).reshape(len(found.weight), -1, *found.weight.shape[2:])
        found = Kernel(weight, replace(found.conv, groups=groups))
    largest = max(*found.weight.shape[2:], *found.conv.stride, *found.conv.padding, *found.conv.dilation)
    if largest > MOST:
        raise TclifError(
            f"{where}: a kernel, stride, padding or dilation of {largest}, Lava's Conv holds up to {MOST}",
            "use another backend",
        )
    return found
