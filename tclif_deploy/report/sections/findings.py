"""What to worry about: one list, of how the network fits the target and of what it does on the data."""

from __future__ import annotations

from tclif_deploy.builds import Build
from tclif_deploy.mapping.findings import Finding, Severity
from tclif_deploy.report.content import Level, Note, Section

CAPTION = (
    "What to worry about, the worst first: how the network fits the target, and what its layers do on the data. An "
    "error makes the result useless or impossible, a warning may, an info is good to know."
)
LEVELS: dict[Severity, Level] = {"error": "bad", "warning": "open", "info": "plain"}


def findings(build: Build) -> Section:
    """Every finding of the build."""
    notes = [finding_note(finding) for finding in build.report.findings]
    if not notes:
        notes = [Note("No findings.")]
    if build.report.verified:
        notes += unproven_notes(build.report.unproven)
    else:
        notes.append(Note("What the layers do was not measured: no data were given (--data FILE)."))
    return Section("findings", "Findings", CAPTION, tuple(notes))


def unproven_notes(unproven: str | None) -> list[Note]:
    """One line where nobody else's simulator shows that the target's chip computes these integers."""
    return [] if unproven is None else [Note(unproven, "unproven", "open")]


def finding_note(finding: Finding) -> Note:
    """One finding as a sentence."""
    f = finding
    limit = f" (limit: {f.limit})" if f.limit else ""
    return Note(f"{f.rule}: {f.subject}: {f.value}{limit}; {f.remedy}", f.severity, LEVELS[f.severity])
