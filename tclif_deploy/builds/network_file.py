"""``network.npz``: the float network of a build, in a form of our own that holds every network exactly.

NIR has no primitive for some neurons (a hard reset beside b_u, or any q), so ``network.nir`` may be missing; this file
never is. Plain arrays and one JSON header, nothing pickled, same network same bytes.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.convolution import Conv
from tclif_deploy.errors import TclifError
from tclif_deploy.files import DAMAGED
from tclif_deploy.network import NEURON_ARRAYS, Connection, Layer, Network, Neuron
from tclif_deploy.outputs import write_npz

FORMAT, FORMAT_VERSION = "tclif-network", 1
PLAIN = ("strict", "reset", "input_to", "spiking", "type")
"""fields of `Neuron` that are no arrays"""


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
        arrays |= {f"{n}.{name}": getattr(neuron, name) for name in NEURON_ARRAYS}
        arrays |= {f"{n}.weight.{m}": c.weight for m, c in enumerate(layer.connections)}
    header = {
        "format": FORMAT, "version": FORMAT_VERSION, "input_size": network.input_size, "layers": layers,
        "notices": list(network.notices),
    }  # fmt: skip
    arrays["header"] = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
    write_npz(path, arrays)


def read_network(path: Path) -> Network:
    """Read what `write_network` wrote, to the last bit. Raises `TclifError` where it is damaged."""
    hint = "compile the model again"
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes())
            if (header["format"], header["version"]) != (FORMAT, FORMAT_VERSION):
                raise TclifError(f"{path}: format {header['format']} {header['version']}", hint)
            layers = []
            for n, item in enumerate(header["layers"]):
                neuron = Neuron(**{name: file[f"{n}.{name}"] for name in NEURON_ARRAYS}, **item["neuron"])
                connections = tuple(
                    Connection(c["source"], file[f"{n}.weight.{m}"], c["delay"], _conv(c["conv"]))
                    for m, c in enumerate(item["connections"])
                )
                layers.append(Layer(item["name"], neuron, connections))
            return Network(header["input_size"], tuple(layers), tuple(header["notices"]))
    except FileNotFoundError:
        raise TclifError(f"{path}: file not found", hint) from None
    except DAMAGED as error:
        raise TclifError(f"{path}: damaged ({error})", hint) from error


def _conv(fields: dict[str, Any] | None) -> Conv | None:
    if fields is None:
        return None
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return Conv(**plain)
