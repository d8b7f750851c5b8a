"""A float64 network in the shape that its kernels take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.network import INPUT, Float, Layer, Network
from tclif_deploy.simulation.engine.events import WORD
from tclif_deploy.simulation.engine.float_tile import A_U, A_V, CONSTANTS, NUMBERS, THRESHOLD, WIDTHS, Choice, Q
from tclif_deploy.simulation.engine.form import chosen_form
from tclif_deploy.simulation.engine.plan import MAX_SOURCES, aligned
from tclif_deploy.simulation.engine.scatter import OUTPUTS, shape_of, weights_of

NEURON_ROWS = ("a_u", "b_u", "a_v", "b_v", "q", "threshold", "r_u", "r_v", "v_reset", "bias_u", "bias_v")
"""`Neuron`'s arrays in the order of a tile's constants"""


@dataclass(frozen=True, eq=False)
class FloatLayer:
    """What a layer computes with, in whatever unit; `float_layer` makes that of a float network's."""

    name: str
    constants: Float
    """(`CONSTANTS`, neurons)"""
    start: Float
    """u and v at the beginning of the first step, (2, neurons)"""
    s0: NDArray[np.bool_]
    """spikes of the step before, (neurons,)"""
    choices: Choice
    numbers: Float
    """`float_tile.NUMBERS`, of meaning where rounded"""
    sources: tuple[str, ...]
    """of its connections"""
    delays: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    """`scatter.shape_of` each"""
    weights: tuple[Float, ...]
    """flat: `scatter.weights_of` each"""
    widths: tuple[int, ...]
    """sources of each"""

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(self.constants.shape[1])


def float_layer(layer: Layer) -> FloatLayer:
    """A layer of the float network, in its own units."""
    n = layer.neuron
    constants = np.stack([getattr(n, name) for name in NEURON_ROWS])
    constants[THRESHOLD] = firing_threshold(n.threshold, n.strict, n.spiking)
    return FloatLayer(
        layer.name, constants, np.stack(n.start), n.s0 != 0,
        choices_of(constants, n.reset == "hard", n.input_to == "soma"), np.zeros(NUMBERS),
        tuple(c.source for c in layer.connections), tuple(c.delay for c in layer.connections),
        tuple(shape_of(c) for c in layer.connections), tuple(weights_of(c) for c in layer.connections),
        tuple(c.sources for c in layer.connections),
    )  # fmt: skip


def firing_threshold(threshold: Float, strict: bool, spiking: bool) -> Float:
    """The least v at which neurons fire."""
    if not spiking:
        return np.full(threshold.shape, np.inf)
    return np.nextafter(threshold, np.inf) if strict else threshold


def choices_of(constants: Float, hard: bool, to_soma: bool, rounded: bool = False) -> Choice:
    """What a kernel must do for neurons of these constants."""
    choices = Choice.HARD * hard | Choice.TO_SOMA * to_soma | Choice.ROUNDED * rounded
    # a state that is no whole number is rounded, times 1 too
    general = rounded or bool((constants[[A_U, A_V]] != 1.0).any() or constants[Q].any())
    return Choice(choices | Choice.GENERAL * general)


def rounding_choice(rounding: str) -> Choice:
    """How a kernel whose products are whole numbers rounds them."""
    return {"toward_zero": Choice.TO_ZERO, "floor": Choice.DOWN, "nearest": Choice(0)}[rounding]


