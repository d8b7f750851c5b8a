"""Surrogate derivatives of the spike, for torch; `tclif_deploy.nn.scan` computes the same in its loops.

With x = v - threshold:

=========  ==============================================  =========================================
name       derivative                                      source
=========  ==============================================  =========================================
triangle   max(1 - |x|, 0)                                 the paper, Eq. 21
rectangle  1 where |x| < 0.5                               Wu et al. 2018
exp        exp(-|x|)                                       SLAYER; the authors' ``exp``
sigmoid    4*y*(1 - y), y = logistic(4*x)                  the usual one
atan       1 / (1 + (pi*x)^2)                              Fang et al. 2021, alpha = 2
gau        a bell of width 0.5 minus two of width 3        the authors' ``gau`` (ActFun_adp)
=========  ==============================================  =========================================
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from tclif_deploy.errors import TclifError

TRIANGLE, RECTANGLE, EXPONENTIAL, SIGMOID, ATAN, GAUSSIAN = range(6)
CODES = {
    "triangle": TRIANGLE,
    "rectangle": RECTANGLE,
    "exp": EXPONENTIAL,
    "sigmoid": SIGMOID,
    "atan": ATAN,
    "gau": GAUSSIAN,
}
"""surrogate name -> code in the compiled loops"""


def check_surrogate(name: str) -> str:
    """``name`` if it is a known surrogate, else a `TclifError`."""
    if name not in CODES:
        raise TclifError(f"surrogate is {name!r}", f"known: {', '.join(CODES)}")
    return name


def derivative(name: str, x: Tensor) -> Tensor:
    """The surrogate derivative at ``x`` = v - threshold, any shape.

    Examples
    --------
    >>> derivative("triangle", torch.tensor([-2.0, -0.25, 0.5])).tolist()
    [0.0, 0.75, 0.5]
    """
    if name == "triangle":
        return (1 - x.abs()).clamp(min=0)
    if name == "rectangle":
        return (x.abs() < 0.5).to(x)
    if name == "exp":
        return torch.exp(-x.abs())
    if name == "sigmoid":
        y = torch.sigmoid(4 * x)
        return 4 * y * (1 - y)
    if name == "atan":
        return 1 / (1 + (math.pi * x) ** 2)
    check_surrogate(name)
    far = torch.exp(-((x - 0.5) ** 2) / 18) + torch.exp(-((x + 0.5) ** 2) / 18)
    return 0.5 * (1.15 * torch.exp(-2 * x * x) - 0.025 * far) / math.sqrt(math.pi / 2)


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strict: bool, name: str) -> Tensor:
        ctx.save_for_backward(x)
        ctx.name = name
        return (x > 0 if strict else x >= 0).to(x)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return grad[0] * derivative(ctx.name, x), None, None


def spike(x: Tensor, strict: bool = False, surrogate: str = "triangle") -> Tensor:
    """1 where ``x`` = v - threshold is >= 0 (> 0 where ``strict``), else 0, with a surrogate derivative."""
    out: Tensor = _Spike.apply(x, strict, surrogate)  # type: ignore[no-untyped-call]
    return out
