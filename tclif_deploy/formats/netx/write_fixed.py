"""Compiled networks as netx files, with a neuron type of our own.

netx knows no two-compartment neuron, so the layers' ``neuron`` groups say ``type = "TCLIF"`` and hold what
`FixedLayer` holds: one int64 array for each name of `LAYER_ARRAYS` (the states behind the reset of s0; u0 and s0 where
they are not 0), ``shift``, ``reset``, ``input_to``, ``spiking``, and the machine's ``frac_bits``, ``rounding``,
``bits_u``, ``bits_v``, ``overflow_u``, ``overflow_v``. All else (layer types, weights) is netx's own schema.
`tclif_deploy.formats.netx.lava_loader` runs such a file.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tclif_deploy.chains import chain_links
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import LAYER_ARRAYS, FixedLayer, FixedNetwork
from tclif_deploy.formats.netx.read import WEIGHT_LIMIT
from tclif_deploy.formats.netx.write import CHAINS, readout_notice, write_weights
from tclif_deploy.hdf5 import write_hdf5
from tclif_deploy.network import INPUT, LATER_ARRAYS
from tclif_deploy.simulation.reference import start_states

TYPE = "TCLIF"
WORDS = ("reset", "input_to")
"""fields of `FixedLayer` that are strings"""


def write_netx_fixed(network: FixedNetwork, path: Path | str) -> tuple[str, ...]:
    """Write the integers of a chain, with recurrence of one step within its layers; returns what the file cannot say.

    That is a readout other than the usual one. Raises `TclifError` for other connections, and for weights that netx's
    8-bit synapses do not hold exactly.
    """

    if network.arithmetic.unusual:
        raise TclifError(
            f"netx: does not hold the arithmetic's {', '.join(network.arithmetic.unusual)}",
            "save the network itself: FixedNetwork.save",
        )

    def fill(file: Any) -> None:
        source = INPUT
        for n, layer in enumerate(network.layers):
            _write_layer(file.create_group(f"layer/{n}"), network, layer, source)
            source = layer.name

    write_hdf5(path, fill)
    return readout_notice(network)


def _write_layer(group: Any, network: FixedNetwork, layer: FixedLayer, source: str) -> None:
    where = f"layer {layer.name}"
    links = chain_links(layer, source, CHAINS)
    if any(c.conv is not None for c in links):
        raise TclifError(
            f"{where}: TC-LIF neurons fed by a convolution are not written as netx", "emit for Lava itself"
        )
    links = [replace(c, weight=c.weight << c.exponent) for c in links]
    largest = max(int(np.abs(c.weight).max()) for c in links)
    if largest > WEIGHT_LIMIT:
        raise TclifError(
            f"{where}: its weights reach {largest}, exponents included, netx's synapses hold {WEIGHT_LIMIT} exactly",
            "compile for a target with narrower weights, or whose connections need no exponents",
        )
    write_weights(group, links)
    neuron = group.create_group("neuron")
    neuron["type"] = TYPE
    arrays = {name: getattr(layer, name) for name in LAYER_ARRAYS}
    arrays["u0"], arrays["v0"] = start_states(layer, network.arithmetic)
    for name, values in arrays.items():
        if name not in LATER_ARRAYS or values.any():
            neuron[name] = values
    neuron["shift"], neuron["spiking"] = layer.shift, layer.spiking
    for name in WORDS:
        neuron[name] = getattr(layer, name)
    for name, value in network.arithmetic.plain().items():
        neuron[name] = value


def read_neuron(group: h5py.Group) -> dict[str, Any]:
    """What a ``neuron`` group of type `TYPE` holds: coefficients, and the keywords of the Lava process."""
    words = [*WORDS, "rounding", "overflow_u", "overflow_v"]
    parameters: dict[str, Any] = {name: group[name][()].decode() for name in words}
    parameters |= {name: int(group[name][()]) for name in ("shift", "frac_bits", "bits_u", "bits_v")}
    parameters["spiking"] = bool(group["spiking"][()])
    parameters["coefficients"] = {name: group[name][()].astype(np.int64) for name in LAYER_ARRAYS if name in group}
    return parameters
