"""The circuit's shape: when each layer works, which bits everything takes, and what lies in each memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tclif_deploy.bounds import LayerBounds, layer_bounds
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import COEFFICIENTS, Arithmetic, FixedConnection, FixedLayer, FixedNetwork, Int
from tclif_deploy.network import INPUT
from tclif_deploy.simulation.reference import start_states
from tclif_deploy.text import count

LANES = 32
"""neurons of a layer that are added up at once, where nothing else is chosen"""
MOST_LANES = 64
PIPELINES = (1, 2, 4, 8)
"""neurons of a layer that may leave the accumulator in one clock"""
MOST_LAYERS, MOST_NEURONS = 255, 65535
"""what the words of the stream can name"""
MOST_FRAMES = 1024
"""steps whose events are kept for one connection"""
MOST_WEIGHTS = 1 << 22
"""of one layer, unfolded; no block RAM of a small device holds a quarter of it"""
STEP_BITS = 24
"""of the counter of a sample's steps"""
ROUNDINGS = {"toward_zero": 0, "floor": 1, "nearest": 2, "ceiling": 3}
OVERFLOWS = {"saturate": 0, "wrap": 1, "saturate_full": 2}
ZERO, ONE, ANY = 0, 1, 2
"""kinds of coefficients: no product, no multiplier, a multiplier"""
LEVELS = ("threshold", "r_u", "r_v", "v_reset", "bias_u", "bias_v")
STATES = ("u0", "v0")
FIELDS = (*COEFFICIENTS, *LEVELS, *STATES)


@dataclass(frozen=True)
class List:
    """The events that one connection reads."""

    source: int
    """number of a layer, or -1 for the input"""
    pipeline: int
    """of the source, whose spikes are in a list of their own"""
    sources: int
    delay: int
    frames: int
    exponent: int
    position_bits: int
    starts: int
    """events of the step before the first that it still brings"""


@dataclass(frozen=True)
class Part:
    """What one pipeline has of a layer, by the names of the parameters of ``tclif_layer``."""

    number: int
    neurons: int
    lanes: int
    groups: int

    @property
    def number_bits(self) -> int:
        """Bits of a neuron's number within its pipeline."""
        return clog2(self.neurons)


@dataclass(frozen=True)
class Field:
    """One parameter of a layer's neurons: in their words of parameters, or one constant."""

    bits: int
    """in a word; 0: all neurons have ``constant``"""
    at: int
    """lowest bit in a word"""
    constant: int


