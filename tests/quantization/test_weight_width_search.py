"""Weight bits chosen layer by layer: the narrowest that hold on the given data."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from tclif_deploy import QuantizeSettings, TclifError, load_target, mapping, quantize, simulate
from tclif_deploy.cli.main import app
from tclif_deploy.mapping.memory import RESOURCES
from tclif_deploy.quantization.settings import DEFAULTS
from tclif_deploy.quantization.weight_width_search import LOWEST, choose_widths
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers.tclif_networks import LOIHI2, calibration_data, tclif_network

NET, TEST = tclif_network(), calibration_data(7, samples=60)
LABELLED = replace(TEST, y=simulate_float(NET, TEST.values()).classes)


def lost(bits):
    fixed = quantize(NET, LOIHI2, calibration_data(), QuantizeSettings(weight_bits=bits))
    return float((simulate(fixed, TEST).classes != LABELLED.y).mean())


@pytest.mark.slow
def test_the_chosen_widths_hold_and_no_layer_can_be_narrower():
    widths = choose_widths(NET, LOIHI2, calibration_data(), LABELLED, 0.1, DEFAULTS)
    assert widths.holds
    assert widths.drop <= 0.1
    assert lost(widths.bits) == pytest.approx(widths.drop)
    assert min(widths.bits) < 8
    for n, bits in enumerate(widths.bits):
        if bits > LOWEST:
            assert lost((*widths.bits[:n], bits - 1, *widths.bits[n + 1 :])) > 0.1


@pytest.mark.slow
def test_without_labels_decisions_are_counted():
    widths = choose_widths(NET, LOIHI2, calibration_data(), TEST, 0.1, DEFAULTS)
    assert widths.bits == choose_widths(NET, LOIHI2, calibration_data(), LABELLED, 0.1, DEFAULTS).bits
    assert "decisions changed" in widths.sentence(NET, 0.1, False, 60)


def test_where_no_width_holds_the_targets_own_is_kept_and_said():
    hopeless = replace(LABELLED, y=LABELLED.y)
    widths = choose_widths(NET, LOIHI2.override(weight_bits=2), calibration_data(), hopeless, 0.0, DEFAULTS)
    assert not widths.holds
    assert widths.bits == (2, 2, 2)
    assert "none hold" in widths.sentence(NET, 0.0, True, 60)


def test_a_target_with_one_width_for_all_weights_is_refused():
    with pytest.raises(TclifError, match="fewer would save nothing"):
        choose_widths(NET, load_target("ideal"), calibration_data(), LABELLED, 0.1, DEFAULTS)


def test_narrow_weights_take_less_memory_where_the_target_can_mix_widths():
    narrow, wide = (
        quantize(NET, LOIHI2, calibration_data(), QuantizeSettings(weight_bits=bits)) for bits in ((3, 3, 3), (8, 8, 8))
    )

    def memory(fixed, target):
        cores = mapping.place(fixed, target).cores
        return sum(core.used[RESOURCES.index("synaptic_memory")] for core in cores)

    assert memory(narrow, LOIHI2) < 0.7 * memory(wide, LOIHI2)
    uniform = LOIHI2.override(mixed_weight_bits=False)
    zeros = [sum(np.count_nonzero(c.weight == 0) for la in f.layers for c in la.connections) for f in (narrow, wide)]
    if zeros[0] == zeros[1]:
        assert memory(narrow, uniform) == memory(wide, uniform)
    assert memory(narrow, uniform) > memory(narrow, LOIHI2)


@pytest.fixture
def words(tmp_path):
    return [
        "compile", "fixtures/spoken_digits/checkpoint.pth.tar", "--data", "fixtures/spoken_digits/test.npz",
        "--samples", "24", "--backend", "none", "-o", str(tmp_path / "build"),
    ]  # fmt: skip


@pytest.mark.slow
def test_the_command_chooses_and_says_what_it_chose(words, tmp_path):
    done = CliRunner().invoke(app, [*words, "--weight-bits", "auto", "--auto-max-drop", "0.1"])
    assert done.exit_code == 0, done.output
    assert "weight bits, chosen in" in done.output
    bits = json.loads((tmp_path / "build" / "manifest.json").read_text())["settings"]["weight_bits"]
    assert len(bits) == 3
    assert all(LOWEST <= width <= 8 for width in bits)
    assert min(bits) < 8


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--weight-bits", "few"], "--weight-bits is 'few'; expected a number of bits, or auto"),
        (["--auto-max-drop", "0.01"], "--auto-max-drop without --weight-bits auto"),
        (["--weight-bits", "auto", "--auto-max-drop", "-0.1"], "--auto-max-drop is -0.1; expected a number, 0 to 1"),
    ],
)
def test_widths_that_make_no_sense_are_refused(words, more, message, capsys):
    from tclif_deploy.cli.main import run

    assert run([*words, *more]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
