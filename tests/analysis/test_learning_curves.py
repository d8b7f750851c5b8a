"""Learning curves: logs are read as the trainer writes them, seeds of one run belong together, others are refused."""

import json
from dataclasses import replace

import pytest

from tclif_deploy import TclifError
from tclif_deploy.analysis import convergence
from tclif_deploy.nn.config import Epoch, NumberFigures
from tclif_deploy.report.analyses import analysis_blocks, figure_of
from tclif_deploy.report.content import Note, Table


def epoch(n: int, test: float | None = 0.5, numbers: NumberFigures | None = None, **fields) -> Epoch:
    return Epoch(n, 1e-3, 2.0 / n, 0.4, test, None, (0.1, 0.2), 3.0, numbers=numbers, **fields)


def write(folder, tests, *, args=None, start=1, **fields):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [epoch(n, test, **fields).line() for n, test in enumerate(tests, start)]
    (folder / "c.log").write_text("\n".join(lines) + "\n")
    if args is not None:
        (folder / "args.json").write_text(json.dumps(args))
    return folder / "c.log"


def test_trainings_that_differ_in_their_seed_alone_are_one_run(tmp_path):
    logs = [
        write(
            tmp_path / f"{neuron}-{seed}", (0.2 + seed / 10, best), args={"neuron": neuron, "model": "m", "seed": seed}
        )
        for neuron, best in (("lif", 0.5), ("tclif", 0.9))
        for seed in (0, 1)
    ]
    found = convergence(logs)
    assert found.figure == "accuracy"
    assert [(run.name, [curve.seed for curve in run.curves]) for run in found.runs] == [
        ("lif", [0, 1]),
        ("tclif", [0, 1]),
    ]
    assert found.runs[1].last == pytest.approx((0.9, 0.9, 0.9))
    assert found.nearly == pytest.approx(0.95 * 0.5)
    assert [run.epochs_to(0.25) for run in found.runs] == [(1, 1.5, 2), (1, 1.5, 2)]
    assert found.runs[0].epochs_to(0.8) is None
    assert found.runs[0].curves[0].loss == (2.0, 1.0)


def test_logs_without_args_are_runs_of_their_own_called_by_their_folders(tmp_path):
    found = convergence([write(tmp_path / "a", (0.2,)), write(tmp_path / "b", (0.4,))])
    assert [(run.name, run.curves[0].seed) for run in found.runs] == [("a", None), ("b", None)]


@pytest.mark.parametrize("neuron", [None, "", 3, ["lif"]])
def test_a_neuron_that_is_no_name_is_no_run_s_name(tmp_path, neuron):
    logs = [write(tmp_path / name, (0.2,), args={"neuron": of}) for name, of in (("a", neuron), ("b", "lif"))]
    assert [run.name for run in convergence(logs).runs] == ["a", "b"]


def test_validation_and_accuracies_of_steps_are_read_too(tmp_path):
    one = write(tmp_path / "a", (0.2,))
    (tmp_path / "s").mkdir()
    lines = [replace(epoch(1, 0.25), task="step-label", validation=0.3).line()]
    (tmp_path / "s" / "c.log").write_text("\n".join(lines))
    assert convergence([one, tmp_path / "s" / "c.log"]).runs[1].curves[0].test == (0.25,)


def test_numbers_are_told_by_r2_which_may_be_undefined(tmp_path):
    numbers = NumberFigures(0.5, 0.4, 0.75, 12.0, 0.6)
    one = write(tmp_path / "a", (None, None), numbers=numbers)
    two = write(tmp_path / "b", (None,), numbers=replace(numbers, test_r2=None, validation_rmse=None))
    found = convergence([one, two])
    assert found.figure == "R2"
    assert [run.last for run in found.runs] == [(0.75, 0.75, 0.75), (None, None, None)]


def test_legs_that_begin_anew_are_counted_on(tmp_path):
    log = write(tmp_path / "a", (0.1, 0.2))
    log.write_text("# legs\n" + log.read_text() + epoch(1, 0.3).line() + "\n")
    assert convergence([log, write(tmp_path / "b", (0.4,))]).runs[0].curves[0].test == (0.1, 0.2, 0.3)


def test_the_legs_of_a_log_are_told(tmp_path):
    log = write(tmp_path / "a", (0.1, 0.2))
    log.write_text(log.read_text() + epoch(1, 0.3).line() + "\n" + epoch(1, 0.4).line() + "\n")
    found = convergence([log, write(tmp_path / "b", (0.4,))])
    assert [curve.legs for run in found.runs for curve in run.curves] == [3, 1]
    notes = [block.text for block in analysis_blocks(found) if isinstance(block, Note)]
    assert [note for note in notes if "legs" in note] == [
        f"{log}: joined of 3 legs, its epochs begin anew and are counted on"
    ]


