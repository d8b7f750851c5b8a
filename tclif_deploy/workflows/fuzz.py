"""Random inputs through every backend of a build, against the reference, bit for bit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tclif_deploy import backends
from tclif_deploy.builds import Build
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import InputEncoding, Int
from tclif_deploy.progress import Bars, Say, no_bars, say_nothing
from tclif_deploy.simulation.floating import batches
from tclif_deploy.simulation.result import Result
from tclif_deploy.verification.fuzz_report import FuzzReport
from tclif_deploy.workflows.backend_runs import BATCH, check_backends

STEPS = 256
"""default steps of a sample"""
LONGEST_HOLD = 32
"""steps for which a random input may stay as it is"""


def fuzz(
    build: Build | Path | str,
    names: Sequence[str],
    samples: int,
    *,
    steps: int = STEPS,
    seed: int = 0,
    skip_missing: bool = False,
    say: Say = say_nothing,
    progress: Bars = no_bars,
) -> FuzzReport:
    """Run ``samples`` random inputs of ``steps`` steps through backends of a build.

    A backend that the build lacks is emitted into a temporary folder first. ``skip_missing`` leaves out what is not
    installed or cannot compute the network, instead of raising `TclifError`. ``say`` gets a line a step, and
    ``progress(title)`` gives the callback of a long one.
    """
    build = build if isinstance(build, Build) else Build.open(build)
    if samples < 1 or steps < 1:
        raise TclifError(f"fuzz: {samples} samples of {steps} steps", "at least one of each is needed")
    if not names:
        raise TclifError("fuzz: no backend given", f"known: {', '.join(backends.names())}, all")
    fixed = build.fixed
    rates = {layer.name: 0.0 for layer in fixed.layers if layer.spiking}
    overflows = 0

    def inputs() -> Iterator[tuple[Int, Int | None]]:
        for part in batches(samples, BATCH):
            # Each batch's own generator: the same inputs for the same seed, however many follow.
            yield random_input(np.random.default_rng([seed, part.start]), fixed.input, part, steps)

    def count(expected: Result) -> None:
        nonlocal overflows
        overflows += expected.saturations
        for name, s in expected.spikes.items():
            rates[name] += float(s.mean()) * len(s) / samples

    with tempfile.TemporaryDirectory(prefix="tclif-fuzz-") as scratch:
        ready, skipped = _ready(build, names, Path(scratch), skip_missing)
        checks = check_backends(ready, fixed, inputs(), batched=True, say=say, progress=progress, each=count)
    return FuzzReport(seed, samples, steps, checks, skipped, rates, overflows)


def random_input(rng: np.random.Generator, encoding: InputEncoding, part: slice, steps: int) -> tuple[Int, Int]:
    """Input integers (samples, steps, features) and lengths (samples,).

    Samples differ in size (up to the payload's limit), sign, density, and in how long values are held: some are
    noise, some drive the network as data would, some overflow it.
    """
    samples = part.stop - part.start
    shape = (samples, steps, encoding.size)
    top = np.exp2(rng.uniform(0, encoding.bits, (samples, 1, 1))).astype(np.int64).clip(1, encoding.limit)
    values = rng.integers(1, top + 1, shape) * np.where(rng.random((samples, 1, 1)) < 0.3, -1, 1)
    mixed = rng.random((samples, 1, 1)) < 0.3
    values = np.where(mixed, values * rng.choice([-1, 1], shape), values)
    x = np.where(rng.random(shape) < rng.uniform(0.05, 1.0, (samples, 1, 1)), values, 0)
    for sample in range(samples):
        hold = int(rng.integers(1, LONGEST_HOLD + 1))
        x[sample] = x[sample, np.arange(steps) // hold * hold]
    return x, rng.integers(1, steps + 1, samples)


def _ready(
    build: Build, names: Sequence[str], scratch: Path, skip_missing: bool
) -> tuple[dict[str, Path], dict[str, str]]:
    """(backend -> folder that it runs in, backend -> why it cannot)."""
    ready, skipped = {}, {}
    for name in names:
        try:
            backend = backends.get(name)
            backends.check_ready(name, runs=True)
            ready[name] = build.folder / name
            if not ready[name].is_dir():
                ready[name] = scratch / name
                backends.check_readout(name, build.fixed)
                backends.check_arithmetic(name, build.fixed)
                backends.check_starts(name, build.fixed)
                backend.emit(build.fixed, build.target, ready[name])
        except TclifError as error:
            if not skip_missing:
                raise
            ready.pop(name, None)
            skipped[name] = str(error)
    if not ready:
        raise TclifError(f"fuzz: no backend can run ({'; '.join(skipped.values())})", "see tclif doctor")
    return ready, skipped
