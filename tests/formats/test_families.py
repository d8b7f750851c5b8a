"""Checkpoints of the family's other neurons: each against its authors' equations, spike by spike."""

from __future__ import annotations

import numpy as np
import pytest

from tclif_deploy import load, simulate
from tclif_deploy.cli.main import run as command
from tclif_deploy.neurons import spectral_radius
from tests.helpers.family_models import compare, live, refused, run, saved
from tests.helpers.family_states import (
    RNG,
    delayed,
    delayed_step,
    dendritic,
    dendritic_step,
    higuchi_alif,
    higuchi_step,
    matrix,
    reseed,
    resonators,
    rf_step,
    se_adlif,
    se_adlif_step,
    sparch,
    sparch_step,
    trains,
    yin,
    yin_flat,
    yin_modules,
    yin_step,
)


@pytest.fixture(autouse=True)
def start():
    """Each test draws the same numbers, whatever ran before."""
    reseed()


def test_vanilla_rf(tmp_path):
    state, x = resonators(), trains(5)
    network = load(saved(tmp_path, state), neuron="rf")
    compare(network, rf_step(state), x)
    assert "read as vanilla RF (Higuchi et al.)" in network.notices
    compare(load(saved(tmp_path, state), neuron="rf", dt=0.005), rf_step(state, 0.005), 1.5 * x)


def test_a_balanced_rf_has_the_same_names_and_an_option_or_the_class_decides(tmp_path):
    state, x = resonators(), trains(5)
    said = refused(saved(tmp_path, state))
    assert "omega and b_offset are those of a vanilla RF and of a balanced one (BRF), which share all names" in said
    assert "say --neuron rf for the vanilla one; a BRF is not read" in said
    network = load(live(state, {"hidden": "RFCell"}, {"hidden": {"dt": 0.005, "theta": 0.8}}))
    compare(network, rf_step(state, 0.005, 0.8), 1.5 * x)
    assert any("its forward was not run" in notice for notice in network.notices)
    assert "BRFCell: BRF (balanced resonate-and-fire)" in refused(live(state, {"hidden": "BRFCell"}))


def test_a_mask_of_the_recurrence_is_applied(tmp_path):
    state, x = resonators(), trains(5)
    mask = np.ones_like(state["hidden.linear.weight"])
    mask[:, 5:] = RNG.random((24, 24)) < 0.5
    masked = {**state, "hidden.linear.weight": state["hidden.linear.weight"] * mask}
    compare(load(saved(tmp_path, {**state, "hidden.linear.mask": mask}), neuron="rf"), rf_step(masked), x)


def test_vanilla_rf_beyond_a_radius_of_1_agrees_over_100_steps(tmp_path):
    state = resonators()
    state["hidden.omega"] *= 5
    network = load(saved(tmp_path, state), neuron="rf")
    assert spectral_radius(network.layers[0].neuron).max() > 1.05
    x = trains(5)[:, :100]
    (wanted,), _ = run(rf_step(state), x)
    np.testing.assert_array_equal(simulate(network, x, spikes=True).spikes["hidden"], wanted.astype(bool))
    assert any("states grow" in notice for notice in network.notices)


def test_alif_of_higuchi(tmp_path):
    state, x = higuchi_alif(), trains(5)
    compare(load(saved(tmp_path, state)), higuchi_step(state), x)
    network = load(saved(tmp_path, state), adaptation=0.5, threshold=0.1)
    compare(network, higuchi_step(state, 0.5, 0.1), x)


def test_two_layers_of_alif_of_higuchi(tmp_path):
    first, second = higuchi_alif(outputs=16), higuchi_alif(inputs=24)
    state = {name.replace("hidden", "hidden1"): value for name, value in first.items() if name.startswith("hidden")}
    state |= {name.replace("hidden", "hidden2"): value for name, value in second.items()}
    below, above = higuchi_step(first), higuchi_step(second)

    def step(i, s):
        (z,), _ = below(i, s.setdefault("below", {}))
        (top,), out = above(z, s.setdefault("above", {}))
        return [z, top], out

    compare(load(saved(tmp_path, state)), step, trains(5))


@pytest.mark.parametrize("kind", ["LIF", "adLIF", "RLIF", "RadLIF"])
@pytest.mark.parametrize("norm", [True, False])
def test_layers_of_sparch(tmp_path, kind, norm):
    state = sparch(kind, norm=norm)
    network = load(saved(tmp_path, state))
    compare(network, sparch_step(state), trains(6), "softmax")
    text = " ".join(network.notices)
    assert "values lie beyond 0.818731..0.960789 and are clamped there" in text
    assert "starts from zero here, where its authors start from random states" in text
    assert "(one public network is right in 36.7 % of samples so, and in 96.7 % with theirs)" in text


