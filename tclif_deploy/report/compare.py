"""Two builds side by side: what differs, in figures."""

from __future__ import annotations

from typing import Any

from tclif_deploy.builds.stored import StoredBuild
from tclif_deploy.report.content import Table
from tclif_deploy.report.figure import number, percent

Path = tuple[str, ...]

FIGURES: tuple[tuple[str, Path, bool], ...] = (
    ("samples compared", ("samples",), False),
    ("accuracy, float", ("accuracy", "float"), True),
    ("accuracy, fixed", ("accuracy", "fixed"), True),
    ("float and fixed name the same class", ("agreement", "argmax"), True),
    ("readout, signal over error, dB", ("agreement", "logit_snr_db"), False),
    ("state values that saturated", ("saturations",), False),
    ("cores", ("mapping", "cores"), False),
    ("energy, nJ an inference, low", ("energy", "nj_per_inference_low"), False),
    ("energy, nJ an inference, high", ("energy", "nj_per_inference_high"), False),
    ("latency, µs a step", ("latency", "us_per_step"), False),
)
"""(what, where in report.json, whether it is a fraction)"""


def differences(a: StoredBuild, b: StoredBuild) -> Table:
    """The builds' figures in two columns, then every layer's Jaccard, then each setting that is not the same."""
    rows = [("model", a.model, b.model, ""), ("target", a.target, b.target, "")]
    for what, path, fraction in FIGURES:
        left, right = _at(a.report, path), _at(b.report, path)
        if left is not None or right is not None:
            rows.append((what, *_both(left, right, fraction)))
    jaccard = [{layer["name"]: layer["jaccard"] for layer in build.report["layers"]} for build in (a, b)]
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


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _settings(build: StoredBuild) -> dict[str, Any]:
    m = build.manifest
    found = {f"setting: {key}": value for key, value in m["settings"].items()}
    found |= {f"arithmetic: {key}": value for key, value in m["arithmetic"].items()}
    found |= {f"target: {k}": v["value"] for k, v in m["target"].items() if isinstance(v, dict) and "value" in v}
    return found | {"model, SHA-256": m["model"]["sha256"], "calibration": m["calibration"]}
