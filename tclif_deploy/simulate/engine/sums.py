"""Row sums: for each step, the weights of all sources that fired, added up for a tile of neurons.

Weights of 8 bits are added two at a time. A row holds, for each pair of neurons (n, n + half the tile), one 16-bit
word: the second's weight in the high byte, and the first's plus 128 in the low one. Sum A adds the words, sum B the
words' high bytes (sign-extended); then B is the second neuron's sum, and A - 256*B - 128*events the first's. That
is exact in 16-bit arithmetic as long as the true sums fit 16 bits, whatever happens on the way. It moves one byte a
weight, and takes three instructions for 64 neurons (AVX-512), where extending each byte takes four.

Where several connections together may pass 16 bits, their sums are joined in 32 (`LONG`); where weights have more
than 8 bits, so are all sums (`WIDE`).

Events are indices of rows; their number is a multiple of `PADDING`, filled up with a row of zeros.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tclif_deploy.simulate.engine.simd import I16, I32, I64, Kernel, Variable, Vec, subroutine, vector, whole

PADDING = 4
"""Events are handled so many at a time."""

GROUP = 16
"""Neurons of one vector of the result."""

WIDE, LONG = 1 << 10, 1 << 11
"""Flags of a layer: weights of 16 bits, added in 32; or weights of 8 bits, added in 16 bits for each connection, whose
sums are joined in 32."""

CHUNK = 32
"""Steps whose events are put in order together, and which recurrent layers take at a time."""

(
    EVENTS, EVENTS_FAR, VALUES, VALUES_FAR, STARTS, STARTS_FAR, ORDER, ORDER_FAR, GRADED, ROWS, ROWS_FAR, DELAY,
    EXPONENT, TIME, LINK,
) = range(15)  # fmt: skip
"""Columns of a table of links, all int64: a source's lists of events (addresses, and bytes from one sample to the
next), the address of its ``graded``, the weights (and bytes from one tile to the next), the delay, the left shift of
the sum, the number of steps, and the table's width."""


