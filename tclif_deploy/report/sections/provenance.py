"""Where everything comes from: enough to build it again."""

from __future__ import annotations

from typing import Any

from tclif_deploy.builds import Build
from tclif_deploy.report.content import Note, Section, Table, notice_note
from tclif_deploy.text import WARNING


def provenance(build: Build) -> Section:
    """Versions, hashes, settings, the command."""
    m = build.manifest
    agreement, drop = m.requirements.of_quality(m.target)
    rows = [
        ("model", m.model.path),
        ("model, SHA-256", m.model.sha256 or "none: a live module"),
        ("target", m.target.name),
        ("calibration", str(m.calibration)),
        ("calibration, SHA-256 of its samples", m.calibration.sha256 or "–"),
        *((f"read with: {key}", str(v)) for key, v in vars(m.model.read).items() if v is not None),
        *(
            (f"setting: {key.replace('_', ' ')}", _text(value) if value or key != "weight_bits" else "the target's")
            for key, value in vars(m.settings).items()
        ),
        ("required: agreement of at least", str(agreement)),
        ("required: accuracy drop of at most", str(drop)),
        *(
            (f"required: {key.replace('_', ' ')}", _text(v))
            for key, v in vars(m.requirements).items()
            if v is not None and key not in ("min_agreement", "max_accuracy_drop")
        ),
        *((f"version of {key}", str(value)) for key, value in m.versions.items()),
        ("random seeds", "none: nothing in a compilation is random"),
    ]  # fmt: skip
    if m.command:
        rows.insert(0, ("command", m.command))
    notes = tuple(notice_note(text) if text.startswith(WARNING) else Note(text) for text in build.report.notices)
    return Section(
        "provenance", "Provenance", "Same input, same bytes: with these, anyone can make this build again.",
        (Table("Made from", ("item", "value"), tuple(rows), left=("item", "value")), *notes),
    )  # fmt: skip


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