class PlannedLayer:
    """A layer in tiles."""

    def __init__(self, layer: FloatLayer, index: dict[str, int], is_last: bool) -> None:
        """``index`` of each source, the input's -1."""
        self.name, self.size, self.choices, self.numbers = layer.name, layer.size, layer.choices, layer.numbers
        self.width = WIDTHS[0] if is_last and layer.size <= WIDTHS[0] else WIDTHS[1]
        self.tiles = -(-layer.size // self.width)
        self.constants = aligned((self.tiles, CONSTANTS, self.width), np.float64)
        padded = np.zeros((CONSTANTS, self.tiles * self.width))
        padded[:, : self.size] = layer.constants
        padded[THRESHOLD, self.size :] = np.inf  # neurons that there are not never fire
        self.constants[:] = padded.reshape(CONSTANTS, self.tiles, self.width).transpose(1, 0, 2)
        self.start = np.zeros((2, self.tiles, self.width))
        self.start.reshape(2, -1)[:, : self.size] = layer.start
        self.s0 = words(layer.s0, self.tiles)
        self.sources = tuple(index[source] for source in layer.sources)
        self.delays, self.shapes, self.widths = (
            layer.delays,
            [np.array(s, np.int64) for s in layer.shapes],
            layer.widths,
        )
        self.direct = not any(s[0] for s in layer.shapes) and max(self.widths) <= MAX_SOURCES
        """whether the tiles add up rows of weights themselves; else their sums are made before, neuron by neuron"""
        maps = {s[OUTPUTS] for s in layer.shapes}
        self.channels = maps.pop() if len(maps) == 1 else 0
        """of a layer that only convolutions of one shape feed: its sums are made by (y, x, channel); else 0"""
        self.weights = (
            [self._rows(w, width) for w, width in zip(layer.weights, self.widths, strict=True)]
            if self.direct
            else [np.ascontiguousarray(w) for w in layer.weights]
        )

    def _rows(self, weights: Float, sources: int) -> Float:
        """(tiles, sources and one of zeros, width)."""
        padded = np.zeros((sources + 1, self.tiles * self.width))
        padded[:-1, : self.size] = weights.reshape(sources, self.size)
        rows = aligned((self.tiles, sources + 1, self.width), np.float64)
        rows[:] = padded.reshape(sources + 1, self.tiles, self.width).transpose(1, 0, 2)
        return rows


def words(spikes: NDArray[np.bool_], tiles: int) -> NDArray[np.uint64]:
    """Spikes of a layer's neurons as the words of bits of its tiles, (tiles,)."""
    bits = np.zeros(tiles * WORD, np.uint8)
    bits[: spikes.size] = spikes
    return np.packbits(bits, bitorder="little").view("<u8").astype(np.uint64)


class FloatPlan:
    """All layers, and in which order their steps are run."""

    def __init__(
        self, input_size: int, layers: Sequence[FloatLayer], known: dict[FloatLayer, PlannedLayer] | None = None
    ) -> None:
        """``known`` holds layers of other plans of the network, which are shared; this one's are added to it."""
        known = {} if known is None else known
        index = {INPUT: -1, **{layer.name: n for n, layer in enumerate(layers)}}
        self.input_size = input_size
        for n, layer in enumerate(layers):
            if layer not in known:
                known[layer] = PlannedLayer(layer, index, n == len(layers) - 1)
        self.layers = [known[layer] for layer in layers]
        self.groups = groups(self.layers)
        direct = [layer for layer in self.layers if layer.direct]
        self.listed = {source for layer in direct for source in layer.sources}
        """sources whose events are listed: the rows of a layer's tiles ask for them"""
        late = {
            source for layer in self.layers for source, delay in zip(layer.sources, layer.delays, strict=True) if delay
        }
        self.lead = int(any(n in late and layer.s0.any() for n, layer in enumerate(self.layers)))
        """steps before the first: 1 where delays bring spikes of it, of which nothing else is computed"""
        assert WIDTHS[1] == WORD, "a tile's spikes are a word of bits"

    def shared(self, other: FloatPlan) -> int:
        """How many of the first groups have the layers of ``other``, another plan of the same network."""
        alike = [
            self.layers[group.start : group.stop] == other.layers[group.start : group.stop] for group in self.groups
        ]
        return alike.index(False) if False in alike else len(alike)


def groups(layers: Sequence[PlannedLayer]) -> list[range]:
    """Layers that must take each step together, since one feeds an earlier one; each other layer runs through all its
    steps before the next begins."""
    found: list[range] = []
    for n, layer in enumerate(layers):
        last = max((source for source in layer.sources), default=n)
        if found and n < found[-1].stop:
            found[-1] = range(found[-1].start, max(found[-1].stop, last + 1))
        else:
            found.append(range(n, max(n, last) + 1))
    return found


def plan_float(network: Network) -> FloatPlan:
    """Of a float network. Raises `TclifError` where the environment names no `form`, as of any network."""
    chosen_form()
    return FloatPlan(network.input_size, [float_layer(layer) for layer in network.layers])
