"""When each layer runs and what its connections are made of: what Lava's processes need beyond the network itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import Int
from tclif_deploy.network import INPUT

DIGIT_BITS = 8
"""weights of one Dense; a wider weight becomes several Dense"""
SUM_LIMIT = 2**31 - 1
"""Lava's Dense sends int32, and sums twice the weights in int32 before it shifts"""
CONV_LIMIT = 2**23 - 1
"""Lava's Conv wraps its sums at 24 bits, after the exponent"""


@dataclass(frozen=True)
class Schedule:
    """Step t of layer k runs at Lava step ``phases*t + offsets[k]``, counted from 0; the input's offset is 0."""

    phases: int
    """Lava steps a step of the network"""
    offsets: dict[str, int]
    idle: int
    """steps after a sample until its last delayed spike has arrived; at least one, for the reset of the states"""

    def wait(self, layer: str, source: str, delay: int) -> int:
        """Lava steps for which a connection holds its messages back, beyond the one that Dense takes."""
        return self.phases * delay + self.offsets[layer] - self.offsets[source] - 1


def schedule(layers: Sequence[Any], starts: bool = False) -> Schedule:
    """The shortest schedule of a float or a fixed network's ``layers``.

    Where it ``starts`` with spikes of the step before the first, that step has a Lava step in all layers too.

    Dense gives its sum one Lava step late, so no `Schedule.wait` may be negative: the offsets are longest paths, and
    they exist if no loop has more connections than ``phases`` times its delay. The fewest phases are taken: 1 but for
    feedback with a shorter delay than it has layers on its way.

    Examples
    --------
    >>> from types import SimpleNamespace as S
    >>> chain = [S(name="a", connections=[S(source="input", delay=0), S(source="a", delay=1)]),
    ...          S(name="b", connections=[S(source="a", delay=0)])]
    >>> schedule(chain)
    Schedule(phases=1, offsets={'input': 0, 'a': 1, 'b': 2}, idle=1)
    """
    idle = max(1, *(int(c.delay) for layer in layers for c in layer.connections))
    for phases in range(1, len(layers) + 1):
        offsets = {INPUT: 0, **{layer.name: phases * starts for layer in layers}}
        for _ in range(len(layers) + 1):
            before = dict(offsets)
            for layer in layers:
                needed = (1 + offsets[c.source] - phases * c.delay for c in layer.connections)
                offsets[layer.name] = max(offsets[layer.name], *needed)
            if offsets == before:
                return Schedule(phases, offsets, idle)
    raise TclifError("lava: the network has a loop without delay", "recurrence needs a delay of 1 step or more")


def digits(weight: Int, exponent: int, max_input: int, where: str, conv: bool = False) -> list[tuple[Int, int]]:
    """int8 matrices and exponents whose sum is ``weight * 2^exponent``, each one exact in a stock Dense (or Conv).

    A weight beyond 8 bits is written in signed digits of 8 bits. Where the largest possible sum of a process (messages
    up to ``max_input``) would pass what it holds, its sources (of a kernel: weights) are divided between several
    processes; where a single source is too much already, `TclifError` names ``where``.
    """
    matrices: list[tuple[Int, int]] = []
    rest = weight
    while True:
        half_range = 1 << (DIGIT_BITS - 1)
        digit = ((rest + half_range) & (2 * half_range - 1)) - half_range
        if digit.any() or not matrices:
            matrices += [(matrix, exponent) for matrix in _fitting(digit, exponent, max_input, where, conv)]
        rest = (rest - digit) >> DIGIT_BITS
        exponent += DIGIT_BITS
        if not rest.any():
            return matrices


def _fitting(weight: Int, exponent: int, max_input: int, where: str, conv: bool) -> list[Int]:
    """``weight`` as a sum of matrices, none of which can pass what its process holds."""
    total = max_input * int(np.abs(weight).sum(axis=1).max())
    bound, limit = (total << exponent, CONV_LIMIT) if conv else (2 * total << max(exponent - 1, 0), SUM_LIMIT)
    if bound <= limit:
        return [weight]
    used = np.flatnonzero(weight.any(axis=0))
    if used.size == 1:
        raise TclifError(
            f"{where}: one source alone can reach {bound}, Lava's {'Conv' if conv else 'Dense'} holds up to {limit}",
            "use fewer input or weight bits, or a smaller exponent",
        )
    low, high = weight.copy(), weight.copy()
    low[:, used[used.size // 2 :]] = 0
    high[:, used[: used.size // 2]] = 0
    return [*_fitting(low, exponent, max_input, where, conv), *_fitting(high, exponent, max_input, where, conv)]
