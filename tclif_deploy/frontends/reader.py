"""`load`: any model that we can read, told apart by its content."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from tclif_deploy.errors import TclifError
from tclif_deploy.files import as_path
from tclif_deploy.formats.checkpoint.state_dict import network_from_state_dict
from tclif_deploy.formats.checkpoint.torch_file import is_torch, read_torch, state_dict_of, to_arrays
from tclif_deploy.formats.model_file.file import from_module, is_ours, network_from_file
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.network import Network
from tclif_deploy.neurons import growth_notice

if TYPE_CHECKING:
    import nir
    import torch

ModelLike: TypeAlias = "Path | str | torch.nn.Module | nir.NIRGraph | Network"
"""What is taken as a model: the path of a file that `load` reads, a live torch module, a NIR graph, or a `Network`."""

EXPECTED = (
    "expected a checkpoint (.pt, .pth.tar) that torch.save or tclif_deploy.save wrote, a .nir file, or a netx .net file"
)
KINDS = "expected the path of a model file, a torch module, a nir.NIRGraph or a Network"
MAX_BYTES = 1 << 31
"""Far above any network of this kind: larger files are something else."""
HDF5 = b"\x89HDF\r\n\x1a\n"
OF_NIR = ("dt", "convention")
"""What can be said by hand about a .nir file of another tool alone."""
LFS_POINTER = b"version https://git-lfs"


def load(
    model: ModelLike,
    options: ReadOptions | None = None,
    *,
    example_input: Any = None,
    args: Path | str | None = None,
    threshold: float | None = None,
    gamma: float | None = None,
    comparator: str | None = None,
    reset: str | None = None,
    neuron: str | None = None,
    decay: float | None = None,
    dt: float | None = None,
    convention: str | None = None,
) -> Network:
    """Read a trained network: a checkpoint, a bare state_dict, a file of `save`, a ``.nir`` or netx file, a live
    module, or a ``nir.NIRGraph``. A `Network` comes back as it is.

    A live module is read by what its classes say or, with an ``example_input`` (samples, time, features), by running
    it, whatever its classes: SpikingJelly's, snnTorch's and Norse's neurons are known too, and the network is then
    checked against the module spike by spike (see `tclif_deploy.frontends.live.tracing`).

    What a checkpoint does not hold comes from the training script's ``args.json`` (``args``, else the file of
    that name beside the model) or by hand, which wins: see `ReadOptions` for each. What was decided on the way
    stands in the network's ``notices``. Layers are named after their modules in the model.
    Raises `TclifError`, one line, for whatever cannot be read.

    Examples
    --------
    >>> network = load("fixtures/smnist_ff/checkpoint.pth.tar")
    >>> [(layer.name, layer.size) for layer in network.layers]
    [('features.1', 64), ('features.3', 256), ('features.5', 256), ('features.6', 10)]
    """
    by_hand = {
        "args": args, "threshold": threshold, "gamma": gamma, "comparator": comparator, "reset": reset,
        "neuron": neuron, "decay": decay, "dt": dt, "convention": convention,
    }  # fmt: skip
    said = {name: value for name, value in by_hand.items() if value is not None}
    given = replace(options or ReadOptions(), **said)  # type: ignore[arg-type]
    if isinstance(model, Network) and example_input is None:
        _check_nothing(given, "a Network")
        return model
    network = _load(model, given, example_input)
    grows = (growth_notice(layer.name, layer.neuron) for layer in network.layers)
    return replace(network, notices=(*network.notices, *(notice for notice in grows if notice is not None)))


def _load(model: ModelLike, given: ReadOptions, example: Any) -> Network:
    """The network, before anything is said about what its numbers mean."""
    if "torch" in sys.modules and isinstance(model, sys.modules["torch"].nn.Module):
        if example is None:
            return from_module(model, given)
        _check_nothing(given, "a live module")
        from tclif_deploy.frontends.live.tracing import record

        return record(model, example)
    if example is not None:
        raise TclifError("an example input is for live modules alone", "leave example_input out")
    if "nir" in sys.modules and isinstance(model, sys.modules["nir"].NIRGraph):
        return _read_nir(model, given, "a NIR graph")
    path = as_path(model, KINDS)
    data = _read(path)
    if data.startswith(HDF5):
        return _read_hdf5(path, given)
    if not is_torch(data):
        raise TclifError(*_not_torch(path, data))
    for name in OF_NIR:
        if getattr(given, name) is not None:
            raise TclifError(f"{path}: --{name} is for .nir files, this is one of torch", f"leave --{name} out")
    content = read_torch(data, str(path))
    if is_ours(content):
        return network_from_file(content, len(data), given, path)
    tensors = to_arrays(state_dict_of(content, str(path)), str(path), len(data))
    return network_from_state_dict(tensors, given, path)


def _read(path: Path) -> bytes:
    """The file's bytes, read once: what was checked is what is loaded."""
    if path.is_dir():
        raise TclifError(f"{path}: is a folder", "name the checkpoint in it")
    if not path.exists():
        raise TclifError(f"{path}: file not found", "check the path")
    if not path.is_file():
        raise TclifError(f"{path}: is not a file", EXPECTED)
    try:
        size = path.stat().st_size
        if size == 0:
            raise TclifError(f"{path}: is empty", EXPECTED)
        if size > MAX_BYTES:
            raise TclifError(f"{path}: has {size} bytes, more than {MAX_BYTES}", EXPECTED)
        return path.read_bytes()
    except OSError as error:
        raise TclifError(f"{path}: cannot be read ({error.strerror})", EXPECTED) from error


def _check_nothing(given: ReadOptions, what: str, leave: tuple[str, ...] = ()) -> None:
    """Raise `TclifError` where ``given`` says anything but what it may ``leave`` to be said."""
    for name, value in asdict(given).items():
        if value is not None and name not in leave:
            raise TclifError(f"{what} says everything itself, {name} included", f"leave {name} out")


def _read_hdf5(path: Path, given: ReadOptions) -> Network:
    from tclif_deploy.formats import is_netx, read_netx

    if not is_netx(path):
        return _read_nir(path, given, f"{path}: a .nir file")
    _check_nothing(given, f"{path}: a netx file")
    return read_netx(path)


def _read_nir(source: Path | nir.NIRGraph, given: ReadOptions, what: str) -> Network:
    from tclif_deploy.formats import read_nir

    _check_nothing(given, what, (*OF_NIR, "comparator", "reset"))
    return read_nir(source, dt=given.dt, convention=given.convention, comparator=given.comparator, reset=given.reset)


def _not_torch(path: Path, data: bytes) -> tuple[str, str]:
    """(what is wrong, what to do) with a file of a kind that is not read."""
    if data.startswith(LFS_POINTER):
        return f"{path}: is a Git LFS pointer, not the file itself", "run git lfs pull"
    named = {
        ".nir": "is not HDF5, which NIR files are", ".net": "is not HDF5, which netx files are",
        ".onnx": "ONNX models are not read", ".safetensors": "safetensors files are not read",
        ".npz": "is not a model", ".json": "is not a model", ".toml": "is not a model", ".py": "is code, not a model",
    }  # fmt: skip
    begins = f"is not a model file (it begins with {data[:16]!r})"
    return f"{path}: {named.get(path.suffix.lower(), begins)}", EXPECTED
