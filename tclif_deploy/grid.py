"""Numbers that are integers already: what one unit of each means, carried with the network that they came in.

A netx file holds integers, and so does a network that was fine-tuned through a target's arithmetic. Their numbers lie
on a grid, which the quantizer keeps where a target holds it. No grid is ever guessed from the numbers: a row with one
input is on every grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.arguments import checked_fields, to_numbers
from tclif_deploy.errors import TclifError
from tclif_deploy.settings import Limits

SAME = 1e-12
"""relative error of a whole number that went through float64 as a product of itself and its unit"""


@dataclass(frozen=True, eq=False)
@checked_fields
class LayerGrid:
    """The integers that a layer's numbers are; every array is float64 and becomes read-only.

    Raises `TclifError` for units that are not positive numbers.

    Examples
    --------
    >>> from tclif_deploy import load_target, neurons, quantize
    >>> from tclif_deploy.network import Connection, Layer, Network
    >>> units = np.full(2, 2.0**-6)
    >>> grid = LayerGrid(state_bits=24, lsb_u=units, lsb_v=units, steps=(np.ones(2),))
    >>> neuron = neurons.cuba_lif(2, current_decay=1.0, voltage_decay=1024 / 4096, threshold=25.0, bias_v=[3.0, -2.0])
    >>> layer = Layer("layer", neuron, (Connection("input", np.array([[4.0, -2.0], [0.0, 1.0]])),), grid)
    >>> fixed = quantize(Network(2, (layer,)), "loihi1", np.array([[[0, 1], [1, 0]]])).layers[0]
    >>> fixed.connections[0].weight.tolist(), fixed.bias_v.tolist(), fixed.threshold.tolist()  # fires above 64 * 25
    ([[4, -2], [0, 1]], [192, -128], [1601, 1601])
    """

    state_bits: Annotated[int, Limits(2, 32)]
    """width of the states, sign included, for which the units were chosen"""
    lsb_u: NDArray[np.float64]
    """(neurons,): one unit of the dendrite, of r_u and bias_u"""
    lsb_v: NDArray[np.float64]
    """(neurons,): one unit of the soma, its threshold, resets and bias"""
    steps: tuple[NDArray[np.float64], ...]
    """for each connection one unit of its weights: (neurons,), of a convolution (channels,)"""

    def __post_init__(self) -> None:
        units = {"lsb_u": self.lsb_u, "lsb_v": self.lsb_v} | {f"steps[{n}]": s for n, s in enumerate(self.steps)}
        checked = {name: to_numbers(value, f"grid: {name}") for name, value in units.items()}
        for name, value in checked.items():
            if value.ndim != 1 or not ((value > 0) & (value < np.inf)).all():
                raise TclifError(f"grid: {name} of shape {value.shape} is not one positive number for each neuron")
            value.setflags(write=False)
        object.__setattr__(self, "lsb_u", checked.pop("lsb_u"))
        object.__setattr__(self, "lsb_v", checked.pop("lsb_v"))
        object.__setattr__(self, "steps", tuple(checked.values()))

    def check(self, neurons: int, rows: tuple[int, ...], where: str) -> None:
        """Raise `TclifError` unless there is a unit for each of a layer's ``neurons`` and its connections' ``rows``."""
        sizes, expected = (self.lsb_u.size, self.lsb_v.size, *(s.size for s in self.steps)), (neurons, neurons, *rows)
        if sizes != expected:
            raise TclifError(f"{where}: its grid has units for {sizes} rows, expected {expected}")


@dataclass(frozen=True)
@checked_fields
class InputGrid:
    """The integers that a network's input is.

    Examples
    --------
    >>> InputGrid(lsb=1.0)  # spikes and counts, as they are
    InputGrid(lsb=1.0, bits=None)
    """

    lsb: Annotated[float, Limits(above=0)]
    """what one unit means"""
    bits: Annotated[int, Limits(2, 32)] | None = None
    """their width, sign included, to which others are rounded and clipped; None: all are whole, as wide as data need"""
