"""Operations counted from real activity, energy as a range with its evidence, latency, the paper's formula."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tclif_deploy import TclifError
from tclif_deploy.cli.main import run
from tclif_deploy.data import Dataset, load_data
from tclif_deploy.formulas.energy import LayerActivity, lif_energy, lstm_energy, tclif_energy
from tclif_deploy.frontends import load
from tclif_deploy.mapping import STRATEGIES, check, cost, hardware_summary, measure, place
from tclif_deploy.quantization import quantize
from tclif_deploy.simulation import simulate
from tclif_deploy.target import load_target
from tclif_deploy.workflows.cost import compare_costs
from tests.helpers import oracle
from tests.helpers.random_networks import assert_alive, drawn_network, network_options, random_network

LOIHI1, LOIHI2, IDEAL = (load_target(name) for name in ("loihi1", "loihi2", "ideal"))
MODEL, DATA = "fixtures/smnist_ff/checkpoint.pth.tar", "fixtures/smnist_test.npz"
TINY = LOIHI2.override(
    neurons_per_core=7, cores_per_chip=12, mesh_width=3, mesh_height=2, cores_per_tile=2, chips=1000
)  # fmt: skip
"""so little room that every layer is cut and several chips are needed"""


@pytest.fixture
def scales(tmp_path):
    """A small calibration file: the fixture's own takes seconds for each target."""
    path = tmp_path / "calibration.npz"
    data = load_data(DATA)
    np.savez(path, x=data.x[:2], scale=data.scale)
    return ["--calibration", str(path)]


def measured(fixed, x, lengths=None):
    data = Dataset(x, scale=fixed.input.lsb, lengths=lengths)
    return measure(fixed, data, engine="reference")


