"""Landscape and quadrants: what a point is, seeds, points that are kept, and what is refused."""

import json
from itertools import product

import numpy as np
import pytest
import torch

from tclif_deploy import Connection, Dataset, Layer, Network, TclifError, load, neurons, simulate
from tclif_deploy.analysis import coupling_search, landscape, loss_surface, quadrants
from tclif_deploy.analysis.coupling_search import SignedTCLIF
from tclif_deploy.nn import Recurrent, SequenceNetwork
from tclif_deploy.report.analyses import analysis_blocks

RNG = np.random.default_rng(5)


def network(features: int = 2, outputs: int = 3, neuron=None) -> Network:
    neuron = neurons.tclif(6, c1=0.0, c2=0.0, gamma=0.5, threshold=1.0) if neuron is None else neuron
    own = np.random.default_rng(1)
    links = (Connection("input", own.normal(0.2, 0.5, (6, features))), Connection("a", own.normal(0, 0.2, (6, 6)), 1))
    return Network(features, (
        Layer("a", neuron, links),
        Layer("out", neurons.readout(outputs), (Connection("a", own.normal(0, 0.5, (outputs, 6))),)),
    ))  # fmt: skip


def labelled(count: int = 8, time: int = 20) -> Dataset:
    return Dataset(RNG.random((count, time, 2)), y=RNG.integers(0, 3, count), name="labelled")


# --- landscape


def test_the_middle_is_the_network_s_own_loss():
    net, data = network(), labelled()
    logits = torch.from_numpy(simulate(net, data).readout)
    expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(data.y)).item()
    found = landscape(net, data, points=5, span=0.5)
    assert found.centre == pytest.approx(expected)
    assert found.at == pytest.approx((-0.5, -0.25, 0.0, 0.25, 0.5))
    assert [ring.points for ring in found.rings] == [1, 8, 16]


def test_labels_and_numbers_of_steps_count_where_they_are_judged():
    net, time = network(), 12
    mask = np.zeros((4, time), np.bool_)
    mask[:, 8:] = True
    x, y = RNG.random((4, time, 2)), RNG.integers(0, 3, (4, time))
    said = torch.from_numpy(simulate(net, x, readouts=True).readouts[:, 8:].reshape(-1, 3).copy())
    loss = torch.nn.functional.cross_entropy(said, torch.from_numpy(y[:, 8:].ravel())).item()
    assert landscape(net, Dataset(x, y=y, mask=mask, task="step-label"), points=3).centre == pytest.approx(loss)
    numbers = RNG.normal(size=(4, 3))
    error = ((simulate(net, x).readout - numbers) ** 2).mean()
    assert landscape(net, Dataset(x, y=numbers), points=3).centre == pytest.approx(error)


def test_a_slice_is_its_seed_s_and_directions_are_as_long_as_the_weights():
    net, data = network(), labelled()
    assert landscape(net, data, points=3) == landscape(net, data, points=3)
    assert landscape(net, data, points=3).loss != landscape(net, data, points=3, seed=1).loss
    for direction in loss_surface.random_directions(net, 4):
        for layer, parts in zip(net.layers, direction, strict=True):
            for connection, part in zip(layer.connections, parts, strict=True):
                np.testing.assert_allclose(np.linalg.norm(part, axis=1), np.linalg.norm(connection.weight, axis=1))


def test_states_that_grow_without_end_have_no_loss():
    wild = neurons.two_compartment(6, alpha1=1e9, beta1=0.0, alpha2=1.0, beta2=1.0, threshold=1.0)
    data = labelled(time=60)
    assert loss_surface.loss_of(network(neuron=wild), data) is None
    with pytest.raises(TclifError, match="own loss is not finite"):
        landscape(network(neuron=wild), data, points=3)


