"""Sweeps: the grid, what a row says, going on after an interruption, the front, and the command."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tclif_deploy import Dataset, QuantizeSettings, TclifError, load_target, quantize, simulate
from tclif_deploy.cli.main import run
from tclif_deploy.report.sweep import Point, Row, pareto, picture
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.workflows.sweep import grid, numbers, read, sweep
from tests.helpers import checkpoints
from tests.helpers.tclif_networks import calibration_data, tclif_network

LOIHI2 = load_target("loihi2")


@pytest.mark.parametrize(
    ("text", "expected"), [("", []), ("8", [8]), ("2..5", [2, 3, 4, 5]), ("6..16..5", [6, 11, 16]), ("4, 8,4", [4, 8])]
)
def test_ranges_are_read(text, expected):
    assert numbers("--weight-bits", text) == expected


@pytest.mark.parametrize("text", ["x", "2..", "8..2", "1..2..3..4", "4;8"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(TclifError, match="--weight-bits is"):
        numbers("--weight-bits", text)


def test_a_grid_is_the_product_and_defaults_are_the_targets():
    points = grid(LOIHI2, "4,8", "", "16,24", "")
    assert len(points) == 4
    assert points[0] == Point(4, 12, 16, "toward_zero")


def test_a_row_says_what_the_functions_say(tmp_path):
    net, test, calibration = tclif_network(), calibration_data(3), calibration_data()
    (row,) = sweep(net, LOIHI2, [Point(6, 10, 20, "floor")], test, calibration, tmp_path / "s.csv", jobs=1)
    target = LOIHI2.override(weight_bits=6, coefficient_bits=10, state_bits=20, rounding="floor")
    result = simulate(quantize(net, target, calibration), test)
    classes = simulate_float(net, test.values(), spikes=False).classes
    assert row.agreement == float((result.classes == classes).mean())
    assert row.saturations == result.saturations
    assert row.cores == 1
    assert row.memory_bytes > sum(c.weight.size for la in net.layers for c in la.connections) * 6 // 8
    assert row.energy_nj_low < row.energy_nj_high


def test_an_interrupted_sweep_goes_on_and_does_not_run_again_what_it_has(tmp_path):
    net, test, calibration, path = tclif_network(), calibration_data(3), calibration_data(), tmp_path / "s.csv"
    points = [Point(bits, 12, 24, "toward_zero") for bits in (4, 6, 8)]
    whole = sweep(net, LOIHI2, points, test, calibration, path, jobs=1)
    lines = path.read_text().splitlines()
    known = lines[2].replace(lines[2].split(",")[5], "0.125")  # a mark that only an unrepeated row keeps
    path.write_text("\n".join([lines[0], known, lines[3][:20]]))  # one whole row, one cut
    again = sweep(net, LOIHI2, points, test, calibration, path, jobs=1)
    marked = [row for row in again if row.agreement == 0.125]
    assert len(marked) == 1
    assert [row for row in again if row not in marked] == [row for row in whole if row.point != marked[0].point]
    assert {row.point for row in read(path)} == set(points)


def test_rows_of_another_sweep_are_not_mixed_in(tmp_path):
    path = tmp_path / "s.csv"
    sweep(tclif_network(), LOIHI2, [Point(8, 12, 24, "floor")], calibration_data(3), calibration_data(), path, jobs=1)
    with pytest.raises(TclifError, match="rows of another model"):
        sweep(
            tclif_network(1), LOIHI2, [Point(8, 12, 24, "floor")], calibration_data(3), calibration_data(), path, jobs=1
        )
    settings = QuantizeSettings(passes=())
    with pytest.raises(TclifError, match="rows of another model"):
        sweep(
            tclif_network(),
            LOIHI2,
            [Point(8, 12, 24, "floor")],
            calibration_data(3),
            calibration_data(),
            path,
            jobs=1,
            settings=settings,
        )


def test_two_sweeps_on_one_table_lose_nothing(tmp_path):
    path, data = tmp_path / "s.csv", calibration_data(3)
    one, two = ([Point(bits, 12, 24, "floor") for bits in some] for some in ((4, 5), (5, 6)))

    def other(done, total):
        if done == 1:
            sweep(tclif_network(), LOIHI2, two, data, calibration_data(), path, jobs=1)

    sweep(tclif_network(), LOIHI2, one, data, calibration_data(), path, jobs=1, progress=other)
    assert sorted(row.weight_bits for row in read(path)) == [4, 5, 6]


@pytest.mark.parametrize(
    ("column", "value"), [("agreement", "1.5"), ("accuracy", "nan"), ("memory_bytes", "-1"), ("rounding", "up"),
                          ("energy_nj_high", "inf"), ("weight_bits", "0")],
)  # fmt: skip
def test_kept_figures_that_none_can_be_are_refused(tmp_path, column, value):
    path, data, points = tmp_path / "s.csv", calibration_data(3), [Point(4, 12, 24, "floor")]
    sweep(tclif_network(), LOIHI2, points, data, calibration_data(), path, jobs=1)
    lines = [line.split(",") for line in path.read_text().splitlines()]
    lines[1][lines[0].index(column)] = value
    path.write_text("\n".join(map(",".join, lines)) + "\n")
    with pytest.raises(TclifError, match=rf"s\.csv: line 2: .*{column} is .*; choose another --output"):
        sweep(tclif_network(), LOIHI2, points, data, calibration_data(), path, jobs=1)


def test_what_cannot_be_held_is_a_row_with_the_problem(tmp_path):
    wild = tclif_network()
    neuron = replace(wild.layers[0].neuron, threshold=np.full(16, 1e-9))
    wild = replace(wild, layers=(replace(wild.layers[0], neuron=neuron), *wild.layers[1:]))
    (row,) = sweep(
        wild, LOIHI2, [Point(8, 12, 8, "floor")], calibration_data(3), calibration_data(), tmp_path / "s.csv", jobs=1
    )
    assert row.agreement is None
    assert "less than one LSB" in row.problem


def test_the_front_holds_what_no_other_row_beats():
    def row(agreement, memory):
        return Row("x", 8, 12, 24, "floor", agreement=agreement, memory_bytes=memory)

    rows = [row(0.9, 100), row(0.8, 100), row(0.95, 200), row(0.95, 300), row(0.7, 50), row(None, 10)]
    assert pareto(rows) == [rows[4], rows[0], rows[2]]


def test_the_picture_ends_at_100_percent_and_no_two_labels_meet():
    rng = np.random.default_rng(0)
    rows = [
        Row("x", w, c, 24, r, agreement=min(1.0, 0.5 + 0.065 * w + 0.005 * c + 0.02 * rng.random()),
            memory_bytes=9000 * w + 50 * c, energy_nj_low=1.0, energy_nj_high=500.0 * w + 10 * c)
        for w in range(2, 9) for c in (8, 12) for r in ("floor", "nearest")
    ]  # fmt: skip
    figure = picture(rows)
    figure.draw_without_rendering()
    for axis in figure.axes:
        assert axis.get_ylim()[1] == 100
        boxes = [text.get_window_extent() for text in axis.texts]
        assert len(boxes) > 5
        assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])
        named = [int(n) for text in axis.texts for n in text.get_text().split(", ")]
        assert named == sorted(set(named))
        assert all(f"{n}: " in figure.get_supxlabel() for n in named)
    assert picture([]).axes[0].get_ylim()[1] == 100


@pytest.mark.slow
def test_the_command_prints_a_table_json_and_a_picture(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = checkpoints.write_checkpoint(tmp_path / "net")
    path = checkpoints.write_data(tmp_path / "d.npz")
    argv = ["sweep", str(model), "--data", str(path), "--weight-bits", "4,8", "--jobs", "1", "--output", "s.csv"]
    assert run([*argv, "--plot", "s.svg"]) == 0
    assert "4/12/24" in capsys.readouterr().out
    assert (tmp_path / "s.svg").read_text().count("<svg") == 1
    assert run([*argv, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["weight_bits"] for row in printed["rows"]] == [4, 8]
    assert run([*argv, "--weight-bits", "1..3"]) == 2
    assert "weight_bits" in capsys.readouterr().err


def test_one_sample_is_too_few(tmp_path, capsys):
    model = checkpoints.write_checkpoint(tmp_path / "net")
    np.savez(tmp_path / "d.npz", x=Dataset(np.zeros((1, 5, 3), np.uint8)).x)
    assert run(["sweep", str(model), "--data", str(tmp_path / "d.npz"), "--output", str(tmp_path / "s.csv")]) == 2
    assert "one sample is too few" in capsys.readouterr().err


def test_a_range_without_end_is_refused_at_once():
    with pytest.raises(TclifError, match="at most 64 numbers"):
        grid(LOIHI2, "2..99999999", "", "", "")


@pytest.mark.parametrize("damage", ["more columns", "NUL", "no number", "not text"])
def test_a_damaged_table_is_refused_in_one_line(tmp_path, damage):
    path = tmp_path / "s.csv"
    names = ",".join(Row.__dataclass_fields__)
    row = ",".join(["x"] * len(Row.__dataclass_fields__))
    lines = {"more columns": f"{row},,,", "NUL": "a\0" * 200_000, "no number": row, "not text": row}
    path.write_bytes(f"{names}\n{lines[damage]}\n".encode() + (b"\xff" if damage == "not text" else b""))
    with pytest.raises(TclifError) as refused:
        list(read(path))
    assert str(refused.value).startswith(f"{path}: cannot be read (")
