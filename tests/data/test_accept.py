"""What people hold is taken as data and as a model, and anything else is one line that names the kinds."""

import nir
import numpy as np
import pytest
import torch

from tclif_deploy import TclifError, load, load_data, quantize, save, simulate, sliding_windows, verify
from tclif_deploy.comparison import equal
from tclif_deploy.data import Dataset, as_dataset
from tclif_deploy.formats import export_nir, read_nir, write_nir
from tclif_deploy.mapping import measure, place
from tclif_deploy.nn import TCLIF
from tclif_deploy.report.sweep import Point
from tclif_deploy.workflows.check import check
from tclif_deploy.workflows.compile import CompileOptions, compile
from tclif_deploy.workflows.cost import cost
from tclif_deploy.workflows.explain import explain
from tclif_deploy.workflows.finetune import finetune
from tclif_deploy.workflows.sweep import sweep
from tests.helpers import checkpoints
from tests.helpers.random_networks import assert_same, random_network
from tests.helpers.tclif_networks import calibration_data, tclif_network

X = np.random.default_rng(0).uniform(0, 1, (6, 60, 3)).astype(np.float32)
Y = np.arange(6) % 4


def test_a_number_a_slice_indices_and_a_mask_choose_samples():
    many = Dataset(np.arange(24).reshape(4, 3, 2), np.arange(4), lengths=np.array([1, 2, 3, 3]))
    for index in (2, -2, slice(2, 3), [2], np.array([2]), many.y == 2):
        one = many[index]
        assert (one.samples, one.y.tolist(), one.lengths.tolist()) == (1, [2], [3])
        assert np.array_equal(one.x[0], many.x[2])
    assert many.take([3, 0]).y.tolist() == [3, 0]


@pytest.mark.parametrize("index", [4, -5, [9], "a", (0, 1), 1.5])
def test_samples_that_are_not_there_are_named(index):
    with pytest.raises(TclifError, match=r"numbers: no samples .*; it has 4"):
        Dataset(np.zeros((4, 3, 2)), np.arange(4), name="numbers")[index]


def test_a_dataset_is_its_samples_one_by_one_or_in_batches():
    many = Dataset(np.zeros((5, 3, 2)), np.arange(5))
    assert [one.y.tolist() for one in many] == [[0], [1], [2], [3], [4]]
    assert [batch.y.tolist() for batch in many.batches(2)] == [[0, 1], [2, 3], [4]]


def test_valid_steps_are_those_within_the_lengths():
    padded = Dataset(np.zeros((2, 3, 1)), lengths=np.array([1, 3]))
    assert padded.valid().tolist() == [[True, False, False], [True, True, True]]
    assert Dataset(np.zeros((2, 3, 1))).valid().all()


KINDS = {
    "array": lambda path: X,
    "tensor": lambda path: torch.from_numpy(X),
    "a tensor that learns": lambda path: torch.from_numpy(X).clone().requires_grad_(),
    "nested lists": lambda path: X.tolist(),
    "pair of arrays": lambda path: (X, Y),
    "pair of tensors": lambda path: (torch.from_numpy(X), torch.from_numpy(Y)),
    "pair of a loader": lambda path: [torch.from_numpy(X), torch.from_numpy(Y)],
    "pair without labels": lambda path: (X, None),
    "dataset": lambda path: Dataset(X, Y),
    "path": lambda path: path,
    "text": lambda path: str(path),
}


@pytest.fixture
def file(tmp_path):
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    return tmp_path / "data.npz"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_function_takes_data_as_people_hold_them(file, kind):
    given, net = KINDS[kind](file), tclif_network()
    fixed = quantize(net, "loihi2", given)
    assert equal(fixed, quantize(net, "loihi2", Dataset(X)))
    assert_same(simulate(fixed, given, spikes=True), simulate(fixed, Dataset(X), spikes=True))
    assert simulate(net, given).readout.tobytes() == simulate(net, Dataset(X)).readout.tobytes()
    assert verify(net, fixed, given).agreement_argmax == verify(net, fixed, Dataset(X)).agreement_argmax
    assert measure(fixed, given).events("a").tolist() == measure(fixed, Dataset(X)).events("a").tolist()


def test_half_precision_of_torch_is_taken():
    rounded = torch.from_numpy(X).bfloat16()
    assert np.array_equal(as_dataset(rounded).x, rounded.float().numpy())


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    options = CompileOptions(backend="none")
    model = checkpoints.write_checkpoint(folder / "m")
    return compile(model, data=(X, Y), calibration=X, output=folder / "b", options=options)


