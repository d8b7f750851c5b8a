"""The float half of a verification beside its integer half and a dense loop in numpy, in turns of one run.

python benchmarks/float_half.py [--rounds N] [--samples N] [--only NAME ...]

One core, CPU time, BLAS on one thread: samples a second, median (least to most). The dense loop is that of
`tclif_deploy.simulation.float_session` with whole matrix products instead of sums in order, at its best batch; both it
and the kernels name the same classes. Aims: at most 4 times the integer half's time, at least 4 times the dense loop's
rate.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from numpy.typing import NDArray

import tclif_deploy as tc
from tclif_deploy.network import INPUT, Network
from tclif_deploy.simulation.float_session import step
from tclif_deploy.simulation.floating import simulate_float

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = ("smnist_ff", "smnist_rec", "psmnist_rec")
BATCHES = (32, 128, 512)
MOST_TIMES, LEAST_RATIO = 4.0, 4.0


def dense(network: Network, x: NDArray[np.float64]) -> NDArray[np.int64]:
    """The classes of ``x`` (samples, time, features), by matrix products."""
    u = {la.name: np.zeros((len(x), la.size)) for la in network.layers}
    v = {la.name: np.tile(la.neuron.v0, (len(x), 1)) for la in network.layers}
    weights = {(la.name, c.source): c.weight.T.copy() for la in network.layers for c in la.connections}
    before = {la.name: np.zeros((len(x), la.size)) for la in network.layers}
    for t in range(x.shape[1]):
        now = {INPUT: np.ascontiguousarray(x[:, t])}
        for layer in network.layers:
            n = layer.name
            i = sum((now if c.delay == 0 else before)[c.source] @ weights[n, c.source] for c in layer.connections)
            u[n], v[n], spikes, _, _ = step(layer, u[n], v[n], i)  # type: ignore[arg-type]
            now[n] = spikes.astype(np.float64)
        before = now
    return np.asarray(v[network.layers[-1].name].argmax(axis=1))


def main() -> None:
    """Print the rates of each network, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=NETWORKS)
    options = parser.parse_args()
    for name in options.only:
        network = tc.load(ROOT / f"fixtures/{name}/checkpoint.pth.tar")
        data = tc.load_data(ROOT / f"fixtures/{name}/test.npz")[: options.samples]
        fixed = tc.quantize(
            network, "loihi2", ROOT / f"fixtures/{name}/calibration.npz", tc.QuantizeSettings(passes=())
        )
        x, _ = fixed.input.encode(data.x, data.scale)
        real = data.values()
        work: dict[str, tuple[int, Callable[[], object]]] = {
            "float": (len(x), lambda n=network, r=real: simulate_float(n, r, spikes=False, jobs=1)),
            "integers": (len(x), lambda f=fixed, x=x: tc.simulate(f, x, jobs=1)),
        }  # fmt: skip
        for batch in BATCHES:
            some = np.resize(real, (batch, *real.shape[1:]))
            work[f"dense, batch {batch}"] = (batch, lambda n=network, s=some: dense(n, s))
        same = (dense(network, real[:64]) == simulate_float(network, real[:64], jobs=1).classes).mean()
        rates: dict[str, list[float]] = {kind: [] for kind in work}
        for turn in range(options.rounds + 1):
            for kind, (samples, call) in work.items():
                began = time.process_time()
                call()
                if turn:
                    rates[kind].append(samples / (time.process_time() - began))
        medians = {kind: statistics.median(values) for kind, values in rates.items()}
        best = max(value for kind, value in medians.items() if kind.startswith("dense"))
        print(f"{name}: {same:.1%} of classes alike in the dense loop and the kernels")
        for kind, values in rates.items():
            print(f"  {kind:18s} {medians[kind]:8,.0f} samples/s ({min(values):,.0f} to {max(values):,.0f})")
        times, ratio = medians["integers"] / medians["float"], medians["float"] / best
        print(f"  the float half takes {times:.2f} times the integer half's time (aim: at most {MOST_TIMES:g})")
        print(f"  and is {ratio:.1f} times as fast as the dense loop (aim: at least {LEAST_RATIO:g})", flush=True)


if __name__ == "__main__":
    main()
