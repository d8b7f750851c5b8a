"""Currents of float64 networks that no row of weights gives: convolutions, and sources that 16 bits cannot number.

A neuron's sum starts at 0.0 and takes its sources one by one, ascending, connection by connection, as in a tile.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.fixed import Int
from tclif_deploy.jit import helper, kernel
from tclif_deploy.network import Float
from tclif_deploy.simulation.engine.events import WORD
from tclif_deploy.simulation.engine.scatter import (
    COLUMNS,
    DILATION_X,
    DILATION_Y,
    GROUP_IN,
    GROUP_OUT,
    KERNEL_X,
    KERNEL_Y,
    LEFT,
    OUTPUTS,
    POSITIONS,
    ROWS,
    SIZE,
    STRIDE_X,
    STRIDE_Y,
    TOP,
    WIDTH,
)
from tclif_deploy.simulation.engine.simd import first_bit

Masks = NDArray[np.uint64]


@helper
def _place(at: int, stride: int, count: int) -> int:
    """Which of ``count`` outputs sees the place ``at`` of the padded map first in its window, or -1."""
    if at < 0:
        return -1
    if stride > 1:
        if at % stride:
            return -1
        at //= stride
    return at if at < count else -1


@helper
def _scatter(
    sums: Float, value: float, source: int, shape: Int, weights: Float, of_channel: int, of_position: int
) -> None:
    """Add ``value`` of a source to ``sums``, in which channels and positions are so many apart."""
    channel, place = source // shape[SIZE], source % shape[SIZE]
    y, x = place // shape[WIDTH] + shape[TOP], place % shape[WIDTH] + shape[LEFT]
    count = shape[GROUP_OUT]
    first = channel // shape[GROUP_IN] * count * of_channel
    for kernel_y in range(shape[KERNEL_Y]):
        row = _place(y - kernel_y * shape[DILATION_Y], shape[STRIDE_Y], shape[ROWS])
        if row < 0:
            continue
        for kernel_x in range(shape[KERNEL_X]):
            column = _place(x - kernel_x * shape[DILATION_X], shape[STRIDE_X], shape[COLUMNS])
            if column < 0:
                continue
            to = first + (row * shape[COLUMNS] + column) * of_position
            at = ((channel * shape[KERNEL_Y] + kernel_y) * shape[KERNEL_X] + kernel_x) * count
            if of_channel == 1:
                for n in range(count):
                    sums[to + n] += value * weights[at + n]
            else:
                for n in range(count):
                    sums[to + n * of_channel] += value * weights[at + n]


@helper
def _arrive(sums: Float, value: float, source: int, neurons: int, shape: Int, weights: Float, channels: int) -> None:
    """Add what one source carries, through a kernel or a row of weights."""
    if shape[OUTPUTS]:
        if channels:
            _scatter(sums, value, source, shape, weights, 1, channels)
        else:
            _scatter(sums, value, source, shape, weights, shape[POSITIONS], 1)
        return
    row = weights[source * neurons : (source + 1) * neurons]
    for n in range(neurons):
        sums[n] += row[n] * value


@kernel
def add_input(
    currents: Float, x: Float, begin: int, delay: int, neurons: int, shape: Int, weights: Float, channels: int
) -> None:
    """Add to ``currents`` (samples, steps, neurons or more), of steps from ``begin`` on, what a connection carries of
    the input ``x`` (samples, time, features). Neurons stand in their order or, of a map of so many ``channels`` (0:
    none), by (y, x, channel)."""
    for sample in range(currents.shape[0]):
        for t in range(max(begin, delay), begin + currents.shape[1]):
            for j in range(x.shape[2]):
                value = x[sample, t - delay, j]
                if value != 0.0:
                    _arrive(currents[sample, t - begin], value, j, neurons, shape, weights, channels)


@kernel
def add_spikes(
    currents: Float, masks: Masks, begin: int, delay: int, neurons: int, shape: Int, weights: Float, channels: int
) -> None:
    """As `add_input`, of spikes: ``masks`` (samples, time, words)."""
    for sample in range(currents.shape[0]):
        for t in range(max(begin, delay), begin + currents.shape[1]):
            sums = currents[sample, t - begin]
            for word in range(masks.shape[2]):
                bits = masks[sample, t - delay, word]
                while bits:
                    _arrive(sums, 1.0, word * WORD + first_bit(bits), neurons, shape, weights, channels)
                    bits &= bits - np.uint64(1)


@kernel
def by_neuron(currents: Float, channels: int, positions: int, scratch: Float) -> None:
    """Bring ``currents`` that stand by (y, x, channel) into the order of neurons; ``scratch`` is as large as one
    step's."""
    for sample in range(currents.shape[0]):
        for t in range(currents.shape[1]):
            row = currents[sample, t]
            scratch[:] = row
            for channel in range(channels):
                for position in range(positions):
                    row[channel * positions + position] = scratch[position * channels + channel]
