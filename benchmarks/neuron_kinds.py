"""One random network of each kind of neuron, float against fixed: the table of docs/neurons.md.

python benchmarks/neuron_kinds.py [--targets NAME ...] [--samples N]

Each network is 32 inputs, 64 recurrent neurons of the kind with parameters drawn for each, and 10 outputs that add up;
its weights are scaled so that a tenth of all neuron steps have a spike. Half the samples calibrate, half are compared.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from numpy.typing import NDArray

import tclif_deploy as tc
from tclif_deploy import neurons
from tclif_deploy.network import INPUT, Connection, Layer, Network, Neuron

INPUTS, SIZE, OUTPUTS, STEPS = 32, 64, 10, 100
RATE = 0.1
"""of spikes, to which the weights are scaled"""
Draw = Callable[[float, float], NDArray[np.float64]]


KINDS: dict[str, Callable[[Draw], Neuron]] = {
    "TC-LIF": lambda d: neurons.tclif(SIZE, c1=d(-1, 1), c2=d(-1, 1), gamma=0.5, threshold=1.0),
    "generalized two-compartment": lambda d: neurons.two_compartment(
        SIZE, alpha1=d(0.7, 0.99), beta1=d(-0.5, -0.1), alpha2=d(0.7, 0.99), beta2=d(0.2, 0.6), threshold=1.0
    ),
    "LIF": lambda d: neurons.lif(SIZE, decay=d(0.6, 0.98), threshold=1.0),
    "IF": lambda d: neurons.integrate_and_fire(SIZE, threshold=1.0),
    "PLIF": lambda d: neurons.plif(SIZE, w=d(-3, 0), threshold=1.0),
    "CUBA-LIF": lambda d: neurons.cuba_lif(SIZE, current_decay=d(0.1, 0.5), voltage_decay=d(0.05, 0.3), threshold=1.0),
    "ALIF, Bellec": lambda d: neurons.alif_bellec(
        SIZE, alpha=d(0.8, 0.98), rho=d(0.9, 0.99), kappa=d(0.05, 0.3), threshold=1.0
    ),
    "ALIF, Yin": lambda d: neurons.alif_yin(SIZE, alpha=d(0.7, 0.95), rho=d(0.8, 0.99), beta=1.8, threshold=0.1),
    "AHP, Rao": lambda d: neurons.ahp(SIZE, alpha=d(0.8, 0.98), rho=d(0.8, 0.98), jump=d(0.02, 0.2), threshold=1.0),
    "LTMD": lambda d: neurons.ltmd(SIZE, k=d(0.5, 1.5), decay=0.8),
    "GLIF, gates closed": lambda d: neurons.glif(SIZE, decay=d(0.6, 0.98), leak=d(0, 0.05), threshold=1.0),
    "ALIF, Higuchi": lambda d: neurons.alif_higuchi(
        SIZE, alpha=d(0.7, 0.95), rho=d(0.8, 0.99), beta=1.8, threshold=0.1
    ),
    "DH-LIF, one branch": lambda d: neurons.cuba_lif(
        SIZE,
        current_decay=1 - d(0.5, 0.98),
        voltage_decay=1 - d(0.5, 0.98),
        threshold=1.0,
        reset="soft",
        delayed_reset=True,
    ),
    "LIF, learned delays": lambda d: neurons.lif(SIZE, decay=d(0.6, 0.98), threshold=1.0, reset="hard", v_reset=0.0),
    "RadLIF of sparch": lambda d: neurons.adlif(SIZE, alpha=d(0.82, 0.96), beta=d(0.968, 0.991), a=d(0, 1), b=d(0, 2)),
    "vanilla RF": lambda d: neurons.resonate_and_fire(SIZE, omega=d(5, 40), damping=d(0.1, 1)),
    "SE-adLIF": lambda d: neurons.se_adlif(
        SIZE, alpha=d(0.8, 0.96), beta=d(0.968, 0.996), a=d(0, 1), b=d(0, 2), threshold=1.0
    ),
    "SE-adLIF, random start": lambda d: replace(
        KINDS["SE-adLIF"](d), u0=d(0, 1), v0=d(0, 1), s0=(d(0, 1) < 0.5).astype(np.float64)
    ),
}
"""name -> neurons whose parameters are drawn from the ranges in which their authors start to train"""


DELAYS = {"LIF, learned delays": 25}
"""name -> how many delays its inputs have, one drawn for each synapse"""


def network_of(name: str, scale: float, seed: int = 0) -> Network:
    """The kind's network, its weights times ``scale``."""
    rng = np.random.default_rng(seed)
    into = rng.normal(0.1, 1.0, (SIZE, INPUTS)) * scale
    own = rng.normal(0.0, 0.1, (SIZE, SIZE)) * scale
    out = rng.normal(0.0, 1.0, (OUTPUTS, SIZE))
    neuron = KINDS[name](lambda low, high: rng.uniform(low, high, SIZE))
    delays = rng.integers(0, DELAYS.get(name, 1), into.shape)
    inputs = [Connection(INPUT, np.where(delays == delay, into, 0), delay=int(delay)) for delay in np.unique(delays)]
    hidden = Layer("hidden", neuron, (*inputs, Connection("hidden", own, delay=1)))
    return Network(INPUTS, (hidden, Layer("out", neurons.readout(OUTPUTS), (Connection("hidden", out),))))


def live_network(name: str, data: tc.Dataset) -> Network:
    """The kind's network whose hidden layer fires at `RATE` on the first samples of ``data``."""
    low, high = 1e-4, 1e2
    for _ in range(18):
        middle = float(np.sqrt(low * high))
        result = tc.simulate(network_of(name, middle), data[:4], spikes=True)
        low, high = (middle, high) if result.spikes["hidden"].mean() < RATE else (low, middle)
    return network_of(name, float(np.sqrt(low * high)))


def row(name: str, targets: list[str], data: tc.Dataset) -> str:
    """One line of the table: on each target how often the class agrees and how alike spikes are, or why not."""
    network, half = live_network(name, data), data.samples // 2
    shown = []
    for target in targets:
        try:
            fixed = tc.quantize(network, target, data[:half])
        except tc.TclifError as error:
            shown += [f"refused: {error}", ""]
            continue
        verdict = tc.verify(network, fixed, data[half:])
        layer = verdict.layers[0]
        shown += [f"{verdict.agreement_argmax:.1%}", "-" if layer.jaccard is None else f"{layer.jaccard:.3f}"]
    rate = tc.simulate(network, data[half:], spikes=True).spikes["hidden"].mean()
    return f"| {name} | {rate:.1%} | {' | '.join(shown)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="+", default=["loihi2", "ideal"])
    parser.add_argument("--samples", type=int, default=200)
    options = parser.parse_args()
    data = tc.Dataset(np.random.default_rng(1).poisson(0.1, (options.samples, STEPS, INPUTS)).astype(np.int64))
    heads = [head for name in options.targets for head in (f"{name}: same class", "same spikes")]
    print(f"| neuron | fires | {' | '.join(heads)} |\n|{'---|' * (2 + len(heads))}")
    for name in KINDS:
        print(row(name, options.targets, data), flush=True)


if __name__ == "__main__":
    main()
