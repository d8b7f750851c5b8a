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
from tclif_deploy.simulation.engine.plan import EXACT, NARROW_LIMIT, FastLayer, FastLink, FastPlan, Units, aligned
from tclif_deploy.simulation.engine.sums import LINK, LONG, PADDING, WIDE

BYTE_TABLE = byte_table()


class Lists:
    """Events of one source, for each sample of a block."""

    def __init__(self, samples: int, time: int, sources: int, values: bool) -> None:
        room = time * padded_count(sources) + SLACK
        self.events = aligned((samples, room), np.uint16)
        self.values = aligned((samples, room if values else 0), np.int16)
        self.starts = aligned((samples, time + 1), np.int32)
        self.graded = aligned((samples,), np.int64)
        self.peak = aligned((samples,), np.int64)
        self.peak[:] = self.top = 1
        self.heaviest = aligned((samples,), np.int64)
        self.spikes = not values

    def most(self) -> Int:
        """Largest sum of magnitudes in one step, padding included, (samples,)."""
        return np.diff(self.starts, axis=1).max(axis=1).astype(np.int64) if self.spikes else self.heaviest

    def bound(self, link: FastLink) -> Int | int:
        """How far a sum over these events can get: any sample's, by the weights, where that fits 16 bits; else each
        sample's (samples,), by the number of events too."""
        most = link.reach * self.top
        if most << link.exponent <= NARROW_LIMIT:
            return most
        return np.asarray(np.minimum(link.reach * self.peak, link.heaviest * self.most()))

    def link(self, link: FastLink) -> list[int]:
        """This source's row in the table of links of a layer that it feeds."""
        row: list[int] = []
        for array in (self.events, self.values, self.starts):
            row += [array.ctypes.data, array.strides[0]]
        row += [self.graded.ctypes.data, link.rows.ctypes.data, link.rows.strides[0], link.delay, link.exponent]
        return [*row, PADDING * self.events.itemsize]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a block's samples came to, in the worker's own memory; of meaning only where ``exact``."""

    exact: NDArray[np.bool_]
    """(samples,): no state overflowed and no row sum left its bits"""
    states: list[tuple[NDArray[Any], Units]]
    """by layer, as `layers.whole_states` reads them"""
    read: NDArray[Any]
    """(samples, classes)"""
    masks: list[NDArray[np.uint64] | None]
    """by layer, (samples, time, words); None where it doesn't spike"""


class Worker:
    """One thread's memory for blocks of ``samples`` (even) samples of ``time`` steps, whose integers are within
    ``limit``."""

    def __init__(self, plan: FastPlan, limit: int, samples: int, time: int, features: int) -> None:
        self.shape = (samples, time, features)
        heard = {link.source for layer in plan.layers for link in layer.links}
        self.lists = {
            layer.name: Lists(samples, time, layer.size, False) for layer in plan.layers if layer.name in heard
        }
        self.lists[INPUT] = Lists(samples, time, features, True)
        self.limit = limit
        self.extremes = aligned((2 * WORD,), np.int64)
        self.stages = [_Stage(layer, plan, self.lists, samples, time) for layer in plan.layers]

    def run(self, x: NDArray[Any], last: Int) -> Outcome | None:
        """Run ``x``, contiguous integers, of no more samples than there is memory for; ``last`` (samples,) are the
        steps read. None where ``x`` has an integer beyond the payload."""
        source = self.lists[INPUT]
        scratch = self.extremes.view(x.dtype)[: 2 * WORD].reshape(2, WORD)
        list_input(x.itemsize, x.dtype.kind == "i")(
            x.ctypes.data, *x.shape, BYTE_TABLE, scratch, source.events, source.values,
            source.starts, source.heaviest, source.peak, source.graded,
        )  # fmt: skip
        source.top = int(source.peak.max())
        if source.top > self.limit:
            return None
        exact = np.ones(self.shape[0], np.bool_)
        for stage in self.stages:
            exact &= stage.run(self.lists, last)
        states = [(stage.states, stage.units) for stage in self.stages]
        return Outcome(exact, states, self.stages[-1].readout(last), [stage.masks for stage in self.stages])


