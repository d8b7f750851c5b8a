"""One step of 16 neurons in float32, exact as long as no state overflows; and the sign that one did.

Integers of up to 24 bits, their sums, and a product rounded *towards where the machine rounds* all fit float32:
with the CPU told to round down, ``floor(b*v)`` is exact although ``b*v`` has more bits than a float32 holds,
because rounding down never passes the integer below; likewise ``trunc`` when it rounds to zero. So a product
costs two instructions, where 16-bit multipliers need six and 32-bit ones five.

A state is kept as a multiple of its LSB 2^-(bits-2): then it has left its range exactly when |state| >= 2, which
is bit 30 of a float32. All states are OR-ed together, and a sample in which the bit was ever set runs again in
the general kernel, which saturates, wraps and counts. (Two's complement's lowest value -2^(bits-1) also sets
the bit: such a sample merely runs twice.)
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tclif_deploy.simulate.engine.simd import F32, I16, I32, I64, Kernel, Variable, Vec, subroutine, vector, whole
from tclif_deploy.simulate.engine.sums import Sums

LANES = 16
"""Neurons of one vector."""

OVERFLOWED = 0x40000000
"""Bit of a float32 that is set from 2.0 on."""

TO_ZERO, MULTIPLY_U, MULTIPLY_V, DIRECT, SHARE, HARD, SOMA, RIGHT, SILENT, BIAS_V = (1 << n for n in range(10))
"""What a layer's kernel does: it rounds to zero (else down, after adding a half where it rounds to nearest); A_u, A_v
need a product; u is only its input (A_u = B_u = 0); q is not 0; hard reset; input enters the soma; the accumulator is
shifted right; no spikes; bias_v is not 0. The bits after these are those of `sums`."""

B_U, A_U, B_V, A_V, THRESHOLD, R_U, R_V, Q, V_RESET, BIAS_U, ROW_BIAS_V, CONSTANTS = range(12)
"""Rows of a tile's constants, each of one float32 a neuron."""

LSB_U, LSB_V, SCALE_I, LSB_I, HALF_K, HALF_F, SCALARS = range(7)
"""A layer's float32 numbers: the states' units, what the accumulator is multiplied with, the unit of the state that it
enters (used after shifting right), and what is added before rounding down (products, accumulator)."""


class Tile:
    """Neurons that are updated together: their constants, and the update."""

    def __init__(self, kernel: Kernel, flags: int, width: int, constants: ir.Value, scalars: ir.Value) -> None:
        self.k = kernel
        self.flags = flags
        self.width = width
        self.constants = constants
        numbers = [kernel.load(kernel.at(scalars, n, 4), F32, 4).value for n in range(SCALARS)]
        self.scalars = [kernel.splat(number, LANES) for number in numbers]

    def has(self, flag: int) -> bool:
        """Whether the layer does this."""
        return bool(self.flags & flag)

    def row(self, row: int, group: int) -> Vec:
        """A constant of the 16 neurons of ``group``."""
        return self.k.load(self.k.at(self.constants, row * self.width + group * LANES, 4), vector(F32, LANES), 64)

    def rounded(self, product: Vec, half: int) -> Vec:
        """The machine's rounding of a product."""
        if self.has(TO_ZERO):
            return product.rounded("trunc")
        return (product + self.scalars[half]).rounded("floor")

    def step(self, group: int, u: Vec, v: Vec, acc: Vec) -> tuple[Vec, Vec, Vec | None, Vec]:
        """(u, v, spikes, all states met) after one step with row sums ``acc``, float32."""
        unit_u, unit_v = self.scalars[LSB_U], self.scalars[LSB_V]
        if self.has(RIGHT):
            current = self.rounded(acc * self.scalars[SCALE_I], HALF_F) * self.scalars[LSB_I]
        else:
            current = acc * self.scalars[SCALE_I]
        if self.has(DIRECT):
            new_u = self.row(BIAS_U, group)
        else:
            if self.has(MULTIPLY_U):
                u = self.rounded(u * self.row(A_U, group), HALF_K) * unit_u
            new_u = u + self.row(BIAS_U, group)
            new_u = self.rounded(v * self.row(B_U, group), HALF_K) * unit_u + new_u
        if not self.has(SOMA):
            new_u = current + new_u
        if self.has(MULTIPLY_V):
            v = self.rounded(v * self.row(A_V, group), HALF_K) * unit_v
        if self.has(BIAS_V):
            v = v + self.row(ROW_BIAS_V, group)
        new_v = self.rounded(new_u * self.row(B_V, group), HALF_K) * unit_v + v
        if self.has(SOMA):
            new_v = current + new_v
        bits = vector(I32, LANES)
        seen = new_u.cast(bits) | new_v.cast(bits)
        if self.has(SILENT):
            return new_u, new_v, None, seen
        spikes = new_v >= self.row(THRESHOLD, group)
        if self.has(HARD):
            return new_u, spikes.where(self.row(V_RESET, group), new_v), spikes, seen
        taken = self.row(R_V, group)
        if self.has(SHARE):
            taken = self.rounded(new_u * self.row(Q, group), HALF_K) * unit_v + taken
        after_u = spikes.where(new_u - self.row(R_U, group), new_u)
        after_v = spikes.where(new_v - taken, new_v)
        seen = seen | after_u.cast(bits)
        # Without a share of u, the plan has made sure that v stays in range when it is reset.
        return after_u, after_v, spikes, seen | after_v.cast(bits) if self.has(SHARE) else seen

    def sums(self, address: ir.Value, group: int) -> Vec:
        """Row sums of a group as float32, from memory."""
        return as_float(Sums(self.k, self.flags, self.width).stored(address, group))

    def joined(self, word: Vec | None, group: int, spikes: Vec) -> Vec:
        """``word`` with the spikes of ``group`` among its bits, neuron 0 the lowest."""
        b = self.k.b
        bits = Vec(b, b.shl(b.zext(b.bitcast(spikes.value, I16), I64), I64(group * LANES)))
        return bits if word is None else word | bits


