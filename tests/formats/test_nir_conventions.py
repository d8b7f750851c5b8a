"""Each convention against its own tool, spike for spike, over random parameters that the tool takes.

snnTorch, Norse, SpikingJelly and Lava are run themselves, in double precision or on numbers that single precision holds
exactly. Rockpool's and Sinabs' steps are written down from their sources: LIFTorch and LIFNeuronTorch of Rockpool
(``lif_torch.py``, ``lif_neuron_torch.py``); ``lif_forward_single`` and ``IAF`` of Sinabs (``functional/lif.py``).
"""

from __future__ import annotations

import copy
import multiprocessing
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import nir
import numpy as np
import pytest
import torch

from tclif_deploy import TclifError, load
from tclif_deploy.cli.main import run
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers import foreign_graphs
from tests.helpers.foreign_graphs import input_and_output, spike_trains
from tests.helpers.requirements import needs_module

SIZE, FEATURES, STEPS = 7, 5, 100
DT = 2.0**-10
"""exact in single precision"""


def dyadic(rng: np.random.Generator, low: float, high: float, shape: int | tuple[int, ...] = SIZE) -> np.ndarray:
    """Random multiples of 1/256, which single precision holds exactly."""
    return np.rint(rng.uniform(low, high, shape) * 256) / 256


def chain(node: nir.NIRNode, rng: np.random.Generator, mean: float = 0.2) -> nir.NIRGraph:
    """input -> weights with a bias -> ``node`` -> output."""
    weights = nir.Affine(dyadic(rng, mean - 0.5, mean + 0.5, (SIZE, FEATURES)), dyadic(rng, -0.05, 0.1))
    nodes = {**input_and_output(FEATURES, SIZE), "w": weights, "n": node}
    return nir.NIRGraph(nodes, [("in", "w"), ("w", "n"), ("n", "out")], metadata={}, type_check=False)


def currents(graph: nir.NIRGraph, x: np.ndarray) -> np.ndarray:
    """What reaches the neurons, (time, neurons)."""
    return x[0] @ graph.nodes["w"].weight.T + graph.nodes["w"].bias


def ours(graph: nir.NIRGraph, x: np.ndarray, **options) -> np.ndarray:
    spikes = simulate_float(load(copy.deepcopy(graph), **options), x).spikes["n"][0]
    assert 0.01 <= spikes.mean() <= 0.7, spikes.mean()
    return spikes


def same(graph: nir.NIRGraph, expected: np.ndarray, x: np.ndarray, **options) -> None:
    np.testing.assert_array_equal(ours(graph, x, **options), np.asarray(expected).astype(bool))


def stepped(module: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    """What a module that takes and gives a state makes of each step, in double precision."""
    state, out = None, []
    with torch.no_grad():
        for row in torch.as_tensor(x[0]):
            z, state = module(row[None]) if state is None else module(row[None], state)
            out.append(z[0].numpy())
    return np.stack(out)


def full(value: float) -> np.ndarray:
    return np.full(SIZE, value)


SEEDS = range(4)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["LIF", "CubaLIF"])
def test_snntorch_imports_and_runs_the_same(kind, seed):
    """tau of each neuron, r other than tau/dt, w_in, thresholds; its reset is to 0 whatever v_reset says."""
    import_nir = needs_module("snntorch.import_nir")
    rng, dt = np.random.default_rng(seed), 1e-4
    tau, theta = rng.uniform(2e-4, 2e-3, SIZE), full(rng.uniform(0.6, 1.2))
    if kind == "LIF":
        r = tau / dt * rng.uniform(0.3, 2)
        node = nir.LIF(tau=tau, r=r, v_leak=full(0), v_threshold=theta, v_reset=full(0.25))
    else:
        syn = dt * 2.0 ** rng.integers(1, 4, SIZE)  # so that its w_scale is one number for all
        w_in = syn / dt * 0.5
        node = nir.CubaLIF(
            tau_mem=tau, tau_syn=syn, r=tau / dt, v_leak=full(0), v_threshold=theta * 2, v_reset=full(0.25), w_in=w_in
        )
    graph, x = chain(node, rng), spike_trains(0.3, FEATURES, STEPS, 1, seed)
    expected = stepped(import_nir.import_from_nir(copy.deepcopy(graph)).double(), x)
    same(graph, expected, x, convention="snntorch")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["Leaky", "Synaptic"])
