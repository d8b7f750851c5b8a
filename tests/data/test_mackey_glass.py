"""The Mackey-Glass series: what its equation says, the same from a seed everywhere, and harder than it looks."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from tclif_deploy.data import mackey_glass as mg
from tclif_deploy.data.mackey_glass import load_mackey_glass, mackey_glass
from tclif_deploy.errors import TclifError


def test_it_follows_its_equation(monkeypatch: pytest.MonkeyPatch) -> None:
    x = mackey_glass(np.array([1.2, 0.7]), 600)
    monkeypatch.setattr(mg, "STEP", 0.05)
    half = mackey_glass(np.array([1.2, 0.7]), 600)
    assert np.abs(x - half)[:, :20].max() < 2e-2  # chaos: a smaller step drifts away, but slowly
    # the trapezium rule over two units, of what was sampled every unit
    delayed = x[:, :-17]
    change = mg.BETA * delayed / (1 + delayed**10) - mg.GAMMA * x[:, 17:]
    simpson = (change[:, :-2] + 4 * change[:, 1:-1] + change[:, 2:]) / 3
    np.testing.assert_allclose(x[:, 19:] - x[:, 17:-2], simpson, atol=2e-3)


def test_short_series_equal_those_of_smaller_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mg, "SETTLED", 0)
    x = mackey_glass(np.array([1.2]), 60)
    monkeypatch.setattr(mg, "STEP", 0.025)
    np.testing.assert_allclose(x, mackey_glass(np.array([1.2]), 60), atol=1e-4)


def test_a_seed_gives_the_same_bytes_and_another_gives_others() -> None:
    data = load_mackey_glass("test")
    assert hashlib.sha256(data.x.tobytes()).hexdigest()[:16] == "e559a476d2716f71"
    assert (load_mackey_glass("test").x == data.x).all()
    assert (load_mackey_glass("test", seed=1).x != data.x).any()
    assert (load_mackey_glass("train").x[:64] != data.x).any()
    with pytest.raises(TclifError, match="known: train, test"):
        load_mackey_glass("all")


def test_targets_are_the_values_six_steps_later() -> None:
    data = load_mackey_glass("test")
    assert data.y is not None
    assert data.mask is not None
    value = data.x / mg.STEPS_PER_UNIT + mg.MIDDLE
    assert np.abs(value[:, 6:] - data.y[:, :-6]).max() <= 0.5 / mg.STEPS_PER_UNIT + 1e-9
    assert data.mask.sum(axis=1).tolist() == [200] * 64
    assert np.abs(data.x).max() < 127  # nothing was clipped
    last, truth = data.y[:, 44:-6], data.y[:, 50:]
    assert 0.25 < 1 - ((last - truth) ** 2).mean() / truth.var() < 0.4  # what saying the last value is worth
