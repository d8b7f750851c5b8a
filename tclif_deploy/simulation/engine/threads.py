"""Blocks of samples on a thread for each core."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tclif_deploy.errors import TclifError
from tclif_deploy.workers import MOST_JOBS


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads(jobs: int | None, samples: int) -> int:
    """How many run ``samples`` where ``jobs`` are asked for (None: one a core). Raises `TclifError` for less than
    one, and for more than `MOST_JOBS`."""
    if jobs is not None and not 1 <= jobs <= MOST_JOBS:
        raise TclifError(f"jobs is {jobs}", f"expected a number of threads, 1 to {MOST_JOBS:,}")
    return min(int(jobs or cores()), samples)


def run_all(run: Callable[[slice], None], blocks: Sequence[slice], workers: int) -> None:
    """``run`` each block, on so many threads; what one raises is raised."""
    if workers == 1:
        for block in blocks:
            run(block)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, blocks))
