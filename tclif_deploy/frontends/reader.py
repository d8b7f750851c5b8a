"""`load`: any model that we can read, told apart by its content."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tclif_deploy.arguments import checked
from tclif_deploy.blas import one_blas_thread
from tclif_deploy.errors import TclifError
from tclif_deploy.files import as_path
from tclif_deploy.formats.checkpoint.safetensors_file import is_safetensors, read_safetensors
from tclif_deploy.formats.checkpoint.state_dict import network_from_state_dict
from tclif_deploy.formats.families import OF_FAMILIES
from tclif_deploy.formats.model_file.file import is_ours, network_from_file
from tclif_deploy.formats.network_file import is_network_file, read_network
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.frontends.live.structure import from_module
from tclif_deploy.network import Network
from tclif_deploy.neurons import growth_notice
from tclif_deploy.torch_file import is_torch, of_lightning, read_checkpoint, state_dict_of, to_arrays

if TYPE_CHECKING:
    import nir
    import torch

ModelLike: TypeAlias = "Path | str | torch.nn.Module | nir.NIRGraph | Network"
"""What is taken as a model: the path of a file that `load` reads, a live torch module, a NIR graph, or a `Network`."""

EXPECTED = (
    "expected a checkpoint (.pt, .pth.tar) that torch.save or tclif_deploy.save wrote, a .safetensors file, a "
    ".nir file, a netx .net file, or a network.npz"
)
MAX_BYTES = 1 << 31
"""Far above any network of this kind: larger files are something else."""
HDF5 = b"\x89HDF\r\n\x1a\n"
OF_NIR = ("dt", "convention")
"""What can be said by hand about a .nir file of another tool alone."""
LFS_POINTER = b"version https://git-lfs"


@one_blas_thread
@checked
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
    adaptation: float | None = None,
    dilated_kernel_size: int | None = None,
    dt: float | None = None,
    convention: str | None = None,
    readout: str | None = None,
) -> Network:
    """Read a trained network: a checkpoint, a bare state_dict, a file of `save`, a ``.nir`` or netx file, the
    ``network.npz`` of a build, a live module, or a ``nir.NIRGraph``. A `Network` comes back as it is.

    A live module is read by what its classes say or, with an ``example_input`` (samples, time, features), by running
    it, whatever its classes: SpikingJelly's, snnTorch's and Norse's neurons are known too, and the network is then
    checked against the module spike by spike (see `tclif_deploy.frontends.live.tracing`).

    ``readout`` is the rule by which the last layer is read (`tclif_deploy.readout`), whatever the model says.
    What a checkpoint does not hold comes from the training script's ``args.json`` (``args``, else the file of
    that name beside the model) or by hand, which wins: see `ReadOptions` for each. What was decided on the way
    stands in the network's ``notices``. Layers are named after their modules in the model.
    Raises `TclifError`, one line, for whatever cannot be read.

    Examples
    --------
    >>> from tclif_deploy import load
    >>> network = load("fixtures/smnist_ff/checkpoint.pth.tar")
    >>> [(layer.name, layer.size) for layer in network.layers]
    [('features.1', 64), ('features.3', 256), ('features.5', 256), ('features.6', 10)]
    """
    override = {
        "args": args, "threshold": threshold, "gamma": gamma, "comparator": comparator, "reset": reset,
        "neuron": neuron, "decay": decay, "adaptation": adaptation,
        "dilated_kernel_size": dilated_kernel_size, "dt": dt, "convention": convention,
        "readout": readout,
    }  # fmt: skip
    given = {name: value for name, value in override.items() if value is not None}
    return read_model(model, replace(options or ReadOptions(), **given), example_input)[1]  # type: ignore[arg-type]


def read_model(
    model: ModelLike, given: ReadOptions, example_input: Any = None, readout: str | None = None
) -> tuple[str, Network]:
    """(what sort of model it is, in words, its network); see `load`. The only place where models are told apart."""
    if given.readout is not None:
        kind, network = read_model(model, replace(given, readout=None), example_input, given.readout)
        return kind, network.with_readout(given.readout)
    if isinstance(model, Network) and example_input is None:
        _refuse(given, (), "a Network", "leave {} out")
        return "Network", model
    if _is_of(model, "torch.nn", "Module"):
        kind, network = "live module", _read_module(model, given, example_input, readout)
    elif example_input is not None:
        name = model if isinstance(model, str | Path) else type(model).__name__
        raise TclifError(f"{name}: an example input is for live modules, not for files", "leave example_input out")
    elif isinstance(model, str | Path):
        kind, network = _read_file(Path(model), given, readout)
    elif _is_of(model, "nir", "NIRGraph"):
        kind, network = _read_nir(model, given)
    else:
        raise TclifError(
            f"cannot read a model from a {type(model).__name__}",
            f"{EXPECTED}, or a live torch module, a nir.NIRGraph or a Network",
        )
    grows = (growth_notice(layer.name, layer.neuron) for layer in network.layers)
    return kind, replace(network, notices=(*network.notices, *(notice for notice in grows if notice is not None)))


def _is_of(model: object, library: str, name: str) -> bool:
    """Whether ``model`` is of a class of a library, which is not imported for the question."""
    return library in sys.modules and isinstance(model, getattr(sys.modules[library], name))


def _read_module(model: Any, given: ReadOptions, example: Any, readout: str | None) -> Network:
    if example is None:
        _refuse_late(given, "a live module")
        return from_module(model, given, readout)
    _refuse(given, (), "a live module", "leave {} out")
    from tclif_deploy.frontends.live.tracing import record

    return record(model, example, readout)


@np.errstate(all="ignore")  # what floats do not hold becomes inf or NaN, which no neuron or weight may be
def _read_file(path: Path, given: ReadOptions, readout: str | None) -> tuple[str, Network]:
    data = _read(path)
    if data.startswith(HDF5):
        return _read_hdf5(path, given)
    try:
        ours = is_network_file(data)
    except TclifError as error:
        raise TclifError(f"{path}: {error.what}", error.hint) from None
    if ours:
        _refuse(given, (), f"{path}: a network.npz")
        return "network.npz of tclif", read_network(path)
    tensors_alone = is_safetensors(data)  # asked first: the length with which it begins can look like a pickle
    if not is_torch(data) and not tensors_alone:
        raise TclifError(*_not_torch(path, data))
    if given.convention is not None:
        raise TclifError(f"{path}: --convention is for .nir files, this is one of torch", "leave --convention out")
    _refuse_late(given, str(path))
    if tensors_alone:
        tensors = to_arrays(read_safetensors(data, str(path)), str(path), len(data))
        return "safetensors file", network_from_state_dict(tensors, given, path, readout)
    content = read_checkpoint(data, str(path))
    if is_ours(content):
        _refuse_of_families(given, str(path))
        return "model file of tclif_deploy.save", network_from_file(content, len(data), given, path)
    state, notice = of_lightning(content, state_dict_of(content, str(path)))
    network = network_from_state_dict(to_arrays(state, str(path), len(data)), given, path, readout)
    return "torch checkpoint", network if notice is None else replace(network, notices=(notice, *network.notices))


def _read(path: Path) -> bytes:
    """The file's bytes, read once: what was checked is what is loaded."""
    as_path(path, EXPECTED)
    if (path / "manifest.json").exists():
        raise TclifError(f"{path}: is a build, not a model", "tclif show says what is in it")
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


