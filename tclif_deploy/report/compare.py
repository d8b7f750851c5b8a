"""Two builds side by side: what differs, in figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tclif_deploy.builds import Build
from tclif_deploy.report.content import Table
from tclif_deploy.report.sections.fidelity import DECISIONS, Measured
from tclif_deploy.text import NONE, layer_labels, number, percent, points

FIGURES: tuple[Measured, ...] = (
    *DECISIONS,
    ("cores", lambda r: r.mapping and r.mapping.cores, number),
    ("energy an inference, low, µJ", lambda r: r.energy and _micro(r.energy.nj_per_inference_low), number),
    ("energy an inference, high, µJ", lambda r: r.energy and _micro(r.energy.nj_per_inference_high), number),
    ("latency of a step, high, µs", lambda r: r.latency and r.latency.us_per_step, number),
)


def _micro(nanojoules: float | None) -> float | None:
    return None if nanojoules is None else nanojoules / 1000


def differences(a: Build, b: Build) -> tuple[Table, ...]:
    """Each setting that is not the same; then the builds' figures in two columns, with every layer's spike overlap."""
    rows = []
    memory = [None if build.placement is None else build.placement.memory_bytes / 1024 for build in (a, b)]
    for name, figure, show in FIGURES:
        left, right = figure(a.report), figure(b.report)
        if left is not None or right is not None:
            rows.append((name, *_both(left, right, show)))
    if any(value is not None for value in memory):
        rows.append(("memory, KiB", *_both(memory[0], memory[1], number)))
    labels: dict[str, str] = {}
    for build in (b, a):
        labels |= layer_labels([layer.name for layer in build.fixed.layers])
    overlap = [{layer.name: layer.jaccard for layer in build.report.layers} for build in (a, b)]
    for name in dict.fromkeys([*overlap[0], *overlap[1]]):
        cells = _both(overlap[0].get(name), overlap[1].get(name), number)
        rows.append((f"spike overlap (Jaccard), {labels.get(name, name)}", *cells))
    figures = Table("Figures", ("quantity", "A", "B", "B − A"), tuple(rows), left=("quantity",))
    different = settings_that_differ(a, b)
    if not different:
        return (figures,)
    columns = ("setting", "A", "B")
    return Table("Settings that differ", columns, different, left=columns), figures


def settings_that_differ(a: Build, b: Build) -> tuple[tuple[str, str, str], ...]:
    """(name, the value in ``a``, that in ``b``) of each setting that is not the same."""
    settings = [_settings(build) for build in (a, b)]
    names = dict.fromkeys([*settings[0], *settings[1]])
    pairs = [(name, settings[0].get(name), settings[1].get(name)) for name in names]
    return tuple((name, _setting(left), _setting(right)) for name, left, right in pairs if left != right)


def _setting(value: Any) -> str:
    if value is None or value == ():
        return NONE
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _both(left: Any, right: Any, show: Callable[[Any], str]) -> tuple[str, str, str]:
    if left is None or right is None:
        return show(left), show(right), ""
    change = right - left
    shown = points(change) if show is percent else f"{change:+.4g}".replace("-", "−") if change else "0"
    return show(left), show(right), shown


def _settings(build: Build) -> Mapping[str, Any]:
    m = build.manifest
    agreement, drop = m.requirements.of_quality(m.target)
    return {
        "model": build.report.model, "target": build.target.name,
        **{f"setting: {key}": value for key, value in vars(m.settings).items()},
        **{f"arithmetic: {key}": value for key, value in vars(m.arithmetic).items()},
        **{f"target: {key}": limit.value for key, limit in m.target.limits().items()},
        "model, SHA-256": m.model.sha256, "calibration": str(m.calibration),
        **{f"read with: {key}": value for key, value in vars(m.model.read).items()},
        "data": None if m.verified_on is None else m.verified_on.path, "samples of the data": m.samples,
        "backends": None if m.choices is None else m.choices.backend,
        "lanes of rtl": None if m.choices is None else m.choices.rtl_lanes,
        "pipelines of rtl": None if m.choices is None else m.choices.rtl_pipelines,
        "fine-tuned": m.finetune is not None,
        "weight bits, by layer": build.weight_bits,
        "required: agreement of at least": str(agreement), "required: accuracy drop of at most": str(drop),
    }  # fmt: skip
