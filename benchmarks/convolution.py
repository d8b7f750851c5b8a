"""Convolutions in the engine against the numpy reference, one thread, CPU time: ``python benchmarks/convolution.py``.

A network as for a small event camera: 34x34x2, convolution to 8 channels, pooling, convolution to 16, 10 outputs; LIF
neurons with random weights, 60 steps, events at random. Both give the same spikes, states and readouts, or it fails.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tclif_deploy as tc
from tclif_deploy.convolution import Conv

CASES = ((3, 0.5, 0.01), (3, 0.5, 0.03), (5, 0.4, 0.01), (5, 0.4, 0.03))
"""width of the first kernel, standard deviation of its weights, share of inputs with an event"""
SAMPLES, TIME = 16, 60


def network(kernel: int, deviation: float) -> tc.Network:
    """The network with random weights."""
    rng = np.random.default_rng(0)

    def layer(name: str, size: int, source: str, weight: NDArray[Any], conv: Conv) -> tc.Layer:
        neuron = tc.neurons.lif(size, decay=0.9, threshold=1.0)
        return tc.Layer(name, neuron, (tc.Connection(source, weight, 0, conv),))

    seen = Conv((2, 34, 34), padding=(kernel // 2,) * 4)
    pooled = Conv((8, 34, 34), stride=(2, 2), groups=8)
    layers = (
        layer("conv1", 8 * 34 * 34, "input", rng.normal(size=(8, 2, kernel, kernel)) * deviation, seen),
        layer("pool", 8 * 17 * 17, "conv1", np.full((8, 1, 2, 2), 0.6), pooled),
        layer(
            "conv2", 16 * 17 * 17, "pool", rng.normal(size=(16, 8, 3, 3)) * 0.25, Conv((8, 17, 17), padding=(1,) * 4)
        ),
        tc.Layer("out", tc.neurons.readout(10), (tc.Connection("conv2", rng.normal(size=(10, 16 * 17 * 17)) * 0.05),)),
    )
    return tc.Network(2 * 34 * 34, layers)


def milliseconds(fixed: tc.FixedNetwork, x: NDArray[Any], engine: str, rounds: int) -> float:
    """CPU time of a sample, the median of ``rounds``."""
    tc.simulate(fixed, x[:1], engine=engine, jobs=1)
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        tc.simulate(fixed, x, engine=engine, jobs=1)
        taken.append(1000 * (time.process_time() - began) / len(x))
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print("| first kernel | events | that fire | engine, ms a sample | reference | ratio (aim: 10) |")
    print("|---|---|---|---|---|---|")
    for kernel, deviation, density in CASES:
        x = (np.random.default_rng(1).random((SAMPLES, TIME, 2 * 34 * 34)) < density).astype(np.int64)
        calibration = tc.Dataset(x[:4].astype(float))
        fixed = tc.quantize(network(kernel, deviation), "loihi2", calibration, tc.QuantizeSettings(passes=()))
        integers, _ = fixed.input.encode(x, 1.0)
        one, two = (tc.simulate(fixed, integers[:2], spikes=True, engine=e) for e in ("auto", "reference"))
        assert all((one.spikes[name] == two.spikes[name]).all() for name in two.spikes)
        assert (one.readout == two.readout).all()
        fire = ", ".join(f"{100 * (two.spikes[name] != 0).mean():.1f}" for name in ("conv1", "pool", "conv2"))
        fast, slow = milliseconds(fixed, integers, "auto", rounds), milliseconds(fixed, integers, "reference", 1)
        size = f"{kernel}x{kernel}"
        print(f"| {size} | {100 * density:g} % | {fire} % | {fast:.1f} | {slow:.0f} | {slow / fast:.1f} |", flush=True)


if __name__ == "__main__":
    main()
