"""What answers hang on: linear networks by hand, the integers beside `verify`, what does not count, and no answers."""

from dataclasses import replace

import numpy as np
import pytest

from tclif_deploy import Connection, Dataset, Layer, Network, TclifError, neurons, verify
from tclif_deploy.analysis import sensitivity
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


def test_a_linear_network_is_off_by_what_its_weights_are():
    weight, x = np.array([[1.0, -2.0], [0.5, 3.0]]), RNG.random((50, 4, 2))
    found = sensitivity(linear(weight), Dataset(x), seed=4)
    drawn = np.random.default_rng(4).standard_normal((2, 2))
    own, change = x.sum(1) @ weight.T, x.sum(1) @ (weight * drawn).T
    for level, kept in zip(LEVELS, found.floats, strict=True):
        assert kept.error == pytest.approx(level * np.sqrt((change**2).mean()) / own.std(), rel=1e-6)
        assert kept.agreement == np.mean((own + level * change).argmax(1) == own.argmax(1))
    assert found.integers is None
    assert sensitivity(linear(weight), Dataset(x), seed=5) != found


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
    assert found.samples == data.samples
    assert found.integers.agreement == verify(build.network, build.fixed, data).agreement_argmax
    own, said = (simulate(network, data).readout for network in (build.network, build.fixed))
    error = said * build.fixed.readout_unit - own
    assert found.integers.error == pytest.approx(np.sqrt((error**2).mean()) / own.std())
    assert found.floats == sensitivity(build.network, data).floats
    few = sensitivity(build, samples=2)
    assert (few.samples, few.data) == (2, found.data)


def test_both_are_read_by_the_integers_rule(build):
    data = build.calibration.load()
    by_max = replace(build.network, readout=Readout("max"))
    other = replace(build, network=by_max)
    assert other.fixed.readout != by_max.readout
    assert sensitivity(other).floats == sensitivity(build).floats != sensitivity(by_max, data).floats


def test_only_what_counts_is_compared():
    network, time = spiking(), 16
    x, lengths, mask = RNG.random((5, time, 2)), np.array([3, 16, 9, 5, 12]), np.zeros((5, time), np.bool_)
    mask[:, 2:] = True
    y = RNG.integers(0, 3, (5, time))
    other = np.where(np.arange(time)[None, :, None] < lengths[:, None, None], x, RNG.random((5, time, 2)))
    for more in ({}, {"y": y, "task": "step-label", "mask": mask}):
        found = sensitivity(network, Dataset(x, lengths=lengths, **more))
        assert found == sensitivity(network, Dataset(other, lengths=lengths, **more))
        assert found.at(1e-1).error > found.at(1e-6).error
    numbers = sensitivity(network, Dataset(x, y=RNG.random((5, 3)), task="value"))
    assert all(kept.agreement is None and kept.error is not None for kept in numbers.floats)
    with pytest.raises(TclifError, match="mask leaves no step to judge"):
        sensitivity(network, Dataset(x, y=y, task="step-label", mask=np.zeros((5, time), np.bool_)))
    with pytest.raises(TclifError, match="a network by itself has no samples"):
        sensitivity(network)


def test_answers_that_never_vary_and_states_beyond_all_numbers_have_no_error():
    still = sensitivity(linear(np.zeros((2, 2))), Dataset(RNG.random((4, 3, 2))))
    assert {kept.error for kept in still.floats} == {None}
    assert {kept.agreement for kept in still.floats} == {1.0}
    assert np.random.default_rng(0).standard_normal() == pytest.approx(0.1257, abs=1e-4)
    huge = sensitivity(linear([[9.9e29], [1.0]]), Dataset(np.array([[[1.0]], [[0.5]]])), seed=0)
    assert [kept.error is None for kept in huge.floats] == [False] * 5 + [True]  # 9.9e29 and 1.3 % are beyond 1e30
    assert huge.at(1e-1).agreement is None
    assert "at 1 level" in str(analysis_blocks(huge))


def test_tables_and_figures_say_what_there_is(build):
    blocks = analysis_blocks(sensitivity(build), [layer.name for layer in build.network.layers])
    text = str(blocks)
    assert "the integers" in text
    assert "answers kept" in text
    assert [len(panel.series) for panel in figure_of(blocks).panels] == [2, 2]
    numbers = analysis_blocks(sensitivity(spiking(), Dataset(RNG.random((4, 9, 2)), y=RNG.random((4, 3)))))
    assert "answers kept" not in str(numbers)
    assert [len(panel.series) for panel in figure_of(numbers).panels] == [1]
