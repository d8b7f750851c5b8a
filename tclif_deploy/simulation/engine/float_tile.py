"""The inner loop of float64 networks: row sums and neurons of one tile of a sample.

Every sum is one of IEEE 754 double precision in the order that `tclif_deploy.simulation.float_session` gives, and
nothing is fused or reordered, so that all machines agree in every bit. The same loop computes the float network and,
where a layer says so, the products and states of fixed point (`tclif_deploy.simulation.partially_quantized`,
`tclif_deploy.simulation.engine.exact`).
"""

from __future__ import annotations

import enum
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tclif_deploy.simulation.engine.simd import (
    F64,
    I8,
    I16,
    I64,
    Kernel,
    Variable,
    Vec,
    literal_value,
    subroutine,
    vector,
)
from tclif_deploy.simulation.engine.sums import PADDING

LANES = 8
"""Neurons of one vector."""

WIDTHS = (16, 64)
"""Neurons of a tile; spiking layers' have 64, which are the bits of one word."""

(A_U, B_U, A_V, B_V, Q, THRESHOLD, R_U, R_V, V_RESET, BIAS_U, BIAS_V, CONSTANTS) = range(12)
"""Rows of a tile's constants, float64. A neuron fires at ``v >= threshold``: one that fires above has the next float64
as its threshold, and one that never fires infinity."""


class Choice(enum.IntFlag):
    """What a layer's kernel does, decided when its machine code is made."""

    HARD = enum.auto()
    """a spike sets v to v_reset, and takes no q*u"""
    TO_SOMA = enum.auto()
    """the current is added to v instead of u"""
    GENERAL = enum.auto()
    """a_u or a_v is not 1, or what is left of a state is rounded, or q is not 0: else two products fewer"""
    ROUNDED = enum.auto()
    """products are whole numbers, as in fixed point: the nearest, but for the next two"""
    TO_ZERO = enum.auto()
    DOWN = enum.auto()
    BOUNDED = enum.auto()
    """states have a range, as in fixed point"""
    WRAP_U = enum.auto()
    """a dendrite beyond its range wraps, and does not saturate"""
    WRAP_V = enum.auto()
    """likewise a soma"""
    BIAS_FIRST = enum.auto()
    """the bias is added before the current: where numbers are counted in LSBs, as they are in fixed point"""
    PEAKS = enum.auto()
    """the largest states are found"""
    TRACED = enum.auto()
    """the states of each step are kept"""


(SCALE, HALF_U, HALF_V, NUMBERS) = range(4)
"""A layer's numbers where it is `Choice.ROUNDED` or `Choice.BOUNDED`, float64: what the sum is multiplied by (a power
of two), and half the range of u and of v."""

(EVENTS, EVENTS_FAR, VALUES, VALUES_FAR, STARTS, STARTS_FAR, ROWS, ROWS_FAR, DELAY, COLUMNS) = range(10)
"""Columns of a table of connections, all int64: a source's lists of events, their values (0: all are 1) and where each
step's start (addresses, and bytes from one sample to the next), the address of the weights (and bytes from one tile to
the next), and the delay."""

(TRACED_U, TRACED_V, CHARGED_U, CHARGED_V, TRACED) = range(5)
"""Rows of a trace: the states after a step, and before its reset."""


