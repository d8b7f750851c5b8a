"""One layer's integers, and what the arithmetic can hold of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from tclif_deploy.aliases import OldName
from tclif_deploy.arguments import checked_fields
from tclif_deploy.convolution import Conv, LinearMap, check_kernel
from tclif_deploy.display import Brief, Shown
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed.machine import (
    LAYER_ARRAYS,
    MOST_BITS,
    MOST_DELAY,
    MOST_SHIFT,
    MOST_SUM_BITS,
    SUMMANDS,
    Int,
)
from tclif_deploy.network import (
    LATER_ARRAYS,
    Float,
    InputTo,
    Reset,
    sources,
    weights,
)
from tclif_deploy.start import check_s0
from tclif_deploy.text import count

_NOT_SAID: Int = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False, repr=False)
@checked_fields
class FixedConnection(LinearMap):
    """Integer weights from one source into one layer: ``2**exponent * weight`` counts units of its accumulator.

    Raises `TclifError` where the weights are no kernel that ``conv`` can move.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> feedback = fixed.layer("features.3").connections[1]
    >>> feedback
    FixedConnection from features.3 (delay 1): 128x128 weights of -127 to 127
    >>> feedback.weight.dtype, feedback.exponent
    (dtype('int64'), 0)
    """

    source: str
    """name of a layer, or ``input``"""
    weight: Int
    """int64 (neurons, sources); where ``conv`` moves it, (channels out, channels in / groups, height, width)"""
    delay: int = 0
    """steps"""
    exponent: int = 0
    """the connection's sum is shifted left by this much before it joins the others (exact)"""
    conv: Conv | None = None

    def __post_init__(self) -> None:
        where = f"connection from {self.source}"
        if self.conv is None and (self.weight.ndim != 2 or 0 in self.weight.shape):
            raise TclifError(f"{where}: weight has shape {self.weight.shape}, expected (neurons, sources)")
        check_kernel(self, where)


@dataclass(frozen=True, eq=False, repr=False)
@checked_fields
class FixedLayer(Shown):
    """One layer's integers; every array is int64 of shape ``(neurons,)``.

    They are those of `tclif_deploy.network.Neuron`: the factors a_u, b_u, a_v, b_v and q count 2^-``frac_bits``, r_u,
    bias_u and u0 count LSBs of u, s0 is 0 or 1, all others count LSBs of v.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> layer = fixed.layer("features.1")
    >>> layer
    FixedLayer features.1: 128 neurons from input, features.1 (delay 1), 18,048 weights of 8 bits
    >>> layer.shift, layer.threshold.dtype, layer.threshold.shape
    (6, dtype('int64'), (128,))
    """

    name: str
    connections: tuple[FixedConnection, ...]
    shift: int
    """f: left shift of the accumulator (right, rounded, where negative)"""
    a_u: Int
    b_u: Int
    a_v: Int
    b_v: Int
    q: Int
    threshold: Int
    """of the soma; of a layer that does not fire 0, or what the network's `Readout` waits for"""
    r_u: Int
    r_v: Int
    v_reset: Int
    bias_u: Int
    bias_v: Int
    v0: Int
    lsb_u: Float
    """what one unit of the dendrite means to the float network; float64 (neurons,), no simulator needs it"""
    lsb_v: Float
    """likewise of the soma"""
    multiplier: Int
    """of the last layer: outputs compare as readout*multiplier"""
    reset: Reset = "soft"
    input_to: InputTo = "dendrite"
    """the compartment that the current enters"""
    spiking: bool = True
    """false for a readout"""
    u0: Int = field(default_factory=lambda: _NOT_SAID)
    """zeros where it is not given, like s0"""
    s0: Int = field(default_factory=lambda: _NOT_SAID)

    def __post_init__(self) -> None:
        for name in LATER_ARRAYS:
            if getattr(self, name) is _NOT_SAID:
                object.__setattr__(self, name, np.zeros(np.shape(self.a_u), np.int64))

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(self.a_u.size)

    @property
    def lsb_ratio(self) -> Float:
        """LSB of v over LSB of u (rho), a free choice that changes no spike; (neurons,)."""
        return self.lsb_v / self.lsb_u

    rho = OldName("lsb_ratio")

    @property
    def accumulator_lsb(self) -> Float:
        """What one unit of the accumulator means to the float network, (neurons,)."""
        return (self.lsb_u if self.input_to == "dendrite" else self.lsb_v) * 2.0**self.shift

    def _brief(self) -> Brief:
        neurons, stored = count(self.size, "neuron"), count(weights(self), "weight")
        return Brief(f"FixedLayer {self.name}: {neurons} from {sources(self)}, {stored} of {weight_bits(self)} bits")


def check_layer(layer: FixedLayer) -> None:
    """Raise `TclifError` unless the arrays of a layer are what the arithmetic can hold; they become read-only."""
    where = f"layer {layer.name}"
    if abs(layer.shift) > MOST_SHIFT:
        raise TclifError(f"{where}: shift is {layer.shift}", f"-{MOST_SHIFT} to {MOST_SHIFT} are supported")
    for name, known in (("reset", ("soft", "hard")), ("input_to", ("dendrite", "soma"))):
        if getattr(layer, name) not in known:
            raise TclifError(f"{where}: {name} is {getattr(layer, name)!r:.40}", " or ".join(known))
    for name in (*LAYER_ARRAYS, "multiplier"):
        value = getattr(layer, name)
        if value.dtype != np.int64 or value.shape != (layer.size,):
            raise TclifError(f"{where}: {name} is {value.dtype}{value.shape}, expected int64 ({layer.size},)")
        _check_range(value, MOST_SUM_BITS if name in SUMMANDS else MOST_BITS, f"{where}: {name}")
        value.setflags(write=False)
    check_s0(layer.s0, layer.spiking, where)
    for name in ("lsb_u", "lsb_v"):
        value = getattr(layer, name)
        if value.dtype != np.float64 or value.shape != (layer.size,):
            raise TclifError(f"{where}: {name} is {value.dtype}{value.shape}, expected float64 ({layer.size},)")
        wrong = ~((value > 0) & (value < math.inf))
        if wrong.any():
            raise TclifError(f"{where}: {name} is {value[wrong][0]:g}", "a positive number is needed")
    for connection in layer.connections:
        link = f"{where}: connection from {connection.source}"
        if connection.weight.dtype != np.int64 or not 0 <= connection.exponent <= MOST_SHIFT:
            raise TclifError(f"{link} is not of int64 with exponent 0 to {MOST_SHIFT}")
        if connection.delay > MOST_DELAY:
            raise TclifError(f"{link}: delay is {connection.delay}", f"at most {MOST_DELAY:,} steps are supported")
        _check_range(connection.weight, MOST_BITS, f"{link}: a weight")
        connection.weight.setflags(write=False)


def _check_range(values: Int, bits: int, where: str) -> None:
    """Raise `TclifError` for an integer beyond so many bits."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if max(~low, high).bit_length() >= bits:
        raise TclifError(f"{where} is {high if high > ~low else low}", f"{bits} bits are supported")


def weight_bits(layer: FixedLayer) -> int:
    """Bits, sign included, that a layer's weights need."""
    return 1 + max(max(int(c.weight.max()), ~int(c.weight.min())).bit_length() for c in layer.connections)
