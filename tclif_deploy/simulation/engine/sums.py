"""Row sums: the weights of all sources that fired, added up for a tile of neurons.

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

from llvmlite import ir

from tclif_deploy.simulation.engine.simd import I16, I32, I64, Kernel, Variable, Vec, vector

PADDING = 4
"""Events are handled so many at a time."""

GROUP = 16
"""Neurons of one vector of the result."""

WIDE, LONG, SHIFTED = 1 << 10, 1 << 11, 1 << 12
"""Flags of a layer: weights of 16 bits, added in 32; weights of 8 bits, added in 16 bits for each connection, and those
sums joined in 32; some connection's exponent is not 0."""

(
    EVENTS, EVENTS_FAR, VALUES, VALUES_FAR, STARTS, STARTS_FAR, GRADED, ROWS, ROWS_FAR, DELAY, EXPONENT, STRIDE, LINK,
) = range(13)  # fmt: skip
"""Columns of a table of links, all int64: a source's lists of events (addresses, and bytes from one sample to the
next), the address of its ``graded``, the weights (and bytes from one tile to the next), the delay, the left shift of
the sum, the bytes of `PADDING` events, and the table's width."""

SPIKES, MIXED, DENSE = 0, 1, 2
"""Kinds of links: all events are 1; some samples' events have values; n features (kind ``DENSE + n``) that are all
events, in each step."""

KINDS = 8
"""Kinds are below this: those of all of a layer's links are the digits of one number."""


class Sums:
    """Running sums of one tile, over the events of one link or of all."""

    def __init__(self, kernel: Kernel, flags: int, width: int) -> None:
        self.k, self.width, self.broad = kernel, width, bool(flags & WIDE)
        self.element = I32 if flags & (WIDE | LONG) else I16
        zero = kernel.zero(vector(I32, GROUP) if self.broad else vector(I16, width // 2))
        self.parts: list[Variable] = [kernel.variable(zero) for _ in range(width // GROUP if self.broad else 2)]

    def row(self, rows: ir.Value, source: ir.Value) -> ir.Value:
        """Address of a source's weights."""
        return self.k.at(rows, source, self.width * (2 if self.broad else 1))

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
        self.parts[0].set(self.parts[0].get() + words)
        self.parts[1].set(self.parts[1].get() + high)

    def settle(self, events: ir.Value) -> None:
        """Take out what was added to the weights of so many events (i16), or of events with so large a sum."""
        if not self.broad:
            added = self.k.splat(self.k.b.mul(events, I16(128)), self.width // 2)
            self.parts[0].set(self.parts[0].get() - added)

    def add_events(self, link: Link, events: ir.Value, count: ir.Value, values: ir.Value | None) -> None:
        """Add the rows of ``count`` events (uint16) of ``link``, times their values (int16) where there are any."""
        k, b = self.k, self.k.b
        weight = k.variable(Vec(b, I16(0)))
        if values is None:
            self.settle(b.trunc(count, I16))
        with k.march(events, k.at(events, count, 2), link.column[STRIDE]) as quad:
            for n in range(PADDING):
                source = b.zext(k.load(k.at(quad, n, 2), I16, 2).value, I64)
                value = None
                if values is not None:
                    value = k.load(b.add(values, b.sub(k.at(quad, n, 2), events)), I16, 2).value
                    weight.set(weight.get() + Vec(b, value))
                self.add(self.row(link.rows, source), value)
        if values is not None:
            self.settle(weight.get().value)

    def result(self) -> list[Vec]:
        """The sums, in vectors of 16 neurons or more."""
        if self.broad:
            return [part.get() for part in self.parts]
        second = self.parts[1].get()
        first = self.parts[0].get() - (second << 8)
        found = [first, second] if first.lanes >= GROUP else [first.join(second)]
        return [part.widen(I32) for part in found] if self.element == I32 else found


class Link:
    """One connection into one tile of a layer, as a kernel sees it: row ``index`` of the table at ``table``."""

    def __init__(self, kernel: Kernel, kind: int, table: ir.Value, index: int, tile: ir.Value) -> None:
        self.k, self.kind = kernel, kind
        place = kernel.at(table, index, 8 * LINK)
        self.column = [kernel.load(kernel.at(place, n, 8), I64, 8).value for n in range(LINK)]
        self.rows = kernel.b.add(self.column[ROWS], kernel.b.mul(tile, self.column[ROWS_FAR]))

    def of(self, sample: ir.Value) -> Heard:
        """What it brings to one sample."""
        return Heard(self, sample)


class Heard:
    """The events of one link for one sample."""

    def __init__(self, link: Link, sample: ir.Value) -> None:
        k, b = link.k, link.k.b
        self.link = link
        self.events, self.values, self.starts = (
            b.add(link.column[n], b.mul(sample, link.column[n + 1])) for n in (EVENTS, VALUES, STARTS)
        )
        self.graded = None
        if link.kind == MIXED:
            flag = k.load(k.at(link.column[GRADED], sample, 8), I64, 8).value
            self.graded = b.icmp_signed("!=", flag, I64(0))

    def add_to(self, sums: Sums, t: ir.Value) -> None:
        """Add the rows of the events that arrive in step ``t``."""
        k, b, link = self.link.k, self.link.k.b, self.link
        delay, rows = link.column[DELAY], link.rows
        then = b.sub(t, delay)
        there = b.icmp_signed(">=", then, I64(0))
        then = b.select(there, then, I64(0))
        if link.kind >= DENSE:
            total: ir.Value = I16(0)
            for n in range(link.kind - DENSE):
                place = k.at(self.values, b.add(b.mul(then, I64(PADDING)), I64(n)), 2)
                value = b.select(there, k.load(place, I16, 2).value, I16(0))
                total = b.add(total, value)
                sums.add(sums.row(rows, I64(n)), value)
            sums.settle(total)
            return
        start, stop = (b.sext(k.load(k.at(k.at(self.starts, then, 4), n, 4), I32, 4).value, I64) for n in range(2))
        count = b.select(there, b.sub(stop, start), I64(0))
        events = k.at(self.events, start, 2)
        if self.graded is None:
            sums.add_events(link, events, count, None)
        else:
            with b.if_else(self.graded) as (graded, plain):
                with graded:
                    sums.add_events(link, events, count, k.at(self.values, start, 2))
                with plain:
                    sums.add_events(link, events, count, None)


def links_of(kernel: Kernel, kinds: int, table: ir.Value, tile: ir.Value) -> list[Link]:
    """The links of a layer, whose kinds are the digits of ``kinds`` after a leading 1, into one tile."""
    found: list[Link] = []
    while kinds > 1:
        found.append(Link(kernel, kinds % KINDS, table, len(found), tile))
        kinds //= KINDS
    return found


def row_sums(flags: int, width: int, heard: list[Heard], t: ir.Value) -> list[Vec]:
    """Row sums over all links, in vectors of 16 neurons."""
    if not flags & (LONG | SHIFTED):
        # All together they fit the bits that one link's do.
        sums = Sums(heard[0].link.k, flags, width)
        for one in heard:
            one.add_to(sums, t)
        total = sums.result()
    else:
        total = []
        for one in heard:
            k = one.link.k
            sums = Sums(k, flags, width)
            one.add_to(sums, t)
            found = sums.result()
            if flags & SHIFTED:
                left = k.splat(k.b.trunc(one.link.column[EXPONENT], sums.element), found[0].lanes)
                found = [part << left for part in found]
            total = [a + b for a, b in zip(total, found, strict=True)] if total else found
    return [part.part(at, GROUP) for part in total for at in range(0, part.lanes, GROUP)]
