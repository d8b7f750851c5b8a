"""Live modules of the family: what their attributes say, where it differs from what a file is taken to mean."""

from __future__ import annotations

import pytest
import torch

from tclif_deploy import load
from tests.helpers.family_models import Holder, compare, live, refused
from tests.helpers.family_states import delayed, delayed_step, reseed, trains
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