@pytest.mark.slow
def test_compile_and_explain_take_arrays_and_pairs(build):
    assert build.verdict.samples == 6
    assert build.verdict.accuracy_fixed is not None
    assert explain(build, (torch.from_numpy(X), Y), calibration=X, jobs=1).samples == 6


@pytest.mark.slow
def test_check_and_cost_take_models_and_data_as_people_hold_them(build):
    module = torch.nn.Sequential(torch.nn.Linear(3, 8), TCLIF(), torch.nn.Linear(8, 4))
    for subject in (module, load(module), quantize(load(module), "loihi2", X), build, build.folder, str(build.folder)):
        assert check(subject, "loihi2", X).fits
        assert len(cost(subject, (X, Y), "loihi2", calibration=X).placement.cores) == 1


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: check(3), "cannot read a model from a int; expected a checkpoint"),
        (lambda: check(tclif_network(), 3), "target is 3; expected a Target, its name"),
        (lambda: cost(tclif_network(), None), "data is a NoneType; expected a Dataset"),
        (lambda: explain(3, X), "build is 3; expected a Build or a path"),
    ],
)
def test_what_is_no_build_no_target_and_no_data_is_one_line(use, message):
    with pytest.raises(TclifError, match=message):
        use()


def test_sweep_takes_a_model_a_target_and_data_as_people_hold_them(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(3, 8), TCLIF(), torch.nn.Linear(8, 4))
    (row,) = sweep(module, "loihi2", [Point(6, 12, 24, "toward_zero")], (X, Y), X, str(tmp_path / "s.csv"), jobs=1)
    net, target = load(module), "loihi2"
    assert row.cores == len(place(quantize(net, target, X), target).cores)
    assert row.accuracy is not None


WRONG = {
    "number": (3, "data is a int; expected a Dataset, a path, an array or tensor"),
    "triple": ((X, Y, Y), "data is a tuple; expected"),
    "two axes": (X[0], r"x has shape \(60, 3\); expected \(samples, time, features\)"),
    "tensor of two axes": (torch.from_numpy(X[0]), r"x has shape \(60, 3\); expected \(samples, time, features\)"),
    "two samples in a list": ([X[0], X[1]], r"x has shape \(60, 3\); expected \(samples, time, features\)"),
    "ragged lists": ([[[1.0]], [[1.0], [2.0]]], "is no array of numbers"),
    "texts": (np.full((2, 3, 3), "a"), "x has dtype <U1; expected integers or real floats"),
    "labels of another length": ((X, Y[:3]), "y is int64 of shape"),
    "a folder": ("tests", "tests: is a folder; expected an .npz"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_other_data_are_one_line_that_names_what_is_taken(kind):
    given, message = WRONG[kind]
    net = tclif_network()
    fixed = quantize(net, "loihi2", X)
    for use in (lambda: verify(net, fixed, given), lambda: simulate(net, given), lambda: simulate(fixed, given)):
        with pytest.raises(TclifError, match=message):
            use()
    with pytest.raises(TclifError, match=message.replace("data is", "calibration is").replace("data:", "calibration:")):
        quantize(net, "loihi2", given)


def test_integers_given_to_a_fixed_network_are_its_own_and_all_else_is_encoded():
    net, pixels = tclif_network(), calibration_data()
    fixed = quantize(net, "loihi2", pixels)
    assert fixed.input.lsb == 1 / 255
    own = simulate(fixed, pixels, spikes=True)
    for integers in (pixels.x, pixels.x.tolist(), torch.from_numpy(pixels.x)):
        assert_same(simulate(fixed, integers, spikes=True), own)
    assert_same(simulate(fixed, pixels.values(), spikes=True), own)  # floats are what the float network sees
    as_dataset = Dataset(pixels.x)
    assert_same(simulate(fixed, (pixels.x, None), spikes=True), simulate(fixed, as_dataset, spikes=True))
    assert simulate(fixed, as_dataset).readout.tolist() != own.readout.tolist()


def test_the_float_network_is_simulated_by_the_same_function():
    net, test = tclif_network(), Dataset(X, lengths=np.array([60, 1, 5, 60, 60, 60]))
    result = simulate(net, test, spikes=True, counts=True, traces=("b",), jobs=1)
    assert result.counts["a"].tolist() == (result.spikes["a"] & test.valid()[:, :, None]).sum(1).tolist()
    assert 0 < result.counts["a"].sum() < result.spikes["a"].sum()
    assert result.traces["b"].shape == (2, 6, 60, 12)
    assert simulate(net, test).spikes == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "warp"}, "engine is 'warp'; known: auto, engine, reference"),
        ({"traces": ("z",)}, "no layer 'z'; known: a, b, out"),
    ],
)
def test_what_a_float_network_does_not_know_is_named(options, message):
    with pytest.raises(TclifError, match=message):
        simulate(tclif_network(), X, **options)


