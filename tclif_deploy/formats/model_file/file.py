"""Our self-contained model file: weights and a plain JSON configuration, nothing else needed beside it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tclif_deploy.errors import TclifError
from tclif_deploy.formats.model_file.description import AGAIN, Description, overridden, parse, parts_of
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.formats.torch_modules import graph_of_modules
from tclif_deploy.graph.lower import lower
from tclif_deploy.network import Network
from tclif_deploy.outputs import write_file
from tclif_deploy.torch_file import state_dict_of, to_arrays

if TYPE_CHECKING:
    import torch

FORMAT = "tclif-model"
FORMAT_VERSION = 1


def is_ours(content: Any) -> bool:
    """Whether a torch file's content is one that `write_model_file` wrote."""
    return isinstance(content, dict) and content.get("format") == FORMAT


def write_model_file(description: Description, state: Mapping[str, torch.Tensor], path: Path) -> None:
    """A file of a model's ``description`` and tensors, there whole or not at all; `TclifError` where it cannot be."""
    import torch

    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "config": description.model_dump_json(exclude={"readout"} if description.readout is None else None),
        "state_dict": {name: tensor.detach().cpu().clone() for name, tensor in state.items()},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_file(path, buffer.getvalue())


def network_from_file(content: dict[str, Any], file_bytes: int, given: ReadOptions, path: Path) -> Network:
    """The network in what `write_model_file` wrote."""
    where = str(path)
    version = content.get("version")
    if type(version) is not int or version != FORMAT_VERSION:  # a tensor has no truth of its own
        shown = version if isinstance(version, (int, float, str)) else type(version).__name__
        raise TclifError(f"{where}: {FORMAT} version {shown!r:.40}, expected {FORMAT_VERSION}", AGAIN)
    description = parse(content.get("config"), where)
    return described_network(description, state_dict_of(content, where), given, where, file_bytes)


def described_network(
    description: Description, state: Mapping[str, Any], given: ReadOptions, where: str, file_bytes: int | None = None
) -> Network:
    """The network of a model's description and tensors; what was ``given`` by hand wins."""
    if given.args is not None:
        raise TclifError(f"{where}: holds its own settings, which {given.args} would contradict", "leave --args out")
    notices = (*description.notices, *overridden(description, given))
    parts = parts_of(description, to_arrays(state, where, file_bytes), given, where)
    network = lower(graph_of_modules(parts, notices, where))
    if description.readout is None:
        return network
    try:
        return network.with_readout(description.readout)
    except TclifError as error:
        raise TclifError(f"{where}: {error.what}", AGAIN) from error
