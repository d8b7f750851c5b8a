"""Measurements that need a process of their own; each prints one line of JSON. NETWORK is a compiled ``fixed.npz``.

python benchmarks/alone.py start NETWORK    seconds from the first import to the first result
python benchmarks/alone.py equal NETWORK    rate, after all spikes and states were compared to the reference's
python benchmarks/alone.py scale NETWORK --samples N [--mnist FILE]    rate and peak memory over N samples
"""

from __future__ import annotations

import time

BEGAN = time.perf_counter()

import argparse  # noqa: E402  (the imports are part of what is measured)
import json  # noqa: E402
import resource  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from inputs import IMAGES, events  # noqa: E402

from tclif_deploy.data import Dataset, load_data  # noqa: E402
from tclif_deploy.data.stream import open_stream  # noqa: E402
from tclif_deploy.fixed import FixedNetwork  # noqa: E402
from tclif_deploy.simulation import reference, simulate  # noqa: E402
from tclif_deploy.simulation.stream import BATCH, run_all  # noqa: E402

COMPARED, TIMED, ROUNDS = 4, 512, 5
"""Samples that `equal` runs in the reference, samples it times, and how often."""


def data_of(network: FixedNetwork) -> Dataset:
    """Images pixel by pixel for a network of one input, random events for all others."""
    return load_data(IMAGES) if network.input.size == 1 else events(network.input.size, 250)


def start(network: Path) -> dict[str, Any]:
    """Seconds to the first result: of everything, and of the engine alone."""
    fixed = FixedNetwork.load(network)
    data = data_of(fixed)
    engine = time.perf_counter()
    simulate(fixed, data)
    return {"seconds": time.perf_counter() - BEGAN, "seconds_engine": time.perf_counter() - engine}


def equal(network: Path) -> dict[str, Any]:
    """Median samples a second, once all is known to be equal to the reference."""
    fixed = FixedNetwork.load(network)
    data = data_of(fixed).x
    few = data[:COMPARED]
    ours, want = simulate(fixed, few, spikes=True), reference.simulate(fixed, few)
    for name in want.u:
        assert np.array_equal([ours.u[name], ours.v[name]], [want.u[name], want.v[name]]), name
    for name, spikes in want.spikes.items():
        assert spikes.any(), name
        assert np.array_equal(ours.spikes[name], spikes), name
    x, rates = np.resize(data, (TIMED, *data.shape[1:])), []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        simulate(fixed, x)
        rates.append(TIMED / (time.perf_counter() - began))
    return {"median": statistics.median(rates), "min": min(rates), "max": max(rates)}


def scale(network: Path, samples: int, mnist: Path | None) -> dict[str, Any]:
    """Peak memory and rate over ``samples``: of MNIST's file of images, or the fixture's again and again."""
    fixed = FixedNetwork.load(network)

    def repeated() -> Iterator[Dataset]:
        data = data_of(fixed)
        for first in range(0, samples, BATCH):
            index = np.arange(first, min(first + BATCH, samples)) % data.samples
            yield replace(data, x=data.x[index], y=None if data.y is None else data.y[index])

    summary = run_all(fixed, repeated() if mnist is None else open_stream(mnist, samples=samples).batches(BATCH))
    return {"samples": summary.samples, "rate": summary.samples / summary.seconds, "peak_mib": peak_mib(),
            "accuracy": summary.accuracy}  # fmt: skip


def peak_mib() -> float:
    """The most memory that this process had at once."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the process that started this one.
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["start", "equal", "scale"])
    parser.add_argument("network", type=Path)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--mnist", type=Path, help="MNIST's file of images, beside that of labels")
    options = parser.parse_args()
    if options.what == "scale":
        figures = scale(options.network, options.samples, options.mnist)
    else:
        figures = (start if options.what == "start" else equal)(options.network)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
