"""Images moved by a few pixels, whatever the order that their pixels are shown in."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.text import count


class Shifts:
    """The moves of square images by up to ``most`` pixels down or up and right or left; what comes in is 0.

    ``data`` shows a pixel a step: pixel ``permutation[t]`` of the rows one after another at step t, or pixel t (None).
    Raises `TclifError` for other data, and where nothing of an image might stay.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Dataset
    >>> image = Dataset(np.arange(1, 5).reshape(1, 4, 1))
    >>> shifts = Shifts(image, 1)
    >>> shifts.moves[3], shifts.moved(image.x, [3]).reshape(2, 2).tolist()
    ((0, -1), [[2, 0], [4, 0]])
    """

    def __init__(self, data: Dataset, most: int, permutation: NDArray[np.int64] | None = None) -> None:
        side = math.isqrt(data.time)
        has = None
        if side**2 != data.time or data.features != 1:
            has = f"{count(data.time, 'step')} of {count(data.features, 'feature')}"
        elif data.lengths is not None:
            has = "samples of different lengths"
        elif data.task is not None and data.task.startswith("step"):
            has = f"targets of task {data.task}, which would stay where they are"
        if has is not None:
            raise TclifError(f"shift is of square images, a pixel a step; {data.name} has {has}", "leave it out")
        if most >= side:
            raise TclifError(f"shift is {most}, and the images have {side} pixels a side", f"at most {side - 1}")
        order = np.arange(data.time) if permutation is None else permutation
        step_of = np.empty(data.time, np.int64)
        step_of[order] = np.arange(data.time)
        row, column = np.divmod(order, side)
        reach = range(-most, most + 1)
        self.moves = [(down, right) for down in reach for right in reach]
        """pixels down and right, of each move"""
        self.sources = np.empty((len(self.moves), data.time), np.int64)
        """the step whose pixel each step shows after a move, or -1: (moves, time)"""
        for n, (down, right) in enumerate(self.moves):
            inside = (row - down >= 0) & (row - down < side) & (column - right >= 0) & (column - right < side)
            self.sources[n] = np.where(inside, step_of[np.where(inside, (row - down) * side + column - right, 0)], -1)

    def __len__(self) -> int:
        return len(self.sources)

    def moved(self, x: NDArray[np.generic], moves: NDArray[np.int64] | list[int]) -> NDArray[np.generic]:
        """``x`` (samples, time, 1), each sample by the move that ``moves`` (samples,) gives the number of."""
        moves, result = np.asarray(moves), np.zeros_like(x)
        for n, sources in enumerate(self.sources):
            chosen, shown = np.flatnonzero(moves == n), np.flatnonzero(sources >= 0)
            result[np.ix_(chosen, shown)] = x[np.ix_(chosen, sources[shown])]
        return result
