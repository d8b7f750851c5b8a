"""Row sums: the weights of all sources that fired, added up for a tile of neurons.

Weights of 8 bits are added two at a time. A row holds, for each pair of neurons (n, n + half the tile), one 16-bit
word: the second's weight in the high byte, and the first's plus 128 in the low one. Sum A adds the words, sum B the
words' high bytes (sign-extended); then B is the second neuron's sum, and A - 256*B - 128*events the first's. That
is exact in 16-bit arithmetic as long as the true sums fit 16 bits, whatever happens on the way. It moves one byte a
weight, and takes three instructions for 64 neurons (AVX-512), where extending each byte takes four.

In the other form (`Flag.WORDS`, see `form`) a row holds 16-bit words, which are added as they are.

Where several connections together may pass 16 bits, their sums are joined in 32 (`Flag.LONG`); where weights have more
than 8 bits, so are all sums (`Flag.WIDE`).

Events are indices of rows; their number is a multiple of `PADDING`, filled up with a row of zeros.
"""

from __future__ import annotations

from llvmlite import ir

from tclif_deploy.simulation.engine.simd import I16, I32, I64, Kernel, Variable, Vec, vector
from tclif_deploy.simulation.engine.spec import DENSE, MIXED, Flag, KernelSpec

PADDING = 4
"""Events are handled so many at a time."""

WORD_LANES = 32
"""Words of one vector."""

GROUP = 16
"""Neurons of one vector of the result."""

(
    EVENTS, EVENTS_FAR, VALUES, VALUES_FAR, STARTS, STARTS_FAR, GRADED, ROWS, ROWS_FAR, DELAY, EXPONENT, STRIDE,
    COLUMNS,
) = range(13)  # fmt: skip
"""Columns of a table of connections, all int64: a source's lists of events (addresses, and bytes from one sample to the
next), the address of its ``graded``, the weights (and bytes from one tile to the next), the delay, the left shift of
the sum, the bytes of `PADDING` events, and the table's width."""