def as_float(sums: Vec) -> Vec:
    """Row sums of 16 or 32 bits as float32."""
    return (sums if sums.value.type.element == I32 else sums.widen(I32)).to_float()


class States:
    """u and v of one tile of one sample, in registers while a kernel runs."""

    def __init__(self, kernel: Kernel, width: int, address: ir.Value) -> None:
        self.k, self.width, self.address = kernel, width, address
        self.u = [kernel.variable(self._load(0, g)) for g in range(width // LANES)]
        self.v = [kernel.variable(self._load(1, g)) for g in range(width // LANES)]

    def _place(self, row: int, group: int) -> ir.Value:
        return self.k.at(self.address, row * self.width + group * LANES, 4)

    def _load(self, row: int, group: int) -> Vec:
        return self.k.load(self._place(row, group), vector(F32, LANES), 64)

    def save(self) -> None:
        """Write them back."""
        for row, values in enumerate((self.u, self.v)):
            for group, value in enumerate(values):
                self.k.store(value.get(), self._place(row, group), 64)


def _note(kernel: Kernel, address: ir.Value, seen: Variable) -> None:
    """OR the states that were met into memory."""
    before = kernel.load(address, vector(I32, LANES), 64)
    kernel.store(before | seen.get(), address, 64)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def charge_pair(
    typing_context: Any, flags: Any, width: Any, begin: Any, end: Any, sums: Any, sums_stride: Any, states: Any,
    states_stride: Any, constants: Any, scalars: Any, masks: Any, masks_step: Any, masks_stride: Any, seen: Any,
) -> Any:  # fmt: skip
    """Steps ``begin`` to ``end`` of one tile of two samples, whose row sums are known.

    Two, because the second's instructions fill the time in which the first waits for its own results. Addresses:
    ``sums`` (time, width), ``states`` (2, width), ``masks`` (a word every ``masks_step`` bytes), ``seen``; the
    second sample's lie ``..._stride`` bytes after the first's (64 for ``seen``).
    """
    does, wide = whole(flags), whole(width)

    def body(k: Kernel, _f: Any, _w: Any, *rest: ir.Value) -> None:
        first, last, sums, sums_far, states, states_far, constants, scalars, masks, step, masks_far, seen = rest
        tile = Tile(k, does, wide, constants, scalars)
        pair = [States(k, wide, states), States(k, wide, k.b.add(states, states_far))]
        met = [k.variable(k.zero(vector(I32, LANES))) for _ in pair]
        with k.loop(last, first) as t:
            row = k.at(sums, k.b.mul(t, I64(wide)), Sums(k, does, wide).size)
            words: list[Vec | None] = [None, None]
            for n, state in enumerate(pair):
                for group in range(wide // LANES):
                    acc = tile.sums(k.b.add(row, k.b.mul(sums_far, I64(n))), group)
                    u, v, spikes, both = tile.step(group, state.u[group].get(), state.v[group].get(), acc)
                    state.u[group].set(u)
                    state.v[group].set(v)
                    met[n].set(met[n].get() | both)
                    if spikes is not None:
                        words[n] = tile.joined(words[n], group, spikes)
            place = k.b.add(masks, k.b.mul(t, step))
            for n, word in enumerate(words):
                if word is not None:
                    k.store(word, k.b.add(place, k.b.mul(masks_far, I64(n))), 8)
        for n, state in enumerate(pair):
            state.save()
            _note(k, k.at(seen, n, 64), met[n])

    signature = types.void(flags, width, *[types.int64] * 12)
    return signature, lambda c, b, s, a: subroutine(c, b, s, a, body)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def charge_recurrent(
    typing_context: Any, flags: Any, width: Any, sums: Any, sums_far: Any, events: Any, count: Any, more_events: Any,
    more_count: Any, rows: Any, exponent: Any, states: Any, states_far: Any, constants: Any, scalars: Any, masks: Any,
    masks_far: Any, seen: Any,
) -> Any:  # fmt: skip
    """One step of one tile of two samples: the rows of their recurrent events join the ``sums``.

    ``events, count`` are the first sample's, ``more_...`` the second's; for the rest see `charge_pair`.
    """
    does, wide = whole(flags), whole(width)

    def body(k: Kernel, _f: Any, _w: Any, *rest: ir.Value) -> None:
        sums, sums_far, events, count, more_events, more_count, rows, exponent = rest[:8]
        states, states_far, constants, scalars, masks, masks_far, seen = rest[8:]
        tile = Tile(k, does, wide, constants, scalars)
        heard = []
        for n, (list_of, length) in enumerate(((events, count), (more_events, more_count))):
            own = Sums(k, does, wide)
            own.add_events(list_of, length, rows, None)
            place = k.b.add(sums, k.b.mul(sums_far, I64(n)))
            heard.append([part + own.stored(place, g) for g, part in enumerate(own.groups(exponent))])
        pair = [States(k, wide, states), States(k, wide, k.b.add(states, states_far))]
        met = [k.load(k.at(seen, n, 64), vector(I32, LANES), 64) for n in range(2)]
        words: list[Vec | None] = [None, None]
        for group in range(wide // LANES):
            for n, state in enumerate(pair):
                acc = as_float(heard[n][group])
                u, v, spikes, both = tile.step(group, state.u[group].get(), state.v[group].get(), acc)
                state.u[group].set(u)
                state.v[group].set(v)
                met[n] = met[n] | both
                if spikes is not None:
                    words[n] = tile.joined(words[n], group, spikes)
        for n, (state, word) in enumerate(zip(pair, words, strict=True)):
            state.save()
            k.store(met[n], k.at(seen, n, 64), 64)
            if word is not None:
                k.store(word, k.b.add(masks, k.b.mul(masks_far, I64(n))), 8)

    signature = types.void(flags, width, *[types.int64] * 15)
    return signature, lambda c, b, s, a: subroutine(c, b, s, a, body)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def integrate(
    typing_context: Any, flags: Any, width: Any, begin: Any, end: Any, sums: Any, states: Any, constants: Any,
    shift: Any, peaks: Any,
) -> Any:  # fmt: skip
    """Steps ``begin`` to ``end`` of readout neurons that only add up: u = (acc << shift) + bias_u, v = v + u + bias_v.

    In int32. Addresses: ``states`` (2, width), ``constants`` (2, width: the biases), ``peaks`` (4, width: the
    largest and smallest u, then v).
    """
    does, wide = whole(flags), whole(width)

    def body(k: Kernel, _f: Any, _w: Any, *rest: ir.Value) -> None:
        first, last, sums, states, constants, shift, peaks = rest
        kind = vector(I32, LANES)
        left = k.splat(k.b.trunc(shift, I32), LANES)
        size = Sums(k, does, wide).size
        for group in range(wide // LANES):
            place = [k.at(states, row * wide + group * LANES, 4) for row in range(2)]
            bias_u, bias_v = (k.load(k.at(constants, row * wide + group * LANES, 4), kind, 64) for row in range(2))
            held = [k.at(peaks, row * wide + group * LANES, 4) for row in range(4)]
            u, v = (k.variable(k.load(address, kind, 64)) for address in place)
            highest_u, lowest_u, highest_v, lowest_v = extremes = [
                k.variable(k.load(address, kind, 64)) for address in held
            ]
            with k.loop(last, first) as t:
                acc = Sums(k, does, wide).stored(k.at(sums, k.b.mul(t, I64(wide)), size), group)
                u.set(((acc if size == 4 else acc.widen(I32)) << left) + bias_u)
                v.set(v.get() + (u.get() + bias_v))
                highest_u.set(highest_u.get().max(u.get()))
                lowest_u.set(lowest_u.get().min(u.get()))
                highest_v.set(highest_v.get().max(v.get()))
                lowest_v.set(lowest_v.get().min(v.get()))
            for variable, address in zip((u, v, *extremes), (*place, *held), strict=True):
                k.store(variable.get(), address, 64)

    signature = types.void(flags, width, *[types.int64] * 7)
    return signature, lambda c, b, s, a: subroutine(c, b, s, a, body)
