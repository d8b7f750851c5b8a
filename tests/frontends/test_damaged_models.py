"""Whatever is wrong with a model file, `load` says it in one line: what, where, why, what to do."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tclif_deploy import TclifError
from tclif_deploy.frontends import from_module, load, save
from tclif_deploy.nn import TCLIF
from tests.helpers.authors_modules import Net, ParametricLIFNode, TCLIFNode, args_json, write_checkpoint

BY_HAND: dict[str, Any] = {"threshold": 1.0, "gamma": 0.5}


def refusal(path: object, **given: Any) -> str:
    """The one line that `load` refuses ``path`` with."""
    with pytest.raises(TclifError) as caught:
        load(path, **given)  # type: ignore[arg-type]
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 700
    assert caught.value.hint, f"no advice: {line}"
    return line


def state(**changes: Tensor) -> dict[str, Tensor]:
    """A sound TC-LIF state_dict 3-5-2, with ``changes`` (dots as double underscores)."""
    torch.manual_seed(0)
    tensors = Net(nn.Linear(3, 5), TCLIFNode(), nn.Linear(5, 2)).state_dict()
    return {**tensors, **{name.replace("__", "."): value for name, value in changes.items()}}


def write(folder: Path, content: Any, **save_options: Any) -> Path:
    path = folder / "model.pt"
    torch.save(content, path, **save_options)
    return path


def test_the_sound_state_dict_of_these_tests_is_read(tmp_path: Path) -> None:
    assert load(write(tmp_path, state()), **BY_HAND).layers[0].size == 5


# -- the file --------------------------------------------------------------------------------------------------------


def test_a_missing_file(tmp_path: Path) -> None:
    assert "file not found" in refusal(tmp_path / "nothing.pt")


def test_a_folder(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "model.pt").touch()
    assert "is empty" in refusal(tmp_path / "model.pt")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    assert "is not a file" in refusal(tmp_path / "pipe.pt")


@pytest.mark.parametrize("name", ["model.pt", "weights.pth.tar", "notes.txt"])
def test_a_text_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("epoch,accuracy\n1,0.5\n")
    assert "begins with b'epoch,accuracy" in refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("m.pt", b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        ("m.onnx", b"\x08\x09\x12\x07pytorch", "ONNX"),
        ("m.safetensors", b"\x40\0\0\0\0\0\0\0{}", "safetensors"),
        ("m.nir", b"plain", "not HDF5"),
        ("m.net", b"\x89HDF\r\n\x1a\n", "netx"),
        ("m.json", b"{}", "not a model"),
        ("m.py", b"import torch", "code"),
    ],
)
def test_files_of_other_kinds(name: str, content: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert expected in refusal(tmp_path / name)


def test_a_data_file_given_as_a_model(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "data.npz", x=np.zeros((100, 200, 3)))
    assert "holds numpy arrays, not a model; data to run it on goes to --data" in refusal(tmp_path / "data.npz")


def test_a_zip_file_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "not one that torch.save wrote" in refusal(tmp_path / "model.pt")


def test_an_object_that_is_no_model() -> None:
    assert "cannot read a model from a int; expected a checkpoint" in refusal(3)


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_truncated_file(share: float, zipped: bool, tmp_path: Path) -> None:
    path = write_checkpoint(
        tmp_path, Net(nn.Linear(3, 50), TCLIFNode()), args_json(), _use_new_zipfile_serialization=zipped
    )
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert any(word in refusal(path) for word in ("truncated", "declares"))


@pytest.mark.parametrize("zipped", [True, False])
def test_no_truncation_is_read_and_no_flipped_byte_gives_another_error(zipped: bool, tmp_path: Path) -> None:
    data = write(tmp_path, state(), _use_new_zipfile_serialization=zipped).read_bytes()
    path = tmp_path / "damaged.pt"
    rng = np.random.default_rng(0)
    for n in rng.integers(1, len(data), 150):
        path.write_bytes(data[:n])
        refusal(path, **BY_HAND)
        damaged = bytearray(data)
        damaged[n] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        with contextlib.suppress(TclifError):  # many a byte is padding, or a digit of a weight
            load(path, **BY_HAND)


def test_a_wrong_checksum(tmp_path: Path) -> None:
    path = write(tmp_path, state())
    data = bytearray(path.read_bytes())
    weights = state()["features.0.weight"].numpy().tobytes()
    data[data.index(weights)] ^= 1
    path.write_bytes(data)
    assert "damaged" in refusal(path, **BY_HAND)


# -- what a pickle can do --------------------------------------------------------------------------------------------


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("place", ["beside", "best_acc", "bare"])
def test_a_pickle_with_a_payload_is_refused_and_nothing_in_it_runs(place: str, zipped: bool, tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    bomb = Payload(mark)
    content = {
        "beside": {"state_dict": state(), "extra": bomb},
        "best_acc": {"state_dict": state(), "best_acc": argparse.Namespace(top1=bomb)},
        "bare": bomb,
    }[place]
    line = refusal(write(tmp_path, content, _use_new_zipfile_serialization=zipped), **BY_HAND)
    assert "wants posix.mkdir" in line
    assert "save only the weights" in line
    assert not mark.exists()


def test_a_plain_pickle_with_a_payload_is_refused_and_does_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Payload(mark)))
    assert "wants posix.mkdir" in refusal(tmp_path / "model.pkl")
    assert not mark.exists()


def test_calls_that_torch_itself_would_allow_are_refused(tmp_path: Path) -> None:
    class Huge:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return bytearray, (10**12,)

    assert ".bytearray, and running foreign code is refused" in refusal(
        write(tmp_path, {"state_dict": state(), "x": Huge()})
    )


def test_a_byte_array_larger_than_the_file_is_not_allocated(tmp_path: Path) -> None:
    path = write(tmp_path, state())
    rezip(path, {"data.pkl": b"\x80\x05\x96" + struct.pack("<Q", 2**36) + b"."})
    assert "damaged" in refusal(path, **BY_HAND)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_pickled_module(zipped: bool, tmp_path: Path) -> None:
    line = refusal(write(tmp_path, nn.Sequential(nn.Linear(3, 5)), _use_new_zipfile_serialization=zipped))
    assert "torch.nn.modules.container.Sequential" in line or "pickled module" in line
    assert "state_dict" in line


def test_a_torchscript_archive(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(3, 5)).save(tmp_path / "model.pt")
    assert "TorchScript" in refusal(tmp_path / "model.pt")


def test_a_plain_pickle(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"state_dict": {}}))
    assert "not one that torch.save wrote" in refusal(tmp_path / "model.pkl")


def rezip(path: Path, replace: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """Write a torch zip again with some entries replaced (by the end of their names)."""
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as old, zipfile.ZipFile(path, "w", compression) as new:
        for info in old.infolist():
            end = next((end for end in replace if info.filename.endswith(end)), None)
            new.writestr(info.filename, old.read(info) if end is None else replace[end])


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = write(tmp_path, state())
    rezip(path, {"data/0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 200_000
    assert "declares 5000" in refusal(path, **BY_HAND)


def test_a_storage_smaller_than_declared(tmp_path: Path) -> None:
    path = write(tmp_path, state())
    rezip(path, {"data/0": b"\0" * 8})
    assert "storage 0 declares 60 bytes, the file holds 8" in refusal(path, **BY_HAND)


def test_a_storage_that_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path, state())
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            if not info.filename.endswith("data/0"):
                new.writestr(info.filename, old.read(info))
    assert "storage 0 are missing" in refusal(path, **BY_HAND)


def test_a_legacy_file_that_declares_a_terabyte(tmp_path: Path) -> None:
    path = write(tmp_path, {"features.0.weight": torch.zeros(1, 77)}, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    assert data.count(b"K\x4dNtq") == 1  # 77 elements, no view: as pickled
    path.write_bytes(data.replace(b"K\x4dNtq", b"\x8a\x06" + struct.pack("<q", 2**40)[:6] + b"Ntq"))
    assert "declares 4398046511104 bytes" in refusal(path, **BY_HAND)


def test_a_tensor_larger_than_its_storage(tmp_path: Path) -> None:
    huge = torch.zeros(1, 1).expand(2**20, 2**20)
    assert "a tensor of shape (1048576, 1048576) in a storage of 1" in refusal(write(tmp_path, {"0.weight": huge}))


def test_many_tensors_that_share_one_storage(tmp_path: Path) -> None:
    one = torch.zeros(200, 200)
    line = refusal(write(tmp_path, {f"{n}.weight": one for n in range(200)}), **BY_HAND)
    assert "elements in a file of" in line


# -- another network -------------------------------------------------------------------------------------------------


def resnet() -> dict[str, Tensor]:
    """The first tensors of a ResNet-18, by their names and shapes."""
    tensors = {"conv1.weight": torch.zeros(64, 3, 7, 7)}
    for n in range(2):
        for m in (1, 2):
            tensors[f"layer1.{n}.conv{m}.weight"] = torch.zeros(64, 64, 3, 3)
            for leaf in ("weight", "bias", "running_mean", "running_var"):
                tensors[f"layer1.{n}.bn{m}.{leaf}"] = torch.ones(64)
            tensors[f"layer1.{n}.bn{m}.num_batches_tracked"] = torch.tensor(5)
    return tensors | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}


@pytest.mark.parametrize("given", [{}, BY_HAND])
def test_a_resnet(given: dict[str, Any], tmp_path: Path) -> None:
    line = refusal(write(tmp_path, OrderedDict(resnet())), **given)
    assert "conv1.weight of shape (64, 3, 7, 7)" in line
    assert "another network" in line


def test_a_multilayer_perceptron(tmp_path: Path) -> None:
    mlp = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    line = refusal(write(tmp_path, mlp.state_dict()), **BY_HAND)
    assert "the kind of neuron is unknown" in line
    assert '"neuron": "lif"' in line


def test_layer_norms(tmp_path: Path) -> None:
    mixed = nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5))
    assert "1.weight of shape (5,)" in refusal(write(tmp_path, mixed.state_dict()), **BY_HAND)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, "no weights"),
        ({"state_dict": {}}, "no weights"),
        ({"state_dict": [1]}, "is a list"),
        (torch.zeros(3), "holds a Tensor"),
        ([torch.zeros(3)], "holds a list"),
        ({"state_dict": {"features.0.weight": [1.0]}}, "is a list, not a tensor"),
        ({3: torch.zeros(3)}, "entry 3"),
        ({"0\n\x1b[2J.weight": torch.zeros(3)}, "a tensor is named '0\\n\\x1b[2J.weight'"),
        ({"epoch": 3}, "entry 'epoch' of its state_dict is a int"),
        ({"1.decay_factor": torch.zeros(1, 2)}, "no Linear"),
    ],
)
def test_files_without_a_network(content: Any, expected: str, tmp_path: Path) -> None:
    assert expected in refusal(write(tmp_path, content), **BY_HAND)


# -- tensors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_weight_that_is_not_finite_is_named(bad: float, tmp_path: Path) -> None:
    weight = torch.zeros(5, 3)
    weight[4, 1] = bad
    assert f"features.0.weight[4, 1] is {bad}" in refusal(write(tmp_path, state(features__0__weight=weight)), **BY_HAND)


def test_a_beta_that_is_not_finite_is_named(tmp_path: Path) -> None:
    beta = torch.tensor([[0.0, math.nan]])
    line = refusal(write(tmp_path, state(features__1__decay_factor=beta)), **BY_HAND)
    assert "features.1.decay_factor[0, 1] is nan" in line


@pytest.mark.parametrize("dtype", [torch.int64, torch.int8, torch.complex64, torch.bool])
def test_weights_that_are_not_real_floats(dtype: torch.dtype, tmp_path: Path) -> None:
    line = refusal(write(tmp_path, state(features__0__weight=torch.ones(5, 3).to(dtype))), **BY_HAND)
    assert str(dtype).removeprefix("torch.") in line
    assert "real floats" in line


def norm(size: int, var: float) -> dict[str, Tensor]:
    return {"features__3__running_mean": torch.zeros(size), "features__3__running_var": torch.full((size,), var)}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"features__2__weight": torch.zeros(2, 7)},
         "edge features.1 -> features.2: 5 values meet a weight of shape (2, 7)"),
        ({"features__0__bias": torch.zeros(4)}, "features.0.bias has shape (4,)"),
        ({"features__1__decay_factor": torch.zeros(4, 2)}, "features.1 has parameters for 4 neurons, the layer has 5"),
        ({"features__1__decay_factor": torch.zeros(2)}, "features.1.decay_factor has shape (2,)"),
        ({"features__1__hid_weight__weight": torch.zeros(4, 4)},
         "edge features.1 -> features.1.hid_weight: 5 values meet a weight of shape (4, 4)"),
        ({"features__1__hid_weight__weight": torch.zeros(5, 4)},
         "edge features.1 -> features.1.hid_weight: 5 values meet a weight of shape (5, 4)"),
        ({"features__3__weight": torch.zeros(2, 2)}, "follows the Linear features.2 with no neuron between"),
        ({"features__3__decay_factor": torch.zeros(1, 2), "features__4__decay_factor": torch.zeros(1, 2)},
         "the neuron features.4 has no Linear before it"),
        ({"features__3__hid_weight__weight": torch.zeros(2, 2)}, "recurrent weights, but not the neuron's"),
        ({"features__3__w": torch.tensor(0.5)}, "both TC-LIF and PLIF"),
        ({"features__3__k": torch.tensor(0.5)}, "features.3.k of shape ()"),
        (norm(9, 1.0), "edge features.2 -> features.3: 2 values meet a node of 9"),
        (norm(2, -1.0), "cannot be negative"),
        (norm(2, 1.0) | {"features__3__running_var": torch.ones(3)}, "running_var has shape"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_together(changes: dict[str, Tensor], expected: str, tmp_path: Path) -> None:
    assert expected in refusal(write(tmp_path, state(**changes)), **BY_HAND)


def test_lif_neurons_whose_place_cannot_be_seen(tmp_path: Path) -> None:
    named = {"fc1.weight": torch.zeros(5, 3), "fc2.weight": torch.zeros(5, 5), "fc3.weight": torch.zeros(2, 5)}
    line = refusal(write(tmp_path, named), threshold=1.0, neuron="lif")
    assert "cannot tell where the LIF neuron between fc1 and fc2 is" in line
    touching = {"0.weight": torch.zeros(5, 3), "1.weight": torch.zeros(2, 5)}
    assert "cannot tell where" in refusal(write(tmp_path, touching), threshold=1.0, neuron="lif")


# -- settings --------------------------------------------------------------------------------------------------------


def checkpoint(folder: Path, **changes: Any) -> Path:
    return write_checkpoint(folder, Net(nn.Linear(3, 5), TCLIFNode(), nn.Linear(5, 2)), args_json(ind=3, **changes))


def test_a_threshold_that_is_nowhere_says_where_to_put_it(tmp_path: Path) -> None:
    line = refusal(write(tmp_path, state()))
    assert "the threshold is not in the checkpoint" in line
    assert "--args" in line
    assert "--threshold and --gamma" in line


def test_a_gamma_that_is_nowhere_says_where_to_put_it(tmp_path: Path) -> None:
    line = refusal(checkpoint(tmp_path, gamma=None))
    assert "the gamma is not in the checkpoint" in line
    assert "args.json" in line


@pytest.mark.parametrize("bad", [-1.0, 0.0, math.nan, math.inf])
def test_a_threshold_that_cannot_be(bad: float, tmp_path: Path) -> None:
    assert f"threshold is {bad}; expected a " in refusal(checkpoint(tmp_path), threshold=bad)
    line = refusal(checkpoint(tmp_path, threshold=bad))
    assert "args.json: threshold is" in line


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"gamma": math.nan}, "gamma is nan"),
        ({"comparator": "=>"}, "comparator is '=>'"),
        ({"reset": "medium"}, "reset is 'medium'"),
        ({"neuron": "alif"}, "neuron is 'alif'"),
        ({"threshold": "1"}, "threshold is a str ('1')"),
    ],
)
def test_values_by_hand_that_cannot_be(given: dict[str, Any], expected: str, tmp_path: Path) -> None:
    assert expected in refusal(checkpoint(tmp_path), **given)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"threshold": "1.0"}, "threshold is '1.0'"),
        ({"threshold": True}, "threshold is True"),
        ({"gamma": [0.5]}, "gamma is [0.5]"),
        ({"gamma": math.nan}, "gamma is nan"),
        ({"hard_reset": "no"}, "hard_reset is 'no'"),
        ({"sg": 3}, "sg is 3"),
        ({"task": {}}, "task is {}"),
        ({"neuron": "tclff"}, "did you mean tclif?"),
        ({"neuron": "alif"}, "ALIF, whose threshold moves with its spikes, is not supported"),
        ({"neuron": "lif"}, "holds TCLIF neurons (decay_factor), but the neuron in"),
        ({"neuron": "plif"}, "is it this model's args.json?"),
    ],
)
def test_args_of_wrong_types_or_of_another_model(changes: dict[str, Any], expected: str, tmp_path: Path) -> None:
    line = refusal(checkpoint(tmp_path, **changes))
    assert expected in line
    assert "args.json" in line


def test_args_that_say_tclif_for_plif_weights(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, Net(nn.Linear(3, 5), ParametricLIFNode(), nn.Linear(5, 2)), args_json())
    assert "holds PLIF neurons (w)" in refusal(path)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", '"tclif"', "[" * 100_000, "\udcff"])
def test_an_args_file_that_is_no_json_object(text: str, tmp_path: Path) -> None:
    path = checkpoint(tmp_path)
    (tmp_path / "args.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    line = refusal(path)
    assert "args.json" in line
    assert "one JSON object" in line


def test_an_args_file_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    path = checkpoint(tmp_path)
    assert "none.json: file not found" in refusal(path, args=tmp_path / "none.json")
    assert "is a folder" in refusal(path, args=tmp_path)


def test_a_lif_network_of_the_shd_script_without_decay(tmp_path: Path) -> None:
    lif = {"0.weight": torch.zeros(5, 3), "2.weight": torch.zeros(2, 5)}
    (tmp_path / "args.json").write_text(json.dumps(args_json(task="SHD", neuron="lif")))
    assert "decay" in refusal(write(tmp_path, lif))
    assert load(write(tmp_path, lif), decay=0.9).layers[0].neuron.a_v[0] == 0.9


# -- our own file ----------------------------------------------------------------------------------------------------


def saved(folder: Path, **changes: Any) -> Path:
    """A file of `save`'s with some of its top-level entries changed."""
    save(nn.Sequential(nn.Linear(3, 5), TCLIF(), nn.Linear(5, 2)), folder / "ours.pt")
    content = torch.load(folder / "ours.pt", weights_only=True) | changes
    return write(folder, content)


