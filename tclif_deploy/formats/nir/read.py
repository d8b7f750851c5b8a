"""NIR to network: a file or a graph in memory, of ours or of any other tool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tclif_deploy.arguments import checked
from tclif_deploy.errors import TclifError
from tclif_deploy.formats.nir import metadata
from tclif_deploy.formats.nir.graph import NirGraph
from tclif_deploy.formats.nir.read_file import model_name, read_graph
from tclif_deploy.formats.nir.read_foreign import read_foreign
from tclif_deploy.formats.nir.read_own import is_ours, read_own
from tclif_deploy.network import Network
from tclif_deploy.readout import Readout

if TYPE_CHECKING:
    import nir


@checked
@np.errstate(all="ignore")  # what floats do not hold becomes inf or NaN, which no neuron or weight may be
def read_nir(
    model: Path | str | nir.NIRGraph,
    *,
    dt: float | None = None,
    convention: str | None = None,
    comparator: str | None = None,
    reset: str | None = None,
) -> Network:
    """Read a NIR file, or a graph of the nir package: one of `write_nir`, or one of any other tool.

    With its metadata our own form comes back bit for bit, its readout too, after a check that the nodes say the same.
    Without, the coefficients come from the primitives, to 1e-12 (see `tclif_deploy.formats.nir.form.read_layer`).

    Other graphs are discretised with ``dt``, by a ``convention`` of `tclif_deploy.formats.nir.discretise`, which
    ``comparator`` (``>=`` or ``>``) and ``reset`` (``soft``, ``hard`` or ``subtract-late``) can change; the notices say
    how, and warn where a file cannot say what its tool does. Raises
    `TclifError` where the file is missing, damaged, or holds nodes or edges that cannot be read; it names the node.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import tclif_deploy as tc
    >>> out = tc.Layer("out", tc.neurons.lif(2, decay=0.9, threshold=1.0), (tc.Connection("input", np.ones((2, 3))),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tc.write_nir(tc.Network(3, (out,)), f"{folder}/network.nir")
    ...     tc.read_nir(f"{folder}/network.nir")
    Network: 3 input features, 1 layer, 2 neurons, 6 weights
      layer  neurons  type  from   weights
      out    2        lif   input  6
    """
    return network_of(read_graph(model), model_name(model), dt, convention, comparator, reset)


def network_of(
    graph: NirGraph, where: str, dt: float | None, convention: str | None, comparator: str | None, reset: str | None
) -> Network:
    """The network of a graph; see `read_nir`. ``where`` is its file, for messages."""
    readout = metadata.read_readout(graph.metadata, where)
    if not is_ours(graph):
        network = read_foreign(graph, where, dt=dt, convention=convention, comparator=comparator, reset=reset)
        return _read_by(metadata.read_grids(network, graph.metadata, where), readout, where)
    options = {"dt": dt, "convention": convention, "comparator": comparator, "reset": reset}
    for name, value in options.items():
        if value is not None:
            raise TclifError(f"{where}: a .nir file of ours says everything itself, {name} included", "leave it out")
    return _read_by(metadata.read_grids(read_own(graph, where), graph.metadata, where), readout, where)


def _read_by(network: Network, readout: Readout, where: str) -> Network:
    try:
        return network.with_readout(readout)
    except TclifError as error:
        raise TclifError(f"{where}: {error.what}", error.hint) from error