def test_an_interrupted_landscape_goes_on_and_does_not_measure_again(tmp_path, monkeypatch):
    net, data, kept = network(), labelled(), tmp_path / "l.json"
    whole, measured, real = landscape(net, data, points=5), [], loss_surface.loss_of

    def interrupted(moved, samples):
        if len(measured) == 10:
            raise KeyboardInterrupt
        measured.append(moved)
        return real(moved, samples)

    monkeypatch.setattr(loss_surface, "loss_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        landscape(net, data, points=5, kept=kept)
    measured.clear()
    monkeypatch.setattr(loss_surface, "loss_of", lambda *given: measured.append(given) or real(*given))
    assert landscape(net, data, points=5, kept=kept) == whole
    assert len(measured) == 15


def test_points_of_something_else_are_refused(tmp_path):
    net, data, kept = network(), labelled(), tmp_path / "l.json"
    landscape(net, data, points=3, kept=kept)
    for call in (
        lambda: landscape(net, data, points=5, kept=kept), lambda: landscape(net, data, points=3, seed=1, kept=kept),
        lambda: landscape(net, labelled(), points=3, kept=kept), lambda: quadrants(net, data, points=1, kept=kept),
    ):  # fmt: skip
        with pytest.raises(TclifError, match=r"l\.json: holds points of another network, data or settings"):
            call()
    kept.write_text('{"analysis": "landscape"')
    with pytest.raises(TclifError, match=r"l\.json: is not JSON"):
        landscape(net, data, points=3, kept=kept)


def test_two_searches_on_one_file_keep_the_points_of_both(tmp_path, monkeypatch):
    net, data, kept = network(), labelled(16), tmp_path / "q.json"
    quick = {"points": 1, "neurons": 4, "epochs": 1, "kept": kept}
    real, trained = coupling_search._trained, []

    def other(*given):
        trained.append(given)
        if len(trained) == 2:  # another process, with a seed of its own, while this one is under way
            quadrants(net, data, **quick, seed=5)
        return real(*given)

    monkeypatch.setattr(coupling_search, "_trained", other)
    quadrants(net, data, **quick)
    assert len(json.loads(kept.read_text())["points"]) == 8


@pytest.mark.parametrize("figure", [-0.5, -1e300])
def test_a_loss_that_none_can_be_is_refused(tmp_path, figure):
    net, data, kept = network(), labelled(), tmp_path / "l.json"
    landscape(net, data, points=3, kept=kept)
    stored = json.loads(kept.read_text())
    stored["points"]["0,1"] = figure
    kept.write_text(json.dumps(stored))
    with pytest.raises(
        TclifError, match=r"l\.json: the figure of point '0,1' is -.*, which none can be; choose another"
    ):
        landscape(net, data, points=3, kept=kept)
    assert json.loads(kept.read_text()) == stored


def test_an_accuracy_beyond_1_is_refused(tmp_path):
    net, data, kept = network(), labelled(16), tmp_path / "q.json"
    quick = {"points": 1, "neurons": 4, "epochs": 1, "kept": kept}
    quadrants(net, data, **quick)
    stored = json.loads(kept.read_text())
    stored["points"]["0.8,0.8,0"] = 1.25
    kept.write_text(json.dumps(stored))
    with pytest.raises(TclifError, match=r"the figure of point '0.8,0.8,0' is 1.25"):
        quadrants(net, data, **quick)


def test_distances_are_those_of_a_square_s_sides_and_its_corners_are_said():
    net = network()
    first, second = loss_surface.random_directions(net, 0)
    weight = net.layers[0].connections[0].weight
    moved = np.linalg.norm(first[0][0] + second[0][0], axis=1) / np.linalg.norm(weight, axis=1)
    assert moved.mean() > 1.1  # so a corner is no point at distance 1
    said = " ".join(str(getattr(block, "text", "")) for block in analysis_blocks(landscape(net, labelled(), points=3)))
    assert "the square's corners about 1.41 times as far" in said


def test_what_a_landscape_cannot_be_of_is_refused():
    net = network()
    for arguments, says in (
        ({"points": 4}, "points is 4; an odd number is needed"),
        ({"points": 0}, "landscape: points is 0"),
        ({"span": 0.0}, "landscape: span is 0.0"),
    ):
        with pytest.raises(TclifError, match=says):
            landscape(net, labelled(), **arguments)
    with pytest.raises(TclifError, match=r"data: has no labels \(y\), which the loss needs; give labelled samples"):
        landscape(net, RNG.random((2, 5, 2)))


# --- quadrants


@pytest.mark.parametrize(("beta1", "beta2"), product((-0.4, 0.4), repeat=2))
def test_every_sign_trains_as_torch_s_own_operations_would(beta1, beta2):
    torch.manual_seed(0)
    modules = [torch.nn.Linear(2, 5), Recurrent(SignedTCLIF(beta1, beta2), 5), torch.nn.Linear(5, 3)]
    net = SequenceNetwork(modules).double()
    x = torch.rand(4, 10, 2, dtype=torch.float64)
    grads = [torch.autograd.grad(net(x, plain=plain).square().sum(), list(net.parameters())) for plain in (False, True)]
    for fused, plain in zip(*grads, strict=True):
        torch.testing.assert_close(fused, plain)
    assert grads[0][0].abs().max() > 0


def test_each_point_is_its_seed_s_and_all_quadrants_are_there():
    net, data = network(), labelled(16)
    first, again = (quadrants(net, data, points=2, neurons=4, epochs=1, seeds=2) for _ in range(2))
    assert first == again
    assert len(first.points) == 16
    assert sorted({point.beta1 for point in first.points}) == [-0.8, -0.4, 0.4, 0.8]
    assert [sum(point.quadrant == n for point in first.points) for n in range(4)] == [4] * 4
    assert (first.trained, first.tested, first.seeds, first.recurrent) == (12, 4, (0, 1), True)
    later = quadrants(net, data, points=2, neurons=4, epochs=1, seed=1)
    assert [point.figures[0] for point in later.points] == [point.figures[1] for point in first.points]


def test_an_interrupted_search_goes_on_and_does_not_train_again(tmp_path, monkeypatch):
    net, data, kept = network(), labelled(16), tmp_path / "q.json"
    quick = {"points": 1, "neurons": 4, "epochs": 1}
    whole, trained, real = quadrants(net, data, **quick), [], coupling_search._trained

    def interrupted(*given):
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(given)
        return real(*given)

    monkeypatch.setattr(coupling_search, "_trained", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quadrants(net, data, **quick, kept=kept)
    monkeypatch.setattr(coupling_search, "_trained", lambda *given: trained.append(given) or real(*given))
    assert quadrants(net, data, **quick, kept=kept) == whole
    assert len(trained) == 4
    assert len(quadrants(net, data, **quick, seeds=2, kept=kept).points[0].figures) == 2
    assert len(trained) == 8


def test_states_that_grow_beyond_all_numbers_are_a_training_that_diverged():
    x = RNG.random((8, 400, 2))
    found = quadrants(network(outputs=1), Dataset(x, y=x.mean(2, keepdims=True)), points=1, neurons=4, epochs=1)
    assert found.figure == "R2"
    diverged = {point.quadrant for point in found.points if point.mean is None}
    assert diverged == {0, 2}
    assert found.best.quadrant in (1, 3)


def test_what_cannot_be_trained_on_is_refused():
    with pytest.raises(TclifError, match="3 samples are too few; at least 4 are needed"):
        quadrants(network(), labelled(3), points=1)
    with pytest.raises(TclifError, match=r"has no labels \(y\), which training needs"):
        quadrants(network(), RNG.random((8, 5, 2)))
    with pytest.raises(TclifError, match="the targets of the 1 held-out sample do not vary"):
        quadrants(network(outputs=1), Dataset(RNG.random((4, 5, 2)), y=np.ones((4, 1))))
    with pytest.raises(TclifError, match="quadrants: points is 0"):
        quadrants(network(), labelled(), points=0)
    with pytest.raises(TclifError, match="quadrants: seeds is 0"):
        quadrants(network(), labelled(), seeds=0)


def test_a_step_that_leaves_no_neuron_possible_is_a_training_that_diverged():
    digits, test = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    found = quadrants(load(digits), test, samples=40, points=1, neurons=4, epochs=1, lr=1e6)
    assert (None,) in [point.figures for point in found.points]
