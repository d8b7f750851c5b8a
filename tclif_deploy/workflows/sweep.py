"""What bits buy: one network over a grid of widths and roundings, accuracy against memory and energy."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from tclif_deploy import mapping
from tclif_deploy.arguments import checked
from tclif_deploy.data import DataLike, Dataset, as_dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.frontends import ModelLike, load
from tclif_deploy.mapping.memory import RESOURCES
from tclif_deploy.network import Network
from tclif_deploy.outputs import check_file_place
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.quantization import QuantizeSettings, Ranges, measured_ranges, quantize
from tclif_deploy.quantization.calibration import Calibration, choose_calibration
from tclif_deploy.report.sweep import Point, Row
from tclif_deploy.settings import Limits
from tclif_deploy.simulation import simulate
from tclif_deploy.simulation.floating import float_classes
from tclif_deploy.simulation.scores import check_classes, check_labels
from tclif_deploy.simulation.session import fingerprint
from tclif_deploy.target import Target, as_target
from tclif_deploy.workers import check_parallel, workers
from tclif_deploy.workflows.table_file import KeptRows, read_rows

COMMAND = "tclif sweep"
MOST_NUMBERS = 64
"""of one axis of the grid"""
ACTIVITY_SAMPLES = 16
"""samples whose spikes are counted for the cost model at each point"""


@checked
def grid(target: Target, weight: str, coefficient: str, state: str, rounding: str) -> tuple[Point, ...]:
    """Points of ranges such as ``"2..8"``, ``"4,8"`` or ``"8"``; an empty text is the target's own value.

    Raises `TclifError` for text that is neither, and for more than 64 numbers in one range.

    Examples
    --------
    >>> from tclif_deploy import load_target
    >>> from tclif_deploy.workflows.sweep import grid
    >>> [point.weight_bits for point in grid(load_target("loihi2"), "2..8..3", "", "", "")]
    [2, 5, 8]
    """
    axes = (
        numbers("--weight-bits", weight) or [target.weight_bits.value],
        numbers("--coefficient-bits", coefficient) or [target.coefficient_bits.value],
        numbers("--state-bits", state) or [target.state_bits.value],
        [part.strip() for part in rounding.split(",") if part.strip()] or [target.rounding.value],
    )
    return tuple(Point(*choice) for choice in itertools.product(*axes))


def numbers(option: str, text: str) -> list[int]:
    """The integers of ``"a..b"``, ``"a..b..step"`` or ``"a,b,c"``."""
    values: list[int] = []
    try:
        for part in filter(None, (item.strip() for item in text.split(","))):
            ends = [int(end) for end in part.split("..")]
            if len(ends) == 1:
                values += ends
            else:
                low, high, step = ends if len(ends) == 3 else (*ends, 1)
                if (high - low) // max(step, 1) > MOST_NUMBERS:
                    raise TclifError(f"{option} is {text!r:.60}", f"at most {MOST_NUMBERS} numbers are tried")
                values += list(range(low, high + 1, step))
                if high < low:
                    raise ValueError
    except ValueError:
        raise TclifError(f"{option} is {text!r:.60}", "expected numbers such as 8, or 2..8, or 4,6,8") from None
    return list(dict.fromkeys(values))


def sweep_data(model: ModelLike, data: DataLike, calibration: DataLike | None) -> tuple[Calibration, Dataset, Dataset]:
    """What sets a sweep's scales, its data, and those that remain to measure on; `TclifError` where there are none."""
    path = Path(model) if isinstance(model, (str, os.PathLike)) else None
    test = as_dataset(data, needed=True)
    check_labels(test, "a sweep")
    choice = choose_calibration(path, calibration, test)
    if choice.data is None or choice.left is None:
        raise TclifError(f"{test.name}: one sample is too few", "give --calibration FILE, or more samples")
    return choice.calibration, choice.data, choice.left


