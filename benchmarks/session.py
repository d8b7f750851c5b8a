"""A session of one sample, step by step and in chunks, against the reference and the engine, in turns of one run.

python benchmarks/session.py [--rounds N]    steps a second, median (least to most) of N turns, and their ratios
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from cases import Case, shd_recurrent, smnist_feedforward, smnist_recurrent

import tclif_deploy as tc
from tclif_deploy.simulation import reference

LEAST = 0.2
"""seconds that a turn takes at least"""
LEAST_STEP, LEAST_RUN = 10.0, 0.5
"""what `step` should reach of the reference's rate, and `run` of the engine's"""


def works(case: Case) -> dict[str, Callable[[], object]]:
    """One sample through each; all end in the same readout."""
    x, _ = case.fixed.input.encode(case.samples(1), case.data.scale)
    session, floating, real = tc.Simulator(case.fixed), tc.Simulator(case.network), case.data.values()[0]
    rows = list(x[0])

    def step() -> object:
        session.reset()
        for row in rows:
            last = session.step(row)
        return last.readout

    def run() -> object:
        session.reset()
        return session.run(x).readout

    def step_float() -> object:
        floating.reset()
        for row in real:
            last = floating.step(row)
        return last.readout

    want = reference.simulate(case.fixed, x).readout
    for call in (step, run):
        assert np.array_equal(np.asarray(call()), want), case.name
    return {
        "reference": lambda: reference.simulate(case.fixed, x, spikes=False),
        "step": step,
        "engine": lambda: tc.simulate(case.fixed, x),
        "run": run,
        "step, float network": step_float,
    }


def rates(work: dict[str, Callable[[], object]], steps: int, rounds: int) -> dict[str, list[float]]:
    """Steps a second of each in every turn but the first."""
    measured: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, call in work.items():
            began, calls, seconds = time.perf_counter(), 0, 0.0
            while seconds < LEAST:
                call()
                calls, seconds = calls + 1, time.perf_counter() - began
            if turn:
                measured[name].append(calls * steps / seconds)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    for make in (smnist_feedforward, smnist_recurrent, shd_recurrent):
        case = make()
        measured = rates(works(case), case.data.time, rounds)
        median = {name: statistics.median(values) for name, values in measured.items()}
        print(f"{case.title}, one sample, steps a second")
        for name, values in measured.items():
            print(f"  {name:20s} {median[name]:9,.0f} ({min(values):,.0f} to {max(values):,.0f})")
        print(
            f"  step over reference {median['step'] / median['reference']:.1f} (aim {LEAST_STEP:g}), "
            f"run over engine {median['run'] / median['engine']:.2f} (aim {LEAST_RUN:g})",
            flush=True,
        )


if __name__ == "__main__":
    main()
