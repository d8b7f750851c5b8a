"""The fast path: a block of samples through all layers, one layer after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.fixed import Int
from tclif_deploy.network import INPUT
from tclif_deploy.simulation.engine import layers, neuron
from tclif_deploy.simulation.engine.events import (
    SLACK,
    WORD,
    byte_table,
    count_spikes,
    list_input,
    list_spikes,
    padded_count,
)
from tclif_deploy.simulation.engine.plan import EXACT, NARROW_LIMIT, FastConnection, FastLayer, FastPlan, Units, aligned
from tclif_deploy.simulation.engine.spec import Flag, KernelSpec
from tclif_deploy.simulation.engine.sums import COLUMNS, PADDING

BYTE_TABLE = byte_table()


class Lists:
    """Events of one source, for each sample of a block."""

    def __init__(self, samples: int, time: int, sources: int, values: bool) -> None:
        capacity = time * padded_count(sources) + SLACK
        self.events = aligned((samples, capacity), np.uint16)
        self.values = aligned((samples, capacity if values else 0), np.int16)
        self.starts = aligned((samples, time + 1), np.int32)
        self.graded = aligned((samples,), np.int64)
        self.max_input = aligned((samples,), np.int64)
        self.max_input[:] = self.max_input_of_block = 1
        self.step_sums = aligned((samples,), np.int64)
        self.spikes = not values

    def max_step_sum(self) -> Int:
        """Largest sum of magnitudes in one step, padding included, (samples,)."""
        return np.diff(self.starts, axis=1).max(axis=1).astype(np.int64) if self.spikes else self.step_sums

    def bound(self, connection: FastConnection) -> Int | int:
        """How far a sum over these events can get: any sample's, by the weights, where that fits 16 bits; else each
        sample's (samples,), by the number of events too."""
        bound = connection.reach * self.max_input_of_block
        if bound << connection.exponent <= NARROW_LIMIT:
            return bound
        return np.asarray(np.minimum(connection.reach * self.max_input, connection.max_weight * self.max_step_sum()))

    def table_row(self, connection: FastConnection) -> list[int]:
        """This source's row in the table of connections of a layer that it feeds."""
        row: list[int] = []
        for array in (self.events, self.values, self.starts):
            row += [array.ctypes.data, array.strides[0]]
        row += [self.graded.ctypes.data, connection.rows.ctypes.data]
        row += [connection.rows.strides[0], connection.delay, connection.exponent]
        return [*row, PADDING * self.events.itemsize]


@dataclass(frozen=True, eq=False)
class LayerStart:
    """What one layer of some samples starts from, where they have run before."""

    u: Int
    """(samples, neurons)"""
    v: Int
    spikes: NDArray[np.bool_]
    """of the steps before the first, (samples, steps, neurons)"""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a block's samples came to, in the worker's own memory; of meaning only where ``exact``."""

    exact: NDArray[np.bool_]
    """(samples,): no state overflowed and no row sum left its bits"""
    states: list[tuple[NDArray[Any], Units]]
    """by layer, as `layers.whole_states` takes them"""
    readout: NDArray[Any]
    """(samples, classes)"""
    masks: list[NDArray[np.uint64] | None]
    """by layer, (samples, time, words); None where it doesn't spike"""


class Worker:
    """One thread's memory for blocks of ``samples`` (even) samples of ``time`` steps, whose integers are within
    ``limit``. Steps before ``first`` are the past, of which only events count: what delays still bring."""

    def __init__(self, plan: FastPlan, limit: int, samples: int, time: int, features: int, first: int = 0) -> None:
        self.shape = (samples, time, features, first)
        sources = {c.source for layer in plan.layers for c in layer.connections}
        self.lists = {
            layer.name: Lists(samples, time, layer.size, False) for layer in plan.layers if layer.name in sources
        }
        self.lists[INPUT] = Lists(samples, time, features, True)
        self.limit = limit
        self.extremes = aligned((2 * WORD,), np.int64)
        self.stages = [_Stage(layer, plan, self.lists, samples, time, first) for layer in plan.layers]

    def run(self, x: NDArray[Any], last: Int, start: list[LayerStart] | None = None) -> Outcome | None:
        """Run ``x``, contiguous integers, of no more samples than there is memory for; ``last`` (samples,) are the
        steps after which the readout is taken; ``start`` is by layer, None before the first step. None where ``x`` has
        an integer beyond the payload."""
        source = self.lists[INPUT]
        scratch = self.extremes.view(x.dtype)[: 2 * WORD].reshape(2, WORD)
        list_input(x.itemsize, x.dtype.kind == "i")(
            x.ctypes.data, *x.shape, BYTE_TABLE, scratch, source.events, source.values,
            source.starts, source.step_sums, source.max_input, source.graded,
        )  # fmt: skip
        source.max_input_of_block = int(source.max_input.max())
        if source.max_input_of_block > self.limit:
            return None
        exact = np.ones(self.shape[0], np.bool_)
        for n, stage in enumerate(self.stages):
            if start is None:
                stage.start = None
            else:
                exact &= stage.begin(start[n])
            exact &= stage.run(self.lists, last)
        states = [(stage.states, stage.units) for stage in self.stages]
        return Outcome(exact, states, self.stages[-1].readout(last), [stage.masks for stage in self.stages])


