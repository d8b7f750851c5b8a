"""How placement grows: sparse synthetic networks of 1,000 to 1,000,000 neurons on Loihi 2.

``python benchmarks/placement.py [--sizes 1000 10000 ...] [--strategies greedy ...] [--json]``
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time

from tclif_deploy.mapping import STRATEGIES, Workload, place
from tclif_deploy.target import load_target

FAN_IN, LAYERS, REACH = 64, 10, 4096


def main() -> None:
    """Print one line a size: cores, seconds by strategy, peak memory of the process so far."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--strategies", nargs="+", default=["greedy"], choices=sorted(STRATEGIES))
    parser.add_argument("--target", default="loihi2")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    target = load_target(options.target)
    place(Workload.synthetic(neurons=1_000, fan_in=8, layers=2, seed=0), target, "traffic")  # compiles the loops
    rows = []
    for size in options.sizes:
        workload = Workload.synthetic(neurons=size, fan_in=FAN_IN, layers=LAYERS, seed=0, reach=REACH)
        seconds, cores, hops = {}, {}, {}
        for name in options.strategies:
            start = time.perf_counter()
            placed = place(workload, target, name)
            seconds[name] = round(time.perf_counter() - start, 3)
            cores[name], hops[name] = len(placed.cores), placed.hops
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
        rows.append({"neurons": size, "synapses": workload.synapses, "seconds": seconds, "cores": cores, "hops": hops,
                     "peak_gb": round(peak, 2)})  # fmt: skip
        if not options.json:
            times = ", ".join(f"{n} {seconds[n]:.2f} s ({cores[n]:,} cores, {hops[n]:,} hops)" for n in seconds)
            print(f"{size:>9,} neurons, {workload.synapses:>11,} synapses: {times}, {peak:.2f} GB")
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
