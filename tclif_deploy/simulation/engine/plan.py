"""Which kernels run a network, and its numbers in the shape that they read.

A layer is fast where the float32 arithmetic of `neuron` is exact for it; the conditions are checked here once, neuron
by neuron. A network is fast where all its layers are and none feeds an earlier one. All others, and samples that turn
out to overflow, run in `general`.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.fixed import Arithmetic, FixedConnection, FixedLayer, FixedNetwork, Int
from tclif_deploy.network import INPUT
from tclif_deploy.simulation.engine import neuron
from tclif_deploy.simulation.engine.events import FEW
from tclif_deploy.simulation.engine.sums import DENSE, KINDS, MIXED, SHIFTED, SPIKES, WIDE

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

MAX_SHIFT, MAX_EXPONENT = 62, 14
"""Of a layer's accumulator, and of one connection's 16-bit sum."""

WIDTHS = (16, 32, 64)
"""Neurons of a readout's tile; spiking layers' have 64."""

WHOLE = (64, 128, 256)
"""And of the one tile that a layer is which feeds itself; such a layer of more neurons has tiles of 64."""


def aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Zeros that start on a cache line: vectors that straddle two lines take twice as long to load."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    found: NDArray[Any] = raw[start : start + size].view(dtype).reshape(shape)
    return found


@dataclass(frozen=True, eq=False)
class FastLink:
    """One connection."""

    source: str
    delay: int
    exponent: int
    rows: NDArray[Any]
    """packed weights, (tiles, sources + 1, bytes): the last row is of zeros"""
    heaviest: int
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
    """One layer, as its kernel reads it."""

    name: str
    size: int
    flags: int
    width: int
    """neurons of a tile"""
    links: tuple[FastLink, ...]
    kinds: int
    """of the links, as `sums.links_of` reads them"""
    numbers: tuple[Numbers, Numbers]
    """for the kernel that leaves overflow to the CPU, and for the careful one"""
    trusting: bool
    """whether float32 holds the first of these"""
    biases: NDArray[np.int32] | None
    """(tiles, 2, width) of an integrator, None for all others"""
    shift: int
    start: Int
    """v0, (size,)"""

    @property
    def recurrent(self) -> bool:
        """Whether it feeds itself."""
        return any(link.source == self.name for link in self.links)

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
    """The plan of ``network``, or None where it must run in `general`."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return None  # The rounding mode is set in a register of x86.
    m = network.arithmetic
    if max(m.bits_u, m.bits_v) > MAX_BITS or network.input.limit > NARROW_LIMIT:
        return None
    known = {INPUT}
    layers = []
    for layer in network.layers:
        found = _plan_layer(network, layer, known)
        if found is None:
            return None
        layers.append(found)
        known.add(layer.name)
    return FastPlan(tuple(layers), m)


