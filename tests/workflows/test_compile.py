"""What compile runs, and how often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tclif_deploy as tc
from tclif_deploy.data import Dataset
from tclif_deploy.mapping import activity
from tclif_deploy.nn import TCLIF
from tclif_deploy.verification import fidelity
from tests.helpers.mnist_files import write_mnist


def test_every_test_sample_runs_once_as_float_and_once_as_integers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the few whose states the report draws: the cost model counts the spikes that were compared."""
    ran = {"float": 0, "integers": 0}

    def counting(kind: str, function: Any) -> Any:
        def call(network: Any, x: Any, **given: Any) -> Any:
            ran[kind] += 0 if given.get("traces") else len(x)
            return function(network, x, **given)

        return call

    monkeypatch.setattr(fidelity, "simulate_float", counting("float", fidelity.simulate_float))
    monkeypatch.setattr(fidelity, "simulate", counting("integers", fidelity.simulate))
    monkeypatch.setattr(activity, "simulate", counting("integers", activity.simulate))
    rng = np.random.default_rng(3)
    data = Dataset(rng.normal(0, 1, (40, 12, 3)), name="normal")
    hidden = tc.Layer("hidden", tc.neurons.lif(9, decay=0.9, threshold=1.0),
                      (tc.Connection("input", rng.normal(0, 0.5, (9, 3))),))  # fmt: skip
    network = tc.Network(3, (hidden, tc.Layer("out", tc.neurons.readout(2),
                                              (tc.Connection("hidden", rng.normal(0, 0.5, (2, 9))),))))  # fmt: skip
    options = tc.CompileOptions(backend="none")
    build = tc.compile(network, data=data, calibration=data[:8], output=tmp_path / "b", options=options)
    assert ran == {"float": 40, "integers": 40}
    place = tc.mapping.place(build.fixed, build.target)
    cost = tc.mapping.cost(build.fixed, build.target, place, tc.mapping.measure(build.fixed, data[:32]))
    assert build.report.energy == tc.mapping.hardware_summary(place, cost).energy


def test_mnists_own_files_are_no_data_of_a_permuted_network(tmp_path: Path) -> None:
    model = tmp_path / "model.pth.tar"
    torch.manual_seed(0)
    tc.save(torch.nn.Sequential(torch.nn.Linear(1, 8), TCLIF(1.0, 0.5), torch.nn.Linear(8, 10)), model)
    write_mnist(tmp_path / "mnist")
    images = tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz"
    options = tc.CompileOptions(backend="none", quantize=tc.QuantizeSettings(passes=()))
    told = []
    for order in (None, np.arange(16)[::-1]):
        if order is not None:
            np.save(tmp_path / "permutation.npy", order)
        build = tc.compile(model, data=images, output=tmp_path / "build", options=options)
        told.append([notice for notice in build.report.notices if "permutation.npy: another task" in notice])
    assert [len(notices) for notices in told] == [0, 1]