def test_snntorchs_default_reset_takes_the_threshold_a_step_late(kind, seed):
    """Its own neurons, whose reset a NIR file loses: `--reset subtract-late` gives it back."""
    snn, dt = needs_module("snntorch"), 1e-4
    rng = np.random.default_rng(seed)
    alpha, beta, theta = rng.uniform(0.4, 0.6), rng.uniform(0.6, 0.8), rng.uniform(0.6, 1.2)
    theta *= 1 if kind == "Leaky" else 2
    every = {"tau": dt / (1 - full(beta)), "r": 1 / (1 - full(beta)), "v_leak": full(0), "v_threshold": full(theta)}
    if kind == "Leaky":
        node, cell = nir.LIF(**every), snn.Leaky(beta=torch.tensor(beta).double(), threshold=theta)
    else:
        every["tau_mem"] = every.pop("tau")
        node = nir.CubaLIF(**every, tau_syn=dt / (1 - full(alpha)), w_in=1 / (1 - full(alpha)))
        cell = snn.Synaptic(torch.tensor(alpha).double(), torch.tensor(beta).double(), threshold=theta)
    graph, x, state, expected = chain(node, rng), spike_trains(0.3, FEATURES, STEPS, 1, seed), (), []
    for row in torch.as_tensor(currents(graph, x)):
        spikes, *state = cell(row[None], *state)
        expected.append(spikes[0].detach().numpy())
    same(graph, np.stack(expected), x, convention="snntorch", reset="subtract-late")


def test_snntorchs_if_adds_its_input_as_it_is():
    """As its import is meant: v + i, and a reset to 0 (its release 1.0 has a decay of 0.9 there by mistake)."""
    rng = np.random.default_rng(0)
    theta = rng.uniform(0.5, 1, SIZE)
    graph, x = chain(nir.IF(r=full(1), v_threshold=theta), rng), spike_trains(0.3, FEATURES, STEPS, 1)
    v, expected = np.zeros(SIZE), []
    for current in currents(graph, x):
        v = v + current
        expected.append(v > theta)
        v = np.where(expected[-1], 0, v)
    same(graph, expected, x, convention="snntorch")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF"])
def test_norse_imports_and_runs_the_same(kind, seed):
    """v_leak, where v and a synapse's current begin and to which they decay; r and v_reset, which it leaves out."""
    import_nir = needs_module("norse.torch.utils.import_nir")
    rng = np.random.default_rng(seed)
    tau, syn = (DT * 2.0 ** rng.integers(low, high, SIZE) for low, high in ((2, 5), (1, 3)))
    fires = {"v_threshold": dyadic(rng, 0.5, 0.9), "v_reset": full(0.25)}
    node = {
        "IF": lambda: nir.IF(r=full(3), **fires),
        "LIF": lambda: nir.LIF(tau=tau, r=full(3), v_leak=dyadic(rng, -0.2, 0.3), **fires),
        "CubaLIF": lambda: nir.CubaLIF(
            tau_mem=tau,
            tau_syn=syn,
            r=dyadic(rng, 1, 2),
            w_in=dyadic(rng, 1, 2),
            v_leak=dyadic(rng, -0.2, 0.3),
            **fires,
        ),
    }[kind]()
    graph, x = chain(node, rng, 0.2 if kind == "IF" else 0.8), spike_trains(0.4, FEATURES, STEPS, 1, seed)
    module = import_nir.from_nir(copy.deepcopy(graph), ignore_warnings=True, dt=DT).double()
    same(graph, stepped(module, x), x, dt=DT, convention="norse")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["IF", "LIF, r = 1", "LIF, r = tau/dt", "CubaLIF"])
