"""Which kernels run a network, and its numbers in the shape that they take.

A layer is fast where the float32 arithmetic of `neuron` is exact for it; the conditions are checked here once, neuron
by neuron. A network is fast where all its layers are and none feeds an earlier one. All others run in `exact` or
`general`, samples that turn out to overflow in `general`.
"""

from __future__ import annotations

import functools
import operator
import platform
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.fixed import Arithmetic, FixedConnection, FixedLayer, FixedNetwork, Int
from tclif_deploy.network import INPUT
from tclif_deploy.simulation.engine import neuron
from tclif_deploy.simulation.engine.events import FEW_FEATURES
from tclif_deploy.simulation.engine.form import Form, chosen_form, word_width
from tclif_deploy.simulation.engine.spec import DENSE, MIXED, SPIKES, Flag, KernelSpec
from tclif_deploy.simulation.reference import start_states

EXACT = 1 << 24
"""float32 holds every integer up to here."""

NARROW_LIMIT = (1 << 15) - 1
"""Row sums of 16 bits."""

MAX_BITS = 24
"""Widest state: its sum with a product stays within `EXACT`."""

MAX_SOURCES = (1 << 16) - 1
"""Events are indices of 16 bits, one of which is the row of zeros."""

FIRST_INFINITY = 128
"""2 to this power is the first number beyond float32."""

MAX_CONNECTIONS = 20
"""Of a layer: their kinds are the digits of a number of 64 bits (`spec.KINDS`)."""

MAX_SHIFT, MAX_EXPONENT = 62, 14
"""Of a layer's accumulator, and of one connection's 16-bit sum."""

READOUT_WIDTHS = (16, 32, 64)
"""Neurons of a readout's tile; spiking layers' have 64."""

RECURRENT_WIDTHS = (64, 128, 256)
"""And of the one tile that a layer is which feeds itself; such a layer of more neurons has tiles of 64."""


def aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Zeros that start on a cache line: vectors that straddle two lines take twice as long to load."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    array: NDArray[Any] = raw[start : start + size].view(dtype).reshape(shape)
    return array


@dataclass(frozen=True, eq=False)
class FastConnection:
    """One connection."""

    source: str
    delay: int
    exponent: int
    rows: NDArray[Any]
    """packed weights, (tiles, sources + 1, bytes): the last row is of zeros"""
    max_weight: int
    """largest magnitude of a weight"""
    reach: int
    """largest magnitude of a row sum over inputs of magnitude 1, or over spikes"""


@dataclass(frozen=True)
class Units:
    """What an LSB is in the float32 states."""

    u: float
    v: float


@dataclass(frozen=True, eq=False)
class Numbers:
    """A layer's numbers for one choice of units."""

    units: Units
    constants: NDArray[np.float32]
    """(tiles, `neuron.CONSTANTS`, width)"""
    scalars: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FastLayer:
    """One layer, as its kernel takes it."""

    name: str
    size: int
    spec: KernelSpec
    """without `Flag.LONG` and `Flag.OVERFLOW_CHECKED`, which each block decides"""
    connections: tuple[FastConnection, ...]
    numbers: tuple[Numbers, Numbers]
    """for the unchecked kernel, which leaves overflow to the CPU, and for the overflow-checked one"""
    unchecked: bool
    """whether the unchecked kernel may run: float32 holds its numbers"""
    biases: NDArray[np.int32] | None
    """(tiles, 2, width) of an integrator, None for all others"""
    shift: int
    start: tuple[Int, Int]
    """u and v at the beginning of the first step, (size,) each"""

    @property
    def recurrent(self) -> bool:
        """Whether it feeds itself."""
        return any(c.source == self.name for c in self.connections)

    @property
    def tiles(self) -> int:
        """Tiles of the layer."""
        return int(self.numbers[0].constants.shape[0])


@dataclass(frozen=True, eq=False)
class FastPlan:
    """A network that the fast kernels can run."""

    layers: tuple[FastLayer, ...]
    arithmetic: Arithmetic


