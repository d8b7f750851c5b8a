"""The fast path: a block of samples through all layers, one layer after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.fixed import Int
from tclif_deploy.network import INPUT
from tclif_deploy.simulate.engine import layers, neuron
from tclif_deploy.simulate.engine.events import SLACK, byte_table, list_input, list_spikes, padded_count
from tclif_deploy.simulate.engine.plan import EXACT, NARROW_LIMIT, FastLayer, FastLink, FastPlan, aligned
from tclif_deploy.simulate.engine.sums import LINK, LONG, WIDE

BYTE_TABLE = byte_table()


class Lists:
    """Events of one source, for each sample of a block."""

    def __init__(self, samples: int, time: int, sources: int, values: bool) -> None:
        room = time * padded_count(sources) + SLACK
        self.events = aligned((samples, room), np.uint16)
        self.values = aligned((samples, room if values else 0), np.int16)
        self.starts = aligned((samples, time + 1), np.int32)
        self.graded = aligned((samples,), np.int64)
        self.fired = aligned((samples,), np.int64)
        self.most = aligned((samples,), np.int64)
        self.peak = aligned((samples,), np.int64)
        self.peak[:] = 1

    def bound(self, link: FastLink) -> Int:
        """How far a sum over these events can get, by the weights or by the number of events, (samples,)."""
        return np.asarray(np.minimum(link.reach * self.peak, link.heaviest * self.most))

    def link(self, link: FastLink) -> list[int]:
        """This source's row in the table of links of a layer that it feeds."""
        row: list[int] = []
        for array in (self.events, self.values, self.starts):
            row += [array.ctypes.data, array.strides[0]]
        return [
            *row,
            self.graded.ctypes.data,
            link.rows.ctypes.data,
            link.rows.strides[0],
            link.delay,
            link.exponent,
        ]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a block's samples came to; states are of meaning only where ``exact``."""

    exact: NDArray[np.bool_]
    """(samples,): no state overflowed and no row sum left its bits"""
    u: list[Int]
    """by layer, int64 (samples, neurons)"""
    v: list[Int]
    read: Int
    """(samples, classes)"""
    masks: list[NDArray[np.uint64] | None]
    """by layer, (samples, time, words); None where it doesn't spike"""


