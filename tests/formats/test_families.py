"""Checkpoints of the family's other neurons: each against its authors' equations, written out step by step in numpy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from tclif_deploy import TclifError, load, simulate
from tclif_deploy.neurons import spectral_radius

STEPS, SAMPLES = 300, 3
RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def start():
    """Each test draws the same numbers, whatever ran before."""
    RNG.bit_generator.state = np.random.default_rng(5).bit_generator.state


def uniform(low, high, *shape):
    return RNG.uniform(low, high, shape)


def matrix(rows, columns, mean=0.0, spread=1.0):
    return RNG.normal(mean, spread, (rows, columns))


def saved(tmp_path, state, name="model.pt", **more):
    path = tmp_path / name
    torch.save({"state_dict": {key: torch.tensor(value) for key, value in state.items()}, **more}, path)
    return path


def trains(features, rate=0.3):
    return (np.random.default_rng(7).random((SAMPLES, STEPS, features)) < rate).astype(float)


def run(step, x):
    """(spikes of each layer, (samples, steps, neurons); what the last one says) of a transcription of one step."""
    said, spikes = [], []
    for sample in x:
        state: dict = {}
        rows = [step(i, state) for i in sample]
        spikes.append([row[0] for row in rows])
        said.append(rows)
    layers = [np.array([[step[n] for step in sample] for sample in spikes]) for n in range(len(spikes[0][0]))]
    return layers, np.array([[row[1] for row in rows] for rows in said])


def compare(network, step, x, readout="last", stable=True):
    """Spikes over the whole sequence, and what the readout's rule makes of the last layer."""
    assert all(spectral_radius(layer.neuron).max() <= 1 + 1e-9 for layer in network.layers) == stable
    wanted, said = run(step, x)
    result = simulate(network, x, spikes=True)
    assert len(result.spikes) == len(wanted)
    for (name, spikes), layer in zip(result.spikes.items(), wanted, strict=True):
        assert 0.01 <= layer.mean() <= 0.6, (name, layer.mean())
        np.testing.assert_array_equal(spikes, layer.astype(bool), err_msg=name)
    assert str(network.readout) == readout
    if readout == "last":
        answer = said[:, -1]
    elif readout == "softmax":
        e = np.exp(said - said.max(axis=2, keepdims=True))
        answer = (e / e.sum(axis=2, keepdims=True)).sum(axis=1)
    else:
        answer = said.sum(axis=1)
    np.testing.assert_allclose(result.readout, answer, rtol=1e-9, atol=1e-9)


def get(state, *names):
    return tuple(state.get(name, 0.0) for name in names)


def sigma(x):
    return 1 / (1 + np.exp(-x))


