"""``fixed.npz``: plain arrays and one JSON header, nothing pickled, same input same bytes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tclif_deploy import json_form
from tclif_deploy.convolution import Conv
from tclif_deploy.errors import TclifError
from tclif_deploy.files import as_path, narrowest_int, open_npz
from tclif_deploy.fixed.layers import FixedConnection, FixedLayer
from tclif_deploy.fixed.machine import LAYER_ARRAYS, Arithmetic, InputEncoding, Int
from tclif_deploy.fixed.network import FixedNetwork
from tclif_deploy.network import (
    LATER_ARRAYS,
    InputTo,
    Reset,
)
from tclif_deploy.outputs import write_npz
from tclif_deploy.readout import Readout
from tclif_deploy.start import says_start

FORMAT = "tclif-fixed"
FORMAT_VERSIONS = (1, 2, 3, 4)
"""2: with a readout that is not the usual one, which a reader of 1 would take wrongly; 3: with a rule of arithmetic
that readers of 2 do not know; 4: with u0, s0 or a hard reset's r_u, which a reader of 3 would leave out"""

START_VERSION = 4

AGAIN = "compile the model again"


def write_fixed(network: FixedNetwork, path: Path | str) -> None:
    """Write what `FixedNetwork.save` says."""
    header: dict[str, Any] = {
        "format": FORMAT, "version": _version(network),
        "input": asdict(network.input), "arithmetic": network.arithmetic.plain(),
        "notices": list(network.notices), "layers": [],
    }  # fmt: skip
    if not network.usual_readout:
        header["readout"] = asdict(network.readout)
    arrays: dict[str, NDArray[Any]] = {}
    for n, layer in enumerate(network.layers):
        connections = [
            {f: getattr(c, f) for f in ("source", "delay", "exponent", "kind")}
            | ({} if c.conv is None else {"conv": asdict(c.conv)})
            for c in layer.connections
        ]
        plain = {f: getattr(layer, f) for f in ("name", "shift", "reset", "input_to", "spiking")}
        header["layers"].append({**plain, "connections": connections})
        for name in (*LAYER_ARRAYS, "multiplier", "lsb_u", "lsb_v"):
            if name not in LATER_ARRAYS or getattr(layer, name).any():
                arrays[f"{n}.{name}"] = getattr(layer, name)
        for m, connection in enumerate(layer.connections):
            arrays[f"{n}.weight.{m}"] = connection.weight.astype(narrowest_int(connection.weight))
    arrays["header"] = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
    write_npz(path, arrays)


def _version(network: FixedNetwork) -> int:
    if any(says_start(layer, layer.reset) for layer in network.layers):
        return START_VERSION
    return 3 if network.arithmetic.unusual else 1 if network.usual_readout else 2


def read_fixed(path: Path | str) -> FixedNetwork:
    """Read what `write_fixed` wrote. Raises `TclifError`, which names the file, where it holds anything else."""
    path = as_path(path, "compile first, or name the build folder")
    with open_npz(path, "not a compiled network", AGAIN) as file:
        text = file.text("header")
        given = json_form.parse(Format, text, "header", AGAIN)
        if given.format != FORMAT or given.version not in FORMAT_VERSIONS:
            raise TclifError(
                f"{path}: format {given.format:.40} {given.version}, expected {FORMAT} {FORMAT_VERSIONS[-1]}",
                "compile the model again with this version",
            )
        header = json_form.parse(_Header, text, "header", AGAIN)
        layers = []
        for n, item in enumerate(header.layers):
            names, real = (*LAYER_ARRAYS, "multiplier", "lsb_u", "lsb_v"), ("lsb_u", "lsb_v")
            shape = file.shape(f"{n}.{names[-1]}")  # all others have it, or are not read
            if len(shape) != 1:
                raise TclifError(f"{n}.{names[-1]} has shape {shape}, expected (neurons,)")
            arrays: dict[str, Any] = {
                name: file.array(f"{n}.{name}", "f" if name in real else "iu", shape).astype(
                    np.float64 if name in real else np.int64
                )
                for name in names
                if name not in LATER_ARRAYS or f"{n}.{name}" in file.names
            }
            if given.version < START_VERSION and item.reset == "hard":
                arrays["r_u"] = np.zeros(shape, np.int64)  # which said nothing then
            connections = tuple(
                c.connection(file.array(f"{n}.weight.{m}", "iu", ndim=2 if c.kind == "dense" else 4).astype(np.int64))
                for m, c in enumerate(item.connections)
            )
            plain = {name: getattr(item, name) for name in ("name", "shift", "reset", "input_to", "spiking")}
            layers.append(FixedLayer(connections=connections, **plain, **arrays))
        return FixedNetwork(header.input, header.arithmetic, tuple(layers), header.notices, header.readout)


@dataclass(frozen=True)
class Format:
    """What a header says of its file."""

    format: str
    version: int


@dataclass(frozen=True)
class _ConnectionHeader:
    source: str
    delay: int
    exponent: int
    kind: Literal["dense", "conv"]
    conv: Conv | None = None

    def connection(self, weight: Int) -> FixedConnection:
        if (self.conv is None) != (self.kind == "dense"):
            raise TclifError(f"connection from {self.source}: of kind {self.kind}, but its kernel says otherwise")
        return FixedConnection(self.source, weight, self.delay, self.exponent, self.conv)


@dataclass(frozen=True)
class _LayerHeader:
    name: str
    shift: int
    reset: Reset
    input_to: InputTo
    spiking: bool
    connections: tuple[_ConnectionHeader, ...]


@dataclass(frozen=True)
class _Header(Format):
    """The header of ``fixed.npz``: everything but the arrays."""

    __pydantic_config__ = json_form.EXACT

    input: InputEncoding
    arithmetic: Arithmetic
    notices: tuple[str, ...]
    layers: tuple[_LayerHeader, ...]
    readout: Readout = Readout()
