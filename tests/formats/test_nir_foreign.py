"""NIR files of other tools: graphs against their equations written down straight, and graphs without meaning."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

from tclif_deploy import TclifError, load
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers import foreign_graphs
from tests.helpers.foreign_graphs import DT, input_and_output, spike_trains


def written(path: Path, nodes: dict, edges: list, **options):
    """The network of a graph of nir's own nodes, written by nir itself."""
    nir.write(path / "graph.nir", nir.NIRGraph(nodes, edges, metadata={}, type_check=False))
    return load(path / "graph.nir", **options)


def lif(size, seed=0, **changes):
    rng = np.random.default_rng(seed)
    values = {
        "tau": rng.uniform(5e-4, 3e-3, size), "r": rng.uniform(5, 12, size), "v_leak": rng.uniform(-0.05, 0.1, size),
        "v_threshold": rng.uniform(0.7, 1.2, size), "v_reset": rng.uniform(-0.2, 0.2, size),
    }  # fmt: skip
    return nir.LIF(**{**values, **changes})


def refused(path: Path, **options) -> str:
    with pytest.raises(TclifError) as error:
        load(path, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_output_of_three_axes_is_read(tmp_path):
    """As in files of Rockpool, whose nodes are also called by their number and class."""
    tau, theta = 2e-3, 0.2
    node = nir.LIF(tau=np.array([tau]), r=np.array([15.0]), v_leak=np.zeros(1), v_threshold=np.array([theta]))
    nodes = {"input": nir.Input(np.array([1])), "0_Linear": nir.Linear(np.array([[0.5]])), "1_LIF": node,
             "output": nir.Output(np.array([1, 1, 1]))}  # fmt: skip
    network = written(tmp_path, nodes, [("0_Linear", "1_LIF"), ("1_LIF", "output"), ("input", "0_Linear")], dt=DT)
    x = spike_trains(0.1, 1, steps=1000, samples=1)
    (spikes,) = simulate_float(network, x).spikes.values()
    expected, v = [], 0.0
    for value in x[0, :, 0]:
        v += DT / tau * (15.0 * 0.5 * value - v)
        expected.append(v > theta)
        v = 0.0 if v > theta else v
    assert 0.01 <= np.mean(expected) <= 0.6
    np.testing.assert_array_equal(spikes[0, :, 0], expected)


def test_a_leak_potential_drives_a_neuron_without_input(tmp_path):
    """The first of two leaks towards 2 and fires at 1, so it fires with no input at all, and drives the second."""
    network = load(foreign_graphs.write_graph(foreign_graphs.lif_chain_with_leak(), tmp_path / "chain.nir"), dt=DT)
    seen = simulate_float(network, np.zeros((1, 1000, 1))).spikes
    first, second, v, w = [], [], 0.0, 0.0
    for _ in range(1000):
        v += DT / 5e-3 * (2.0 - v)
        first.append(v > 1)
        w += DT / 8e-3 * (20.0 * first[-1] - w)
        second.append(w > 0.3)
        v, w = 0.0 if first[-1] else v, 0.0 if second[-1] else w
    assert 0.01 <= np.mean(first) <= 0.6
    assert 0.01 <= np.mean(second) <= 0.6
    np.testing.assert_array_equal(seen["lif1"][0, :, 0], first)
    np.testing.assert_array_equal(seen["lif2"][0, :, 0], second)


def test_a_nested_graph_whose_edges_name_a_node_it_lacks_is_refused(tmp_path):
    """As where a script nests a loop and renames its neuron in the nodes alone."""
    graph = foreign_graphs.with_subgraph(foreign_graphs.recurrent_graph())
    inner = graph.nodes["lif1"].nodes
    inner["lif1"] = inner.pop("lif")
    assert "no node 'lif'" in refused(foreign_graphs.write_graph(graph, tmp_path / "bad.nir"), dt=DT)


def test_nested_graphs_skips_scales_delays_and_loops_do_what_the_equations_say(tmp_path):
    """Against forward Euler, written down straight."""
    rng = np.random.default_rng(1)
    w1, w2, rec, skip = (rng.normal(0.1, 0.5, shape) for shape in ((8, 4), (6, 8), (8, 8), (6, 4)))
    b1, scale = rng.normal(0.05, 0.05, 8), rng.uniform(0.5, 1.5, 8)
    delays = np.array([0, 1, 1, 2, 3, 0, 2, 5]) * DT
    one, two = lif(8, 1), lif(6, 2)
    inner = nir.NIRGraph(
        {"i": nir.Input(np.array([8])), "lif": one, "rec": nir.Linear(rec), "o": nir.Output(np.array([8]))},
        [("i", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "o")], metadata={}, type_check=False,
    )  # fmt: skip
    nodes = {
        **input_and_output(4, 6), "fc1": nir.Affine(w1, b1), "body": inner, "s": nir.Scale(scale),
        "d": nir.Delay(delays),
        "fc2": nir.Linear(w2), "skip": nir.Linear(skip), "lif2": two,
    }  # fmt: skip
    edges = [("in", "fc1"), ("fc1", "body"), ("body", "s"), ("s", "d"), ("d", "fc2"), ("fc2", "lif2"),
             ("in", "skip"), ("skip", "lif2"), ("lif2", "out")]  # fmt: skip
    network = written(tmp_path, nodes, edges, dt=DT)
    x = spike_trains(0.3, 4, samples=1)
    seen = simulate_float(network, x).spikes
    u, v, first, second = np.zeros(8), np.zeros(6), [np.zeros(8)], []
    for t in range(x.shape[1]):
        current = w1 @ x[0, t] + b1 + rec @ first[-1]
        u = u + DT / one.tau * (one.v_leak - u + one.r * current)
        z = u > one.v_threshold
        u = np.where(z, one.v_reset, u)
        first.append(z.astype(float))
        delayed = np.array(
            [first[t + 1 - d][k] if t + 1 - d >= 1 else 0.0 for k, d in enumerate((0, 1, 1, 2, 3, 0, 2, 5))]
        )
        current = w2 @ (scale * delayed) + skip @ x[0, t]
        v = v + DT / two.tau * (two.v_leak - v + two.r * current)
        z = v > two.v_threshold
        v = np.where(z, two.v_reset, v)
        second.append(z)
    assert 0.01 <= np.mean(first) <= 0.6
    assert 0.01 <= np.mean(second) <= 0.6
    np.testing.assert_array_equal(seen[network.layers[0].name][0], np.stack(first[1:]).astype(bool))
    np.testing.assert_array_equal(seen["lif2"][0], np.stack(second))
    assert any("takes one step" in notice for notice in network.notices)


@pytest.mark.parametrize("kind", ["LI", "CubaLI", "I", "Affine"])
def test_what_does_not_spike_is_a_readout(tmp_path, kind):
    rng = np.random.default_rng(2)
    hidden, weight, bias = lif(7, 3), rng.normal(0, 1, (3, 7)), rng.normal(0, 0.1, 3)
    tau, ts, r, leak = (rng.uniform(low, high, 3) for low, high in ((1e-3, 3e-3), (5e-4, 1e-3), (1, 3), (-0.1, 0.1)))
    tail = {
        "LI": lambda: nir.LI(tau=tau, r=r, v_leak=leak), "I": lambda: nir.I(r=r),
        "CubaLI": lambda: nir.CubaLI(tau_syn=ts, tau_mem=tau, r=r, v_leak=leak, w_in=np.full(3, 2.0)),
    }.get(kind)  # fmt: skip
    nodes = {
        **input_and_output(4, 3),
        "fc": nir.Linear(rng.normal(0.2, 0.5, (7, 4))),
        "lif": hidden,
        "fc2": nir.Affine(weight, bias),
    }
    edges = [("in", "fc"), ("fc", "lif"), ("lif", "fc2")]
    if tail:
        nodes["tail"] = tail()
        edges += [("fc2", "tail"), ("tail", "out")]
    else:
        edges += [("fc2", "out")]
    network = written(tmp_path, nodes, edges, dt=DT)
    result = simulate_float(network, spike_trains(0.3, 4, samples=1))
    spikes = result.spikes["lif"][0]
    assert 0.01 <= spikes.mean() <= 0.6
    i, v = np.zeros(3), np.zeros(3)
    for z in spikes.astype(float):
        current = weight @ z + bias
        if kind == "LI":
            v = v + DT / tau * (leak - v + r * current)
        elif kind == "CubaLI":
            i = i + DT / ts * (-i + 2.0 * current)
            v = v + DT / tau * (leak - v + r * i)
        elif kind == "I":
            v = v + DT * r * current
        else:
            v = v + current
    np.testing.assert_allclose(result.readout[0], v, rtol=1e-9)


@pytest.mark.parametrize("late", [False, True])
def test_cubalif_takes_the_new_current_or_that_of_the_step_before(tmp_path, late):
    rng = np.random.default_rng(4)
    size = 9
    node = nir.CubaLIF(
        tau_syn=rng.uniform(3e-4, 1e-3, size), tau_mem=rng.uniform(5e-4, 2e-3, size), r=rng.uniform(2, 5, size),
        v_leak=rng.uniform(-0.1, 0.1, size), v_threshold=rng.uniform(0.5, 1, size), w_in=rng.uniform(1, 3, size),
    )  # fmt: skip
    weight = rng.normal(0.2, 0.6, (size, 4))
    nodes = {**input_and_output(4, size), "fc": nir.Linear(weight), "cuba": node}
    network = written(tmp_path, nodes, [("in", "fc"), ("fc", "cuba"), ("cuba", "out")], dt=DT,
                      convention="simultaneous" if late else "nir")  # fmt: skip
    x = spike_trains(0.3, 4, samples=1)
    i, v, expected = np.zeros(size), np.zeros(size), []
    for t in range(x.shape[1]):
        before = i
        i = i + DT / node.tau_syn * (-i + node.w_in * (weight @ x[0, t]))
        v = v + DT / node.tau_mem * (node.v_leak - v + node.r * (before if late else i))
        expected.append(v > node.v_threshold)
        v = np.where(expected[-1], 0.0, v)
    assert 0.01 <= np.mean(expected) <= 0.6
    np.testing.assert_array_equal(simulate_float(network, x).spikes["cuba"][0], np.stack(expected))


def test_the_convention_and_the_step_are_told_and_can_be_changed(tmp_path):
    nodes = {**input_and_output(4, 5), "fc": nir.Linear(np.ones((5, 4))), "lif": lif(5, v_reset=np.zeros(5))}
    edges = [("in", "fc"), ("fc", "lif"), ("lif", "out")]
    network = written(tmp_path, nodes, edges, dt=DT, comparator=">=", reset="soft")
    assert "dt = 0.0001, convention nir: forward Euler" in network.notices[0]
    assert "fires at v >= threshold, resets to v - threshold" in network.notices[0]
    assert network.layers[0].neuron.reset == "soft"
    exact = written(tmp_path, nodes, edges, dt=DT, convention="exponential").layers[0].neuron
    np.testing.assert_allclose(exact.a_v, np.exp(-DT / nodes["lif"].tau), rtol=1e-12)


def test_a_graph_of_integrators_alone_needs_no_dt(tmp_path):
    node = nir.IF(r=np.ones(3), v_threshold=np.ones(3))
    nodes = {**input_and_output(3, 3), "if": node}
    network = written(tmp_path, nodes, [("in", "if"), ("if", "out")])
    x = np.full((1, 20, 3), 0.3)
    v, expected = 0.0, []
    for _ in range(20):
        v += 0.3
        expected.append(v > 1)
        v = 0.0 if v > 1 else v
    np.testing.assert_array_equal(simulate_float(network, x).spikes["if"][0, :, 0], expected)


def simple(**changes):
    nodes = {**input_and_output(4, 5), "fc": nir.Linear(np.ones((5, 4))), "lif": lif(5)}
    return {**nodes, **changes}, [("in", "fc"), ("fc", "lif"), ("lif", "out")]


BAD = {
    "no dt": (simple(), {"dt": None}, "--dt 1e-4"),
    "dt is zero": (simple(), {"dt": 0.0}, "dt is 0"),
    "dt above tau": (simple(), {"dt": 1.0}, "less than a time step of 1"),
    "unknown convention": (simple(), {"convention": "matlab"}, "known: nir"),
    "tau is zero": (simple(lif=lif(5, tau=np.zeros(5))), {}, "node lif: tau reaches 0"),
    "tau is negative": (simple(lif=lif(5, tau=-np.ones(5))), {}, "tau reaches -1"),
    "threshold is zero": (simple(lif=lif(5, v_threshold=np.zeros(5))), {}, "v_threshold reaches 0"),
    "shapes do not meet": (simple(lif=lif(6)), {}, "edge fc -> lif: 5 values meet a node of 6"),
    "weights do not meet": (
        simple(fc=nir.Linear(np.ones((5, 3)))), {}, "edge in -> fc: 4 values meet a weight of shape (5, 3)",
    ),
    "zero-size weight": (simple(fc=nir.Linear(np.ones((0, 4)))), {}, "node fc: weight has shape (0, 4)"),
    "delay between steps": (
        (simple(d=nir.Delay(np.full(5, 2.5e-4)))[0], [("in", "fc"), ("fc", "d"), ("d", "lif"), ("lif", "out")]), {},
        "node d: a delay of 0.00025 is 2.5 steps",
    ),
    "loop without a neuron": (
        (simple(back=nir.Linear(np.ones((5, 5))), more=nir.Linear(np.ones((5, 5))))[0],
         [("in", "fc"), ("fc", "back"), ("back", "more"), ("more", "back"), ("more", "lif"), ("lif", "out")]), {},
        "a loop without a neuron in it: ",
    ),
    "nothing at the output": ((simple()[0], [("in", "fc"), ("fc", "lif")]), {}, "nothing leads to the output out"),
    "two inputs": (simple(more=nir.Input(np.array([4]))), {}, "2 Input nodes (in, more); networks with exactly one"),
    "no neurons": (
        ({**input_and_output(4, 5), "fc": nir.Linear(np.ones((5, 4)))}, [("in", "fc"), ("fc", "out")]), {}, "no neur"),
    "a threshold of its own": (
        ({**input_and_output(4, 4), "t": nir.Threshold(np.ones(4))}, [("in", "t"), ("t", "out")]), {},
        "node t: a Threshold outside a layer",
    ),
    "readout in the middle": (
        (simple(li=nir.LI(tau=np.ones(5), r=np.ones(5), v_leak=np.zeros(5)))[0],
         [("in", "fc"), ("fc", "li"), ("li", "lif"), ("lif", "out")]), {}, "li: that layer does not spike",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_graph_without_meaning_is_one_line_that_names_the_node(tmp_path, case):
    (nodes, edges), options, message = BAD[case]
    nir.write(tmp_path / "bad.nir", nir.NIRGraph(nodes, edges, metadata={}, type_check=False))
    assert message in refused(tmp_path / "bad.nir", **{"dt": DT, **options})


def test_a_file_that_declares_two_gigabytes_is_refused_before_they_are_taken(tmp_path):
    nodes, edges = simple()
    nir.write(tmp_path / "bad.nir", nir.NIRGraph(nodes, edges, metadata={}, type_check=False))
    with h5py.File(tmp_path / "bad.nir", "r+") as file:
        del file["node/nodes/fc/weight"]
        file["node/nodes/fc"].create_dataset("weight", shape=(16384, 16384), dtype="f8", chunks=(1, 1024))
    assert (tmp_path / "bad.nir").stat().st_size < 40_000
    assert "node fc: weight declares 2147483648 bytes" in refused(tmp_path / "bad.nir", dt=DT)


def test_graphs_nested_fifty_deep_are_refused(tmp_path):
    graph = nir.NIRGraph(*simple(), metadata={}, type_check=False)
    for _ in range(50):
        nodes = {**input_and_output(4, 5), "body": graph}
        graph = nir.NIRGraph(nodes, [("in", "body"), ("body", "out")], metadata={}, type_check=False)
    nir.write(tmp_path / "bad.nir", graph)
    message = refused(tmp_path / "bad.nir", dt=DT)
    assert "more than 16 deep" in message
    assert len(message) < 600


def test_complex_weights_and_names_with_odd_characters_are_refused(tmp_path):
    nodes, edges = simple()
    nir.write(tmp_path / "bad.nir", nir.NIRGraph(nodes, edges, metadata={}, type_check=False))
    with h5py.File(tmp_path / "bad.nir", "r+") as file:
        weight = file["node/nodes/fc/weight"][()]
        del file["node/nodes/fc/weight"]
        file["node/nodes/fc/weight"] = weight.astype(complex)
    assert "node fc: weight has type complex128" in refused(tmp_path / "bad.nir", dt=DT)
    with h5py.File(tmp_path / "bad.nir", "r+") as file:
        file.move("node/nodes/fc", "node/nodes/f\x1bc")
    assert re.search(r"node name 'f\\\\?x1bc' has unprintable", refused(tmp_path / "bad.nir", dt=DT))


def test_options_of_nir_files_are_refused_elsewhere(tmp_path):
    from tests.helpers import checkpoints

    assert "--dt is for .nir files" in refused(checkpoints.write_checkpoint(tmp_path / "net"), dt=DT)
    path = foreign_graphs.write_graph(foreign_graphs.lif_chain_with_leak(), tmp_path / "chain.nir")
    assert "says everything itself" in refused(path, dt=DT, gamma=0.5)


def test_states_that_grow_are_told_where_a_network_is_read(tmp_path):
    from tclif_deploy import neurons
    from tclif_deploy.formats import write_nir
    from tclif_deploy.network import Connection, Layer, Network

    grows = neurons.two_compartment(2, alpha1=1.0, beta1=0.5, alpha2=1.0, beta2=0.5, threshold=1.0)
    write_nir(Network(2, (Layer("wild", grows, (Connection("input", np.eye(2)),)),)), tmp_path / "out.nir")
    assert [n for n in load(tmp_path / "out.nir").notices if "layer wild: without spikes its states grow" in n]


def test_weights_in_half_precision_are_read_exactly(tmp_path):
    nodes, edges = simple()
    nir.write(tmp_path / "half.nir", nir.NIRGraph(nodes, edges, metadata={}, type_check=False))
    weight = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float16)
    with h5py.File(tmp_path / "half.nir", "r+") as file:
        del file["node/nodes/fc/weight"]
        file["node/nodes/fc/weight"] = weight
    np.testing.assert_array_equal(load(tmp_path / "half.nir", dt=DT).layers[0].connections[0].weight, weight)


@pytest.mark.parametrize("at", [0, 8, 24])
def test_a_damaged_heap_of_strings_is_refused_where_hdf5_itself_might_hang(tmp_path, at):
    data = bytearray(
        foreign_graphs.write_graph(foreign_graphs.lif_chain_with_leak(), tmp_path / "good.nir").read_bytes()
    )
    for place in [match.start() for match in re.finditer(b"GCOL", data)]:
        data[place + at : place + at + 8] = b"\xff\xff\x03\0\0\0\0\0"
    (tmp_path / "bad.nir").write_bytes(data)
    assert "damaged" in refused(tmp_path / "bad.nir", dt=DT)
