"""Weight bits chosen layer by layer on calibration data: the narrowest that hold, or the best that fit."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tclif_deploy import (
    CompileOptions,
    QuantizeSettings,
    TclifError,
    compile,
    load_data,
    load_target,
    mapping,
    quantize,
    simulate,
)  # fmt: skip
from tclif_deploy.cli.main import app
from tclif_deploy.comparison import equal
from tclif_deploy.mapping.memory import RESOURCES
from tclif_deploy.quantization.notices import widths_notice
from tclif_deploy.quantization.settings import DEFAULTS
from tclif_deploy.quantization.weight_width_search import LOWEST, choose_widths
from tclif_deploy.quantization.width_trials import Size, WidthGoal, WidthSearch, WidthTrial
from tclif_deploy.report.sections.quantization import width_blocks
from tclif_deploy.report.verdict_text import headline
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers.tclif_networks import LOIHI2, calibration_data, tclif_network

NET, CALIBRATION = tclif_network(), calibration_data(7, samples=60)
LABELLED = replace(CALIBRATION, y=simulate_float(NET, CALIBRATION.values()).classes)


def sizes(fixed):
    cores = mapping.place(fixed, LOIHI2).cores
    return Size(sum(core.used[RESOURCES.index("synaptic_memory")] for core in cores), len(cores))


def choose(data, limit, kind="loss", target=LOIHI2):
    return choose_widths(NET, target, data, WidthGoal(kind, limit), sizes, DEFAULTS)


def lost(bits):
    fixed = quantize(NET, LOIHI2, CALIBRATION, QuantizeSettings(weight_bits=bits))
    return float((simulate(fixed, CALIBRATION).classes != LABELLED.y).mean())


@pytest.mark.slow
def test_the_chosen_widths_hold_and_no_layer_can_be_narrower():
    fixed, search = choose(LABELLED, 0.1)
    trial = search.trials[search.chosen]
    assert search.holds
    assert trial.lost <= 0.1
    assert lost(trial.bits) == pytest.approx(trial.lost)
    assert equal(fixed, quantize(NET, LOIHI2, CALIBRATION, QuantizeSettings(weight_bits=trial.bits)))
    assert min(trial.bits) < 8
    for n, bits in enumerate(trial.bits):
        if bits > LOWEST:
            assert lost((*trial.bits[:n], bits - 1, *trial.bits[n + 1 :])) > 0.1


@pytest.mark.slow
def test_without_labels_decisions_are_counted():
    (_, search), (_, labelled) = choose(CALIBRATION, 0.1), choose(LABELLED, 0.1)
    assert search.trials == labelled.trials
    assert "decisions changed" in search.sentences()[0]
    assert "accuracy lost" in labelled.sentences()[0]


def test_where_no_width_holds_the_targets_own_is_kept_and_said():
    _, search = choose(LABELLED, 0.0, target=LOIHI2.override(weight_bits=2))
    assert not search.holds
    assert search.trials[search.chosen].bits == (2, 2, 2)
    assert "none hold" in search.sentences()[0]


@pytest.mark.slow
def test_within_a_memory_the_nearest_readout_found_is_taken():
    most = sizes(quantize(NET, LOIHI2, CALIBRATION, QuantizeSettings(weight_bits=(5, 5, 5)))).memory
    _, search = choose(CALIBRATION, most, "memory")
    best = search.trials[search.chosen]
    assert best.memory <= most
    first = next(trial for trial in search.trials if trial.memory <= most)
    assert len(set(first.bits)) == 1
    assert min(best.bits) >= first.bits[0] >= 5
    assert best.readout_error <= first.readout_error
    for trial in search.trials:  # all as wide or wider than what was taken were too large, or no nearer
        if all(a >= b for a, b in zip(trial.bits, best.bits, strict=True)) and trial != best:
            assert trial.memory > most or trial.readout_error >= best.readout_error


def test_a_memory_that_no_width_meets_takes_the_narrowest_and_says_so():
    _, search = choose(CALIBRATION, 8.0, "memory", LOIHI2.override(weight_bits=3))
    assert [trial.bits for trial in search.trials] == [(3, 3, 3), (2, 2, 2)]
    assert search.trials[search.chosen].bits == (2, 2, 2)
    assert "none come to at most 0.00097656 KiB of synaptic memory" in search.sentences()[0]


def test_what_cannot_be_placed_meets_no_memory_and_no_number_of_cores():
    _, search = choose_widths(
        NET,
        LOIHI2.override(weight_bits=2),
        CALIBRATION,
        WidthGoal("cores", 4),
        lambda fixed: Size(None, None),
        DEFAULTS,
    )
    assert not search.holds


def test_too_few_samples_for_the_loss_are_told_with_how_many_would_do():
    trial = WidthTrial((3,), 0.0, 0.1, 100, 1)
    search = WidthSearch(WidthGoal("loss", 0.005), ("a",), 64, True, (trial,), 0)
    assert search.sentences()[1] == (
        "weight bits: 64 calibration samples measure losses in steps of 1.6 %, coarser than the 0.5 % allowed: "
        "200 would measure it"
    )
    assert len(replace(search, samples=200).sentences()) == 1


def test_a_target_with_one_width_for_all_weights_is_refused():
    with pytest.raises(TclifError, match="fewer would save nothing"):
        choose(LABELLED, 0.1, target=load_target("ideal"))


def test_narrow_weights_take_less_memory_where_the_target_can_mix_widths():
    narrow, wide = (
        quantize(NET, LOIHI2, calibration_data(), QuantizeSettings(weight_bits=bits)) for bits in ((3, 3, 3), (8, 8, 8))
    )

    def memory(fixed, target):
        cores = mapping.place(fixed, target).cores
        return sum(core.used[RESOURCES.index("synaptic_memory")] for core in cores)

    assert memory(narrow, LOIHI2) < 0.7 * memory(wide, LOIHI2)
    uniform = LOIHI2.override(mixed_weight_bits=False)
    assert memory(narrow, uniform) > memory(narrow, LOIHI2)


@pytest.fixture
def words(tmp_path):
    return [
        "compile", "fixtures/spoken_digits/checkpoint.pth.tar", "--data", "fixtures/spoken_digits/test.npz",
        "--samples", "24", "--backend", "none", "-o", str(tmp_path / "build"),
    ]  # fmt: skip


def speech(samples):
    return load_data("fixtures/spoken_digits/test.npz")[samples]


def chosen(data, tmp_path, **goal):
    options = CompileOptions(backend="none", **goal)
    build = compile("fixtures/spoken_digits/checkpoint.pth.tar", data=data, output=tmp_path / "build", options=options)
    return build.report.widths


@pytest.mark.slow
def test_the_data_of_the_verdict_choose_nothing(tmp_path):
    backwards = replace(speech(slice(100, 120)), x=speech(slice(100, 120)).x[:, ::-1].copy())
    searches = [chosen(data, tmp_path, auto_bits_max_drop=0.02) for data in (speech(slice(0, 40)), backwards, None)]
    assert searches[0] is not None
    assert len(searches[0].trials) > 3
    assert searches[0] == searches[1] == searches[2]


@pytest.mark.parametrize("goal", [{"auto_bits_max_memory": 1}, {"auto_bits_max_cores": 1}])
def test_a_limit_that_no_width_comes_to_falls_short(goal, tmp_path):
    model, data = "fixtures/spoken_digits/checkpoint.pth.tar", speech(slice(0, 8))
    options = CompileOptions(backend="none", quantize=QuantizeSettings(passes=()), **goal)
    target = LOIHI2.override(synaptic_memory=16384) if "auto_bits_max_cores" in goal else LOIHI2
    build = compile(model, target, data=data, output=tmp_path / "build", options=options)
    missed = [text for text in build.shortfalls if "with weights of 2 bits" in text]
    assert len(missed) == 1
    assert ("synaptic memory is " in missed[0]) == ("auto_bits_max_memory" in goal)
    assert headline(build).word == "FALLS SHORT"
    (table,) = width_blocks(build.report.widths)
    assert [row[-1] for row in table.rows][-1] == "no, chosen"


def test_widths_of_a_network_of_numbers_are_chosen_by_its_readout(tmp_path):
    model, data = "fixtures/mackey_glass/checkpoint.pth.tar", load_data("fixtures/mackey_glass/test.npz")[:8]
    options = CompileOptions(backend="none", quantize=QuantizeSettings(passes=()), auto_bits_max_drop=0.01)
    for given in (data, replace(data, y=None, task=None, mask=None)):
        with pytest.raises(TclifError, match=r"loses classes of samples .* is of task .*value; --auto-max-memory and"):
            compile(model, data=data, calibration=given, output=tmp_path / "build", options=options)
    options = replace(options, auto_bits_max_drop=None, auto_bits_max_memory=6)
    build = compile(model, data=data, calibration=data, output=tmp_path / "build", options=options)
    search = build.report.widths
    assert search.holds
    within = [trial.readout_error for trial in search.trials if trial.meets(search.goal)]
    assert search.trials[search.chosen].readout_error == min(within) < max(within)


def test_samples_that_chose_the_widths_and_judge_them_are_told():
    data = speech(slice(0, 40))
    notice = "3 of the verdict's 5 samples chose the weight bits too, which flatters it: give other samples as --calib"
    assert widths_notice(data[:20], data[17:22]).startswith(notice)
    assert widths_notice(data[:20], data[20:]) is None
    padded = replace(data[:2], x=np.pad(data[:2].x, ((0, 0), (0, 9), (0, 0))))
    assert widths_notice(data[:20], padded).startswith("2 of the verdict's 2 samples")


def test_a_build_says_that_the_data_of_the_verdict_chose_its_widths(tmp_path):
    options = CompileOptions(backend="none", auto_bits_max_drop=0.5, quantize=QuantizeSettings(passes=()))
    model, data = "fixtures/spoken_digits/checkpoint.pth.tar", speech(slice(0, 8))
    builds = [compile(model, data=data, calibration=given, output=tmp_path / "build", options=options)
              for given in (data, speech(slice(8, 16)))]  # fmt: skip
    told = [[notice for notice in build.report.notices if "flatters" in notice] for build in builds]
    assert [len(notices) for notices in told] == [1, 0]


@pytest.mark.slow
def test_of_data_that_calibrate_too_only_the_first_quarter_chooses(tmp_path):
    (tmp_path / "model").mkdir()
    model = Path(shutil.copy("fixtures/spoken_digits/checkpoint.pth.tar", tmp_path / "model"))
    shutil.copy("fixtures/spoken_digits/args.json", tmp_path / "model")
    data = speech(slice(0, 40))
    other = replace(data, x=np.concatenate([data.x[:10], data.x[10:] // 4]), y=np.roll(data.y, 20))
    other.y[:10] = data.y[:10]
    options = CompileOptions(backend="none", auto_bits_max_drop=0.1)
    widths = [compile(model, data=d, output=tmp_path / "build", options=options).report.widths for d in (data, other)]
    assert widths[0].samples == 10
    assert widths[0] == widths[1]


@pytest.mark.slow
def test_the_command_chooses_and_says_what_it_chose(words, tmp_path):
    done = CliRunner().invoke(app, [*words, "--weight-bits", "auto", "--auto-max-drop", "0.1"])
    assert done.exit_code == 0, done.output
    words = " ".join(done.output.split())
    assert "weight bits, chosen in" in words
    assert "Weight bits that were tried on 64 calibration samples, against at most 10 % lost" in words
    bits = json.loads((tmp_path / "build" / "manifest.json").read_text())["settings"]["weight_bits"]
    assert len(bits) == 3
    assert all(LOWEST <= width <= 8 for width in bits)
    assert min(bits) < 8


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--weight-bits", "few"], "--weight-bits is 'few'; expected a number of bits, or auto"),
        (["--auto-max-drop", "0.01"], "--auto-max-drop without --weight-bits auto"),
        (["--auto-max-cores", "2"], "--auto-max-cores without --weight-bits auto"),
        (
            ["--weight-bits", "auto", "--auto-max-cores", "2", "--auto-max-memory", "9"],
            "--auto-max-memory and --auto-max-cores are different goals; weight bits are chosen against one: give one",
        ),
        (["--weight-bits", "auto", "--auto-max-drop", "-0.1"], "--auto-max-drop is -0.1; expected a number, 0 to 1"),
    ],
)
def test_widths_that_make_no_sense_are_refused(words, more, message, capsys):
    from tclif_deploy.cli.main import run

    assert run([*words, *more]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
