"""Which fixed-point networks can be learned through their integers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tclif_deploy.bounds import layer_bounds
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedLayer, FixedNetwork

EXACT = 2**53
"""float64 holds every integer up to here"""


def check_tunable(start: FixedNetwork) -> None:
    """Raise `TclifError` for what cannot be learned through its integers."""
    if not start.usual_readout:
        raise TclifError(f"the readout {start.readout} cannot be fine-tuned", "the soma after the last step can")
    if start.arithmetic.unusual:
        rules = ", ".join(start.arithmetic.unusual)
        raise TclifError(f"the arithmetic's {rules} cannot be fine-tuned", "choose a target without")
    for n, layer in enumerate(start.layers):
        if any(c.kind != "dense" for c in layer.connections):
            raise TclifError(f"layer {layer.name}: is not dense", "only dense layers can be fine-tuned")
        for name in ("q", "bias_v", "v0", "u0", "s0"):
            if getattr(layer, name).any():
                raise TclifError(f"layer {layer.name}: has {name}", "neurons with it cannot be fine-tuned")
        if layer.spiking and layer.reset == "hard" and layer.r_u.any():
            raise TclifError(f"layer {layer.name}: a hard reset with r_u", "neurons with it cannot be fine-tuned")
        if layer.input_to != "dendrite":
            raise TclifError(f"layer {layer.name}: input enters the soma", "such neurons cannot be fine-tuned")
        if layer.spiking and ((layer.threshold <= 0).any() or (layer.b_v == 0).any()):
            raise TclifError(f"layer {layer.name}: a threshold <= 0 or a b_v of 0", "they cannot be fine-tuned")
        if layer.spiking and n == len(start.layers) - 1:
            raise TclifError(f"layer {layer.name}: is the last one and spikes", "a readout must not spike")


def accumulator(start: FixedNetwork, layer: FixedLayer, max_weight: int) -> type[np.signedinteger[Any]]:
    """int32 where every sum of a layer of ``start`` fits, whatever its weights up to ``max_weight`` become, else int64.

    Raises `TclifError` where float64 does not hold all of its numbers.
    """
    full = replace(
        layer, connections=tuple(replace(c, weight=np.full_like(c.weight, max_weight)) for c in layer.connections)
    )
    bounds = layer_bounds(start, full)
    if bounds.largest >= EXACT:
        raise TclifError(
            f"layer {layer.name}: numbers up to {bounds.largest:.2g} cannot be trained exactly",
            "fewer state or coefficient bits are needed: numbers must stay below 2^53",
        )
    return np.int32 if bounds.accumulator < 2**31 else np.int64
