"""What each layer of the benchmark's networks takes: the engine's kernels alone, one thread, a block in the cache.

python benchmarks/kernels.py [--rounds N]    microseconds a sample, least and median of N runs
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from cases import Case, shd_recurrent, smnist_feedforward, smnist_recurrent, wide_recurrent

from tclif_deploy.simulation.engine.block import Worker
from tclif_deploy.simulation.engine.plan import plan_fast
from tclif_deploy.simulation.engine.run import BLOCK


def measure(case: Case, rounds: int) -> dict[str, list[float]]:
    """Microseconds a sample of each layer with the listing of its spikes, and of the whole block, in each run."""
    x = case.samples(BLOCK)
    plan = plan_fast(case.fixed)
    assert plan is not None, case.name
    worker = Worker(plan, case.fixed.input.limit, *x.shape)
    last = np.full(BLOCK, x.shape[1] - 1)
    worker.run(x, last)
    times: dict[str, list[float]] = {stage.layer.name: [] for stage in worker.stages} | {"block": []}
    for _ in range(rounds):
        for stage in worker.stages:
            began = time.perf_counter()
            stage.run(worker.lists, last)
            times[stage.layer.name].append((time.perf_counter() - began) / BLOCK * 1e6)
        began = time.perf_counter()
        worker.run(x, last)
        times["block"].append((time.perf_counter() - began) / BLOCK * 1e6)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    for make in (smnist_feedforward, smnist_recurrent, shd_recurrent, wide_recurrent):
        case = make()
        times = measure(case, rounds)
        figures = "; ".join(f"{name} {min(f):.1f} ({statistics.median(f):.1f})" for name, f in times.items())
        print(f"{case.title}: {figures}", flush=True)


if __name__ == "__main__":
    main()
