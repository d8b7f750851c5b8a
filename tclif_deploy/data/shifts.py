"""Images moved by a few pixels, whatever the order that their pixels are shown in."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.data.dataset import Dataset
from tclif_deploy.errors import TclifError


class Shifts:
    """The moves of square images by up to ``most`` pixels down or up and right or left, what comes in being 0.

    ``data`` shows a pixel a step: pixel ``permutation[t]`` of the rows one after another at step t, or pixel t (None).
    Raises `TclifError` for other data, and where nothing of an image might stay.

    Examples
    --------
    >>> import numpy as np
    >>> from tclif_deploy import Dataset
    >>> one = Dataset(np.arange(1, 5, dtype=np.uint8).reshape(1, 4, 1))
    >>> sorted(tuple(int(v) for v in Shifts(one, 1).moved(one.x, [n]).ravel()) for n in range(9))[-3:]
    [(2, 0, 4, 0), (3, 4, 0, 0), (4, 0, 0, 0)]
    """

    def __init__(self, data: Dataset, most: int, permutation: NDArray[np.int64] | None = None) -> None:
        side = math.isqrt(data.time)
        if side**2 != data.time or data.features != 1 or data.lengths is not None:
            raise TclifError(
                f"shift is of square images, a pixel a step; {data.name} has {data.time} steps of {data.features} "
                f"feature{'s' * (data.features != 1)}",
                "leave it out",
            )
        if most >= side:
            raise TclifError(f"shift is {most}, and the images have {side} pixels a side", f"at most {side - 1}")
        order = np.arange(data.time) if permutation is None else permutation
        step_of = np.empty(data.time, np.int64)
        step_of[order] = np.arange(data.time)
        row, column = np.divmod(order, side)
        moves = [(down, right) for down in range(-most, most + 1) for right in range(-most, most + 1)]
        self.sources = np.empty((len(moves), data.time), np.int64)
        """the step whose pixel each step shows after a move, or -1: (moves, time)"""
        for n, (down, right) in enumerate(moves):
            inside = (row - down >= 0) & (row - down < side) & (column - right >= 0) & (column - right < side)
            self.sources[n] = np.where(inside, step_of[np.where(inside, (row - down) * side + column - right, 0)], -1)

    def __len__(self) -> int:
        return len(self.sources)

    def moved(self, x: NDArray[np.generic], moves: NDArray[np.int64] | list[int]) -> NDArray[np.generic]:
        """``x`` (samples, time, 1), each sample by its move of ``moves`` (samples,), which number them from 0."""
        sources = self.sources[np.asarray(moves)]
        return np.where(sources >= 0, np.take_along_axis(x[:, :, 0], sources, axis=1), 0).astype(x.dtype)[:, :, None]
