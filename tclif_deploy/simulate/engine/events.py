"""From bits to lists of events: which sources fired (or were not 0) in each step."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from tclif_deploy.simulate.engine.compile import helper, kernel
from tclif_deploy.simulate.engine.simd import (
    I1,
    I8,
    I16,
    I64,
    Kernel,
    Vec,
    address,
    cpu_has,
    subroutine,
    vector,
)
from tclif_deploy.simulate.engine.sums import PADDING

WORD = 64
"""Sources of one word of bits."""

FEW = PADDING
"""An input of up to so many features is not searched: all its values are events."""

SLACK = 2 * WORD
"""Entries that a list of events must have to spare, because bits are expanded eight at a time."""


def byte_table() -> NDArray[np.uint8]:
    """For each byte the positions of its bits, (256, 8); what follows the last one is without meaning."""
    table = np.zeros((256, 8), np.uint8)
    for byte in range(256):
        bits = [n for n in range(8) if byte >> n & 1]
        table[byte, : len(bits)] = bits
    return table


def _expand_by_bytes(k: Kernel, word: ir.Value, base: ir.Value, table: ir.Value, to: ir.Value) -> None:
    """Write ``base`` + the positions of ``word``'s bits; a byte writes eight entries, the next one over the excess."""
    b = k.b
    for n in range(8):
        byte = b.and_(b.lshr(word, I64(8 * n)), I64(255))
        positions = k.load(k.at(table, byte, 8), vector(I8, 8), 8)
        wide = Vec(b, b.zext(positions.value, vector(I16, 8)))
        # Counted from the word, and not from the byte before, so that no byte waits for another.
        before = b.ctpop(b.shl(word, I64(64 - 8 * n))) if n else I64(0)
        k.store(wide + k.splat(base, 8) + 8 * n, k.at(to, before, 2), 2)


def _expand_by_compress(k: Kernel, word: ir.Value, base: ir.Value, to: ir.Value) -> None:
    """The same with AVX-512 VBMI2, which moves the bytes of set bits together in one instruction."""
    b = k.b
    kind = vector(I8, WORD)
    function = ir.FunctionType(kind, [kind, kind, vector(I1, WORD)])
    compress = cgutils.get_or_insert_function(b.module, function, "llvm.x86.avx512.mask.compress.v64i8")
    positions = ir.Constant(kind, list(range(WORD)))
    found = Vec(b, b.call(compress, [positions, ir.Constant(kind, None), b.bitcast(word, vector(I1, WORD))]))
    few = Vec(b, b.zext(found.part(0, 16).value, vector(I16, 16)))
    k.store(few + k.splat(base, 16), to, 2)
    with b.if_then(b.icmp_unsigned(">", b.ctpop(word), I64(16)), likely=False):
        rest = Vec(b, b.zext(found.part(16, 48).value, vector(I16, 48)))
        k.store(rest + k.splat(base, 48), k.at(to, 16, 2), 2)


