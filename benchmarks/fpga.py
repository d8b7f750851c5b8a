"""Fixtures as circuits: resources, clock and microseconds a step by nextpnr and simulation, as docs/fpga.md has them.

python benchmarks/fpga.py [--only NAME ...] [--bits 8,6,4] [--device ecp5-25f] [--samples N]

Each row compiles a fixture for the device with so many weight bits, compares the circuit with the reference on the
first samples of its own test data, and places it; some minutes a row. What does not fit is a row that says so.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import tclif_deploy as tc
from tclif_deploy.target import load_target
from tclif_deploy.workflows.synth import synth

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ("smnist_ff", "smnist_rec", "psmnist_rec", "spoken_digits", "mackey_glass")
COLUMNS = (
    "network", "bits", "device", "lanes", "TRELLIS_COMB", "FF", "block RAM", "multipliers", "MHz", "clocks a step",
    "longest", "µs a step", "longest", "ms a sample",
)  # fmt: skip


def row(name: str, bits: int, device: str, samples: int) -> list[str]:
    """One circuit's figures, or why there is none."""
    folder = ROOT / "fixtures" / name
    target = load_target(device).override(weight_bits=bits)
    data = tc.load_data(folder / "test.npz")[:samples]
    with tempfile.TemporaryDirectory() as scratch:
        build = tc.compile(
            folder / "checkpoint.pth.tar", target, output=f"{scratch}/build",
            options=tc.CompileOptions(backend="none"),
        )  # fmt: skip
        try:
            s = synth(build, data, device=target, samples=samples)
        except tc.TclifError as error:
            return [name, str(bits), device, str(error)]
    assert s.clocks is not None
    assert s.us_per_step is not None
    assert s.us_per_inference is not None
    used = [f"{s.used[name]:,}" for name in ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "MULT18X18D")]
    mean, longest = s.us_per_step
    return [
        name, str(bits), s.device, str(s.lanes), *used, f"{s.clock_mhz:.1f}", f"{s.clocks.mean:.0f}",
        f"{s.clocks.longest:,}", f"{mean:.2f}", f"{longest:.2f}", f"{s.us_per_inference / 1000:.2f}",
    ]  # fmt: skip


def main() -> None:
    """Print the table, a row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=FIXTURES)
    parser.add_argument("--bits", default="8,6,4")
    parser.add_argument("--device", default="ecp5-25f")
    parser.add_argument("--samples", type=int, default=8)
    asked = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    for name in asked.only:
        for bits in map(int, asked.bits.split(",")):
            print("| " + " | ".join(row(name, bits, asked.device, asked.samples)) + " |", flush=True)


if __name__ == "__main__":
    main()
