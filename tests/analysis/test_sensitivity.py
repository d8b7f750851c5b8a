"""Sensitivity to errors of weights: linear networks by hand, the integers beside `verify`, what counts, no answers."""

from dataclasses import replace

import numpy as np
import pytest

from tclif_deploy import Connection, Dataset, Layer, Network, TclifError, neurons, verify
from tclif_deploy.analysis import sensitivity, weight_sensitivity
from tclif_deploy.analysis.weight_sensitivity import LEVELS
from tclif_deploy.builds import Build
from tclif_deploy.readout import Readout
from tclif_deploy.report.analyses import analysis_blocks, figure_of
from tclif_deploy.simulation import simulate
from tests.helpers import checkpoints

RNG = np.random.default_rng(3)


def linear(weight) -> Network:
    weight = np.asarray(weight, np.float64)
    return Network(weight.shape[1], (Layer("out", neurons.readout(len(weight)), (Connection("input", weight),)),))


def spiking(outputs: int = 3) -> Network:
    own = np.random.default_rng(1)
    links = (Connection("input", own.normal(0.2, 0.5, (6, 2))), Connection("a", own.normal(0, 0.2, (6, 6)), 1))
    return Network(2, (
        Layer("a", neurons.tclif(6, c1=0.0, c2=0.0, gamma=0.5, threshold=1.0), links),
        Layer("out", neurons.readout(outputs), (Connection("a", own.normal(0, 0.5, (outputs, 6))),)),
    ))  # fmt: skip


def with_errors(network: Network, level: float, seed: int) -> Network:
    """What the function does, written down once more."""
    rng = np.random.default_rng(seed)
    layers = []
    for layer in network.layers:
        links = [
            replace(link, weight=link.weight * (1 + level * rng.standard_normal(link.weight.shape)))
            for link in layer.connections
        ]
        layers.append(replace(layer, connections=tuple(links)))
    return replace(network, layers=tuple(layers))


def test_a_linear_network_is_off_by_what_its_weights_are():
    weight, x = np.array([[1.0, -2.0], [0.5, 3.0]]), RNG.random((50, 4, 2))
    found = sensitivity(linear(weight), Dataset(x), seed=4)
    drawn = np.random.default_rng(4).standard_normal((2, 2))
    own, change = x.sum(1) @ weight.T, x.sum(1) @ (weight * drawn).T
    for level, point in zip(LEVELS, found.floats, strict=True):
        assert point.readout_error == pytest.approx(level * np.sqrt((change**2).mean()) / own.std(), rel=1e-6)
        assert point.agreement == np.mean((own + level * change).argmax(1) == own.argmax(1))
    assert found.integers is None
    assert sensitivity(linear(weight), Dataset(x), seed=5) != found


def test_steps_are_those_that_mask_and_lengths_leave_in():
    network, time = spiking(), 16
    x, lengths = RNG.random((9, time, 2)), np.array([3, 16, 9, 5, 12, 16, 1, 8, 2])
    mask = RNG.random((9, time)) < 0.6
    mask[:, 0] = True
    counts = mask & (np.arange(time) < lengths[:, None])
    own, other = (simulate(net, x, readouts=True).readouts[counts] for net in (network, with_errors(network, 0.1, 7)))
    for y, task in ((RNG.integers(0, 3, (9, time)), "step-label"), (RNG.random((9, time, 3)), "step-value")):
        found = sensitivity(network, Dataset(x, y=y, task=task, mask=mask, lengths=lengths), seed=7)
        assert found.at(0.1).readout_error == pytest.approx(np.sqrt(((other - own) ** 2).mean()) / own.std())
        same = np.mean(other.argmax(1) == own.argmax(1)) if task == "step-label" else None
        assert found.at(0.1).agreement == same
    last = lengths - 1
    own, other = (
        simulate(net, x, readouts=True).readouts[np.arange(9), last] for net in (network, with_errors(network, 0.1, 7))
    )
    found = sensitivity(network, Dataset(x, lengths=lengths), seed=7)
    assert found.at(0.1).readout_error == pytest.approx(np.sqrt(((other - own) ** 2).mean()) / own.std())
    with pytest.raises(TclifError, match="mask leaves no step to judge"):
        sensitivity(network, Dataset(x, y=RNG.integers(0, 3, (9, time)), mask=np.zeros_like(mask), task="step-label"))
    with pytest.raises(TclifError, match="a network by itself has no samples"):
        sensitivity(network)


def test_it_does_not_depend_on_how_many_samples_run_at_once_and_counts_them(monkeypatch):
    data, seen = Dataset(RNG.random((11, 20, 2))), []
    whole = sensitivity(spiking(), data, progress=lambda done, total: seen.append((done, total)))
    monkeypatch.setattr(weight_sensitivity, "BATCH", 3)
    parts = sensitivity(spiking(), data, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(11, 11), (3, 11), (6, 11), (9, 11), (11, 11)]
    for a, b in zip(whole.floats, parts.floats, strict=True):
        assert (a.agreement, a.readout_error) == (b.agreement, pytest.approx(b.readout_error))