class Sums:
    """Running sums of one tile, over the events of one connection or of all."""

    def __init__(self, kernel: Kernel, spec: KernelSpec) -> None:
        self.k, self.width, self.wide = kernel, spec.width, spec.has(Flag.WIDE)
        self.words = spec.has(Flag.WORDS)
        self.element = I32 if spec.has(Flag.WIDE | Flag.LONG) else I16
        if self.wide:
            zero, count = kernel.zero(vector(I32, GROUP)), self.width // GROUP
        elif self.words:
            lanes = min(WORD_LANES, self.width)
            zero, count = kernel.zero(vector(I16, lanes)), self.width // lanes
        else:
            zero, count = kernel.zero(vector(I16, self.width // 2)), 2
        self.vectors: list[Variable] = [kernel.variable(zero) for _ in range(count)]

    def row(self, rows: ir.Value, source: ir.Value) -> ir.Value:
        """Address of a source's weights."""
        return self.k.at(rows, source, self.width * (2 if self.wide or self.words else 1))

    def add(self, row: ir.Value, value: ir.Value | None) -> None:
        """Add the row at this address, times ``value`` (i16) where there is one."""
        k = self.k
        if self.wide:
            times = None if value is None else k.splat(k.b.sext(value, I32), GROUP)
            for group, total in enumerate(self.vectors):
                weights = k.load(k.at(row, group * GROUP, 2), vector(I16, GROUP), 2 * GROUP).widen(I32)
                total.set(total.get() + (weights if times is None else weights * times))
            return
        if self.words:
            lanes = min(WORD_LANES, self.width)
            times = None if value is None else k.splat(value, lanes)
            for n, total in enumerate(self.vectors):
                weights = k.load(k.at(row, n * lanes, 2), vector(I16, lanes), 2 * lanes)
                total.set(total.get() + (weights if times is None else weights * times))
            return
        half_width = self.width // 2
        words = k.load(row, vector(I16, half_width), min(64, self.width))
        high = words >> 8
        if value is not None:
            times = k.splat(value, half_width)
            words, high = words * times, high * times
        self.vectors[0].set(self.vectors[0].get() + words)
        self.vectors[1].set(self.vectors[1].get() + high)

    def remove_bias_offset(self, events: ir.Value) -> None:
        """Take out what was added to the weights of so many events (i16), or of events with so large a sum."""
        if not (self.wide or self.words):
            added = self.k.splat(self.k.b.mul(events, I16(128)), self.width // 2)
            self.vectors[0].set(self.vectors[0].get() - added)

    def add_events(
        self, connection: ConnectionView, events: ir.Value, count: ir.Value, values: ir.Value | None
    ) -> None:
        """Add the rows of ``count`` events (uint16) of ``connection``, times their values (int16) if there are any."""
        k, b = self.k, self.k.b
        weight = k.variable(Vec(b, I16(0)))
        if values is None:
            self.remove_bias_offset(b.trunc(count, I16))
        with k.strided_loop(events, k.at(events, count, 2), connection.column[STRIDE]) as quad:
            for n in range(PADDING):
                source = b.zext(k.load(k.at(quad, n, 2), I16, 2).value, I64)
                value = None
                if values is not None:
                    value = k.load(b.add(values, b.sub(k.at(quad, n, 2), events)), I16, 2).value
                    weight.set(weight.get() + Vec(b, value))
                self.add(self.row(connection.rows, source), value)
        if values is not None:
            self.remove_bias_offset(weight.get().value)

    def result(self) -> list[Vec]:
        """The sums, in vectors of 16 neurons or more."""
        if self.wide:
            return [total.get() for total in self.vectors]
        if self.words:
            sums = [total.get() for total in self.vectors]
            return [total.widen(I32) for total in sums] if self.element == I32 else sums
        second = self.vectors[1].get()
        first = self.vectors[0].get() - (second << 8)
        sums = [first, second] if first.lanes >= GROUP else [first.join(second)]
        return [total.widen(I32) for total in sums] if self.element == I32 else sums


class ConnectionView:
    """One connection into one tile of a layer, as a kernel sees it: row ``index`` of the table at ``table``."""

    def __init__(self, kernel: Kernel, kind: int, table: ir.Value, index: int, tile: ir.Value) -> None:
        self.k, self.kind = kernel, kind
        place = kernel.at(table, index, 8 * COLUMNS)
        self.column = [kernel.load(kernel.at(place, n, 8), I64, 8).value for n in range(COLUMNS)]
        self.rows = kernel.b.add(self.column[ROWS], kernel.b.mul(tile, self.column[ROWS_FAR]))

    def cursor(self, sample: ir.Value) -> EventCursor:
        """Its events for one sample."""
        return EventCursor(self, sample)


class EventCursor:
    """The events of one connection for one sample, step by step."""

    def __init__(self, connection: ConnectionView, sample: ir.Value) -> None:
        k, b = connection.k, connection.k.b
        self.connection = connection
        self.events, self.values, self.starts = (
            b.add(connection.column[n], b.mul(sample, connection.column[n + 1])) for n in (EVENTS, VALUES, STARTS)
        )
        self.graded = None
        if connection.kind == MIXED:
            flag = k.load(k.at(connection.column[GRADED], sample, 8), I64, 8).value
            self.graded = b.icmp_signed("!=", flag, I64(0))

    def add_to(self, sums: Sums, t: ir.Value) -> None:
        """Add the rows of the events that arrive in step ``t``."""
        connection = self.connection
        k, b, rows = connection.k, connection.k.b, connection.rows
        sent = b.sub(t, connection.column[DELAY])
        has_begun = b.icmp_signed(">=", sent, I64(0))
        sent = b.select(has_begun, sent, I64(0))
        if connection.kind >= DENSE:
            total: ir.Value = I16(0)
            for n in range(connection.kind - DENSE):
                place = k.at(self.values, b.add(b.mul(sent, I64(PADDING)), I64(n)), 2)
                value = b.select(has_begun, k.load(place, I16, 2).value, I16(0))
                total = b.add(total, value)
                sums.add(sums.row(rows, I64(n)), value)
            sums.remove_bias_offset(total)
            return
        start, stop = (b.sext(k.load(k.at(k.at(self.starts, sent, 4), n, 4), I32, 4).value, I64) for n in range(2))
        count = b.select(has_begun, b.sub(stop, start), I64(0))
        events = k.at(self.events, start, 2)
        if self.graded is None:
            sums.add_events(connection, events, count, None)
        else:
            with b.if_else(self.graded) as (graded, plain):
                with graded:
                    sums.add_events(connection, events, count, k.at(self.values, start, 2))
                with plain:
                    sums.add_events(connection, events, count, None)


def connections_of(kernel: Kernel, spec: KernelSpec, table: ir.Value, tile: ir.Value) -> list[ConnectionView]:
    """The connections of a layer into one tile."""
    return [ConnectionView(kernel, kind, table, index, tile) for index, kind in enumerate(spec.kinds)]


def row_sums(spec: KernelSpec, cursors: list[EventCursor], t: ir.Value) -> list[Vec]:
    """Row sums over all connections, in vectors of 16 neurons."""
    if not spec.has(Flag.LONG | Flag.SHIFTED):
        # All together they fit the bits that one connection's do.
        sums = Sums(cursors[0].connection.k, spec)
        for cursor in cursors:
            cursor.add_to(sums, t)
        totals = sums.result()
    else:
        totals = []
        for cursor in cursors:
            k = cursor.connection.k
            sums = Sums(k, spec)
            cursor.add_to(sums, t)
            vectors = sums.result()
            if spec.has(Flag.SHIFTED):
                left = k.splat(k.b.trunc(cursor.connection.column[EXPONENT], sums.element), vectors[0].lanes)
                vectors = [total << left for total in vectors]
            totals = [a + b for a, b in zip(totals, vectors, strict=True)] if totals else vectors
    return [total.part(at, GROUP) for total in totals for at in range(0, total.lanes, GROUP)]