def test_a_last_layer_of_sparch_that_fires(tmp_path):
    state = {k: v for k, v in sparch("adLIF").items() if not k.startswith("snn.2.")}
    network = load(saved(tmp_path, state))
    compare(network, sparch_step(state, readout=False), trains(6), "count")
    state = {k: v for k, v in sparch("LIF").items() if not k.startswith("snn.2.")}
    network = load(saved(tmp_path, state), readout="count")
    compare(network, sparch_step(state, readout=False), trains(6), "count")
    attributes = {f"snn.{n}": {"threshold": 1.5} for n in range(2)}
    module = load(live(state, {f"snn.{n}": "LIFLayer" for n in range(2)}, attributes))
    compare(module, sparch_step(state, threshold=1.5, readout=False), trains(6, 0.5), "count")


def test_layer_norm_and_both_directions_of_sparch_are_refused(tmp_path):
    state = sparch()
    plain = {k: v for k, v in state.items() if "running" not in k}
    assert "snn.0.norm is a layer norm, which depends on each step's values" in refused(saved(tmp_path, plain))
    wide = state | {"snn.1.W.weight": matrix(16, 40)}
    assert "snn.1.W takes twice the 20 neurons before it: such layers of sparch" in refused(saved(tmp_path, wide))
    module = live(state, {}, {"snn.0": {"bidirectional": True}})
    assert "snn.0.W is bidirectional: such layers of sparch see the sequence from its end" in refused(module)


def test_srnn_of_two_layers_whose_output_integrates(tmp_path):
    state = yin("h1")
    network = load(saved(tmp_path, state))
    compare(network, yin_step(state, "h1", False), trains(5), "sum")
    assert network.layers[0].neuron.u0.tolist() == [0.01] * 18  # the adaptation starts at the threshold
    assert any("starts from zero here, where its authors" in notice for notice in network.notices)


def test_srnn_of_three_layers_whose_output_fires(tmp_path):
    state = yin("r1")
    compare(load(saved(tmp_path, state)), yin_step(state, "r1", True), trains(5), "count")
    given = load(saved(tmp_path, state), adaptation=0.5, threshold=0.05)
    compare(given, yin_step(state, "r1", True, 0.5, 0.05), trains(5), "count")


@pytest.mark.parametrize("end", ["h1", "r1"])
def test_equal_time_constants_of_adaptation_switch_it_off_in_the_layout_for_ecg_alone(tmp_path, end):
    state = yin(end) | {f"tau_adp_{end}": np.full(18, 150.0)}
    network = load(saved(tmp_path, state))
    compare(network, yin_step(state, end, end == "r1"), trains(5), "count" if end == "r1" else "sum")
    modules = yin_modules() | {"dense_1.tau_adp": np.full(18, 200.0)}
    assert (load(saved(tmp_path, modules)).layers[0].neuron.q > 0).all()


def test_srnn_for_ecg_whose_hidden_layer_was_not_trained_to_adapt(tmp_path):
    state = yin("h") | {"tau_adp_h": np.full(18, 7.0)}
    network = load(saved(tmp_path, state))
    x = trains(5)
    compare(network, yin_step(state, "h", False, beta=0.0), x)
    assert any("scripts have 0.01, 0.1 or 1.6 from task to task" in notice for notice in network.notices)
    compare(load(saved(tmp_path, state), readout="count"), yin_step(state, "h", True, beta=0.0), x, "count")
    assert any("tau_adp of h is 7 throughout, so nothing trained it" in notice for notice in network.notices)
    adapting = load(saved(tmp_path, state), adaptation=1.8, readout="sum")
    compare(adapting, yin_step(state, "h", False), x, "sum")


def test_srnn_of_modules_with_the_constants_of_the_script_for_speech_commands(tmp_path):
    state = yin_modules()
    flat = yin_flat(state)
    network = load(saved(tmp_path, state))
    compare(network, yin_step(flat, "h1", False, 0.184, 1.6), trains(5), "sum")
    assert "adaptation 0.184 (beta): the file does not say it, and its authors' script for GSC has this" in (
        network.notices
    )
    assert not any("start from random states" in notice for notice in network.notices)  # that script does not
    assert any("feeds +1 where the input is above 0.05 and -1 below -0.05" in notice for notice in network.notices)


@pytest.mark.parametrize("recurrent", [True, False])
def test_dh_lif_with_one_branch(tmp_path, recurrent):
    state, x = dendritic(recurrent=recurrent), trains(5)
    network = load(saved(tmp_path, state))
    compare(network, dendritic_step(state, recurrent), x, "softmax")
    assert any("dense_2: taken as the authors' leaky readout" in notice for notice in network.notices)
    network = load(saved(tmp_path, state), readout="count")
    compare(network, dendritic_step(state, recurrent, 1.0, 0.5), x, "count")
    network = load(saved(tmp_path, state), threshold=0.5, readout="count")
    compare(network, dendritic_step(state, recurrent, 0.5, 0.5), x, "count")


