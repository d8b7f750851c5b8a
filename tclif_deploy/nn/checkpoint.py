"""Checkpoints: written whole or not at all, in the layout of the authors' training script."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tclif_deploy.errors import TclifError
from tclif_deploy.files import read_bytes
from tclif_deploy.outputs import write_file
from tclif_deploy.torch_file import read_torch

MOST_BYTES = 1 << 34
"""of a checkpoint that is read"""


def save_torch(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` to ``path`` with torch, atomically."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_file(path, buffer.getvalue(), parents=True)


def save_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` to ``path`` as JSON, atomically."""
    write_file(path, (json.dumps(content, indent=2) + "\n").encode(), parents=True)


def load_torch(path: Path) -> dict[str, Any]:
    """Read what `save_torch` wrote: tensors and plain values, nothing that could run code."""
    hint = "give another, or remove it"
    content = read_torch(read_bytes(path, hint, MOST_BYTES), str(path))
    if not isinstance(content, dict):
        raise TclifError(f"{path}: holds a {type(content).__name__}", "expected a checkpoint")
    return content


def load_weights(path: Path, network: torch.nn.Module) -> None:
    """Put the weights of a checkpoint (ours or the authors', which names the same keys) into ``network``."""
    content = load_torch(path)
    state: Any = content.get("state_dict", content)
    if not isinstance(state, dict):
        raise TclifError(f"{path}: its state_dict is a {type(state).__name__}", "start from the same model")
    expected = network.state_dict()
    for key in expected.keys() | state.keys():
        own, stored = expected.get(key), state.get(key)
        if own is None or stored is None or not isinstance(stored, Tensor) or own.shape != stored.shape:
            shapes = [None if t is None else tuple(getattr(t, "shape", ())) for t in (own, stored)]
            raise TclifError(
                f"{path}: {key!s:.60} has shape {shapes[1]}, the network's has {shapes[0]}", "start from the same model"
            )
        if own.is_floating_point() and not bool(torch.isfinite(stored).all()):
            raise TclifError(f"{path}: {key!s:.60} holds values that are not numbers, or infinite", "give another")
    network.load_state_dict(state)
