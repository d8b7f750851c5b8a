"""Where everything comes from: enough to build it again."""

from __future__ import annotations

from typing import Any

from tclif_deploy.builds.stored import StoredBuild
from tclif_deploy.report.content import Note, Section, Table


def provenance(build: StoredBuild) -> Section:
    """Versions, hashes, settings, the command."""
    m = build.manifest
    requirements = m.get("requirements", {})
    rows = [
        ("model", build.model),
        ("model, SHA-256", m["model"]["sha256"]),
        ("target", build.target),
        ("calibration", m["calibration"]),
        *((f"setting: {key.replace('_', ' ')}", _text(value)) for key, value in m["settings"].items()),
        *((f"required: {key.replace('_', ' ')}", _text(v)) for key, v in requirements.items() if v is not None),
        *((f"version of {key}", str(value)) for key, value in m["versions"].items()),
        ("random seeds", "none: nothing in a compilation is random"),
    ]  # fmt: skip
    if m.get("command"):
        rows.insert(0, ("command", m["command"]))
    notes = tuple(Note(text) for text in build.report["notices"])
    return Section(
        "provenance", "Provenance", "Same input, same bytes: with these, anyone can make this build again.",
        (Table("Made from", ("what", "value"), tuple(rows), left=("what", "value")), *notes),
    )  # fmt: skip


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