def test_spikingjelly_imports_and_runs_the_same(kind, seed):
    """v begins at v_reset; a LIF decays to it."""
    exchange = needs_module("spikingjelly.activation_based.nir_exchange")
    rng = np.random.default_rng(seed)
    reset, theta = full(rng.uniform(-0.4, 0.2)), full(rng.uniform(0.5, 0.9))
    tau, syn = full(DT * rng.uniform(2, 8)), full(DT * rng.uniform(1.2, 3))
    fires = {"v_threshold": theta, "v_reset": reset}
    node = {
        "IF": lambda: nir.IF(r=full(1 / DT), **fires),
        "LIF, r = 1": lambda: nir.LIF(tau=tau, r=full(1), v_leak=reset, **fires),
        "LIF, r = tau/dt": lambda: nir.LIF(tau=tau, r=tau / DT, v_leak=reset, **fires),
        "CubaLIF": lambda: nir.CubaLIF(
            tau_mem=tau, tau_syn=syn, r=tau / DT, w_in=syn / DT, v_leak=full(0), **{**fires, "v_threshold": 3 * theta}
        ),
    }[kind]()
    graph, x = chain(node, rng, 0.8 if "r = 1" in kind else 0.2), spike_trains(0.4, FEATURES, STEPS, 1, seed)
    module = exchange.import_from_nir(copy.deepcopy(graph), dt=DT, dtype=torch.float64)
    same(graph, stepped(module, x), x, dt=DT, convention="spikingjelly")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tool", ["norse", "spikingjelly"])
def test_the_bias_of_a_loop_waits_for_its_first_spikes(tool, seed):
    """As nirtorch runs a graph for both: in the first step, the weights of the loop are not there yet."""
    graph, dt = foreign_graphs.recurrent_graph(bias=True, seed=seed), foreign_graphs.DT
    x = spike_trains(0.15, 10, 200, 1, seed)
    if tool == "norse":
        import_nir = needs_module("norse.torch.utils.import_nir")
        module = import_nir.from_nir(copy.deepcopy(graph), ignore_warnings=True, dt=dt).double()
    else:
        exchange = needs_module("spikingjelly.activation_based.nir_exchange")
        module = exchange.import_from_nir(copy.deepcopy(graph), dt=dt, dtype=torch.float64)
    spikes = simulate_float(load(copy.deepcopy(graph), dt=dt, convention=tool), x).spikes
    assert 0.01 <= spikes["lif1.lif"].mean() <= 0.7
    np.testing.assert_array_equal(spikes["lif2"][0], stepped(module, x).astype(bool))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["LIF", "CubaLIF"])
def test_rockpool_steps_the_same(kind, seed):
    """Its to_nir writes r = tau/dt*exp(-dt/tau); w_in is 1, and v_leak, which it takes as a bias, is 0 or not."""
    rng = np.random.default_rng(seed)
    tau, syn, leak = rng.uniform(3, 20, SIZE) * DT, rng.uniform(1, 9, SIZE) * DT, rng.uniform(-0.02, 0.02, SIZE)
    theta, r = rng.uniform(1.2, 1.6, SIZE), tau / DT * np.exp(-DT / tau)
    node = nir.LIF(tau=tau, r=r, v_leak=leak, v_threshold=theta)
    if kind == "CubaLIF":
        node = nir.CubaLIF(tau_mem=tau, tau_syn=syn, r=r, v_leak=leak, v_threshold=4 * theta)
    graph, x = chain(node, rng, 0.1), spike_trains(0.2, FEATURES, STEPS, 1, seed)
    synapse, v, expected = np.zeros(SIZE), np.zeros(SIZE), []
    for current in currents(graph, x):
        synapse = synapse + current
        v = v * np.exp(-DT / tau)
        synapse = synapse * np.exp(-DT / syn) if kind == "CubaLIF" else current
        v = v + synapse + leak
        expected.append(v >= node.v_threshold)
        v = v - expected[-1] * node.v_threshold
    same(graph, expected, x, dt=DT, convention="rockpool")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["IF", "LIF"])
