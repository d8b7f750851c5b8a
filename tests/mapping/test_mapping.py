"""Placement and design rules: no limit passed, every neuron once, and what does not fit is told."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tclif_deploy import TclifError
from tclif_deploy.cli.main import run
from tclif_deploy.convolution import Conv
from tclif_deploy.fixed import FixedConnection, FixedNetwork
from tclif_deploy.json_form import text_of
from tclif_deploy.mapping import STRATEGIES, CannotFit, Group, SynapseGroup, Workload, check, place, placement_summary
from tclif_deploy.mapping.advice import advise
from tclif_deploy.mapping.connectivity import Dense, Sparse
from tclif_deploy.mapping.memory import RESOURCES, SynapseFormat
from tclif_deploy.mapping.mesh import Mesh
from tclif_deploy.mapping.rules_network import kind_of
from tclif_deploy.mapping.traffic import Traffic, arrange
from tclif_deploy.simulation import simulate
from tclif_deploy.target import load_target
from tests.helpers import oracle
from tests.helpers.random_networks import assert_alive, drawn_network, network_options, random_network

LOIHI1, LOIHI2, IDEAL = (load_target(name) for name in ("loihi1", "loihi2", "ideal"))
DOCS = Path(__file__).parents[2] / "docs" / "placement.md"


def small(**limits):
    """A machine with room for almost nothing, so that every limit matters."""
    base = {"neurons_per_core": 20, "synaptic_memory": 6000, "core_memory": 20_000, "axons_in": 90, "axons_out": 60}
    mesh = {"cores_per_chip": 8, "chips": 10_000, "mesh_width": 2, "mesh_height": 2, "cores_per_tile": 2}
    return LOIHI1.override(**{**base, **mesh, **limits})


@st.composite
def workloads(draw):
    """Chains with skips, recurrence, dense and sparse connections of any density."""
    sizes = draw(st.lists(st.integers(1, 60), min_size=2, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))

    def connect(neurons, sources):
        if draw(st.booleans()):
            return Dense(neurons, sources)
        return Sparse.of(rng.random((neurons, sources)) < draw(st.sampled_from([0.0, 0.05, 0.3, 0.9])))

    groups = []
    for n, size in enumerate(sizes[1:]):
        source = "input" if n == 0 else f"g{n - 1}"
        links = [SynapseGroup(source, connect(size, sizes[n]))]
        if draw(st.booleans()):
            links.append(SynapseGroup(f"g{n}", connect(size, size), delay=draw(st.integers(1, 3))))
        if n > 1 and draw(st.booleans()):
            links.append(SynapseGroup("g0", connect(size, sizes[1])))
        groups.append(Group(f"g{n}", size, tuple(links), states=2, parameter_bits=draw(st.sampled_from([0, 24]))))
    return Workload(sizes[0], tuple(groups))


def used_by(workload, target, placement):
    """What every core uses, counted one synapse at a time in plain Python."""
    word, block, header = (limit.value for limit in (target.memory_word, target.synapse_block, target.synapse_header))
    where = {(s.layer, n): c for c, core in enumerate(placement.cores) for s in core.slices for n in
             range(s.start, s.stop)}  # fmt: skip
    used = [dict.fromkeys(RESOURCES, 0) for _ in placement.cores]
    for core, row in zip(placement.cores, used, strict=True):
        for s in core.slices:
            group = workload.group(s.layer)
            row["neurons"] += s.stop - s.start
            row["state_memory"] += (s.stop - s.start) * (group.states * target.state_bits.value + group.parameter_bits)
            for link in group.synapse_groups:
                bits = target.weight_bits.value + (target.delay_bits.value if link.delay > 1 else 0)
                lists = {}
                for n in range(s.start, s.stop):
                    for source in sources_of(link.connectivity, n):
                        lists[source] = lists.get(source, 0) + 1

                def size(count, each):
                    total = 0
                    while count > 0:
                        total += -(-(min(count, block) * each + header) // word) * word
                        count -= block
                    return total

                dense = sum(size(s.stop - s.start, bits) for _ in lists)
                sparse = sum(size(count, bits + target.index_bits.value) for count in lists.values())
                row["synaptic_memory"] += min(dense, sparse)
                row["axons_in"] += len(lists)
                if link.source != "input":
                    for source in lists:
                        used[where[link.source, source]]["axons_out"] += 1
    for row in used:
        row["core_memory"] = row["synaptic_memory"] + row["state_memory"]  # axons have their own tables on Loihi 1
    return used


def sources_of(connectivity, neuron):
    if isinstance(connectivity, Dense):
        return range(connectivity.sources)
    return connectivity.indices[connectivity.indptr[neuron] : connectivity.indptr[neuron + 1]].tolist()


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(workloads(), st.sampled_from(sorted(STRATEGIES)))
def test_every_neuron_lies_once_and_no_limit_is_passed(workload, strategy):
    target = small()
    try:
        placement = place(workload, target, strategy)
    except CannotFit:
        return
    seen = {group.name: np.zeros(group.neurons, int) for group in workload.groups}
    for core in placement.cores:
        assert core.slices
        for s in core.slices:
            assert s.start < s.stop
            seen[s.layer][s.start : s.stop] += 1
    assert all((count == 1).all() for count in seen.values())
    assert len(placement.cores) <= workload.neurons
    assert len({(core.chip, core.number) for core in placement.cores}) == len(placement.cores)
    assert all(0 <= core.number < 8 for core in placement.cores)
    assert [dict(zip(RESOURCES, core.used, strict=True)) for core in placement.cores] == used_by(
        workload, target, placement
    )
    for core in placement.cores:
        assert all(limit is None or used <= limit for used, limit in zip(core.used, placement.available, strict=True))


@settings(max_examples=30, deadline=None)
@given(workloads())
def test_moving_cores_never_lengthens_the_way_and_hops_are_what_they_say(workload):
    target = small(axons_out=100_000)
    try:
        near, order = place(workload, target, "traffic"), place(workload, target, "greedy")
    except CannotFit:
        return
    assert near.hops <= order.hops
    assert sorted(c.slices for c in near.cores) == sorted(c.slices for c in order.cores)
    for placement in (near, order):
        x, y = placement.mesh.position(placement.slots)
        where = {(s.layer, n): c for c, core in enumerate(placement.cores) for s in core.slices for n in
                 range(s.start, s.stop)}  # fmt: skip
        hops = 0
        for c, core in enumerate(placement.cores):
            for s in core.slices:
                for link in workload.group(s.layer).synapse_groups:
                    senders = {i for n in range(s.start, s.stop) for i in sources_of(link.connectivity, n)}
                    for i in senders if link.source != "input" else ():
                        home = where[link.source, i]
                        hops += abs(int(x[c] - x[home])) + abs(int(y[c] - y[home]))
        assert hops == placement.hops


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 16), st.integers(0, 2**20), st.sampled_from([(4, 1, 4), (2, 2, 2), (3, 2, 3)]))
def test_every_exchange_of_places_shortens_the_way(cores, seed, shape):
    rng = np.random.default_rng(seed)
    talk = rng.integers(1, 1000, (cores, cores)) ** 3 * (rng.random((cores, cores)) < 0.5)  # some pairs talk a lot
    talk = np.triu(talk, 1) + np.triu(talk, 1).T
    indptr = np.concatenate([[0], np.cumsum((talk > 0).sum(axis=1))]).astype(np.int64)
    traffic = Traffic(indptr, np.nonzero(talk)[1].astype(np.int64), talk[talk > 0])
    mesh = Mesh(shape[0], shape[1], 1, shape[0] * shape[1], -(-cores // (shape[0] * shape[1])))
    before = traffic.hops(mesh, np.arange(cores))
    slots = arrange(traffic, mesh)
    assert len(set(slots.tolist())) == cores
    assert traffic.hops(mesh, slots) <= before
    x, y = mesh.position(slots)
    way = sum(int(talk[a, b]) * (abs(int(x[a] - x[b])) + abs(int(y[a] - y[b]))) for a in range(cores) for b in range(a))
    assert traffic.hops(mesh, slots) == way


@pytest.mark.slow
def test_moving_cores_shortens_the_way_of_a_network_with_neighbourhoods():
    workload = Workload.synthetic(neurons=20_000, fan_in=32, layers=5, seed=1, reach=400)
    target = LOIHI1.override(neurons_per_core=64)
    assert place(workload, target, "traffic").hops < 0.6 * place(workload, target, "greedy").hops


def test_balanced_cores_have_like_work():
    placement = place(Workload.synthetic(neurons=20_000, fan_in=32, layers=2, seed=0), LOIHI1, "balanced")
    for layer in ("layer0", "layer1"):
        count = [s.neurons for core in placement.cores for s in core.slices if s.layer == layer]
        assert len(count) > 10
        assert max(count) - min(count) <= 1


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_the_same_network_lies_the_same_way(strategy):
    workload = Workload.synthetic(neurons=5_000, fan_in=20, layers=3, seed=2)
    first, second = (text_of(placement_summary(place(workload, LOIHI1, strategy))) for _ in range(2))
    assert first == second


def test_a_full_chip_is_followed_by_the_next():
    workload = Workload.synthetic(neurons=4_000, fan_in=8, layers=2, seed=0)
    placement = place(workload, LOIHI1.override(neurons_per_core=100, cores_per_chip=16))
    assert (len(placement.cores), placement.chips) == (40, 3)
    assert [core.chip for core in placement.cores] == [0] * 16 + [1] * 16 + [2] * 8


def test_the_placement_worked_by_hand_in_the_docs_is_what_the_tool_finds():
    a = Group("a", 600, (SynapseGroup("input", Dense(600, 100)),))
    b = Group("b", 500, (SynapseGroup("a", Dense(500, 600)), SynapseGroup("b", Dense(500, 500), delay=1)))
    placement = place(Workload(100, (a, b)), LOIHI1)
    text = DOCS.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([\d:]*) ?\| ([\d:]*) ?\| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", text, re.M)
    assert len(rows) == len(placement.cores) == 6
    for row, core in zip(rows, placement.cores, strict=True):
        slices = {s.layer: f"{s.start}:{s.stop}" for s in core.slices}
        used = dict(zip(RESOURCES, core.used, strict=True))
        assert row[0] == str(core.number)
        assert (row[1], row[2]) == (slices.get("a", ""), slices.get("b", ""))
        assert [int(n) for n in row[3:]] == [
            used[n] for n in ("neurons", "synaptic_memory", "axons_in", "axons_out")
        ]  # fmt: skip
    assert placement.hops == int(re.search(r"`hops` is ([\d,]+)", text)[1].replace(",", ""))


def test_lists_of_synapses_take_the_bits_that_nengo_loihi_counts():
    # nengo_loihi/block.py 1.1, SynapseConfig(weight_bits=7, n_synapses=63, fanout_type=1).bits_per_axon(n):
    # with compression=3 (dense), and with compression=0 and idx_bits=5 (10-bit indices)
    counted = {
        1: (64, 64), 6: (64, 128), 7: (128, 192), 38: (320, 704), 54: (448, 1024), 55: (512, 1024), 63: (576, 1152),
        64: (576, 1216), 65: (640, 1280), 102: (896, 1920), 128: (1152, 2432), 600: (5440, 11392), 1024: (9216, 19456),
    }  # fmt: skip
    form = SynapseFormat.of(LOIHI1, 1)
    for n, (dense, sparse) in counted.items():
        assert int(form.list_bits(n, sparse=False)) == dense
        assert int(form.list_bits(n, sparse=True)) == sparse


def test_the_blocks_that_nengo_loihi_refuses_take_more_than_one_core():
    # nengo_loihi/builder/tests/test_validate.py: 1200 neurons; 5000 sources; 500 dense sources into 600 neurons
    def dense(neurons, sources):
        return Workload(sources, (Group("block", neurons, (SynapseGroup("input", Dense(neurons, sources)),)),))

    assert len(place(dense(1024, 10), LOIHI1).cores) == 1
    assert len(place(dense(1200, 10), LOIHI1).cores) == 2
    assert len(place(dense(600, 100), LOIHI1).cores) == 1
    assert len(place(dense(600, 500), LOIHI1).cores) > 1
    with pytest.raises(CannotFit, match=r"neuron 0 alone needs 5,000 of a core's axons_in, loihi1 has 4,096"):
        place(dense(410, 5000), LOIHI1)


def test_zero_weights_are_no_synapses_and_sparse_lists_are_smaller():
    fixed, _ = random_network(0, sizes=(10, 60, 60, 4))
    weight = fixed.layers[1].connections[0].weight.copy()
    weight[np.random.default_rng(0).random(weight.shape) < 0.9] = 0
    links = (replace(fixed.layers[1].connections[0], weight=weight),)
    thin = replace(fixed, layers=(fixed.layers[0], replace(fixed.layers[1], connections=links), *fixed.layers[2:]))
    full, less = place(fixed, LOIHI1).cores[0].used[1], place(thin, LOIHI1).cores[0].used[1]
    assert less < full


def test_states_and_own_parameters_take_memory():
    shared, _ = random_network(1, per_neuron=False, sizes=(4, 30, 3))
    own, _ = random_network(1, per_neuron=True, sizes=(4, 30, 3))
    bits = [Workload.of(fixed, LOIHI2).groups[0].parameter_bits for fixed in (shared, own)]
    assert bits[0] == 0
    # a_u, b_u, a_v, b_v may differ: 13 bits each; threshold, r_u, r_v, v_reset 24 each
    assert bits[1] >= 24
    assert place(own, LOIHI2).cores[0].used[2] > place(shared, LOIHI2).cores[0].used[2]
    readout = Workload.of(shared, LOIHI2).groups[-1]
    assert (Workload.of(shared, LOIHI2).groups[0].states, readout.states) == (2, 1)


def test_what_cannot_fit_is_told_with_the_smallest_change_that_would():
    workload = Workload.synthetic(neurons=4_000, fan_in=64, layers=4, seed=0)
    target = LOIHI1.override(chips=1, cores_per_chip=4, mesh_width=1, mesh_height=1)
    with pytest.raises(CannotFit, match=r"\d+ cores are needed, loihi1 has 4 \(1 chip of 4\): \d+ too many"):
        place(workload, target)
    chips, bits, density = advise(workload, target)
    needed = int(re.match(r"(\d+) chips hold it", chips)[1])
    place(workload, target.override(chips=needed))
    with pytest.raises(CannotFit):
        place(workload, target.override(chips=needed - 1))
    width = int(re.match(r"(\d+)-bit weights", bits)[1])
    place(workload, target.override(weight_bits=width))
    with pytest.raises(CannotFit):
        place(workload, target.override(weight_bits=width + 1))
    place(workload.subsampled(int(re.match(r"keeping (\d+)%|keeping (\d+) %", density)[1]) / 100), target)


def test_where_nothing_helps_that_is_told():
    workload = Workload(9000, (Group("wide", 10, (SynapseGroup("input", Dense(10, 9000)),)),))
    assert advise(workload, LOIHI1.override(neurons_per_core=1, cores_per_chip=1, chips=1, mesh_width=1, mesh_height=1,
                                            cores_per_tile=1)) == (
        "no number of chips, no weight width and no sparsity down to 1 % fits 1 cores of this kind",
    )  # fmt: skip


def test_an_unknown_strategy_is_refused():
    with pytest.raises(TclifError, match="known: greedy, balanced, traffic"):
        place(Workload.synthetic(neurons=10, fan_in=2, layers=1, seed=0), LOIHI1, "best")


# --- design rules


def fitting(**arguments):
    """A network that really fires and that loihi2 holds without a finding."""
    fixed, x = random_network(3, rounding="toward_zero", **arguments)
    assert_alive(simulate(fixed, x, spikes=True, engine="reference"))
    return fixed


def rules(fixed, target, **arguments):
    return {f.rule for f in check(fixed, target, **arguments) if f.severity == "error"}


def changed(fixed: FixedNetwork, layer=0, **values):
    layers = list(fixed.layers)
    layers[layer] = replace(layers[layer], **values)
    return replace(fixed, layers=tuple(layers))


def test_a_network_that_fits_has_no_error():
    assert rules(fitting(), LOIHI2) == set()


def full_of(fixed, name, value, layer=0):
    return changed(fixed, layer, **{name: np.full_like(getattr(fixed.layers[layer], name), value)})


def with_link(fixed, layer=0, **values):
    links = list(fixed.layers[layer].connections)
    links[0] = replace(links[0], **values)
    return changed(fixed, layer, connections=tuple(links))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "spoil"),
    [
        ("arithmetic", lambda f: (replace(f, arithmetic=replace(f.arithmetic, rounding="nearest")), LOIHI2)),
        ("arithmetic", lambda f: (replace(f, arithmetic=replace(f.arithmetic, bits_u=32)), LOIHI2)),
        ("weight_width", lambda f: (f, LOIHI2.override(weight_bits=7))),
        ("parameter_width", lambda f: (full_of(f, "threshold", 2**23), LOIHI2)),
        ("parameter_width", lambda f: (full_of(f, "threshold", 0), LOIHI2)),
        ("parameter_width", lambda f: (full_of(f, "bias_u", -(2**23)), LOIHI2)),
        ("parameter_width", lambda f: (full_of(f, "r_v", 2**23), LOIHI2)),
        ("shared_parameters", lambda f: (f, LOIHI2.override(per_neuron_parameters=False))),
        ("neuron_kind", lambda f: (f, LOIHI2.override(neuron_kinds=["cuba"]))),
        ("neuron_kind", lambda f: (f, LOIHI2.override(reset_kinds=["hard"]))),
        ("delays", lambda f: (with_link(f, delay=63), LOIHI2)),
        ("fan_in", lambda f: (f, LOIHI2.override(max_fan_in=18))),
        ("fan_out", lambda f: (f, LOIHI2.override(max_fan_out=3))),
        ("inputs", lambda f: (f, LOIHI2.override(max_inputs=4))),
        ("outputs", lambda f: (f, LOIHI2.override(max_outputs=3))),
        ("input_payload", lambda f: (f, LOIHI2.override(input_bits=8))),
        ("dead_weights", lambda f: (with_link(f, weight=np.zeros_like(f.layers[0].connections[0].weight)), LOIHI2)),
        ("accumulator", lambda f: (changed(f, shift=50), LOIHI2)),
        ("placement", lambda f: (f, LOIHI2.override(synaptic_memory=64, memory_word=64))),
    ],
)  # fmt: skip
def test_each_rule_finds_what_it_is_for(rule, spoil):
    fixed = fitting()
    assert rule not in rules(fixed, LOIHI2)
    assert all("{" not in found.remedy for found in check(*spoil(fixed)))
    assert rule in rules(*spoil(fixed))


def test_all_findings_are_told_worst_first_with_value_limit_and_remedy():
    findings = check(fitting(), LOIHI2.override(weight_bits=4, max_inputs=4, max_fan_in=10, neuron_kinds=["lif"]))
    errors = [f for f in findings if f.severity == "error"]
    assert {"weight_width", "inputs", "fan_in", "neuron_kind"} <= {f.rule for f in errors}
    assert [f.severity for f in findings] == sorted(
        (f.severity for f in findings), key=("error", "warning", "info").index
    )
    assert [f.excess for f in errors] == sorted((f.excess for f in errors), reverse=True)
    assert all(f.value and f.remedy for f in findings)
    assert any((f.subject, f.value, f.limit) == ("layer0: neuron 0", "19 synapses", "10 synapses") for f in errors) or (
        any(f.rule == "fan_in" and f.limit == "10 synapses" for f in errors)
    )


def test_the_accumulator_is_proved_by_its_worst_case():
    fixed = fitting()
    layer = fixed.layers[1]
    worst = max(sum(abs(int(w)) for w in row) for row in layer.connections[0].weight)
    bits = worst.bit_length() + 1
    subjects = [f.subject for f in check(fixed, LOIHI2.override(accumulator_bits=bits)) if f.rule == "accumulator"]
    assert layer.name not in subjects
    findings = [f for f in check(fixed, LOIHI2.override(accumulator_bits=bits - 1)) if f.rule == "accumulator"]
    assert any(f.subject == layer.name and f.value == f"{bits} bit at worst" for f in findings)


def test_kinds_of_neuron_are_told_apart():
    fixed, _ = random_network(0, leaky=True)
    layer = fixed.layers[0]
    zero, one = np.zeros_like(layer.a_u), 1 << fixed.arithmetic.frac_bits
    assert kind_of(layer, one) == "two_compartment"
    assert kind_of(replace(layer, b_u=zero), one) == "cuba"
    assert kind_of(replace(layer, b_u=zero, a_u=zero, a_v=zero + one // 2), one) == "lif"
    assert kind_of(replace(layer, b_u=zero, a_u=zero, a_v=zero + one), one) == "if"


def test_a_kernel_takes_its_synapses_or_where_a_chip_shares_it_itself():
    """Speck: a layer of c channels in, f out and a kernel of kx by ky needs c * f * kx * ky entries of 8 bits."""
    conv = Conv((2, 6, 6), padding=(1, 1, 1, 1))
    weight = np.random.default_rng(0).integers(1, 9, (4, 2, 3, 3))
    fixed, _ = random_network(4, sizes=(72, 144, 3))
    first = replace(fixed.layers[0], connections=(FixedConnection("input", weight, conv=conv),))
    fixed = replace(fixed, layers=(first, *fixed.layers[1:]))
    workload = Workload.of(fixed, LOIHI2)
    link = workload.groups[0].synapse_groups[0].connectivity
    rows = oracle.matrix(first.connections[0])
    assert link.fan_in().tolist() == [sum(w != 0 for w in row) for row in rows]
    assert link.synapses == sum(map(sum, (np.array(rows) != 0).tolist()))
    speck = load_target("speck2")
    shared = Workload.of(fixed, speck).groups[0].synapse_groups[0].connectivity
    form = SynapseFormat.of(speck, 0)
    assert shared.synapses == link.synapses
    assert shared.use(0, 144, form).bits[-1] == 2 * 4 * 3 * 3 * 8
    assert shared.use(36, 72, form).bits[-1] == 2 * 3 * 3 * 8
    assert shared.use(35, 37, form).bits.tolist() == [2 * 9 * 8, 2 * 2 * 9 * 8]
    assert shared.use(0, 144, form).axons[-1] == 72


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(network_options(bits_u=24, bits_v=24))
def test_any_network_can_be_checked_against_any_target(chosen):
    fixed, _ = drawn_network(**chosen)
    for target in (LOIHI1, LOIHI2, IDEAL, load_target("xylo2"), load_target("speck2"), load_target("spinnaker2")):
        for finding in check(fixed, target):
            assert finding.remedy


@pytest.mark.slow
def test_the_check_command_exits_1_on_errors_and_prints_json(capsys, tmp_path):
    model = "fixtures/smnist_ff/checkpoint.pth.tar"
    with np.load("fixtures/smnist_test.npz") as data:  # the model's own calibration takes seconds
        np.savez(tmp_path / "few.npz", x=data["x"][:2], scale=data["scale"])
    scales = ["--calibration", str(tmp_path / "few.npz")]
    assert run(["check", model, "--target", "loihi2", *scales]) == 0
    assert "loihi2: fits: 0 errors" in capsys.readouterr().out
    assert run(["check", model, "--target", "speck2", "--json", *scales]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["target"] == "speck2"
    assert printed["findings"][0]["rule"] == "neuron_kind"
    assert printed["calibration"]["kind"] == "given"
    assert set(printed["findings"][0]) == {"rule", "severity", "subject", "value", "limit", "remedy", "kind"}
    assert run(["check", "absent.pt"]) == 2
    assert run(["check", model, "--strategy", "best"]) == 2


@pytest.mark.slow
def test_a_million_sparse_neurons_are_placed_in_4_gb(tmp_path):
    # in a process of its own: the peak memory is a process's
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "benchmarks/placement.py", "--sizes", "1000000", "--json"],
        capture_output=True, text=True, timeout=3600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["neurons"] == 1_000_000
    assert row["synapses"] == 64_000_000
    assert row["seconds"].keys() >= {"greedy"}
    assert row["peak_gb"] < 4
