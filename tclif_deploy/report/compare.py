"""Two builds side by side: what differs, in figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tclif_deploy.builds import Build, Report
from tclif_deploy.report.content import Table
from tclif_deploy.report.figure import number, percent

Read = Callable[[Report], Any]

FIGURES: tuple[tuple[str, Read, bool], ...] = (
    ("samples compared", lambda r: r.samples, False),
    ("accuracy, float", lambda r: r.accuracy.original, True),
    ("accuracy, fixed", lambda r: r.accuracy.quantized, True),
    ("float and fixed name the same class", lambda r: r.agreement.argmax, True),
    ("readout, signal over error, dB", lambda r: r.agreement.logit_snr_db, False),
    ("state values that saturated", lambda r: r.saturations, False),
    ("cores", lambda r: r.mapping and r.mapping.cores, False),
    ("energy, nJ an inference, low", lambda r: r.energy and r.energy.nj_per_inference_low, False),
    ("energy, nJ an inference, high", lambda r: r.energy and r.energy.nj_per_inference_high, False),
    ("latency, µs a step", lambda r: r.latency and r.latency.us_per_step, False),
)
"""(what, its figure in a report, whether it is a fraction)"""


def differences(a: Build, b: Build) -> Table:
    """The builds' figures in two columns, then every layer's Jaccard, then each setting that is not the same."""
    rows = [("model", a.report.model, b.report.model, ""), ("target", a.target.name, b.target.name, "")]
    for what, figure, fraction in FIGURES:
        left, right = figure(a.report), figure(b.report)
        if left is not None or right is not None:
            rows.append((what, *_both(left, right, fraction)))
    jaccard = [{layer.name: layer.jaccard for layer in build.report.layers} for build in (a, b)]
    for name in dict.fromkeys([*jaccard[0], *jaccard[1]]):
        rows.append((f"Jaccard of {name}", *_both(jaccard[0].get(name), jaccard[1].get(name), False)))
    settings = [_settings(build) for build in (a, b)]
    for name in dict.fromkeys([*settings[0], *settings[1]]):
        left, right = settings[0].get(name), settings[1].get(name)
        if left != right:
            rows.append((name, "–" if left is None else str(left), "–" if right is None else str(right), "differs"))
    return Table("What differs", ("what", "A", "B", "B − A"), tuple(rows), left=("what",))


def _both(left: Any, right: Any, fraction: bool) -> tuple[str, str, str]:
    show = percent if fraction else number
    if left is None or right is None:
        return show(left), show(right), ""
    change = right - left
    return show(left), show(right), f"{100 * change:+.2f} points" if fraction else f"{change:+.4g}" if change else "0"


def _settings(build: Build) -> Mapping[str, Any]:
    m = build.manifest
    return {
        **{f"setting: {key}": value for key, value in vars(m.settings).items()},
        **{f"arithmetic: {key}": value for key, value in vars(m.arithmetic).items()},
        **{f"target: {key}": limit.value for key, limit in m.target.limits().items()},
        "model, SHA-256": m.model.sha256, "calibration": str(m.calibration),
    }  # fmt: skip
