"""The inner loops: row sums and neurons of one tile, for two samples at once, or for one whose tile is wide (`form`).

Two, because the second's instructions fill the time in which the first waits for its own results. Sums and neurons are
one loop, because they keep different parts of the CPU busy: 70 cycles for 64 neurons with 17 events each, where a
loop of sums and then one of neurons took 90 (Zen 4). A loop over events ends unforeseen in many steps, but the vector
units still have work queued while the CPU recovers.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tclif_deploy.simulation.engine.events import WORD, Expansion
from tclif_deploy.simulation.engine.neuron import LANES, States, Tile
from tclif_deploy.simulation.engine.simd import I1, I32, I64, Kernel, Vec, literal_value, subroutine, vector
from tclif_deploy.simulation.engine.spec import Flag, KernelSpec
from tclif_deploy.simulation.engine.sums import EventCursor, connections_of, row_sums


def _spec_of(flags: Any, width: Any, kinds: Any) -> KernelSpec:
    """The spec whose literals an intrinsic was given."""
    return KernelSpec.from_literals(literal_value(flags), literal_value(width), literal_value(kinds))


class TilePair:
    """A tile of one sample or two: states in registers, spikes as words of bits."""

    def __init__(
        self,
        kernel: Kernel,
        tile: Tile,
        cursors: list[list[EventCursor]],
        states: ir.Value,
        far: ir.Value,
        state_bits: ir.Value,
    ) -> None:
        self.k, self.tile, self.cursors = kernel, tile, cursors
        self.states = [
            States(kernel, tile.spec.width, kernel.b.add(states, kernel.b.mul(far, I64(n))))
            for n in range(len(cursors))
        ]
        self.places = (
            [kernel.at(state_bits, n, 64) for n in range(len(cursors))] if tile.spec.has(Flag.OVERFLOW_CHECKED) else []
        )
        self.state_bits = [kernel.variable(kernel.load(place, vector(I32, LANES), 64)) for place in self.places]

    def step(self, t: ir.Value) -> list[list[Vec]]:
        """One step; each sample's words of spikes, where the layer spikes."""
        sums = [row_sums(self.tile.spec, each, t) for each in self.cursors]
        words: list[list[Vec]] = [[] for _ in self.cursors]
        for group in range(self.tile.spec.width // LANES):
            for n, state in enumerate(self.states):
                u, v, spikes, states = self.tile.step(group, state.u[group].get(), state.v[group].get(), sums[n][group])
                state.u[group].set(u)
                state.v[group].set(v)
                if self.state_bits:
                    for value in states:
                        self.state_bits[n].set(self.state_bits[n].get() | value.cast(vector(I32, LANES)))
                if spikes is not None:
                    self.tile.join(words[n], group, spikes)
        return words

    def save(self) -> None:
        """Write the states and their bits back to memory."""
        for state in self.states:
            state.save()
        for place, bits in zip(self.places, self.state_bits, strict=True):
            self.k.store(bits.get(), place, 64)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def run_tile(
    typing_context: Any, flags: Any, width: Any, kinds: Any, count: Any, table: Any, sample: Any, tile: Any, begin: Any,
    end: Any, states: Any, states_far: Any, constants: Any, scalars: Any, masks: Any, masks_step: Any, masks_far: Any,
    state_bits: Any,
) -> Any:  # fmt: skip
    """Steps ``begin`` to ``end`` of one tile of ``count`` samples from ``sample``, one or two.

    ``table`` is the table of connections (`sums.COLUMNS`), of ``kinds``. Addresses: ``states`` (2, width), ``masks`` (a
    step's words every ``masks_step`` bytes), ``state_bits``; a second sample's lie ``..._far`` bytes after the first's
    (``state_bits``: 64).
    """
    spec, number = _spec_of(flags, width, kinds), literal_value(count)

    def body(k: Kernel, _f: Any, _w: Any, _k: Any, _n: Any, *rest: ir.Value) -> None:
        table, sample, tile, begin, end, states, states_far, constants, scalars, masks, step, masks_far, state_bits = (
            rest
        )
        connections = connections_of(k, spec, table, tile)
        cursors = [[c.cursor(k.b.add(sample, I64(n))) for c in connections] for n in range(number)]
        pair = TilePair(k, Tile(k, spec, constants, scalars), cursors, states, states_far, state_bits)
        with k.loop(end, begin) as t:
            place = k.b.add(masks, k.b.mul(t, step))
            for n, words in enumerate(pair.step(t)):
                for at, word in enumerate(words):
                    k.store(word, k.at(k.b.add(place, k.b.mul(masks_far, I64(n))), at, 8), 8)
        pair.save()

    signature = types.void(flags, width, kinds, count, *[types.int64] * 13)
    return signature, lambda c, b, s, a: subroutine(c, b, s, a, body)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def run_one_tile(
    typing_context: Any, flags: Any, width: Any, kinds: Any, count: Any, table: Any, sample: Any, first: Any, time: Any,
    states: Any, states_far: Any, constants: Any, scalars: Any, masks: Any, masks_far: Any, state_bits: Any,
    byte_table: Any, neurons: Any, events: Any, events_far: Any, starts: Any, starts_far: Any,
) -> Any:  # fmt: skip
    """Steps ``first`` to ``time`` of a layer of one tile that feeds itself, for ``count`` samples.

    As `run_tile`; ``byte_table`` is the address of `events.byte_table`, ``events`` and ``starts`` those of the sample's
    spikes, which `events.Expansion` lists after each step. States that exceed the registers go to the stack, where
    each step finds them in the nearest cache: that is faster than tiles by turns, whose stores hold up the weights.
    """
    spec, number = _spec_of(flags, width, kinds), literal_value(count)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        k, b = Kernel(builder), builder
        table, sample, first, time, states, states_far, constants, scalars, masks, masks_far, state_bits = arguments[
            4:15
        ]
        byte_table, neurons, events, events_far, starts, starts_far = arguments[15:]
        connections = connections_of(k, spec, table, I64(0))
        cursors = [[c.cursor(b.add(sample, I64(n))) for c in connections] for n in range(number)]
        samples = TilePair(k, Tile(k, spec, constants, scalars), cursors, states, states_far, state_bits)
        lists = [
            Expansion(
                k, context, byte_table, b.add(events, b.mul(events_far, n)), b.add(starts, b.mul(starts_far, n)), first
            )
            for n in map(I64, range(number))
        ]
        with k.loop(time, first) as t:
            for n, words in enumerate(samples.step(t)):
                place = k.at(b.add(masks, b.mul(masks_far, I64(n))), t, 8 * len(words))
                for at, word in enumerate(words):
                    k.store(word, k.at(place, at, 8), 8)
                    lists[n].add(word.cast(vector(I1, WORD)), I64(at * WORD))
                lists[n].finish(neurons, t)
        samples.save()
        return context.get_dummy_value()

    return types.void(flags, width, kinds, count, *[types.int64] * 17), generate


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def integrate(
    typing_context: Any, flags: Any, width: Any, kinds: Any, table: Any, sample: Any, tile: Any, begin: Any, end: Any,
    states: Any, biases: Any, shift: Any, extremes: Any,
) -> Any:  # fmt: skip
    """Steps ``begin`` to ``end`` of readout neurons that only add up: u = (acc << shift) + bias_u, v = v + u + bias_v.

    In int32. Addresses: ``states`` (2, width), ``biases`` (2, width), ``extremes`` (4, width: the largest and smallest
    u, then v).
    """
    spec = _spec_of(flags, width, kinds)

    def body(k: Kernel, _f: Any, _w: Any, _k: Any, *rest: ir.Value) -> None:
        table, sample, tile, begin, end, states, biases, shift, extremes = rest
        cursors = [c.cursor(sample) for c in connections_of(k, spec, table, tile)]
        left = k.splat(k.b.trunc(shift, I32), LANES)

        def rows(address: ir.Value, count: int, group: int) -> list[ir.Value]:
            return [k.at(address, row * spec.width + group * LANES, 4) for row in range(count)]

        def load(address: ir.Value) -> Vec:
            return k.load(address, vector(I32, LANES), 64)

        groups = range(spec.width // LANES)
        places = [[*rows(states, 2, group), *rows(extremes, 4, group)] for group in groups]
        variables = [[k.variable(load(place)) for place in row] for row in places]
        bias = [[load(place) for place in rows(biases, 2, group)] for group in groups]
        with k.loop(end, begin) as t:
            for group, acc in enumerate(row_sums(spec, cursors, t)):
                u, v, highest_u, lowest_u, highest_v, lowest_v = variables[group]
                current = acc if acc.value.type.element == I32 else acc.widen(I32)
                u.set((current << left) + bias[group][0])
                v.set(v.get() + (u.get() + bias[group][1]))
                highest_u.set(highest_u.get().max(u.get()))
                lowest_u.set(lowest_u.get().min(u.get()))
                highest_v.set(highest_v.get().max(v.get()))
                lowest_v.set(lowest_v.get().min(v.get()))
        for row_of, values in zip(places, variables, strict=True):
            for place, value in zip(row_of, values, strict=True):
                k.store(value.get(), place, 64)

    signature = types.void(flags, width, kinds, *[types.int64] * 9)
    return signature, lambda c, b, s, a: subroutine(c, b, s, a, body)