def _plan_layer(network: FixedNetwork, layer: FixedLayer, known: set[str]) -> FastLayer | None:
    m = network.arithmetic
    if any(c.source not in (*known, layer.name) for c in layer.connections) or abs(layer.shift) > MAX_SHIFT:
        return None
    if any(
        c.conv is not None or c.weight.shape[1] >= MAX_SOURCES or c.exponent > MAX_EXPONENT for c in layer.connections
    ):
        return None
    heaviest = max(int(np.abs(c.weight).max()) for c in layer.connections)
    if heaviest > NARROW_LIMIT or not _exact(layer, m):
        return None
    width = _width(layer)
    tiles = -(-layer.size // width)
    wide = heaviest > 127
    shifted = any(c.exponent for c in layer.connections)
    sums = (WIDE if wide else 0) | (SHIFTED if shifted else 0)
    links = tuple(_link(c, _pack(c.weight, tiles, width, wide)) for c in layer.connections)
    adds_up = not layer.spiking and _adds_up(layer, m, links)
    numbers = (_numbers(layer, m, tiles, width, FIRST_INFINITY), _numbers(layer, m, tiles, width, 1))
    return FastLayer(
        layer.name, layer.size, sums if adds_up else sums | _flags(layer, m), width, links,
        _kinds(network.input.size, links),
        numbers, _holds(numbers[0]), _biases(layer, tiles, width) if adds_up else None, layer.shift, layer.v0,
    )  # fmt: skip


def _width(layer: FixedLayer) -> int:
    """Neurons of a tile of ``layer``."""
    if layer.spiking:
        feeds_itself = any(c.source == layer.name for c in layer.connections)
        return next((width for width in WHOLE if feeds_itself and layer.size <= width), 64)
    return next((width for width in WIDTHS if layer.size <= width), 64)


def _kinds(features: int, links: tuple[FastLink, ...]) -> int:
    """What each link brings, as digits after a leading 1, the first link's the lowest."""
    number = 1
    for link in reversed(links):
        kind = SPIKES if link.source != INPUT else MIXED if features > FEW else DENSE + features
        number = number * KINDS + kind
    return number


def _link(c: FixedConnection, rows: NDArray[Any]) -> FastLink:
    signs = [np.abs(c.weight)] if c.source == INPUT else [np.maximum(c.weight, 0), np.maximum(-c.weight, 0)]
    reach = max(int(weights.sum(axis=1).max()) for weights in signs)
    return FastLink(c.source, c.delay, c.exponent, rows, int(np.abs(c.weight).max()), reach)


def _exact(layer: FixedLayer, m: Arithmetic) -> bool:
    """Whether the float32 arithmetic of `neuron` is exact for every state in range."""
    one = 1 << m.frac_bits
    top_u, top_v = 1 << (m.bits_u - 1), 1 << (m.bits_v - 1)

    def product(coefficient: Int, top: int) -> Int:
        return np.abs(coefficient) * top // one + 1

    # What is added to the sum last may be rounded: the sum is then out of range anyway.
    held_u = np.abs(layer.bias_u) + product(layer.b_u, top_v) + np.maximum(product(layer.a_u, top_u), top_u)
    held_v = np.abs(layer.bias_v) + np.maximum(product(layer.a_v, top_v), top_v)
    last_v = product(layer.b_v, top_u)
    if layer.input_to == "soma":
        held_v, last_v = held_v + last_v, np.zeros_like(last_v)
    terms = [held_u, held_v, last_v]
    if _direct(layer):
        terms[0] = np.abs(layer.bias_u)
    if layer.spiking and layer.reset == "soft":
        terms += [np.abs(layer.r_u), np.abs(layer.r_v) + product(layer.q, top_u)]
    if layer.spiking and layer.reset == "hard" and np.abs(layer.v_reset).max() >= top_v:
        return False
    coefficients = max(int(np.abs(getattr(layer, name)).max()) for name in ("a_u", "b_u", "a_v", "b_v", "q"))
    # A half is added to a product. Beyond 2^23 that rounds a second time, where the CPU does not fuse both.
    if m.rounding == "nearest" and coefficients * max(top_u, top_v) > one * EXACT // 2:
        return False
    fits = all(int(term.max()) <= EXACT for term in terms) and coefficients <= EXACT
    return fits and int(np.abs(layer.v0).max()) < top_v


def _direct(layer: FixedLayer) -> bool:
    return not layer.a_u.any() and not layer.b_u.any()


def _flags(layer: FixedLayer, m: Arithmetic) -> int:
    one = 1 << m.frac_bits
    found = {
        neuron.TO_ZERO: m.rounding == "toward_zero",
        neuron.DIRECT: _direct(layer),
        neuron.MULTIPLY_U: not _direct(layer) and bool((layer.a_u != one).any()),
        neuron.MULTIPLY_V: bool((layer.a_v != one).any()),
        neuron.SHARE: layer.spiking and layer.reset == "soft" and bool(layer.q.any()),
        neuron.HARD: layer.spiking and layer.reset == "hard",
        neuron.SOMA: layer.input_to == "soma",
        neuron.RIGHT: layer.shift < 0,
        neuron.SILENT: not layer.spiking,
        neuron.BIAS_V: bool(layer.bias_v.any()),
    }
    return sum(flag for flag, is_set in found.items() if is_set)


def _adds_up(layer: FixedLayer, m: Arithmetic, links: tuple[FastLink, ...]) -> bool:
    """Whether a readout is u = i + bias_u, v = v + u + bias_v, and int32 holds it until an overflow is seen."""
    one = 1 << m.frac_bits
    plain = _direct(layer) and bool((layer.a_v == one).all() and (layer.b_v == one).all())
    if not plain or layer.input_to == "soma" or not 0 <= layer.shift <= 30:
        return False
    reach = EXACT if any(k.source == INPUT for k in links) else sum(k.reach << k.exponent for k in links)
    most = (min(reach, EXACT) << layer.shift) + int(np.abs(layer.bias_u).max()) + int(np.abs(layer.bias_v).max())
    return most + (1 << (m.bits_v - 1)) < 1 << 31


def _numbers(layer: FixedLayer, m: Arithmetic, tiles: int, width: int, top: int) -> Numbers:
    """The numbers with units for which the first state out of range is 2^top."""
    units = Units(2.0 ** (top + 1 - m.bits_u), 2.0 ** (top + 1 - m.bits_v))
    with np.errstate(over="ignore"):
        return Numbers(units, _constants(layer, m, units, tiles, width), _scalars(layer, m, units))


def _holds(numbers: Numbers) -> bool:
    """Whether none of the numbers is too large for float32, or so small that it loses bits."""
    used = np.delete(numbers.constants, neuron.THRESHOLD, axis=1)
    parts = [np.abs(part[part != 0]) for part in (used, numbers.scalars)]
    return all(bool((part >= np.finfo(np.float32).tiny).all() and np.isfinite(part).all()) for part in parts)


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
    out[neuron.HALF_K] = 0.5 if m.rounding == "nearest" and m.frac_bits > 0 else 0.0
    out[neuron.HALF_F] = 0.5 if m.rounding == "nearest" else 0.0
    return out


def _biases(layer: FixedLayer, tiles: int, width: int) -> NDArray[np.int32]:
    out = aligned((tiles, 2, width), np.int32)
    for row, values in enumerate((layer.bias_u, layer.bias_v)):
        flat = np.zeros(tiles * width, np.int32)
        flat[: layer.size] = values
        out[:, row] = flat.reshape(tiles, width)
    return out


def _pack(weight: Int, tiles: int, width: int, wide: bool) -> NDArray[Any]:
    """Rows of sources, tile by tile, in the order that `sums` states; the last row is of zeros."""
    neurons, sources = weight.shape
    flat = np.zeros((tiles * width, sources + 1), np.int64)
    flat[:neurons, :sources] = weight
    rows = flat.reshape(tiles, width, sources + 1).transpose(0, 2, 1)
    if wide:
        out = aligned(rows.shape, np.int16)
        out[:] = rows
        return out
    half = width // 2
    packed = aligned(rows.shape, np.uint8)
    packed[..., 0::2] = rows[..., :half] + 128
    packed[..., 1::2] = rows[..., half:] & 255
    return packed
