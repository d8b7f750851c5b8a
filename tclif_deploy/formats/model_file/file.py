"""Our self-contained model file: weights and a plain JSON configuration, nothing else needed beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tclif_deploy.errors import TclifError
from tclif_deploy.files import write_atomic
from tclif_deploy.formats.checkpoint.torch_file import state_dict_of, to_arrays
from tclif_deploy.formats.model_file import description
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.graph.parts import assemble
from tclif_deploy.network import Network

if TYPE_CHECKING:
    import torch

FORMAT = "tclif-model"
FORMAT_VERSION = 1


def from_module(model: torch.nn.Module, given: ReadOptions | None = None) -> Network:
    """The network of a live torch model (see `tclif_deploy.frontends.live.modules.describe` for what it may hold)."""
    from tclif_deploy.frontends.live.modules import describe

    given = given or ReadOptions()
    _no_args(given, "model")
    return _network(describe(model), to_arrays(model.state_dict(), "model"), given, "model")


def save(model: torch.nn.Module, path: Path | str) -> None:
    """Write ``model`` into one file that `load` and ``tclif-compile`` read with nothing beside it.

    The file appears whole or not at all. Raises `TclifError` where the model is not one that can be read back,
    or the file cannot be written.

    Examples
    --------
    >>> import tempfile, torch
    >>> from tclif_deploy.frontends import load
    >>> from tclif_deploy.nn import TCLIF
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 8), TCLIF(threshold=1.5), torch.nn.Linear(8, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(model, f"{folder}/model.pt")
    ...     network = load(f"{folder}/model.pt")
    >>> [layer.name for layer in network.layers]
    ['layer1', 'layer2']
    """
    import torch

    from tclif_deploy.frontends.live.modules import describe

    if not isinstance(model, torch.nn.Module):
        raise TclifError(f"cannot save a {type(model).__name__}", "expected a torch module")
    path = Path(path)
    found = describe(model)
    _network(
        found, to_arrays(model.state_dict(), "model"), ReadOptions(), "model"
    )  # what cannot be read is not written
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "config": found.model_dump_json(),
        "state_dict": {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()},
    }
    write_atomic(path, lambda file: torch.save(content, file))


def is_ours(content: Any) -> bool:
    """Whether a torch file's content is one that `save` wrote."""
    return isinstance(content, dict) and content.get("format") == FORMAT


def network_from_file(content: dict[str, Any], file_bytes: int, given: ReadOptions, path: Path) -> Network:
    """The network in what `save` wrote."""
    where = str(path)
    version = content.get("version")
    if version != FORMAT_VERSION:
        raise TclifError(f"{where}: {FORMAT} version {version!r:.40}, expected {FORMAT_VERSION}", description.AGAIN)
    _no_args(given, where)
    found = description.parse(content.get("config"), where)
    return _network(found, to_arrays(state_dict_of(content, where), where, file_bytes), given, where)


def _network(found: description.Description, tensors: Any, given: ReadOptions, where: str) -> Network:
    notices = (*found.notices, *description.overridden(found, given))
    return assemble(description.parts_of(found, tensors, given, where), None, notices, where)


def _no_args(given: ReadOptions, where: str) -> None:
    if given.args is not None:
        raise TclifError(f"{where}: holds its own settings, which {given.args} would contradict", "leave --args out")