def test_trainings_of_unequal_length_are_compared_where_all_are(tmp_path):
    tests = {0: (0.1, 0.4, 0.5), 1: (0.2, 0.3, 0.6, 0.7, 0.95)}
    logs = [write(tmp_path / f"{seed}", test, args={"model": "m", "seed": seed}) for seed, test in tests.items()]
    other = write(tmp_path / "o", (0.8, 0.9), args={"model": "o", "seed": 0})
    found = convergence([*logs, other])
    run = found.runs[0]
    assert (run.epochs, run.longest, run.best) == (3, 5, 0.6)
    assert run.last == pytest.approx((0.5, 0.55, 0.6))
    assert found.nearly == pytest.approx(0.95 * 0.6)
    assert run.epochs_to(0.45) == (3, 3, 3)
    assert run.epochs_to(0.65) is None
    blocks = analysis_blocks(found)
    assert next(block for block in blocks if isinstance(block, Table)).rows[0][3] == "3 (of up to 5)"
    assert "that all trainings of a run have: m 55.00 %" in figure_of(blocks).caption
    same = analysis_blocks(convergence([logs[0], other]))
    assert figure_of(same).caption.startswith("After the last epoch: ")


def test_two_logs_of_one_training_are_refused(tmp_path):
    one, two, three = (
        write(tmp_path / name, (0.2,), args={"model": "m", "seed": seed})
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    with pytest.raises(
        TclifError, match=r"b/c.log: is of the same settings and seed \(3\) as .*a/c.log; leave one out"
    ):
        convergence([one, three, two])
    assert len(convergence([one, three]).runs[0].curves) == 2


def test_every_shipped_log_is_read():
    lengths = {"smnist_ff": 53, "smnist_rec": 28, "psmnist_ff": 40, "psmnist_rec": 39, "spoken_digits": 30}
    for names in (("smnist_ff", "smnist_rec"), ("psmnist_ff", "psmnist_rec", "spoken_digits")):
        found = convergence([f"fixtures/{name}/train.log" for name in names])
        assert [run.epochs for run in found.runs] == [lengths[name] for name in names]
        assert all(0.8 < run.last[1] < 1 for run in found.runs)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no epoch"),
        ("epoch   1  nonsense\n", "line 1 is no epoch of a training"),
        (f"{epoch(2).line()}\n", "line 1 is no epoch"),
        (f"{epoch(1).line()}\n{epoch(3).line()}\n", "line 2 is no epoch"),
        (epoch(1).line().replace("2.0000", "nan"), "line 1 is no epoch"),
        (epoch(1).line().replace("2.0000", "-2.0000"), "line 1 is no epoch"),
        (epoch(1).line().replace("test 50.00%", "test 500.0%"), "line 1 is no epoch"),
        (epoch(1).line().replace("test 50.00%", "test -5.00%"), "line 1 is no epoch"),
        (epoch(1).line().replace("test 50.00%", "test nan%"), "line 1 is no epoch"),
        (epoch(1).line().replace("train 40.00%", "train 140.00%"), "line 1 is no epoch"),
        (epoch(1, numbers=NumberFigures(1, 1, 1.5, 1, None)).line(), "line 1 is no epoch"),
        (f"{epoch(1).line()}\n{epoch(2, numbers=NumberFigures(1, 1, 0.5, 1, None)).line()}\n", "of different tasks"),
        (b"\xff\xfe", "is no text"),
    ],
)
def test_what_is_no_log_is_refused_with_its_line(tmp_path, text, says):
    bad = tmp_path / "bad.log"
    bad.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(TclifError, match=says) as refused:
        convergence([write(tmp_path / "a", (0.2,)), bad])
    assert "bad.log" in str(refused.value)


def test_too_few_too_many_twice_and_mixed_are_refused(tmp_path):
    logs = [write(tmp_path / f"{n}", (0.2,)) for n in range(5)]
    numbers = write(tmp_path / "n", (None,), numbers=NumberFigures(0.5, 0.4, 0.75, 12.0, 0.6))
    for given, says in (
        (logs[:1], "1 log was given; give two logs or more"),
        (logs, "5 different runs were given; at most 4 can be told apart"),
        ([logs[0], logs[0]], "given twice"),
        ([logs[0], numbers], "some logs have accuracies, others R2"),
        ([logs[0], tmp_path / "none.log"], "none.log: file not found"),
    ):
        with pytest.raises(TclifError, match=says):
            convergence(given)
    (tmp_path / "0" / "args.json").write_text("[1]")
    with pytest.raises(TclifError, match=r"args\.json: is of no training"):
        convergence(logs[:2])