def test_thresholds_of_a_live_dh_lif_are_its_own(tmp_path):
    state, x = dendritic(), trains(5)
    attributes = {"rnn_1": {"vth": 0.8}, "dense_2": {"vth": 0.5}}
    compare(load(live(state, {}, attributes)), dendritic_step(state, True, 0.8, 0.5), x, "count")


def test_dh_lif_with_several_branches_is_refused(tmp_path):
    said = refused(saved(tmp_path, dendritic(branches=4)))
    assert "rnn_1.tau_n has 4 branches: DH-LIF with several branches: each is a state of its own" in said


@pytest.mark.parametrize(("plif", "kernel"), [(False, 1), (True, 1), (False, 2)])
def test_learned_delays(tmp_path, plif, kernel):
    state, x = delayed(plif, kernel), trains(5)
    network = load(saved(tmp_path, state), dilated_kernel_size=13)
    compare(network, delayed_step(state), x, "softmax")
    assert {c.delay for c in network.layers[0].connections} == set(range(13))
    text = " ".join(network.notices)
    assert "positions lie beyond 6 and are clamped there" in text
    assert "the authors run 6 steps of zeros more for each layer with delays" in text
    assert ("decay 0.00497512: LIF leaves nothing in the file" in text) == (not plif)


def test_learned_delays_whose_output_fires(tmp_path):
    state, x = delayed(), trains(5)
    network = load(saved(tmp_path, state), dilated_kernel_size=13, decay=0.5, readout="count")
    compare(network, delayed_step(state, tau=2.0, fires=2.0), x, "count")
    text = " ".join(network.notices)
    assert "threshold 1: nothing in the file says it" in text
    assert "threshold 2: nothing in the file says it" in text


def test_delays_without_the_size_of_their_kernel_or_of_an_even_one(tmp_path):
    path = saved(tmp_path, delayed())
    assert "the file does not say how many steps they may have; say dilated_kernel_size" in refused(path)
    assert "a dilated_kernel_size of 12; expected an odd number" in refused(path, dilated_kernel_size=12)


def test_se_adlif(tmp_path):
    state, x = se_adlif(), trains(5)
    network = load(saved(tmp_path, state), neuron="se-adlif", adaptation=30.0)
    compare(network, se_adlif_step(state, 30.0), x, "softmax")
    assert any("l1.b" in notice and "taken as they are, as their forward takes them" in notice
               for notice in network.notices)  # fmt: skip
    classes = {"l1": "SEAdLIF", "l2": "SEAdLIF", "out_layer.tau_u_trainer": "FixedTau"}
    classes |= {f"l{n}.tau_{kind}_trainer": "InterpolationTrainer" for n in (1, 2) for kind in "uw"}
    attributes = {f"l{n}": {"q": 40.0, "thr": 0.8} for n in (1, 2)}
    compare(load(live(state, classes, attributes)), se_adlif_step(state, 40.0, 0.8), x, "softmax")


def test_what_an_se_adlif_needs_by_hand(tmp_path):
    state = se_adlif()
    path = saved(tmp_path, state)
    assert "tau_w_trainer is that of an SE-adLIF and of an EF-adLIF, which have the same names" in refused(path)
    assert "the strength q of the adaptation is not in the file" in refused(path, neuron="se-adlif")
    assert "EF-adLIF: its states see each other's values" in refused(live(state, {"l1": "EFAdLIF", "l2": "EFAdLIF"}))
    state["out_layer.tau_u_trainer.weight"] = np.full(3, 0.5)
    said = refused(saved(tmp_path, state), neuron="se-adlif", adaptation=30.0)
    assert "out_layer.tau_u_trainer.weight is 0.5, no time constant in 15..15" in said


def test_names_of_parallel_and_compiled_models_are_read(tmp_path):
    state = {f"module._orig_mod.{name}": value for name, value in higuchi_alif().items()}
    assert load(saved(tmp_path, state)).layers[0].neuron.type == "alif_higuchi"


def test_commands_take_the_options_of_families_and_a_build_records_them(tmp_path, capsys):
    state = resonators()
    path = saved(tmp_path, state)
    np.savez(tmp_path / "x.npz", x=trains(5), y=[0, 1, 2])
    assert command(["inspect", str(path)]) == 2
    assert "say --neuron rf for the vanilla one" in " ".join(capsys.readouterr().err.split())
    assert command(["inspect", str(path), "--neuron", "rf", "--dt", "0.005", "--json"]) == 0
    assert '"resonate_and_fire"' in capsys.readouterr().out
    loose = ["--min-agreement", "0", "--max-accuracy-drop", "1", "--backend", "engine", "-q"]
    build = str(tmp_path / "build")
    given = ["--neuron", "rf", "--dt", "0.005", "--data", str(tmp_path / "x.npz"), "--target", "ideal"]
    assert command(["compile", str(path), *given, *loose, "-o", build]) == 0
    assert command(["rebuild", build, "-q"]) == 0
