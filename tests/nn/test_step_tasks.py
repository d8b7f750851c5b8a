"""Training on labels of steps and on numbers: the readout that leaks, losses and figures, small tasks learned."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tclif_deploy as tc
from tclif_deploy import Dataset, load, neurons
from tclif_deploy.cli.main import run
from tclif_deploy.errors import TclifError
from tclif_deploy.nn import LIF, TCLIF, LeakyReadout, Recurrent, SequenceNetwork, build, reset_states
from tclif_deploy.nn.config import TrainConfig
from tclif_deploy.nn.fit import resume_path
from tclif_deploy.nn.from_network import to_module
from tclif_deploy.nn.leaky import leaky
from tclif_deploy.nn.objective import Score, losses, score, spread, weight_of
from tclif_deploy.nn.quantized import QuantizedNetwork
from tclif_deploy.nn.train import train
from tclif_deploy.nn.trainer import Trainer
from tests.helpers.refusals import refused
from tests.helpers.step_tasks import write_tasks

RNG = np.random.default_rng(3)
X = torch.randn(3, 40, 4, generator=torch.Generator().manual_seed(0)) * 2


def leaking(decay: float = 0.8) -> SequenceNetwork:
    """The ECG network, its outputs forgetting at different rates."""
    network = build("ecg", seed=1, readout_decay=decay)
    assert network.leak is not None
    with torch.no_grad():
        network.leak.leak.copy_(torch.linspace(-3, 0.5, 6))
    return network


# --- the readout


def test_the_loop_over_time_and_its_gradients_are_those_of_its_formula() -> None:
    current = torch.randn(20, 3, 2, dtype=torch.float64, requires_grad=True)
    decay = torch.tensor([0.9, 0.3], dtype=torch.float64, requires_grad=True)
    v, steps = torch.zeros(3, 2), []
    for i in current:
        v = decay * v + i
        steps.append(v)
    torch.testing.assert_close(leaky(current, decay), torch.stack(steps))
    assert torch.autograd.gradcheck(leaky, (current, decay))


def test_one_step_calls_equal_the_whole_sequence_and_what_is_loaded() -> None:
    network, lengths = leaking(), torch.tensor([5, 40, 7])
    whole = network.answers(X, lengths, by_step=True, labels=True)
    reset_states(network)
    with torch.no_grad():
        for t in range(X.shape[1]):
            torch.testing.assert_close(network.features(X[:, t]), whole[:, t], rtol=1e-4, atol=1e-5)
    last = whole[torch.arange(3), lengths - 1]
    torch.testing.assert_close(network(X, lengths), last)
    loaded = load(network)
    assert loaded.layers[-1].neuron.a_v == pytest.approx(network.leak.decay.detach().numpy())  # type: ignore[union-attr]
    said = tc.simulate(loaded, X.numpy(), readouts=True)
    np.testing.assert_allclose(said.readouts, whole.detach().numpy(), rtol=1e-4, atol=1e-4)


def test_without_it_each_step_says_the_sum_up_to_there() -> None:
    network = build("ecg", seed=1)
    steps = network.answers(X, None, by_step=True, labels=True)
    torch.testing.assert_close(steps[:, -1], network(X), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(steps[:, 9], network(X[:, :10]), rtol=1e-4, atol=1e-4)


def test_it_goes_through_every_file_and_back(tmp_path: Path) -> None:
    network = leaking()
    decay = load(network).layers[-1].neuron.a_v
    tc.save(network, tmp_path / "model.pt")
    torch.save({"state_dict": network.state_dict()}, tmp_path / "checkpoint.pth.tar")
    (tmp_path / "args.json").write_text('{"threshold": 1.0, "gamma": 0.5}')
    tc.write_nir(load(network), tmp_path / "model.nir")
    for name in ("model.pt", "checkpoint.pth.tar", "model.nir"):
        again = load(tmp_path / name)
        assert again.layers[-1].neuron.a_v == pytest.approx(decay, rel=1e-6)
        assert again.layers[-1].neuron.type == "readout"
        assert load(to_module(again)).layers[-1].neuron.a_v == pytest.approx(decay, rel=1e-6)


def test_a_recording_knows_it() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), TCLIF(), torch.nn.Linear(8, 2), LeakyReadout(2, 0.7))
    network = load(model, example_input=X)
    assert network.layers[-1].neuron.a_v == pytest.approx([0.7, 0.7])


def linear(*sizes: int) -> torch.nn.Linear:
    return torch.nn.Linear(*sizes)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LeakyReadout(2, 1.0), "above 0 and below 1"),
        (lambda: load(torch.nn.Sequential(linear(3, 4), LIF(), LeakyReadout(4))), "no Linear before it"),
        (
            lambda: load(torch.nn.Sequential(linear(3, 4), LIF(), linear(4, 2), LeakyReadout(2), LIF())),
            "follows the readout 3",
        ),
        (
            lambda: load(torch.nn.Sequential(linear(3, 4), LIF(), linear(4, 2), LeakyReadout(3))),
            r"leak has shape \(3,\)",
        ),
        (lambda: SequenceNetwork([linear(3, 4), LIF(), LeakyReadout(4)]), "do not alternate"),
        (
            lambda: to_module(
                replace(
                    load(leaking()),
                    layers=(
                        *load(leaking()).layers[:-1],
                        replace(load(leaking()).layers[-1], neuron=neurons.readout(6, decay=0.0)),
                    ),
                )
            ),
            "is no sigmoid",
        ),
    ],
)
def test_what_cannot_be_is_named(make: Any, said: str) -> None:
    with pytest.raises(TclifError, match=said):
        make()


# --- losses and figures


def test_a_loss_is_the_mean_over_the_steps_that_count() -> None:
    said, y = torch.randn(2, 5, 3), torch.randint(0, 3, (2, 5))
    counts = torch.tensor([[True, True, False, False, False], [False] * 4 + [True]])
    wild = torch.where(counts, y, 99)  # what does not count may be anything
    each = torch.nn.functional.cross_entropy(said.flatten(0, 1), y.flatten(), reduction="none").view(2, 5)
    expected = torch.stack([each[0, :2].mean(), each[1, 4]])
    torch.testing.assert_close(losses(said, wild, "step-label", counts), expected)
    truth = torch.randn(2, 5, 3)
    squares = ((said - truth) ** 2).mean(2)
    expected = torch.stack([squares[0, :2].mean(), squares[1, 4]])
    torch.testing.assert_close(losses(said, truth, "step-value", counts), expected)
    torch.testing.assert_close(losses(said[:, 0], truth[:, 0], "value", counts), squares[:, 0])
    assert not losses(said, y, "step-label", torch.zeros(2, 5, dtype=torch.bool)).any()


def test_a_sample_weighs_as_many_targets_as_it_has() -> None:
    mask, lengths = np.ones((3, 6), bool), np.array([2, 6, 4])
    mask[1, :5] = False
    data = Dataset(np.zeros((3, 6, 1)), np.zeros((3, 6), int), mask=mask, lengths=lengths)
    assert weight_of(data).tolist() == [2, 1, 4]
    assert weight_of(Dataset(np.zeros((3, 6, 1)), np.zeros(3, int), lengths=lengths)).tolist() == [1, 1, 1]


def test_figures_are_those_of_the_targets_that_count() -> None:
    y = RNG.normal(2, 3, (4, 6, 2))
    mask = RNG.random((4, 6)) < 0.5
    data = Dataset(np.zeros((4, 6, 1)), y, mask=mask)
    said = y + RNG.normal(0, 1, y.shape)
    found = score(said, data)
    error = ((said - y) ** 2)[mask]
    assert found.rmse == pytest.approx(np.sqrt(error.mean()))
    assert found.r2 == pytest.approx(np.mean(1 - error.sum(0) / ((y[mask] - y[mask].mean(0)) ** 2).sum(0)))
    assert spread(data) == pytest.approx(y[mask].var(axis=0).mean())
    labels = Dataset(np.zeros((4, 6, 1)), y[..., 0].round().astype(int), mask=mask)
    assert score(labels.y + ~mask, labels) == Score(1.0)  # type: ignore[operator]
    assert spread(labels) == 1.0


@pytest.mark.parametrize("task", ["step-label", "step-value", "value"])
def test_micro_batches_sum_to_the_gradient_of_the_mean_over_all_targets(task: Any) -> None:
    x, lengths = RNG.integers(-1, 2, (40, 30, 4)), RNG.integers(10, 31, 40)
    targets = {
        "step-label": RNG.integers(0, 6, (40, 30)), "step-value": RNG.normal(size=(40, 30, 6)),
        "value": RNG.normal(size=(40, 6)),
    }  # fmt: skip
    mask = None if task == "value" else RNG.random((40, 30)) < 0.7
    data = Dataset(x, targets[task], lengths=lengths, mask=mask, task=task)
    network = leaking()
    config = TrainConfig("ecg", None, Path("nowhere"), clip=1e9, threads=1)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    with Trainer(network, config) as trainer:
        trainer.dtype = None
        weight = weight_of(data)
        trainer.step(data, np.arange(40), 1e-3, weight / weight.sum())
        grads = {name: p.grad.clone() for name, p in network.named_parameters()}  # type: ignore[union-attr]
        network.load_state_dict(before)
        whole = trainer.loss(data)
    steps = network.answers(torch.from_numpy(x).float(), None, by_step=True, labels=True)
    counts = torch.from_numpy(data.valid() if mask is None else data.valid() & mask)
    y = torch.from_numpy(targets[task])
    if task == "value":
        loss = ((steps[torch.arange(40), torch.from_numpy(lengths) - 1] - y) ** 2).mean()
    elif task == "step-value":
        loss = ((steps - y) ** 2)[counts].mean()
    else:
        loss = torch.nn.functional.cross_entropy(steps[counts], y[counts])
    assert whole == pytest.approx(float(loss.detach()), rel=1e-4)
    for (name, grad), expected in zip(
        grads.items(), torch.autograd.grad(loss, list(network.parameters())), strict=True
    ):
        most = expected.abs().max().item()
        assert most > 0, name
        torch.testing.assert_close(grad, expected.float(), rtol=1e-3, atol=1e-3 * most)


# --- small tasks


@pytest.mark.parametrize("task", ["step-label", "step-value", "value"])
def test_a_small_task_is_learned_and_its_log_says_what_its_figures_are(task: Any, tmp_path: Path) -> None:
    model, data = write_tasks(tmp_path / "data", task)
    lines: list[str] = []
    out = tmp_path / "run" / "checkpoint.pth.tar"
    config = TrainConfig(model, data, out, epochs=12, batch_size=16, lr=1e-2, warmup=0.5, validation=16, threads=1)
    result = train(config, say=lines.append)
    last, args = result.history[-1], json.loads((out.parent / "args.json").read_text())
    assert last.task == args["targets"] == task
    assert result.history[0].loss > 2 * last.loss
    best = result.history[result.best - 1]
    if task == "step-label":
        assert best.test is not None
        assert best.test > 0.5  # chance is 1/6
        assert "% of steps" in lines[0]
        assert best.validation == max(epoch.validation or 0 for epoch in result.history)
    else:
        assert last.test is None
        assert best.numbers is not None
        assert best.numbers.test_r2 is not None
        assert best.numbers.test_r2 > 0.6
        assert "train rmse" in lines[0]
        assert "test R2" in lines[0]
        held = [epoch.numbers.validation_rmse for epoch in result.history if epoch.numbers is not None]
        assert best.numbers.validation_rmse == min(h for h in held if h is not None)
    network, test = load(out), tc.load_data(data / "test.npz")
    assert ((network.layers[-1].neuron.a_v < 1).all()) == task.startswith("step")
    verdict = tc.verify(network, tc.quantize(network, "loihi2", test), test)
    if task == "step-label":
        assert verdict.accuracy_float == pytest.approx(best.test, abs=0.02)
        assert verdict.accuracy_fixed is not None
        assert verdict.accuracy_fixed > 0.45
    else:
        assert verdict.rmse is not None
        assert best.numbers is not None
        assert verdict.rmse.original == pytest.approx(best.numbers.test_rmse, rel=0.05)


def test_an_interrupted_training_on_numbers_goes_on(tmp_path: Path) -> None:
    model, data = write_tasks(tmp_path / "data", "step-value")
    config = TrainConfig(model, data, tmp_path / "one.pth.tar", epochs=3, batch_size=16, threads=1)
    whole = train(config)

    class Stop(Exception):
        pass

    def stop(line: str) -> None:
        raise Stop

    again = replace(config, out=tmp_path / "two.pth.tar")
    with pytest.raises(Stop):
        train(again, say=stop)
    state = torch.load(resume_path(again.out), weights_only=True)
    del state["settings"]["readout_decay"]  # as written before there was such a setting
    torch.save(state, resume_path(again.out))
    resumed = train(again)
    assert [epoch.numbers for epoch in resumed.history] == [epoch.numbers for epoch in whole.history]


def test_the_readouts_first_decay_can_be_said(tmp_path: Path) -> None:
    for task, decay in (("step-value", 1.0), ("value", 0.5)):
        model, data = write_tasks(tmp_path / task, task)
        out = tmp_path / task / "checkpoint.pth.tar"
        train(TrainConfig(model, data, out, epochs=1, lr=1e-6, readout_decay=decay, threads=1))
        assert load(out).layers[-1].neuron.a_v == pytest.approx(decay, abs=1e-3)


# --- through the integers


@pytest.mark.parametrize("decay", [0.8, 1.0])
def test_the_integers_that_train_say_at_each_step_what_the_engine_says(decay: float) -> None:
    x = RNG.integers(-60, 120, (6, 40, 4)).astype(np.int16)
    data = Dataset(x, RNG.integers(0, 6, (6, 40)), 1 / 32, RNG.integers(20, 41, 6))
    network = load(leaking() if decay < 1 else build("ecg", seed=1))
    fixed = tc.quantize(network, "loihi2", data)
    tuned = QuantizedNetwork(list(to_module(network).float()), fixed, tc.load_target("loihi2"))
    integers = torch.from_numpy(fixed.input.encode(data.x, data.scale)[0]).float()
    expected = tc.simulate(fixed, data, readouts=True, lengths=np.full(6, 40))
    assert expected.readouts is not None
    spikes = tuned.spikes(integers)[-1]
    np.testing.assert_array_equal(tuned._soma(spikes).transpose(1, 0, 2), expected.readouts)
    scores = tuned.readouts(spikes).transpose(0, 1)
    np.testing.assert_array_equal(scores.argmax(2), expected.step_classes)
    said = tuned.answers(integers, None, by_step=True, labels=False).detach().numpy()
    np.testing.assert_allclose(said, expected.readouts * fixed.readout_unit, rtol=1e-6)
    last = tuned.answers(integers, torch.from_numpy(data.lengths), by_step=False, labels=False).detach().numpy()  # type: ignore[arg-type]
    np.testing.assert_allclose(last, said[np.arange(6), data.lengths - 1], rtol=1e-6)  # type: ignore[operator]
    scores.sum().backward()
    assert tuned.leak is None or tuned.leak.leak.grad is None
    assert all(p.grad is not None for p in tuned.parameters() if p.requires_grad and p.numel() > 1)


def test_on_a_fine_grid_the_gradient_of_each_step_is_the_float_networks() -> None:
    machine = tc.load_target("loihi2").override(
        weight_bits=16, coefficient_bits=20, state_bits=32, rounding="nearest"
    )  # fmt: skip
    modules = [linear(4, 12), Recurrent(TCLIF(), 12, bias=False), linear(12, 3), LeakyReadout(3, 0.7)]
    torch.manual_seed(1)
    for module in modules[::2]:
        torch.nn.init.normal_(module.weight, std=0.3)  # type: ignore[arg-type]
    network = load(torch.nn.Sequential(*modules))
    x = RNG.integers(-60, 120, (8, 30, 4)).astype(np.int16)
    data = Dataset(x, RNG.integers(0, 3, (8, 30)), 1 / 64)
    fixed = tc.quantize(network, machine, data)
    tuned = QuantizedNetwork(list(to_module(network).float()), fixed, machine)
    exact = SequenceNetwork(list(to_module(load(torch.nn.Sequential(*tuned.features))).float()))
    integers = torch.from_numpy(fixed.input.encode(data.x, data.scale)[0]).float()
    labels = torch.from_numpy(data.y)  # type: ignore[arg-type]
    for net, given, dtype in ((tuned, integers, None), (exact, torch.tensor(data.values()).float(), torch.bfloat16)):
        said = net.answers(given, None, by_step=True, labels=True, dtype=dtype)
        torch.nn.functional.cross_entropy(said.flatten(0, 1), labels.flatten()).backward()
    parameters = dict(tuned.named_parameters())
    for name, parameter in exact.named_parameters():
        if name.endswith("leak"):
            continue
        assert parameter.grad is not None
        grad = parameters[name].grad
        assert grad is not None
        assert (grad - parameter.grad).norm() / parameter.grad.norm() < 0.05, name


@pytest.mark.slow
@pytest.mark.parametrize("task", ["step-label", "step-value", "value"])
def test_fine_tuning_takes_it_too(task: Any, tmp_path: Path, capsys: Any) -> None:
    model, data = write_tasks(tmp_path / "data", task)
    out = tmp_path / "run" / "checkpoint.pth.tar"
    train(TrainConfig(model, data, out, epochs=8, batch_size=16, lr=1e-2, warmup=0.5, threads=1))
    words = ["finetune", str(out), "--data", str(data), "-o", str(tmp_path / "build"), "--backend", "none",
             "--weight-bits", "4", "--epochs", "3", "--lr", "5e-4", "--batch-size", "16"]  # fmt: skip
    assert run([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    tuning = report["finetune"]
    last = tuning["epochs_tuned"][-1]
    assert last["task"] == report["task"] == task
    if task == "step-label":
        assert tuning["tuned"] == report["accuracy"]["fixed"] == last["test"]
        assert tuning["tuned"] > tuning["quantized"] - 0.02
        assert 0 < tuning["control"]["agreement"] <= 1
    else:
        assert tuning["tuned"] is None
        numbers = tuning["numbers"]
        assert numbers["tuned"]["rmse"] == report["rmse"]["fixed"]
        assert last["numbers"]["test_rmse"] == pytest.approx(report["rmse"]["fixed"], rel=1e-4)
        assert numbers["tuned"]["rmse"] < 1.2 * numbers["quantized"]["rmse"]  # a short training: luck
        assert numbers["control"]["rmse"] > 0
    tuned = load(tmp_path / "build" / "tuned" / "checkpoint.pth.tar")
    assert tuned.layers[-1].neuron.a_v == pytest.approx(load(out).layers[-1].neuron.a_v)
    assert run(["finetune", *words[1:]]) == 0
    printed = capsys.readouterr().out
    assert ("of steps" if task == "step-label" else "R²") in printed


def test_a_rule_that_is_not_trained_is_refused_by_name(tmp_path: Path, capsys: Any) -> None:
    model, data = write_tasks(tmp_path / "data", "step-value")
    out = tmp_path / "run" / "checkpoint.pth.tar"
    train(TrainConfig(model, data, out, epochs=1, threads=1))
    line = refused(capsys, "finetune", out, "--data", data, "-o", tmp_path / "build", "--readout", "max", "-q")
    assert "readout max: cannot be fine-tuned" in line


# --- what is wrong with data


@pytest.mark.parametrize(
    ("task", "change", "said"),
    [
        ("step-label", {"y": lambda y: y + 1}, "labels lie in 1..6; ecg has the classes 0..5"),
        ("step-value", {"y": lambda y: np.where(y > 1e-9, y, np.nan)}, "is nan; targets must be finite"),
        ("step-value", {"y": lambda y: np.repeat(y, 2, axis=2)}, "y has 2 values a step; mackey-glass has 1 output"),
        ("value", {"y": lambda y: np.repeat(y, 2, axis=1)}, "y has 2 values a sample; mackey-glass has 1 output"),
        ("step-label", {"y": lambda y: y[:, :-1]}, "can mean value for x"),
        ("step-label", {"mask": lambda _: np.zeros((64, 60), bool)}, "mask leaves no step to judge"),
        ("step-label", {"y": lambda _: None, "mask": lambda _: np.ones((64, 60), bool)}, "mask without targets"),
        ("step-label", {"y": lambda _: None}, "has no labels"),
        ("step-label", {"x": lambda x: x[:, :, :3]}, "3 features a step; ecg takes 4"),
        ("step-label", {"y": lambda y: y[:, 0]}, "y is of task step-label, .*'s of label"),
    ],
)
def test_wrong_data_are_one_line(task: Any, change: dict[str, Any], said: str, tmp_path: Path, capsys: Any) -> None:
    model, data = write_tasks(tmp_path / "data", task)
    held = dict(np.load(data / "train.npz"))
    held |= {name: make(held.get(name)) for name, make in change.items()}
    np.savez(data / "train.npz", **{name: value for name, value in held.items() if value is not None})
    line = refused(capsys, "train", model, "--data", data, "-o", tmp_path / "run" / "checkpoint.pth.tar")
    assert re.search(said, line), line
    assert not (tmp_path / "run").exists()
