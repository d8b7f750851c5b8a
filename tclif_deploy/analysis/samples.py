"""What an analysis is of: a build or a float network, and samples to run it on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tclif_deploy.builds import Build
from tclif_deploy.data import DataLike, Dataset, as_dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.network import Float, Network
from tclif_deploy.simulation.scores import check_any_judged, task_of

GIVE = "give samples: --data FILE"
Subject = Network | Build | Path | str
"""a float network, or a build, which has one"""


def network_of(model: Subject) -> tuple[Network, Build | None]:
    """The float network, and the build that it is of. Raises `TclifError` where there is none."""
    if isinstance(model, Network):
        return model, None
    build = model if isinstance(model, Build) else Build.open(model)
    return build.network, build


def samples_of(network: Network, build: Build | None, data: DataLike | None, samples: int | None) -> Dataset:
    """The first ``samples`` of ``data``; without any, of those that set the scales of ``build``.

    Raises `TclifError` where there are none, or where they do not fit the network.
    """
    if data is None and build is not None:
        chosen = _calibration(build)
    else:
        given = as_dataset(data)
        if given is None:
            raise TclifError("a network by itself has no samples", GIVE)
        chosen = given
    if chosen.features != network.input_size:
        raise TclifError(
            f"{chosen.name}: {chosen.features} features a step, the network takes {network.input_size}", GIVE
        )
    return chosen[:samples]


def _calibration(build: Build) -> Dataset:
    try:
        data = build.calibration.load()
    except TclifError as error:
        raise TclifError(f"{build.folder}: {error.what}", GIVE) from error
    if data is None:
        raise TclifError(f"{build.folder}: no samples set its scales", GIVE)
    return data


def check_targets(network: Network, data: Dataset, what: str) -> None:
    """Raise `TclifError` for samples without targets, or with others than ``network`` has answers for."""
    if data.y is None:
        raise TclifError(f"{data.name}: has no labels (y), which {what} needs", "give labelled samples: --data FILE")
    check_judged(network, data)


def check_judged(network: Network, data: Dataset) -> None:
    """Raise `TclifError` for samples of which no answer counts, or with targets that ``network`` has no answers for."""
    check_any_judged(data, task_of(data, network.outputs))


def with_weights(network: Network, weights: Iterable[Float]) -> Network:
    """``network`` with other ``weights``, one array a connection, layer by layer, and without the grids of its own.

    Raises `TclifError` for weights that none can have.
    """
    others, layers = iter(weights), []
    for layer in network.layers:
        connections = tuple(replace(connection, weight=next(others)) for connection in layer.connections)
        layers.append(replace(layer, connections=connections, grid=None))
    return replace(network, layers=tuple(layers))
