"""From bits to lists of events, which sources fired (or were not 0) in each step; and to counts of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from tclif_deploy.jit import kernel, made_once
from tclif_deploy.simulation.engine.simd import (
    I1,
    I8,
    I16,
    I32,
    I64,
    Kernel,
    Vec,
    address,
    cpu_has,
    literal_value,
    vector,
)
from tclif_deploy.simulation.engine.sums import PADDING

WORD = 64
"""Sources of one word of bits."""

FEW_FEATURES = PADDING
"""An input of up to so many features is not searched: all its values are events."""

LOWEST = -(1 << 62)
"""Stands for any integer below, whose magnitude int64 may not hold."""

SLACK = 2 * WORD
"""Entries that a list of events must have to spare, because bits are expanded eight at a time."""


def byte_table() -> NDArray[np.uint8]:
    """For each byte the positions of its bits, (256, 8); what follows the last one is without meaning."""
    table = np.zeros((256, 8), np.uint8)
    for byte in range(256):
        bits = [n for n in range(8) if byte >> n & 1]
        table[byte, : len(bits)] = bits
    return table


class Expansion:
    """A sample's list of events, as it is written one word of bits after the other.

    Nothing branches on the bits, but for words in which more than 16 are set.
    """

    def __init__(
        self, kernel: Kernel, context: Any, table: ir.Value, events: ir.Value, starts: ir.Value, step: ir.Value
    ) -> None:
        """Addresses of `byte_table`, and of the sample's events and starts; it goes on with step ``step``."""
        self.k, self.b, self.table, self.starts = kernel, kernel.b, table, starts
        self.compress = cpu_has(context, "avx512vbmi2")
        self.events = events
        start = self.b.sext(kernel.load(kernel.at(starts, step, 4), I32, 4).value, I64)
        self.end = kernel.variable(Vec(self.b, kernel.at(events, start, 2)))

    def add(self, bits: Vec, first: ir.Value) -> None:
        """Write ``first`` + the positions of ``bits``, a vector of 64."""
        b = self.b
        word = b.bitcast(bits.value, I64)
        base, to = b.trunc(first, I16), self.end.get().value
        if self.compress:
            self._by_compress(bits, word, base, to)
        else:
            self._by_bytes(word, base, to)
        self.end.set(Vec(b, self.k.at(to, b.ctpop(word), 2)))

    def _by_bytes(self, word: ir.Value, base: ir.Value, to: ir.Value) -> None:
        """Each byte writes eight entries, the next byte over those in excess."""
        k, b = self.k, self.b
        for n in range(8):
            byte = b.and_(b.lshr(word, I64(8 * n)), I64(255))
            positions = k.load(k.at(self.table, byte, 8), vector(I8, 8), 8)
            wide = Vec(b, b.zext(positions.value, vector(I16, 8)))
            # Counted from the word, and not from the byte before, so that no byte waits for another.
            before = b.ctpop(b.shl(word, I64(64 - 8 * n))) if n else I64(0)
            k.store(wide + k.splat(base, 8) + 8 * n, k.at(to, before, 2), 2)

    def _by_compress(self, bits: Vec, word: ir.Value, base: ir.Value, to: ir.Value) -> None:
        """AVX-512 VBMI2 moves the bytes of set bits together in one instruction."""
        k, b = self.k, self.b
        kind = vector(I8, WORD)
        function = ir.FunctionType(kind, [kind, kind, vector(I1, WORD)])
        compress = cgutils.get_or_insert_function(b.module, function, "llvm.x86.avx512.mask.compress.v64i8")
        positions = ir.Constant(kind, list(range(WORD)))
        compressed = Vec(b, b.call(compress, [positions, ir.Constant(kind, None), bits.value]))
        few = Vec(b, b.zext(compressed.part(0, 16).value, vector(I16, 16)))
        k.store(few + k.splat(base, 16), to, 2)
        with b.if_then(b.icmp_unsigned(">", b.ctpop(word), I64(16)), likely=False):
            rest = Vec(b, b.zext(compressed.part(16, 48).value, vector(I16, 48)))
            k.store(rest + k.splat(base, 48), k.at(to, 16, 2), 2)

    def finish(self, zero_row: ir.Value, step: ir.Value) -> None:
        """End step ``step``: fill up with ``zero_row``, and write where the next step's events start."""
        k, b = self.k, self.b
        last = self.end.get().value
        k.store(k.splat(b.trunc(zero_row, I16), PADDING), last, 2)
        count = b.lshr(b.sub(last, self.events), I64(1))
        padded = b.and_(b.add(count, I64(PADDING - 1)), I64(-PADDING))
        self.end.set(Vec(b, k.at(self.events, padded, 2)))
        k.store(Vec(b, b.trunc(padded, I32)), k.at(k.at(self.starts, step, 4), 1, 4), 4)


