"""The inner loops: row sums and neurons of one tile, for two samples at once.

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
from tclif_deploy.simulation.engine.neuron import CAREFUL, LANES, States, Tile
from tclif_deploy.simulation.engine.simd import I1, I32, I64, Kernel, Vec, subroutine, vector, whole
from tclif_deploy.simulation.engine.sums import Heard, links_of, row_sums


class Together:
    """A tile of one sample or two: states in registers, spikes as words of bits."""

    def __init__(
        self, kernel: Kernel, tile: Tile, heard: list[list[Heard]], states: ir.Value, far: ir.Value, seen: ir.Value
    ) -> None:
        self.k, self.tile, self.heard = kernel, tile, heard
        self.states = [
            States(kernel, tile.width, kernel.b.add(states, kernel.b.mul(far, I64(n)))) for n in range(len(heard))
        ]
        self.places = [kernel.at(seen, n, 64) for n in range(len(heard))] if tile.has(CAREFUL) else []
        self.seen = [kernel.variable(kernel.load(place, vector(I32, LANES), 64)) for place in self.places]

    def step(self, t: ir.Value) -> list[list[Vec]]:
        """One step; each sample's words of spikes, where the layer spikes."""
        sums = [row_sums(self.tile.flags, self.tile.width, one, t) for one in self.heard]
        words: list[list[Vec]] = [[] for _ in self.heard]
        for group in range(self.tile.width // LANES):
            for n, state in enumerate(self.states):
                u, v, spikes, met = self.tile.step(group, state.u[group].get(), state.v[group].get(), sums[n][group])
                state.u[group].set(u)
                state.v[group].set(v)
                if self.seen:
                    for value in met:
                        self.seen[n].set(self.seen[n].get() | value.cast(vector(I32, LANES)))
                if spikes is not None:
                    self.tile.join(words[n], group, spikes)
        return words

    def save(self) -> None:
        """Write states and what was seen back to memory."""
        for state in self.states:
            state.save()
        for place, seen in zip(self.places, self.seen, strict=True):
            self.k.store(seen.get(), place, 64)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def run_pair(
    typing_context: Any, flags: Any, width: Any, kinds: Any, table: Any, sample: Any, tile: Any, begin: Any, end: Any,
    states: Any, states_far: Any, constants: Any, scalars: Any, masks: Any, masks_step: Any, masks_far: Any, seen: Any,
) -> Any:  # fmt: skip
    """Steps ``begin`` to ``end`` of one tile of samples ``sample`` and ``sample + 1``.

    ``table`` is the table of links (`sums.LINK`), of ``kinds``. Addresses: ``states`` (2, width), ``masks`` (a word
    every ``masks_step`` bytes), ``seen``; the second sample's lie ``..._far`` bytes after the first's (``seen``: 64).
    """
    does, wide, kinds_of = whole(flags), whole(width), whole(kinds)

    def body(k: Kernel, _f: Any, _w: Any, _k: Any, *rest: ir.Value) -> None:
        table, sample, tile, begin, end, states, states_far, constants, scalars, masks, step, masks_far, seen = rest
        links = links_of(k, kinds_of, table, tile)
        heard = [[link.of(k.b.add(sample, I64(n))) for link in links] for n in range(2)]
        pair = Together(k, Tile(k, does, wide, constants, scalars), heard, states, states_far, seen)
        with k.loop(end, begin) as t:
            place = k.b.add(masks, k.b.mul(t, step))
            for n, words in enumerate(pair.step(t)):
                for word in words:
                    k.store(word, k.b.add(place, k.b.mul(masks_far, I64(n))), 8)
        pair.save()

    signature = types.void(flags, width, kinds, *[types.int64] * 13)
    return signature, lambda c, b, s, a: subroutine(c, b, s, a, body)


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def run_whole(
    typing_context: Any, flags: Any, width: Any, kinds: Any, count: Any, table: Any, sample: Any, time: Any,
    states: Any, states_far: Any, constants: Any, scalars: Any, masks: Any, masks_far: Any, seen: Any, bits: Any,
    neurons: Any, events: Any, events_far: Any, starts: Any, starts_far: Any,
) -> Any:  # fmt: skip
    """All steps of a layer of one tile that feeds itself, for ``count`` samples.

    As `run_pair`; ``bits`` is the address of `events.byte_table`, ``events`` and ``starts`` those of the sample's
    spikes, which `events.Expansion` lists after each step. States that exceed the registers go to the stack, where
    each step finds them in the nearest cache: that is faster than tiles by turns, whose stores hold up the weights.
    """
    does, wide, kinds_of, number = whole(flags), whole(width), whole(kinds), whole(count)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        k, b = Kernel(builder), builder
        table, sample, time, states, states_far, constants, scalars, masks, masks_far, seen = arguments[4:14]
        bits, neurons, events, events_far, starts, starts_far = arguments[14:]
        links = links_of(k, kinds_of, table, I64(0))
        heard = [[link.of(b.add(sample, I64(n))) for link in links] for n in range(number)]
        samples = Together(k, Tile(k, does, wide, constants, scalars), heard, states, states_far, seen)
        lists = [
            Expansion(
                k, context, bits, b.add(events, b.mul(events_far, far)), b.add(starts, b.mul(starts_far, far)), I64(0)
            )
            for far in map(I64, range(number))
        ]
        with k.loop(time) as t:
            for n, words in enumerate(samples.step(t)):
                place = k.at(b.add(masks, b.mul(masks_far, I64(n))), t, 8 * len(words))
                for at, word in enumerate(words):
                    k.store(word, k.at(place, at, 8), 8)
                    lists[n].add(word.cast(vector(I1, WORD)), I64(at * WORD))
                lists[n].finish(neurons, t)
        samples.save()
        return context.get_dummy_value()

    return types.void(flags, width, kinds, count, *[types.int64] * 16), generate


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def integrate(
    typing_context: Any, flags: Any, width: Any, kinds: Any, table: Any, sample: Any, tile: Any, begin: Any, end: Any,
    states: Any, biases: Any, shift: Any, peaks: Any,
) -> Any:  # fmt: skip
    """Steps ``begin`` to ``end`` of readout neurons that only add up: u = (acc << shift) + bias_u, v = v + u + bias_v.

    In int32. Addresses: ``states`` (2, width), ``biases`` (2, width), ``peaks`` (4, width: the largest and smallest u,
    then v).
    """
    does, wide, kinds_of = whole(flags), whole(width), whole(kinds)

    def body(k: Kernel, _f: Any, _w: Any, _k: Any, *rest: ir.Value) -> None:
        table, sample, tile, begin, end, states, biases, shift, peaks = rest
        heard = [link.of(sample) for link in links_of(k, kinds_of, table, tile)]
        left = k.splat(k.b.trunc(shift, I32), LANES)

        def rows(address: ir.Value, count: int, group: int) -> list[ir.Value]:
            return [k.at(address, row * wide + group * LANES, 4) for row in range(count)]

        def load(address: ir.Value) -> Vec:
            return k.load(address, vector(I32, LANES), 64)

        groups = range(wide // LANES)
        places = [[*rows(states, 2, group), *rows(peaks, 4, group)] for group in groups]
        held = [[k.variable(load(place)) for place in row] for row in places]
        bias = [[load(place) for place in rows(biases, 2, group)] for group in groups]
        with k.loop(end, begin) as t:
            for group, acc in enumerate(row_sums(does, wide, heard, t)):
                u, v, highest_u, lowest_u, highest_v, lowest_v = held[group]
                current = acc if acc.value.type.element == I32 else acc.widen(I32)
                u.set((current << left) + bias[group][0])
                v.set(v.get() + (u.get() + bias[group][1]))
                highest_u.set(highest_u.get().max(u.get()))
                lowest_u.set(lowest_u.get().min(u.get()))
                highest_v.set(highest_v.get().max(v.get()))
                lowest_v.set(lowest_v.get().min(v.get()))
        for row_of, values in zip(places, held, strict=True):
            for place, value in zip(row_of, values, strict=True):
                k.store(value.get(), place, 64)

    signature = types.void(flags, width, kinds, *[types.int64] * 9)
    return signature, lambda c, b, s, a: subroutine(c, b, s, a, body)
