"""``network.npz``: a float network, that of a build among them, in a form of our own that holds every network exactly.

NIR has no primitive for some neurons (a hard reset beside b_u, or any q), so ``network.nir`` may be missing; this file
never is. Plain arrays and one JSON header, nothing pickled, same network same bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy import json_form
from tclif_deploy.convolution import Conv
from tclif_deploy.errors import TclifError
from tclif_deploy.files import DAMAGED, open_npz
from tclif_deploy.fixed import AGAIN, Format
from tclif_deploy.grid import InputGrid, LayerGrid
from tclif_deploy.network import LATER_ARRAYS, NEURON_ARRAYS, Connection, InputTo, Layer, Network, Neuron, Reset
from tclif_deploy.outputs import write_npz
from tclif_deploy.readout import Readout
from tclif_deploy.start import says_start

FORMAT, FORMAT_VERSIONS = "tclif-network", (1, 2, 3, 4)
"""2: with a readout that is not the usual one; 3: with the units of numbers that are integers already; 4:
with u0, s0 or a hard reset's r_u"""
START_VERSION = 4
PLAIN = ("strict", "reset", "input_to", "spiking", "type")
"""fields of `Neuron` that are no arrays"""


def is_network_file(data: bytes) -> bool:
    """Whether a file's bytes are what `write_network` writes. Raises `TclifError` for a compiled network's integers."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
    except DAMAGED:
        return False
    if "header.npy" not in names or "0.a_u.npy" not in names:
        return False
    if "0.lsb_u.npy" in names:
        raise TclifError("holds a compiled network's integers, not a model", "name network.npz instead")
    return True


def write_network(network: Network, path: Path) -> None:
    """Write ``network`` into one ``.npz``."""
    layers: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[Any]] = {}
    for n, layer in enumerate(network.layers):
        neuron = layer.neuron
        connections = [
            {"source": c.source, "delay": c.delay, "conv": None if c.conv is None else asdict(c.conv)}
            for c in layer.connections
        ]
        plain = {name: getattr(neuron, name) for name in PLAIN}
        layers.append({"name": layer.name, "neuron": plain, "connections": connections})
        if layer.grid is not None:
            layers[-1]["state_bits"] = layer.grid.state_bits
            arrays |= {f"{n}.grid.lsb_u": layer.grid.lsb_u, f"{n}.grid.lsb_v": layer.grid.lsb_v}
            arrays |= {f"{n}.grid.step.{m}": steps for m, steps in enumerate(layer.grid.steps)}
        said = [name for name in NEURON_ARRAYS if name not in LATER_ARRAYS or getattr(neuron, name).any()]
        arrays |= {f"{n}.{name}": getattr(neuron, name) for name in said}
        arrays |= {f"{n}.weight.{m}": c.weight for m, c in enumerate(layer.connections)}
    header: dict[str, Any] = {
        "format": FORMAT, "version": 1, "input_size": network.input_size, "layers": layers,
        "notices": list(network.notices),
    }  # fmt: skip
    if not network.usual_readout:
        header |= {"version": 2, "readout": asdict(network.readout)}
    if network.input_grid is not None:
        header |= {"version": 3, "input_grid": asdict(network.input_grid)}
    if any(layer.grid is not None for layer in network.layers):
        header["version"] = 3
    if any(says_start(layer.neuron, layer.neuron.reset) for layer in network.layers):
        header["version"] = START_VERSION
    arrays["header"] = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
    write_npz(path, arrays)


def read_network(path: Path) -> Network:
    """Read what `write_network` wrote, to the last bit. Raises `TclifError` where it is damaged."""
    with open_npz(path, "damaged", AGAIN) as file:
        text = file.text("header")
        given = json_form.parse(Format, text, "header", AGAIN)
        if given.format != FORMAT or given.version not in FORMAT_VERSIONS:
            raise TclifError(f"{path}: format {given.format:.40} {given.version}", AGAIN)
        header = json_form.parse(_Header, text, "header", AGAIN)
        layers = []
        for n, item in enumerate(header.layers):
            said = [name for name in NEURON_ARRAYS if name not in LATER_ARRAYS or f"{n}.{name}" in file.names]
            arrays: dict[str, Any] = {name: file.array(f"{n}.{name}", "f") for name in said}
            if given.version < START_VERSION and item.neuron.reset == "hard":
                arrays["r_u"] = np.zeros_like(arrays["r_u"])  # which said nothing then
            connections = tuple(
                Connection(c.source, file.array(f"{n}.weight.{m}", "f"), c.delay, c.conv)
                for m, c in enumerate(item.connections)
            )
            grid = None
            if item.state_bits is not None:
                units = ("lsb_u", "lsb_v", *(f"step.{m}" for m in range(len(connections))))
                lsb_u, lsb_v, *steps = (file.array(f"{n}.grid.{name}", "f") for name in units)
                grid = LayerGrid(item.state_bits, lsb_u, lsb_v, tuple(steps))
            layers.append(Layer(item.name, Neuron(**arrays, **vars(item.neuron)), connections, grid))
        return Network(header.input_size, tuple(layers), header.notices, header.readout, header.input_grid)


@dataclass(frozen=True)
class _NeuronHeader:
    strict: bool
    reset: Reset
    input_to: InputTo
    spiking: bool
    type: str


@dataclass(frozen=True)
class _ConnectionHeader:
    source: str
    delay: int
    conv: Conv | None


@dataclass(frozen=True)
class _LayerHeader:
    name: str
    neuron: _NeuronHeader
    connections: tuple[_ConnectionHeader, ...]
    state_bits: int | None = None


@dataclass(frozen=True)
class _Header(Format):
    """The header of ``network.npz``: everything but the arrays."""

    __pydantic_config__ = json_form.EXACT

    input_size: int
    layers: tuple[_LayerHeader, ...]
    notices: tuple[str, ...]
    readout: Readout = Readout()
    input_grid: InputGrid | None = None
