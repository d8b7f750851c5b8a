"""Trained weights become the network that was trained: issue 2, items 3 and 4."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from tclif_deploy import TclifError, neurons
from tclif_deploy.comparison import equal
from tclif_deploy.data import load_npz
from tclif_deploy.frontends import from_module, load, save
from tclif_deploy.network import Connection, Layer, Network
from tclif_deploy.nn import LIF, PLIF, TCLIF, Recurrent, SpikingNeuron, reset_states
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers import authors_modules, checkpoints
from tests.helpers.authors_modules import (
    LIFNode,
    LinearRecurrentContainer,
    Net,
    ParametricLIFNode,
    RecurrentContainer,
    TCLIFNode,
    above,
    args_json,
    liven,
    write_checkpoint,
)
from tests.helpers.requirements import needs_package

FIXTURE = Path("fixtures/smnist_ff/checkpoint.pth.tar")


def signal(seed: int = 0, time: int = 120, features: int = 3, samples: int = 4) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(samples, time, features)).astype(np.float32).astype(np.float64)


def assert_same(network: Network, model: nn.Module, x: NDArray[np.float64]) -> None:
    """The float simulation of ``network`` gives the spikes and the sums of the authors' formulae, exactly."""
    spikes, total = authors_modules.run(model, x)
    result = simulate_float(network, x)
    assert len(result.spikes) == len(spikes)
    for name, expected in zip(result.spikes, spikes, strict=True):
        assert np.array_equal(result.spikes[name], expected), name
    if not network.layers[-1].neuron.spiking:
        np.testing.assert_allclose(result.readout, total, rtol=1e-9, atol=1e-9)
        assert np.array_equal(result.classes, total.argmax(1))


def feedforward(neuron: type[nn.Module] = TCLIFNode, *, gain: float = 1.0, seed: int = 1, **settings: object) -> Net:
    layers = nn.Linear(3, 20), neuron(**settings), nn.Linear(20, 15), neuron(**settings), nn.Linear(15, 4)
    return liven(Net(*layers), seed, gain)


def recurrent(**settings: object) -> Net:
    first, second = RecurrentContainer(TCLIFNode(**settings), 20), RecurrentContainer(TCLIFNode(**settings), 15)
    return liven(Net(nn.Linear(3, 20), first, nn.Linear(20, 15), second, nn.Linear(15, 4)), 2)


# -- the networks that the authors train -------------------------------------------------------------------------------


def test_the_fixture_is_read_with_its_module_paths_as_names_and_nothing_to_remark() -> None:
    network = load(FIXTURE)
    assert [(la.name, la.size, la.neuron.type) for la in network.layers] == [
        ("features.1", 64, "tclif"), ("features.3", 256, "tclif"), ("features.5", 256, "tclif"),
        ("features.6", 10, "readout"),
    ]  # fmt: skip
    assert network.input_size == 1
    assert network.notices == ()
    beta = torch.load(FIXTURE, weights_only=False)["state_dict"]["features.3.decay_factor"].double().sigmoid().numpy()
    np.testing.assert_allclose(network.layers[1].neuron.b_u, np.full(256, -beta[0, 0]), rtol=1e-15)
    np.testing.assert_allclose(network.layers[1].neuron.b_v, np.full(256, beta[0, 1]), rtol=1e-15)
    assert set(network.layers[1].neuron.r_u) == {0.5}


