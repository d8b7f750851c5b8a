"""Random inputs through every backend of a build, against the reference, bit for bit."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tclif_deploy import backends
from tclif_deploy.builds.folder import manifest_target, read_manifest
from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import FixedNetwork, InputEncoding, Int
from tclif_deploy.progress import Bars, Say, no_bars, say_nothing
from tclif_deploy.simulation import reference
from tclif_deploy.simulation.floating import batches
from tclif_deploy.verification.fidelity import difference
from tclif_deploy.verification.verdict import BackendCheck

BATCH = 128
"""samples at a time: bounds the memory that the reference's spikes take"""
STEPS = 256
"""default steps of a sample"""
LONGEST_HOLD = 32
"""steps for which a random input may stay as it is"""


@dataclass(frozen=True)
class FuzzReport:
    """What a fuzz run compared and found."""

    seed: int
    samples: int
    steps: int
    backends: dict[str, BackendCheck]
    skipped: dict[str, str]
    """backend -> why it did not run"""
    rates: dict[str, float]
    """spiking layer -> share of neuron steps with a spike: equality on silence would prove nothing"""
    saturations: int
    """state values that overflowed in the reference"""

    @property
    def neuron_steps(self) -> int:
        """Neuron updates compared, over all backends."""
        return sum(check.neuron_steps for check in self.backends.values())

    @property
    def equal(self) -> bool:
        """Whether every bit of every backend agreed."""
        return all(check.equal for check in self.backends.values())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "seed": self.seed, "samples": self.samples, "steps": self.steps, "neuron_steps": self.neuron_steps,
            "equal": self.equal, "backends": {name: vars(check) for name, check in self.backends.items()},
            "skipped": self.skipped, "rates": self.rates, "saturations": self.saturations,
        }  # fmt: skip


def fuzz(
    folder: Path | str,
    names: Sequence[str],
    samples: int,
    *,
    steps: int = STEPS,
    seed: int = 0,
    skip_missing: bool = False,
    say: Say = say_nothing,
    progress: Bars = no_bars,
) -> FuzzReport:
    """Run ``samples`` random inputs of ``steps`` steps through backends of the build in ``folder``.

    A backend that the build lacks is emitted into a temporary folder first. ``skip_missing`` leaves out what is not
    installed or cannot compute the network, instead of raising `TclifError`. ``say`` gets a line a step, and
    ``progress(title)`` gives the callback of a long one.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if samples < 1 or steps < 1:
        raise TclifError(f"fuzz: {samples} samples of {steps} steps", "at least one of each is needed")
    if not names:
        raise TclifError("fuzz: no backend given", f"known: {', '.join(backends.names())}, all")
    fixed = FixedNetwork.load(folder / "fixed.npz")
    checks: dict[str, BackendCheck] = {}
    rates = {layer.name: 0.0 for layer in fixed.layers if layer.spiking}
    saturations = 0
    with tempfile.TemporaryDirectory(prefix="tclif-fuzz-") as scratch:
        ready, skipped = _ready(folder, names, fixed, manifest, Path(scratch), skip_missing)
        for part in batches(samples, BATCH):
            # Each batch's own generator: the same inputs for the same seed, however many follow.
            x, lengths = random_input(np.random.default_rng([seed, part.start]), fixed.input, part, steps)
            law = reference.simulate(fixed, x, lengths=lengths)
            saturations += law.saturations
            for name, s in law.spikes.items():
                rates[name] += float(s.mean()) * x.shape[0] / samples
            for name, place in ready.items():
                say(f"running {name} on {x.shape[0]} random samples of {steps} steps")
                found = backends.get(name).run(place, x, lengths=lengths, batched=True, progress=progress(name))
                checks[name] = _sum(checks.get(name), difference(law, found, steps))
    return FuzzReport(seed, samples, steps, checks, skipped, rates, saturations)


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
    folder: Path, names: Sequence[str], fixed: FixedNetwork, manifest: dict[str, Any], scratch: Path, skip_missing: bool
) -> tuple[dict[str, Path], dict[str, str]]:
    """(backend -> folder that it runs in, backend -> why it cannot)."""
    ready, skipped = {}, {}
    for name in names:
        try:
            backend = backends.get(name)
            backend.check_installed()
            ready[name] = folder / name
            if not ready[name].is_dir():
                ready[name] = scratch / name
                backend.emit(fixed, manifest_target(folder, manifest), ready[name])
        except TclifError as error:
            if not skip_missing:
                raise
            ready.pop(name, None)
            skipped[name] = str(error)
    if not ready:
        raise TclifError(f"fuzz: no backend can run ({'; '.join(skipped.values())})", "see tclif doctor")
    return ready, skipped


def _sum(a: BackendCheck | None, b: BackendCheck) -> BackendCheck:
    """Two batches of one backend."""
    if a is None:
        return b
    return BackendCheck(
        a.samples + b.samples, a.steps, a.neuron_steps + b.neuron_steps,
        a.spike_mismatches + b.spike_mismatches, a.state_mismatches + b.state_mismatches,
    )  # fmt: skip
