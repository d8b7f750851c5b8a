"""What each quantization pass brings, on a whole test set: ``python benchmarks/quantization.py MODEL DATA``.

DATA is a labelled file, such as MNIST's t10k-images-idx3-ubyte.gz with its labels beside it; scales are calibrated on
the calibration.npz beside MODEL; a permutation.npy there orders DATA's steps. Prints docs/quantization.md's tables.
p is McNemar's exact one: how likely so uneven a split would be of the samples that one of both networks alone names
rightly, if neither were better.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

import tclif_deploy as tc
from tclif_deploy.quantization import measured_ranges
from tclif_deploy.quantization.settings import PASSES
from tclif_deploy.simulation.floating import batches
from tclif_deploy.simulation.partially_quantized import simulate_mixed

BITS = (8, 6, 4, 3, 2)
LEAST = 1e-99
"""chances below are printed as less than this"""


def _chance(p: float) -> str:
    return f"{p:.2g}" if p >= LEAST else f"< {LEAST:g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--target", default="loihi2")
    parser.add_argument("--rounding", help="of every product, where it is not the target's own: nearest, floor, ...")
    parser.add_argument("--bits", type=int, nargs="+", default=BITS)
    parser.add_argument("--all-passes", action="store_true", help="print the rows of all passes together alone")
    given = parser.parse_args()
    network, data = tc.load(given.model), tc.load_data(given.data)
    calibration = tc.load_data(given.model.parent / "calibration.npz")
    order = given.model.parent / "permutation.npy"
    if order.exists():
        data = replace(data, x=data.x[:, np.load(order)])
    target, ranges = tc.load_target(given.target), measured_ranges(network, calibration)
    if given.rounding is not None:
        target = target.override(rounding=given.rounding)
    start = tc.quantize(network, target, calibration, tc.QuantizeSettings(passes=()), ranges)
    parts = [simulate_mixed(network, start, data[part], ()) for part in batches(data.samples, 512)]
    classes, readout = (np.concatenate([getattr(p, name) for p in parts]) for name in ("classes", "readout"))
    print(f"float: accuracy {100 * (classes == data.y).mean():.2f} % on {data.samples:,} samples\n")
    print(
        "| weight bits | passes | agreement | accuracy lost, points | p | readout error |\n"
        "| --- | --- | --- | --- | --- | --- |"
    )
    for bits in given.bits:
        for count in (len(PASSES),) if given.all_passes else range(len(PASSES) + 1):
            chosen = {0: (), 1: ("compensate",), 2: ("scales", "compensate"), 3: PASSES}[count]
            settings = tc.QuantizeSettings(passes=chosen)
            fixed = tc.quantize(network, target.override(weight_bits=bits), calibration, settings, ranges)
            results = [tc.simulate(fixed, data[part]) for part in batches(data.samples, 2048)]
            decided = np.concatenate([one.classes for one in results])
            error = np.concatenate([one.readout for one in results]) * fixed.output.lsb_v - readout
            right, still = classes == data.y, decided == data.y
            lost = right.mean() - still.mean()
            worse, better = int((right & ~still).sum()), int((~right & still).sum())
            p = binomtest(worse, worse + better).pvalue if worse + better else 1.0
            named = ", ".join(chosen) or "none: rounded to nearest"
            print(
                f"| {bits} | {named} | {100 * (decided == classes).mean():.2f} % "
                f"| {100 * lost:+.2f} | {_chance(p)} | {100 * np.sqrt((error**2).mean()) / readout.std():.1f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main()
