"""Torch's convolutions and average poolings, as a recording meets them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tclif_deploy.convolution import Conv, Kernel, pooling
from tclif_deploy.errors import TclifError
from tclif_deploy.graph.nodes import Affine

CONVOLUTIONS = (torch.nn.Conv1d, torch.nn.Conv2d)
POOLINGS = (torch.nn.AvgPool1d, torch.nn.AvgPool2d)
NORMS = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)


def sample_shape(module: torch.nn.Module, tensor: torch.Tensor, lead: int) -> tuple[int, ...]:
    """The shape of one sample in one step of what goes into or out of ``module``, after ``lead`` other axes."""
    if isinstance(module, torch.nn.Conv2d | torch.nn.AvgPool2d | torch.nn.BatchNorm2d):
        return tuple(tensor.shape[-3:])
    if isinstance(module, torch.nn.Conv1d | torch.nn.AvgPool1d):
        return tuple(tensor.shape[-2:])
    return tuple(tensor.shape[lead:])


def read_convolution(path: str, module: Any, shape: tuple[int, ...]) -> Affine:
    """A convolution of maps of ``shape``; raises `TclifError` for padding that is not of zeros."""
    if module.padding_mode != "zeros":
        raise TclifError(f"{path} pads by {module.padding_mode}, which is not read", "use padding_mode='zeros'")
    weight = module.weight.detach().to("cpu", torch.float64).numpy()
    line = isinstance(module, torch.nn.Conv1d)
    weight = weight[:, :, None] if line else weight
    stride, dilation = _pair(module.stride, line, 1), _pair(module.dilation, line, 1)
    if module.padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        around = (total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2)
    else:
        top, left = _pair(0 if module.padding == "valid" else module.padding, line, 0)
        around = (top, left, top, left)
    try:
        kernel = Kernel(weight, Conv(_map(shape), stride, around, dilation, int(module.groups)))
    except TclifError as error:
        raise TclifError(f"{path}: {error.what}", error.hint) from error
    if module.bias is None:
        return Affine(kernel)
    return Affine(kernel, kernel.per_neuron(module.bias.detach().to("cpu", torch.float64).numpy()))


def read_pooling(path: str, module: Any, shape: tuple[int, ...]) -> Affine:
    """An average pooling of maps of ``shape``; raises `TclifError` where it is no convolution."""
    line = isinstance(module, torch.nn.AvgPool1d)
    size, stride = _pair(module.kernel_size, line, 1), _pair(module.stride, line, 1)
    padding = _pair(module.padding, line, 0)
    override = getattr(module, "divisor_override", None)
    try:
        kernel = pooling(_map(shape), size, stride, padding, average=override is None)
    except TclifError as error:
        raise TclifError(f"{path}: {error.what}", error.hint) from error
    edges = zip(kernel.conv.input_shape[1:], size, stride, padding, strict=True)
    if module.ceil_mode and any((have + 2 * p - k) % step for have, k, step, p in edges):
        raise TclifError(f"{path}: ceil_mode pools over less than its kernel at the edge", "use ceil_mode=False")
    if not module.count_include_pad and any(padding):
        raise TclifError(f"{path}: averages without the padding are no convolution", "use count_include_pad=True")
    if override is not None:
        kernel = Kernel(kernel.weight / override, kernel.conv)
    return Affine(kernel)


def _pair(value: Any, line: bool, along: int) -> tuple[int, int]:
    """A number or a pair as (height, width); a line has only a width, and ``along`` as height."""
    values = (value,) if isinstance(value, int) else tuple(value)
    if line:
        return along, int(values[-1])
    return int(values[0]), int(values[-1])


def _map(shape: tuple[int, ...]) -> tuple[int, int, int]:
    return (shape[0], 1, shape[1]) if len(shape) == 2 else (shape[0], shape[1], shape[2])


def per_element(values: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """One value of each channel, for each element of a map of ``shape``."""
    return np.repeat(values, int(np.prod(shape[1:])))
