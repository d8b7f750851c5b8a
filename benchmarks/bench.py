"""``make bench``: the engine against torch, onnxruntime, Lava and itself; ratios from one interleaved run.

Prints tables and writes ``build/bench.json``. Absolute rates mean little on a shared machine; the ratios are of
medians of runs that took turns.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import onnxruntime
import torch
from cases import Case, at_density, shd_recurrent, smnist_feedforward, smnist_recurrent, wide_recurrent
from onnx_float import OnnxLoop
from onnx_rate import measure
from torch_loop import TorchLoop

from tclif_deploy.backends import lava
from tclif_deploy.simulation import simulate
from tclif_deploy.simulation.engine.form import chosen_form, cpu_name
from tclif_deploy.simulation.engine.threads import cores
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.target import load_target

BATCHES = (64, 256, 1024)
"""torch's batch sizes; its best one counts"""
COMPILED_BATCH = 256
"""for torch.compile, which compiles each batch size anew, and onnxruntime"""
LAVA_SAMPLES = 16
BARS = {"smnist_ff": 18.0, "smnist_rec": 16.0, "shd_rec": 22.0, "wide": 15.0}
"""what the ratio to torch should reach"""
CPUS = {
    "this CPU": {},
    "AVX2": {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+sse4.2,+popcnt,+avx,+avx2,+bmi,+bmi2,+fma,+f16c,+lzcnt,+movbe",
    },
    "no AVX": {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "+sse4.2,+popcnt"},
}
"""numba's variables for the CPUs that the engine is made to compile for"""
Work = dict[str, tuple[int, Callable[[], Any]]]
"""samples a call, and the call"""


LEAST, PAUSE = 0.5, 0.25
"""Seconds that a turn takes at least, and between turns: the threads of torch and onnxruntime go on spinning for some
50 ms after their work, which would be counted against whoever comes next."""


def rates(work: Work, rounds: int) -> dict[str, dict[str, float]]:
    """Samples a second of each piece of work: median, min and max of ``rounds`` turns after an uncounted one."""
    measured: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, (samples, call) in work.items():
            time.sleep(PAUSE)
            began, calls, seconds = time.perf_counter(), 0, 0.0
            while seconds < LEAST:
                call()
                calls, seconds = calls + 1, time.perf_counter() - began
            if turn:
                measured[name].append(calls * samples / seconds)
    return {n: {"median": statistics.median(v), "min": min(v), "max": max(v)} for n, v in measured.items()}


def show(measured: dict[str, dict[str, float]]) -> None:
    """A line for each figure."""
    for name, f in measured.items():
        print(f"  {name:24s} {f['median']:10,.0f} samples/s ({f['min']:,.0f} to {f['max']:,.0f})", flush=True)


def against_torch(case: Case, rounds: int, count: int) -> dict[str, Any]:
    """The engine on all cores against the torch loop at its best batch, on the same samples."""
    integers = case.samples(count)
    loop, runtime = TorchLoop(case.network), OnnxLoop(case.network, torch.get_num_threads())
    work: Work = {
        "engine": (count, lambda: simulate(case.fixed, integers)),
        "engine, one thread": (count, lambda: simulate(case.fixed, integers, jobs=1)),
    }

    def real(samples: int) -> torch.Tensor:
        x = np.resize(case.data.values(), (samples, *case.data.x.shape[1:])).astype(np.float32)
        return torch.tensor(x).transpose(0, 1).contiguous()

    for batch in BATCHES:
        work[f"torch {batch}"] = (batch, partial(loop, real(batch)))
    x = real(COMPILED_BATCH)
    work[f"onnxruntime {COMPILED_BATCH}"] = (COMPILED_BATCH, lambda: runtime(x.numpy()))
    if any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")):
        compiled = TorchLoop(case.network, compiled=True)
        work[f"torch.compile {COMPILED_BATCH}"] = (COMPILED_BATCH, lambda: compiled(x))
    else:
        print("  torch.compile: needs a C++ compiler, and none is here")
    few = case.data[:8]
    want = simulate_float(case.network, few.values(), spikes=False).classes
    inputs = torch.tensor(few.values(), dtype=torch.float32).transpose(0, 1)
    for name, scores in (("torch", loop(inputs).numpy()), ("onnxruntime", runtime(inputs.contiguous().numpy()))):
        agree = (scores.argmax(1) == want).mean()
        assert agree >= 0.7, f"{case.name}: {name} runs another network ({agree:.0%} agreement)"
    measured = rates(work, rounds)
    best = max((name for name in measured if name.startswith("torch ")), key=lambda name: measured[name]["median"])
    ours = measured["engine"]["median"]
    return {
        "title": case.title, "density": case.density(), "rates": measured, "torch_best": best,
        "ratio_torch": ours / measured[best]["median"],
        "ratio_threads": ours / measured["engine, one thread"]["median"],
    }  # fmt: skip


def lava_seconds(case: Case) -> float:
    """Seconds that Lava's stock Dense takes a sample: what many take more than one, which has the start in it."""
    integers = case.samples(LAVA_SAMPLES + 1)
    with tempfile.TemporaryDirectory() as folder:
        lava.emit(case.fixed, load_target("loihi2"), Path(folder))
        times = []
        for count in (1, LAVA_SAMPLES + 1):
            began = time.perf_counter()
            lava.run(Path(folder), integers[:count])
            times.append(time.perf_counter() - began)
    return (times[1] - times[0]) / LAVA_SAMPLES


