"""A live torch model by its structure, as its classes say it: its network, and its file."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tclif_deploy.arguments import checked
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.families import OF_FAMILIES, family_network
from tclif_deploy.formats.model_file.file import described_network, write_model_file
from tclif_deploy.formats.read_options import ReadOptions
from tclif_deploy.network import Network
from tclif_deploy.simulation.floating import simulate_float
from tclif_deploy.torch_file import to_arrays

if TYPE_CHECKING:
    import torch

SAMPLES, STEPS = 4, 50
"""of random input, where an example is laid out otherwise than the network's"""
TOLERANCE = 1e-6
"""of readouts, where both run in double precision"""


def from_module(model: torch.nn.Module, given: ReadOptions | None = None, readout: str | None = None) -> Network:
    """The network of a live torch model (see `tclif_deploy.frontends.live.modules.describe` for what it may hold).

    A model of a family that is read by the names of its parameters (`tclif_deploy.formats.families`) is read so, with
    what its modules' attributes say; ``readout`` is the rule by which it will be read, where that is given.
    """
    from tclif_deploy.frontends.live.modules import describe

    given = given or ReadOptions()
    network = _of_family(model, replace(given, readout=readout))
    if network is not None:
        return network
    for name in ("dt", *OF_FAMILIES):
        if getattr(given, name) is not None:
            raise TclifError(f"model: {name} is not for this model, which has no such number", f"leave {name} out")
    return described_network(describe(model), model.state_dict(), given, "model")


def _of_family(model: torch.nn.Module, given: ReadOptions) -> Network | None:
    """The network of a model of a family, None of any other."""
    where = f"model ({type(model).__name__})"
    try:
        arrays = to_arrays(model.state_dict(), where)
    except TclifError:
        return None  # of no family: what is wrong is said by who reads it
    network = family_network(arrays, given, where, dict(model.named_modules()))
    if network is None:
        return None
    told = f"{where}: its forward was not run: it is taken for that of its authors, whose parameters it has"
    return replace(network, notices=(*network.notices, told))


@checked
def save(model: torch.nn.Module, path: Path | str, *, example_input: Any = None, readout: str | None = None) -> None:
    """Write ``model`` into one file that `load` and ``tclif-compile`` read with nothing beside it.

    Its modules are written in the order in which it lists them. Where a module has a ``forward`` of its own, a warning
    says that it was not run; ``example_input``, as `load` takes it, runs it, compares, and finds the readout rule by
    what the model returns. ``readout`` is the rule, where it is not the usual one (`tclif_deploy.readout`); the file
    holds it.

    The file appears whole or not at all. Raises `TclifError` where the model is not one that can be read back, where
    it does something else on the example than its modules in their order, or where the file cannot be written.

    Examples
    --------
    >>> import tempfile, torch
    >>> from tclif_deploy import load, save
    >>> from tclif_deploy.nn import TCLIF
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 8), TCLIF(threshold=1.5), torch.nn.Linear(8, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(model, f"{folder}/model.pt", readout="mean")
    ...     network = load(f"{folder}/model.pt")
    >>> [layer.name for layer in network.layers], str(network.readout)
    (['layer1', 'layer2'], 'mean')
    """
    from tclif_deploy.frontends.live.modules import BY_EXAMPLE, describe

    if not hasattr(model, "state_dict"):
        raise TclifError(f"cannot save a {type(model).__name__}", "expected a torch module")
    description, state = describe(model).model_copy(update={"readout": readout}), model.state_dict()
    described = described_network(description, state, ReadOptions(), "model")  # what cannot be read is not written
    if example_input is not None:
        rule = _compared(described, model, example_input, readout)
        description = description.model_copy(update={"notices": [], "readout": rule})
    for notice in description.notices:
        warnings.warn(f"save: {notice.replace(BY_EXAMPLE, 'save(module, path, example_input=x)')}", stacklevel=3)
    write_model_file(description, state, Path(path))


def _compared(described: Network, model: torch.nn.Module, example: Any, readout: str | None) -> str | None:
    """The rule by which ``model`` reads its last layer, None for the usual one.

    Raises `TclifError` where a file of ``described`` would not answer as ``model`` does on an example.
    """
    from tclif_deploy.frontends.live.tracing import record

    run = record(model, example, readout)
    problem = f"it has {run.outputs} outputs, the file would have {described.outputs}"
    if (run.input_size, run.layers[-1].size) == (described.input_size, described.layers[-1].size):
        x = np.random.default_rng(0).normal(0, 1, (SAMPLES, STEPS, run.input_size))
        given = np.asarray(example.detach().cpu() if hasattr(example, "detach") else example, np.float64)
        if given.ndim == 3 and given.shape[2] == run.input_size:
            x = given
        rule = str(run.readout)
        said, kept = (simulate_float(network, x).readout for network in (run, described.with_readout(rule)))
        error = float(np.abs(said - kept).max())
        if error <= TOLERANCE * max(1.0, float(np.abs(said).max())):
            return None if rule == str(described.readout) and readout is None else rule
        problem = f"on the example the file would be off by {error:.3g}"
    raise TclifError(
        f"model ({type(model).__name__}): its forward does something else than its modules in their order: {problem}",
        "a file keeps modules alone: compile the live module, with example_input",
    )
