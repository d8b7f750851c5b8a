"""What each layer of the benchmark's networks takes: the engine's kernels alone, one thread, a block in the cache.

python benchmarks/kernels.py [--rounds N]    microseconds a sample, least and median of N runs, in each form of
                                             the weights of feedforward layers (`tclif_deploy.simulation.engine.form`)
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import get_args

import numpy as np
from cases import Case, shd_recurrent, smnist_feedforward, smnist_recurrent, wide_recurrent

from tclif_deploy.simulation.engine.block import Worker
from tclif_deploy.simulation.engine.form import CHOICE, Form, chosen_form, cpu_name
from tclif_deploy.simulation.engine.plan import plan_fast
from tclif_deploy.simulation.engine.run import BLOCK


def measure(case: Case, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Microseconds a sample of each layer with the listing of its spikes, and of the whole block, in each run; by form,
    in turn."""
    x = case.samples(BLOCK)
    last = np.full(BLOCK, x.shape[1] - 1)
    workers, times = {}, {}
    for form in get_args(Form):
        os.environ[CHOICE] = form
        plan = plan_fast(case.fixed)
        assert plan is not None, case.name
        worker = workers[form] = Worker(plan, case.fixed.input.limit, *x.shape)
        worker.run(x, last)
        times[form] = {stage.layer.name: list[float]() for stage in worker.stages} | {"block": []}
    for _ in range(rounds):
        for form, worker in workers.items():
            worker.run(x, last)  # its numbers are in the cache again
            for stage in worker.stages:
                began = time.perf_counter()
                stage.run(worker.lists, last)
                times[form][stage.layer.name].append((time.perf_counter() - began) / BLOCK * 1e6)
            began = time.perf_counter()
            worker.run(x, last)
            times[form]["block"].append((time.perf_counter() - began) / BLOCK * 1e6)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    print(f"{cpu_name()} takes {chosen_form()} for feedforward layers")
    for make in (smnist_feedforward, smnist_recurrent, shd_recurrent, wide_recurrent):
        case = make()
        for form, times in measure(case, rounds).items():
            figures = "; ".join(f"{name} {min(f):.1f} ({statistics.median(f):.1f})" for name, f in times.items())
            print(f"{case.title}, {form}: {figures}", flush=True)


if __name__ == "__main__":
    main()