def counted_by_hand(fixed, target, placement, x, lengths):
    """Every operation, one event at a time, in plain Python."""
    spikes = simulate(fixed, x, lengths=lengths, spikes=True, engine="reference").spikes
    events = {"input": x != 0, **spikes}
    where = {(s.layer, n): c for c, core in enumerate(placement.cores) for s in core.slices for n in
             range(s.start, s.stop)}  # fmt: skip
    x_at, y_at = placement.mesh.position(placement.slots)
    per_chip = placement.mesh.cores_per_chip
    chip = [int(slot) // per_chip for slot in placement.slots]
    word = target.memory_word.value

    def stored(layer, link, weight, core):
        """source -> weights read in that core at an event of it."""
        lengths = {}
        for s in placement.cores[core].slices:
            if s.layer != layer.name:
                continue
            rows = weight[s.start : s.stop] != 0
            lists = {i: int(n) for i, n in enumerate(rows.sum(axis=0)) if n}
            width = min(target.weight_bits.value, int(np.abs(link.weight).max()).bit_length() + 1)
            bits = width + (target.delay_bits.value if link.delay > 1 else 0)

            def size(count, each):
                block, total = target.synapse_block.value, 0
                while count > 0:
                    total += -(-(min(count, block) * each + target.synapse_header.value) // word) * word
                    count -= block
                return total

            dense = sum(size(s.stop - s.start, bits) for _ in lists)
            sparse = sum(size(n, bits + target.index_bits.value) for n in lists.values())
            for i, n in lists.items():
                lengths[i] = lengths.get(i, 0) + (s.stop - s.start if dense <= sparse else n)
        return lengths

    done = dict.fromkeys(
        ("synaptic", "updates_active", "within", "between", "chips", "input", "hops_x", "hops_y", "spikes"), 0
    )
    cores = range(len(placement.cores))
    for layer in fixed.layers:
        received = np.zeros((*x.shape[:2], layer.size), bool)
        for link in layer.connections:
            weight = np.array(oracle.matrix(link))
            reads = [stored(layer, link, weight, core) for core in cores]
            for sample in range(x.shape[0]):
                for t in range(int(lengths[sample])):
                    if t + link.delay < lengths[sample]:
                        for i in np.flatnonzero(events[link.source][sample, t]).tolist():
                            done["synaptic"] += sum(read.get(i, 0) for read in reads)
                            received[sample, t + link.delay] |= weight[:, i] != 0
                    for i in np.flatnonzero(events[link.source][sample, t]).tolist():
                        for core, read in enumerate(reads):
                            if i not in read:
                                continue
                            if link.source == "input":
                                done["input"] += 1
                                dx, dy = int(x_at[core]), int(y_at[core])
                            else:
                                home = where[link.source, i]
                                kind = "within" if home == core else "between" if chip[home] == chip[core] else "chips"
                                done[kind] += 1
                                dx, dy = abs(int(x_at[core] - x_at[home])), abs(int(y_at[core] - y_at[home]))
                            done["hops_x"] += dx
                            done["hops_y"] += dy
        done["updates_active"] += int(received.sum())
        if layer.spiking:
            valid = np.arange(x.shape[1])[None, :] < lengths[:, None]
            done["spikes"] += int((events[layer.name] & valid[:, :, None]).sum())
    return done


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    network_options(samples=2, time=20, sizes=(6, 17, 15, 4), bits_u=24, bits_v=24, weight_bits=8),
    st.sampled_from(sorted(STRATEGIES)),
    st.booleans(),
)
def test_operations_are_those_of_the_events_one_by_one(chosen, strategy, pruned):
    fixed, x = drawn_network(**chosen)
    if pruned:  # sparse lists too
        rng = np.random.default_rng(chosen["seed"])
        layers = tuple(
            replace(la, connections=tuple(
                replace(c, weight=np.where(rng.random(c.weight.shape) < 0.2, c.weight, 0)) for c in la.connections))
            for la in fixed.layers
        )  # fmt: skip
        fixed = replace(fixed, layers=layers)
    lengths = np.array([20, 13])
    placement = place(fixed, TINY, strategy)
    assert len(placement.cores) > 1
    done = cost(fixed, TINY, placement, measured(fixed, x, lengths)).operations
    hand = counted_by_hand(fixed, TINY, placement, x, lengths)
    counted = (done.synaptic, done.updates_active, done.messages_within_core, done.messages_between_cores,
           done.messages_between_chips, done.messages_input, done.hops_horizontal, done.hops_vertical,
           done.spikes)  # fmt: skip
    assert counted == tuple(hand[k] for k in ("synaptic", "updates_active", "within", "between", "chips", "input",
                                          "hops_x", "hops_y", "spikes"))  # fmt: skip
    neurons = sum(layer.size for layer in fixed.layers)
    assert done.updates_active + done.updates_idle == 33 * neurons
    assert (done.samples, done.steps) == (2, 33)


def alive(seed=3, **arguments):
    fixed, x = random_network(seed, rounding="toward_zero", **arguments)
    assert_alive(simulate(fixed, x, spikes=True, engine="reference"))
    return fixed, x


def test_energy_is_count_times_figure_by_part():
    fixed, x = alive()
    placement = place(fixed, LOIHI1.override(neurons_per_core=8))
    estimate = cost(fixed, LOIHI1, placement, measured(fixed, x))
    o, parts = estimate.operations, estimate.energy.parts
    assert parts["synapses"] == pytest.approx((o.synaptic * 23.6e-3 / o.samples, o.synaptic * 35.5e-3 / o.samples))
    low = (o.updates_active * 81 + o.updates_idle * 52) * 1e-3 / o.samples
    high = (o.state_updates_active * 81 + o.state_updates_idle * 52) * 1e-3 / o.samples
    assert parts["updates"] == pytest.approx((low, high))
    messages = o.messages_within_core + o.messages_between_cores + o.messages_between_chips + o.messages_input
    assert parts["messages"] == pytest.approx((messages * 1.7e-3 / o.samples, messages * 180.3e-3 / o.samples))
    assert parts["hops"][0] == pytest.approx((o.hops_horizontal * 3 + o.hops_vertical * 4) * 1e-3 / o.samples)
    assert estimate.energy.total[0] == pytest.approx(sum(part[0] for part in parts.values()))
    assert estimate.energy.evidence == "paper"
    assert o.hops_horizontal > 0
    assert 0 < estimate.energy.total[0] < estimate.energy.total[1]


def test_the_weakest_evidence_and_every_source_are_told():
    fixed, x = alive()
    estimate = cost(fixed, LOIHI2, place(fixed, LOIHI2), measured(fixed, x))
    assert estimate.energy.evidence == "assumed"
    assert "pre-silicon simulation" in estimate.energy.sources["energy_synapse"]
    assert "no public figure for Loihi 2" in estimate.energy.sources["energy_update_idle"]
    mixed = LOIHI1.override(energy_spike=5.0)
    assert cost(fixed, mixed, place(fixed, mixed), measured(fixed, x)).energy.evidence == "assumed"


def test_without_public_figures_there_is_no_energy_and_no_latency():
    fixed, x = alive()
    estimate = cost(fixed, IDEAL, place(fixed, IDEAL), measured(fixed, x))
    assert (estimate.energy.total, estimate.latency) == (None, None)
    summary = hardware_summary(place(fixed, IDEAL), estimate)
    assert summary.energy.nj_per_inference_low is None
    assert summary.latency.us_per_step is None
    assert summary.mapping.cores == 1


def test_a_neuron_that_the_target_lacks_is_told_with_the_cost():
    fixed, x = alive()
    xylo = load_target("xylo2")
    estimate = cost(fixed, xylo, place(fixed, xylo), measured(fixed, x))
    assert estimate.missing_neurons == ("two_compartment",)
    assert "a cost of this shape, not of this network" in estimate.assumptions[0]
    assert cost(fixed, LOIHI2, place(fixed, LOIHI2), measured(fixed, x)).missing_neurons == ()


def test_a_step_lasts_as_long_as_its_slowest_core_and_the_barrier():
    fixed, x = alive(samples=1, time=12)
    layers = tuple(
        replace(la, connections=tuple(replace(c, weight=np.where(c.weight == 0, 1, c.weight)) for c in la.connections))
        for la in fixed.layers
    )
    fixed = replace(fixed, layers=layers)  # every weight is a synapse, so every list is dense
    assert_alive(simulate(fixed, x, spikes=True, engine="reference"))
    target = LOIHI1.override(
        neurons_per_core=8, time_synapse=10.0, time_update_active=100.0, time_update_idle=1.0, time_spike=7.0,
        time_hop=0.0, time_barrier=1000.0,
    )  # fmt: skip
    placement = place(fixed, target)
    latency = cost(fixed, target, placement, measured(fixed, x)).latency
    # again in plain Python: low prices a neuron's update once
    spikes = simulate(fixed, x, spikes=True, engine="reference").spikes
    events = {"input": x != 0, **spikes}
    homes = {(s.layer, n): c for c, core in enumerate(placement.cores) for s in core.slices for n in
             range(s.start, s.stop)}  # fmt: skip
    steps = []
    for t in range(12):
        time = [0.0] * len(placement.cores)
        for layer in fixed.layers:
            for n in range(layer.size):
                received = False
                for link in layer.connections:
                    if t < link.delay:
                        continue
                    sent = events[link.source][0, t - link.delay]
                    time[homes[layer.name, n]] += 10.0 * int(sent.sum())
                    received |= bool((sent & (link.weight[n] != 0)).any())
                time[homes[layer.name, n]] += 100.0 if received else 1.0
        for later in fixed.layers:
            for link in later.connections:
                if link.source == "input":
                    continue
                for i in np.flatnonzero(events[link.source][0, t]).tolist():
                    reached = {homes[later.name, n] for n in np.flatnonzero(link.weight[:, i]).tolist()}
                    time[homes[link.source, i]] += 7.0 * len(reached)
        steps.append(max(time) + 1000.0)
    assert latency.us_per_step[0] == pytest.approx(sum(steps) / 12 / 1e3)
    assert latency.us_worst_step[0] == pytest.approx(max(steps) / 1e3)
    assert latency.us_per_inference[0] == pytest.approx(sum(steps) / 1e3)
    assert latency.us_per_step[1] > latency.us_per_step[0]


@pytest.mark.slow
def test_balanced_cores_make_a_step_shorter_at_the_same_energy_for_synapses():
    net, data = load(MODEL), load_data(DATA)[:2]
    fixed = quantize(net, LOIHI2, data)
    activity = measure(fixed, data, engine="reference")
    one, four = (cost(fixed, LOIHI2, place(fixed, LOIHI2, s), activity) for s in ("greedy", "balanced"))
    assert four.latency.us_per_step[1] < 0.7 * one.latency.us_per_step[1]
    assert four.operations.synaptic == one.operations.synaptic


def test_the_papers_three_figures_follow_from_its_own_firing_rates():
    # Zhang et al., AAAI 2024, Table 2 and text: recurrent S-MNIST 1-64-256-256, rates by layer, nJ a step
    def layers(rates):
        fed = (1.0, *rates)
        shapes = ((1, 64, True), (64, 256, True), (256, 256, False))
        return [LayerActivity(m, n, r, fed[k], fed[k + 1]) for k, (m, n, r) in enumerate(shapes)]

    lif, tclif = layers((0.219, 0.145, 0.004)), layers((0.294, 0.146, 0.030))
    assert sum(map(lstm_energy, lif)) == pytest.approx(2834.7, abs=0.1)
    # the rates are rounded to three digits, which moves the sum by some 0.1 nJ
    assert sum(map(lif_energy, lif)) == pytest.approx(23.8, abs=0.15)
    assert sum(map(tclif_energy, tclif)) == pytest.approx(28.2, abs=0.15)


@pytest.mark.slow
def test_the_papers_ratios_hold_for_our_own_activity():
    net, data = load(MODEL), load_data(DATA)[:4]
    fixed = quantize(net, LOIHI2, data)
    formula = cost(fixed, LOIHI2, place(fixed, LOIHI2), measure(fixed, data, engine="reference")).formula_45nm
    assert 1.0 < formula.tclif / formula.lif < 1.5  # the paper: 28.2 / 23.8 = 1.18
    assert 60 < formula.lstm / formula.tclif < 200  # the paper: 2834.7 / 28.2 = 101


@pytest.mark.slow
def test_what_if_shows_bits_against_cores_and_energy():
    data = load_data(DATA)[:2]
    target = LOIHI2.override(synaptic_memory=300_000)
    targets = (target, target.override(weight_bits=4), target.override(cores_per_chip=1, chips=1))
    wide, narrow, none = compare_costs(MODEL, data, targets, calibration=data)
    assert len(narrow.placement.cores) < len(wide.placement.cores)
    assert narrow.cost.energy.total is not None
    assert len(none) == 2
    assert "cores are needed" in none[1].what


def seen(fixed, data):
    """What `check` finds of a network's behaviour on data."""
    activity = measure(fixed, data, engine="reference")
    return [f for f in check(fixed, LOIHI2, activity=activity) if f.rule in BEHAVIOUR]


BEHAVIOUR = ("silent_layer", "busy_layer", "overflow", "clipped_input")


def test_measured_activity_shows_silent_layers_overflows_and_clipped_input():
    fixed, x = alive()
    data = Dataset(x, scale=fixed.input.lsb)
    assert seen(fixed, data) == []
    top = np.full_like(fixed.layers[1].threshold, 2**23 - 1)
    silent = replace(fixed, layers=(fixed.layers[0], replace(fixed.layers[1], threshold=top), *fixed.layers[2:]))
    (finding,) = seen(silent, data)
    assert (finding.rule, finding.subject, finding.severity, finding.is_misfit) == (
        "silent_layer",
        "layer1",
        "error",
        False,
    )
    assert "whether float fires is not known" in finding.value
    full, x = random_network(5, saturating=True, bits_u=14, bits_v=14)
    assert {f.rule for f in seen(full, Dataset(x, scale=full.input.lsb))} == {"overflow"}
    assert {f.rule for f in seen(full, Dataset(x * 100, scale=full.input.lsb))} == {"overflow", "clipped_input"}


def test_input_beyond_the_meshs_rate_is_told():
    fixed, x = alive()
    slow = LOIHI2.override(mesh_bandwidth=1e6)
    findings = [f for f in check(fixed, slow, activity=measured(fixed, x)) if f.rule == "mesh_rate"]
    assert len(findings) == 1
    assert findings[0].severity == "warning"
    assert not [f for f in check(fixed, LOIHI2, activity=measured(fixed, x)) if f.rule == "mesh_rate"]


def test_data_of_another_width_are_refused():
    fixed, _ = alive()
    with pytest.raises(TclifError, match="3 features a step, the network takes 5"):
        measure(fixed, Dataset(np.zeros((1, 4, 3), np.uint8)))


@pytest.mark.slow
def test_the_cost_command_prints_ranges_evidence_and_assumptions(capsys, tmp_path, scales):
    assert run(["cost", MODEL, "--data", DATA, *scales, "--samples", "2", "--quiet"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "modelled from Loihi 1 figures" in shown
    assert "weakest evidence of energy assumed" in shown
    assert "pre-silicon simulation" in shown
    assert "assumed every neuron is updated every step" in shown
    assert run(["cost", MODEL, "--data", DATA, *scales, "--samples", "2", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["mapping"]["cores"] == 1
    assert 0 < printed["energy"]["nj_per_inference_low"] < printed["energy"]["nj_per_inference_high"]
    assert printed["latency"]["us_per_step"] > 0
    chip = tmp_path / "chip.toml"
    chip.write_text('name = "chip"\ninherits = "loihi2"\nweight_bits = 4\n', encoding="utf-8")
    assert (
        run(["cost", MODEL, "--data", DATA, *scales, "--samples", "2", "--compare", "loihi2", str(chip), "--json"]) == 0
    )
    rows = json.loads(capsys.readouterr().out)
    assert [row["target"] for row in rows] == ["loihi2", "chip"]
    assert rows[1]["mapping"]["utilization"]["synaptic_memory"] < rows[0]["mapping"]["utilization"]["synaptic_memory"]


@pytest.mark.slow
def test_the_cost_command_says_what_would_fit(capsys, tmp_path, scales):
    chip = tmp_path / "chip.toml"
    chip.write_text(
        'name = "chip"\ninherits = "loihi2"\ncores_per_chip = 1\nchips = 1\nsynaptic_memory = 500_000\n',
        encoding="utf-8",
    )
    assert run(["cost", MODEL, "--data", DATA, *scales, "--samples", "2", "--target", str(chip)]) == 2
    printed = capsys.readouterr().err
    assert "2 cores are needed, chip has 1" in " ".join(printed.split())
    assert "2 chips hold it (1 exist)" in " ".join(printed.split())
    assert "-bit weights would fit" in " ".join(printed.split())
