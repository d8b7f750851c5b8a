"""Small real checkpoints in the authors' layout, and data that make them fire."""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import torch

ARGS = {
    "task": "SHD", "threshold": 1.0, "gamma": 0.5, "hard_reset": False, "sg": "triangle", "neuron": "tclif",
    "network": "ff",
}  # fmt: skip


def state_dict(sizes=(3, 12, 10, 4), *, seed=0, recurrent=()) -> dict[str, torch.Tensor]:
    """Weights of Linear + TC-LIF pairs and a last Linear, keyed as the authors' ``features`` Sequential."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for n, (m, k) in enumerate(itertools.pairwise(sizes)):
        last = n == len(sizes) - 2
        tensors[f"features.{2 * n}.weight"] = torch.tensor(rng.normal(0.03, 0.9 / m**0.5, (k, m)), dtype=torch.float32)
        tensors[f"features.{2 * n}.bias"] = torch.tensor(rng.normal(0.02, 0.03, k), dtype=torch.float32)
        if last:
            continue
        inner = f"features.{2 * n + 1}."
        if n in recurrent:
            tensors[f"{inner}hid_weight.weight"] = torch.tensor(
                rng.normal(0, 0.2 / k**0.5, (k, k)), dtype=torch.float32
            )
            tensors[f"{inner}hid_weight.bias"] = torch.tensor(rng.normal(0, 0.02, k), dtype=torch.float32)
            inner += "sub_module."
        tensors[f"{inner}decay_factor"] = torch.tensor(rng.normal(0, 0.5, (1, 2)), dtype=torch.float32)
    return tensors


def write_checkpoint(folder: Path, *, args=ARGS, name="checkpoint.pth.tar", **kwargs) -> Path:
    """A checkpoint with its args.json beside it, as the authors' script leaves them."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "epoch": 1,
        "best_acc": argparse.Namespace(top1=torch.tensor([50.0])),
        "state_dict": state_dict(**kwargs),
        "optimizer": {},
    }
    torch.save(content, folder / name)
    if args is not None:
        (folder / "args.json").write_text(json.dumps(args))
    return folder / name


def write_data(path: Path, *, features=3, samples=8, time=50, labels=True, seed=1, **arrays) -> Path:
    """An .npz of pixel-like integers with ``scale`` 1/255."""
    rng = np.random.default_rng(seed)
    content = {"x": rng.integers(0, 256, (samples, time, features)).astype(np.uint8), "scale": 1 / 255}
    if labels:
        content["y"] = rng.integers(0, 4, samples)
    np.savez(path, **(content | arrays))
    return path
