"""Whole-sequence training against the plain loop, one S-MNIST step each: ``python benchmarks/train.py``.

The plain loop is what the authors' script does: 784 autograd steps of small torch operations on the whole batch, on
all the cores that torch takes. Ours is one step of `tclif_deploy.nn.train.Trainer`. Both start from the same weights
(``fixtures/smnist_ff``, so that firing rates are real) and see the same images. Each runs in a process of its own, so
that peak memory is its own; the best of the repeats counts.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from tclif_deploy.data import load_data
from tclif_deploy.nn import build, reset_states
from tclif_deploy.nn.checkpoint import load_weights
from tclif_deploy.nn.config import TrainConfig
from tclif_deploy.nn.sequence import SequenceNetwork
from tclif_deploy.nn.trainer import Trainer, one_thread_each

ROOT = Path(__file__).parents[1]
WAYS = ("plain", "whole")


def plain_step(network: SequenceNetwork, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor) -> None:
    """One optimizer step through a loop over time, all layers stepping together."""
    reset_states(network)
    scores = sum(network.features(x[:, t]) for t in range(x.shape[1]))
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(scores, y).backward()
    optimizer.step()


def measure(way: str, batch: int, repeats: int, data_file: Path) -> dict[str, float]:
    """Seconds of the fastest step and peak memory in MiB above what stood before the first step."""
    network = build("smnist-ff")
    load_weights(ROOT / "fixtures/smnist_ff/checkpoint.pth.tar", network)
    data = load_data(data_file)
    index = np.arange(batch) % data.samples
    config = TrainConfig("smnist-ff", None, Path("unused"), lr=1e-5)
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
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", type=Path, default=ROOT / "fixtures/smnist_test.npz")
    parser.add_argument("--way", choices=WAYS, help="measure one way only, as JSON")
    parser.add_argument("--at-least", type=float, default=3.0, help="exit code 1 below this ratio")
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args.way, args.batch, args.repeats, args.data)))
        return
    measured = {}
    for way in WAYS:
        command = [sys.executable, __file__, "--way", way, "--batch", str(args.batch), "--repeats", str(args.repeats)]
        output = subprocess.run([*command, "--data", str(args.data)], check=True, capture_output=True, text=True).stdout
        measured[way] = json.loads(output)
        print(f"{way:5s}  {measured[way]['seconds']:7.3f} s a step  {measured[way]['peak_mib']:6.0f} MiB", flush=True)
    ratio = measured["plain"]["seconds"] / measured["whole"]["seconds"]
    memory = measured["plain"]["peak_mib"] / measured["whole"]["peak_mib"]
    print(f"ratio {ratio:.1f}, memory {memory:.1f} times less; batch {args.batch}, {torch.get_num_threads()} threads")
    raise SystemExit(0 if ratio >= args.at_least else 1)


if __name__ == "__main__":
    main()
