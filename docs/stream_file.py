"""A file as a live source: its steps enter at a real rate, one call each; the latencies become a histogram.

python docs/stream_file.py FIXED.npz DATA.npz --rate 1000 --steps 5000 [--figure latency.svg]

A step's latency is the time from when its input was due to when the readout was there.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import tclif_deploy as tc

SPIN = 0.0003
"""seconds before an input is due from which on we watch the clock instead of sleeping: sleep returns late"""
BARS, WIDTH = 12, 50


def source(data: tc.Dataset) -> Iterator[tuple[np.ndarray, bool]]:
    """Each step's input, and whether it begins a sample; over and over again."""
    for n in itertools.count():
        sample = data[n % len(data)]
        length = sample.time if sample.lengths is None else int(sample.lengths[0])
        for t in range(length):
            yield sample.x[0, t], t == 0


def wait_until(due: float) -> None:
    """Come back when the clock says ``due``."""
    while (left := due - time.perf_counter()) > 0:
        if left > SPIN:
            time.sleep(left - SPIN)


def latencies(network: tc.FixedNetwork, data: tc.Dataset, rate: float, steps: int) -> np.ndarray:
    """Seconds from due input to readout, of each step."""
    session = tc.Simulator(network)
    session.step(data.x[0, 0], scale=data.scale)  # the first call compiles
    taken = np.empty(steps)
    began = time.perf_counter()
    for n, (x, is_first) in enumerate(itertools.islice(source(data), steps)):
        due = began + n / rate
        wait_until(due)
        if is_first:
            session.reset()
        session.step(x, scale=data.scale)
        taken[n] = time.perf_counter() - due
    return taken


def histogram(microseconds: np.ndarray) -> str:
    """Bars of text, their edges a constant factor apart."""
    edges = np.geomspace(microseconds.min(), microseconds.max(), BARS + 1)
    counts, _ = np.histogram(microseconds, edges)
    rows = zip(edges, counts, strict=False)
    return "\n".join(f"{low:9.1f} {'#' * -(-count * WIDTH // counts.max())} {count:,}" for low, count in rows)


def draw(microseconds: np.ndarray, rate: float, path: Path) -> None:
    """The same as a figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.hist(microseconds, np.geomspace(microseconds.min(), microseconds.max(), 60), color="#0065a3")
    axes.axvline(1e6 / rate, color="#b85400", linestyle="--", label="the next input")
    axes.set(xscale="log", yscale="log", xlabel="µs from input to readout", ylabel="steps")
    axes.legend(frameon=False)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rate", type=float, default=1000.0, help="steps a second")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    network, data = tc.FixedNetwork.load(options.network), tc.load_data(options.data)
    taken = latencies(network, data, options.rate, options.steps) * 1e6
    late = np.count_nonzero(taken > 1e6 / options.rate)
    median, most = np.quantile(taken, [0.5, 0.99])
    print(f"{len(taken):,} steps at {options.rate:,.0f} a second, {late:,} of them later than the next input")
    print(f"latency in µs: median {median:.1f}, 99 % within {most:.1f}, at most {taken.max():.1f}")
    print(histogram(taken))
    if options.figure:
        draw(taken, options.rate, options.figure)


if __name__ == "__main__":
    main()
