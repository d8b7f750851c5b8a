"""What is in a model file, as plain data: for ``tclif inspect``, and for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from tclif_deploy.network import LATER_ARRAYS, Float, Layer, Network
from tclif_deploy.neurons import spectral_radius

COEFFICIENTS = ("a_u", "b_u", "a_v", "b_v", "threshold", "r_u", "r_v", "v_reset", "q", "v0", "u0", "s0")
"""of `Neuron`, but for the biases, which count as parameters"""


def summary(network: Network) -> dict[str, Any]:
    """``network`` as what ``tclif inspect --json`` prints."""
    layers = [_layer(layer) for layer in network.layers]
    return {
        "input": {"features": network.input_size, "encoding": "one vector of real or integer values a step"},
        "layers": layers,
        "readout": {"rule": str(network.readout), "outputs": network.outputs},
        "parameters": sum(layer["parameters"] for layer in layers),
        "notices": list(network.notices),
    }


def _layer(layer: Layer) -> dict[str, Any]:
    n = layer.neuron
    biases = sum(size for value in (n.bias_u, n.bias_v) if (size := value.size if value.any() else 0))
    unread = {"v_reset"} if n.reset == "soft" else {"r_v", "q"} | ({"r_u"} if not n.r_u.any() else set())
    if not n.spiking:
        unread = {"threshold", "r_u", "r_v", "v_reset", "q"}
    unread |= {name for name in LATER_ARRAYS if not getattr(n, name).any()}
    return {
        "name": layer.name,
        "neurons": layer.size,
        "neuron": n.type,
        "connections": [
            {"source": c.source, "kind": c.kind, "shape": list(c.weight.shape), "delay": c.delay}
            | ({} if c.conv is None else {"conv": asdict(c.conv), "output_shape": list(c.output_shape)})
            for c in layer.connections
        ],
        "coefficients": {name: _range(getattr(n, name)) for name in COEFFICIENTS if name not in unread},
        "fires_at": (">" if n.strict else ">=") if n.spiking else None,
        "reset": n.reset if n.spiking else None,
        "input_to": n.input_to,
        "bias": bool(biases),
        "parameters": sum(c.weight.size for c in layer.connections) + biases,
        "spectral_radius": float(spectral_radius(n).max()),
    }


def _range(values: Float) -> list[float]:
    """[least, greatest]."""
    return [float(np.min(values)), float(np.max(values))]