def test_a_network_of_the_wrong_kind_is_one_line(tmp_path):
    net = tclif_network()
    fixed = quantize(net, "loihi2", X)
    for use, message in (
        (lambda: quantize(fixed, "loihi2"), "network is a FixedNetwork; expected a Network: tclif_deploy.load"),
        (lambda: quantize(net, 3), "target is 3; expected a Target, its name"),
        (lambda: verify(fixed, net, X), "network is a FixedNetwork; expected a Network"),
        (lambda: verify(net, net, X), "fixed is a Network; expected a FixedNetwork: tclif_deploy.quantize"),
        (lambda: simulate("model.pt", X), "network is a str .*; expected a FixedNetwork or a Network"),
        (lambda: place(net, "loihi2"), "network is a Network; expected a FixedNetwork or a Workload"),
        (lambda: write_nir(fixed, tmp_path / "n.nir"), "network is a FixedNetwork; expected a Network"),
        (lambda: export_nir(fixed, tmp_path / "n.nir"), "network is a FixedNetwork; expected a Network"),
        (lambda: verify(net, fixed, None), "data is a NoneType; expected a Dataset"),
        (lambda: measure(net, X), "fixed is a Network; expected a FixedNetwork"),
        (lambda: load_data(X), "path is an array of .*; expected a path"),
        (lambda: read_nir(net), "cannot read a Network; expected the path of a .nir file, or a nir.NIRGraph"),
        (lambda: save(net, tmp_path / "m.pt"), "cannot save a Network; expected a torch module"),
        (lambda: sliding_windows(X[0], 2), r"windows of 2 steps over data of shape \(60, 3\); expected"),
        (lambda: Dataset(X, scale="1"), "scale is 1; expected a positive number"),
        (lambda: finetune(net, "loihi2", None), "model is a Network; expected a path"),
    ):
        with pytest.raises(TclifError, match=message):
            use()


def test_a_nir_graph_in_memory_is_read_as_its_file_is(tmp_path):
    net = tclif_network()
    write_nir(net, tmp_path / "n.nir")
    graph = nir.read(tmp_path / "n.nir")
    assert equal(load(graph), net)
    assert equal(read_nir(graph), net)
    lif = nir.LIF(
        tau=np.full(4, 1e-3), r=np.full(4, 10.0), v_leak=np.zeros(4), v_threshold=np.ones(4), v_reset=np.zeros(4)
    )
    other = nir.NIRGraph.from_list(nir.Affine(np.ones((4, 3)), np.zeros(4)), lif)
    nir.write(tmp_path / "other.nir", other)
    assert equal(load(other, dt=1e-4), load(tmp_path / "other.nir", dt=1e-4))


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (nir.NIRGraph.from_list(nir.Affine(np.ones((4, 3)), np.zeros(4))), {"gamma": 1.0}, "a NIR graph says every"),
        (
            nir.NIRGraph.from_list(nir.Affine(np.full((4, 3), np.nan), np.zeros(4))),
            {},
            r"weight\[0, 0\] is nan",
        ),
        (tclif_network(), {"reset": "hard"}, "a Network says everything itself, reset included"),
        (tclif_network(), {"example_input": X}, "Network: an example input is for live modules"),
        (3, {}, "cannot read a model from a int; .* or a live torch module, a nir.NIRGraph or a Network"),
    ],
)
def test_a_model_of_the_wrong_kind_or_with_wrong_options_is_one_line(given, options, message):
    with pytest.raises(TclifError, match=message):
        load(given, **options)


def test_a_network_is_its_own_model():
    net = tclif_network()
    assert load(net) is net


def test_a_random_network_takes_the_same_integers_from_every_engine():
    fixed, x = random_network(3)
    assert_same(simulate(fixed, torch.from_numpy(x), spikes=True, engine="reference"), simulate(fixed, x, spikes=True))
