"""What a live module's classes promise is held against what they do, and what only an example shows is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tclif_deploy as tc
from tclif_deploy import TclifError, load, save
from tclif_deploy.nn import TCLIF
from tclif_deploy.simulation.floating import simulate_float
from tests.helpers import authors_modules as authors

X = (np.random.default_rng(0).random((8, 30, 10)) < 0.4).astype(float)


def fires(u):
    return (u >= 0).to(u)


class TCLIFNode(nn.Module):
    """A successor's neuron under the authors' class name: both compartments leak."""

    leak = 0.9

    def __init__(self) -> None:
        super().__init__()
        self.v_threshold, self.v_reset, self.gamma, self.hard_reset = 1.0, 0.0, 0.5, False
        self.decay_factor = nn.Parameter(torch.tensor([[0.2, -0.3]]))
        self.surrogate_function = fires
        self.reset()

    def reset(self) -> None:
        self.v1 = self.v2 = 0.0

    def forward(self, x):
        d = torch.sigmoid(self.decay_factor[0])
        self.v1 = self.leak * self.v1 - d[0] * self.v2 + x
        self.v2 = self.leak * self.v2 + d[1] * self.v1
        spikes = fires(self.v2 - self.v_threshold)
        self.v1, self.v2 = self.v1 - self.gamma * spikes, self.v2 - self.v_threshold * spikes
        return spikes


class Faithful(TCLIFNode):
    leak = 1.0


Faithful.__name__ = "TCLIFNode"


class Broken(TCLIFNode):
    def forward(self, x):
        raise ValueError("wants more")


Broken.__name__ = "TCLIFNode"


def stack(neuron: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, 16), neuron, nn.Linear(16, 4))


@pytest.mark.parametrize("read", [load, lambda model: save(model, "model.pt")])
def test_a_successor_of_the_same_class_name_is_refused_without_an_example(read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TclifError, match=r"1 \(TCLIFNode\) does not step as the neuron that its class name promises"):
        read(stack(TCLIFNode()))
    assert list(tmp_path.iterdir()) == []


def test_the_authors_own_neurons_and_one_that_keeps_the_promise_are_read():
    assert load(stack(Faithful())).notices == ()
    for hard in (False, True):
        for neuron in (authors.TCLIFNode(1.3, 0.4, hard_reset=hard), authors.LIFNode(0.7), authors.ParametricLIFNode()):
            load(stack(neuron))
    recurrent = authors.Net(nn.Linear(10, 16), authors.LinearRecurrentContainer(authors.TCLIFNode(1.0, 0.5), 16),
                            nn.Linear(16, 4))  # fmt: skip
    load(recurrent)


def test_a_subclass_of_ours_that_does_something_else_is_refused():
    class Doubling(TCLIF):
        def forward(self, x):
            return super().forward(2 * x)

    with pytest.raises(TclifError, match=r"Doubling\) does not step as"):
        load(stack(Doubling(threshold=1.0, gamma=0.5)))


def test_the_module_is_left_as_it_was():
    model = stack(Faithful())
    model[1](torch.ones(2, 16))
    before = model[1].v1.clone()
    load(model)
    assert torch.equal(model[1].v1, before)
    assert model[1].decay_factor.dtype == torch.float32


def test_what_cannot_be_stepped_is_said_to_be_unchecked():
    (notice,) = load(stack(Broken())).notices
    assert "stepping it failed (ValueError: wants more), so nothing was checked" in notice


class Skip(nn.Module):
    """Its forward adds a skip connection that its list of modules does not show."""

    skip = True

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.n1 = nn.Linear(10, 12), TCLIF(threshold=1.0, gamma=0.5)
        self.b, self.n2, self.c = nn.Linear(12, 12), TCLIF(threshold=1.0, gamma=0.5), nn.Linear(12, 5)
        with torch.no_grad():
            self.a.weight.mul_(3)
            self.b.weight.mul_(3)

    def forward(self, x):
        self.n1.reset_state()
        self.n2.reset_state()
        y = 0
        for t in range(x.shape[1]):
            h = self.n1(self.a(x[:, t]))
            y = y + self.c(self.n2(self.b(h)) + (h if self.skip else 0))
        return y


class Plain(Skip):
    skip = False


class Rate(nn.Module):
    """Returns the share of steps in which each output fired."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.n = nn.Linear(10, 4), TCLIF(threshold=1.0, gamma=0.5)
        with torch.no_grad():
            self.a.weight.mul_(3)

    def forward(self, x):
        self.n.reset_state()
        return sum(self.n(self.a(x[:, t])) for t in range(x.shape[1])) / x.shape[1]


def test_a_forward_of_its_own_is_said_not_to_have_been_run(tmp_path):
    (notice,) = load(Skip()).notices
    assert notice.endswith("its forward was not run, and what it does beyond its modules only an example shows: "
                           "load(module, example_input=x)")  # fmt: skip
    with pytest.warns(UserWarning, match=r"its forward was not run.*save\(module, path, example_input=x\)"):
        save(Skip(), tmp_path / "model.pt")
    assert load(tmp_path / "model.pt").notices == (notice,)


def test_so_it_is_of_a_module_with_a_single_one_inside():
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = stack(TCLIF())

        def forward(self, x):
            return -self.inner(x)

    (notice,) = load(Wrapped()).notices
    assert "model (Wrapped): its forward was not run" in notice


def test_save_compares_on_an_example_and_refuses_what_its_file_would_lose(tmp_path, recwarn):
    with pytest.raises(TclifError, match=r"model \(Skip\): its forward does something else than its modules in their"):
        save(Skip(), tmp_path / "model.pt", example_input=X)
    assert not (tmp_path / "model.pt").exists()
    save(Plain(), tmp_path / "plain.pt", example_input=X)
    assert not [w for w in recwarn if issubclass(w.category, UserWarning)]
    assert load(tmp_path / "plain.pt").notices == ()
    with torch.no_grad():
        wanted = Plain().double()(torch.tensor(X)).numpy()
    np.testing.assert_allclose(simulate_float(load(tmp_path / "plain.pt"), X).readout, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:save")
def test_a_file_holds_the_readout_rule_that_was_found_or_said(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 16), TCLIF(), nn.Linear(16, 4), TCLIF())
    save(model, tmp_path / "usual.pt")
    save(model, tmp_path / "rate.pt", readout="rate")
    assert [str(load(tmp_path / name).readout) for name in ("usual.pt", "rate.pt")] == ["count", "rate"]
    assert str(load(tmp_path / "rate.pt", readout="votes:2").readout) == "votes:2"
    with pytest.raises(TclifError, match="readout 'loudest' is not known"):
        save(model, tmp_path / "no.pt", readout="loudest")
    assert not (tmp_path / "no.pt").exists()
    save(Rate(), tmp_path / "found.pt", example_input=X)
    assert str(load(tmp_path / "found.pt").readout) == "rate"


def test_compile_takes_an_example_for_a_live_module(tmp_path):
    options = tc.CompileOptions(backend="none", quantize=tc.QuantizeSettings(passes=()))
    build = tc.compile(Skip(), data=X, output=tmp_path / "b", options=options, example_input=X[:4])
    with torch.no_grad():
        wanted = Skip().double()(torch.tensor(X)).numpy()
    np.testing.assert_allclose(simulate_float(build.network, X).readout, wanted, rtol=1e-5, atol=1e-5)
    with pytest.raises(TclifError, match="an example input is for live modules, not for files"):
        tc.compile("fixtures/spoken_digits/checkpoint.pth.tar", output=Path(tmp_path, "c"), example_input=X)
