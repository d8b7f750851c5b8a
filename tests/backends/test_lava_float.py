"""The floating-point models of the Lava processes are the float model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tclif_deploy import neurons
from tclif_deploy.backends import lava
from tclif_deploy.convolution import Conv
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.simulation.floating import simulate_float

pytestmark = pytest.mark.slow


def small(strict: bool, reset: str) -> Network:
    """Two hidden layers with recurrence, feedback, a skip and a delayed input."""
    rng = np.random.default_rng(3)
    tclif = neurons.tclif(
        12, c1=rng.normal(size=12), c2=rng.normal(size=12), gamma=0.4, threshold=1.0, strict=strict,
        reset=reset, bias=rng.normal(0, 0.05, 12),  # type: ignore[arg-type]
    )  # fmt: skip
    tclif = replace(tclif, u0=rng.normal(0, 0.5, 12), v0=rng.normal(0, 0.5, 12), s0=rng.integers(0, 2, 12))
    if reset == "hard":
        tclif = replace(tclif, r_u=rng.normal(0.3, 0.1, 12))
    first = Layer("first", tclif, (
        Connection("input", rng.normal(0.1, 0.5, (12, 3))),
        Connection("first", rng.normal(0, 0.2, (12, 12)), delay=1),
        Connection("second", rng.normal(0, 0.2, (12, 8)), delay=1),
    ))  # fmt: skip
    second = Layer(
        "second", neurons.lif(8, decay=0.8, threshold=0.9), (Connection("first", rng.normal(0.1, 0.4, (8, 12))),)
    )
    out = Layer("out", neurons.readout(4, decay=0.95), (
        Connection("second", rng.normal(0, 0.4, (4, 8))),
        Connection("first", rng.normal(0, 0.4, (4, 12))),
        Connection("input", rng.normal(0, 0.4, (4, 3)), delay=2),
    ))  # fmt: skip
    return Network(3, (first, second, out))


def convolutional() -> Network:
    """Maps of 2 and 4 channels, padded unlike, the second feeding itself."""
    rng = np.random.default_rng(5)
    conv = Conv((1, 4, 5), padding=(0, 1, 1, 1))
    loop = Connection("first", rng.normal(0, 0.1, (2, 1, 3, 3)), 1, Conv((2, 3, 5), padding=(1, 1, 1, 1), groups=2))
    cell = neurons.tclif(30, c1=rng.normal(size=30), c2=0.1, gamma=0.4, threshold=1.0)
    first = Layer("first", cell, (Connection("input", rng.normal(0.1, 0.5, (2, 1, 3, 3)), 0, conv), loop))
    second = Layer("second", neurons.lif(4 * 3, decay=0.8, threshold=0.9), (
        Connection("first", rng.normal(0.1, 0.4, (4, 2, 1, 3)), 0, Conv((2, 3, 5), stride=(1, 3))),
    ))  # fmt: skip
    out = Layer("out", neurons.readout(4), (Connection("second", rng.normal(0, 0.4, (4, 12))),))
    return Network(20, (first, second, out))


@pytest.mark.parametrize("kind", ["dense", "conv"])
@pytest.mark.parametrize(("strict", "reset", "batched"), [(False, "soft", False), (True, "hard", True)])
def test_floating_point_processes_equal_the_float_model(
    kind: str, strict: bool, reset: str, batched: bool, tmp_path: Path
) -> None:
    network = small(strict, reset) if kind == "dense" else convolutional()
    x = np.random.default_rng(4).normal(0, 1, (3, 40, network.input_size))
    lengths = np.array([40, 10, 23])
    want = simulate_float(network, x, lengths=lengths, traces=("first", "second", "out"))
    assert all(0.01 < spikes.mean() < 0.6 for spikes in want.spikes.values())
    lava.emit_float(network, tmp_path)
    got = lava.run_float(tmp_path, x, lengths=lengths, batched=batched)
    for name, spikes in want.spikes.items():
        np.testing.assert_array_equal(got.spikes[name], spikes)
    for name, trace in want.traces.items():
        np.testing.assert_allclose(got.u[name], trace[0, :, -1], atol=1e-12)
        np.testing.assert_allclose(got.v[name], trace[1, :, -1], atol=1e-12)
    np.testing.assert_allclose(got.readout, want.readout, atol=1e-12)
    np.testing.assert_array_equal(got.classes, want.classes)
