"""What stands before a network's first step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.errors import TclifError


def check_s0(s0: NDArray[Any], spiking: bool, where: str) -> None:
    """Raise `TclifError` unless ``s0`` says of each neuron whether it fired."""
    wrong = ~np.isin(s0, (0, 1))
    if wrong.any():
        raise TclifError(f"{where}: s0 is {s0[wrong][0]:g}", "a neuron fired before the first step, 1, or did not, 0")
    if s0.any() and not spiking:
        raise TclifError(f"{where}: s0 is 1", "a readout does not fire")


def says_start(numbers: Any, reset: str) -> bool:
    """Whether the arrays of a neuron or of a layer of integers say what files had no word for before version 4."""
    return bool(numbers.u0.any() or numbers.s0.any() or (reset == "hard" and numbers.r_u.any()))
