"""Layers of float64 networks over all steps of a block of samples, and what their sums come from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.fixed import Int
from tclif_deploy.jit import kernel, made_once
from tclif_deploy.network import Float
from tclif_deploy.simulation.engine.events import WORD, expand
from tclif_deploy.simulation.engine.float_tile import CHARGED_V, TRACED_V, run_tile
from tclif_deploy.simulation.engine.readout import LATEST, read_step
from tclif_deploy.simulation.engine.simd import address
from tclif_deploy.simulation.engine.sums import PADDING

Masks = NDArray[np.uint64]


@kernel
def list_values(x: Float, events: NDArray[np.uint16], values: Float, starts: NDArray[np.int32]) -> None:
    """Lists of what in ``x`` (samples, time, features) is not 0: ``events`` and ``values`` (samples, capacity),
    ``starts`` (samples, time + 1); a step's are filled up to a multiple of `PADDING` with the row of zeros."""
    features = x.shape[2]
    for sample in range(x.shape[0]):
        at = 0
        starts[sample, 0] = 0
        for t in range(x.shape[1]):
            for j in range(features):
                events[sample, at], values[sample, at] = j, x[sample, t, j]
                at += x[sample, t, j] != 0.0
            while at % PADDING:
                events[sample, at], values[sample, at] = features, 0.0
                at += 1
            starts[sample, t + 1] = at


@made_once
def layer_steps(width: int, choices: int) -> Any:
    """The kernel that runs layers whose tiles have ``width`` neurons, by `float_tile.Choice`."""

    @kernel
    def run(
        by_step: bool, begin: int, end: int, table: Int, states: Float, constants: Float, numbers: Float,
        currents: Float, masks: Masks, peaks: Float, trace: Float, neurons: int, bytes_of: NDArray[np.uint8],
        events: NDArray[np.uint16], starts: NDArray[np.int32],
    ) -> None:  # fmt: skip
        """Steps ``begin`` to ``end``; one after another, each of all samples, where the layer feeds itself
        (``by_step``).

        ``table`` (connections, `float_tile.COLUMNS`); ``states`` (samples, tiles, 2, width), ``constants`` (tiles,
        `float_tile.CONSTANTS`, width), ``peaks`` (tiles, 2, width); ``currents`` (samples, end - begin, tiles * width)
        where sums start, or of size 0; ``masks`` (samples, time, tiles); ``trace`` (samples, time, `float_tile.TRACED`,
        tiles * width), or of size 0. ``events`` (samples, capacity), or of size 0, and ``starts``
        go on with the spikes of these steps.
        """
        samples, tiles = states.shape[0], states.shape[1]
        stride = 1 if by_step else end - begin
        current_at: Any = 0
        trace_at: Any = 0
        for t in range(begin, end, stride):
            for tile in range(tiles):
                for sample in range(samples):
                    if currents.size:
                        current_at = (
                            address(currents) + sample * currents.strides[0] + (t - begin) * currents.strides[1]
                            + tile * width * 8
                        )  # fmt: skip
                    if trace.size:
                        trace_at = address(trace) + sample * trace.strides[0] + t * trace.strides[1] + tile * width * 8
                    run_tile(
                        width, choices, address(table), table.shape[0], sample, tile, t, t + stride,
                        address(states) + sample * states.strides[0] + tile * states.strides[1],
                        address(constants) + tile * constants.strides[0], address(numbers),
                        current_at, currents.strides[1],
                        address(masks) + sample * masks.strides[0] + t * masks.strides[1] + tile * masks.strides[2],
                        masks.strides[1], address(peaks) + tile * peaks.strides[0], trace_at, trace.strides[2],
                    )  # fmt: skip
            if events.size:
                for sample in range(samples):
                    expand(
                        address(masks) + sample * masks.strides[0], tiles, t, t + stride, address(bytes_of),
                        address(events) + sample * events.strides[0], address(starts) + sample * starts.strides[0],
                        neurons,
                    )  # fmt: skip

    return run


@kernel
def read(
    code: Int, size: int, last: Int, masks: Masks, trace: Float, threshold: Float, strict: bool, value: Float,
    decided: Int, steps: Float,
) -> None:  # fmt: skip
    """What a rule (`readout.readout_code`) says of a last layer of ``size`` neurons, (samples, outputs), up to step
    ``last`` (samples,); ``steps`` (samples, time, outputs) after each, of no steps where not wanted."""
    fired = np.zeros(size, np.int64)
    for sample in range(value.shape[0]):
        first = last[sample] if code[0] == LATEST and not steps.shape[1] else 0
        for t in range(first, trace.shape[1] if steps.shape[1] else last[sample] + 1):
            if t <= last[sample]:
                for n in range(size):
                    fired[n] = masks[sample, t, n // WORD] >> np.uint64(n % WORD) & np.uint64(1)
                states = trace[sample, t]
                read_step(
                    code, t, states[TRACED_V, :size], states[CHARGED_V, :size], fired, threshold, strict, value[sample],
                    decided[sample : sample + 1],
                )  # fmt: skip
            if steps.shape[1]:
                steps[sample, t] = value[sample]