@dataclass(frozen=True, eq=False)
class LayerShape:
    """Sizes and widths of one layer, by the names of the parameters of ``tclif_layer``."""

    name: str
    neurons: int
    pipelines: int
    lanes: int
    """of all pipelines together"""
    groups: int
    lists: tuple[List, ...]
    position_bits: int
    """of the longest list"""
    rows: int
    multiply: bool
    value_bits: int
    weight_bits: int
    sum_bits: int
    shift: int
    coefficient_bits: int
    level_bits: int
    current_bits: int
    wide_bits: int
    """of every sum before ovf"""
    kinds: dict[str, int]
    fields: dict[str, Field]
    word_bits: int
    reset_relative: bool
    """whether r_v is stored as its difference from the threshold, which needs fewer bits"""
    to_soma: bool
    hard: bool
    spiking: bool

    @property
    def number_bits(self) -> int:
        """Bits of a neuron's number."""
        return clog2(self.neurons)

    @property
    def parts(self) -> tuple[Part, ...]:
        """What each pipeline has of the layer: neuron n is in pipeline n mod pipelines."""
        lanes = self.lanes // self.pipelines
        sizes = part_sizes(self.neurons, self.pipelines)
        return tuple(Part(n, size, lanes, -(-size // lanes)) for n, size in enumerate(sizes))

    @property
    def row_bits(self) -> int:
        """Bits of a source among those of all connections."""
        return clog2(self.rows)


@dataclass(frozen=True, eq=False)
class Layout:
    """The whole circuit."""

    layers: tuple[LayerShape, ...]
    period: int
    """ticks from one step to the next"""


def clog2(values: int) -> int:
    """Bits that tell so many ``values`` apart, at least 1."""
    return max((values - 1).bit_length(), 1)


def signed_bits(magnitude: int) -> int:
    """Bits of a signed number that holds +-magnitude."""
    return magnitude.bit_length() + 1


def bits_of(values: Int) -> int:
    """Bits, sign included, that hold all ``values``."""
    return max(int(values.max()), ~int(values.min()), 0).bit_length() + 1


def arrays(layer: FixedLayer, m: Arithmetic) -> dict[str, Int]:
    """What the circuit stores of a layer's neurons; u0 and v0 are those behind the reset of s0."""
    return {name: getattr(layer, name) for name in FIELDS} | dict(zip(STATES, start_states(layer, m), strict=True))


def check_lanes(lanes: int, pipelines: int) -> None:
    """Raise `TclifError` for numbers of lanes and of pipelines that no circuit has."""
    if not 1 <= lanes <= MOST_LANES:
        raise TclifError(f"rtl: lanes is {lanes}", f"1 to {MOST_LANES} are supported")
    if pipelines not in PIPELINES:
        raise TclifError(f"rtl: pipelines is {pipelines}", f"{', '.join(map(str, PIPELINES))} are supported")
    if lanes % pipelines:
        near = sorted(
            {max(lanes - lanes % pipelines, pipelines), min(lanes - lanes % pipelines + pipelines, MOST_LANES)}
        )
        raise TclifError(
            f"rtl: {count(lanes, 'lane')} cannot be shared out among {pipelines} pipelines",
            f"--rtl-lanes {' or '.join(map(str, near))} can, or fewer --rtl-pipelines",
        )


def layer_pipelines(fixed: FixedNetwork, pipelines: int) -> list[int]:
    """The pipelines of each layer: no more than it has neurons; one of the last, of which a neuron a clock is read."""
    return [max(n for n in PIPELINES if n <= min(pipelines, layer.size)) for layer in fixed.layers[:-1]] + [1]


def part_sizes(neurons: int, pipelines: int) -> list[int]:
    """How many of a layer's neurons each pipeline has."""
    return [len(range(n, neurons, pipelines)) for n in range(pipelines)]


def layout(fixed: FixedNetwork, lanes: int | None = None, pipelines: int = 1) -> Layout:
    """The shape of the circuit of ``fixed``, with at most so many ``lanes`` (default `LANES`) and ``pipelines`` each.

    Raises `TclifError`, which names what it is, for what the circuit does not take.
    """
    lanes = LANES if lanes is None else lanes
    check_lanes(lanes, pipelines)
    if len(fixed.layers) > MOST_LAYERS:
        raise TclifError(f"rtl: the network has {len(fixed.layers)} layers", f"{MOST_LAYERS} are supported")
    if fixed.input.size > MOST_NEURONS:
        raise TclifError(f"rtl: the input has {fixed.input.size:,} features", f"{MOST_NEURONS:,} are supported")
    order = {INPUT: -1} | {layer.name: n for n, layer in enumerate(fixed.layers)}
    period = max(
        [-(-(1 + order[c.source] - n) // c.delay)
         for n, layer in enumerate(fixed.layers) for c in layer.connections if order[c.source] >= n] + [1]
    )  # fmt: skip
    own = layer_pipelines(fixed, pipelines)
    layers = (_layer(fixed, n, layer, order, period, lanes, own) for n, layer in enumerate(fixed.layers))
    return Layout(tuple(layers), period)


def frames(source: int, reader: int, delay: int, period: int) -> int:
    """Steps of ``source`` (-1: the input) whose events the layer ``reader`` must find, with those being written.

    Layer k works on step t in tick period*t + k; the input's step t is written until tick period*t begins.
    """
    ahead = reader // period + 1 if source < 0 else (reader - source) // period
    return delay + ahead + 1


def _layer(
    fixed: FixedNetwork,
    number: int,
    layer: FixedLayer,
    order: dict[str, int],
    period: int,
    lanes: int,
    pipelines: list[int],
) -> LayerShape:
    where, m = f"rtl: layer {layer.name}", fixed.arithmetic
    if layer.size > MOST_NEURONS:
        raise TclifError(f"{where}: {layer.size:,} neurons", f"{MOST_NEURONS:,} are supported")
    rows = sum(c.sources for c in layer.connections)
    if rows * layer.size > MOST_WEIGHTS:
        unfolded = ", its convolutions unfolded to matrices" if any(c.conv for c in layer.connections) else ""
        raise TclifError(
            f"{where}: {rows * layer.size:,} weights{unfolded}; {MOST_WEIGHTS:,} are supported", "use a smaller layer"
        )
    bounds = layer_bounds(fixed, layer)
    if bounds.largest >= 2**62:
        raise TclifError(f"{where}: a value can reach {bounds.largest}, the circuit's sums have 64 bits")
    lists = tuple(
        item for c in layer.connections for item in _lists(fixed, number, c, order[c.source], period, pipelines, where)
    )
    values = [(fixed.input.bits if item.source < 0 else 2) + item.exponent for item in lists]
    multiply = any(item.source < 0 or item.exponent for item in lists)
    own = arrays(layer, m)
    for name, width in (("u0", m.bits_u), ("v0", m.bits_v), ("v_reset", m.bits_v)):
        if bits_of(own[name]) > width:
            raise TclifError(f"{where}: {name} needs {bits_of(own[name])} bits, the state has {width}")
    one = m.one
    kinds = {name: ZERO if not own[name].any() else ONE if (own[name] == one).all() else ANY for name in COEFFICIENTS}
    coefficient_bits = max([bits_of(own[name]) for name in COEFFICIENTS if kinds[name] == ANY] + [2])
    relative = layer.reset == "soft" and layer.spiking and bits_of(own["r_v"] - own["threshold"]) < bits_of(own["r_v"])
    level_bits = max(bits_of(own[name]) for name in LEVELS) + relative
    fields, word = _fields(own, kinds, relative)
    own_pipelines = pipelines[number]
    most = part_sizes(layer.size, own_pipelines)[0]
    used = min(lanes // own_pipelines, most, rows)
    return LayerShape(
        name=layer.name, neurons=layer.size, pipelines=own_pipelines, lanes=used * own_pipelines,
        groups=-(-most // used), lists=lists,
        position_bits=max(item.position_bits for item in lists), rows=rows, multiply=multiply,
        value_bits=max(values) if multiply else 2, weight_bits=max(bits_of(c.weight) for c in layer.connections),
        sum_bits=signed_bits(bounds.accumulator), shift=layer.shift, coefficient_bits=coefficient_bits,
        level_bits=level_bits, current_bits=max(signed_bits(bounds.current), signed_bits(bounds.accumulator)),
        wide_bits=_wide(bounds, m.bits_u, m.bits_v, level_bits), kinds=kinds, fields=fields, word_bits=max(word, 1),
        reset_relative=relative, to_soma=layer.input_to == "soma", hard=layer.reset == "hard", spiking=layer.spiking,
    )  # fmt: skip


def _wide(bounds: LayerBounds, bits_u: int, bits_v: int, level_bits: int) -> int:
    """Bits in which no sum of a layer overflows before ovf."""
    largest = max(bounds.sum, bounds.current, bounds.u, bounds.v, bounds.constant)
    return max(signed_bits(largest), bits_u + 1, bits_v + 1, level_bits)


def _lists(
    fixed: FixedNetwork,
    reader: int,
    c: FixedConnection,
    source: int,
    period: int,
    pipelines: list[int],
    where: str,
) -> list[List]:
    """The lists of one connection: one a pipeline of its source, each of which sends an event a clock."""
    kept = frames(source, reader, c.delay, period)
    if kept > MOST_FRAMES:
        raise TclifError(
            f"{where}: connection from {c.source}: delay {c.delay} keeps the events of {kept:,} steps",
            f"{MOST_FRAMES:,} are supported",
        )
    sizes = [c.sources] if source < 0 else part_sizes(c.sources, pipelines[source])
    found = []
    for n, size in enumerate(sizes):
        starts = len(start_events(fixed, source, n, len(sizes))) if source >= 0 and c.delay else 0
        found.append(List(source, n, size, c.delay, kept, c.exponent, clog2(size), starts))
    return found


def start_events(fixed: FixedNetwork, source: int, pipeline: int = 0, pipelines: int = 1) -> list[int]:
    """The neurons of a layer's pipeline, by their numbers within it, that fired just before the first step."""
    return [int(n) for n in np.flatnonzero(fixed.layers[source].s0[pipeline::pipelines])]


def _fields(own: dict[str, Int], kinds: dict[str, int], relative: bool) -> tuple[dict[str, Field], int]:
    """Where each parameter lies in a neuron's word, and the bits of a word."""
    fields, at = {}, 0
    for name in FIELDS:
        values = stored(own, name, relative)
        if kinds.get(name, ANY) != ANY:
            fields[name] = Field(0, 0, 0)
        elif (values == values[0]).all():
            fields[name] = Field(0, 0, int(values[0]))
        else:
            fields[name] = Field(bits_of(values), at, 0)
            at += fields[name].bits
    return fields, at


def stored(own: dict[str, Int], name: str, relative: bool) -> Int:
    """The values of a field as its word holds them."""
    return own["r_v"] - own["threshold"] if relative and name == "r_v" else own[name]


def weight_words(layer: FixedLayer, plan: Layout, shape: LayerShape, part: Part) -> list[int]:
    """The memory of a pipeline's weights: for each group of lanes a word for each source, lane 0 lowest."""
    grouped = weight_groups(layer, plan, shape, part).transpose(0, 2, 1)
    return pack(grouped.reshape(-1, part.lanes), [shape.weight_bits] * part.lanes)


def weight_groups(layer: FixedLayer, plan: Layout, shape: LayerShape, part: Part) -> Int:
    """The weights of a pipeline's neurons (groups, lanes, rows), 0 in lanes without a neuron; rows as the lists are."""
    columns = {item.source: 1 if item.source < 0 else plan.layers[item.source].pipelines for item in shape.lists}
    sources = [item.source for item in shape.lists if item.pipeline == 0]
    matrices = (np.asarray(c.matrix(), np.int64)[part.number :: shape.pipelines] for c in layer.connections)
    own = [
        matrix[:, n :: columns[source]]
        for source, matrix in zip(sources, matrices, strict=True)
        for n in range(columns[source])
    ]
    padded = np.zeros((part.groups * part.lanes, shape.rows), np.int64)
    padded[: part.neurons] = np.concatenate(own, axis=1)
    return padded.reshape(part.groups, part.lanes, shape.rows)


def parameter_words(layer: FixedLayer, shape: LayerShape, part: Part, m: Arithmetic) -> list[int]:
    """The memory of the parameters of a pipeline's neurons: a word a neuron."""
    own = arrays(layer, m)
    names = [name for name in FIELDS if shape.fields[name].bits]
    if not names:
        return [0] * part.neurons
    columns = np.stack([stored(own, name, shape.reset_relative) for name in names], axis=1)
    return pack(columns[part.number :: shape.pipelines], [shape.fields[name].bits for name in names])


def pack(rows: Any, widths: list[int]) -> list[int]:
    """Each row of numbers as one word, the first lowest, in two's complement of so many bits each."""
    words = []
    for row in rows.tolist():
        word, at = 0, 0
        for value, bits in zip(row, widths, strict=True):
            word |= (value & ((1 << bits) - 1)) << at
            at += bits
        words.append(word)
    return words