def plan_fast(network: FixedNetwork) -> FastPlan | None:
    """The plan of ``network``, or None where it must run in `general`.

    Raises `TclifError` where the environment names no form, whether or not a layer would take it.
    """
    form = chosen_form()
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return None  # The rounding mode is set in a register of x86.
    m = network.arithmetic
    if m.unusual or max(m.bits_u, m.bits_v) > MAX_BITS or network.input.limit > NARROW_LIMIT:
        return None
    earlier = {INPUT}
    layers = []
    for layer in network.layers:
        planned = _plan_layer(network, layer, earlier, form)
        if planned is None:
            return None
        layers.append(planned)
        earlier.add(layer.name)
    return FastPlan(tuple(layers), m)


def _plan_layer(network: FixedNetwork, layer: FixedLayer, earlier: set[str], form: Form) -> FastLayer | None:
    m = network.arithmetic
    if any(c.source not in (*earlier, layer.name) for c in layer.connections) or abs(layer.shift) > MAX_SHIFT:
        return None
    if len(layer.connections) > MAX_CONNECTIONS:
        return None
    if any(
        c.conv is not None or c.weight.shape[1] >= MAX_SOURCES or c.exponent > MAX_EXPONENT for c in layer.connections
    ):
        return None
    max_weight = max(int(np.abs(c.weight).max()) for c in layer.connections)
    if max_weight > NARROW_LIMIT or not _exact(layer, m):
        return None
    wide = max_weight > 127
    width, words = _width(layer), False
    feeds_itself = any(c.source == layer.name for c in layer.connections)
    if layer.spiking and not feeds_itself and not wide and form == "words":
        in_words = word_width(layer.size)
        width, words = in_words or width, in_words is not None
    tiles = -(-layer.size // width)
    shifted = any(c.exponent for c in layer.connections)
    sums = (Flag.WIDE if wide else Flag.WORDS if words else Flag(0)) | (Flag.SHIFTED if shifted else Flag(0))
    connections = tuple(_connection(c, _pack(c.weight, tiles, width, wide or words)) for c in layer.connections)
    adds_up = not layer.spiking and _adds_up(layer, m, connections)
    numbers = (_numbers(layer, m, tiles, width, FIRST_INFINITY), _numbers(layer, m, tiles, width, 1))
    return FastLayer(
        layer.name, layer.size,
        KernelSpec(sums if adds_up else sums | _flags(layer, m), width, _kinds(network.input.size, connections)),
        connections, numbers, _fits_float32(numbers[0]), _biases(layer, tiles, width) if adds_up else None,
        layer.shift, start_states(layer, m),
    )  # fmt: skip


def _width(layer: FixedLayer) -> int:
    """Neurons of a tile of ``layer``."""
    if layer.spiking:
        feeds_itself = any(c.source == layer.name for c in layer.connections)
        return next((width for width in RECURRENT_WIDTHS if feeds_itself and layer.size <= width), 64)
    return next((width for width in READOUT_WIDTHS if layer.size <= width), 64)


def _kinds(features: int, connections: tuple[FastConnection, ...]) -> tuple[int, ...]:
    """What each connection brings."""
    of_input = MIXED if features > FEW_FEATURES else DENSE + features
    return tuple(of_input if c.source == INPUT else SPIKES for c in connections)


def _connection(c: FixedConnection, rows: NDArray[Any]) -> FastConnection:
    signs = [np.abs(c.weight)] if c.source == INPUT else [np.maximum(c.weight, 0), np.maximum(-c.weight, 0)]
    reach = max(int(weights.sum(axis=1).max()) for weights in signs)
    return FastConnection(c.source, c.delay, c.exponent, rows, int(np.abs(c.weight).max()), reach)


def _exact(layer: FixedLayer, m: Arithmetic) -> bool:
    """Whether the float32 arithmetic of `neuron` is exact for every state in range."""
    one = 1 << m.frac_bits
    top_u, top_v = 1 << (m.bits_u - 1), 1 << (m.bits_v - 1)

    def product(coefficient: Int, top: int) -> Int:
        return np.abs(coefficient) * top // one + 1

    # What is added to the sum last may be rounded: the sum is then out of range anyway.
    bound_u = np.abs(layer.bias_u) + product(layer.b_u, top_v) + np.maximum(product(layer.a_u, top_u), top_u)
    bound_v = np.abs(layer.bias_v) + np.maximum(product(layer.a_v, top_v), top_v)
    last_v = product(layer.b_v, top_u)
    if layer.input_to == "soma":
        bound_v, last_v = bound_v + last_v, np.zeros_like(last_v)
    terms = [bound_u, bound_v, last_v]
    if _stateless_u(layer):
        terms[0] = np.abs(layer.bias_u)
    if layer.spiking and layer.reset == "soft":
        terms += [np.abs(layer.r_u), np.abs(layer.r_v) + product(layer.q, top_u)]
    if layer.spiking and layer.reset == "hard":
        terms.append(np.abs(layer.r_u))
    if layer.spiking and layer.reset == "hard" and np.abs(layer.v_reset).max() >= top_v:
        return False
    coefficients = max(int(np.abs(getattr(layer, name)).max()) for name in ("a_u", "b_u", "a_v", "b_v", "q"))
    # 0.5 is added to a product. Beyond 2^23 that rounds a second time, where the CPU does not fuse both.
    if m.rounding == "nearest" and coefficients * max(top_u, top_v) > one * EXACT // 2:
        return False
    fits = all(int(term.max()) <= EXACT for term in terms) and coefficients <= EXACT
    u, v = start_states(layer, m)
    return fits and int(np.abs(u).max()) < top_u and int(np.abs(v).max()) < top_v


def _stateless_u(layer: FixedLayer) -> bool:
    return not layer.a_u.any() and not layer.b_u.any()


def _flags(layer: FixedLayer, m: Arithmetic) -> Flag:
    one = 1 << m.frac_bits
    flags = {
        Flag.TO_ZERO: m.rounding == "toward_zero",
        Flag.STATELESS_U: _stateless_u(layer),
        Flag.MULTIPLY_U: not _stateless_u(layer) and bool((layer.a_u != one).any()),
        Flag.MULTIPLY_V: bool((layer.a_v != one).any()),
        Flag.HAS_Q: layer.spiking and layer.reset == "soft" and bool(layer.q.any()),
        Flag.HARD_RESET: layer.spiking and layer.reset == "hard",
        Flag.HARD_RESET_U: layer.spiking and layer.reset == "hard" and bool(layer.r_u.any()),
        Flag.INPUT_TO_SOMA: layer.input_to == "soma",
        Flag.RIGHT_SHIFT: layer.shift < 0,
        Flag.NO_SPIKES: not layer.spiking,
        Flag.BIAS_V: bool(layer.bias_v.any()),
    }
    return functools.reduce(operator.or_, (flag for flag, is_set in flags.items() if is_set), Flag(0))


def _adds_up(layer: FixedLayer, m: Arithmetic, connections: tuple[FastConnection, ...]) -> bool:
    """Whether a readout is u = i + bias_u, v = v + u + bias_v, and int32 holds it until an overflow is seen."""
    one = 1 << m.frac_bits
    plain = _stateless_u(layer) and bool((layer.a_v == one).all() and (layer.b_v == one).all())
    if not plain or layer.input_to == "soma" or not 0 <= layer.shift <= 30:
        return False
    reach = EXACT if any(c.source == INPUT for c in connections) else sum(c.reach << c.exponent for c in connections)
    bound = (min(reach, EXACT) << layer.shift) + int(np.abs(layer.bias_u).max()) + int(np.abs(layer.bias_v).max())
    return bound + (1 << (m.bits_v - 1)) < 1 << 31


def _numbers(layer: FixedLayer, m: Arithmetic, tiles: int, width: int, exponent: int) -> Numbers:
    """The numbers with units for which the first state out of range is 2^exponent."""
    units = Units(2.0 ** (exponent + 1 - m.bits_u), 2.0 ** (exponent + 1 - m.bits_v))
    with np.errstate(over="ignore"):
        return Numbers(units, _constants(layer, m, units, tiles, width), _scalars(layer, m, units))


def _fits_float32(numbers: Numbers) -> bool:
    """Whether none of the numbers is too large for float32, or so small that it loses bits."""
    used = np.delete(numbers.constants, neuron.THRESHOLD, axis=1)
    magnitudes = np.abs(np.concatenate([used[used != 0], numbers.scalars[numbers.scalars != 0]]))
    return bool((magnitudes >= np.finfo(np.float32).tiny).all() and np.isfinite(magnitudes).all())


def _constants(layer: FixedLayer, m: Arithmetic, units: Units, tiles: int, width: int) -> NDArray[np.float32]:
    one = 2.0**m.frac_bits
    rows = {
        neuron.B_U: layer.b_u / one / units.v,
        neuron.A_U: layer.a_u / one / units.u,
        neuron.B_V: layer.b_v / one / units.u,
        neuron.A_V: layer.a_v / one / units.v,
        neuron.THRESHOLD: layer.threshold * units.v,
        neuron.R_U: layer.r_u * units.u,
        neuron.R_V: layer.r_v * units.v,
        neuron.Q: layer.q / one / units.u,
        neuron.V_RESET: layer.v_reset * units.v,
        neuron.BIAS_U: layer.bias_u * units.u,
        neuron.ROW_BIAS_V: layer.bias_v * units.v,
    }
    flat = np.zeros((neuron.CONSTANTS, tiles * width), np.float32)
    flat[neuron.THRESHOLD] = np.inf
    for row, values in rows.items():
        flat[row, : layer.size] = values
    # Rounding a threshold that float32 can't hold could move it; all states are on one side of it.
    flat[neuron.THRESHOLD, : layer.size][layer.threshold > EXACT] = np.inf
    flat[neuron.THRESHOLD, : layer.size][layer.threshold < -EXACT] = -np.inf
    out = aligned((tiles, neuron.CONSTANTS, width), np.float32)
    out[:] = flat.reshape(neuron.CONSTANTS, tiles, width).transpose(1, 0, 2)
    return out


def _scalars(layer: FixedLayer, m: Arithmetic, units: Units) -> NDArray[np.float32]:
    unit_i = units.v if layer.input_to == "soma" else units.u
    out = aligned((neuron.SCALARS,), np.float32)
    out[neuron.LSB_U], out[neuron.LSB_V] = units.u, units.v
    out[neuron.SCALE_I] = 2.0**layer.shift * (1.0 if layer.shift < 0 else unit_i)
    out[neuron.LSB_I] = unit_i
    out[neuron.PRODUCT_OFFSET] = 0.5 if m.rounding == "nearest" and m.frac_bits > 0 else 0.0
    out[neuron.ACCUMULATOR_OFFSET] = 0.5 if m.rounding == "nearest" else 0.0
    return out


def _biases(layer: FixedLayer, tiles: int, width: int) -> NDArray[np.int32]:
    out = aligned((tiles, 2, width), np.int32)
    for row, values in enumerate((layer.bias_u, layer.bias_v)):
        flat = np.zeros(tiles * width, np.int32)
        flat[: layer.size] = values
        out[:, row] = flat.reshape(tiles, width)
    return out


def _pack(weight: Int, tiles: int, width: int, words: bool) -> NDArray[Any]:
    """Rows of sources, tile by tile, as they are in ``words`` or as bytes in the order that `sums` states; the last row
    is of zeros."""
    neurons, sources = weight.shape
    flat = np.zeros((tiles * width, sources + 1), np.int64)
    flat[:neurons, :sources] = weight
    rows = flat.reshape(tiles, width, sources + 1).transpose(0, 2, 1)
    if words:
        out = aligned(rows.shape, np.int16)
        out[:] = rows
        return out
    half_width = width // 2
    packed = aligned(rows.shape, np.uint8)
    packed[..., 0::2] = rows[..., :half_width] + 128
    packed[..., 1::2] = rows[..., half_width:] & 255
    return packed