class RowSums:
    """Running sums of one tile, in registers."""

    def __init__(self, kernel: Kernel, width: int) -> None:
        self.k, self.width = kernel, width
        zero = kernel.zero(vector(F64, LANES))
        self.vectors: list[Variable] = [kernel.variable(zero) for _ in range(width // LANES)]

    def start(self, currents: ir.Value) -> None:
        """At 0, or at what lies at ``currents``, where that is an address."""
        k, b = self.k, self.k.b
        for total in self.vectors:
            total.set(k.zero(vector(F64, LANES)))
        with b.if_then(b.icmp_signed("!=", currents, I64(0)), likely=False):
            for group, total in enumerate(self.vectors):
                total.set(k.load(k.at(currents, group * LANES, 8), vector(F64, LANES), 64))

    def add(self, row: ir.Value, value: ir.Value | None) -> None:
        """Add the row at this address, times ``value`` where there is one."""
        k = self.k
        times = None if value is None else k.splat(value, LANES)
        for group, total in enumerate(self.vectors):
            weights = k.load(k.at(row, group * LANES, 8), vector(F64, LANES), 64)
            total.set(total.get() + (weights if times is None else weights * times))

    def add_events(self, table: ir.Value, count: ir.Value, sample: ir.Value, tile: ir.Value, t: ir.Value) -> None:
        """Add what the ``count`` connections of ``table`` carry into step ``t``."""
        k, b = self.k, self.k.b

        with k.loop(count) as n:
            row = k.at(table, n, 8 * COLUMNS)

            def column(which: int, row: ir.Value = row) -> ir.Value:
                return k.load(k.at(row, which, 8), I64, 8).value

            sent = b.sub(t, column(DELAY))
            with b.if_then(b.icmp_signed(">=", sent, I64(0))):
                starts = b.add(column(STARTS), b.mul(sample, column(STARTS_FAR)))
                place = k.at(starts, sent, 4)
                first, end = (b.sext(k.load(k.at(place, n, 4), ir.IntType(32), 4).value, I64) for n in (0, 1))
                events = b.add(column(EVENTS), b.mul(sample, column(EVENTS_FAR)))
                rows = b.add(column(ROWS), b.mul(tile, column(ROWS_FAR)))
                values = column(VALUES)
                with b.if_else(b.icmp_signed("==", values, I64(0))) as (all_ones, graded):
                    with all_ones:
                        self._add_list(events, first, end, rows, None)
                    with graded:
                        self._add_list(events, first, end, rows, b.add(values, b.mul(sample, column(VALUES_FAR))))

    def _add_list(
        self, events: ir.Value, first: ir.Value, end: ir.Value, rows: ir.Value, values: ir.Value | None
    ) -> None:
        k, b = self.k, self.k.b
        with k.loop(b.sdiv(end, I64(PADDING)), b.sdiv(first, I64(PADDING))) as block:
            place = k.at(events, block, 2 * PADDING)
            for n in range(PADDING):
                source = b.zext(k.load(k.at(place, n, 2), I16, 2).value, I64)
                value = None
                if values is not None:
                    value = k.load(k.at(k.at(values, block, 8 * PADDING), n, 8), F64, 8).value
                self.add(k.at(rows, source, 8 * self.width), value)


class Neurons:
    """One step of eight neurons."""

    def __init__(self, kernel: Kernel, choices: Choice, constants: ir.Value, numbers: ir.Value, width: int) -> None:
        self.k, self.b, self.choices, self.constants, self.width = kernel, kernel.b, choices, constants, width
        if choices & (Choice.ROUNDED | Choice.BOUNDED):
            each = [kernel.load(kernel.at(numbers, n, 8), F64, 8).value for n in range(NUMBERS)]
            self.scale, self.half_u, self.half_v = (kernel.splat(value, LANES) for value in each)

    def constant(self, row: int, group: int) -> Vec:
        """Of eight neurons."""
        return self.k.load(self.k.at(self.constants, row * self.width + group * LANES, 8), vector(F64, LANES), 64)

    def number(self, value: float) -> Vec:
        """The same number in all lanes."""
        return self.k.splat(ir.Constant(F64, value), LANES)

    def rounded(self, product: Vec) -> Vec:
        """To a whole number, where the layer rounds."""
        if Choice.ROUNDED not in self.choices:
            return product
        if Choice.TO_ZERO in self.choices:
            return product.rounded("trunc")
        return (product if Choice.DOWN in self.choices else product + self.number(0.5)).rounded("floor")

    def within(self, value: Vec, of_soma: bool) -> Vec:
        """``value`` as a state holds it, where its range ends."""
        if Choice.BOUNDED not in self.choices:
            return value
        half = self.half_v if of_soma else self.half_u
        if (Choice.WRAP_V if of_soma else Choice.WRAP_U) in self.choices:
            both = half * self.number(2.0)
            return value - both * Vec(self.b, self.b.fdiv((value + half).value, both.value)).rounded("floor")
        least, most = self.number(1.0) - half, half - self.number(1.0)
        low = (value >= least).where(value, least)
        return (most >= low).where(low, most)

    def step(self, group: int, u: Vec, v: Vec, current: Vec) -> tuple[Vec, Vec, Vec, Vec, Vec]:
        """(u, v, spikes as bits, u before the reset, v before it)."""
        zero = self.number(0.0)
        if Choice.ROUNDED in self.choices:
            current = self.rounded(current * self.scale)
        into_u, into_v = (zero, current) if Choice.TO_SOMA in self.choices else (current, zero)
        u = self._kept(A_U, group, u) + self.rounded(self.constant(B_U, group) * v)
        u = self.within(self._driven(u, into_u, self.constant(BIAS_U, group)), of_soma=False)
        v = self._kept(A_V, group, v) + self.rounded(self.constant(B_V, group) * u)
        v = self.within(self._driven(v, into_v, self.constant(BIAS_V, group)), of_soma=True)
        spikes = v >= self.constant(THRESHOLD, group)
        if Choice.HARD in self.choices:
            after_u = self.within(u - self.constant(R_U, group), of_soma=False)
            return spikes.where(after_u, u), spikes.where(self.constant(V_RESET, group), v), spikes, u, v
        taken = self.constant(R_V, group)
        if Choice.GENERAL in self.choices:
            taken = taken + self.rounded(self.constant(Q, group) * u)
        after_u = self.within(u - self.constant(R_U, group), of_soma=False)
        after_v = self.within(v - taken, of_soma=True)
        return spikes.where(after_u, u), spikes.where(after_v, v), spikes, u, v

    def _driven(self, state: Vec, current: Vec, bias: Vec) -> Vec:
        """With what comes from outside."""
        return state + bias + current if Choice.BIAS_FIRST in self.choices else state + current + bias

    def _kept(self, row: int, group: int, state: Vec) -> Vec:
        """What is left of a state."""
        return self.rounded(self.constant(row, group) * state) if Choice.GENERAL in self.choices else state


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def run_tile(
    typing_context: Any, width: Any, choices: Any, table: Any, count: Any, sample: Any, tile: Any, begin: Any, end: Any,
    states: Any, constants: Any, numbers: Any, currents: Any, currents_step: Any, masks: Any, masks_step: Any,
    peaks: Any, trace: Any, trace_row: Any,
) -> Any:  # fmt: skip
    """Steps ``begin`` to ``end`` of one ``tile`` of ``width`` neurons of one ``sample``.

    ``table`` is the table of ``count`` connections (`COLUMNS`). Addresses: ``states`` (2, width), ``constants``
    (`CONSTANTS`, width), ``numbers``, ``peaks`` (2, width): largest \\|u\\| and \\|v\\|. Those of step ``begin``:
    ``currents`` (width,), where the sums start (0: they start at 0.0), the next step's ``currents_step`` bytes later;
    ``masks``, a word of spikes every ``masks_step`` bytes; ``trace`` (`TRACED`, ...), a row every ``trace_row`` bytes.
    """
    lanes, chosen = literal_value(width), Choice(literal_value(choices))

    def body(k: Kernel, _w: Any, _c: Any, *rest: ir.Value) -> None:
        (
            table, count, sample, tile, begin, end, states, constants, numbers, currents, currents_step, masks,
            masks_step, peaks, trace, trace_row,
        ) = rest  # fmt: skip
        b, kind = k.b, vector(F64, LANES)
        sums, neurons = RowSums(k, lanes), Neurons(k, chosen, constants, numbers, lanes)

        def place(base: ir.Value, row: int, group: int) -> ir.Value:
            return k.at(base, row * lanes + group * LANES, 8)

        def widen(row: int, group: int, *values: Vec) -> None:
            peak = k.load(place(peaks, row, group), kind, 64)
            for value in values:
                peak = value.magnitude().above(peak)
            k.store(peak, place(peaks, row, group), 64)

        with k.loop(end, begin) as t:
            passed = b.sub(t, begin)
            with_start = b.icmp_signed("!=", currents, I64(0))
            sums.start(b.select(with_start, b.add(currents, b.mul(passed, currents_step)), I64(0)))
            sums.add_events(table, count, sample, tile, t)
            traced = b.add(trace, b.mul(passed, b.mul(trace_row, I64(TRACED))))
            word = I64(0)
            for group, total in enumerate(sums.vectors):
                u, v = (k.load(place(states, row, group), kind, 64) for row in range(2))
                u, v, fires, charged_u, charged_v = neurons.step(group, u, v, total.get())
                k.store(u, place(states, 0, group), 64)
                k.store(v, place(states, 1, group), 64)
                if Choice.PEAKS in chosen:
                    widen(0, group, charged_u, u)
                    widen(1, group, charged_v, v)
                bits = b.zext(b.bitcast(fires.value, I8), I64)
                word = b.or_(word, b.shl(bits, I64(group * LANES)))
                if Choice.TRACED in chosen:
                    for row, value in enumerate((u, v, charged_u, charged_v)):
                        k.store(value, k.at(b.add(traced, b.mul(trace_row, I64(row))), group * LANES, 8), 8)
            k.store(Vec(b, word), b.add(masks, b.mul(passed, masks_step)), 8)

    signature = types.void(width, choices, *[types.int64] * 16)
    return signature, lambda c, b, s, a: subroutine(c, b, s, a, body)
