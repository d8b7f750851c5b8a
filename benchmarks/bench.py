"""``make bench``: the engine against torch, itself on one thread, Lava and ONNX; ratios from one interleaved run.

Prints a table and writes ``build/bench.json``. Absolute rates mean little on a shared machine; the ratios are of
medians of runs that took turns.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import Case, at_density, shd_recurrent, smnist_feedforward, smnist_recurrent, wide_recurrent
from onnx_rate import measure
from torch_loop import TorchLoop

from tclif_deploy.backends import lava
from tclif_deploy.simulate import simulate
from tclif_deploy.simulate.floating import simulate_float
from tclif_deploy.target import load_target

BATCHES = (64, 256, 1024)
"""torch's batch sizes; its best one counts"""
BARS = {"smnist_ff": 18.0, "smnist_rec": 16.0, "shd_rec": 22.0, "wide": 15.0}


def rates(work: dict[str, tuple[int, Callable[[], Any]]], rounds: int) -> dict[str, list[float]]:
    """Samples a second of each piece of work, ``rounds`` times, taking turns after one uncounted round."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, (samples, call) in work.items():
            began = time.perf_counter()
            call()
            if turn:
                found[name].append(samples / (time.perf_counter() - began))
    return found


def against_torch(case: Case, rounds: int, count: int) -> dict[str, Any]:
    """The engine on all cores against the torch loop at its best batch, on the same samples."""
    integers = case.samples(count)
    loop = TorchLoop(case.network)
    work: dict[str, tuple[int, Callable[[], Any]]] = {
        "engine": (count, lambda: simulate(case.fixed, integers)),
        "engine, one thread": (count, lambda: simulate(case.fixed, integers, jobs=1)),
    }
    for batch in BATCHES:
        real = np.resize(case.data.real(), (batch, *case.data.x.shape[1:])).astype(np.float32)
        x = torch.tensor(real).transpose(0, 1).contiguous()
        work[f"torch {batch}"] = (batch, lambda x=x: loop(x))
    few = case.data[:8]
    agree = (loop(torch.tensor(few.real(), dtype=torch.float32).transpose(0, 1)).argmax(1).numpy()
             == simulate_float(case.network, few.real(), spikes=False).classes).mean()  # fmt: skip
    assert agree >= 0.7, f"{case.name}: the torch loop is another network ({agree:.0%} agreement)"
    found = rates(work, rounds)
    median = {name: statistics.median(values) for name, values in found.items()}
    best = max((name for name in median if name.startswith("torch")), key=median.__getitem__)
    return {
        "title": case.title, "density": case.density(), "rates": found, "median": median, "torch_best": best,
        "ratio_torch": median["engine"] / median[best],
        "ratio_threads": median["engine"] / median["engine, one thread"],
    }  # fmt: skip


def against_lava(case: Case) -> dict[str, float]:
    """Lava's stock Dense on two samples, less the time that one takes, against the engine."""
    integers = case.samples(3)
    with tempfile.TemporaryDirectory() as folder:
        lava.emit(case.fixed, load_target("loihi2"), Path(folder))
        times = []
        for count in (1, 3):
            began = time.perf_counter()
            lava.run(Path(folder), integers[:count])
            times.append(time.perf_counter() - began)
    return {"seconds_a_sample": (times[1] - times[0]) / 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=2048, help="samples the engine runs at a time")
    options = parser.parse_args()
    found: dict[str, Any] = {
        "machine": {"processor": platform.processor() or platform.machine(), "torch_threads": torch.get_num_threads(),
                    "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }  # fmt: skip
    print(found["machine"])
    for make in (smnist_feedforward, smnist_recurrent, shd_recurrent, wide_recurrent):
        case = make()
        count = options.samples if case.name != "wide" else options.samples // 4
        found[case.name] = result = against_torch(case, options.rounds, count)
        print(f"\n{case.title}; density " + ", ".join(f"{k} {v:.1%}" for k, v in result["density"].items()))
        for name, values in result["rates"].items():
            spread = f"{min(values):,.0f} to {max(values):,.0f}"
            print(f"  {name:20s} {statistics.median(values):10,.0f} samples/s ({spread})")
        bar = BARS[case.name]
        print(f"  ratio to {result['torch_best']}: {result['ratio_torch']:.1f} (bar {bar:g}); "
              f"threads {result['ratio_threads']:.2f}")  # fmt: skip
        if case.name == "smnist_ff":
            seconds = against_lava(case)["seconds_a_sample"]
            result["ratio_lava"] = result["median"]["engine"] * seconds
            print(f"  Lava's stock Dense: {seconds:.2f} s a sample; ratio to it: {result['ratio_lava']:,.0f}")
            found["threads"] = {"ratio": result["ratio_threads"]}
            found["linear"] = linearity(case)
            print(
                "  cost of twice the samples, of twice the steps: {samples:.2f}, {steps:.2f}".format(**found["linear"])
            )
    sparse, dense = (at_density(density) for density in (0.02, 0.25))
    both = rates(
        {c.name: (512, lambda c=c: simulate(c.fixed, c.samples(512))) for c in (sparse, dense)}, options.rounds
    )
    found["density"] = {name: statistics.median(values) for name, values in both.items()}
    gain = found["density"][sparse.name] / found["density"][dense.name]
    print(f"\n{sparse.title} against 25 %: {gain:.2f} times as fast")
    onnx = measure()
    found["onnx"] = {"ratio": onnx.ratio, "onnx": onnx.onnx, "engine": onnx.engine}
    print(f"ONNX sequence model against the engine, one core each, batch 256: {onnx.ratio:.3f}")
    path = Path("build/bench.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"written: {path}")


def linearity(case: Case) -> dict[str, float]:
    """Time of twice the samples, and of twice the steps, over the time of once."""
    x = case.samples(1024)
    work = {
        "once": (1, lambda: simulate(case.fixed, x)),
        "samples": (1, lambda: simulate(case.fixed, np.concatenate([x, x]))),
        "steps": (1, lambda: simulate(case.fixed, np.concatenate([x, x], axis=1))),
    }
    found = {name: statistics.median(values) for name, values in rates(work, 3).items()}
    return {name: found["once"] / found[name] for name in ("samples", "steps")}


if __name__ == "__main__":
    main()