def config(**changes: Any) -> str:
    neuron = {
        "type": "neuron",
        "path": "1",
        "neuron": "tclif",
        "threshold": 1.0,
        "parameter": "1.decay_factor",
    } | changes
    return json.dumps({"modules": [{"type": "linear", "path": "0"}, neuron, {"type": "linear", "path": "2"}]})


def test_the_configuration_of_these_tests_is_read(tmp_path: Path) -> None:
    assert len(load(saved(tmp_path, config=config())).layers) == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"version": 2}, "tclif-model version 2, expected 1"),
        ({"version": torch.ones(2)}, "tclif-model version 'Tensor', expected 1"),
        ({"config": None}, "configuration is a NoneType"),
        ({"config": "{"}, "configuration"),
        ({"config": "{}"}, "configuration modules: Field required"),
        ({"config": config(threshold=-1.0)}, "threshold"),
        ({"config": config(threshold="1.0")}, "threshold"),
        ({"config": config(threshold=math.nan)}, "configuration"),
        ({"config": config(neuron="alif")}, "neuron"),
        ({"config": config(reset="medium")}, "reset"),
        ({"config": config(more=1)}, "more"),
        ({"config": config(path="1\x1b[2J")}, "path"),
        ({"config": config(parameter="9.decay_factor")}, "9.decay_factor is missing"),
        ({"config": config(parameter=None)}, "tclif with parameter None"),
        ({"config": config(recurrent="1.hid_weight")}, "1.hid_weight.weight is missing"),
        ({"config": config(parameter="0.bias")}, "0.bias"),
        ({"config": config(neuron="lif", parameter=None)}, "does not speak of 1.decay_factor"),
        ({"state_dict": None}, "its state_dict is a NoneType"),
        ({"state_dict": {}}, "0.weight is missing"),
    ],
)
def test_a_saved_model_that_was_tampered_with(changes: dict[str, Any], expected: str, tmp_path: Path) -> None:
    assert expected in refusal(saved(tmp_path, **changes))