class _Stage:
    """One layer's memory, and its run."""

    def __init__(self, layer: FastLayer, plan: FastPlan, lists: dict[str, Lists], samples: int, time: int) -> None:
        self.layer, self.time = layer, time
        self.tops = (1 << (plan.arithmetic.bits_u - 1), 1 << (plan.arithmetic.bits_v - 1))
        tiles, width = layer.tiles, layer.width
        self.links = aligned((len(layer.links), LINK), np.int64)
        self.links[:] = [lists[link.source].link(link) for link in layer.links]
        self.states = aligned((samples, tiles, 2, width), np.float32 if layer.biases is None else np.int32)
        self.seen = aligned((samples, neuron.LANES), np.int32)
        silent = layer.biases is not None or bool(layer.flags & neuron.SILENT)
        self.masks = None if silent else aligned((samples, time, tiles * width // WORD), np.uint64)
        self.read = aligned((samples, tiles, width), self.states.dtype)
        self.peaks = aligned((4, width), np.int32)
        self.careful = not layer.trusting
        self.units = Units(1.0, 1.0)

    def run(self, lists: dict[str, Lists], last: Int) -> NDArray[np.bool_]:
        """Run the layer; where it was exact, (samples,)."""
        layer = self.layer
        flags = layer.flags | self._length(lists)
        if layer.biases is not None:
            in_range = self._integrate(flags, last)
        elif not self.careful and not self._charge(flags, lists, last):
            in_range = np.ones(self.seen.shape[0], np.bool_)
        else:
            self.careful = True
            self._charge(flags | neuron.CAREFUL, lists, last)
            in_range = ~((self.seen & neuron.OVERFLOWED) != 0).any(axis=1)
            # Where one overflowed, the next is likely to: the trusting kernel is tried again after a clean run.
            self.careful = not layer.trusting or not in_range.all()
        if self.masks is not None and not layer.recurrent and layer.name in lists:
            mine = lists[layer.name]
            list_spikes(self.masks, BYTE_TABLE, layer.size, mine.events, mine.starts)
        return np.asarray(in_range & self._sums_fit(lists))

    def _charge(self, flags: int, lists: dict[str, Lists], last: Int) -> bool:
        """Run the layer's kernel; whether the CPU noted an overflow."""
        layer = self.layer
        numbers = layer.numbers[1 if flags & neuron.CAREFUL else 0]
        self.units = numbers.units
        self._reset()
        self.seen[:] = 0
        chosen = (flags, layer.width, layer.kinds)
        common = (self.links, numbers.constants, numbers.scalars, self.states)
        if self.masks is None:
            return bool(layers.readout(*chosen)(*common, self.time, last, self.read, self.seen))
        if not layer.recurrent:
            return bool(layers.feedforward(*chosen)(*common, self.masks, self.seen))
        mine = lists[layer.name]
        made = layers.recurrent_whole if layer.tiles == 1 else layers.recurrent
        rest = (layer.size, BYTE_TABLE, mine.events, mine.starts)
        return bool(made(*chosen)(*common, self.masks, self.seen, *rest))

    def _integrate(self, flags: int, last: Int) -> NDArray[np.bool_]:
        """Run a readout that only adds up; where nothing overflowed."""
        layer = self.layer
        self._reset()
        inside = np.empty(self.seen.shape[0], np.bool_)
        layers.integrator(flags, layer.width, layer.kinds)(
            self.links, layer.biases, layer.shift, self.states, self.time, last, self.read, self.peaks, *self.tops,
            inside,
        )  # fmt: skip
        return inside

    def _length(self, lists: dict[str, Lists]) -> int:
        """The flag of joining connections' sums in 32 bits, where 16 may not hold them."""
        total, _ = self._sums(lists, ran=False)
        most = total if isinstance(total, int) else total.max()
        return LONG if most > NARROW_LIMIT and not self.layer.flags & WIDE else 0

    def _sums_fit(self, lists: dict[str, Lists]) -> NDArray[np.bool_] | bool:
        """Where each connection's sums fit their bits, and all together float32."""
        total, fits = self._sums(lists, ran=True)
        return fits & (total <= EXACT)

    def _sums(self, lists: dict[str, Lists], ran: bool) -> tuple[Int | int, NDArray[np.bool_] | bool]:
        """How far all sums together can get, and whether each fits 16 bits (if these hold it): of all samples at once,
        or (samples,). Its own spikes are known once the layer ``ran``."""
        total: Int | int = 0
        fits: NDArray[np.bool_] | bool = True
        for link in self.layer.links:
            known = ran or link.source != self.layer.name
            bound = lists[link.source].bound(link) if known else link.reach
            total = total + bound * (1 << link.exponent)
            fits = fits & (bool(self.layer.flags & WIDE) | (bound <= NARROW_LIMIT))
        return total, fits

    def _reset(self) -> None:
        layer = self.layer
        self.states[:] = 0
        if layer.start.any():
            flat = np.zeros(layer.tiles * layer.width, self.states.dtype)
            flat[: layer.size] = layer.start * self.units.v
            self.states[:, :, 1] = flat.reshape(layer.tiles, layer.width)

    def readout(self, last: Int) -> NDArray[Any]:
        """The soma at each sample's last valid step, or spikes up to there."""
        if self.masks is None:
            flat = self.read.reshape(self.read.shape[0], -1)[:, : self.layer.size]
            return flat if self.layer.biases is not None else flat * np.float32(1 / self.units.v)
        return counted(self.masks, last, self.layer.size)


def counted(masks: NDArray[np.uint64], last: Int, neurons: int) -> Int:
    """How often each neuron fired up to each sample's step ``last``, (samples, neurons), by words of bits."""
    counts = np.empty((masks.shape[0], masks.shape[2] * WORD), np.int64)
    count_spikes(masks, last, counts)
    return counts[:, :neurons]


def unpack(masks: NDArray[np.uint64], neurons: int) -> NDArray[np.bool_]:
    """Words of bits (samples, time, words) as booleans (samples, time, neurons)."""
    raw = masks.astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(raw, axis=-1, count=neurons, bitorder="little").view(np.bool_)
