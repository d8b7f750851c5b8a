"""Fixtures as circuits: resources, clock and microseconds a step by nextpnr and simulation, as docs/fpga.md has them.

python benchmarks/fpga.py [--only NAME ...] [--bits 8,6,4] [--device ecp5-25f] [--samples N] [--pipelines N]

Each row compiles a fixture with so many weight bits, compares the circuit with the reference on the first samples of
its own test data, and places it in the smallest ECP5 that it fits (or in --device); some minutes a row. What does not
fit is a row that says so. The last column is the speed of the simulation, of its program alone.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

import tclif_deploy as tc
from tclif_deploy.backends.rtl.fit import FPGAS, check_block_rams, check_multipliers, fitting_lanes
from tclif_deploy.backends.rtl.simulate import simulate
from tclif_deploy.target import load_target
from tclif_deploy.workflows.synth import synth

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ("smnist_ff", "smnist_rec", "psmnist_rec", "spoken_digits", "mackey_glass")
COLUMNS = (
    "network", "bits", "device", "lanes", "TRELLIS_COMB", "FF", "block RAM", "multipliers", "MHz", "clocks a step",
    "longest", "µs a step", "longest", "ms a sample",
    "Verilator, million clocks a CPU second",
)  # fmt: skip


def row(name: str, bits: int, device: str | None, samples: int, pipelines: int) -> list[str]:
    """One circuit's figures, or why there is none."""
    folder = ROOT / "fixtures" / name
    # The devices compute alike: one build serves all.
    target = load_target(device or FPGAS[0]).override(weight_bits=bits)
    data = tc.load_data(folder / "test.npz")[:samples]
    with tempfile.TemporaryDirectory() as scratch:
        build = tc.compile(
            folder / "checkpoint.pth.tar", target, output=f"{scratch}/build",
            options=tc.CompileOptions(backend="none"),
        )  # fmt: skip
        if device is None:
            device = smallest(build, pipelines)
            target = load_target(device)
        try:
            s = synth(build, data, device=target, samples=samples, pipelines=pipelines)
        except tc.TclifError as error:
            return [name, str(bits), device, str(error)]
        speed = clocks_a_second(build, data) / 1e6
    assert s.clocks is not None
    assert s.us_per_step is not None
    assert s.us_per_inference is not None
    used = [f"{s.used[name]:,}" for name in ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "MULT18X18D")]
    mean, longest = s.us_per_step
    return [
        name, str(bits), s.device, str(s.lanes), *used, f"{s.clock_mhz:.1f}", f"{s.clocks.mean:.0f}",
        f"{s.clocks.longest:,}", f"{mean:.2f}", f"{longest:.2f}", f"{s.us_per_inference / 1000:.2f}", f"{speed:.2f}",
    ]  # fmt: skip


def smallest(build: tc.Build, pipelines: int) -> str:
    """The smallest device that holds a build's circuit, by what is counted before Yosys; else the largest."""
    for name in FPGAS:
        target = load_target(name)
        lanes = fitting_lanes(build.fixed, target, pipelines)
        try:
            check_multipliers(build.fixed, target, lanes, pipelines)
            check_block_rams(build.fixed, target, lanes, pipelines)
        except tc.TclifError:
            continue
        return name
    return FPGAS[-1]


def clocks_a_second(build: tc.Build, data: tc.Dataset) -> float:
    """Clocks that the circuit's program, which `synth` compiled, simulates a second of its own CPU time."""
    x, _ = build.fixed.input.encode(data.x, data.scale)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _, measured = simulate(build.folder / "rtl", x, lengths=data.lengths)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return measured.clocks / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    """Print the table, a row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=FIXTURES)
    parser.add_argument("--bits", default="8,6,4")
    parser.add_argument("--device", help="default: the smallest that fits")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--pipelines", type=int, default=1)
    asked = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    for name in asked.only:
        for bits in map(int, asked.bits.split(",")):
            print("| " + " | ".join(row(name, bits, asked.device, asked.samples, asked.pipelines)) + " |", flush=True)


if __name__ == "__main__":
    main()