def test_args_for_a_self_contained_model_or_options_for_a_nir_file(tmp_path: Path) -> None:
    path = saved(tmp_path)
    (tmp_path / "args.json").write_text("{}")
    assert "leave --args out" in refusal(path, args=tmp_path / "args.json")
    assert "leave --args out" in refusal(nn.Sequential(nn.Linear(3, 5), TCLIF()), args=tmp_path / "args.json")
    assert "1 is a tclif, not a lif" in refusal(path, neuron="lif")
    (tmp_path / "network.nir").write_bytes(b"\x89HDF\r\n\x1a\n")
    assert "leave --threshold out" in refusal(tmp_path / "network.nir", threshold=1.0)


shared_neuron = TCLIF()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)), "1 (ReLU) cannot be read"),
        (nn.Sequential(nn.Conv1d(3, 5, 1), TCLIF()), "0 (Conv1d) cannot be read"),
        (
            nn.Sequential(nn.Linear(3, 5), shared_neuron, nn.Linear(5, 5), shared_neuron),
            "3 (TCLIF) is the same module as 1",
        ),
        (nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2)), "no neuron between"),
        (nn.Sequential(nn.Linear(3, 5), TCLIF(), nn.Linear(6, 2)), "5 values meet a weight of shape (2, 6)"),
        (
            nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5, track_running_stats=False), TCLIF()),
            "no running statistics",
        ),
        (nn.Linear(3, 5), "no spiking layer"),
        (TCLIF(), "no Linear before it"),
    ],
)
def test_a_model_that_could_not_be_read_back_is_not_saved(model: nn.Module, expected: str, tmp_path: Path) -> None:
    with pytest.raises(TclifError) as caught:
        save(model, tmp_path / "model.pt")
    assert expected in str(caught.value)
    assert caught.value.hint
    assert not (tmp_path / "model.pt").exists()


