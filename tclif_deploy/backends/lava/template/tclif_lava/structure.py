"""What ``network.py`` is made of: plain frozen dataclasses, no Lava needed to read them."""

from dataclasses import dataclass
from typing import Literal

COEFFICIENTS = (
    "a_u", "b_u", "a_v", "b_v", "q", "threshold", "r_u", "r_v", "v_reset", "bias_u", "bias_v", "v0", "u0", "s0",
)  # fmt: skip
"""The numbers of a neuron, in the order of `Layer`'s fields."""

Number = int | float | str
"""A coefficient that all neurons of a layer share, or the name of its array in ``weights.npz``."""


@dataclass(frozen=True)
class Arithmetic:
    """How the machine computes."""

    frac_bits: int
    """k: a_u, b_u, a_v, b_v and q are fractions with this many bits; the shift after each product"""
    rounding: Literal["toward_zero", "floor", "nearest"]
    bits_u: int
    bits_v: int
    overflow_u: Literal["saturate", "wrap"]
    overflow_v: Literal["saturate", "wrap"]


@dataclass(frozen=True)
class Input:
    """What enters: ``clip(rint(x * scale / lsb))``, in +-(2^(bits-1)-1)."""

    size: int
    lsb: float
    bits: int

    @property
    def limit(self) -> int:
        """Largest magnitude of an input integer."""
        return int(2 ** (self.bits - 1) - 1)


@dataclass(frozen=True)
class Synapses:
    """One Dense or Conv process: ``weight`` names an array of ``weights.npz``, its sum counts ``2^exponent`` times."""

    weight: str
    exponent: int


@dataclass(frozen=True)
class Convolution:
    """How a kernel (channels out, channels in / groups, y, x) moves over its input; pairs are (y, x).

    As in torch, a cross-correlation, over maps in the order (channel, y, x).
    """

    input_shape: tuple[int, int, int]
    output_shape: tuple[int, int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    """zeros on both sides"""
    dilation: tuple[int, int]
    groups: int


@dataclass(frozen=True)
class Connection:
    """From a source (a layer, or ``input``) into a layer; the sums of its Dense or Conv processes add up."""

    source: str
    delay: int
    """steps of the network"""
    wait: int
    """Lava steps that messages are held back, so that they meet the layer at its right step"""
    peak: int
    """largest magnitude of a message"""
    synapses: tuple[Synapses, ...]
    moves: Convolution | None = None
    """where the weights are a kernel"""


@dataclass(frozen=True)
class Layer:
    """One population and everything that enters it."""

    name: str
    size: int
    connections: tuple[Connection, ...]
    shift: int
    """f: the sum of all connections is shifted left by this much (right, rounded, where negative)"""
    offset: int
    """step t of the network runs at Lava step ``phases*t + offset``, counted from 0"""
    reset: Literal["soft", "hard"]
    input_to: Literal["dendrite", "soma"]
    spiking: bool
    strict: bool
    """fires at v > threshold instead of v >= threshold"""
    a_u: Number
    b_u: Number
    a_v: Number
    b_v: Number
    q: Number
    threshold: Number
    r_u: Number
    r_v: Number
    v_reset: Number
    bias_u: Number
    bias_v: Number
    v0: Number
    multiplier: Number
    """readout: classes compare as v*multiplier"""
    u0: Number = 0
    """u0 and v0: the states at the beginning of the first step, after the reset of s0"""
    s0: Number = 0
    """1 where a neuron fired just before the first step, which delays of a step or more still bring"""


@dataclass(frozen=True)
class Readout:
    """How the last layer becomes an answer, where that is not its soma after the last step, or its spikes' count."""

    rule: Literal["last", "sum", "mean", "max", "count", "rate", "step"]
    """of the soma: last, sum, mean (which is not divided: the sum), max; of spikes: count, rate (not divided either);
    step: the last step's spikes, or soma"""
    votes: int
    """so many neighbouring neurons are one class"""
    most_steps: int | None
    """beyond these a sum could leave 64 bits"""

    def counts_spikes(self, spiking: bool) -> bool:
        """Whether it is made of spikes, of a last layer that fires or not; else of its soma."""
        return self.rule in ("count", "rate") or (self.rule == "step" and spiking)


@dataclass(frozen=True)
class Network:
    """All of it. ``fixed_pt`` networks hold integers only, ``floating_pt`` ones are the float model."""

    precision: Literal["fixed_pt", "floating_pt"]
    input: Input
    arithmetic: Arithmetic | None
    """None for floating_pt"""
    layers: tuple[Layer, ...]
    """the last one is what the network says"""
    phases: int
    """Lava steps a step of the network; more than 1 only where feedback is faster than Lava's Dense"""
    idle: int
    """steps after each sample in which delayed spikes run out and states are reset"""
    readout: Readout | None = None
    """None: the soma after the last step, or the number of spikes of a layer that fires"""