def refused(path, **options):
    with pytest.raises(TclifError) as error:
        load(path, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


class Holder(torch.nn.Module):
    """A module of a class of another name, with tensors as parameters and numbers as attributes."""

    def __init__(self, tensors=(), **others):
        super().__init__()
        for name, value in dict(tensors).items():
            tensor = torch.tensor(value)
            if tensor.is_floating_point():
                setattr(self, name, torch.nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)
        for name, value in others.items():
            setattr(self, name, value)


def live(state, classes, attributes=None):
    """A live model with the parameters of ``state``; ``classes`` names the class of the module at a path."""
    tree: dict = {}
    for name, value in state.items():
        *path, leaf = name.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = value

    def build(node, path):
        tensors = {name: value for name, value in node.items() if not isinstance(value, dict)}
        children = {name: value for name, value in node.items() if isinstance(value, dict)}
        kind = type(classes.get(path, "Holder"), (Holder,), {})
        module = kind(tensors, **(attributes or {}).get(path, {}))
        for name, child in children.items():
            module.add_module(name, build(child, f"{path}.{name}".strip(".")))
        return module

    return build(tree, "")


# Higuchi et al., ICML 2024


def resonators(hidden=24, inputs=5, outputs=3):
    return {
        "hidden.omega": uniform(3, 12, hidden) * RNG.choice([-1, 1], hidden),
        "hidden.b_offset": uniform(1.5, 4, hidden) * RNG.choice([-1, 1], hidden),
        "hidden.linear.weight": np.hstack([matrix(hidden, inputs, 3, 10), matrix(hidden, hidden, 0, 4)]),
        "out.tau_mem": uniform(5, 20, outputs) * RNG.choice([-1, 1], outputs),
        "out.linear.weight": matrix(outputs, hidden),
    }


def rf_step(state, dt=0.01):
    w = state["hidden.linear.weight"]
    omega, b = np.abs(state["hidden.omega"]), -np.abs(state["hidden.b_offset"])
    alpha = np.exp(-1 / np.abs(state["out.tau_mem"]))

    def step(i, s):
        z, u, v, out = get(s, "z", "u", "v", "out")
        drive = w @ np.concatenate([i, z * np.ones(len(omega))])
        u, v = u + b * u * dt - omega * v * dt + drive * dt, v + omega * u * dt + b * v * dt
        z = (u > 1.0).astype(float)
        out = alpha * out + (1 - alpha) * (state["out.linear.weight"] @ z)
        s.update(z=z, u=u, v=v, out=out)
        return [z], out

    return step


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
    network = load(live(state, {"hidden": "RFCell"}, {"hidden": {"dt": 0.005}}))
    compare(network, rf_step(state, 0.005), 1.5 * x)
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


def higuchi_alif(hidden=24, inputs=5, outputs=3):
    return {
        "hidden.tau_mem": uniform(5, 25, hidden) * RNG.choice([-1, 1], hidden),
        "hidden.tau_adp": uniform(20, 200, hidden),
        "hidden.linear.weight": np.hstack([matrix(hidden, inputs, 0.3, 1), matrix(hidden, hidden, 0, 0.5)]),
        "hidden.linear.bias": uniform(-0.1, 0.1, hidden),
        "out.tau_mem": uniform(5, 20, outputs), "out.linear.weight": matrix(outputs, hidden),
        "out.linear.bias": uniform(-1, 1, outputs),
    }  # fmt: skip


def higuchi_step(state, beta=1.8, theta=0.01):
    alpha, rho, out_alpha = (
        np.exp(-1 / np.abs(state[name])) for name in ("hidden.tau_mem", "hidden.tau_adp", "out.tau_mem")
    )

    def step(i, s):
        z, u, a, out = get(s, "z", "u", "a", "out")
        drive = state["hidden.linear.weight"] @ np.concatenate([i, z * np.ones(len(rho))]) + state["hidden.linear.bias"]
        a = a * rho + z * (1 - rho)
        limit = theta + a * beta
        u = u * alpha + drive * (1 - alpha)
        z = (u - limit > 0).astype(float)
        u = u - z * limit
        out = out * out_alpha + (1 - out_alpha) * (state["out.linear.weight"] @ z + state["out.linear.bias"])
        s.update(z=z, u=u, a=a, out=out)
        return [z], out

    return step


def test_alif_of_higuchi(tmp_path):
    state, x = higuchi_alif(), trains(5)
    compare(load(saved(tmp_path, state)), higuchi_step(state), x)
    network = load(saved(tmp_path, state), adaptation=0.5, threshold=0.1)
    compare(network, higuchi_step(state, 0.5, 0.1), x)


# sparch


def sparch(kind="RadLIF", hidden=(20, 16), inputs=6, outputs=4, norm=True):
    state, sources = {}, inputs
    for n, size in enumerate((*hidden, outputs)):
        p = f"snn.{n}."
        state[f"{p}W.weight"] = matrix(size, sources, 0.5, 3)
        state[f"{p}alpha"] = uniform(0.7, 1.0, size)  # some beyond the limits
        last = n == len(hidden)
        if not last and "ad" in kind:
            state |= {f"{p}beta": uniform(0.95, 0.999, size), f"{p}a": uniform(0, 1.2, size),
                      f"{p}b": uniform(-0.5, 2.5, size)}  # fmt: skip
        if not last and kind.startswith("R"):
            state[f"{p}V.weight"] = matrix(size, size, 0, 0.5)
        if norm:
            offset = uniform(0, 7 if "ad" in kind else 1.5, size)
            state |= {f"{p}norm.weight": uniform(0.5, 2, size), f"{p}norm.bias": offset,
                      f"{p}norm.running_mean": uniform(-1, 1, size), f"{p}norm.running_var": uniform(2, 9, size),
                      f"{p}norm.num_batches_tracked": np.array(7)}  # fmt: skip
        sources = size
    return state


def sparch_step(state, layers=2, threshold=1.0, readout=True):
    def drive(n, i):
        y = state[f"snn.{n}.W.weight"] @ i
        if f"snn.{n}.norm.weight" in state:
            mean, var, w, b = (state[f"snn.{n}.norm.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
            y = (y - mean) / np.sqrt(var + 1e-5) * w + b
        return y

    def step(i, s):
        spikes = []
        for n in range(layers):
            alpha = np.clip(state[f"snn.{n}.alpha"], math.exp(-1 / 5), math.exp(-1 / 25))
            u, w, z = get(s, f"u{n}", f"w{n}", f"z{n}")
            z = z * np.ones(len(alpha))
            y = drive(n, i)
            if f"snn.{n}.V.weight" in state:
                v = state[f"snn.{n}.V.weight"].copy()
                np.fill_diagonal(v, 0)
                y = y + z @ v
            if f"snn.{n}.beta" in state:
                beta = np.clip(state[f"snn.{n}.beta"], math.exp(-1 / 30), math.exp(-1 / 120))
                a, b = np.clip(state[f"snn.{n}.a"], -1, 1), np.clip(state[f"snn.{n}.b"], 0, 2)
                w = beta * w + a * u + b * z
                y = y - w
            u = alpha * (u - z) + (1 - alpha) * y
            i = (u - threshold > 0).astype(float)
            s |= {f"u{n}": u, f"w{n}": w, f"z{n}": i}
            spikes.append(i)
        if not readout:
            return spikes, i
        alpha = np.clip(state[f"snn.{layers}.alpha"], math.exp(-1 / 5), math.exp(-1 / 25))
        s["out"] = alpha * s.get("out", 0.0) + (1 - alpha) * drive(layers, i)
        return spikes, s["out"]

    return step


@pytest.mark.parametrize("kind", ["LIF", "adLIF", "RLIF", "RadLIF"])
@pytest.mark.parametrize("norm", [True, False])
def test_layers_of_sparch(tmp_path, kind, norm):
    state = sparch(kind, norm=norm)
    network = load(saved(tmp_path, state))
    compare(network, sparch_step(state), trains(6), "softmax")
    text = " ".join(network.notices)
    assert "values lie beyond 0.818731..0.960789 and are clamped there" in text
    assert "starts from zero here, where its authors start from random states" in text


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


# Yin et al.


def yin(layout, hidden=(18, 14), inputs=5, outputs=3):
    state, sizes = {}, {"h": hidden[:1], "h1": hidden, "r1": (*hidden, 10)}[layout]
    names = {"h": ("i2h", "h2h"), "h1": ("i_2_h1", "h1_2_h1", "h1_2_h2", "h2_2_h2"),
             "r1": ("i2h", "h2h", "h2d", "d2d", "dense1")}[layout]  # fmt: skip
    ends = {"h": ("h",), "h1": ("h1", "h2"), "r1": ("r1", "r2", "d1")}[layout]
    sources = inputs
    for n, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        for name, columns in zip(names[2 * n : 2 * n + 2], (sources, size), strict=False):
            spread = 1.2 if columns == sources else 0.4
            state[f"{name}.weight"] = matrix(size, columns, 0.3 if columns == sources else 0, spread)
            state[f"{name}.bias"] = uniform(-0.1, 0.1, size)
        state[f"tau_m_{end}"], state[f"tau_adp_{end}"] = uniform(5, 25, size), uniform(20, 200, size)
        sources = size
    out = "d2o" if layout == "r1" else "h2o"
    state |= {f"{out}.weight": matrix(outputs, sources, 0.2), f"{out}.bias": uniform(-0.1, 0.1, outputs),
              "tau_m_o": uniform(5, 20, outputs), "tau_adp_o": uniform(50, 200, outputs)}  # fmt: skip
    return state


def yin_step(state, layout, fires, beta=1.8, base=0.01):
    chain = {"h": [("i2h", "h2h", "h")], "h1": [("i_2_h1", "h1_2_h1", "h1"), ("h1_2_h2", "h2_2_h2", "h2")],
             "r1": [("i2h", "h2h", "r1"), ("h2d", "d2d", "r2"), ("dense1", None, "d1")]}[layout]  # fmt: skip
    out = "d2o" if layout == "r1" else "h2o"

    def alif(i, end, s, much):
        mem, z, b = s.get(f"mem{end}", 0.0), s.get(f"z{end}", 0.0), s.get(f"b{end}", base)
        alpha, ro = np.exp(-1 / state[f"tau_m_{end}"]), np.exp(-1 / state[f"tau_adp_{end}"])
        b = ro * b + (1 - ro) * z
        limit = base + much * b
        mem = mem * alpha + (1 - alpha) * i - limit * z
        z = (mem - limit > 0).astype(float)
        s |= {f"mem{end}": mem, f"z{end}": z, f"b{end}": b}
        return z

    def step(i, s):
        spikes = []
        for forward, back, end in chain:
            drive = state[f"{forward}.weight"] @ i + state[f"{forward}.bias"]
            if back is not None:
                z = s.get(f"z{end}", 0.0) * np.ones(len(drive))
                drive = drive + state[f"{back}.weight"] @ z + state[f"{back}.bias"]
            i = alif(drive, end, s, beta)
            spikes.append(i)
        drive = state[f"{out}.weight"] @ i + state[f"{out}.bias"]
        if fires:
            z = alif(drive, "o", s, 1.8)
            return [*spikes, z], z
        alpha = np.exp(-1 / state["tau_m_o"])
        s["out"] = alpha * s.get("out", 0.0) + (1 - alpha) * drive
        return spikes, s["out"]

    return step


def test_srnn_of_two_layers_whose_output_integrates(tmp_path):
    state = yin("h1")
    network = load(saved(tmp_path, state))
    compare(network, yin_step(state, "h1", False), trains(5), "sum")
    assert network.layers[0].neuron.u0.tolist() == [0.01] * 18  # the adaptation starts at the threshold
    assert any("starts from zero here, where its authors" in notice for notice in network.notices)


def test_srnn_of_three_layers_whose_output_fires(tmp_path):
    state = yin("r1")
    compare(load(saved(tmp_path, state)), yin_step(state, "r1", True), trains(5), "count")


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


def yin_modules():
    state = {"thr": np.array([0.05])}
    for name, size, sources in (("dense_1", 18, 5), ("rnn_1", 14, 18), ("dense_2", 3, 14)):
        state |= {f"{name}.tau_m": uniform(5, 25, size), f"{name}.dense.weight": matrix(size, sources, 3, 8),
                  f"{name}.dense.bias": uniform(-0.1, 0.1, size)}  # fmt: skip
        if name != "dense_2":
            state[f"{name}.tau_adp"] = uniform(20, 200, size)
    state |= {"rnn_1.recurrent.weight": matrix(14, 14, 0, 3), "rnn_1.recurrent.bias": uniform(-0.1, 0.1, 14)}
    return state


def test_srnn_of_modules_with_the_constants_of_the_script_for_speech_commands(tmp_path):
    state = yin_modules()
    flat = {"tau_m_h1": state["dense_1.tau_m"], "tau_adp_h1": state["dense_1.tau_adp"],
            "tau_m_h2": state["rnn_1.tau_m"], "tau_adp_h2": state["rnn_1.tau_adp"], "tau_m_o": state["dense_2.tau_m"],
            "h1_2_h1.weight": np.zeros((18, 18)), "h1_2_h1.bias": np.zeros(18)}  # fmt: skip
    for ours, theirs in (("i_2_h1", "dense_1.dense"), ("h1_2_h2", "rnn_1.dense"), ("h2_2_h2", "rnn_1.recurrent"),
                         ("h2o", "dense_2.dense")):  # fmt: skip
        flat |= {f"{ours}.{part}": state[f"{theirs}.{part}"] for part in ("weight", "bias")}
    network = load(saved(tmp_path, state), threshold=1.6, adaptation=0.184)
    compare(network, yin_step(flat, "h1", False, 0.184, 1.6), trains(5), "sum")
    assert any("feeds +1 where the input is above 0.05 and -1 below -0.05" in notice for notice in network.notices)


# DH-LIF


def dendritic(branches=1, recurrent=True, hidden=20, inputs=5, outputs=3):
    name = "rnn_1" if recurrent else "dense_1"
    return {
        f"{name}.tau_m": uniform(0, 4, hidden), f"{name}.tau_n": uniform(0, 4, hidden, branches),
        f"{name}.dense.weight": matrix(hidden * branches, inputs + hidden * recurrent, 0.2, 2),
        f"{name}.dense.bias": uniform(-0.1, 0.1, hidden * branches), "dense_2.tau_m": uniform(0, 4, outputs),
        "dense_2.dense.weight": matrix(outputs, hidden, -0.1, 2), "dense_2.dense.bias": uniform(-0.1, 0.1, outputs),
    }  # fmt: skip


def dendritic_step(state, recurrent=True, vth=1.0, fires=None):
    name = "rnn_1" if recurrent else "dense_1"

    def step(i, s):
        d, mem, z, out = get(s, "d", "mem", "z", "out")
        beta, alpha = sigma(state[f"{name}.tau_n"][:, 0]), sigma(state[f"{name}.tau_m"])
        if recurrent:
            i = np.concatenate([i, z * np.ones(len(alpha))])
        d = beta * d + (1 - beta) * (state[f"{name}.dense.weight"] @ i + state[f"{name}.dense.bias"])
        mem = mem * alpha + (1 - alpha) * d - vth * z
        z = (mem - vth > 0).astype(float)
        alpha = sigma(state["dense_2.tau_m"])
        drive = (1 - alpha) * (state["dense_2.dense.weight"] @ z + state["dense_2.dense.bias"])
        if fires is None:
            out = alpha * out + drive
            s.update(d=d, mem=mem, z=z, out=out)
            return [z], out
        o = s.get("o", 0.0)
        out = alpha * out + drive - fires * o
        o = (out - fires > 0).astype(float)
        s.update(d=d, mem=mem, z=z, out=out, o=o)
        return [z, o], o

    return step


@pytest.mark.parametrize("recurrent", [True, False])
def test_dh_lif_with_one_branch(tmp_path, recurrent):
    state, x = dendritic(recurrent=recurrent), trains(5)
    network = load(saved(tmp_path, state))
    compare(network, dendritic_step(state, recurrent), x, "softmax")
    assert any("dense_2: taken as the authors' leaky readout" in notice for notice in network.notices)
    network = load(saved(tmp_path, state), threshold=0.5, readout="count")
    compare(network, dendritic_step(state, recurrent, 0.5, 0.5), x, "count")


def test_thresholds_of_a_live_dh_lif_are_its_own(tmp_path):
    state, x = dendritic(), trains(5)
    attributes = {"rnn_1": {"vth": 0.8}, "dense_2": {"vth": 0.5}}
    compare(load(live(state, {}, attributes)), dendritic_step(state, True, 0.8, 0.5), x, "count")


def test_dh_lif_with_several_branches_is_refused(tmp_path):
    said = refused(saved(tmp_path, dendritic(branches=4)))
    assert "rnn_1.tau_n has 4 branches: DH-LIF with several branches: each is a state of its own" in said


# DCLS


def delayed(plif=False, kernel=1, sizes=(5, 16, 12, 4), half=6):
    state, place = {}, 0
    for n, (sources, size) in enumerate(itertools.pairwise(sizes)):
        p = f"model.{place}."
        state[f"{p}weight"] = RNG.normal(0.15, 0.6, (size, sources, kernel))
        state[f"{p}P"] = uniform(-half - 1, half + 1, 1, size, sources, kernel)
        state[f"{p}SIG"] = np.full((1, size, sources, kernel), 0.23)
        last = n == len(sizes) - 2
        if not last:
            q = f"model.{place + 1}."
            state |= {f"{q}weight": uniform(0.5, 1.5, size), f"{q}bias": uniform(0, 0.3, size),
                      f"{q}running_mean": uniform(-0.2, 0.2, size), f"{q}running_var": uniform(0.5, 2, size),
                      f"{q}num_batches_tracked": np.array(3)}  # fmt: skip
        if plif:
            state[f"model.{place + (1 if last else 2)}.w"] = np.array(0.3 + n / 10)
        place += 4
    return state


def delayed_step(state, half=6, tau=(10.05 + 1e-9) / 10, layers=3, fires=None):
    """By a convolution of each synapse's own kernel over what came before, as the authors' code pads and runs it."""
    steps = 2 * half + 1
    kernels = []
    for n in range(layers):
        w, p = state[f"model.{4 * n}.weight"], state[f"model.{4 * n}.P"][0]
        place = np.clip(np.rint(p), -half, half) + steps // 2
        kernel = np.zeros((*w.shape[:2], steps))
        for o, i, k in np.ndindex(w.shape):
            for tap in range(steps):
                kernel[o, i, tap] += max(0.0, 1 - abs(tap - place[o, i, k])) / (1 + 1e-7) * w[o, i, k]
        kernels.append(kernel)

    def step(i, s):
        spikes = []
        for n, kernel in enumerate(kernels):
            seen = [*s.get(f"x{n}", [np.zeros(len(i))] * (steps - 1)), i]
            s[f"x{n}"] = seen[1:]
            y = np.einsum("oit,ti->o", kernel, np.array(seen))
            last = n == layers - 1
            if not last:
                q = f"model.{4 * n + 1}."
                mean, var, w, b = (state[q + k] for k in ("running_mean", "running_var", "weight", "bias"))
                y = (y - mean) / np.sqrt(var + 1e-5) * w + b
            name = f"model.{4 * n + (1 if last else 2)}.w"
            leak = sigma(state[name]) if name in state else 1 / tau
            v = s.get(f"v{n}", 0.0)
            v = v - v * leak + y
            if last and fires is None:
                s[f"v{n}"] = v
                return spikes, v
            i = (v >= (fires if last else 1.0)).astype(float)
            s[f"v{n}"] = v * (1 - i)
            spikes.append(i)
        return spikes, i

    return step


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


def test_learned_delays_of_a_live_module_and_an_output_that_fires(tmp_path):
    state, x = delayed(), trains(5)
    attributes = {f"model.{n}": {"dilated_kernel_size": (13,)} for n in (0, 4, 8)}
    compare(load(live(state, {}, attributes), decay=0.5), delayed_step(state, tau=2.0), x, "softmax")
    network = load(saved(tmp_path, state), dilated_kernel_size=13, decay=0.5, readout="count")
    compare(network, delayed_step(state, tau=2.0, fires=2.0), x, "count")


def test_delays_without_the_size_of_their_kernel_or_of_an_even_one(tmp_path):
    path = saved(tmp_path, delayed())
    assert "the file does not say how many steps they may have; say dilated_kernel_size" in refused(path)
    assert "a dilated_kernel_size of 12; expected an odd number" in refused(path, dilated_kernel_size=12)


# Baronig et al.


def se_adlif(hidden=(18, 14), inputs=5, outputs=3):
    state, sources = {}, inputs
    for name, size in zip(("l1", "l2"), hidden, strict=True):
        state |= {f"{name}.weight": matrix(size, sources, 1.2, 3), f"{name}.bias": uniform(0, 1.5, size),
                  f"{name}.recurrent": matrix(size, size, 0, 0.6), f"{name}.a": uniform(-0.1, 1, size),
                  f"{name}.b": uniform(0, 2.2, size)}  # fmt: skip
        for kind, low, high in (("u", 5, 25), ("w", 60, 300)):
            p = f"{name}.tau_{kind}_trainer."
            state |= {
                f"{p}weight": uniform(-0.1, 1.1, size),
                f"{p}tau_min": np.array(low),
                f"{p}tau_max": np.array(high),
            }
        sources = size
    p = "out_layer.tau_u_trainer."
    return state | {
        "out_layer.weight": matrix(outputs, sources),
        "out_layer.bias": uniform(-0.1, 0.1, outputs),
        f"{p}weight": np.full(outputs, 15.0),
        f"{p}tau_min": np.array(15),
        f"{p}tau_max": np.array(15),
    }


def se_adlif_step(state, q):
    def decays(name, kind):
        p = f"{name}.tau_{kind}_trainer."
        share = np.clip(state[f"{p}weight"], 0, 1)
        return np.exp(-1 / (share * state[f"{p}tau_max"] + (1 - share) * state[f"{p}tau_min"]))

    def step(i, s):
        spikes = []
        for n in ("l1", "l2"):
            du, dw = decays(n, "u"), decays(n, "w")
            u, w, z = get(s, f"u{n}", f"w{n}", f"z{n}")
            current = state[f"{n}.weight"] @ i + state[f"{n}.bias"] + state[f"{n}.recurrent"] @ (z * np.ones(len(du)))
            u = du * u + (1 - du) * (current - w)
            i = (u - 1.0 > 0).astype(float)
            u = u * (1 - i)
            a, b = np.clip(state[f"{n}.a"], 0, 1), np.clip(state[f"{n}.b"], 0, 2)
            w = dw * w + (1 - dw) * (a * u + b * i) * q
            s |= {f"u{n}": u, f"w{n}": w, f"z{n}": i}
            spikes.append(i)
        alpha = np.exp(-1 / state["out_layer.tau_u_trainer.weight"])
        s["out"] = alpha * s.get("out", 0.0) + (1 - alpha) * (state["out_layer.weight"] @ i + state["out_layer.bias"])
        return spikes, s["out"]

    return step


def test_se_adlif(tmp_path):
    state, x = se_adlif(), trains(5)
    network = load(saved(tmp_path, state), neuron="se-adlif", adaptation=30.0)
    compare(network, se_adlif_step(state, 30.0), x, "softmax")
    classes = {"l1": "SEAdLIF", "l2": "SEAdLIF", "out_layer.tau_u_trainer": "FixedTau"}
    classes |= {f"l{n}.tau_{kind}_trainer": "InterpolationTrainer" for n in (1, 2) for kind in "uw"}
    attributes = {f"l{n}": {"q": 30.0, "thr": 1.0} for n in (1, 2)}
    compare(load(live(state, classes, attributes)), se_adlif_step(state, 30.0), x, "softmax")


def test_what_an_se_adlif_needs_by_hand(tmp_path):
    state = se_adlif()
    path = saved(tmp_path, state)
    assert "tau_w_trainer is that of an SE-adLIF and of an EF-adLIF, which have the same names" in refused(path)
    assert "the strength q of the adaptation is not in the file" in refused(path, neuron="se-adlif")
    assert "EF-adLIF: its states see each other's values" in refused(live(state, {"l1": "EFAdLIF", "l2": "EFAdLIF"}))
    state["out_layer.tau_u_trainer.weight"] = np.full(3, 0.5)
    said = refused(saved(tmp_path, state), neuron="se-adlif", adaptation=30.0)
    assert "out_layer.tau_u_trainer.weight is 0.5, no time constant in 15..15" in said


# what is wrong, and what is not read


def without(state, *names):
    return {name: value for name, value in state.items() if name not in names}


@pytest.mark.parametrize(("state", "options", "message"), [
    (lambda: without(resonators(), "out.tau_mem"), {"neuron": "rf"},
     "no out.tau_mem, which a network of vanilla RF (Higuchi et al.) has"),
    (lambda: resonators() | {"hidden.extra": np.ones(3)}, {"neuron": "rf"},
     "holds hidden.extra, which no network of vanilla RF (Higuchi et al.) has"),
    (lambda: resonators() | {"hidden.b_offset": np.ones(3)}, {"neuron": "rf"},
     "hidden.b_offset has shape (3,); expected (24) of vanilla RF"),
    (lambda: resonators() | {"hidden.linear.weight": matrix(24, 24)}, {"neuron": "rf"},
     "24 recurrent columns leave none for the input"),
    (lambda: resonators() | {"hidden.b_offset": np.full(24, 100.0)}, {"neuron": "rf"}, "1 - dt*damping is 0"),
    (resonators, {"neuron": "rf", "reset": "hard"}, "--reset is not for vanilla RF (Higuchi et al.), whose code says"),
    (resonators, {"neuron": "tclif"}, "omega and b_offset are those of a vanilla RF and of a balanced one"),
    (lambda: higuchi_alif() | {"hidden.tau_mem": np.zeros(24)}, {}, "hidden.tau_mem[0] is 0; a time constant is not"),
    (higuchi_alif, {"neuron": "rf"}, "--neuron is not for ALIF (Higuchi et al.)"),
    (lambda: sparch() | {"snn.0.V.weight": matrix(20, 19)}, {}, "snn.0.V.weight has shape (20, 19); expected (20, 20)"),
    (lambda: without(sparch(), "snn.1.a"), {}, "no snn.1.a, which a network of sparch's LIF"),
    (lambda: without(yin("h1"), "tau_m_h2"), {}, "tau_m of tau_m_h1, tau_m_o; known layouts: tau_m_h, tau_m_o;"),
    (lambda: yin("h") | {"tau_m_h": np.full(18, -3.0)}, {}, "tau_m_h[0] is -3; a time constant is above 0"),
    (lambda: without(yin("h"), "h2h.weight"), {}, "no h2h.weight, which a network of SRNN with ALIF (Yin et al.) has"),
    (lambda: without(dendritic(), "rnn_1.tau_n"), {},
     "the LIF of DH-LIF's authors (a sigmoid of tau_m) and that of Yin et al. (exp(-1/tau_m)) have the same names"),
    (lambda: {"0.weight": matrix(4, 3), "1.decay_factor": matrix(1, 2)}, {"adaptation": 1.0},
     "--adaptation is for other families"),
    (lambda: {"0.weight": matrix(4, 3), "1.decay_factor": matrix(1, 2)}, {"dt": 1.0},
     "--dt is for .nir files and for vanilla RF"),
    (lambda: {"0.weight": matrix(4, 3), "1.decay_factor": matrix(1, 4)}, {}, "1.decay_factor has four factors: TS-LIF"),
    (lambda: {"0.weight": matrix(4, 3), "1.decay_factor": uniform(0, 1, 4)}, {}, "both its compartments fire"),
    (lambda: {"1.weight": matrix(8, 8), "1.bias": matrix(8, 1)}, {}, "1.bias has shape (8, 1): PSN: its membrane"),
    (lambda: {"0.weight": matrix(4, 3), "1.log_dt": uniform(0, 1, 4)}, {}, "PMSN: its compartments are more than two"),
    (lambda: {"0.weight": matrix(4, 3), "1.beta": np.array(0.9), "1.threshold": np.array(1.0),
              "1.graded_spikes_factor": np.array(1.0)}, {},
     "1.graded_spikes_factor looks like a state_dict of snnTorch, which does not say how its neurons reset nor how its "
     "modules follow one another; load the live module, load(module, example_input=x), or a NIR file of it"),
    (lambda: {"0.rnn.weight_ih_l0": matrix(4, 3), "0.rnn.weight_hh_l0": matrix(4, 4),
              "0.graded_spikes_factor": np.array(1.0)}, {}, "LeakyParallel of snnTorch: its membrane potential goes"),
    (lambda: {"0.input_weights": matrix(4, 3), "0.recurrent_weights": matrix(4, 4)}, {},
     "0.input_weights looks like a state_dict of Norse, which holds no time constant, no threshold and no reset"),
])  # fmt: skip
def test_what_is_missing_too_much_or_another_network_is_one_line(tmp_path, state, options, message):
    assert message in refused(saved(tmp_path, state()), **options)


@pytest.mark.parametrize(("kind", "reason"), [
    ("ComplementaryLIFNeuron", "its complementary potential decays by a sigmoid of its membrane potential"),
    ("PSN", "its membrane potential is a weighted sum over all steps"), ("PMSN", "its compartments are more than two"),
    ("LeakyParallel", "goes through a ReLU in an RNN"), ("HRFCell", "cannot be read"),
])  # fmt: skip
def test_live_neurons_that_are_not_read_are_refused_with_the_reason(kind, reason):
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), type(kind, (Holder,), {})(), torch.nn.Linear(4, 2))
    assert reason in refused(model)


def test_names_of_parallel_and_compiled_models_are_read(tmp_path):
    state = {f"module._orig_mod.{name}": value for name, value in higuchi_alif().items()}
    assert load(saved(tmp_path, state)).layers[0].neuron.type == "alif_higuchi"