class Worker:
    """One thread's memory for blocks of up to ``samples`` (even) samples of ``time`` steps."""

    def __init__(self, plan: FastPlan, features: int, samples: int, time: int) -> None:
        self.plan = plan
        self.samples = samples
        heard = {link.source for layer in plan.layers for link in layer.links}
        self.lists = {
            layer.name: Lists(samples, time, layer.size, False) for layer in plan.layers if layer.name in heard
        }
        self.lists[INPUT] = Lists(samples, time, features, True)
        self.words = aligned((-(-features // 64),), np.uint64)
        self.stages = [_Stage(layer, self.lists, samples, time) for layer in plan.layers]

    def run(self, x: NDArray[Any], last: Int) -> Outcome:
        """Run ``x`` (samples, time, features), contiguous uint8 or int16, as many samples as there is memory for."""
        source = self.lists[INPUT]
        list_input(
            x, BYTE_TABLE, self.words, source.events, source.values, source.starts, source.most, source.peak,
            source.graded,
        )  # fmt: skip
        exact = np.ones(self.samples, np.bool_)
        for stage in self.stages:
            exact &= stage.run(self.lists, self.plan, last)
        u, v = zip(*(stage.states_out(self.plan) for stage in self.stages), strict=True)
        return Outcome(
            exact, list(u), list(v), self.stages[-1].readout(self.plan, last), [stage.masks for stage in self.stages]
        )


class _Stage:
    """One layer's memory, and its run."""

    def __init__(self, layer: FastLayer, lists: dict[str, Lists], samples: int, time: int) -> None:
        self.layer = layer
        tiles, width = layer.tiles, layer.width
        self.links = aligned((len(layer.links), LINK), np.int64)
        self.links[:] = [lists[link.source].link(link) for link in layer.links]
        self.time = time
        self.states = aligned((samples, tiles, 2, width), np.float32 if layer.biases is None else np.int32)
        self.seen = aligned((samples, neuron.LANES), np.int32)
        self.silent = layer.biases is not None or bool(layer.flags & neuron.SILENT)
        self.masks = None if self.silent else aligned((samples, time, tiles), np.uint64)
        self.read = aligned((samples, tiles, width), self.states.dtype)
        self.peaks = aligned((samples, tiles, 4, width), np.int32)

    def run(self, lists: dict[str, Lists], plan: FastPlan, last: Int) -> NDArray[np.bool_]:
        """Run the layer; where it was exact, (samples,)."""
        layer = self.layer
        flags = layer.flags | self._length(lists)
        chosen = (flags, layer.width, layer.kinds)
        self.seen[:] = 0
        self._reset(plan)
        if layer.biases is not None:
            self.peaks[:] = 0
            layers.integrator(*chosen)(
                self.links, layer.biases, layer.shift, self.states, self.time, last, self.read, self.peaks
            )
        elif self.masks is None:
            layers.readout(*chosen)(
                self.links, layer.constants, layer.scalars, self.states, self.time, last, self.read, self.seen
            )
        elif layer.recurrent:
            mine = lists[layer.name]
            layers.recurrent(*chosen)(
                self.links, layer.constants, layer.scalars, self.states, self.masks, self.seen, layer.size,
                BYTE_TABLE, mine.events, mine.starts, mine.fired, mine.most,
            )  # fmt: skip
        else:
            layers.feedforward(*chosen)(self.links, layer.constants, layer.scalars, self.states, self.masks, self.seen)
            if layer.name in lists:
                mine = lists[layer.name]
                list_spikes(self.masks, BYTE_TABLE, layer.size, mine.events, mine.starts, mine.fired, mine.most)
        return self._in_range(plan) & self._sums_fit(lists)

    def _length(self, lists: dict[str, Lists]) -> int:
        """The flag of joining connections' sums in 32 bits, where 16 may not hold them."""
        total = np.zeros(self.seen.shape[0], np.int64)
        for link in self.layer.links:
            known = link.source != self.layer.name
            total += (lists[link.source].bound(link) if known else link.reach) << link.exponent
        return LONG if total.max() > NARROW_LIMIT and not self.layer.flags & WIDE else 0

    def _sums_fit(self, lists: dict[str, Lists]) -> NDArray[np.bool_]:
        """Where each connection's sums fit their bits, and all together float32."""
        total, fits = np.zeros(self.seen.shape[0], np.int64), np.ones(self.seen.shape[0], np.bool_)
        for link in self.layer.links:
            bound = lists[link.source].bound(link)
            total += bound << link.exponent
            fits &= bool(self.layer.flags & WIDE) | (bound <= NARROW_LIMIT)
        return np.asarray(fits & (total <= EXACT))

    def _reset(self, plan: FastPlan) -> None:
        layer = self.layer
        self.states[:] = 0
        if layer.start.any():
            flat = np.zeros(layer.tiles * layer.width, self.states.dtype)
            flat[: layer.size] = layer.start * (plan.unit_v if layer.biases is None else 1)
            self.states[:, :, 1] = flat.reshape(layer.tiles, layer.width)

    def _in_range(self, plan: FastPlan) -> NDArray[np.bool_]:
        """Where no state overflowed."""
        if self.layer.biases is None:
            return np.asarray(~((self.seen & neuron.OVERFLOWED) != 0).any(axis=1))
        limits = np.array([2 / plan.unit_u, -2 / plan.unit_u, 2 / plan.unit_v, -2 / plan.unit_v])
        inside = (self.peaks[:, :, 0::2] < limits[0::2, None]) & (self.peaks[:, :, 1::2] > limits[1::2, None])
        return np.asarray(inside.all(axis=(1, 2, 3)))

    def states_out(self, plan: FastPlan) -> tuple[Int, Int]:
        """u and v after the last step."""
        return self._whole(self.states[:, :, 0], plan.unit_u), self._whole(self.states[:, :, 1], plan.unit_v)

    def _whole(self, states: NDArray[Any], unit: float) -> Int:
        """Tiles of states (samples, tiles, width) as integers (samples, neurons)."""
        flat = states.reshape(states.shape[0], -1)[:, : self.layer.size]
        return flat.astype(np.int64) if self.layer.biases is not None else (flat * (1 / unit)).astype(np.int64)

    def readout(self, plan: FastPlan, last: Int) -> Int:
        """The soma at each sample's last valid step, or spikes up to there."""
        if self.masks is None:
            return self._whole(self.read, plan.unit_v)
        spikes = unpack(self.masks, self.layer.size)
        valid = np.arange(self.masks.shape[1]) <= last[:, None]
        return np.asarray((spikes & valid[:, :, None]).sum(axis=1, dtype=np.int64))


def unpack(masks: NDArray[np.uint64], neurons: int) -> NDArray[np.bool_]:
    """Words of bits (samples, time, words) as booleans (samples, time, neurons)."""
    raw = masks.astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(raw, axis=-1, count=neurons, bitorder="little").view(np.bool_)
