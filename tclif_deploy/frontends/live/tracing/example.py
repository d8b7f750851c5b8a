"""What a live model is run on, and the copy of it that is run."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from tclif_deploy.arguments import described
from tclif_deploy.errors import TclifError


def as_example(example: Any) -> torch.Tensor:
    """An example as float64, (samples, time, features) or more; `TclifError` for what is none."""
    try:
        x = torch.as_tensor(np.asarray(example) if not isinstance(example, torch.Tensor) else example).detach()
    except (TypeError, ValueError):
        raise TclifError(f"the example input is {described(example)}", "expected (samples, time, features)") from None
    if x.ndim < 3 or 0 in x.shape:
        raise TclifError(
            f"the example input has shape {tuple(x.shape)}", "expected (samples, time, features), none of them 0"
        )
    if x.is_complex():
        raise TclifError("the example input is complex", "expected real numbers")
    x = x.to("cpu", torch.float64)
    if not bool(torch.isfinite(x).all()):
        raise TclifError("the example input holds numbers that are not finite", "give one without NaN and infinity")
    return x


def own_copy(model: torch.nn.Module) -> torch.nn.Module:
    """The model in double precision, which may be run; `TclifError` where it cannot be copied."""
    from tclif_deploy.nn import SequenceNetwork

    if isinstance(model, SequenceNetwork):  # runs whole sequences fused; its modules are the same step by step
        model = model.features
    try:
        with torch.no_grad():
            return copy.deepcopy(model).to("cpu").double().eval()
    except RuntimeError as error:
        raise TclifError(
            f"model {type(model).__name__} cannot be copied ({error!s:.100})", "reset its states before"
        ) from error
