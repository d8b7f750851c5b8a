"""Checkpoints: written whole or not at all, in the layout of the authors' training script."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tclif_deploy.errors import TclifError
from tclif_deploy.outputs import write_file


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
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TclifError(f"{path}: not a checkpoint of ours ({reason:.80})", "give another, or remove it") from None
    if not isinstance(content, dict):
        raise TclifError(f"{path}: holds a {type(content).__name__}", "expected a checkpoint")
    return content


def load_weights(path: Path, network: torch.nn.Module) -> None:
    """Put the weights of a checkpoint (ours or the authors', which names the same keys) into ``network``."""

    with torch.serialization.safe_globals([argparse.Namespace]):  # the authors keep best_acc in one
        content = load_torch(path)
    state: dict[str, Tensor] = content.get("state_dict", content)
    expected = network.state_dict()
    for key in expected.keys() | state.keys():
        own, stored = expected.get(key), state.get(key)
        if own is None or stored is None or not isinstance(stored, Tensor) or own.shape != stored.shape:
            shapes = [None if t is None else tuple(getattr(t, "shape", ())) for t in (own, stored)]
            raise TclifError(
                f"{path}: {key} has shape {shapes[1]}, the network's has {shapes[0]}", "start from the same model"
            )
    network.load_state_dict(state)
