"""The exact parameters that stand beside the primitives: numeric arrays and one JSON string a node."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from tclif_deploy import json_form
from tclif_deploy.errors import TclifError
from tclif_deploy.files import parse_json
from tclif_deploy.formats.nir import grids
from tclif_deploy.network import LATER_ARRAYS, NEURON_ARRAYS, Float, Layer, Network, Neuron
from tclif_deploy.readout import Readout
from tclif_deploy.start import says_start

KEY = "tclif_deploy"
"""Under this name the JSON string stands in a node's metadata."""

EXPORT = "tclif_deploy_export"
"""Under this name stands what a graph of standard nodes was written with: JSON with dt."""

VERSION, READOUT_VERSION, GRID_VERSION = 1, 2, 3
"""2: with a readout that is not the usual one, which a reader of 1 would take wrongly; 3: with the units of numbers
that are integers already"""

START_VERSION = 2
"""Of a layer's metadata: with u0 or s0."""

DT = 1.0
"""The step in which the primitives' differential equations are read, in the unit of their time constants."""

READING = (
    "Forward Euler with dt. All integrators of a layer step at once, from their values before the step. "
    "Layers run in order of their names; an edge from a layer to itself or to an earlier one carries "
    "the spikes of the step before."
)

_CHOICES: dict[str, tuple[object, ...]] = {
    "strict": (False, True),
    "reset": ("soft", "hard"),
    "input_to": ("dendrite", "soma"),
    "spiking": (False, True),
}


def of_network(network: Network) -> dict[str, Float | str]:
    """Metadata of the whole graph: what a person or a tool must know to run it."""
    return _of_graph(KEY, {"version": VERSION, "dt": DT, "reading": READING}, network)


def of_export(network: Network, dt: float) -> dict[str, Float | str]:
    """Metadata of a graph of standard nodes."""
    return _of_graph(EXPORT, {"version": VERSION, "dt": dt}, network)


def _of_graph(key: str, values: dict[str, Any], network: Network) -> dict[str, Float | str]:
    """``values``, with the rule of a network whose readout is not the usual one, and the units that it carries."""
    arrays: dict[str, Float] = {}
    if not network.usual_readout:
        values |= {"version": READOUT_VERSION, "readout": asdict(network.readout)}
    if grids.has_grid(network):
        said, arrays = grids.of_network(network)
        values |= {"version": GRID_VERSION, "grids": said}
    return {key: json.dumps(values), **arrays}


def _of_whole(metadata: Mapping[str, Float | str]) -> dict[str, Any]:
    """What the JSON of the whole graph says, ours or an export's; nothing where it is damaged, which others tell."""
    text = metadata.get(KEY, metadata.get(EXPORT, "{}"))
    try:
        values = parse_json(text) if isinstance(text, str) else None
    except ValueError:
        values = None
    return values if isinstance(values, dict) else {}


def read_grids(network: Network, metadata: Mapping[str, Float | str], where: str) -> Network:
    """``network`` with the units in the metadata of the whole graph, if there are any. Raises `TclifError`."""
    values = _of_whole(metadata)
    return grids.with_grids(network, values["grids"], metadata, where) if "grids" in values else network


def read_readout(metadata: Mapping[str, Float | str], where: str) -> Readout:
    """The readout in the metadata of the whole graph, ``auto`` where they say none. Raises `TclifError`."""
    values = _of_whole(metadata)
    if "readout" not in values:
        return Readout()
    hint = "write the file again, or remove its metadata"
    return json_form.parse(Readout, json.dumps(values["readout"]), f"{where}: metadata readout", hint)


def of_layer(layer: Layer) -> dict[str, Float | str]:
    """Metadata of a layer's graph: everything but the connections."""
    n = layer.neuron
    arrays = {name: getattr(n, name) for name in NEURON_ARRAYS}
    arrays = {name: values for name, values in arrays.items() if name not in LATER_ARRAYS or values.any()}
    version = START_VERSION if says_start(n, n.reset) else VERSION
    values = {"version": version, "name": layer.name, "type": n.type} | {key: getattr(n, key) for key in _CHOICES}
    return {KEY: json.dumps(values), **arrays}


def check_network(metadata: Mapping[str, Float | str], where: str) -> None:
    """Raise `TclifError` where the graph was written for another step or by a newer version; none is fine."""
    if KEY in metadata:
        values = _parse(metadata[KEY], where, GRID_VERSION)
        if values.get("dt") != DT:
            raise TclifError(f"{where}: metadata says dt = {_short(values.get('dt'))}", f"only dt = {DT} is read")


def read_layer(metadata: Mapping[str, Float | str], where: str) -> tuple[str, Neuron] | None:
    """(name, neurons) as a layer's metadata has them; None where there is none of ours."""
    if KEY not in metadata:
        return None
    values = _parse(metadata[KEY], where, START_VERSION)
    for key in ("name", "type"):
        if not isinstance(values.get(key), str):
            raise TclifError(f"{where}: metadata {key} is {_short(values.get(key))}, expected a string")
    for key, known in _CHOICES.items():
        if values.get(key) not in known or type(values.get(key)) is not type(known[0]):
            expected = " or ".join(json.dumps(value) for value in known)
            raise TclifError(f"{where}: metadata {key} is {_short(values.get(key))}, expected {expected}")
    arrays: dict[str, Any] = {}
    for name in NEURON_ARRAYS:
        value = metadata.get(name)
        if value is None and name in LATER_ARRAYS:
            continue
        if not isinstance(value, np.ndarray):
            raise TclifError(
                f"{where}: metadata lacks the array {name}", "write the file again, or remove its metadata"
            )
        arrays[name] = value
    if values["version"] < START_VERSION and values["reset"] == "hard":
        arrays["r_u"] = np.zeros_like(arrays["r_u"])  # which said nothing then
    try:
        neuron = Neuron(**arrays, type=values["type"], **{key: values[key] for key in _CHOICES})
    except TclifError as error:
        raise TclifError(f"{where}: metadata: {error.what}", error.hint) from error
    return values["name"], neuron


def _parse(text: Float | str, where: str, newest: int = VERSION) -> dict[str, Any]:
    try:
        values = parse_json(text) if isinstance(text, str) else None
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise TclifError(
            f"{where}: metadata {KEY} is not a JSON object", "write the file again, or remove its metadata"
        )
    if values.get("version") not in range(VERSION, newest + 1):
        raise TclifError(
            f"{where}: metadata has version {_short(values.get('version'))}, this program knows {newest}",
            "update tclif-deploy, or remove the metadata",
        )
    return values


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:40] + "..."
