"""Live modules of the family: what their attributes say, where it differs from what a file is taken to mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tclif_deploy import load
from tests.helpers.family_models import Holder, compare, live, refused, saved
from tests.helpers.family_states import (
    delayed,
    delayed_step,
    dendritic,
    dendritic_step,
    higuchi_alif,
    higuchi_step,
    reseed,
    resonators,
    se_adlif,
    sparch,
    sparch_step,
    trains,
    yin,
    yin_flat,
    yin_modules,
    yin_step,
)
from tests.helpers.requirements import needs_module


@pytest.fixture(autouse=True)
def start():
    """Each test draws the same numbers, whatever ran before."""
    reseed()


def with_nodes(state, nodes, eps=1e-5):
    """A live model of learned delays with SpikingJelly's own ``nodes`` where the authors' model has them."""
    attributes = {f"model.{n}": {"dilated_kernel_size": (13,)} for n in (0, 4, 8)}
    attributes |= {f"model.{n}": {"eps": eps} for n in (1, 5)}
    model = live({name: value for name, value in state.items() if not name.endswith(".w")}, {}, attributes)
    for place, node in nodes.items():
        model.model.add_module(str(place), node)
    return model


@pytest.mark.parametrize("case", ["lif", "hard", "plif", "if"])
def test_neurons_behind_learned_delays_are_what_spikingjelly_runs(case):
    neuron = needs_module("spikingjelly.activation_based.neuron")
    make = {
        "lif": lambda threshold: neuron.LIFNode(2.0, decay_input=True, v_threshold=threshold, v_reset=None),
        "hard": lambda threshold: neuron.LIFNode(1.6, decay_input=False, v_threshold=threshold, v_reset=-0.2),
        "plif": lambda threshold: neuron.ParametricLIFNode(3.0, decay_input=True, v_threshold=threshold, v_reset=0.1),
        "if": lambda threshold: neuron.IFNode(v_threshold=threshold, v_reset=0.0),
    }[case]
    state, x = delayed(), trains(5)
    hidden = [make(0.7).double(), make(0.9).double()]
    for output, rule in ((make(1e9), "softmax"), (make(0.6), "count")):
        nodes = {2: hidden[0], 6: hidden[1], 9: output.double()}
        network = load(with_nodes(state, nodes, eps=1e-2))
        with torch.no_grad():
            step = delayed_step(state, nodes=list(nodes.values()), fires=rule == "count", eps=1e-2)
            compare(network, step, x, rule)
        assert not any("the authors' configuration has this" in notice for notice in network.notices)


def test_what_is_given_by_hand_wins_over_the_neurons_behind_delays():
    neuron = needs_module("spikingjelly.activation_based.neuron")
    nodes = {place: neuron.LIFNode(2.0, v_threshold=1e9 if place == 9 else 1.0) for place in (2, 6, 9)}
    network = load(with_nodes(delayed(), nodes), decay=0.25, threshold=0.8)
    assert str(network.readout) == "softmax"  # the output integrates, since its own threshold is never reached
    first = network.layers[0].neuron
    assert (first.a_v[0], first.threshold[0], first.b_v[0]) == (0.25, 0.8, 0.75)  # decay_input holds by default


def test_other_modules_behind_learned_delays_are_refused():
    neuron = needs_module("spikingjelly.activation_based.neuron")
    layer = needs_module("spikingjelly.activation_based.layer")
    lif = {place: neuron.LIFNode(2.0) for place in (2, 6, 9)}
    assert "model.3: a SynapseFilter, which makes leaky sums" in refused(
        with_nodes(delayed(), lif | {3: layer.SynapseFilter(tau=2.0, step_mode="m")})
    )
    assert "no neuron behind the delays of model.4; one of LIFNode" in refused(
        with_nodes(delayed(), {place: node for place, node in lif.items() if place != 6})
    )
    other = type("EIFNode", (Holder,), {})(v_threshold=1.0)
    assert "model.6 (EIFNode) cannot be read; expected LIFNode" in refused(with_nodes(delayed(), lif | {6: other}))
    said = refused(with_nodes(delayed(), lif), readout="sum")
    assert "its output fires at 1 and is reset, so that --readout sum of its membrane is no leaky sum" in said


def test_a_trained_synapse_filter_in_a_file_is_not_taken_for_a_neuron(tmp_path):
    state = {name: torch.tensor(value) for name, value in delayed().items()} | {"model.3.w": torch.tensor(0.5)}
    torch.save(state, tmp_path / "model.pt")
    said = refused(tmp_path / "model.pt", dilated_kernel_size=13)
    assert "model.3.w: a SynapseFilter, which makes leaky sums of spikes before the weights" in said


def test_modules_within_modules_are_taken_by_the_numbers_of_their_paths(tmp_path):
    names = {"model.0.": "blocks.0.0.0.", "model.1.": "blocks.0.0.1.", "model.4.": "blocks.1.0.0.",
             "model.5.": "blocks.1.0.1.", "model.8.": "blocks.10.0.0."}  # fmt: skip
    state, x = delayed(), trains(5)
    moved = {names[name[:8]] + name[8:]: torch.tensor(value) for name, value in reversed(state.items())}
    torch.save(moved, tmp_path / "model.pt")
    compare(load(tmp_path / "model.pt", dilated_kernel_size=13), delayed_step(state), x, "softmax")


def test_alif_of_higuchi_with_attributes_of_its_own():
    state = higuchi_alif()
    model = live(state, {"hidden": "ALIFCell"}, {"hidden": {"beta": 0.7, "theta": 0.05}})
    compare(load(model), higuchi_step(state, 0.7, 0.05), trains(5))
    compare(load(model, adaptation=0.5, threshold=0.1), higuchi_step(state, 0.5, 0.1), trains(5))


def test_flat_srnn_with_attributes_of_its_own():
    state, x = yin("r1"), trains(5)
    attributes = {"b_j0": 0.1, "DC_f": "adp-spike"}
    network = load(live(state, {}, {"": attributes}))
    compare(network, yin_step(state, "r1", True, base=0.1), x, "count")
    assert not any("b_j0" in notice for notice in network.notices)
    integrating = load(live(state, {}, {"": attributes | {"DC_f": "integrator"}}))
    compare(integrating, yin_step(state, "r1", False, base=0.1), x, "sum")
    assert "its DC_f is adp-mem: the membrane of an output that fires" in refused(
        live(state, {}, {"": attributes | {"DC_f": "adp-mem"}})
    )


def test_equal_time_constants_of_a_live_srnn_say_nothing_where_it_says_that_it_adapts():
    state, x = yin("h") | {"tau_adp_h": np.full(18, 7.0)}, trains(5)
    for adaptive in (True, False):
        network = load(live(state, {}, {"": {"is_adaptive": adaptive}}))
        compare(network, yin_step(state, "h", False, beta=1.8 * adaptive), x)
    modules = yin_modules() | {"dense_1.tau_adp": np.full(18, 200.0)}
    network = load(live(modules, {}, {"dense_1": {"is_adaptive": 1}}))
    compare(network, yin_step(yin_flat(modules), "h1", False, 0.184, 1.6), x, "sum")
    assert "b_j0 1.6: no module of it says it, and its authors' code has this" in network.notices
    assert not any("the file" in notice for notice in network.notices)


def test_srnn_of_modules_with_attributes_of_their_own():
    state = yin_modules()
    attributes = {"dense_1": {"is_adaptive": 0, "b_j0": 0.9}, "rnn_1": {"is_adaptive": 1, "b_j0": 1.2}}
    network = load(live(state, {"dense_1": "spike_dense", "rnn_1": "spike_rnn"}, attributes), adaptation=0.4)
    step = yin_step(yin_flat(state), "h1", False, {"h1": 0.0, "h2": 0.4}, {"h1": 0.9, "h2": 1.2})
    compare(network, step, trains(5), "sum")


@pytest.mark.parametrize("readout", [True, False])
def test_radlif_with_attributes_of_its_own(readout):
    state = sparch("RadLIF")
    classes = {f"snn.{n}": "RadLIFLayer" for n in range(2)} | {"snn.2": "ReadoutLayer"}
    if not readout:
        state = {name: value for name, value in state.items() if not name.startswith("snn.2.")}
    attributes = {f"snn.{n}": {"threshold": 0.8, "bidirectional": False} for n in range(2)}
    attributes |= {f"snn.{n}.norm": {"eps": 1e-2} for n in range(3)}
    network = load(live(state, classes, attributes))
    compare(network, sparch_step(state, threshold=0.8, readout=readout, eps=1e-2), trains(6, 0.5),
            "softmax" if readout else "count")  # fmt: skip


@pytest.mark.parametrize("recurrent", [True, False])
@pytest.mark.parametrize(("ending", "reset"), [("", "soft"), ("_noreset", "none"), ("_hardreset", "hard")])
def test_plain_lif_of_the_authors_of_dh_lif_is_told_by_its_class(recurrent, ending, reset):
    kind = "rnn" if recurrent else "dense"
    state = {name: value for name, value in dendritic(recurrent=recurrent).items() if "tau_n" not in name}
    classes = {f"{kind}_1": f"spike_{kind}_test_origin{ending}", "dense_2": "readout_integrator_test"}
    model = live(state, classes, {f"{kind}_1": {"vth": 1.3}})
    compare(load(model), dendritic_step(state, recurrent, 1.3, reset=reset), trains(5), "softmax")
    elsewhere = "a sigmoid of tau_m) and that of Yin et al."
    assert elsewhere in refused(live(state, {}))
    assert "load the live module of DH-LIF's authors, whose classes say it" in refused(live(state, {}))


def test_whether_a_live_dh_lif_is_recurrent_is_told_by_its_class():
    state = {name.replace("rnn_1", "first"): value for name, value in dendritic().items()}
    classes = {"first": "spike_rnn_test_denri_wotanh_R", "dense_2": "readout_integrator_test"}
    step = dendritic_step({name.replace("first", "rnn_1"): value for name, value in state.items()}, True, 0.7)
    compare(load(live(state, classes, {"first": {"vth": 0.7}})), step, trains(5), "softmax")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "net.", "module.net.", "model.rnn."])
def test_a_model_in_another_is_the_same_network(tmp_path, prefix):
    """Of DataParallel, torch.compile, Lightning: in files, and in live models, whose attributes are found all the
    same."""
    for state, options in (
        (resonators(), {"neuron": "rf"}), (higuchi_alif(), {}), (yin("h1"), {}),
    ):  # fmt: skip
        inside = {prefix + name: value for name, value in state.items()}
        plain, wrapped = load(saved(tmp_path, state), **options), load(saved(tmp_path, inside, "inside.pt"), **options)
        assert [layer.name for layer in wrapped.layers] == [layer.name for layer in plain.layers]
        assert wrapped.notices == plain.notices
        for a, b in zip(wrapped.layers, plain.layers, strict=True):
            assert np.array_equal(a.neuron.a_u, b.neuron.a_u)
            assert all(np.array_equal(x.weight, y.weight) for x, y in zip(a.connections, b.connections, strict=True))
    inside = {prefix + name: value for name, value in resonators().items()}
    of_live = load(live(inside, {f"{prefix}hidden": "RFCell"}, {f"{prefix}hidden": {"dt": 0.005, "theta": 0.8}}))
    assert of_live.layers[0].neuron.threshold[0] == 0.8
    assert not any("its authors' code has this" in notice for notice in of_live.notices)


@pytest.mark.parametrize(("value", "said"), [
    (torch.tensor([1.0, 2.0]), "is a Tensor of shape (2,); expected a number"), ("x", "is 'x'; expected a number"),
    ("1.0", "is '1.0'; expected a number"), (None, "is None; expected a number"),
    ([1.0], "is a list; expected a number"),
    (float("nan"), "is nan; expected a number"), (torch.tensor(1j), "is a Tensor; expected a number"),
])  # fmt: skip
def test_an_attribute_that_is_no_number_is_one_line(value, said):
    def of(state, path, name, kind, **options):
        return refused(live(state, {path: kind}, {path: {name: value}}), **options)

    assert f"hidden.dt {said}" in of(resonators(), "hidden", "dt", "RFCell")
    assert f"hidden.theta {said}" in of(resonators(), "hidden", "theta", "RFCell")
    assert f"hidden.beta {said}" in of(higuchi_alif(), "hidden", "beta", "ALIFCell")
    assert f"snn.0.threshold {said}" in of(sparch(), "snn.0", "threshold", "RadLIFLayer")
    assert f"snn.0.norm.eps {said}" in of(sparch(), "snn.0.norm", "eps", "BatchNorm1d")
    assert f"rnn_1.vth {said}" in of(dendritic(), "rnn_1", "vth", "spike_rnn_test_denri_wotanh_R")
    if value is not None:  # which says nothing
        state = se_adlif()
        trainers = {name.rpartition(".")[0]: "InterpolationTrainer" for name in state if "_trainer." in name}
        adapting = live(state, {"l1": "SEAdLIF", **trainers}, {"l1": {"q": value}})
        assert f"l1.q {said}" in refused(adapting)
    if not isinstance(value, list | None):  # a list of one size is one
        sized = live(delayed(), {}, {"model.0": {"dilated_kernel_size": value}})
        assert "dilated_kernel_size" in refused(sized)


def test_neurons_behind_delays_say_numbers():
    for name, value in (("tau", torch.ones(2)), ("tau", 0.0), ("v_threshold", "x"), ("v_reset", torch.ones(3))):
        state = {key: each for key, each in delayed().items() if not key.endswith(".w")}
        said = {"tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0} | {name: value}
        places = ("model.2", "model.6", "model.9")
        model = live(state, {}, {f"model.{n}": {"dilated_kernel_size": (13,)} for n in (0, 4, 8)})
        for place in places:
            model.model.add_module(place.partition(".")[2], type("LIFNode", (Holder,), {})((), **said))
        assert f"model.2.{name} is " in refused(model)


def test_a_harmonic_rf_is_refused_by_its_own_name():
    said = refused(live(resonators(), {"hidden": "HRFCell"}))
    assert "HRFCell: HRF (harmonic resonate-and-fire): its refractory variable raises the threshold" in said
    assert "BRF (" not in said
