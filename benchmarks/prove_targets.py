"""Compares every shipped target with every simulator that it names, over so many neuron steps each, and prints them.

``python benchmarks/prove_targets.py [NEURON_STEPS] [TARGET ...]``: ten million of all targets without, which takes half
an hour. What a target's ``[proof]`` says was counted by it. Exit code 1 where a bit differs, 2 where a simulator is
missing or fails, or an argument is none.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from tclif_deploy import TclifError, load_target
from tclif_deploy.oracles.compare import BATCH, compare, oracles_of
from tclif_deploy.target import known_targets

FIRST_SEED = 1000
"""what tests and commands compare has other seeds"""
SLOW = {"brian2-loihi": 10}
"""simulator -> a share of how many it is given: it takes a minute for a hundred thousand"""


def main(arguments: list[str]) -> int:
    """Print a line for each target and simulator, or why there is none; the exit code."""
    if arguments and not (arguments[0].isdecimal() and int(arguments[0])):
        print(f"error: {arguments[0]!r:.40} is no number of neuron steps; expected 1 or more", file=sys.stderr)
        return 2
    try:
        return int(prove(int(arguments[0]) if arguments else 10_000_000, arguments[1:] or known_targets()) > 0)
    except TclifError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def prove(wanted: int, names: Sequence[str]) -> int:
    """Print a line for each target and simulator, over ``wanted`` neuron steps; how many of all differ."""
    differ = 0
    for name in names:
        target = load_target(name)
        if target.proof is None or not target.proof.compared:
            print(f"{name}: no simulator of others")
            continue
        for oracle in oracles_of(target):
            begun, steps, differing, spikes, several, overflows, seed = time.perf_counter(), 0, 0, 0, 0, 0, FIRST_SEED
            each = BATCH if oracle.name in SLOW else 5 * BATCH
            while steps < wanted // SLOW.get(oracle.name, 1):
                check = compare(target, oracle, each, seed=seed)
                steps, differing, seed = (
                    steps + check.neuron_steps,
                    differing + check.differing + check.refusals,
                    seed + 1,
                )
                spikes, several, overflows = spikes + check.spikes, several + check.several, overflows + check.overflows
            networks, seconds = each * (seed - FIRST_SEED), time.perf_counter() - begun
            print(
                f"{name} against {oracle.name} {oracle.version}: {steps:,} neuron steps of {networks:,} networks, "
                f"{spikes:,} spikes, {several:,} of them more than one a step, {overflows:,} overflows: "
                f"{differing:,} differ; {seconds:.0f} s",
                flush=True,
            )
            differ += differing
    return differ


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