@pytest.fixture(scope="module")
def build(tmp_path_factory) -> Build:
    from tclif_deploy.cli.main import run

    folder = tmp_path_factory.mktemp("sensitivity")
    model, data = checkpoints.write_checkpoint(folder / "net"), checkpoints.write_data(folder / "data.npz")
    options = ("--backend", "none", "--passes", "none", "--weight-bits", "3", "-q")
    assert run(["compile", str(model), *options, "--calibration", str(data), "-o", str(folder / "build")]) == 0
    return Build.open(folder / "build")


def test_the_integers_agree_as_verify_says_and_err_as_their_readouts_do(build):
    data = build.calibration.load()
    found = sensitivity(build)
    assert (found.samples, found.task) == (data.samples, "label")
    assert found.integers.agreement == verify(build.network, build.fixed, data).agreement_argmax
    own, said = (simulate(network, data).readout for network in (build.network, build.fixed))
    error = said * build.fixed.readout_unit - own
    assert found.integers.readout_error == pytest.approx(np.sqrt((error**2).mean()) / own.std())
    assert found.floats == sensitivity(build.network, data).floats
    few = sensitivity(build, samples=2)
    assert (few.samples, few.data) == (2, found.data)


def test_the_integers_of_steps_and_numbers_are_verify_s(build):
    data = build.calibration.load()
    outputs, shape = build.network.outputs, (data.samples, data.time)
    mask = RNG.random(shape) < 0.5
    mask[:, -1] = True
    steps = replace(data, y=RNG.integers(0, outputs, shape), task="step-label", mask=mask)
    for rule in ("last", "mean", "max", "sum"):
        read = replace(build, fixed=replace(build.fixed, readout=Readout(rule)))
        assert sensitivity(read, steps).integers.agreement == verify(read.network, read.fixed, steps).agreement_argmax
    for task, of in (("value", (data.samples,)), ("step-value", shape)):
        numbers = replace(data, y=RNG.random((*of, outputs)), task=task, mask=mask if task == "step-value" else None)
        found, said = sensitivity(build, numbers).integers, verify(build.network, build.fixed, numbers)
        own = simulate(build.network, data, readouts=True).readouts
        spread = own[data.valid() & mask].std() if task == "step-value" else simulate(build.network, data).readout.std()
        assert (found.agreement, found.readout_error) == (None, pytest.approx(said.rmse.agreement / spread))


def test_both_are_read_by_the_integers_rule(build):
    data = build.calibration.load()
    by_max = build.network.with_readout(Readout("max"))
    other = replace(build, network=by_max)
    assert other.fixed.readout != by_max.readout
    assert sensitivity(other).floats == sensitivity(build).floats != sensitivity(by_max, data).floats


def test_readouts_that_never_vary_have_an_agreement_where_there_are_classes():
    still, data = linear(np.zeros((2, 2))), RNG.random((4, 3, 2))
    found = sensitivity(still, Dataset(data))
    assert {(point.agreement, point.readout_error) for point in found.floats} == {(1.0, None)}
    assert [panel.title for panel in figure_of(analysis_blocks(found)).panels] == ["agreement"]
    with pytest.raises(TclifError, match="says the same number to all"):
        sensitivity(still, Dataset(data, y=RNG.random((4, 2))))


def test_levels_at_which_no_network_is_left_have_no_answers():
    assert np.random.default_rng(0).standard_normal() == pytest.approx(0.1257, abs=1e-4)
    data, seen = Dataset(np.array([[[1.0]], [[0.5]]])), []
    huge = sensitivity(linear([[9.9e29], [1.0]]), data, seed=0, progress=lambda done, total: seen.append((done, total)))
    # 9.9e29 and 1.3 % are beyond 1e30
    assert [point.readout_error is None for point in huge.floats] == [False] * 5 + [True]
    assert huge.at(1e-1).agreement is None
    assert seen == [(2, 2)]
    assert "at 1 level" in str(analysis_blocks(huge))
    with pytest.raises(TclifError, match="weights off by 1e-06 of themselves the network has no answers"):
        sensitivity(linear([[1e30], [1e30]]), data)


def test_tables_and_figures_say_what_there_is(build):
    blocks = analysis_blocks(sensitivity(build), [layer.name for layer in build.network.layers])
    text = str(blocks)
    assert "the integers" in text
    assert "agreement" in text
    assert [len(panel.series) for panel in figure_of(blocks).panels] == [2, 2]
    numbers = analysis_blocks(sensitivity(spiking(), Dataset(RNG.random((4, 9, 2)), y=RNG.random((4, 3)))))
    assert "agreement" not in str(numbers)
    assert [len(panel.series) for panel in figure_of(numbers).panels] == [1]