class _Stage:
    """One layer's memory, and its run."""

    def __init__(
        self, layer: FastLayer, plan: FastPlan, lists: dict[str, Lists], samples: int, time: int, first: int
    ) -> None:
        self.layer, self.time, self.first = layer, time, first
        self.tops = (1 << (plan.arithmetic.bits_u - 1), 1 << (plan.arithmetic.bits_v - 1))
        tiles, width = layer.tiles, layer.spec.width
        self.connections = aligned((len(layer.connections), COLUMNS), np.int64)
        self.connections[:] = [lists[c.source].table_row(c) for c in layer.connections]
        self.states = aligned((samples, tiles, 2, width), np.float32 if layer.biases is None else np.int32)
        self.state_bits = aligned((samples, neuron.LANES), np.int32)
        no_spikes = layer.biases is not None or layer.spec.has(Flag.NO_SPIKES)
        self.masks = None if no_spikes else aligned((samples, time, tiles * width // WORD), np.uint64)
        self.readouts = aligned((samples, tiles, width), self.states.dtype)
        self.extremes = aligned((4, width), np.int32)
        self.overflow_checked = not layer.unchecked
        self.units = Units(1.0, 1.0)
        self.start: tuple[Int, Int] | None = None

    def begin(self, start: LayerStart) -> NDArray[np.bool_]:
        """Start the next run from ``start``; for which samples that is exact, (samples,).

        Not where a state is beyond the range that the kernels watch: the lowest number of two's complement, or what a
        reset wrote.
        """
        count, samples = len(start.u), self.states.shape[0]
        fits = [
            (np.abs(each) < top).all(axis=1, keepdims=True)
            for each, top in zip((start.u, start.v), self.tops, strict=True)
        ]
        within = np.min(fits, axis=0)
        u, v = np.zeros((2, samples, self.layer.size), np.int64)
        u[:count], v[:count] = start.u * within, start.v * within
        self.start = u, v
        if self.masks is not None and self.first:
            bits = np.zeros((samples, self.first, self.masks.shape[2] * WORD), np.bool_)
            bits[:count, :, : self.layer.size] = start.spikes
            self.masks[:, : self.first] = np.packbits(bits, axis=2, bitorder="little").view("<u8")
        exact = np.ones(samples, np.bool_)
        exact[:count] = within[:, 0]
        return exact

    def run(self, lists: dict[str, Lists], last: Int) -> NDArray[np.bool_]:
        """Run the layer; where it was exact, (samples,)."""
        layer = self.layer
        spec = self._spec(lists)
        if layer.biases is not None:
            in_range = self._integrate(spec, last)
        elif not self.overflow_checked and not self._run_kernel(spec, lists, last):
            in_range = np.ones(self.state_bits.shape[0], np.bool_)
        else:
            self.overflow_checked = True
            self._run_kernel(spec._replace(flags=spec.flags | Flag.OVERFLOW_CHECKED), lists, last)
            in_range = ~((self.state_bits & neuron.OVERFLOWED) != 0).any(axis=1)
            # Where one overflowed, the next is likely to: the unchecked kernel is tried again after a clean run.
            self.overflow_checked = not layer.unchecked or not in_range.all()
        if self.masks is not None and not layer.recurrent and layer.name in lists:
            own = lists[layer.name]
            list_spikes(self.masks, self.time, BYTE_TABLE, layer.size, own.events, own.starts)
        return np.asarray(in_range & self._sums_fit(lists))

    def _run_kernel(self, spec: KernelSpec, lists: dict[str, Lists], last: Int) -> bool:
        """Run the layer's kernel; whether the CPU noted an overflow."""
        layer = self.layer
        numbers = layer.numbers[1 if spec.has(Flag.OVERFLOW_CHECKED) else 0]
        self.units = numbers.units
        self._reset()
        self.state_bits[:] = 0
        common = (self.connections, numbers.constants, numbers.scalars, self.states)
        if self.masks is None:
            return bool(layers.readout(spec)(*common, self.time, last, self.readouts, self.state_bits, self.first))
        if not layer.recurrent:
            return bool(layers.feedforward(spec)(*common, self.masks, self.state_bits, self.first))
        own = lists[layer.name]
        list_spikes(self.masks, self.first, BYTE_TABLE, layer.size, own.events, own.starts)
        make = layers.recurrent_one_tile if layer.tiles == 1 else layers.recurrent
        rest = (layer.size, BYTE_TABLE, own.events, own.starts)
        return bool(make(spec)(*common, self.masks, self.state_bits, self.first, *rest))

    def _integrate(self, spec: KernelSpec, last: Int) -> NDArray[np.bool_]:
        """Run a readout that only adds up; where nothing overflowed."""
        layer = self.layer
        self._reset()
        inside = np.empty(self.state_bits.shape[0], np.bool_)
        layers.integrator(spec)(
            self.connections, layer.biases, layer.shift, self.states, self.time, last, self.readouts, self.extremes,
            *self.tops, inside, self.first,
        )  # fmt: skip
        return inside

    def _spec(self, lists: dict[str, Lists]) -> KernelSpec:
        """What the layer's kernel is made for: it joins connections' sums in 32 bits where 16 may not hold them."""
        spec = self.layer.spec
        total, _ = self._sums(lists, ran=False)
        bound = total if isinstance(total, int) else total.max()
        long = bound > NARROW_LIMIT and not spec.has(Flag.WIDE)
        return spec._replace(flags=spec.flags | Flag.LONG) if long else spec

    def _sums_fit(self, lists: dict[str, Lists]) -> NDArray[np.bool_] | bool:
        """Where each connection's sums fit their bits, and all together float32."""
        total, fits = self._sums(lists, ran=True)
        return fits & (total <= EXACT)

    def _sums(self, lists: dict[str, Lists], ran: bool) -> tuple[Int | int, NDArray[np.bool_] | bool]:
        """How far all sums together can get, and whether each fits 16 bits (if these hold it): of all samples at once,
        or (samples,). Its own spikes are known once the layer ``ran``."""
        total: Int | int = 0
        fits: NDArray[np.bool_] | bool = True
        for c in self.layer.connections:
            is_known = ran or c.source != self.layer.name
            bound = lists[c.source].bound(c) if is_known else c.reach
            total = total + bound * (1 << c.exponent)
            fits = fits & (self.layer.spec.has(Flag.WIDE) | (bound <= NARROW_LIMIT))
        return total, fits

    def _reset(self) -> None:
        layer = self.layer
        self.states[:] = 0
        if self.start is not None:
            samples, tiles, _, width = self.states.shape
            for n, (values, unit) in enumerate(zip(self.start, (self.units.u, self.units.v), strict=True)):
                flat = np.zeros((samples, tiles * width), self.states.dtype)
                flat[:, : layer.size] = values * unit
                self.states[:, :, n] = flat.reshape(samples, tiles, width)
            return
        for n, (values, unit) in enumerate(zip(layer.start, (self.units.u, self.units.v), strict=True)):
            if values.any():
                row = np.zeros(layer.tiles * layer.spec.width, self.states.dtype)
                row[: layer.size] = values * unit
                self.states[:, :, n] = row.reshape(layer.tiles, layer.spec.width)

    def readout(self, last: Int) -> NDArray[Any]:
        """The soma at each sample's last valid step, or spikes up to there."""
        if self.masks is None:
            flat = self.readouts.reshape(self.readouts.shape[0], -1)[:, : self.layer.size]
            return flat if self.layer.biases is not None else flat * np.float32(1 / self.units.v)
        return counted(self.masks, self.first, last, self.layer.size)


def counted(masks: NDArray[np.uint64], first: int, last: Int, neurons: int) -> Int:
    """How often each neuron fired from step ``first`` to each sample's step ``last``, (samples, neurons), by words of
    bits."""
    counts = np.empty((masks.shape[0], masks.shape[2] * WORD), np.int64)
    count_spikes(masks, first, last, counts)
    return counts[:, :neurons]


def unpack(masks: NDArray[np.uint64], neurons: int) -> NDArray[np.bool_]:
    """Words of bits (samples, time, words) as booleans (samples, time, neurons)."""
    raw = masks.astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(raw, axis=-1, count=neurons, bitorder="little").view(np.bool_)