@intrinsic  # type: ignore[untyped-decorator]
def expand_step(typing_context: Any, masks: Any, words: Any, table: Any, events: Any, zero_row: Any) -> Any:
    """Write one step's events (uint16) at address ``events``, filled up with ``zero_row``; returns their number.

    ``masks`` is the address of ``words`` words of bits, ``table`` that of `byte_table`. Nothing branches on the bits.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        k = Kernel(builder)
        masks, words, table, start, zero_row = arguments
        compress = cpu_has(context, "avx512vbmi2")
        end = k.variable(Vec(builder, start))
        with k.loop(words) as n:
            word = k.load(k.at(masks, n, 8), I64, 8).value
            base = builder.trunc(builder.mul(n, I64(WORD)), I16)
            if compress:
                _expand_by_compress(k, word, base, end.get().value)
            else:
                _expand_by_bytes(k, word, base, table, end.get().value)
            end.set(Vec(builder, k.at(end.get().value, builder.ctpop(word), 2)))
        last = end.get().value
        k.store(k.splat(builder.trunc(zero_row, I16), PADDING), last, 2)
        return builder.lshr(builder.sub(last, start), I64(1))

    return types.int64(*[types.int64] * 5), generate


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


def padded_count(count: int) -> int:
    """``count`` rounded up to whole groups of events."""
    return (count + PADDING - 1) // PADDING * PADDING


padded = helper(padded_count)


@kernel
def list_spikes(
    masks: NDArray[np.uint64],
    table: NDArray[np.uint8],
    neurons: int,
    events: NDArray[np.uint16],
    starts: NDArray[np.int32],
    fired: NDArray[np.int64],
    most: NDArray[np.int64],
) -> None:
    """Lists of events of a layer: ``masks`` (samples, time, words) -> ``events, starts``, one row a sample.

    ``fired`` (samples,) counts the spikes, ``most`` (samples,) is the largest number in one step.
    """
    for sample in range(masks.shape[0]):
        at, total, peak = 0, 0, 0
        bits = address(masks) + sample * masks.strides[0]
        lists = address(events) + sample * events.strides[0]
        starts[sample, 0] = 0
        for t in range(masks.shape[1]):
            count = expand_step(bits + t * masks.strides[1], masks.shape[2], address(table), lists + 2 * at, neurons)
            total += count
            peak = max(peak, count)
            at += padded(count)
            starts[sample, t + 1] = at
        fired[sample], most[sample] = total, peak


@kernel
def list_input(
    x: NDArray[Any],
    table: NDArray[np.uint8],
    masks: NDArray[np.uint64],
    events: NDArray[np.uint16],
    values: NDArray[np.int16],
    starts: NDArray[np.int32],
    most: NDArray[np.int64],
    peak: NDArray[np.int64],
    graded: NDArray[np.int64],
) -> None:
    """Lists of events of the input ``x`` (samples, time, features), contiguous uint8 or int16.

    ``values`` are its integers where ``graded`` (samples,) says that some are neither 0 nor 1; ``peak`` (samples,) is
    the largest magnitude, ``most`` (samples,) the largest sum of magnitudes in one step; ``masks`` (words,) is scratch.
    """
    features = x.shape[2]
    for sample in range(x.shape[0]):
        flat = x[sample].reshape(-1)
        low, high = flat[0], flat[0]
        for value in flat:
            low, high = min(low, value), max(high, value)
        peak[sample] = max(-np.int64(low), np.int64(high))
        if features <= FEW:
            graded[sample], most[sample] = 1, features * peak[sample]
            starts[sample, 0] = 0
            for t in range(x.shape[1]):
                starts[sample, t + 1] = (t + 1) * PADDING
                for j in range(PADDING):
                    events[sample, t * PADDING + j] = min(j, features)
                    values[sample, t * PADDING + j] = x[sample, t, j] if j < features else 0
            continue
        has_values = low < 0 or high > 1
        graded[sample] = has_values
        at, heaviest = 0, 0
        lists = address(events) + sample * events.strides[0]
        starts[sample, 0] = 0
        for t in range(x.shape[1]):
            if features >= WORD:
                row = address(x) + sample * x.strides[0] + t * x.strides[1]
                nonzero_words(x, row, features, address(masks))
            else:
                bits = np.uint64(0)
                for j in range(features):
                    bits |= np.uint64(x[sample, t, j] != 0) << np.uint64(j)
                masks[0] = bits
            count = expand_step(address(masks), masks.size, address(table), lists + 2 * at, features)
            weight = count
            if has_values:
                weight = 0
                for n in range(at, at + count):
                    values[sample, n] = x[sample, t, events[sample, n]]
                    weight += abs(np.int64(values[sample, n]))
                for n in range(at + count, at + padded(count)):
                    values[sample, n] = 0
            heaviest = max(heaviest, weight)
            at += padded(count)
            starts[sample, t + 1] = at
        most[sample] = heaviest
