"""Whether two networks, float or fixed-point, are the same to the last bit."""

from __future__ import annotations

from dataclasses import fields

import numpy as np


def equal(a: object, b: object) -> bool:
    """Whether two of this package's dataclasses (or tuples of them) are equal bit for bit, arrays included.

    Notices are left out: they are for people. Arrays compare by type, shape and bytes, so 0.0 is not -0.0 there.

    Examples
    --------
    >>> from tclif_deploy.network import Connection
    >>> equal(Connection("input", np.ones((2, 3))), Connection("input", np.ones((2, 3))))
    True
    >>> equal(Connection("input", np.zeros((2, 3))), Connection("input", -np.zeros((2, 3))))
    False
    """
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    if type(a) is type(b) and hasattr(a, "__dataclass_fields__"):
        return all(equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a) if f.name != "notices")  # type: ignore[arg-type]
    return bool(a == b)
