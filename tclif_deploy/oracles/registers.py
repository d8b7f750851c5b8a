"""A case in the registers of the chip that an oracle simulates; what they have no place for is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedLayer, Int
from tclif_deploy.mapping.registers import LOIHI, beyond_registers, held_by, without_register
from tclif_deploy.network import INPUT
from tclif_deploy.oracles.draw import Case
from tclif_deploy.target import Target, unit_of

XYLO_TOP = (1 << 15) - 1
LOIHI_ONE = 1 << 12
LOIHI_BIAS = (1 << 12) - 1
"""largest mantissa"""


class NoRegister(TclifError):
    """The chip has no register for a number, or no such neuron."""


def xylo_registers(case: Case, target: Target) -> dict[str, Any]:
    """What the script of xylosim takes."""
    one = target.arithmetic.one
    populations: dict[str, dict[str, Any]] = {}
    for layer in case.network.layers:
        _check_neuron(layer, one, "soft")
        for name in ("threshold", "bias_v"):
            values = getattr(layer, name)
            if (np.abs(values) > XYLO_TOP).any():
                raise NoRegister(
                    f"layer {layer.name}: {name} reaches {np.abs(values).max()}, the chip holds {XYLO_TOP}"
                )
        populations[layer.name] = {
            "dash_syn": _dash("a_u", layer, layer.a_u, one), "dash_mem": _dash("a_v", layer, layer.a_v, one),
            "threshold": layer.threshold.tolist(), "bias": layer.bias_v.tolist(),
            "w": layer.connections[0].weight.tolist(), "shift": [layer.shift + c.exponent for c in layer.connections],
        }  # fmt: skip
        if len(layer.connections) > 1:
            populations[layer.name]["r"] = layer.connections[1].weight.tolist()
    return {"x": case.x.tolist(), **populations}


def loihi_registers(case: Case, target: Target) -> dict[str, Any]:
    """What the scripts of Loihi's simulators take: mantissas, which they count as the chip does."""
    one = target.arithmetic.one
    order = {INPUT: -1} | {layer.name: n for n, layer in enumerate(case.network.layers)}
    held = held_by(target, LOIHI)
    if one != LOIHI_ONE:
        raise NoRegister(f"factors count 1/{one}, the chip's 1/{LOIHI_ONE}")
    above = int(held.comparator is not None and held.comparator.value == ">")
    layers = []
    for layer in case.network.layers:
        _check_neuron(layer, one, "hard")
        for clause in beyond_registers(layer, held):
            raise NoRegister(f"layer {layer.name} {clause}")
        decay_u, decay_v = LOIHI_ONE - 1 - layer.a_u, LOIHI_ONE - layer.a_v
        mantissa, exponent = _bias(layer)
        layers.append({
            "name": layer.name, "decay_u": decay_u.tolist(), "decay_v": decay_v.tolist(),
            "vth": ((layer.threshold - above) // unit_of(held, "threshold")).tolist(),
            "bias": mantissa, "bias_exponent": exponent,
            "connections": [
                {"source": order[c.source], "weight": c.weight.tolist(), "exponent": layer.shift + c.exponent - 6}
                for c in layer.connections
            ],
        })  # fmt: skip
    return {"x": case.x.tolist(), "layers": layers}


def speck_registers(case: Case, target: Target) -> dict[str, Any]:
    """What the script of sinabs takes; whether a weight, a bias or a threshold is one of the chip's, sinabs says."""
    layers = []
    before = INPUT
    for layer in case.network.layers:
        _check_neuron(layer, target.arithmetic.one, "soft")
        if layer.a_u.any() or (layer.a_v != target.arithmetic.one).any():
            raise NoRegister(f"layer {layer.name} leaks (a_u, a_v), the chip's neurons only sum")
        if (layer.threshold != layer.threshold[0]).any():
            raise NoRegister(f"layer {layer.name} has several thresholds, the chip one for each layer")
        if [(c.source, c.delay, c.exponent) for c in layer.connections] != [(before, 0, 0)] or layer.shift:
            raise NoRegister(f"layer {layer.name} hears more than the layer before, or later, or at another step")
        layers.append({
            "name": layer.name, "threshold": int(layer.threshold[0]), "bias": layer.bias_v.tolist(),
            "weight": layer.connections[0].weight.tolist(),
        })  # fmt: skip
        before = layer.name
    return {"x": case.x.tolist(), "layers": layers}


def _check_neuron(layer: FixedLayer, one: int, reset: str) -> None:
    if layer.reset != reset:
        raise NoRegister(f"layer {layer.name}: its reset is {layer.reset}, the chip's {reset}")
    for clause in without_register(layer, one):
        raise NoRegister(f"layer {layer.name} {clause}")


def _dash(name: str, layer: FixedLayer, factors: Int, one: int) -> list[int]:
    """The shifts d of factors 1 - 2^-d."""
    lost = one - factors
    shifts = one.bit_length() - 1 - np.log2(np.maximum(lost, 1)).astype(np.int64)
    wrong = (lost < 1) | (one >> shifts != lost)
    if wrong.any():
        n = int(np.flatnonzero(wrong)[0])
        raise NoRegister(f"layer {layer.name}: {name} of neuron {n} is {factors[n]} of {one}, no 1 - 2^-d")
    return [int(shift) for shift in shifts]


def _bias(layer: FixedLayer) -> tuple[list[int], list[int]]:
    """(mantissas, exponents) of the biases."""
    mantissas, exponents = [], []
    for n, bias in enumerate(layer.bias_v.tolist()):
        exponent = max(0, abs(bias).bit_length() - 12)
        if abs(bias) >> exponent > LOIHI_BIAS or bias % (1 << exponent) or exponent > 7:
            raise NoRegister(
                f"layer {layer.name}: bias_v of neuron {n} is {bias}, no mantissa of 13 bits times 2^0 to 2^7"
            )
        mantissas.append(int(bias / (1 << exponent)))
        exponents.append(exponent)
    return mantissas, exponents
