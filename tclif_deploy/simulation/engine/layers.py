"""Kernels that run one layer for a block of samples, from lists of events to bits of spikes.

Each is made for a `spec.KernelSpec`: the flags of a layer, the width of its tiles and the kinds of its connections.
Layers of the same spec share its machine code. Samples are taken in pairs, so their number is even; arrays are aligned
to 64 bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.fixed import Int
from tclif_deploy.jit import kernel, made_once
from tclif_deploy.simulation.engine.events import WORD, expand
from tclif_deploy.simulation.engine.simd import ROUND_DOWN, ROUND_TO_ZERO, address, begin_rounding, end_rounding
from tclif_deploy.simulation.engine.spec import Flag, KernelSpec
from tclif_deploy.simulation.engine.steps import integrate, run_one_tile, run_tile

Masks = NDArray[np.uint64]
Float32 = NDArray[np.float32]


WIDEST_PAIR = 128
"""Widest tile whose states of two samples the registers nearly hold: beyond, two are slower than one by one."""


def _rounding_mode(spec: KernelSpec) -> int:
    return ROUND_TO_ZERO if spec.has(Flag.TO_ZERO) else ROUND_DOWN


@made_once
def feedforward(spec: KernelSpec) -> Any:
    """The kernel of spiking layers without recurrence."""
    flags, width, kinds = spec.literals
    rounding, count = _rounding_mode(spec), 1 if spec.has(Flag.WORDS) else 2
    words = width // WORD

    @kernel
    def run(
        connections: Int,
        constants: Float32,
        scalars: Float32,
        states: Float32,
        masks: Masks,
        state_bits: NDArray[np.int32],
        first: int,
    ) -> bool:
        """``connections`` (connections, `sums.COLUMNS`); ``constants`` (tiles, rows, width); ``states`` (samples,
        tiles, 2, width) become the last; ``masks`` (samples, time, tiles); ``state_bits`` (samples, 16): the bits of
        all states, OR-ed (if `Flag.OVERFLOW_CHECKED`). Steps before ``first`` were run before: their events are there.

        Returns whether the CPU noted an overflow.
        """
        before = begin_rounding(rounding)
        for sample in range(0, masks.shape[0], count):
            for tile in range(masks.shape[2] // words):
                run_tile(
                    flags, width, kinds, count, address(connections), sample, tile, first, masks.shape[1],
                    address(states) + sample * states.strides[0] + tile * states.strides[1], states.strides[0],
                    address(constants) + tile * constants.strides[0], address(scalars),
                    address(masks) + sample * masks.strides[0] + tile * words * masks.strides[2], masks.strides[1],
                    masks.strides[0], address(state_bits) + sample * state_bits.strides[0],
                )  # fmt: skip
        overflowed: bool = end_rounding(before)
        return overflowed

    return run


@made_once
def recurrent(spec: KernelSpec) -> Any:
    """The kernel of layers of several tiles that also feed themselves; it lists their spikes as it goes.

    All samples take each step together: so a tile's weights serve them all while they are in the cache.
    """
    flags, width, kinds = spec.literals
    rounding = _rounding_mode(spec)

    @kernel
    def run(
        connections: Int, constants: Float32, scalars: Float32, states: Float32, masks: Masks,
        state_bits: NDArray[np.int32], first: int, neurons: int, table: NDArray[np.uint8], events: NDArray[np.uint16],
        starts: NDArray[np.int32],
    ) -> bool:  # fmt: skip
        """As `feedforward`; from ``neurons`` to ``starts`` as `events.list_spikes`, which listed what was before
        ``first``."""
        samples, time, tiles = masks.shape
        before = begin_rounding(rounding)
        for t in range(first, time):
            for tile in range(tiles):
                for sample in range(0, samples, 2):
                    run_tile(
                        flags, width, kinds, 2, address(connections), sample, tile, t, t + 1,
                        address(states) + sample * states.strides[0] + tile * states.strides[1], states.strides[0],
                        address(constants) + tile * constants.strides[0], address(scalars),
                        address(masks) + sample * masks.strides[0] + tile * masks.strides[2], masks.strides[1],
                        masks.strides[0], address(state_bits) + sample * state_bits.strides[0],
                    )  # fmt: skip
            for n in range(samples):
                expand(
                    address(masks) + n * masks.strides[0], tiles, t, t + 1, address(table),
                    address(events) + n * events.strides[0], address(starts) + n * starts.strides[0], neurons,
                )  # fmt: skip
        overflowed: bool = end_rounding(before)
        return overflowed

    return run


@made_once
def recurrent_one_tile(spec: KernelSpec) -> Any:
    """The kernel of layers that also feed themselves and are of one tile: one sample or two through all steps."""
    flags, width, kinds = spec.literals
    rounding, count = _rounding_mode(spec), 1 if width > WIDEST_PAIR else 2

    @kernel
    def run(
        connections: Int, constants: Float32, scalars: Float32, states: Float32, masks: Masks,
        state_bits: NDArray[np.int32], first: int, neurons: int, table: NDArray[np.uint8], events: NDArray[np.uint16],
        starts: NDArray[np.int32],
    ) -> bool:  # fmt: skip
        """As `recurrent`."""
        before = begin_rounding(rounding)
        for sample in range(0, masks.shape[0], count):
            run_one_tile(
                flags, width, kinds, count, address(connections), sample, first, masks.shape[1],
                address(states) + sample * states.strides[0], states.strides[0], address(constants), address(scalars),
                address(masks) + sample * masks.strides[0], masks.strides[0],
                address(state_bits) + sample * state_bits.strides[0], address(table), neurons,
                address(events) + sample * events.strides[0], events.strides[0],
                address(starts) + sample * starts.strides[0], starts.strides[0],
            )  # fmt: skip
        overflowed: bool = end_rounding(before)
        return overflowed

    return run


@made_once
def readout(spec: KernelSpec) -> Any:
    """The kernel of a layer that doesn't spike; it also notes the soma at each sample's last valid step."""
    flags, width, kinds = spec.literals
    rounding = _rounding_mode(spec)

    @kernel
    def run(
        connections: Int, constants: Float32, scalars: Float32, states: Float32, time: int, last: Int,
        readouts: Float32, state_bits: NDArray[np.int32], first: int,
    ) -> bool:  # fmt: skip
        """As `feedforward`; ``last`` (samples,) steps, ``readouts`` (samples, tiles, width) the soma after these."""
        before = begin_rounding(rounding)
        for sample in range(0, states.shape[0], 2):
            for tile in range(states.shape[1]):
                ends = (last[sample] + 1, last[sample + 1] + 1)
                begin = first
                for end in (min(ends), max(ends), time):
                    run_tile(
                        flags, width, kinds, 2, address(connections), sample, tile, begin, end,
                        address(states) + sample * states.strides[0] + tile * states.strides[1], states.strides[0],
                        address(constants) + tile * constants.strides[0], address(scalars), 0, 0, 0,
                        address(state_bits) + sample * state_bits.strides[0],
                    )  # fmt: skip
                    for n in range(2):
                        if end == ends[n]:
                            readouts[sample + n, tile] = states[sample + n, tile, 1]
                    begin = end
        overflowed: bool = end_rounding(before)
        return overflowed

    return run


@made_once
def integrator(spec: KernelSpec) -> Any:
    """The kernel of a readout that only adds up: A_u = B_u = 0, A_v = B_v = 2^k."""
    flags, width, kinds = spec.literals

    @kernel
    def run(
        connections: Int, biases: NDArray[np.int32], shift: int, states: NDArray[np.int32], time: int, last: Int,
        readouts: NDArray[np.int32], extremes: NDArray[np.int32], top_u: int, top_v: int, inside: NDArray[np.bool_],
        first: int,
    ) -> None:  # fmt: skip
        """As `readout`, in int32; ``biases`` (tiles, 2, width); ``extremes`` (4, width) is scratch. Writes where all
        magnitudes stayed below ``top_u`` and ``top_v`` to ``inside`` (samples,)."""
        for sample in range(states.shape[0]):
            inside[sample] = True
            for tile in range(states.shape[1]):
                extremes[:] = 0
                for begin, end in ((first, last[sample] + 1), (last[sample] + 1, time)):
                    integrate(
                        flags, width, kinds, address(connections), sample, tile, begin, end,
                        address(states) + sample * states.strides[0] + tile * states.strides[1],
                        address(biases) + tile * biases.strides[0], shift,
                        address(extremes),
                    )  # fmt: skip
                    if begin == first:
                        readouts[sample, tile] = states[sample, tile, 1]
                for n in range(extremes.shape[1]):
                    inside[sample] &= (
                        max(extremes[0, n], -extremes[1, n]) < top_u and max(extremes[2, n], -extremes[3, n]) < top_v
                    )

    return run


@kernel
def whole_states(states: NDArray[Any], scale_u: np.float32, scale_v: np.float32, u: Int, v: Int) -> None:
    """The whole numbers ``u, v`` (samples, neurons) of a layer's ``states`` (samples or more, tiles, 2, width): each
    times the inverse of its unit."""
    for sample in range(u.shape[0]):
        for tile in range(states.shape[1]):
            first = tile * states.shape[3]
            for n in range(min(states.shape[3], u.shape[1] - first)):
                u[sample, first + n] = np.int64(states[sample, tile, 0, n] * scale_u)
                v[sample, first + n] = np.int64(states[sample, tile, 1, n] * scale_v)
