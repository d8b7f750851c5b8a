"""Small tasks whose targets are labels of steps, numbers of steps, and numbers of samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def beats(samples: int = 64, time: int = 60, seed: int = 0) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """(x, y) as the ECG files have them: spikes of both signs in 4 channels, whose pattern says which of 6 classes each
    step belongs to."""
    rng = np.random.default_rng(seed)
    x, y = np.zeros((samples, time, 4), np.int8), np.zeros((samples, time), np.int64)
    for n in range(samples):
        t = 0
        while t < time:
            kind, stay = int(rng.integers(6)), int(rng.integers(12, 25))
            part = slice(t, t + stay)
            y[n, part] = kind
            x[n, part, kind % 3] = (rng.random(y[n, part].shape) < 0.7) * (1 if kind < 3 else -1)
            t += stay
    return x, y


def write_tasks(folder: Path, task: str) -> tuple[str, Path]:
    """(the model to train, the folder of its train.npz and test.npz)."""
    folder.mkdir(parents=True)
    for seed, part in enumerate(("train", "test")):
        rng = np.random.default_rng(seed)
        arrays: dict[str, Any]
        if task == "step-label":
            x, y = beats(seed=seed)
            arrays = {"x": x, "y": y}
        else:
            x = rng.normal(size=(64, 60, 1)).cumsum(axis=1) / 4
            x = np.clip(x - x.mean(axis=1, keepdims=True), -2, 2)
            mask = np.arange(60) >= 5
            arrays = {"x": x, "y": np.roll(x, 1, axis=1), "mask": np.tile(mask, (64, 1)), "task": "step-value"}
            if task == "value":
                x = np.abs(rng.normal(1, 0.5, (64, 1, 1))) + rng.normal(0, 0.1, (64, 20, 1))
                arrays = {"x": x, "y": x.mean(axis=1)}
        np.savez(folder / f"{part}.npz", **arrays)
    return ("ecg" if task == "step-label" else "mackey-glass"), folder
