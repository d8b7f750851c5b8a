"""Convolutions and poolings of NIR files: against torch's own, and a real network against Norse's run of it."""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
import torch

from tclif_deploy import TclifError, load
from tclif_deploy.simulate.floating import simulate_float

from .requirements import needs_module

PAPER = Path(__file__).parents[1] / "fixtures" / "nir_paper"


def one_layer(path: Path, node, shape, out, before=()):
    """The only connection of a graph input -> ``node`` -> IF, and its bias."""
    size = int(np.prod(out))
    nodes = {"in": nir.Input(np.array(shape)), "n": node, "if": nir.IF(r=np.ones(out), v_threshold=np.ones(out)),
             "out": nir.Output(np.array(out))}  # fmt: skip
    edges = [("in", "n"), ("n", "if"), ("if", "out")]
    nir.write(path / "g.nir", nir.NIRGraph(nodes, edges, metadata={}, type_check=False))
    layer = load(path / "g.nir").layers[0]
    assert layer.size == size
    return layer.connections[0].weight, layer.neuron.bias_u


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("stride", "padding", "dilation"), [
    ((1, 1), (0, 0), (1, 1)), ((2, 1), (1, 2), (1, 1)), ((1, 2), (2, 0), (2, 1)), ((1, 1), "same", (1, 2)),
    ((1, 1), "valid", (1, 1)),
])  # fmt: skip
def test_conv2d_is_torchs_conv2d(tmp_path, groups, stride, padding, dilation):
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(6, 4 // groups, 3, 2)), rng.normal(size=6)
    node = nir.Conv2d((9, 8), weight, stride, padding, dilation, groups, bias)
    x = rng.normal(size=(4, 9, 8))
    said = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    wanted = torch.nn.functional.conv2d(torch.tensor(x), torch.tensor(weight), torch.tensor(bias), **said).numpy()
    matrix, current = one_layer(tmp_path, node, (4, 9, 8), wanted.shape)
    np.testing.assert_allclose(matrix @ x.reshape(-1) + current, wanted.reshape(-1), atol=1e-12)


def test_conv1d_is_torchs_conv1d(tmp_path):
    rng = np.random.default_rng(1)
    weight, bias, x = rng.normal(size=(5, 3, 4)), rng.normal(size=5), rng.normal(size=(3, 20))
    node = nir.Conv1d(20, weight, 2, 3, 1, 1, bias)
    tensors = [torch.tensor(v) for v in (x, weight, bias)]
    wanted = torch.nn.functional.conv1d(*tensors, stride=2, padding=3).numpy()
    matrix, current = one_layer(tmp_path, node, (3, 20), wanted.shape)
    np.testing.assert_allclose(matrix @ x.reshape(-1) + current, wanted.reshape(-1), atol=1e-12)


@pytest.mark.parametrize("average", [False, True])
def test_poolings_are_torchs(tmp_path, average):
    x = np.random.default_rng(2).normal(size=(3, 8, 6))
    kind = nir.AvgPool2d if average else nir.SumPool2d
    node = kind(np.array([2, 3]), np.array([2, 1]), np.array([1, 1]))
    wanted = torch.nn.functional.avg_pool2d(torch.tensor(x), (2, 3), (2, 1), (1, 1)).numpy()
    wanted = wanted if average else wanted * 6
    matrix, _ = one_layer(tmp_path, node, (3, 8, 6), wanted.shape)
    np.testing.assert_allclose(matrix @ x.reshape(-1), wanted.reshape(-1), atol=1e-12)


@pytest.mark.slow
def test_the_papers_convolutional_network_spikes_as_norse_runs_it():
    import_nir = needs_module("norse.torch.utils.import_nir")
    path = PAPER / "cnn_sinabs.nir"
    x = (np.random.default_rng(3).random((12, 2, 34, 34)) < 0.15).astype(float)
    network = load(path, convention="norse")
    assert any("Conv2d as a matrix of 4096 x 2312 weights" in notice for notice in network.notices)
    spikes = simulate_float(network, x.reshape(1, 12, -1)).spikes
    for name in ("layer1", "layer3", "layer6", "layer10"):
        assert 0.01 <= spikes[name].mean() <= 0.6, (name, spikes[name].mean())
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        module = import_nir.from_nir(nir.read(path), ignore_warnings=True)
        state, out = None, []
        for step in x:  # one sample: the file's Flatten leaves no axis for more
            z, state = module(torch.as_tensor(step, dtype=torch.float32), state)
            out.append(z.numpy().reshape(-1))
    theirs = np.stack(out).astype(bool)
    assert theirs.any()
    np.testing.assert_array_equal(spikes["layer12"][0], theirs)


def damaged(path: Path, edit) -> str:
    rng = np.random.default_rng(4)
    nodes = {
        "in": nir.Input(np.array([2, 6, 6])),
        "c": nir.Conv2d((6, 6), rng.normal(size=(3, 2, 3, 3)), 1, 0, 1, 1, np.zeros(3)),
        "p": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "if": nir.IF(r=np.ones(12), v_threshold=np.ones(12)), "out": nir.Output(np.array([12])),
    }  # fmt: skip
    edges = [("in", "c"), ("c", "p"), ("p", "if"), ("if", "out")]
    nir.write(path / "bad.nir", nir.NIRGraph(nodes, edges, metadata={}, type_check=False))
    assert load(path / "bad.nir").layers[0].size == 12
    with h5py.File(path / "bad.nir", "r+") as file:
        edit(file["node"])
    with pytest.raises(TclifError) as error:
        load(path / "bad.nir")
    assert "\n" not in str(error.value)
    return str(error.value)


def put(name, value):
    def edit(node):
        del node[name]
        node[name] = value

    return edit


@pytest.mark.parametrize(("edit", "said"), [
    (put("nodes/c/stride", [0, 1]), "node c: stride is [0.0, 1.0]"),
    (put("nodes/c/groups", 5), "node c: weight (3, 2, 3, 3) in 5 groups"),
    (put("nodes/c/groups", 0), "groups is [0.0]"),
    (put("nodes/c/weight", np.ones((3, 2, 3))), "node c: weight has shape (3, 2, 3)"),
    (put("nodes/c/weight", np.ones((3, 2, 9, 9))), "node c: nothing is left of an input of shape (2, 6, 6)"),
    (put("nodes/c/bias", np.ones(2)), "node c: bias has 2 values"),
    (put("nodes/c/padding", "mirror"), "node c: padding is 'mirror'"),
    (put("nodes/c/padding", [100000, 100000]), "as a matrix this convolution has"),
    (put("nodes/c/input_shape", [7, 6]), "values meet a node of"),
    (put("nodes/p/kernel_size", [1000000, 1000000]), "node p: kernel_size is (1000000, 1000000)"),
    (put("nodes/p/padding", [-1, 0]), "node p: padding is [-1.0, 0.0]"),
    (put("nodes/if/r", np.ones(11)), "values"),
    (put("edges", np.array([[b"in", b"c"], [b"c", b"if"], [b"p", b"p"], [b"p", b"if"], [b"if", b"out"]],
         dtype=h5py.string_dtype())), "its input's shape depends on itself"),
])  # fmt: skip
def test_a_convolution_without_meaning_is_one_line_that_names_the_node(tmp_path, edit, said):
    assert said in damaged(tmp_path, edit)
