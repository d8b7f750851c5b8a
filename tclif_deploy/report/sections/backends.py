"""What ran the integers besides the reference, and whether it said the same."""

from __future__ import annotations

from tclif_deploy.builds import Build
from tclif_deploy.report.content import Note, Section, Table

SAYS = "Each backend runs the same integers as the reference; every spike and final state must be equal, bit for bit."


def backends(build: Build) -> Section:
    """One row a backend."""
    found = build.report.backends
    if not found:
        why = "none was asked for" if build.report.verified else "no data were given (--data FILE)"
        return Section("backends", "Backends", SAYS, (Note(f"No backend ran: {why}."),))
    rows = []
    for name, check in found.items():
        rows.append(
            (
                name, "equal" if check.equal else "DIFFERENT", f"{check.samples:,} × {check.steps:,}",
                f"{check.neuron_steps:,}", f"{check.spike_mismatches:,}", f"{check.state_mismatches:,}",
            )
        )  # fmt: skip
    columns = (
        "backend",
        "result",
        "samples × steps",
        "neuron steps compared",
        "spikes that differ",
        "states that differ",
    )
    lava = (Note("What Lava ran is its CPU fixed-point simulation, not silicon."),) if "lava" in found else ()
    return Section(
        "backends", "Backends", SAYS, (Table("Comparisons", columns, tuple(rows), left=("backend", "result")), *lava)
    )
