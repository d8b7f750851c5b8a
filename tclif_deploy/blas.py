"""One thread for numpy's matrix products: ours are small, and many threads would only wait for each other."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
R = TypeVar("R")


BRINGS_BLAS = ("numpy", "scipy.linalg", "torch")
"""modules that load a BLAS library of their own"""


@functools.cache
def _controller(modules: tuple[str, ...]) -> ThreadpoolController:
    """The BLAS libraries of this process, which are looked up once for the ``modules`` that it has imported."""
    return ThreadpoolController()


def one_blas_thread(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` with BLAS on one thread while it runs; the number that was set before comes back.

    Where the machine is busy, a matrix product on all cores takes minutes instead of seconds.

    Examples
    --------
    >>> from threadpoolctl import threadpool_info
    >>> import numpy
    >>> @one_blas_thread
    ... def threads():
    ...     return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    >>> threads() <= {1}
    True
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        import numpy  # noqa: F401

        with _controller(tuple(name for name in BRINGS_BLAS if name in sys.modules)).limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return run