@checked
def sweep(
    model: ModelLike,
    target: Target | Path | str,
    points: Sequence[Point],
    data: DataLike,
    calibration: DataLike | None,
    path: Path | str,
    *,
    settings: QuantizeSettings | None = None,
    jobs: Annotated[int, Limits(-1, 1024)] = -1,
    parallel: str | None = None,
    progress: Progress = no_progress,
) -> list[Row]:
    """Quantize, run and place ``model`` at every point (see `grid`), on ``jobs`` processes (-1: all cores).

    ``parallel`` spreads the points over other workers (see `tclif_deploy.workers.workers`): ``loky`` (also None),
    ``threading``, ``dask``, ``dask://HOST:PORT``; a worker that dies costs the points that it had in hand, which
    another one runs.
    ``calibration`` sets the scales (None: chosen as for `tclif_deploy.compile`, and not measured on).
    Rows are appended to the CSV file ``path`` as they come; points that it already holds are not run again, so that
    an interrupted sweep goes on. In the end the rows stand in the order of ``points``, after those of other points, so
    that the file's bytes are the same however the work was spread. Raises `TclifError` where the file is another
    sweep's.

    Examples
    --------
    >>> import tempfile
    >>> import tclif_deploy as tc
    >>> from tclif_deploy.workflows.sweep import grid
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", tc.load_data("fixtures/spoken_digits/test.npz")[:40]
    >>> points, quick = grid(tc.load_target("loihi2"), "3,8", "", "", ""), tc.QuantizeSettings(passes=())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = tc.sweep(model, "loihi2", points, data, None, f"{folder}/table.csv", settings=quick, jobs=1)
    >>> [(row.weight_bits, round(row.agreement, 2), row.memory_bytes) for row in rows]
    [(3, 1.0, 39396), (8, 1.0, 72180)]
    """
    check_parallel(parallel)
    if jobs == 0:
        raise TclifError("sweep: jobs is 0", "expected a number of processes, or -1 for all cores")
    inputs = (model, data, calibration)
    _, calibration, data = sweep_data(model, data, calibration)
    network, target, path = load(model), as_target(target), Path(path)
    check_classes(data, network.outputs)
    check_file_place(path, inputs)
    settings = settings or QuantizeSettings()
    for point in points:  # an impossible width is refused before any work
        target.override(**asdict(point))
    digest = _digest(network, target, data, calibration, settings)

    def check(row: Row) -> None:
        if row.sweep != digest:
            raise TclifError(f"{path}: holds rows of another model, data or setting", "choose another --output")

    table = KeptRows(Row, path, COMMAND, lambda row: row.point, check)
    known = table.rows
    left = [point for point in points if point not in known]
    if left:
        with workers(parallel, jobs, _name) as run:
            shared = (
                network, target, data, calibration, measured_ranges(network, calibration), float_classes(network, data),
                settings, digest,
            )  # fmt: skip
            done = len(points) - len(left)
            progress(done, len(points))
            for row in run(_row, shared, left):
                table.put(row)
                done += 1
                progress(done, len(points))
    table.save(last=points)
    return [known[point] for point in points]


def read(path: Path) -> Iterator[Row]:
    """Rows of a CSV file of ours; a last line that an interruption cut is left out."""
    return read_rows(Row, path, COMMAND)


def _name(point: Point) -> str:
    """What a message calls a point."""
    return "the point of " + ", ".join(f"{name} {value}" for name, value in asdict(point).items())


def _row(
    network: Network,
    target: Target,
    data: Dataset,
    calibration: Dataset,
    ranges: Ranges,
    classes: NDArray[np.int64],
    settings: QuantizeSettings,
    digest: str,
    point: Point,
) -> Row:
    machine = target.override(**asdict(point))
    try:
        fixed = quantize(network, machine, calibration, settings, ranges)
    except TclifError as error:
        return Row(digest, **asdict(point), problem=str(error))
    results = [simulate(fixed, batch, jobs=1) for batch in data.batches(256)]
    chosen = np.concatenate([result.classes for result in results])
    figures: dict[str, Any] = {
        "agreement": float((chosen == classes).mean()),
        "accuracy": None if data.y is None else float((chosen == data.y).mean()),
        "saturations": sum(result.saturations for result in results),
    }
    problem = ""
    try:
        placement = mapping.place(fixed, machine)
    except mapping.CannotFit as error:
        problem = str(error)
    else:
        cost = mapping.cost(fixed, machine, placement, mapping.measure(fixed, data[:ACTIVITY_SAMPLES]))
        total = cost.energy.total or (None, None)
        memory = RESOURCES.index("core_memory")
        bits = sum(core.used[memory] for core in placement.cores)
        figures |= {
            "memory_bytes": -(-bits // 8), "cores": len(placement.cores),
            "energy_nj_low": total[0], "energy_nj_high": total[1],
        }  # fmt: skip
    return Row(digest, **asdict(point), **figures, problem=problem)


def _digest(network: Network, target: Target, data: Dataset, calibration: Dataset, settings: QuantizeSettings) -> str:
    """Sixteen hex digits that change with anything but the grid."""
    digest = hashlib.sha256()
    plain = target.override(weight_bits=8, coefficient_bits=12, state_bits=24, rounding="nearest")
    digest.update(json.dumps([plain.model_dump(mode="json"), asdict(settings)], sort_keys=True).encode())
    digest.update(fingerprint(network).encode())
    for item in (data, calibration):
        digest.update(np.ascontiguousarray(item.x).tobytes() + repr((item.x.dtype, item.x.shape, item.scale)).encode())
        for array in (item.y, item.lengths):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
