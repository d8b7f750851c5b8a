"""The trained models that are shipped: complete, of the accuracy that their README says, and alive as integers."""

import re
from pathlib import Path

import numpy as np
import pytest

import tclif_deploy as tc
from tclif_deploy import load, load_data, quantize, simulate
from tclif_deploy.data.mackey_glass import load_mackey_glass
from tclif_deploy.simulation.floating import simulate_float

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parents[2] / "fixtures"
SERIES = FIXTURES / "mackey_glass"
MODELS = sorted(path.parent for path in FIXTURES.glob("*/checkpoint.pth.tar") if path.parent != SERIES)
"""those whose targets are labels"""
README = (FIXTURES / "README.md").read_text(encoding="utf-8")


@pytest.fixture(params=MODELS, ids=lambda folder: folder.name)
def folder(request):
    return request.param


def stated(folder: Path, what: str = r"\*\*test accuracy\*\*") -> float:
    """The accuracy, or what else, that the README states for a model, as a fraction."""
    section = README.split(f"### {folder.name}:")[1].split("\n### ")[0]
    return float(re.search(rf"{what} \| \*\*([\d.]+) %\*\*", section)[1]) / 100


def is_within_chance(share: float, whole: float, samples: int) -> bool:
    """Whether so many samples may have this share, where all have the ``whole`` one."""
    return abs(share - whole) < 3 * np.sqrt(whole * (1 - whole) / samples) + 0.01


def stated_numbers(row: str) -> tuple[float, float, float]:
    """R2, rmse and sMAPE that the README states for Mackey-Glass in a row."""
    section = README.split("### mackey_glass:")[1].split("\n### ")[0]
    found = re.search(rf"\| {row} \| R² ([\d.]+), rmse ([\d.]+), sMAPE ([\d.]+)", section)
    return float(found[1]), float(found[2]), float(found[3])


def test_the_folder_has_what_a_user_needs(folder):
    assert {"args.json", "test.npz", "calibration.npz", "train.log"} <= {path.name for path in folder.iterdir()}
    assert re.findall(r"test ([\d.]+)%", (folder / "train.log").read_text())[-1] == f"{100 * stated(folder):.2f}"


def test_the_float_network_is_as_accurate_as_the_readme_says(folder):
    data = load_data(folder / "test.npz")[:100]
    accuracy = float(
        np.mean(
            simulate_float(load(folder / "checkpoint.pth.tar"), data.values(), lengths=data.lengths).classes == data.y
        )
    )
    assert is_within_chance(accuracy, stated(folder), data.samples)


def test_its_integers_decide_as_the_float_network_and_the_engine_runs_them_exactly(folder):
    network, data = load(folder / "checkpoint.pth.tar"), load_data(folder / "test.npz")[:100]
    fixed = quantize(network, "loihi2", folder / "calibration.npz")
    float_classes = simulate_float(network, data.values(), lengths=data.lengths).classes
    agreement = float(np.mean(simulate(fixed, data).classes == float_classes))
    assert is_within_chance(agreement, stated(folder, "agreement"), data.samples)
    few = data[:2]
    result = simulate(fixed, few, spikes=True)
    expected = simulate(fixed, few, spikes=True, engine="reference")
    for layer in fixed.layers:
        if layer.spiking:
            assert result.spikes[layer.name].any()
            np.testing.assert_array_equal(result.spikes[layer.name], expected.spikes[layer.name])
    np.testing.assert_array_equal(result.readout, expected.readout)


def test_the_series_is_predicted_as_well_as_the_readme_says_in_float_and_in_integers(tmp_path):
    stated, integers = stated_numbers(r"\*\*float\*\*"), stated_numbers(r"\*\*8-bit integers\*\* \(loihi2\)")
    last = re.findall(r"test R2 ([\d.]+) rmse ([\d.]+) sMAPE ([\d.]+)", (SERIES / "train.log").read_text())[-1]
    assert [float(value) for value in last] == pytest.approx(stated, rel=4e-3)
    test = load_data(SERIES / "test.npz")
    made = load_mackey_glass("test")
    np.testing.assert_array_equal(test.x, made.x)
    np.testing.assert_allclose(test.y, made.y, rtol=1e-6)
    options = tc.CompileOptions(backend="c", requirements=tc.Requirements(min_r2=0.99, max_rmse=0.02))
    model = SERIES / "checkpoint.pth.tar"
    build = tc.compile(model, "loihi2", data=SERIES / "test.npz", output=tmp_path / "build", options=options)
    report = build.report
    assert (report.task, report.judged, build.shortfalls) == ("step-value", 64 * 200, ())
    for name, at in (("r2", 0), ("rmse", 1), ("smape", 2)):
        figures = getattr(report, name)
        assert figures.original == pytest.approx(stated[at], rel=2e-3)
        assert figures.quantized == pytest.approx(integers[at], rel=2e-3)
    assert all(check.equal for check in report.backends.values())
    few = test[:2]
    said, exact = (tc.simulate(build.fixed, few, readouts=True, engine=engine) for engine in ("auto", "reference"))
    np.testing.assert_array_equal(said.readouts, exact.readouts)


def test_the_series_says_more_than_its_last_value():
    test = load_data(SERIES / "test.npz")
    naive, truth = test.y[:, 44:-6], test.y[:, 50:]
    value = 1 - ((naive - truth) ** 2).mean() / truth.var()
    assert value == pytest.approx(stated_numbers("saying the last value again")[0], abs=1e-3)
    assert sum(path.stat().st_size for path in SERIES.iterdir()) < 300_000
