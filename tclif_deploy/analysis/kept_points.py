"""Points of a grid that take long, kept in a file as they come, so that an interrupted analysis goes on."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import numpy as np

from tclif_deploy import json_form
from tclif_deploy.data import Dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.outputs import check_file_place, make_folder, one_at_a_time, write_file
from tclif_deploy.settings import Limits

SECONDS = 2.0
"""between two writings: what an interruption of power costs at most"""
HINT = "choose another figure, or remove the file to start anew"


@dataclass(frozen=True)
class PointsFile:
    """What such a file holds."""

    __pydantic_config__: ClassVar[Any] = json_form.EXACT

    analysis: str
    """``landscape`` or ``quadrants``"""
    digest: str
    """of all that the points depend on"""
    points: dict[str, float | None] = field(default_factory=dict)
    """a point's name -> its figure; null where it has none"""


class KeptPoints:
    """Points of the analysis ``what``; nothing is kept where ``path`` is None.

    Two of the same analysis may keep theirs in one file: each writing keeps what the other wrote. Raises `TclifError`
    where the file is damaged, holds a figure that is not in ``limits``, or is of another analysis, network, data or
    settings.
    """

    def __init__(self, path: Path | None, what: str, digest: str, limits: Limits) -> None:
        self.path, self.file, self.written = path, PointsFile(what, digest), time.monotonic()
        self.changed, self.limits = False, limits
        if path is not None:
            check_file_place(path)
            self._read(path)

    def _read(self, path: Path) -> None:
        """Take in what the file holds."""
        if not path.exists():
            return
        stored = json_form.read(PointsFile, path, HINT)
        if (stored.analysis, stored.digest) != (self.file.analysis, self.file.digest):
            raise TclifError(f"{path}: holds points of another network, data or settings", HINT)
        for point, figure in stored.points.items():
            if figure is not None and figure not in self.limits:
                raise TclifError(f"{path}: the figure of point {point!r:.60} is {figure:g}, which none can be", HINT)
            self.file.points.setdefault(point, figure)

    def __enter__(self) -> KeptPoints:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.save()

    def __contains__(self, point: str) -> bool:
        return point in self.file.points

    def __getitem__(self, point: str) -> float | None:
        return self.file.points[point]

    def put(self, point: str, figure: float | None) -> None:
        """Keep what a point came to."""
        self.file.points[point] = figure
        self.changed = True
        if time.monotonic() - self.written > SECONDS:
            self.save()

    def save(self) -> None:
        """Write the file whole, where anything is new."""
        if self.path is not None and self.changed:
            make_folder(self.path.parent)
            with one_at_a_time(self.path):
                self._read(self.path)
                write_file(self.path, json_form.text_of(self.file).encode())
        self.changed, self.written = False, time.monotonic()


def digest_of(data: Dataset, *settings: object) -> str:
    """Sixteen hex digits that change with the samples, their targets, or any of the settings."""
    digest = hashlib.sha256(json.dumps([repr(setting) for setting in settings]).encode())
    digest.update(repr((data.x.dtype, data.x.shape, data.scale, data.task)).encode())
    for array in (data.x, data.y, data.lengths, data.mask):
        digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
