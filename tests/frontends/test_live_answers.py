"""What a live model returns is what its network says: by a rule that is found, or it is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tclif_deploy import load, simulate
from tclif_deploy.errors import TclifError
from tclif_deploy.nn import LIF, TCLIF

X = (np.random.default_rng(0).random((24, 30, 10)) < 0.3).astype(float)
STEPS = X.shape[1]


class Net(nn.Module):
    """Two layers; ``answer`` makes of the outputs (samples, time, outputs) what it returns."""

    def __init__(self, answer: Any, spiking: bool = False, outputs: int = 6, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.answer, self.scale = answer, scale
        self.a, self.n, self.b = nn.Linear(10, 30), TCLIF(threshold=1.0, gamma=0.5), nn.Linear(30, outputs)
        self.out = LIF(threshold=1.0) if spiking else None
        with torch.no_grad():
            self.a.weight.mul_(4)
            self.b.weight.mul_(3)

    def forward(self, x: Any) -> Any:
        self.n.reset_state()
        if self.out is not None:
            self.out.reset_state()
        steps = [self.b(self.n(self.a(x[:, t]))) * self.scale for t in range(x.shape[1])]
        if self.out is not None:
            steps = [self.out(step) for step in steps]
        return self.answer(torch.stack(steps, 1))


def scores(model: nn.Module) -> np.ndarray:
    with torch.no_grad():
        return model.double().eval()(torch.tensor(X)).numpy()


RULES = {
    "last": (lambda o: o.sum(1), "last"),
    "max": (lambda o: o.max(1)[0], "max"),
    "amax": (lambda o: o.amax(1), "max"),
    "last step": (lambda o: o[:, -1], "last"),
    "mean": (lambda o: o.mean(1), "mean"),
    "softmax": (lambda o: torch.softmax(o, -1).sum(1), "softmax"),
}
SPIKES = {
    "count": (lambda o: o.sum(1), "count"),
    "rate": (lambda o: o.mean(1), "rate"),
    "last step": (lambda o: o[:, -1], "step"),
    "votes": (lambda o: nn.functional.avg_pool1d(o.sum(1)[:, None], 2)[:, 0], "votes:2"),
    "rate of votes": (lambda o: nn.functional.avg_pool1d(o.mean(1)[:, None], 3)[:, 0], "rate:3"),
}


@pytest.mark.parametrize(
    ("answer", "rule", "spiking"),
    [(*RULES[name], False) for name in RULES] + [(*SPIKES[name], True) for name in SPIKES],
)
def test_a_rule_is_found_by_what_is_returned(answer: Any, rule: str, spiking: bool) -> None:
    model = Net(answer, spiking)
    network = load(model, example_input=X)
    assert str(network.readout) == rule
    said, returned = simulate(network, X), scores(model)
    assert (said.classes == returned.argmax(1)).all()
    assert np.abs(said.readout - returned).max() <= 1e-9 * max(1, np.abs(returned).max())
    assert any("the model returns" in notice for notice in network.notices)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda o: o.sum(1) / 7, "0.142857 times"),
        (lambda o: torch.log_softmax(o.sum(1), -1), "log_softmax"),
        (lambda o: torch.softmax(o.max(1)[0], -1), "softmax of the greatest soma"),
        (lambda o: o.sum(1).argmax(1), "returns classes"),
        (lambda o: o, "each step's output"),
        (lambda o: o.transpose(0, 1), "each step's output"),
        (lambda o: (o.sum(1), o), "the sum of all steps"),
        (lambda o: {"logits": o.sum(1)}, "the sum of all steps"),
    ],
)
def test_what_has_the_same_classes_is_told(answer: Any, said: str) -> None:
    network = load(Net(answer), example_input=X)
    assert any(said in notice for notice in network.notices), network.notices


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_rate_of_spikes_in_single_precision_is_a_rate(dtype: Any) -> None:
    """Libraries give spikes in single precision, whose mean over 30 steps no double equals."""
    network = load(Net(lambda o: o.to(dtype).mean(1), spiking=True), example_input=X)
    assert str(network.readout) == "rate"


def test_classes_that_several_rules_have_are_refused() -> None:
    with pytest.raises(TclifError, match="several readouts"):
        load(Net(lambda o: o.amax(1).argmax(-1)), example_input=X[:1, :3])


class Unknown(nn.Module):
    def forward(self, x: Any) -> Any:
        return (x > 0).to(x)


@pytest.mark.parametrize(
    "answer",
    [
        lambda o: o[:, STEPS // 2 :].sum(1),
        lambda o: -o.sum(1),
        lambda o: nn.functional.avg_pool1d(o.sum(1)[:, None], 2)[:, 0],
        lambda o: (o > 0).double().sum(1),
        lambda o: o.sum(1) + torch.arange(6),
        lambda o: o.median(1)[0],
        lambda o: torch.softmax(o, -1),
    ],
)
def test_what_no_rule_says_is_refused_by_name(answer: Any) -> None:
    with pytest.raises(TclifError, match="what the model returns"):
        load(Net(answer), example_input=X)


@pytest.mark.parametrize("answer", [lambda o: o, lambda o: o.amax(1), lambda o: -o.sum(1)])
def test_a_rule_that_is_given_reads_the_model_s_own_outputs(answer: Any) -> None:
    """Whatever it returns: its steps, what the rule says, or something else."""
    network = load(Net(answer), example_input=X, readout="max")
    assert np.abs(simulate(network, X).readout - scores(Net(lambda o: o.amax(1)))).max() < 1e-6


def test_a_rule_that_is_given_wins_and_says_so() -> None:
    network = load(Net(lambda o: -o.sum(1)), example_input=X, readout="max")
    assert str(network.readout) == "max"
    assert any("something else than the readout max" in notice for notice in network.notices)


def test_an_unknown_last_module_is_not_dropped() -> None:
    unknown = Unknown()
    model = Net(lambda o: sum(unknown(o[:, t]) for t in range(STEPS)))
    model.unknown = unknown
    with pytest.raises(TclifError, match=r"not read: unknown \(Unknown\)"):
        load(model, example_input=X)


def test_a_rule_that_the_example_cannot_tell_apart_is_named() -> None:
    model, x = Net(lambda o: o.sum(1), spiking=True), np.where(np.arange(STEPS)[None, :, None] < STEPS - 1, 0.0, X)
    with torch.no_grad():
        model.a.bias.zero_()
        model.b.bias.zero_()
        model.b.weight.mul_(9)
    network = load(model, example_input=x)
    assert str(network.readout) == "count"
    assert any("would say the same on this example" in notice for notice in network.notices)


def test_an_example_on_which_nothing_fires_proves_nothing() -> None:
    model = Net(lambda o: o.sum(1))
    with torch.no_grad():
        model.a.weight.zero_()
        model.a.bias.zero_()
    network = load(model, example_input=X)
    assert any("proves nothing" in notice for notice in network.notices)
