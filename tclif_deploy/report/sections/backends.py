"""What ran the integers besides the reference, and whether it equals the reference."""

from __future__ import annotations

from tclif_deploy.builds import Build
from tclif_deploy.report.content import Note, Section
from tclif_deploy.text import count
from tclif_deploy.verification.verdict import BackendCheck

CAPTION = (
    "Each backend runs the same integers as the reference; every spike and final state must be equal, bit for bit."
)


def backends(build: Build) -> Section:
    """A line a backend."""
    checks = build.report.backends
    if not checks:
        reason = "none was asked for" if build.report.verified else "no data were given (--data FILE)"
        return Section("backends", "Backends", CAPTION, (Note(f"No backend ran: {reason}."),))
    lava = (Note("What Lava ran is its CPU fixed-point simulation, not silicon."),) if "lava" in checks else ()
    return Section("backends", "Backends", CAPTION, (*(comparison(*item) for item in checks.items()), *lava))


def comparison(name: str, check: BackendCheck) -> Note:
    """One backend against the reference."""
    compared = f"{check.neuron_steps:,} neuron steps of {count(check.samples, 'sample')}"
    return Note(
        f"{'equal' if check.equal else 'DIFFERS'}, {compared}: "
        f"{check.spike_mismatches:,} spikes and {check.state_mismatches:,} states differ",
        name, "good" if check.equal else "bad",
    )  # fmt: skip
