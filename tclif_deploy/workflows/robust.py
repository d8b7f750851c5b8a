"""How much disturbance a network bears: Monte Carlo over random faults of its integers and its input."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from tclif_deploy.analysis.disturbances import DISTURBANCES, Valid, reached
from tclif_deploy.arguments import checked
from tclif_deploy.data import DataLike, Dataset, as_dataset
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork, check_fixed
from tclif_deploy.outputs import check_file_place
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.report.robustness import Robustness, Trial
from tclif_deploy.settings import Limits
from tclif_deploy.simulation import simulate
from tclif_deploy.simulation.scores import check_classes, check_labels
from tclif_deploy.simulation.session import fingerprint
from tclif_deploy.workers import check_parallel, workers
from tclif_deploy.workflows.table_file import KeptRows

MOST_LEVELS = 100
BATCH = 256
"""samples run at a time"""


@checked
def robust(
    fixed: FixedNetwork,
    data: DataLike,
    path: Path | str,
    *,
    levels: Sequence[float] = (0.01, 0.02, 0.05, 0.1),
    kinds: Sequence[str] = tuple(DISTURBANCES),
    runs: Annotated[int, Limits(1, 100_000)] = 20,
    seed: Annotated[int, Limits(0)] = 0,
    jobs: Annotated[int, Limits(-1, 1024)] = -1,
    parallel: str | None = None,
    progress: Progress = no_progress,
) -> Robustness:
    """Run ``fixed`` on ``data``, ``runs`` times at each of ``levels`` of each of ``kinds`` (`DISTURBANCES`).

    Trials are appended to the CSV file ``path`` as they come; those that it already holds are not run again, so that an
    interrupted job goes on. A trial depends on ``seed``, its kind, level and run, and on nothing else: equal seeds give
    equal bytes, however the work was spread (``jobs``, ``parallel``: see `tclif_deploy.sweep`).

    Several jobs may fill one table at the same time. Raises `TclifError` for a kind that is none, levels that are not
    in (0, 1], data whose targets are no classes of samples, input to which no event can be added, or of which none can
    be lost, and a file that is another job's, or holds shares that are none.

    Examples
    --------
    >>> import tempfile
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = tc.robust(fixed, test[:40], f"{folder}/robust.csv", kinds=("bits",), levels=(0.1,), runs=2, jobs=1)
    >>> [round(trial.accuracy, 2) for trial in found.trials]
    [0.4, 0.42]
    """
    check_fixed(fixed)
    check_parallel(parallel)
    if jobs == 0:
        raise TclifError("robust: jobs is 0", "expected a number of processes, or -1 for all cores")
    for kind in kinds:
        if kind not in DISTURBANCES:
            raise TclifError(f"robust: no disturbance is called {kind!r:.60}", f"known: {', '.join(DISTURBANCES)}")
    for level in levels:
        if not 0 < level <= 1:
            raise TclifError(f"robust: a level is {level:g}", "expected numbers above 0, up to 1")
    if not levels or not kinds:
        raise TclifError("robust: nothing to run", "name at least one level and one kind")
    test, path = as_dataset(data, needed=True), Path(path)
    check_labels(test, "tclif robust")
    check_classes(test, fixed.readout.outputs(fixed.output.size))
    check_file_place(path, (data,))
    digest = _digest(fixed, test, seed)

    def check(row: Trial) -> None:
        if row.robust != digest:
            raise TclifError(f"{path}: holds trials of another build, data or seed", "choose another --output")

    table = KeptRows(Trial, path, "tclif robust", lambda row: (row.kind, row.level, row.run), check)
    known = table.rows
    x, valid = fixed.input.encode(test.x, test.scale)[0], test.valid()
    classes = _classes(fixed, x, test.lengths)
    wanted = [
        (kind, level, run) for kind in dict.fromkeys(kinds) for level in dict.fromkeys(levels) for run in range(runs)
    ]
    left = [key for key in wanted if key not in known]
    done = len(wanted) - len(left)
    progress(done, len(wanted))
    if left:
        for kind in dict.fromkeys(kind for kind, *_ in left):  # what cannot be disturbed is refused before any work
            _check_room(kind, x, valid, test.name)
            _disturbed(fixed, x[:1], valid[:1], kind, 0.5, np.random.default_rng(0))
        with workers(parallel, jobs, _name) as spread:
            for row in spread(_trial, (fixed, x, test.lengths, valid, test.y, classes, seed, digest), left):
                table.put(row)
                done += 1
                progress(done, len(wanted))
    table.save(last=wanted)
    accuracy = None if test.y is None else float((classes == test.y).mean())
    return Robustness(test.samples, accuracy, tuple(known[key] for key in wanted))


def levels_of(text: str) -> tuple[float, ...]:
    """The levels of ``"0.05"``, ``"0.01,0.1"``, ``"0.01..0.1"`` (in steps of the first) or ``"0.1..0.5..0.2"``.

    Examples
    --------
    >>> levels_of("0.01..0.04"), levels_of("0.1..0.5..0.2"), levels_of("0.05")
    ((0.01, 0.02, 0.03, 0.04), (0.1, 0.3, 0.5), (0.05,))
    """
    levels: list[float] = []
    try:
        for part in filter(None, (item.strip() for item in text.split(","))):
            ends = [Decimal(end) for end in part.split("..")]
            if any(not end.is_finite() or not 0 < end <= 1 for end in ends) or len(ends) > 3 or ends[-1] < 0:
                raise ValueError
            low, high, step = ends if len(ends) == 3 else (ends[0], ends[-1], ends[0])
            if high < low:
                raise ValueError
            if (high - low) / step >= MOST_LEVELS:
                raise TclifError(f"--sigma is {text!r:.60}", f"at most {MOST_LEVELS} levels are tried")
            levels += [float(low + n * step) for n in range(int((high - low) / step) + 1)]
    except (ValueError, InvalidOperation):
        raise TclifError(
            f"--sigma is {text!r:.60}", "expected levels above 0, up to 1, such as 0.05, or 0.01..0.1, or 0.01,0.05"
        ) from None
    if not levels:
        raise TclifError("--sigma names no level", "expected such as 0.05, or 0.01..0.1, or 0.01,0.05")
    return tuple(dict.fromkeys(levels))


def _name(key: tuple[str, float, int]) -> str:
    """What a message calls a trial."""
    kind, level, run = key
    return f"the trial of {kind} at {level:g}, run {run}"


def _trial(
    fixed: FixedNetwork,
    x: NDArray[np.int64],
    lengths: NDArray[np.int64] | None,
    valid: Valid,
    y: NDArray[np.int64] | None,
    classes: NDArray[np.int64],
    seed: int,
    digest: str,
    key: tuple[str, float, int],
) -> Trial:
    kind, level, run = key
    disturbed, given = _disturbed(fixed, x, valid, kind, level, generator(seed, kind, level, run))
    chosen = _classes(disturbed, given, lengths)
    accuracy = None if y is None else float((chosen == y).mean())
    came = reached(kind, fixed, disturbed, x, given, valid)
    return Trial(digest, kind, level, run, came, accuracy, float((chosen == classes).mean()))


def _check_room(kind: str, x: NDArray[np.int64], valid: Valid, name: str) -> None:
    """Raise `TclifError` where not a single event can be lost, or added."""
    if DISTURBANCES[kind].of_input is None:
        return
    events = ((x != 0) & valid[:, :, None]).sum(axis=(1, 2))
    places = valid.sum(axis=1) * x.shape[2]
    if not events.any():
        raise TclifError(f"{name}: every input value is 0, so no event can be {kind}", f"leave {kind} out")
    if kind == "added" and (events == places).all():
        raise TclifError(f"{name}: no input value is 0, so no event can be added", "leave added out")


def generator(seed: int, kind: str, level: float, run: int) -> np.random.Generator:
    """What a trial is drawn from: the same for the same four, and another for any other."""
    words = (int(word) for word in np.array([level]).view(np.uint32))
    return np.random.default_rng(
        (seed, int.from_bytes(hashlib.sha256(kind.encode()).digest()[:8], "little"), *words, run)
    )


def _disturbed(
    fixed: FixedNetwork, x: NDArray[np.int64], valid: Valid, kind: str, level: float, rng: np.random.Generator
) -> tuple[FixedNetwork, NDArray[np.int64]]:
    disturbance = DISTURBANCES[kind]
    if disturbance.of_network is not None:
        fixed = disturbance.of_network(fixed, level, rng)
    return fixed, x if disturbance.of_input is None else disturbance.of_input(x, valid, level, rng)


def _classes(fixed: FixedNetwork, x: NDArray[np.int64], lengths: NDArray[np.int64] | None) -> NDArray[np.int64]:
    parts = (slice(start, start + BATCH) for start in range(0, len(x), BATCH))
    runs = (simulate(fixed, x[at], lengths=None if lengths is None else lengths[at], jobs=1) for at in parts)
    return np.concatenate([run.classes for run in runs])


def _digest(fixed: FixedNetwork, data: Dataset, seed: int) -> str:
    """Sixteen hex digits that change with anything but kinds, levels and runs."""
    digest = hashlib.sha256(f"{fingerprint(fixed)} {seed} {data.scale!r}".encode())
    for array in (data.x, data.y, data.lengths):
        digest.update(b"-" if array is None else repr((array.dtype, array.shape)).encode() + array.tobytes())
    return digest.hexdigest()[:16]