@intrinsic  # type: ignore[untyped-decorator]
def expand(
    typing_context: Any, masks: Any, words: Any, begin: Any, stop: Any, table: Any, events: Any, starts: Any,
    zero_row: Any,
) -> Any:  # fmt: skip
    """Append the events (uint16) of steps ``begin`` to ``stop`` to a sample's list, filled up with ``zero_row``.

    Addresses: ``masks`` of the sample's (time, ``words``) words of bits, ``table`` of `byte_table`, ``events``, and
    ``starts`` (int32) of the list.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        k = Kernel(builder)
        masks, words, begin, stop, table, events, starts, zero_row = arguments
        expansion = Expansion(k, context, table, events, starts, begin)
        with k.loop(stop, begin) as t:
            place = k.at(masks, builder.mul(t, words), 8)
            with k.loop(words) as n:
                word = k.load(k.at(place, n, 8), I64, 8)
                expansion.add(word.cast(vector(I1, WORD)), builder.mul(n, I64(WORD)))
            expansion.finish(zero_row, t)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 8), generate


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def scan(
    typing_context: Any, size: Any, signed: Any, x: Any, features: Any, time: Any, table: Any, events: Any, starts: Any,
    extremes: Any,
) -> Any:  # fmt: skip
    """`expand` of the input: the elements of the sample at address ``x`` (time, ``features``) that are not 0.

    Elements are integers of ``size`` bytes. ``extremes`` is the address of 64 largest and 64 smallest elements.
    There are at least 64 ``features``: the last 64 are read again to end with the row.
    """
    bytes_each, has_sign = literal_value(size), bool(literal_value(signed))

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        b, k = builder, Kernel(builder)
        _, _, x, features, time, table, events, starts, extremes = arguments
        kind = vector(ir.IntType(8 * bytes_each), WORD)
        expansion = Expansion(k, context, table, events, starts, I64(0))
        places = [k.at(extremes, n * WORD, bytes_each) for n in range(2)]
        high, low = (k.variable(k.load(place, kind, 64)) for place in places)
        full, left = b.sdiv(features, I64(WORD)), b.srem(features, I64(WORD))

        def nonzero(row: ir.Value, start: ir.Value) -> Vec:
            elements = k.load(k.at(row, start, bytes_each), kind, bytes_each)
            high.set(elements.max(high.get(), unsigned=not has_sign))
            if has_sign:
                low.set(elements.min(low.get()))
            return elements.nonzero()

        with k.loop(time) as t:
            row = k.at(x, b.mul(t, features), bytes_each)
            with k.loop(full) as n:
                start = b.mul(n, I64(WORD))
                expansion.add(nonzero(row, start), start)
            with b.if_then(b.icmp_signed("!=", left, I64(0))):
                word = b.bitcast(nonzero(row, b.sub(features, I64(WORD))).value, I64)
                rest = Vec(b, b.lshr(word, b.sub(I64(WORD), left)))
                expansion.add(rest.cast(vector(I1, WORD)), b.mul(full, I64(WORD)))
            expansion.finish(features, t)
        for place, value in zip(places, (high, low), strict=True):
            k.store(value.get(), place, 64)
        return context.get_dummy_value()

    return types.void(size, signed, *[types.int64] * 7), generate


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def element(typing_context: Any, size: Any, signed: Any, place: Any) -> Any:
    """The integer of ``size`` bytes at an address."""
    bytes_each, has_sign = literal_value(size), bool(literal_value(signed))

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        value = Kernel(builder).load(arguments[2], ir.IntType(8 * bytes_each), bytes_each).value
        if bytes_each == 8:
            return value
        return builder.sext(value, I64) if has_sign else builder.zext(value, I64)

    return types.int64(size, signed, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def add_bits(typing_context: Any, words: Any, step: Any, count: Any, totals: Any) -> Any:
    """Add the bits of ``count`` (up to 255) words, ``step`` bytes apart from address ``words`` on, to 64 int64."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        k, b = Kernel(builder), builder
        words, step, count, totals = arguments
        bytes_of = vector(I8, WORD)
        sums = k.variable(k.zero(bytes_of))
        with k.loop(count) as n:
            word = k.load(k.at(words, b.mul(n, step), 1), I64, 8)
            sums.set(sums.get() + Vec(b, b.zext(word.cast(vector(I1, WORD)).value, bytes_of)))
        counts = Vec(b, b.zext(sums.get().value, vector(I64, WORD)))
        k.store(k.load(totals, vector(I64, WORD), 8) + counts, totals, 8)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


