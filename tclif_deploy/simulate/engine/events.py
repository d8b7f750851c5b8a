"""From bits to lists of events: which sources fired (or were not 0) in each step."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from tclif_deploy.simulate.engine.compile import helper, kernel
from tclif_deploy.simulate.engine.simd import I8, I16, I64, Kernel, Vec, subroutine, vector
from tclif_deploy.simulate.engine.sums import PADDING

WORD = 64
"""Sources of one word of bits."""

SLACK = 2 * WORD
"""Entries that a list of events must have to spare, because bits are expanded eight at a time."""


def byte_table() -> NDArray[np.uint8]:
    """For each byte the positions of its bits, (256, 8); what follows the last one is without meaning."""
    table = np.zeros((256, 8), np.uint8)
    for byte in range(256):
        bits = [n for n in range(8) if byte >> n & 1]
        table[byte, : len(bits)] = bits
    return table


@intrinsic  # type: ignore[untyped-decorator]
def expand_word(typing_context: Any, word: Any, first: Any, table: Any, events: Any) -> Any:
    """Write ``first`` + the positions of ``word``'s bits at address ``events``; return the address after them.

    Without a branch: every byte writes eight entries, and the next one goes on where its last true one was.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        k = Kernel(builder)
        word, first, table, address = arguments
        base = k.splat(builder.trunc(first, I16), 8)
        for n in range(8):
            byte = builder.and_(builder.lshr(word, I64(8 * n)), I64(255))
            positions = k.load(k.at(table, byte, 8), vector(I8, 8), 8)
            wide = Vec(builder, builder.zext(positions.value, vector(I16, 8)))
            k.store(wide + base + 8 * n, address, 2)
            address = k.at(address, builder.ctpop(byte), 2)
        return address

    return types.int64(types.uint64, types.int64, types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def nonzero_words(typing_context: Any, like: Any, row: Any, features: Any, masks: Any) -> Any:
    """Bits of a row's elements that are not 0; there are at least 64 ``features``, of the dtype of the array ``like``.

    The last word is read so that it ends with the row, and then shifted.
    """
    bytes_each = like.dtype.bitwidth // 8

    def body(k: Kernel, _like: Any, row: ir.Value, features: ir.Value, masks: ir.Value) -> None:
        b = k.b

        def bits(start: ir.Value) -> ir.Value:
            found = k.load(k.at(row, start, bytes_each), vector(ir.IntType(8 * bytes_each), WORD), bytes_each)
            return b.bitcast(found.nonzero().value, I64)

        full = b.sdiv(features, I64(WORD))
        with k.loop(full) as word:
            k.store(Vec(b, bits(b.mul(word, I64(WORD)))), k.at(masks, word, 8), 8)
        left = b.srem(features, I64(WORD))
        with b.if_then(b.icmp_signed("!=", left, I64(0))):
            shifted = b.lshr(bits(b.sub(features, I64(WORD))), b.sub(I64(WORD), left))
            k.store(Vec(b, shifted), k.at(masks, full, 8), 8)

    signature = types.void(like, types.int64, types.int64, types.int64)
    return signature, lambda c, b, s, a: subroutine(c, b, s, a, body)


@helper
def expand_step(
    masks: NDArray[np.uint64], words: int, table: int, events: NDArray[np.uint16], start: int, zero_row: int
) -> int:
    """Append one step's events from index ``start`` on, filled up to a multiple of `PADDING`; returns their number."""
    base = events.ctypes.data
    address = base + 2 * start
    for word in range(words):
        address = expand_word(masks[word], word * WORD, table, address)
    end = (address - base) // 2
    for n in range(PADDING):
        events[end + n] = zero_row
    return end - start


def padded_count(count: int) -> int:
    """``count`` rounded up to whole groups of events."""
    return (count + PADDING - 1) // PADDING * PADDING


padded = helper(padded_count)


@helper
def sort_steps(starts: NDArray[np.int32], order: NDArray[np.int32], bins: NDArray[np.int32]) -> None:
    """``order``: the steps, those with fewest events first, so that loops over events end when the last one did."""
    bins[:] = 0
    time = order.size
    for t in range(time):
        bins[(starts[t + 1] - starts[t]) // PADDING] += 1
    at = 0
    for n in range(bins.size):
        count = bins[n]
        bins[n] = at
        at += count
    for t in range(time):
        n = (starts[t + 1] - starts[t]) // PADDING
        order[bins[n]] = t
        bins[n] += 1


@kernel
def list_spikes(
    masks: NDArray[np.uint64],
    table: NDArray[np.uint8],
    neurons: int,
    events: NDArray[np.uint16],
    starts: NDArray[np.int32],
    order: NDArray[np.int32],
    bins: NDArray[np.int32],
    fired: NDArray[np.int64],
    most: NDArray[np.int64],
) -> None:
    """Lists of events of a layer: ``masks`` (samples, time, words) -> ``events, starts, order``, one row a sample.

    ``fired`` (samples,) counts the spikes, ``most`` (samples,) is the largest number in one step.
    """
    for sample in range(masks.shape[0]):
        at, total, peak = 0, 0, 0
        starts[sample, 0] = 0
        for t in range(masks.shape[1]):
            count = expand_step(masks[sample, t], masks.shape[2], table.ctypes.data, events[sample], at, neurons)
            total += count
            peak = max(peak, count)
            at += padded(count)
            starts[sample, t + 1] = at
        fired[sample], most[sample] = total, peak
        sort_steps(starts[sample], order[sample], bins)


@kernel
def list_input(
    x: NDArray[Any],
    table: NDArray[np.uint8],
    masks: NDArray[np.uint64],
    events: NDArray[np.uint16],
    values: NDArray[np.int16],
    starts: NDArray[np.int32],
    order: NDArray[np.int32],
    bins: NDArray[np.int32],
    most: NDArray[np.int64],
    graded: NDArray[np.int64],
) -> None:
    """Lists of events of the input ``x`` (samples, time, features), contiguous uint8 or int16.

    ``values`` are its integers where ``graded`` (samples,) says that some are neither 0 nor 1; ``most`` (samples,)
    is the largest sum of magnitudes in one step; ``masks`` (words,) is scratch.
    """
    features = x.shape[2]
    for sample in range(x.shape[0]):
        flat = x[sample].reshape(-1)
        low, high = flat[0], flat[0]
        for value in flat:
            low, high = min(low, value), max(high, value)
        has_values = low < 0 or high > 1
        graded[sample] = has_values
        at, peak = 0, 0
        starts[sample, 0] = 0
        for t in range(x.shape[1]):
            if features >= WORD:
                nonzero_words(x, x[sample, t].ctypes.data, features, masks.ctypes.data)
            else:
                bits = np.uint64(0)
                for j in range(features):
                    bits |= np.uint64(x[sample, t, j] != 0) << np.uint64(j)
                masks[0] = bits
            count = expand_step(masks, masks.size, table.ctypes.data, events[sample], at, features)
            weight = count
            if has_values:
                weight = 0
                for n in range(at, at + count):
                    values[sample, n] = x[sample, t, events[sample, n]]
                    weight += abs(np.int64(values[sample, n]))
                for n in range(at + count, at + padded(count)):
                    values[sample, n] = 0
            peak = max(peak, weight)
            at += padded(count)
            starts[sample, t + 1] = at
        most[sample] = peak
        sort_steps(starts[sample], order[sample], bins)
