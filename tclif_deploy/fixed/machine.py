"""How the machine computes, and how real input becomes its integers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.arguments import checked_fields
from tclif_deploy.errors import TclifError
from tclif_deploy.network import (
    INPUT,
    LEAST,
    MOST,
)
from tclif_deploy.settings import Limits

Int = NDArray[np.int64]
Rounding = Literal["toward_zero", "floor", "nearest", "ceiling"]
Overflow = Literal["saturate", "wrap", "saturate_full"]

LATER_RULES = ("rounding_u", "rounding_v", "least_step", "each_addend", "input_first", "most_spikes")
"""fields of `Arithmetic` that say nothing by default"""
RULES = ("rounding", "overflow_u", "overflow_v", *LATER_RULES)
"""fields of `Arithmetic` that can be what not every backend computes: see `Arithmetic.unusual`"""

LAYER_ARRAYS = (
    "a_u", "b_u", "a_v", "b_v", "q", "threshold", "r_u", "r_v", "v_reset", "bias_u", "bias_v", "v0", "u0", "s0",
)  # fmt: skip
"""The per-neuron integers of `FixedLayer`, in the order in which files list them."""
COEFFICIENTS = ("a_u", "b_u", "a_v", "b_v", "q")
"""those of them that are factors, with fractional bits; all others but s0 count LSBs of a state"""
OF_DENDRITE = ("r_u", "bias_u", "u0")
"""those that count LSBs of u"""
MOST_BITS = 32
"""of an input, a weight, a factor or a state, sign included: their products then stay within 64"""
MOST_SUM_BITS = 62
"""of what is compared with a state or added to it: no target holds a threshold of so many, and the rules say so"""
SUMMANDS = ("threshold", "r_u", "r_v", "bias_u", "bias_v")
MOST_SHIFT = 62
MOST_SPIKES = 255
"""of a neuron in one step: they are counted in a byte"""
MOST_DELAY = 1 << 16
"""steps; memory is taken for the spikes of all of them"""
VALUES = 1 << 18
"""of an input that become integers at a time"""


@dataclass(frozen=True)
@checked_fields
class Arithmetic:
    """How the machine computes; one for the whole network.

    Examples
    --------
    >>> from tclif_deploy import load_target
    >>> from tclif_deploy.fixed import Arithmetic
    >>> Arithmetic(12, "floor", bits_u=24, bits_v=24, overflow_u="saturate", overflow_v="wrap").one
    4096
    >>> load_target("loihi2").arithmetic.rounding
    'toward_zero'
    """

    frac_bits: int
    """k: fractional bits of A, B and Q, and the shift after each product"""
    rounding: Rounding
    """of every right shift: ``toward_zero`` sign*(|p|>>k), ``floor`` p>>k, ``nearest`` (p+2^(k-1))>>k, ``ceiling``
    -((-p)>>k)"""
    bits_u: int
    """width of the dendrite's state, sign included"""
    bits_v: int
    overflow_u: Overflow
    """``saturate`` to +-(2^(bits-1)-1), ``wrap`` (two's complement), or ``saturate_full``, to -2^(bits-1) and
    2^(bits-1)-1"""
    overflow_v: Overflow
    rounding_u: Rounding | None = None
    """of products that enter the dendrite; None: ``rounding``"""
    rounding_v: Rounding | None = None
    """likewise the soma"""
    least_step: bool = False
    """whether a positive state that its own factor makes smaller loses at least 1"""
    each_addend: bool = False
    """whether ovf is applied after each addend, else once, to the completed sum. What a state gains is added up by
    itself, minus what its decay takes, the other state's share, what each source brings, shifted alone, and the bias,
    and joins the state last"""
    input_first: bool = False
    """whether the current joins its state, by an ovf of its own, before that decays"""
    most_spikes: Annotated[int, Limits(1, MOST_SPIKES)] = 1
    """how often a neuron fires in one step at most: again while its reset leaves v at the threshold or above. A hard
    reset, and every neuron of the last layer, fires once"""

    @property
    def one(self) -> int:
        """2^k, the integer of a factor of 1."""
        return 1 << self.frac_bits

    @property
    def unusual(self) -> dict[str, Any]:
        """The rules beyond what every backend computes, by field: see `tclif_deploy.backends.check_arithmetic`."""
        said = {name: getattr(self, name) for name in RULES if name not in LATER_RULES}
        return {n: v for n, v in said.items() if v in ("ceiling", "saturate_full")} | self._later

    def plain(self) -> dict[str, Any]:
        """The fields as a file has them: those that version 1 lacks only where they say something."""
        return {name: value for name, value in asdict(self).items() if name not in LATER_RULES} | self._later

    @property
    def _later(self) -> dict[str, Any]:
        """Those of `LATER_RULES` that say something."""
        defaults = {field.name: field.default for field in fields(self)}
        return {name: value for name in LATER_RULES if (value := getattr(self, name)) != defaults[name]}

    def __post_init__(self) -> None:
        if not 0 <= self.frac_bits <= 24:
            raise TclifError(f"arithmetic: frac_bits is {self.frac_bits}", "0 to 24 are supported")
        for name, bits in (("bits_u", self.bits_u), ("bits_v", self.bits_v)):
            if not 2 <= bits <= 32:
                raise TclifError(f"arithmetic: {name} is {bits}", "2 to 32 are supported")


