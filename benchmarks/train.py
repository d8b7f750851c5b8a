"""Whole-sequence training against the plain loop, one step each: ``python benchmarks/train.py``.

The plain loop is what the authors' script does: 784 autograd steps of small torch operations on the whole batch, on
all the cores that torch takes. Ours is one step of `tclif_deploy.nn.train.Trainer`. Both start from the same weights
(a fixture's, so that firing rates are real) and see the same images. Each runs in a process of its own, so that peak
memory is its own; the best of the repeats counts. With ``--baseline CHECKOUT`` the other side is the trainer of another
checkout, by turns.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from baseline import check_baseline

from tclif_deploy.data import load_data
from tclif_deploy.nn import build, reset_states
from tclif_deploy.nn.checkpoint import load_weights
from tclif_deploy.nn.config import TrainConfig
from tclif_deploy.nn.sequence import SequenceNetwork
from tclif_deploy.nn.trainer import Trainer, one_thread_each

ROOT = Path(__file__).parents[1]
WAYS = ("plain", "whole")
NETWORKS = ("smnist_ff", "smnist_rec", "psmnist_ff", "psmnist_rec")


def plain_step(network: SequenceNetwork, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor) -> None:
    """One optimizer step through a loop over time, all layers stepping together."""
    reset_states(network)
    scores = sum(network.features(x[:, t]) for t in range(x.shape[1]))
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(scores, y).backward()
    optimizer.step()


def measure(way: str, name: str, batch: int, repeats: int, threads: int) -> dict[str, float]:
    """Seconds of the fastest step and peak memory in MiB above what stood before the first step."""
    model = name.replace("_", "-")
    network = build(model)
    load_weights(ROOT / "fixtures" / name / "checkpoint.pth.tar", network)
    data = load_data(ROOT / "fixtures" / name / "test.npz")
    index = np.arange(batch) % data.samples
    config = TrainConfig(model, None, Path("unused"), lr=1e-5, threads=threads)
    if threads:
        torch.set_num_threads(threads)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    if way == "whole":
        trainer = Trainer(network, config)
        with one_thread_each():
            trainer.step(data, index[:16], config.lr)  # compiles
            for _ in range(repeats):
                start = time.perf_counter()
                trainer.step(data, index, config.lr)
                seconds.append(time.perf_counter() - start)
    else:
        optimizer = torch.optim.AdamW(network.parameters(), lr=config.lr)
        assert data.y is not None
        x, y = torch.from_numpy(data.values()[index]).float(), torch.from_numpy(data.y[index])
        for _ in range(repeats):
            start = time.perf_counter()
            plain_step(network, optimizer, x, y)
            seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": min(seconds), "peak_mib": (peak - before) / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--network", choices=NETWORKS, default="smnist_ff", help="the fixture that is trained on")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0 takes every core")
    parser.add_argument("--way", choices=WAYS, help="measure one way only, as JSON")
    parser.add_argument(
        "--baseline", type=Path, help="another checkout, whose trainer is measured in place of the loop"
    )
    parser.add_argument(
        "--at-least", type=float, help="exit code 1 below this ratio (default: 3 beside the loop, else 0)"
    )
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args.way, args.network, args.batch, args.repeats, args.threads)))
        return
    check_baseline(parser, args.baseline)
    other = "plain" if args.baseline is None else "baseline"
    measured: dict[str, dict[str, float]] = {}
    for way in (other, "whole") * (1 if args.baseline is None else 2):
        command = [sys.executable, __file__, "--way", "plain" if way == "plain" else "whole"]
        for name in ("network", "batch", "repeats", "threads"):
            command += [f"--{name}", str(getattr(args, name))]
        code = args.baseline.resolve() if way == "baseline" else ROOT
        output = subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(code)}
        ).stdout
        now = json.loads(output)
        measured[way] = min(measured.get(way, now), now, key=lambda result: result["seconds"])
        print(f"{way:8s}  {now['seconds']:7.3f} s a step  {now['peak_mib']:6.0f} MiB", flush=True)
    ratio = measured[other]["seconds"] / measured["whole"]["seconds"]
    memory = measured[other]["peak_mib"] / measured["whole"]["peak_mib"]
    threads = args.threads or torch.get_num_threads()
    print(f"{args.network}: ratio {ratio:.1f}, memory {memory:.1f} times less; batch {args.batch}, {threads} threads")
    at_least = (3.0 if args.baseline is None else 0.0) if args.at_least is None else args.at_least
    raise SystemExit(0 if ratio >= at_least else 1)


if __name__ == "__main__":
    main()