def test_sinabs_steps_the_same(kind, seed):
    """tau counts steps, the input enters as it is, the threshold is taken away; where no bound on v is met."""
    rng = np.random.default_rng(seed)
    tau, theta = rng.uniform(3, 20, SIZE), rng.uniform(1.2, 1.6, SIZE)
    node = nir.IF(r=full(1), v_threshold=theta)
    if kind == "LIF":
        node = nir.LIF(tau=tau, r=full(1), v_leak=full(0), v_threshold=theta)
    graph, x = chain(node, rng, 0.2), spike_trains(0.2, FEATURES, STEPS, 1, seed)
    decay, v, expected = np.exp(-1 / tau) if kind == "LIF" else 1.0, np.zeros(SIZE), []
    for current in currents(graph, x):
        v = decay * v + current
        expected.append(v >= theta)
        v = v - expected[-1] * theta
    same(graph, expected, x, convention="sinabs")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF"])
def test_lavas_floating_point_lif_steps_the_same(kind, seed, lava_lif):
    """With du and dv as nir_to_lava.py of the NIR paper makes them; r is left out, an IF's threshold is times r."""
    rng, dt = np.random.default_rng(seed), 1e-4
    tau, syn, theta = rng.uniform(3e-4, 2e-3, SIZE), rng.uniform(2e-4, 1e-3, SIZE), rng.uniform(0.5, 1, SIZE)
    theta *= 3 if kind == "CubaLIF" else 1
    fires = {"v_threshold": theta, "v_reset": full(0.25)}
    if kind == "IF":
        node, weight, du, dv = nir.IF(r=full(2), **fires), 1.0, 1.0, 0.0
    elif kind == "LIF":
        node, weight, du, dv = nir.LIF(tau=tau, r=full(3), v_leak=full(0), **fires), dt / tau, 1.0, dt / tau
    else:
        node = nir.CubaLIF(tau_mem=tau, tau_syn=syn, r=tau / dt, w_in=full(2), v_leak=full(0), **fires)
        weight, du, dv = 2 * dt / syn, dt / syn, dt / tau
    graph, x = chain(node, rng, 0.8 if kind == "LIF" else 0.2), spike_trains(0.4, FEATURES, STEPS, 1, seed)
    state = SimpleNamespace(
        u=np.zeros(SIZE), v=np.zeros(SIZE), du=du, dv=dv, bias_mant=0.0, vth=theta * (2 if kind == "IF" else 1)
    )
    expected = []
    for current in currents(graph, x):
        lava_lif.subthr_dynamics(state, weight * current)
        expected.append(lava_lif.spiking_activation(state))
        lava_lif.reset_voltage(state, expected[-1])
    same(graph, expected, x, convention="lava")


@pytest.fixture(scope="module")
def lava_lif():
    """The class of Lava's floating-point LIF, whose methods ask for no process."""
    compat = needs_module("tclif_deploy.backends.lava.template.tclif_lava.compat")
    compat.prepare()
    with mock.patch.object(multiprocessing, "set_start_method"):  # another test may have set it
        return needs_module("lava.proc.lif.models").PyLifModelFloat


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("convention", ["nir", "exponential", "simultaneous"])
def test_conventions_of_no_tool_do_what_their_equations_say(convention, seed):
    """Under simultaneous the bias too is one step later in the membrane: all states step at once."""
    rng = np.random.default_rng(seed)
    every = dict(zip(("tau_mem", "tau_syn", "r", "w_in", "v_leak", "v_threshold", "v_reset"), (
        rng.uniform(low, high, SIZE) for low, high in
        ((5e-3, 2e-2), (3e-3, 1e-2), (2, 4), (1, 3), (-0.1, 0.2), (0.5, 1), (-0.2, 0.2))
    ), strict=True))  # fmt: skip
    node = nir.CubaLIF(**every)
    graph, x = chain(node, rng), spike_trains(0.3, FEATURES, STEPS, 1, seed)
    exact, late = convention == "exponential", convention == "simultaneous"
    m, s = (1 - np.exp(-1e-3 / tau) if exact else 1e-3 / tau for tau in (node.tau_mem, node.tau_syn))
    i, v, expected = np.zeros(SIZE), np.zeros(SIZE), []
    for current in currents(graph, x):
        before = i
        i = i + s * (-i + node.w_in * current)
        v = v + m * (node.v_leak - v + node.r * (before if late else i))
        expected.append(v > node.v_threshold)
        v = np.where(expected[-1], node.v_reset, v)
    same(graph, expected, x, dt=1e-3, convention=convention)