def _read_hdf5(path: Path, given: ReadOptions) -> tuple[str, Network]:
    from tclif_deploy.data.nir_data import is_nir_data
    from tclif_deploy.formats.netx import is_netx, read_netx

    if is_netx(path):
        _refuse(given, (), f"{path}: a netx file")
        return "netx file of lava-dl", read_netx(path)
    if is_nir_data(path):
        raise TclifError(f"{path}: holds NIR's data, not a graph", "give it as data: --data, load_data")
    return _read_nir(path, given)


def _read_nir(model: Path | nir.NIRGraph, given: ReadOptions) -> tuple[str, Network]:
    from tclif_deploy.formats.nir.read import network_of
    from tclif_deploy.formats.nir.read_file import model_name, read_graph
    from tclif_deploy.formats.nir.read_own import is_ours

    where = model_name(model)
    _refuse(given, (*OF_NIR, "comparator", "reset"), f"{where}: a NIR graph")
    graph = read_graph(model)
    kind = "NIR file of tclif" if is_ours(graph) else "NIR file"
    return kind, network_of(graph, where, given.dt, given.convention, given.comparator, given.reset)


def _refuse(given: ReadOptions, but: tuple[str, ...], model: str, hint: str = "leave --{} out") -> None:
    """Raise `TclifError` for options that a model, which says everything itself, does not take."""
    for name, value in asdict(given).items():
        if value is not None and name not in but:
            raise TclifError(f"{model} says everything itself, {name} included", hint.format(name))


def _refuse_late(given: ReadOptions, model: str) -> None:
    if given.reset == "subtract-late":
        raise TclifError(f"{model}: reset subtract-late is for .nir files", "use soft or hard")


def _refuse_of_families(given: ReadOptions, model: str) -> None:
    for name in ("dt", *OF_FAMILIES):
        if getattr(given, name) is not None:
            option = name.replace("_", "-")
            raise TclifError(
                f"{model}: --{option} is not for this model, which has no such number", f"leave --{option} out"
            )


def _not_torch(path: Path, data: bytes) -> tuple[str, str]:
    """(what is wrong, what to do) with a file of a kind that is not read."""
    if data.startswith(LFS_POINTER):
        return f"{path}: is a Git LFS pointer, not the file itself", "run git lfs pull"
    named = {
        ".nir": "is not HDF5, which NIR files are", ".net": "is not HDF5, which netx files are",
        ".onnx": "ONNX models are not read", ".safetensors": "is damaged, or no safetensors file",
        ".npz": "is not a model", ".json": "is not a model", ".toml": "is not a model", ".py": "is code, not a model",
    }  # fmt: skip
    begins = f"is not a model file (it begins with {data[:16]!r})"
    return f"{path}: {named.get(path.suffix.lower(), begins)}", EXPECTED
