"""Checkpoints: written whole or not at all, in the layout of the authors' training script."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from tclif_deploy.errors import TclifError


def write_atomic(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in the place of ``path`` in one step.

    A reader, or a power cut, meets the old file or the new one. Raises `TclifError` where the disk refuses; the old
    file is then untouched.
    """
    name = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            name = file.name
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except (OSError, RuntimeError) as error:  # torch's zip writer turns a full disk into a RuntimeError
        if name is not None:
            Path(name).unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        kept = "; what stood there before is intact" if path.exists() else ""
        raise TclifError(
            f"{path}: cannot be written ({reason}){kept}", "free some space or choose another place"
        ) from None
    except BaseException:
        if name is not None:
            Path(name).unlink(missing_ok=True)
        raise


def save_torch(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` to ``path`` with torch, atomically."""
    write_atomic(path, lambda file: torch.save(content, file))


def save_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` to ``path`` as JSON, atomically."""
    write_atomic(path, lambda file: file.write((json.dumps(content, indent=2) + "\n").encode()))


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
        here, there = expected.get(key), state.get(key)
        if here is None or there is None or not isinstance(there, Tensor) or here.shape != there.shape:
            shapes = [None if t is None else tuple(getattr(t, "shape", ())) for t in (here, there)]
            raise TclifError(
                f"{path}: {key} has shape {shapes[1]}, the network's has {shapes[0]}", "start from the same model"
            )
    network.load_state_dict(state)
