"""Windows that slide over a sequence of single values: how some networks see pixels one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.arguments import checked, to_array
from tclif_deploy.errors import TclifError


@checked
def sliding_windows(x: NDArray[Any], size: int) -> NDArray[Any]:
    """``x`` (samples, time, 1) as (samples, time, size): step t sees x[t] to x[t + size - 1].

    As in the TC-LIF authors' scripts (Zhang et al., AAAI 2024), the last window that fits is the one of all later
    steps. The dtype stays. Raises `TclifError` for another shape, and for a size beyond 1..time.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import sliding_windows
    >>> sliding_windows(np.arange(4).reshape(1, 4, 1), 2)[0].tolist()
    [[0, 1], [1, 2], [2, 3], [2, 3]]
    """
    x = to_array(x, "x")
    if x.ndim != 3 or x.shape[2] != 1 or not 1 <= size <= x.shape[1]:
        raise TclifError(f"windows of {size} steps over data of shape {x.shape}", "expected (samples, time, 1)")
    time = x.shape[1]
    first = np.minimum(np.arange(time), time - size)
    return np.asarray(x[:, first[:, None] + np.arange(size), 0])
