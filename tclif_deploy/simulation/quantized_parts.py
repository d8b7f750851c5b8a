"""What of a network can be quantized alone, or left alone: the sources of its error."""

from __future__ import annotations

from typing import Literal

from tclif_deploy.network import INPUT, Network

Part = Literal["weights", "coefficients", "states", "thresholds", "bias", "input"]

LAYER_PARTS: tuple[Part, ...] = ("weights", "coefficients", "states", "thresholds", "bias")
"""what is quantized in a layer: its weights, with what calibration added to its bias for their sake; a, b and q; the
states, by rounding every product and by their width; the threshold, the resets, v(0) and a readout's multipliers; the
bias"""
INPUT_PART: tuple[str, Part] = (INPUT, "input")
"""the input's integers, as a part of the network"""


def parts_of(network: Network) -> tuple[tuple[str, Part], ...]:
    """Everything that can be quantized: (layer, part), the input's first."""
    return (INPUT_PART, *((layer.name, part) for layer in network.layers for part in LAYER_PARTS))
