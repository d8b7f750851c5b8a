"""The units of numbers that are integers already (`tclif_deploy.grid`), in the metadata of a whole NIR graph.

The JSON of the graph says for each layer, in evaluation order, the width of its states and its connections: the place
of their source (-1: the input) and their delay, since a reader may list them in another order. Arrays beside it hold
the units.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tclif_deploy import json_form
from tclif_deploy.errors import TclifError
from tclif_deploy.grid import InputGrid, LayerGrid
from tclif_deploy.network import INPUT, Float, Layer, Network

PREFIX = "grid_"
"""begins the names of the arrays"""
AGAIN = "write the file again, or remove its metadata"


@dataclass(frozen=True)
class _Layer:
    __pydantic_config__ = json_form.EXACT

    state_bits: int
    links: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Grids:
    __pydantic_config__ = json_form.EXACT

    layers: tuple[_Layer | None, ...] = ()
    input: InputGrid | None = None


def has_grid(network: Network) -> bool:
    """Whether a network carries any units."""
    return network.input_grid is not None or any(layer.grid is not None for layer in network.layers)


def of_network(network: Network) -> tuple[dict[str, Any], dict[str, Float]]:
    """(what JSON says, arrays) of a network that `has_grid`."""
    places = _places(network)
    said = tuple(
        None if layer.grid is None else _Layer(layer.grid.state_bits, _links(layer, places)) for layer in network.layers
    )
    arrays: dict[str, Float] = {}
    for n, layer in enumerate(network.layers):
        if layer.grid is not None:
            arrays |= {f"{PREFIX}{n}_lsb_u": layer.grid.lsb_u, f"{PREFIX}{n}_lsb_v": layer.grid.lsb_v}
            arrays |= {f"{PREFIX}{n}_step_{m}": steps for m, steps in enumerate(layer.grid.steps)}
    plain: dict[str, Any] = json_form.plain(_Grids(said, network.input_grid))
    return plain, arrays


def with_grids(network: Network, said: object, metadata: Mapping[str, Float | str], where: str) -> Network:
    """``network`` with the units that its file's JSON and arrays say. Raises `TclifError` where they are damaged."""
    where = f"{where}: metadata grids"
    grids = json_form.parse(_Grids, json.dumps(said), where, AGAIN)
    places = _places(network)
    links = [_links(layer, places) for layer in network.layers]
    fits = len(grids.layers) == len(network.layers) and all(
        item is None or (sorted(item.links) == sorted(own) and len(set(own)) == len(own))
        for item, own in zip(grids.layers, links, strict=True)
    )
    if not fits:  # a reader may take a graph apart in another way than its writer put it together
        notice = "the units in the metadata are of other layers or connections than the graph's, and are left out"
        return replace(network, notices=(*network.notices, notice))
    layers = []
    for n, (layer, item) in enumerate(zip(network.layers, grids.layers, strict=True)):
        if item is None:
            layers.append(layer)
            continue

        def array(name: str, n: int = n) -> Float:
            value = metadata.get(f"{PREFIX}{n}_{name}")
            if not isinstance(value, np.ndarray):
                raise TclifError(f"{where}: the array {PREFIX}{n}_{name} is missing", AGAIN)
            return value

        steps = tuple(array(f"step_{item.links.index(link)}") for link in links[n])
        try:
            grid = LayerGrid(item.state_bits, array("lsb_u"), array("lsb_v"), steps)
            layers.append(replace(layer, grid=grid))
        except TclifError as error:
            raise TclifError(f"{where}: {error.what}", AGAIN) from error
    return replace(network, layers=tuple(layers), input_grid=grids.input)


def _places(network: Network) -> dict[str, int]:
    return {INPUT: -1} | {layer.name: n for n, layer in enumerate(network.layers)}


def _links(layer: Layer, places: dict[str, int]) -> tuple[tuple[int, int], ...]:
    return tuple((places[c.source], c.delay) for c in layer.connections)
