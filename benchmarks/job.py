"""The whole job around the engine: CPU seconds of what people run, step by step, of this checkout and of another.

python benchmarks/job.py [--rounds N] [--only NAME ...] [--baseline CHECKOUT] [--mnist FILE]

Each job is a process of its own (its children's time counts), on one thread of BLAS, in turn with the same job of the
baseline; the first turn warms the cache of machine code and does not count. Printed are medians of CPU seconds, the
least and the most, and the ratio; then the steps that the job itself names, in seconds of the last turn. ``--mnist`` is
MNIST's file of images, for the compile on 10,000 of them. The figures go to ``build/job.json`` too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from baseline import check_baseline

ROOT = Path(__file__).resolve().parent.parent
MODEL, DATA = "fixtures/smnist_ff/checkpoint.pth.tar", "fixtures/smnist_ff/test.npz"
CALIBRATION = "fixtures/smnist_ff/calibration.npz"
JOBS = ("help", "inspect", "compile 200", "compile 10,000", "verify 200", "explain 100", "sweep 8", "finetune step",
        "place 100,000")  # fmt: skip
COMMANDS = {"help": ["--help"], "inspect": ["inspect", str(ROOT / MODEL)]}


class Clock:
    """Seconds between the steps that a job names."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, float]] = []
        self.name, self.since = "start", time.perf_counter()

    def __call__(self, line: str) -> None:
        """The step that ``line`` is about begins."""
        now = time.perf_counter()
        self.steps.append((self.name, now - self.since))
        self.name, self.since = line.split("\n")[0][:60], now

    def end(self) -> list[tuple[str, float]]:
        """All steps that took a hundredth of a second."""
        self("")
        return [step for step in self.steps if step[1] >= 0.01]


def run(job: str, folder: Path, images: str | None) -> list[tuple[str, float]]:
    """Do ``job`` in this process, whose PYTHONPATH is a checkout."""
    clock = Clock()
    import tclif_deploy as tc

    model, data = str(ROOT / MODEL), str(ROOT / DATA)
    if job.startswith("compile"):
        options = tc.CompileOptions(backend="none")
        given: Any = data if images is None else tc.load_data(images)[:10_000]
        tc.compile(model, data=given, calibration=str(ROOT / CALIBRATION), target="loihi2", output=folder / "build",
                   options=options, say=clock)  # fmt: skip
    elif job == "verify 200":
        network, calibration = tc.load(model), str(ROOT / CALIBRATION)
        fixed = tc.quantize(network, "loihi2", calibration, tc.QuantizeSettings(passes=()))
        clock("verify")
        tc.verify(network, fixed, data)
    elif job == "explain 100":
        tc.explain(folder.parent / "given", data, say=clock, jobs=1)
    elif job == "sweep 8":
        from tclif_deploy.workflows.sweep import grid, sweep

        target = tc.load_target("loihi2")
        points = grid(target, "2,4,6,8", "", "20,24", "")
        sweep(model, target, points, data, str(ROOT / CALIBRATION), folder / "sweep.csv", jobs=1)
    elif job == "finetune step":
        import torch

        from tclif_deploy.nn.from_network import to_module
        from tclif_deploy.nn.quantized import QuantizedNetwork

        clock("reading and quantizing")
        network, target = tc.load(model), tc.load_target("loihi2")
        fixed = tc.quantize(network, target, str(ROOT / CALIBRATION), tc.QuantizeSettings(passes=()))
        tuned = QuantizedNetwork(list(to_module(network).float()), fixed, target)
        x, _ = fixed.input.encode(tc.load_data(data)[:32].x, tc.load_data(data).scale)
        clock("a batch of 32 forward and back")
        tuned(torch.tensor(x, dtype=torch.float32)).sum().backward()
    else:
        from tclif_deploy.mapping import Workload, place

        place(Workload.synthetic(neurons=100_000, fan_in=64, layers=10, seed=0, reach=4096), tc.load_target("loihi2"))
    return clock.end()


def turn(job: str, checkout: Path, images: str | None) -> tuple[float, list[tuple[str, float]]]:
    """CPU seconds of one turn of ``job`` with the code of ``checkout``, and its steps."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "job"
        folder.mkdir()
        if job in COMMANDS:
            command = [sys.executable, "-m", "tclif_deploy", *COMMANDS[job]]
        else:
            command = [sys.executable, __file__, "--emit", job, str(folder), *([images] if images else [])]
        if job == "explain 100":
            given = [sys.executable, __file__, "--emit", "compile 200", str(folder)]
            subprocess.run(given, env=environment, check=True, capture_output=True, cwd=name)
            (folder / "build").rename(Path(name) / "given")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, cwd=name)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, [] if job in COMMANDS else [tuple(step) for step in json.loads(done.stdout.splitlines()[-1])]


def main() -> None:
    """Print every job's seconds, of this checkout and of the baseline, in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=JOBS)
    parser.add_argument("--baseline", type=Path, help="another checkout, which runs in turn")
    parser.add_argument("--mnist", help="MNIST's file of images")
    parser.add_argument("--emit", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.emit:
        job, folder, *images = options.emit
        print(json.dumps(run(job, Path(folder), images[0] if images else None)))
        return
    check_baseline(parser, options.baseline)
    if options.mnist and not Path(options.mnist).is_file():
        parser.error(f"--mnist {options.mnist}: no such file; name train-images-idx3-ubyte.gz")
    checkouts = {"here": ROOT} | ({"baseline": options.baseline.resolve()} if options.baseline else {})
    figures: dict[str, Any] = {}
    for job in options.only or JOBS:
        images = str(Path(options.mnist).resolve()) if options.mnist and "10,000" in job else None
        if job == "compile 10,000" and images is None:
            print(f"{job}: needs --mnist FILE")
            continue
        seconds: dict[str, list[float]] = {name: [] for name in checkouts}
        steps: list[tuple[str, float]] = []
        for n in range(options.rounds + 1):
            for name, checkout in checkouts.items():
                taken, named = turn(job, checkout, images)
                if n:
                    seconds[name].append(taken)
                    steps = named if name == "here" else steps
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        shown = [f"{n} {medians[n]:.2f} s ({min(v):.2f} to {max(v):.2f})" for n, v in seconds.items()]
        ratio = f", {medians['baseline'] / medians['here']:.1f} times as fast" if "baseline" in medians else ""
        print(f"{job}: {', '.join(shown)}{ratio}", flush=True)
        for name, value in steps:
            print(f"    {value:7.2f} s  {name}")
        figures[job] = {"seconds": seconds, "steps": steps}
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build/job.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
