"""What a kernel is made for: everything that is decided when its machine code is made, and not while it runs."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Flag(enum.IntFlag):
    """What a layer's kernel does. The first eleven follow from a layer's numbers; the others are those of its row sums,
    and whether states are searched for overflows."""

    TO_ZERO = enum.auto()
    """rounds to zero; else down, after adding 0.5 where the target rounds to nearest"""
    MULTIPLY_U = enum.auto()
    """A_u needs a product"""
    MULTIPLY_V = enum.auto()
    """A_v needs a product"""
    STATELESS_U = enum.auto()
    """u is only its input: A_u = B_u = 0"""
    HAS_Q = enum.auto()
    """q is not 0"""
    HARD_RESET = enum.auto()
    """a spike sets v to v_reset"""
    HARD_RESET_U = enum.auto()
    """and takes r_u from u"""
    INPUT_TO_SOMA = enum.auto()
    """the current is added to v instead of u"""
    RIGHT_SHIFT = enum.auto()
    """the accumulator is shifted right"""
    NO_SPIKES = enum.auto()
    """a readout"""
    BIAS_V = enum.auto()
    """bias_v is not 0"""
    WIDE = enum.auto()
    """weights of 16 bits, added in 32"""
    LONG = enum.auto()
    """weights of 8 bits, added in 16 bits for each connection, and those sums joined in 32"""
    SHIFTED = enum.auto()
    """some connection's exponent is not 0"""
    WORDS = enum.auto()
    """weights of 8 bits in rows of 16-bit words, added in 16"""
    OVERFLOW_CHECKED = enum.auto()
    """the bits of all states that a sample meets are OR-ed together"""


SPIKES, MIXED, DENSE = 0, 1, 2
"""Kinds of connections: all events are 1; some samples' events have values; n features (kind ``DENSE + n``) that are
all events, in each step."""

KINDS = 8
"""Kinds are below this: those of all of a layer's connections are the digits of one number."""


class KernelSpec(NamedTuple):
    """What one kernel is made for; layers of the same share its machine code."""

    flags: Flag
    width: int
    """neurons of a tile"""
    kinds: tuple[int, ...]
    """of the layer's connections, in their order"""

    @property
    def literals(self) -> tuple[int, int, int]:
        """The same as plain integers, which are all that numba knows while it compiles: flags, width, and the kinds as
        digits after a leading 1, the first connection's the lowest. Kernels on disk are told apart by them."""
        number = 1
        for kind in reversed(self.kinds):
            number = number * KINDS + kind
        return int(self.flags), self.width, number

    @classmethod
    def from_literals(cls, flags: int, width: int, number: int) -> KernelSpec:
        """The inverse of `literals`.

        Examples
        --------
        >>> spec = KernelSpec(Flag.WIDE | Flag.NO_SPIKES, 64, (SPIKES, DENSE + 1))
        >>> KernelSpec.from_literals(*spec.literals) == spec
        True
        """
        kinds = []
        while number > 1:
            kinds.append(number % KINDS)
            number //= KINDS
        return cls(Flag(flags), width, tuple(kinds))

    def has(self, flag: Flag) -> bool:
        """Whether the kernel does this (or one of these)."""
        return bool(self.flags & flag)
