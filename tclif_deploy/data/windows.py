"""Windows that slide over a sequence of single values: how some networks see pixels one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError


def sliding_windows(x: NDArray[Any], size: int) -> NDArray[Any]:
    """``x`` (samples, time, 1) as (samples, time, size): step t sees x[t] to x[t + size - 1].

    As in the authors' scripts, the last window that fits is the one of all later steps.

    Examples
    --------
    >>> sliding_windows(np.arange(4).reshape(1, 4, 1), 2)[0].tolist()
    [[0, 1], [1, 2], [2, 3], [2, 3]]
    """
    _, time, features = x.shape
    if features != 1 or not 1 <= size <= time:
        raise TclifError(f"windows of {size} steps over data of shape {x.shape}", "expected (samples, time, 1)")
    first = np.minimum(np.arange(time), time - size)
    return np.asarray(x[:, first[:, None] + np.arange(size), 0])