def linearity(case: Case) -> dict[str, float]:
    """Time of twice the samples, and of twice the steps, over the time of once."""
    x = case.samples(1024)
    twice, longer = np.concatenate([x, x]), np.concatenate([x, x], axis=1)
    measured = rates({"once": (1, lambda: simulate(case.fixed, x)), "samples": (1, lambda: simulate(case.fixed, twice)),
                   "steps": (1, lambda: simulate(case.fixed, longer))}, 3)  # fmt: skip
    return {name: measured["once"]["median"] / measured[name]["median"] for name in ("samples", "steps")}


def alone(*arguments: str, **variables: str) -> dict[str, Any]:
    """What `alone.py` finds in a process of its own."""
    script = Path(__file__).with_name("alone.py")
    done = subprocess.run(
        [sys.executable, str(script), *arguments], env=os.environ | variables, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"alone.py {' '.join(arguments)}: {done.stderr}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def processes(cases: list[Case], mnist: list[str]) -> dict[str, Any]:
    """What needs processes: the first start and later ones, smaller CPUs, memory."""
    measured: dict[str, Any] = {"cpus": {}, "scale": []}
    with tempfile.TemporaryDirectory() as folder:
        paths = {case.name: str(Path(folder, f"{case.name}.npz")) for case in cases}
        for case in cases:
            case.fixed.save(paths[case.name])
        first = paths[cases[0].name]
        measured["start"] = {name: alone("start", first, TCLIF_CACHE_DIR=folder) for name in ("first", "later")}
        for name, f in measured["start"].items():
            print(f"{name} start: {f['seconds']:.1f} s to a result, {f['seconds_engine']:.1f} s of them in the engine")
        for name, variables in CPUS.items():
            measured["cpus"][name] = {case: alone("equal", path, **variables) for case, path in paths.items()}
            print(f"compiled for {name}, equal to the reference")
            show(measured["cpus"][name])
        for samples in (1_000, 10_000, 60_000):
            measured["scale"].append(f := alone("scale", first, "--samples", str(samples), *mnist))
            print(f"{f['samples']:,} samples with all counts: {f['rate']:,.0f} a second, peak {f['peak_mib']:,.0f} MiB")
    return measured


def machine() -> dict[str, Any]:
    """What ran it."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
        about = {name.strip(): value.strip() for name, _, value in lines}
        processor = f"{about.get('model name')} (family {about.get('cpu family')}, model {about.get('model')})"
    versions = {module.__name__: module.__version__ for module in (numba, np, torch, onnxruntime)}
    return {
        "processor": processor, "cores": cores(), "torch_threads": torch.get_num_threads(),
        "llvm_cpu": cpu_name(), "form": chosen_form(), "python": platform.python_version(), **versions,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=2048, help="samples the engine runs at a time")
    parser.add_argument("--mnist", help="MNIST's file of images, for the run over 60,000")
    parser.add_argument("--only", nargs="+", choices=sorted(BARS), help="these networks, and nothing else")
    options = parser.parse_args()
    if options.mnist and not Path(options.mnist).is_file():
        parser.error(f"--mnist {options.mnist}: no such file; name train-images-idx3-ubyte.gz")
    measured: dict[str, Any] = {"machine": machine()}
    print(", ".join(f"{name} {value}" for name, value in measured["machine"].items()))
    cases = []
    for make in (smnist_feedforward, smnist_recurrent, shd_recurrent, wide_recurrent):
        case = make()
        if options.only and case.name not in options.only:
            continue
        cases.append(case)
        count = options.samples if case.name != "wide" else options.samples // 4
        print(f"\n{case.title}; density " + ", ".join(f"{k} {v:.1%}" for k, v in case.density().items()), flush=True)
        measured[case.name] = result = against_torch(case, options.rounds, count)
        show(result["rates"])
        bar = BARS[case.name]
        print(f"  ratio to {result['torch_best']}: {result['ratio_torch']:.1f} (bar {bar:g}); "
              f"threads {result['ratio_threads']:.2f}", flush=True)  # fmt: skip
        if case.name == "smnist_ff":
            measured["threads"] = {"ratio": result["ratio_threads"]}
            if not options.only:
                seconds = lava_seconds(case)
                result["ratio_lava"] = result["rates"]["engine"]["median"] * seconds
                print(f"  Lava's stock Dense: {seconds:.2f} s a sample; ratio to it: {result['ratio_lava']:,.0f}")
                measured["linear"] = linearity(case)
                print(
                    "  time of twice the samples, twice the steps: {samples:.2f}, {steps:.2f}".format(
                        **measured["linear"]
                    )
                )
    if not options.only:
        sparse, dense = (at_density(density) for density in (0.02, 0.25))
        work: Work = {c.name: (1024, partial(simulate, c.fixed, c.samples(1024))) for c in (sparse, dense)}
        measured["density"] = rates(work, options.rounds)
        print(f"\n{sparse.title} and 25 %")
        show(measured["density"])
        onnx = measure()
        measured["onnx"] = {"ratio": onnx.ratio, "onnx": onnx.onnx, "engine": onnx.engine}
        print(f"integer ONNX model over engine, one core each, batch 256: {onnx.ratio:.3f}")
        small = [case for case in cases if case.name in ("smnist_ff", "shd_rec")]
        measured |= processes(small, ["--mnist", options.mnist] if options.mnist else [])
    path = Path("build/bench.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    print(f"written: {path}")


if __name__ == "__main__":
    main()
