"""A live torch model by its structure, as its classes say it: its network, and its file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tclif_deploy.arguments import checked
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.model_file.file import described_network, write_model_file
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.network import Network

if TYPE_CHECKING:
    import torch


def from_module(model: torch.nn.Module, given: ReadOptions | None = None) -> Network:
    """The network of a live torch model (see `tclif_deploy.frontends.live.modules.describe` for what it may hold)."""
    from tclif_deploy.frontends.live.modules import describe

    return described_network(describe(model), model.state_dict(), given or ReadOptions(), "model")


@checked
def save(model: torch.nn.Module, path: Path | str) -> None:
    """Write ``model`` into one file that `load` and ``tclif-compile`` read with nothing beside it.

    The file appears whole or not at all. Raises `TclifError` where the model is not one that can be read back,
    or the file cannot be written.

    Examples
    --------
    >>> import tempfile, torch
    >>> from tclif_deploy import load, save
    >>> from tclif_deploy.nn import TCLIF
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 8), TCLIF(threshold=1.5), torch.nn.Linear(8, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(model, f"{folder}/model.pt")
    ...     network = load(f"{folder}/model.pt")
    >>> [layer.name for layer in network.layers]
    ['layer1', 'layer2']
    """
    from tclif_deploy.frontends.live.modules import describe

    if not hasattr(model, "state_dict"):
        raise TclifError(f"cannot save a {type(model).__name__}", "expected a torch module")
    description, state = describe(model), model.state_dict()
    described_network(description, state, ReadOptions(), "model")  # what cannot be read is not written
    write_model_file(description, state, Path(path))