BYTE_MAX = 255
"""What a byte can count."""


@kernel
def count_spikes(masks: NDArray[np.uint64], first: int, last: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
    """``counts`` (samples, words * 64): how often each bit of ``masks`` (samples, time, words) is set from step
    ``first`` to step ``last`` of the sample, included."""
    counts[:] = 0
    for sample in range(masks.shape[0]):
        for word in range(masks.shape[2]):
            for begin in range(first, last[sample] + 1, BYTE_MAX):
                add_bits(
                    address(masks) + sample * masks.strides[0] + begin * masks.strides[1] + word * masks.strides[2],
                    masks.strides[1], min(BYTE_MAX, last[sample] + 1 - begin),
                    address(counts) + sample * counts.strides[0] + word * (WORD * 8),
                )  # fmt: skip


def padded_count(count: int) -> int:
    """``count`` rounded up to a multiple of `PADDING` events."""
    return (count + PADDING - 1) // PADDING * PADDING


@kernel
def list_spikes(
    masks: NDArray[np.uint64], steps: int, table: NDArray[np.uint8], neurons: int, events: NDArray[np.uint16],
    starts: NDArray[np.int32],
) -> None:  # fmt: skip
    """Lists of events of a layer's first ``steps``: ``masks`` (samples, time, words) -> ``events, starts``, one row a
    sample."""
    starts[:, 0] = 0
    for sample in range(masks.shape[0]):
        expand(
            address(masks) + sample * masks.strides[0], masks.shape[2], 0, steps, address(table),
            address(events) + sample * events.strides[0], address(starts) + sample * starts.strides[0], neurons,
        )  # fmt: skip


@made_once
def list_input(size: int, signed: bool) -> Any:
    """The kernel that lists the events of an input of integers of ``size`` bytes, in the dtype that it comes in."""

    @kernel
    def run(
        x: int, samples: int, time: int, features: int, table: NDArray[np.uint8], extremes: NDArray[Any],
        events: NDArray[np.uint16], values: NDArray[np.int16], starts: NDArray[np.int32],
        max_step_sum: NDArray[np.int64], max_input: NDArray[np.int64], graded: NDArray[np.int64],
    ) -> None:  # fmt: skip
        """``x`` is the address of (samples, time, features), without gaps.

        The lists may hold more samples, which are left without events. ``values`` are a sample's integers where
        ``graded`` says that some are neither 0 nor 1; ``max_input`` is the largest magnitude, ``max_step_sum`` the
        largest sum of magnitudes in one step, padding included; ``extremes`` (2, 64) is scratch.
        """
        starts[samples:] = 0
        values[samples:] = 0
        max_input[samples:] = 0
        max_step_sum[samples:] = 0
        graded[samples:] = 0
        for sample in range(samples):
            low: Any = 0
            high: Any = 0
            starts[sample, 0] = 0
            if features >= WORD:
                extremes[:] = 0
                scan(
                    size, signed, x + sample * time * features * size, features, time, address(table),
                    address(events) + sample * events.strides[0], address(starts) + sample * starts.strides[0],
                    address(extremes),
                )  # fmt: skip
                for n in range(WORD):
                    low, high = min(low, np.int64(extremes[1, n])), max(high, np.int64(extremes[0, n]))
            else:
                at = 0
                for t in range(time):
                    for j in range(features):
                        value: Any = element(size, signed, x + ((sample * time + t) * features + j) * size)
                        if value != 0 or features <= FEW_FEATURES:
                            events[sample, at] = j
                            at += 1
                        low, high = min(low, value), max(high, value)
                    while at % PADDING:
                        events[sample, at] = features
                        at += 1
                    starts[sample, t + 1] = at
            graded[sample] = low < 0 or high > 1 or features <= FEW_FEATURES
            max_input[sample] = max(-max(low, LOWEST), high)
            max_step_sum[sample] = 0
            for t in range(time):
                weight: Any = np.int64(starts[sample, t + 1] - starts[sample, t])
                if graded[sample]:
                    weight = 0
                    for n in range(starts[sample, t], starts[sample, t + 1]):
                        source = np.int64(events[sample, n])
                        value = 0
                        if source < features:
                            value = element(size, signed, x + ((sample * time + t) * features + source) * size)
                        values[sample, n] = value
                        weight += abs(value)
                max_step_sum[sample] = max(max_step_sum[sample], weight)

    return run