def notices(node: nir.NIRNode, **options) -> list[str]:
    network = load(chain(node, np.random.default_rng(0)), **options)
    return [notice for notice in network.notices if notice.startswith("warning: ")]


def lif(**changes) -> nir.LIF:
    return nir.LIF(**{"tau": full(1e-3), "r": full(1), "v_leak": full(0), "v_threshold": full(1), **changes})


def test_what_a_file_cannot_say_is_a_warning():
    assert notices(lif(), dt=1e-4) == [
        "warning: a NIR file does not say how its tool steps it: name the tool with --convention"
    ]
    (said,) = notices(lif(), convention="snntorch")
    assert "how its neurons reset" in said
    assert "--reset subtract-late" in said
    assert not notices(lif(), convention="snntorch", reset="subtract-late")
    assert not notices(lif(), convention="nir", dt=1e-4)
    assert "may fire more than once" in notices(lif(), convention="sinabs", dt=1e-3)[0]
    assert notices(lif(), convention="lava", dt=1e-3) == ["warning: Lava steps NIR files by 0.0001, not by 0.001"]


@pytest.mark.parametrize(("convention", "node", "words"), [
    ("snntorch", lif(v_leak=full(0.5)), "NIRGraph: node n: snnTorch itself refuses it: v_leak must be 0"),
    ("snntorch", nir.IF(r=full(2), v_threshold=full(1)), "r of an IF must be 1"),
    ("norse", lif(r=full(2)), "Norse leaves r out, which is not 1"),
    ("spikingjelly", lif(r=full(3)), "r of a LIF must be 1 or tau/dt"),
    ("spikingjelly", lif(v_leak=full(0.5)), "v_leak of a LIF must be its v_reset"),
    ("rockpool", nir.IF(r=full(1), v_threshold=full(1)), "it has no IF"),
    ("rockpool", lif(r=full(3)), "Rockpool leaves r out, and writes tau/dt*exp(-dt/tau) for it"),
    ("sinabs", lif(v_leak=full(0.5), tau=full(10)), "v_leak must be 0"),
    ("lava", lif(r=full(2)), "Lava leaves r out"),
])  # fmt: skip
def test_what_a_tool_would_refuse_or_leave_out_is_a_warning(convention, node, words):
    assert any(words in said for said in notices(node, convention=convention, dt=1e-4, reset=None))


def test_a_warning_is_told_as_one_on_the_terminal(tmp_path, capsys):
    nir.write(tmp_path / "a.nir", chain(lif(), np.random.default_rng(0)))
    assert run(["inspect", str(tmp_path / "a.nir"), "--dt", "1e-4"]) == 0
    out = capsys.readouterr().out
    assert "warning: a NIR file does not say how its tool steps it" in out
    assert "notice: warning" not in out
    assert run(["export", str(tmp_path / "a.nir"), "--dt", "1e-4", "--to", "nir", "-o", str(tmp_path / "b.nir")]) == 0
    said = capsys.readouterr().err
    assert "warning: a NIR file does not say" in said
    assert "notice: warning" not in said
    assert not [notice for notice in load(tmp_path / "b.nir").notices if notice.startswith("warning")]


def test_a_late_reset_is_for_nir_files(tmp_path):
    from tests.helpers import checkpoints

    path: Path = checkpoints.write_checkpoint(tmp_path / "net")
    with pytest.raises(TclifError, match=r"reset subtract-late is for \.nir files; use soft or hard"):
        load(path, reset="subtract-late")