MODELS = {
    "one step of depth": lambda: liven(Net(nn.Linear(3, 30), TCLIFNode(), nn.Linear(30, 4)), 3),
    "feedforward": feedforward,
    "dropout": lambda: liven(
        Net(nn.Linear(3, 20), nn.Dropout(0.3), TCLIFNode(), nn.Linear(20, 15), nn.Dropout(0.3), TCLIFNode(),
            nn.Linear(15, 4)), 4),
    "deep": lambda: liven(
        Net(*[m for n in range(12) for m in (nn.Linear(3 if n == 0 else 9, 9), TCLIFNode())], nn.Linear(9, 4)), 5, 1.3),
    "recurrent": recurrent,
    "linear recurrent container": lambda: liven(
        Net(nn.Linear(3, 20), nn.Dropout(0.1), LinearRecurrentContainer(TCLIFNode(), 20), nn.Linear(20, 4)), 6),
    "linear recurrent container without bias": lambda: liven(
        Net(nn.Linear(3, 20, bias=False), LinearRecurrentContainer(TCLIFNode(), 20, bias=False), nn.Linear(20, 4)), 6),
    "recurrent then feedforward": lambda: liven(
        Net(nn.Linear(3, 20), nn.Dropout(0.3), RecurrentContainer(TCLIFNode(), 20), nn.Linear(20, 15), nn.Dropout(0.3),
            TCLIFNode(), nn.Linear(15, 4)), 7),
    "batch norm": lambda: liven(
        Net(nn.Linear(3, 20, bias=False), nn.BatchNorm1d(20), nn.Dropout(0.2), TCLIFNode(), nn.Linear(20, 15),
            nn.BatchNorm1d(15, affine=False), TCLIFNode(), nn.Linear(15, 4)), 8),
    "batch norm before recurrent containers": lambda: liven(
        Net(nn.Linear(3, 20), nn.BatchNorm1d(20), nn.Dropout(0.2), RecurrentContainer(TCLIFNode(), 20),
            nn.Linear(20, 15), nn.BatchNorm1d(15), LinearRecurrentContainer(TCLIFNode(), 15), nn.Linear(15, 4)), 9),
    "batch norm of the input, of spikes and of the readout": lambda: liven(
        Net(nn.BatchNorm1d(3), nn.Linear(3, 20), TCLIFNode(), nn.BatchNorm1d(20), nn.Linear(20, 15), TCLIFNode(),
            nn.Linear(15, 4), nn.BatchNorm1d(4)), 10),
    "spiking output": lambda: liven(Net(nn.Linear(3, 20), TCLIFNode(), nn.Linear(20, 5), TCLIFNode()), 11),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_a_checkpoint_spikes_as_the_model_that_wrote_it(kind: str, tmp_path: Path) -> None:
    model = MODELS[kind]()
    args = args_json(ind=3, threshold=1.0, network="fb" if "recurrent" in kind else "ff")
    assert_same(load(write_checkpoint(tmp_path, model, args)), model, signal())


def test_the_batch_norm_applies_to_the_feedforward_current_only(tmp_path: Path) -> None:
    model = MODELS["batch norm before recurrent containers"]()
    layer = load(write_checkpoint(tmp_path, model, args_json(ind=3, network="fb"))).layers[0]
    forward, back = layer.connections
    norm, hidden = model.features[1].double(), model.features[3].hid_weight.double()
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
    np.testing.assert_allclose(forward.weight, model.features[0].weight.detach().double().numpy() * scale[:, None])
    assert np.array_equal(back.weight, hidden.weight.detach().numpy())
    assert (back.source, back.delay) == (layer.name, 1)


def test_the_recurrent_bias_acts_from_the_first_step(tmp_path: Path) -> None:
    model = recurrent()
    layer = load(write_checkpoint(tmp_path, model, args_json(ind=3, network="fb"))).layers[0]
    expected = model.features[0].bias + model.features[1].hid_weight.bias
    np.testing.assert_allclose(layer.neuron.bias_u, expected.detach().double().numpy(), rtol=1e-6)


@pytest.mark.parametrize("form", ["zip", "legacy"])
@pytest.mark.parametrize("prefix", ["features.", "module.features.", "_orig_mod.features.", ""])
def test_prefixes_and_file_formats_do_not_matter(prefix: str, form: str, tmp_path: Path) -> None:
    model = recurrent()
    state = OrderedDict((prefix + name.removeprefix("features."), t) for name, t in model.float().state_dict().items())
    path = tmp_path / "weights.pt"
    torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    network = load(path, threshold=1.0, gamma=0.5, comparator=">=", reset="soft", neuron="tclif")
    names = ["features.1", "features.3", "features.4"] if prefix else ["layer1", "layer3", "layer4"]
    assert [layer.name for layer in network.layers] == names
    assert network.notices == ()
    assert_same(network, model, signal())


def test_a_legacy_checkpoint_with_optimizer_and_namespace_is_read(tmp_path: Path) -> None:
    model = feedforward()
    path = write_checkpoint(tmp_path, model, args_json(ind=3), _use_new_zipfile_serialization=False)
    assert_same(load(path), model, signal())


def test_a_checkpoint_written_on_a_gpu_is_read_without_one(tmp_path: Path) -> None:
    model = feedforward()
    path = write_checkpoint(tmp_path, model, args_json(ind=3))
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():  # where a storage was is a string in the pickle, written once and referred to
            content = old.read(info).replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:0")
            new.writestr(info.filename, content)
            if info.filename.endswith("data.pkl"):
                assert b"cuda:0" in content
    assert_same(load(path), model, signal())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_widths_are_read_exactly(dtype: torch.dtype, tmp_path: Path) -> None:
    model = feedforward().to(dtype)
    path = tmp_path / "weights.pt"
    torch.save({"state_dict": model.state_dict()}, path)
    network = load(path, threshold=1.0, gamma=0.5)
    assert np.array_equal(network.layers[0].connections[0].weight, model.features[0].weight.detach().double().numpy())
    assert_same(network, model, signal())


def test_numbered_layers_are_sorted_by_number_however_the_file_lists_them(tmp_path: Path) -> None:
    model = MODELS["deep"]()
    state = model.float().state_dict()
    torch.save({name: state[name] for name in sorted(state)}, tmp_path / "sorted.pt")  # features.10 before features.2
    assert_same(load(tmp_path / "sorted.pt", threshold=1.0, gamma=0.5), model, signal())


def test_named_layers_are_taken_in_order_and_that_is_said(tmp_path: Path) -> None:
    model = feedforward()
    names = dict(zip("01234", ("fc1", "spike1", "fc2", "spike2", "out"), strict=True))
    state = {f"{names[k.split('.')[1]]}.{k.split('.')[2]}": t for k, t in model.float().state_dict().items()}
    torch.save(state, tmp_path / "named.pt")
    network = load(tmp_path / "named.pt", threshold=1.0, gamma=0.5, comparator=">=", reset="soft", neuron="tclif")
    assert [layer.name for layer in network.layers] == ["spike1", "spike2", "out"]
    assert network.notices == ("layers are taken in the state_dict's own order: fc1, spike1, fc2, spike2, out",)
    assert_same(network, model, signal())


def test_betas_may_differ_from_neuron_to_neuron(tmp_path: Path) -> None:
    torch.manual_seed(0)
    betas = torch.randn(6, 2, dtype=torch.float64)
    save(nn.Sequential(nn.Linear(3, 6), TCLIF(decay_factor=betas), nn.Linear(6, 2)).double(), tmp_path / "m.pt")
    neuron = load(tmp_path / "m.pt").layers[0].neuron
    np.testing.assert_allclose(neuron.b_u, -betas[:, 0].sigmoid().numpy(), rtol=1e-15)
    np.testing.assert_allclose(neuron.b_v, betas[:, 1].sigmoid().numpy(), rtol=1e-15)


def test_layer_names_are_safe_as_file_names(tmp_path: Path) -> None:
    state = feedforward().float().state_dict()
    odd = {name.replace("features.1", "../../etc/x y").replace("features", "input"): t for name, t in state.items()}
    torch.save(odd, tmp_path / "odd.pt")
    names = [layer.name for layer in load(tmp_path / "odd.pt", threshold=1.0, gamma=0.5).layers]
    assert all(name.replace(".", "").replace("_", "").isalnum() and not name.startswith(".") for name in names)
    assert len(set(names)) == 3


# -- what the authors' scripts do ------------------------------------------------------------------------------------


def test_the_mnist_script_ignores_hard_reset(tmp_path: Path) -> None:
    model = feedforward()
    network = load(write_checkpoint(tmp_path, model, args_json(ind=3, hard_reset=True)))
    assert any("soft reset" in notice and "hard_reset" in notice for notice in network.notices)
    assert_same(network, model, signal())


@pytest.mark.parametrize("args", [{"task": "SHD"}, {"task": None, "beta_init1": 0.0}, {"task": "my own"}])
def test_other_scripts_honour_hard_reset(args: dict[str, object], tmp_path: Path) -> None:
    model = feedforward(gain=0.5, hard_reset=True)
    network = load(write_checkpoint(tmp_path, model, args_json(**args, hard_reset=True)))
    assert [layer.neuron.reset for layer in network.spiking_layers] == ["hard", "hard"]
    assert_same(network, model, signal())


@pytest.mark.parametrize("task", ["SMNIST", "PSMNIST"])
def test_the_recurrent_mnist_model_has_threshold_one_whatever_args_say(task: str, tmp_path: Path) -> None:
    model = recurrent(v_threshold=1.0, gamma=0.7)
    args = args_json(task=task, network="fb", threshold=1.8, gamma=0.7, ind=3)
    network = load(write_checkpoint(tmp_path, model, args))
    assert any(notice.startswith("threshold 1:") and "1.8" in notice for notice in network.notices)
    assert_same(network, model, signal())


def test_recurrent_models_of_other_scripts_keep_their_threshold(tmp_path: Path) -> None:
    model = recurrent(v_threshold=1.5)
    network = load(write_checkpoint(tmp_path, model, args_json(task="SHD", network="fb", threshold=1.5)))
    assert network.notices == ()
    assert_same(network, model, signal())


def test_surrogate_gau_fires_above_threshold_only(tmp_path: Path) -> None:
    exact = nn.Linear(1, 1, bias=False)
    nn.init.ones_(exact.weight)
    model = Net(exact, TCLIFNode(v_threshold=0.75, surrogate=above), nn.Linear(1, 2))
    x = np.zeros((1, 40, 1))
    x[0, 0, 0] = 1.5  # beta is 1/2: the soma is at 0.75 exactly after the first step
    path = write_checkpoint(tmp_path, model, args_json(sg="gau", threshold=0.75))
    strict, lenient = load(path), load(path, comparator=">=")
    assert any("gau" in notice for notice in strict.notices)
    assert any("'>='" in n or ">= given by hand" in n for n in lenient.notices)
    assert_same(strict, model, x)
    assert not simulate_float(strict, x).spikes["features.1"][0, 0, 0]
    assert simulate_float(lenient, x).spikes["features.1"][0, 0, 0]


@pytest.mark.parametrize("sg", ["triangle", "exp", "rectangle", "sigmoid"])
def test_the_other_surrogates_fire_at_threshold(sg: str, tmp_path: Path) -> None:
    network = load(write_checkpoint(tmp_path, feedforward(), args_json(ind=3, sg=sg)))
    assert not any(layer.neuron.strict for layer in network.layers)
    assert [n for n in network.notices if "threshold" in n] == []


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("layers", ["plain", "dropout", "recurrent", "batch norm"])
def test_lif_checkpoints_have_no_neuron_keys_and_are_read_all_the_same(layers: str, hard: bool, tmp_path: Path) -> None:
    lif = {"hard_reset": hard}
    model = {
        "plain": lambda: Net(nn.Linear(3, 20), LIFNode(**lif), nn.Linear(20, 15), LIFNode(**lif), nn.Linear(15, 4)),
        "dropout": lambda: Net(
            nn.Linear(3, 20), nn.Dropout(), LIFNode(**lif), nn.Linear(20, 15), nn.Dropout(), LIFNode(**lif),
            nn.Linear(15, 4)),
        "recurrent": lambda: Net(
            nn.Linear(3, 20), RecurrentContainer(LIFNode(**lif), 20), nn.Linear(20, 15), LIFNode(**lif),
            nn.Linear(15, 4)),
        "batch norm": lambda: Net(
            nn.Linear(3, 20), nn.BatchNorm1d(20), LIFNode(**lif), nn.Linear(20, 4)),
    }[layers]()  # fmt: skip
    args = args_json(task=None, beta_init1=0.0, neuron="lif", hard_reset=hard, network=None)
    assert_same(load(write_checkpoint(tmp_path, liven(model, 1, 2.0), args)), model, signal())


def test_plif_resets_hard_as_its_default_v_reset_does(tmp_path: Path) -> None:
    model = feedforward(ParametricLIFNode)
    network = load(write_checkpoint(tmp_path, model, args_json(neuron="plif", ind=3)))
    assert any(notice.startswith("hard reset to 0") for notice in network.notices)
    assert_same(network, model, signal())


def test_windows_and_permutations_are_the_users_to_make_and_that_is_said(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, feedforward(), args_json(ind=3, task="PSMNIST"))
    notices = " ".join(load(path).notices)
    assert "window of 3 neighbouring pixels" in notices
    assert "min(t, 781)" in notices
    assert "permutation" in notices


def test_args_of_another_model_are_noticed(tmp_path: Path) -> None:
    notices = " ".join(load(write_checkpoint(tmp_path, recurrent(), args_json(ind=8, network="ff"))).notices)
    assert "says network ff, but the checkpoint has recurrent weights" in notices
    assert "says ind 8, but the first layer takes 3" in notices


# -- what is said by hand --------------------------------------------------------------------------------------------


def test_values_by_hand_win_over_args_with_a_notice(tmp_path: Path) -> None:
    model = feedforward(gain=0.5, v_threshold=1.25, gamma=0.25, hard_reset=True, surrogate=above)
    path = write_checkpoint(tmp_path, model, args_json(ind=3))
    network = load(path, threshold=1.25, gamma=0.25, comparator=">", reset="hard")
    assert len([notice for notice in network.notices if "given by hand" in notice]) == 3  # gamma has no effect: hard
    assert_same(network, model, signal())


def test_values_by_hand_alone_are_enough_and_what_was_assumed_is_said(tmp_path: Path) -> None:
    model = feedforward(v_threshold=1.25, gamma=0.25)
    network = load(write_checkpoint(tmp_path, model, None), threshold=1.25, gamma=0.25)
    assert len(network.notices) == 3
    assert "taken as tclif" in network.notices[0]
    assert "soft reset assumed" in network.notices[1]
    assert ">= threshold assumed" in network.notices[2]
    assert_same(network, model, signal())


def test_an_args_file_elsewhere_can_be_named(tmp_path: Path) -> None:
    model = feedforward(v_threshold=1.25)
    path = write_checkpoint(tmp_path, model, args_json(threshold=99.0, ind=3))
    other = tmp_path / "other.json"
    other.write_text(json.dumps(args_json(threshold=1.25, ind=3)))
    assert_same(load(path, args=other), model, signal())


# -- our own file ------------------------------------------------------------------------------------------------------


def twin(recurrent_first: bool = False) -> nn.Sequential:
    torch.manual_seed(3)
    first: nn.Module = TCLIF(1.2, 0.4, decay_factor=torch.randn(20, 2), strict=True)
    if recurrent_first:
        first = Recurrent(first, 20)
    second = TCLIF(0.8, 0.6, decay_factor=torch.randn(1, 2), reset="hard", v_reset=0.125)
    return nn.Sequential(
        nn.Linear(3, 20),
        nn.BatchNorm1d(20, eps=1e-3),
        nn.Dropout(0.5),
        first,
        nn.Linear(20, 15),
        second,
        nn.Linear(15, 4),
    ).double()


def run_twin(model: nn.Module, x: NDArray[np.float64]) -> tuple[dict[str, NDArray[np.bool_]], NDArray[np.float64]]:
    spikes: dict[str, list[torch.Tensor]] = {}
    for name, module in model.named_modules():
        if isinstance(module, SpikingNeuron):
            module.register_forward_hook(lambda _m, _i, out, n=name: spikes.setdefault(n, []).append(out))
    reset_states(model)
    model.eval()
    with torch.no_grad():
        total = torch.stack([model(torch.from_numpy(x[:, t])) for t in range(x.shape[1])]).sum(0)
    return {n: torch.stack(s, 1).numpy().astype(bool) for n, s in spikes.items()}, total.numpy()


@pytest.mark.parametrize("recurrent_first", [False, True])
def test_a_saved_model_needs_nothing_beside_it(recurrent_first: bool, tmp_path: Path) -> None:
    model = twin(recurrent_first)
    save(model, tmp_path / "model.pt")
    (tmp_path / "args.json").write_text("not even JSON")
    network = load(tmp_path / "model.pt")
    assert network.notices == ()
    assert equal(network, from_module(model))
    assert [(la.neuron.strict, la.neuron.reset) for la in network.spiking_layers] == [(True, "soft"), (False, "hard")]
    x = signal(5) * 2
    spikes, total = run_twin(model, x)
    result = simulate_float(network, x)
    for expected, actual in zip(spikes.values(), result.spikes.values(), strict=True):
        assert 0.01 <= expected.mean() <= 0.6
        assert np.array_equal(expected, actual)
    np.testing.assert_allclose(result.readout, total, rtol=1e-9, atol=1e-9)


def test_saved_lif_and_plif_twins_are_read_as_they_run(tmp_path: Path) -> None:
    torch.manual_seed(4)
    model = nn.Sequential(
        nn.Linear(3, 20), LIF(0.7, 0.9, strict=True), nn.Linear(20, 15),
        Recurrent(PLIF(0.3, 0.5, decay_input=True), 15), nn.Linear(15, 12), LIF(0.4, 0.7, reset="hard", v_reset=-0.1),
        nn.Linear(12, 10), PLIF(0.2, reset="soft"),
    ).double()  # fmt: skip
    save(model, tmp_path / "model.pt")
    x = signal(6) * 2
    spikes, _ = run_twin(model, x)
    network = load(tmp_path / "model.pt")
    result = simulate_float(network, x)
    assert [la.neuron.type for la in network.layers] == ["lif", "plif", "lif", "plif"]
    assert [la.neuron.strict for la in network.layers] == [True, False, False, False]
    for expected, actual in zip(spikes.values(), result.spikes.values(), strict=True):
        assert 0.01 <= expected.mean() <= 0.6
        assert np.array_equal(expected, actual)


def test_values_by_hand_win_over_a_saved_model_with_a_notice(tmp_path: Path) -> None:
    save(twin(), tmp_path / "model.pt")
    network = load(tmp_path / "model.pt", threshold=2.0)
    assert [set(layer.neuron.threshold) for layer in network.spiking_layers] == [{2.0}, {2.0}]
    assert network.notices == ("threshold 2.0 given by hand; the file says 0.8, 1.2",)


def test_the_authors_own_modules_can_be_saved(tmp_path: Path) -> None:
    model = liven(
        Net(nn.Linear(3, 20), RecurrentContainer(TCLIFNode(1.5, 0.3, surrogate=above), 20), nn.Linear(20, 18),
            LIFNode(0.7), nn.Linear(18, 16), LinearRecurrentContainer(ParametricLIFNode(0.9, 0.5), 16),
            nn.Linear(16, 4)), 12, 1.5)  # fmt: skip
    save(model.float(), tmp_path / "model.pt")
    network = load(tmp_path / "model.pt")
    assert [layer.neuron.type for layer in network.layers] == ["tclif", "lif", "plif", "readout"]
    assert_same(network, model, signal())


def test_the_order_of_a_models_own_class_is_taken_as_listed_and_that_is_said(tmp_path: Path) -> None:
    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into, self.spike, self.out = nn.Linear(3, 5), TCLIF(), nn.Linear(5, 2)

    save(Mine(), tmp_path / "model.pt")
    network = load(tmp_path / "model.pt")
    assert [layer.name for layer in network.layers] == ["spike", "out"]
    assert "into, spike, out" in network.notices[0]


def test_saving_the_same_model_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    model = twin()
    save(model, tmp_path / "a.pt")
    save(model, tmp_path / "b.pt")
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(twin(), tmp_path / "model.pt")
    before = (tmp_path / "model.pt").read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(TclifError, match="No space left"):
        save(twin(True), tmp_path / "model.pt")
    assert (tmp_path / "model.pt").read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["model.pt"]


# -- the float model ---------------------------------------------------------------------------------------------------


def fixture_twin() -> nn.Sequential:
    state = torch.load(FIXTURE, weights_only=False)["state_dict"]
    layers: list[nn.Module] = []
    for n in (0, 2, 4, 6):
        out, into = state[f"features.{n}.weight"].shape
        layers += [nn.Linear(into, out), TCLIF(threshold=1.0, gamma=0.5)]
    model = nn.Sequential(*layers[:-1])
    model.load_state_dict({name.removeprefix("features."): tensor for name, tensor in state.items()})
    return model.double()


@pytest.mark.slow
def test_the_float_simulation_of_the_fixture_equals_the_torch_twin_spike_for_spike() -> None:
    x = load_npz("fixtures/smnist_test.npz")[:6].values()
    spikes, total = run_twin(fixture_twin(), x)
    result = simulate_float(load(FIXTURE), x)
    assert x.shape[1] == 784
    for expected, (name, actual) in zip(spikes.values(), result.spikes.items(), strict=True):
        assert 0.01 <= expected.mean() <= 0.6, name
        assert np.array_equal(expected, actual), name
    assert np.array_equal(result.classes, total.argmax(1))


def equations(
    current: NDArray[np.float64], beta: tuple[float, float], theta: float, gamma: float, *, literal: bool
) -> NDArray[np.bool_]:
    """Eq. 10-12 of the paper in plain Python floats, one neuron at a time; ``current`` is (time, neurons).

    U_D[t] = U_D[t-1] + beta1*U_S[t-1] + I[t] - gamma*S[t-1]
    U_S[t] = U_S[t-1] + beta2*U_D[t] - theta*S[t-1]
    S[t]   = U_S[t] >= theta

    ``literal`` takes U_S[t-1] in the first line as the second one left it; the authors' code has it reset already.
    """
    spikes = np.zeros(current.shape, np.bool_)
    for n in range(current.shape[1]):
        u_d = u_s = 0.0
        s = 0.0
        for t, i in enumerate(current[:, n].tolist()):
            seen = u_s if literal else u_s - theta * s
            u_d = u_d + beta[0] * seen + i - gamma * s
            u_s = u_s + beta[1] * u_d - theta * s
            s = 1.0 if u_s >= theta else 0.0
            spikes[t, n] = s == 1.0
    return spikes


BETAS = [(0.0, 0.0), (0.7, -0.4), (-2.0, 1.5)]


@pytest.mark.parametrize(("c1", "c2"), BETAS)
def test_the_torch_twin_obeys_the_papers_equations_in_the_authors_order(c1: float, c2: float) -> None:
    current = np.random.default_rng(1).normal(scale=0.3, size=(784, 40))
    neuron = TCLIF(1.0, 0.5, decay_factor=torch.tensor([[c1, c2]], dtype=torch.float64))
    with torch.no_grad():
        spikes = torch.stack([neuron(torch.from_numpy(row[None])) for row in current]).numpy()[:, 0].astype(bool)
    beta = -float(neurons.sigmoid(c1)), float(neurons.sigmoid(c2))
    expected = equations(current, beta, 1.0, 0.5, literal=False)
    assert 0.01 <= expected.mean() <= 0.6
    assert np.array_equal(spikes, expected)


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize(("c1", "c2"), BETAS)
def test_the_float_simulation_obeys_the_papers_equations_in_both_conventions(
    c1: float, c2: float, literal: bool
) -> None:
    current = np.random.default_rng(2).normal(scale=0.3, size=(784, 40))
    neuron = neurons.tclif(40, c1=c1, c2=c2, gamma=0.5, threshold=1.0, delayed_reset=literal)
    network = Network(40, (Layer("hidden", neuron, (Connection("input", np.eye(40)),)),))
    spikes = simulate_float(network, current[None]).spikes["hidden"][0]
    beta = -float(neurons.sigmoid(c1)), float(neurons.sigmoid(c2))
    expected = equations(current, beta, 1.0, 0.5, literal=literal)
    assert 0.01 <= expected.mean() <= 0.6
    assert np.array_equal(spikes, expected)
    other = equations(current, beta, 1.0, 0.5, literal=not literal)
    assert not np.array_equal(other, expected)  # the conventions differ, so this test can tell them apart


@pytest.mark.parametrize("decay_input", [False, True])
@pytest.mark.parametrize(("reset", "v_reset"), [("soft", 0.0), ("hard", 0.0), ("hard", -0.25)])
def test_plif_obeys_its_published_formula(reset: str, v_reset: float, decay_input: bool) -> None:
    current = np.random.default_rng(4).normal(scale=0.8 if decay_input else 0.4, loc=0.2, size=(300, 30))
    k = float(neurons.sigmoid(0.3))
    expected = np.zeros(current.shape, np.bool_)
    v = np.full(30, v_reset)
    for t, i in enumerate(current):
        v = v + (i - (v - v_reset)) * k if decay_input else v - (v - v_reset) * k + i
        expected[t] = v >= 0.5
        v = np.where(expected[t], v_reset if reset == "hard" else v - 0.5, v)
    neuron = neurons.plif(30, w=0.3, threshold=0.5, reset=reset, v_reset=v_reset, decay_input=decay_input)
    network = Network(30, (Layer("hidden", neuron, (Connection("input", np.eye(30)),)),))
    assert 0.01 <= expected.mean() <= 0.6
    assert np.array_equal(simulate_float(network, current[None]).spikes["hidden"][0], expected)


def test_each_twin_owns_its_betas() -> None:
    shared = torch.zeros(1, 2)
    first, second = TCLIF(decay_factor=shared), TCLIF(decay_factor=shared)
    with torch.no_grad():
        first.decay_factor.add_(1.0)
    assert second.decay_factor.tolist() == [[0.0, 0.0]]
    assert shared.tolist() == [[0.0, 0.0]]


def test_the_twin_passes_the_triangle_surrogates_gradient() -> None:
    neuron = TCLIF(threshold=1.0, gamma=0.5, decay_factor=torch.zeros(1, 2, dtype=torch.float64))
    x = torch.tensor([[1.0, 1.5, 2.5, 9.0]], dtype=torch.float64, requires_grad=True)
    neuron(x).sum().backward()  # v = x/2, surrogate max(1 - |v - 1|, 0), dv/dx = 1/2
    assert x.grad is not None
    assert x.grad.tolist() == [[0.25, 0.375, 0.375, 0.0]]


def test_a_copied_checkpoint_is_found_by_content_not_by_name(tmp_path: Path) -> None:
    shutil.copy(FIXTURE, tmp_path / "model.bin")
    shutil.copy(FIXTURE.parent / "args.json", tmp_path / "args.json")
    assert equal(load(tmp_path / "model.bin"), load(FIXTURE))


def test_a_nir_file_is_read_too(tmp_path: Path) -> None:
    from tclif_deploy.formats import write_nir

    network = load(FIXTURE)
    write_nir(network, tmp_path / "network.nir")
    assert equal(load(tmp_path / "network.nir"), network)


def safetensors_bytes(state: dict[str, torch.Tensor]) -> bytes:
    """A file of the format: the header's length, the header, the values."""
    header, values = {}, b""
    for name, tensor in state.items():
        raw = tensor.numpy().tobytes()
        header[name] = {
            "dtype": {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}[tensor.dtype],
            "shape": list(tensor.shape), "data_offsets": [len(values), len(values) + len(raw)],
        }  # fmt: skip
        values += raw
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return len(text).to_bytes(8, "little") + text + values


def test_a_safetensors_file_is_the_same_network(tmp_path: Path) -> None:
    needs_package("safetensors")
    wanted = load(checkpoints.write_checkpoint(tmp_path, recurrent=(1,)))
    state = checkpoints.state_dict(recurrent=(1,))
    for name in ("model.safetensors", "weights.bin"):
        (tmp_path / name).write_bytes(safetensors_bytes(state))
        assert equal(load(tmp_path / name), wanted)
    # the length of a header can begin as torch's own files do
    padded = [safetensors_bytes(state | {"x" * n: torch.zeros(1)}) for n in range(1, 257)]
    (like_a_pickle,) = (raw for raw in padded if raw[:1] == b"\x80")
    (tmp_path / "any.safetensors").write_bytes(like_a_pickle)
    with pytest.raises(TclifError, match="xxx"):  # for the tensor that no network has
        load(tmp_path / "any.safetensors")
    damaged = safetensors_bytes(state)[:-4]
    (tmp_path / "cut.safetensors").write_bytes(damaged)
    with pytest.raises(TclifError, match=r"cut\.safetensors: safetensors cannot read it"):
        load(tmp_path / "cut.safetensors")
    (tmp_path / "nan.safetensors").write_bytes(
        safetensors_bytes(state | {"features.0.bias": torch.full((12,), np.nan)})
    )
    with pytest.raises(TclifError, match=r"features\.0\.bias\[0\] is nan"):
        load(tmp_path / "nan.safetensors")


def test_a_safetensors_file_without_the_library_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(checkpoints.state_dict()))
    with pytest.raises(
        TclifError,
        match=r"which .*model\.safetensors needs; pip install 'tclif-deploy\[safetensors\]'",
    ):
        load(tmp_path / "model.safetensors")


