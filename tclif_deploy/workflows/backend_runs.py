"""Emitted backends against the reference, bit for bit, in batches of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tclif_deploy import backends
from tclif_deploy.data import Dataset
from tclif_deploy.fixed import FixedNetwork, Int
from tclif_deploy.progress import Bars, Say
from tclif_deploy.simulation import reference
from tclif_deploy.simulation.floating import batches
from tclif_deploy.simulation.result import Result
from tclif_deploy.text import count
from tclif_deploy.verification import BackendCheck, difference

BATCH = 128
"""samples at a time: bounds the memory that the reference's spikes take"""


def check_backends(
    folders: Mapping[str, Path],
    fixed: FixedNetwork,
    data: Dataset | Iterable[tuple[Int, Int | None]],
    *,
    batched: bool,
    say: Say,
    progress: Bars,
    each: Callable[[Result], None] = lambda expected: None,
) -> dict[str, BackendCheck]:
    """Run every backend in its folder on ``data``, or on batches of (input integers, lengths), beside the reference.

    ``each`` gets what the reference says of a batch. Raises `TclifError` where a backend cannot run.
    """
    checks: dict[str, BackendCheck] = {}
    if not folders:
        return checks
    for x, lengths in _encoded(fixed, data) if isinstance(data, Dataset) else data:
        expected = reference.simulate(fixed, x, lengths=lengths)
        each(expected)
        for name, folder in folders.items():
            say(f"running {name} on {count(x.shape[0], 'sample')} of {x.shape[1]} steps against the reference")
            result = backends.get(name).run(folder, x, lengths=lengths, batched=batched, progress=progress(name))
            check = difference(expected, result, x.shape[1])
            checks[name] = checks[name] + check if name in checks else check
    return checks


def _encoded(fixed: FixedNetwork, data: Dataset) -> Iterable[tuple[Int, Int | None]]:
    for part in batches(data.samples, BATCH):
        batch = data[part]
        yield fixed.input.encode(batch.x, batch.scale)[0], batch.lengths
