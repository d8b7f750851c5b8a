"""How fast the ONNX sequence model is beside our engine: S-MNIST feedforward, batch 256, one core each.

python benchmarks/onnx_rate.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tclif_deploy import load, load_data, quantize
from tclif_deploy.backends import onnx
from tclif_deploy.backends.onnx.files import session
from tclif_deploy.simulation import simulate

ROOT = Path(__file__).parent.parent
BATCH = 256
LEAST_RATIO = 1 / 20
"""what the ONNX model must reach of the engine's rate"""


@dataclass(frozen=True)
class OnnxRate:
    """Samples a second (of 784 steps), on one core."""

    onnx: float
    engine: float

    @property
    def ratio(self) -> float:
        """ONNX over engine."""
        return self.onnx / self.engine


def measure(repeats: int = 3) -> OnnxRate:
    """The best of some runs of either, after one to warm up."""
    network = load(ROOT / "fixtures/smnist_ff/checkpoint.pth.tar")
    fixed = quantize(network, "loihi2", ROOT / "fixtures/smnist_ff/calibration.npz")
    data = load_data(ROOT / "fixtures/smnist_test.npz")
    x, _ = fixed.input.encode(data.x, data.scale)
    x = np.resize(x, (BATCH, *x.shape[1:]))
    with tempfile.TemporaryDirectory() as folder:
        onnx.emit(fixed, None, Path(folder))
        model = session(Path(folder) / onnx.SEQUENCE, threads=1)
    feeds = {"x": x.astype(np.int32), "lengths": np.full(BATCH, x.shape[1])}
    return OnnxRate(
        onnx=BATCH / _best(lambda: model.run(None, feeds), repeats),
        engine=BATCH / _best(lambda: simulate(fixed, x, engine="engine", jobs=1), repeats),
    )


def _best(run: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest run."""
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    rate = measure()
    print(f"onnx {rate.onnx:.0f}, engine {rate.engine:.0f} samples/s on one core: {rate.ratio:.3f} (>= {LEAST_RATIO})")
