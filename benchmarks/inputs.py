"""What the benchmark's networks are fed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tclif_deploy.data.dataset import Dataset

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "fixtures/smnist_test.npz"


def events(features: int, time: int, density: float = 0.04, samples: int = 64) -> Dataset:
    """Independent binary events, uint8."""
    rng = np.random.default_rng(0)
    return Dataset((rng.random((samples, time, features)) < density).astype(np.uint8), name="events")