class Sums:
    """Running sums of one tile."""

    def __init__(self, kernel: Kernel, flags: int, width: int) -> None:
        self.k, self.width, self.broad = kernel, width, bool(flags & WIDE)
        self.element, self.size = (I32, 4) if flags & (WIDE | LONG) else (I16, 2)
        zero = kernel.zero(vector(I32, GROUP) if self.broad else vector(I16, width // 2))
        self.parts: list[Variable] = [kernel.variable(zero) for _ in range(width // GROUP if self.broad else 2)]
        self.weight = kernel.variable(Vec(kernel.b, I16(0)))

    def add(self, row: ir.Value, value: ir.Value | None) -> None:
        """Add the row at this address, times ``value`` (i16) where there is one."""
        k = self.k
        if self.broad:
            times = None if value is None else k.splat(k.b.sext(value, I32), GROUP)
            for group, part in enumerate(self.parts):
                weights = k.load(k.at(row, group * GROUP, 2), vector(I16, GROUP), 2 * GROUP).widen(I32)
                part.set(part.get() + (weights if times is None else weights * times))
            return
        half = self.width // 2
        words = k.load(row, vector(I16, half), min(64, self.width))
        high = words >> 8
        if value is not None:
            times = k.splat(value, half)
            words, high = words * times, high * times
            self.weight.set(self.weight.get() + Vec(k.b, value))
        self.parts[0].set(self.parts[0].get() + words)
        self.parts[1].set(self.parts[1].get() + high)

    def add_events(self, events: ir.Value, count: ir.Value, rows: ir.Value, values: ir.Value | None) -> None:
        """Add the rows of ``count`` events (uint16), times their values (int16) where there are any."""
        k, b = self.k, self.k.b
        with k.loop(b.sdiv(count, I64(PADDING))) as quad:
            for n in range(PADDING):
                index = b.add(b.mul(quad, I64(PADDING)), I64(n))
                source = b.zext(k.load(k.at(events, index, 2), I16, 2).value, I64)
                value = None if values is None else k.load(k.at(values, index, 2), I16, 2).value
                self.add(k.at(rows, source, self.width * (2 if self.broad else 1)), value)
        if values is None:
            self.weight.set(Vec(b, b.trunc(count, I16)))

    def result(self, exponent: ir.Value) -> list[Vec]:
        """The sums shifted left by ``exponent``, in vectors that follow each other in memory."""
        if self.broad:
            found = [part.get() for part in self.parts]
        else:
            correction = self.k.splat((self.weight.get() * 128).value, self.width // 2)
            second = self.parts[1].get()
            found = [self.parts[0].get() - (second << 8) - correction, second]
            if self.element == I32:
                found = [part.widen(I32) for part in found]
        left = self.k.splat(self.k.b.trunc(exponent, self.element), found[0].lanes)
        return [part << left for part in found]

    def groups(self, exponent: ir.Value) -> list[Vec]:
        """The sums shifted left by ``exponent``, in vectors of 16 neurons."""
        found = self.result(exponent)
        if found[0].lanes < GROUP:
            return [found[0].join(found[1])]
        return [part.part(at, GROUP) for part in found for at in range(0, part.lanes, GROUP)]

    def stored(self, address: ir.Value, group: int) -> Vec:
        """The sums of ``group`` that lie in memory."""
        place = self.k.at(address, group * GROUP, self.size)
        return self.k.load(place, vector(self.element, GROUP), GROUP * self.size)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def gather(
    typing_context: Any, flags: Any, width: Any, links: Any, count: Any, sample: Any, tile: Any, begin: Any, end: Any,
    to: Any, stride: Any,
) -> Any:  # fmt: skip
    """Row sums of one tile of one sample, for steps ``begin`` (a multiple of `CHUNK`) to ``end``, over ``count`` links.

    Those of step ``begin + n`` are written to address ``to + n*stride``. Steps are taken in the links' ``ORDER``, those
    with as many events one after the other, so that the CPU foresees where their loops end.
    """
    does, wide = whole(flags), whole(width)

    def body(k: Kernel, _f: Any, _w: Any, *rest: ir.Value) -> None:
        links, count, sample, tile, begin, end, to, stride = rest
        b = k.b

        def number(address: ir.Value, kind: ir.Type, bytes_each: int) -> ir.Value:
            return b.sext(k.load(address, kind, bytes_each).value, I64)

        def least(x: ir.Value, y: ir.Value) -> ir.Value:
            return b.select(b.icmp_signed("<", x, y), x, y)

        def most(x: ir.Value, y: ir.Value) -> ir.Value:
            return b.select(b.icmp_signed("<", x, y), y, x)

        def row(then: ir.Value) -> ir.Value:
            return b.add(to, b.mul(b.sub(then, begin), stride))

        with k.loop(count) as link:
            column = [k.load(k.at(k.at(links, link, 8 * LINK), n, 8), I64, 8).value for n in range(LINK)]
            events, values, starts, order = (
                b.add(column[n], b.mul(sample, column[n + 1])) for n in (EVENTS, VALUES, STARTS, ORDER)
            )
            rows = b.add(column[ROWS], b.mul(tile, column[ROWS_FAR]))
            is_graded = b.icmp_signed("!=", k.load(k.at(column[GRADED], sample, 8), I64, 8).value, I64(0))
            joins = b.icmp_signed("!=", link, I64(0))
            delay = column[DELAY]
            with b.if_then(b.not_(joins)), k.loop(most(least(delay, end), begin), begin) as then:
                sums = Sums(k, does, wide)
                for n in range(wide // GROUP):
                    k.store(k.zero(vector(sums.element, GROUP)), k.at(row(then), n * GROUP, sums.size), 32)
            # The chunks of the order in which the steps lie that arrive in time.
            first = b.and_(most(b.sub(begin, delay), I64(0)), I64(-CHUNK))
            past = least(b.and_(b.add(most(b.sub(end, delay), I64(0)), I64(CHUNK - 1)), I64(-CHUNK)), column[TIME])
            with k.loop(past, first) as n:
                t = number(k.at(order, n, 4), I32, 4)
                then = b.add(t, delay)
                in_time = b.and_(b.icmp_signed(">=", then, begin), b.icmp_signed("<", then, end))
                with b.if_then(in_time, likely=True):
                    start, stop = (number(k.at(k.at(starts, t, 4), n, 4), I32, 4) for n in range(2))
                    sums = Sums(k, does, wide)
                    here = (k.at(events, start, 2), b.sub(stop, start), rows)
                    with b.if_else(is_graded) as (graded, plain):
                        with graded:
                            sums.add_events(*here, k.at(values, start, 2))
                        with plain:
                            sums.add_events(*here, None)
                    for n, part in enumerate(sums.result(column[EXPONENT])):
                        place, align = k.at(row(then), n * part.lanes, sums.size), min(part.lanes * sums.size, 64)
                        total = k.variable(part)
                        with b.if_then(joins):
                            total.set(part + k.load(place, part.value.type, align))
                        k.store(total.get(), place, align)

    signature = types.void(flags, width, *[types.int64] * 8)
    return signature, lambda c, b, s, a: subroutine(c, b, s, a, body)