def test_a_module_with_a_weight_that_is_not_finite() -> None:
    model = nn.Sequential(nn.Linear(3, 5), TCLIF(), nn.Linear(5, 2))
    with torch.no_grad():
        model[0].weight[2, 1] = math.nan
    with pytest.raises(TclifError, match=r"model: 0\.weight\[2, 1\] is nan"):
        from_module(model)


def test_places_where_no_file_can_be_written(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 5), TCLIF())
    with pytest.raises(TclifError, match="cannot be written"):
        save(model, tmp_path / "no folder" / "model.pt")
    with pytest.raises(TclifError, match="is a folder; give the name of a file"):
        save(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"threshold": 0.0}, "threshold is 0.0"),
        ({"reset": "medium"}, "reset is 'medium'"),
        ({"decay_factor": torch.zeros(2)}, "shape (2,)"),
        ({"decay_factor": torch.zeros(1, 2, dtype=torch.int64)}, "int64"),
    ],
)
def test_twins_that_cannot_be(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(TclifError) as caught:
        TCLIF(**given)
    assert expected in str(caught.value)


def test_a_twin_tells_a_batch_of_another_size_from_a_new_sequence() -> None:
    neuron = TCLIF()
    neuron(torch.zeros(4, 5))
    with pytest.raises(TclifError, match="reset_states"):
        neuron(torch.zeros(3, 5))