@dataclass(frozen=True)
@checked_fields
class InputEncoding:
    """How real input becomes the integers that the first layers see: ``clip(rint(x * scale / lsb))``.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy.fixed import InputEncoding
    >>> integers, clipped = InputEncoding(size=1, lsb=0.25, bits=4).encode(np.array([[[0.5], [-1.1], [9.0]]]))
    >>> integers.ravel().tolist(), clipped
    ([2, -4, 7], 1)
    """

    size: Annotated[int, Limits(1)]
    """features a step"""
    lsb: Annotated[float, Limits(above=0)]
    """what one integer unit means to the float network"""
    bits: Annotated[int, Limits(1, 63)]
    """signed payload: integers lie in +-(2^(bits-1)-1)"""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise TclifError(f"input: size is {self.size}", "at least 1 feature is needed")
        if not 2 <= self.bits <= MOST_BITS:
            raise TclifError(f"input: bits is {self.bits}", f"2 to {MOST_BITS} are supported")
        if not LEAST <= self.lsb <= MOST:
            raise TclifError(f"input: lsb is {self.lsb:g}", f"{LEAST:g} to {MOST:g} are supported")

    @property
    def limit(self) -> int:
        """Largest magnitude of an input integer."""
        return int(2 ** (self.bits - 1) - 1)

    def unit(self, source: str) -> float:
        """What one integer from a connection's ``source`` means to the float network: 1 for a spike."""
        return self.lsb if source == INPUT else 1.0

    def encode(self, x: NDArray[Any], scale: float = 1.0) -> tuple[NDArray[Any], int]:
        """Integers of the shape of ``x``, and how many values were clipped.

        Integer data whose ``scale`` is this encoding's ``lsb`` enters unchanged: ``x`` itself comes back where nothing
        is clipped. Everything else comes back in int64.
        """
        unchanged = np.issubdtype(x.dtype, np.integer) and scale == self.lsb
        if unchanged and (x.size == 0 or max(int(x.max()), -int(x.min())) <= self.limit):
            return x, 0
        encoded, clipped = np.empty(x.shape, np.int64), 0
        rows, into = np.atleast_1d(x), np.atleast_1d(encoded)
        at_a_time = max(1, VALUES * len(rows) // max(x.size, 1))
        for some in (slice(n, n + at_a_time) for n in range(0, len(rows), at_a_time)):
            if unchanged:
                raw = rows[some].astype(np.int64)
            else:
                real = rows[some].astype(np.float64) * (scale / self.lsb)
                raw = np.rint(real).clip(-(2.0**62), 2.0**62).astype(np.int64)
            into[some] = np.clip(raw, -self.limit, self.limit)
            clipped += int(np.count_nonzero(into[some] != raw))
        return encoded, clipped