LIGHTNING = {
    "epoch": 3, "pytorch-lightning_version": "2.5.0", "callbacks": {}, "loops": {"fit_loop": {"state_dict": {}}},
    "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-3}]}],
    "hyper_parameters": {"lr": 1e-3},
}  # fmt: skip


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model.", "model.module.", "net."])
@pytest.mark.parametrize("more", [{}, LIGHTNING])
def test_weights_behind_a_wrappers_prefix_are_the_same(tmp_path: Path, prefix: str, more: dict[str, object]) -> None:
    wanted = load(checkpoints.write_checkpoint(tmp_path, recurrent=(1,)))
    state = {prefix + name: tensor for name, tensor in checkpoints.state_dict(recurrent=(1,)).items()}
    torch.save({**more, "state_dict": state}, tmp_path / "wrapped.ckpt")
    read = load(tmp_path / "wrapped.ckpt")
    for a, b in zip(read.layers, wanted.layers, strict=True):
        assert a.name.endswith(b.name)
        assert equal(a.neuron, b.neuron)
        assert [c.weight.tolist() for c in a.connections] == [c.weight.tolist() for c in b.connections]


def test_of_a_lightning_checkpoint_the_network_is_read_and_losses_and_metrics_are_not(tmp_path: Path) -> None:
    wanted = load(checkpoints.write_checkpoint(tmp_path))
    state = {f"model.{name}": tensor for name, tensor in checkpoints.state_dict().items()}
    state |= {"criterion.weight": torch.ones(4), "accuracy.correct": torch.ones(4, dtype=torch.int64)}
    torch.save({**LIGHTNING, "state_dict": state}, tmp_path / "last.ckpt")
    read = load(tmp_path / "last.ckpt")
    assert [layer.size for layer in read.layers] == [layer.size for layer in wanted.layers]
    said = "read is model of a Lightning module, and left out what else it holds: criterion, accuracy"
    assert said in read.notices
    torch.save({"state_dict": state}, tmp_path / "last.ckpt")
    with pytest.raises(TclifError, match=r"accuracy\.correct is int64"):
        load(tmp_path / "last.ckpt")


@pytest.mark.parametrize("key", ["model_state_dict", "model_state", "model", "net", "network", "weights"])
def test_a_state_dict_under_another_key(tmp_path: Path, key: str) -> None:
    wanted = load(checkpoints.write_checkpoint(tmp_path))
    torch.save({"epoch": 3, key: checkpoints.state_dict()}, tmp_path / "other.pth")
    assert equal(load(tmp_path / "other.pth").layers, wanted.layers)
