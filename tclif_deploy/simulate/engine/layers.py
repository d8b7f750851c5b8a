"""Kernels that run one layer for a block of samples, from lists of events to bits of spikes.

Each is made for the flags of a layer (`neuron`), and networks of one kind share its machine code. Samples are taken in
pairs, so their number is even; arrays are aligned to 64 bytes.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.fixed import Int
from tclif_deploy.simulate.engine import neuron
from tclif_deploy.simulate.engine.compile import kernel
from tclif_deploy.simulate.engine.events import expand_step, padded, sort_steps
from tclif_deploy.simulate.engine.neuron import charge_pair, charge_recurrent, integrate
from tclif_deploy.simulate.engine.simd import ROUND_DOWN, ROUND_TO_ZERO, address, restore_rounding, set_rounding
from tclif_deploy.simulate.engine.sums import CHUNK, gather

Masks = NDArray[np.uint64]
Float32 = NDArray[np.float32]


def _rounding(flags: int) -> int:
    return ROUND_TO_ZERO if flags & neuron.TO_ZERO else ROUND_DOWN


@cache
def feedforward(flags: int, width: int) -> Any:
    """The kernel of spiking layers without recurrence."""
    rounding = _rounding(flags)

    @kernel
    def run(
        links: Int, constants: Float32, scalars: Float32, sums: NDArray[Any], states: Float32, masks: Masks,
        seen: NDArray[np.int32],
    ) -> None:  # fmt: skip
        """``links`` (links, 15); ``constants`` (tiles, rows, width); ``sums`` (2, time, width) is scratch; ``states``
        (samples, tiles, 2, width) become the last; ``masks`` (samples, time, tiles); ``seen`` (samples, 16)."""
        time, tiles = masks.shape[1], masks.shape[2]
        before = set_rounding(rounding)
        for sample in range(0, masks.shape[0], 2):
            for tile in range(tiles):
                for n in range(2):
                    to = address(sums) + n * sums.strides[0]
                    gather(
                        flags, width, address(links), links.shape[0], sample + n, tile, 0, time, to, sums.strides[1]
                    )  # fmt: skip
                state = address(states) + sample * states.strides[0] + tile * states.strides[1]
                constant = address(constants) + tile * constants.strides[0]
                charge_pair(
                    flags, width, 0, time, address(sums), sums.strides[0], state, states.strides[0], constant,
                    address(scalars), address(masks) + sample * masks.strides[0] + tile * masks.strides[2],
                    masks.strides[1], masks.strides[0], address(seen) + sample * seen.strides[0],
                )  # fmt: skip
        restore_rounding(before)

    return run


@cache
def recurrent(flags: int, width: int) -> Any:
    """The kernel of layers that also feed themselves; it lists their spikes as it goes."""
    rounding = _rounding(flags)

    @kernel
    def run(
        links: Int, constants: Float32, scalars: Float32, sums: NDArray[Any], states: Float32, masks: Masks,
        seen: NDArray[np.int32], rows: NDArray[Any], delay: int, exponent: int, neurons: int, table: NDArray[np.uint8],
        events: NDArray[np.uint16], starts: NDArray[np.int32], order: NDArray[np.int32], bins: NDArray[np.int32],
        fired: NDArray[np.int64], most: NDArray[np.int64],
    ) -> None:  # fmt: skip
        """As `feedforward`, but ``sums`` is (`CHUNK`, tiles, samples, width), and all samples take each step together:
        so a tile's weights serve them all while they are in the cache. ``rows`` (tiles, sources + 1, bytes) are the
        weights of the layer's own spikes, which come ``delay`` steps late, and whose sum is shifted left by
        ``exponent``; all from ``events`` on as in `events.list_spikes`."""
        samples, time, tiles = masks.shape
        step = sums.strides[0]
        at = np.zeros(samples, np.int64)
        fired[:], most[:], starts[:, 0] = 0, 0, 0
        before = set_rounding(rounding)
        for begin in range(0, time, CHUNK):
            end = min(begin + CHUNK, time)
            for tile in range(tiles):
                for n in range(samples):
                    to = address(sums) + tile * sums.strides[1] + n * sums.strides[2]
                    gather(flags, width, address(links), links.shape[0], n, tile, begin, end, to, step)
            for t in range(begin, end):
                for tile in range(tiles):
                    row = address(sums) + (t - begin) * step + tile * sums.strides[1]
                    state = address(states) + tile * states.strides[1]
                    bits = address(masks) + t * masks.strides[1] + tile * masks.strides[2]
                    constant = address(constants) + tile * constants.strides[0]
                    weights = address(rows) + tile * rows.strides[0]
                    for n in range(0, samples, 2):
                        first = second = first_count = second_count = 0
                        if t >= delay:
                            first, second = starts[n, t - delay], starts[n + 1, t - delay]
                            first_count = starts[n, t - delay + 1] - first
                            second_count = starts[n + 1, t - delay + 1] - second
                        lists = address(events) + n * events.strides[0]
                        charge_recurrent(
                            flags, width, row + n * sums.strides[2], sums.strides[2], lists + 2 * first, first_count,
                            lists + events.strides[0] + 2 * second, second_count, weights, exponent,
                            state + n * states.strides[0], states.strides[0], constant, address(scalars),
                            bits + n * masks.strides[0], masks.strides[0], address(seen) + n * seen.strides[0],
                        )  # fmt: skip
                for n in range(samples):
                    bits = address(masks) + n * masks.strides[0] + t * masks.strides[1]
                    lists = address(events) + n * events.strides[0]
                    count = expand_step(bits, tiles, address(table), lists + 2 * at[n], neurons)
                    fired[n] += count
                    most[n] = max(most[n], count)
                    at[n] += padded(count)
                    starts[n, t + 1] = at[n]
        restore_rounding(before)
        for n in range(samples):
            sort_steps(starts[n], order[n], bins)

    return run


@cache
def readout(flags: int, width: int) -> Any:
    """The kernel of a layer that doesn't spike; it also notes the soma at each sample's last valid step."""
    rounding = _rounding(flags)

    @kernel
    def run(
        links: Int, constants: Float32, scalars: Float32, sums: NDArray[Any], states: Float32, last: Int,
        read: Float32, seen: NDArray[np.int32],
    ) -> None:  # fmt: skip
        """As `feedforward`; ``last`` (samples,) steps, ``read`` (samples, tiles, width) the soma after these."""
        time, tiles = sums.shape[1], states.shape[1]
        before = set_rounding(rounding)
        for sample in range(0, states.shape[0], 2):
            for tile in range(tiles):
                for n in range(2):
                    to = address(sums) + n * sums.strides[0]
                    gather(
                        flags, width, address(links), links.shape[0], sample + n, tile, 0, time, to, sums.strides[1]
                    )  # fmt: skip
                state = address(states) + sample * states.strides[0] + tile * states.strides[1]
                constant = address(constants) + tile * constants.strides[0]
                begin = 0
                for end in (
                    min(last[sample], last[sample + 1]) + 1, max(last[sample], last[sample + 1]) + 1, time
                ):  # fmt: skip
                    charge_pair(
                        flags, width, begin, end, address(sums), sums.strides[0], state, states.strides[0], constant,
                        address(scalars), 0, 0, 0, address(seen) + sample * seen.strides[0],
                    )  # fmt: skip
                    for n in range(2):
                        if end == last[sample + n] + 1:
                            read[sample + n, tile] = states[sample + n, tile, 1]
                    begin = end
        restore_rounding(before)

    return run


@cache
def integrator(flags: int, width: int) -> Any:
    """The kernel of a readout that only adds up: A_u = B_u = 0, A_v = B_v = 2^k."""

    @kernel
    def run(
        links: Int, biases: NDArray[np.int32], shift: int, sums: NDArray[Any], states: NDArray[np.int32], last: Int,
        read: NDArray[np.int32], peaks: NDArray[np.int32],
    ) -> None:  # fmt: skip
        """As `readout`, in int32; ``sums`` (time, width); ``biases`` (tiles, 2, width); ``peaks`` (samples, tiles, 4,
        width): the largest and smallest u, then v."""
        time, tiles = sums.shape[0], states.shape[1]
        for sample in range(states.shape[0]):
            for tile in range(tiles):
                to = address(sums)
                gather(flags, width, address(links), links.shape[0], sample, tile, 0, time, to, sums.strides[0])
                for begin, end in ((0, last[sample] + 1), (last[sample] + 1, time)):
                    integrate(
                        flags, width, begin, end, to,
                        address(states) + sample * states.strides[0] + tile * states.strides[1],
                        address(biases) + tile * biases.strides[0], shift,
                        address(peaks) + sample * peaks.strides[0] + tile * peaks.strides[1],
                    )  # fmt: skip
                    if begin == 0:
                        read[sample, tile] = states[sample, tile, 1]

    return run
