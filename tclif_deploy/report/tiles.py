"""What came out, in a handful of figures: the tiles below the verdict."""

from __future__ import annotations

from tclif_deploy.builds import Build
from tclif_deploy.report.content import Tile, Tiles
from tclif_deploy.text import count, energy, modelled, number, percent, points, span
from tclif_deploy.verification.requirements import Asked
from tclif_deploy.verification.tables import figure


def tiles(build: Build) -> Tiles:
    """Accuracy before and after, agreement, memory, energy and latency; what was not measured is left out."""
    report = build.report
    agreement, drop = build.requirements.of_quality(build.target)
    shown: list[Tile] = []
    original, fixed = report.accuracy.original, report.accuracy.quantized
    if original is not None and fixed is not None:
        change = f"{points(fixed - original)}; {_limit('allowed', f'{points(-drop.value)}', drop, 1)}"
        shown.append(Tile("accuracy, float → fixed", f"{percent(original)} → {percent(fixed)}", change))
    if report.r2 is not None and report.r2.quantized is not None:
        before = "" if report.r2.original is None else f"{figure(report.r2.original)} → "
        shown.append(Tile("R², float → fixed", f"{before}{figure(report.r2.quantized)}", "of the numbers"))
    if report.agreement.argmax is not None:
        by_step = report.task is not None and report.task.startswith("step")
        of = f"of {count(report.judged or report.samples, 'step' if by_step else 'sample')}"
        least = _limit("at least", f"{100 * agreement.value:g} %", agreement, 0)
        shown.append(Tile("agreement", percent(report.agreement.argmax), f"{of}; {least}"))
    if build.placement is not None:
        places = f"on {count(len(build.placement.cores), 'core')} of {count(build.placement.chips, 'chip')}"
        shown.append(Tile("memory", f"{number(build.placement.memory_bytes / 1024, 3)} KiB", places))
    e, t = report.energy, report.latency
    if e is not None and e.nj_per_inference_low is not None:
        text = energy(e.nj_per_inference_low, e.nj_per_inference_high)
        shown.append(Tile("energy of an inference", text, modelled(report.figures)))
    if t is not None and t.us_per_inference_low is not None:
        text = f"{span(t.us_per_inference_low, t.us_per_inference_high, 3)} µs"
        shown.append(Tile("latency of an inference", text, modelled(report.figures)))
    return Tiles(tuple(shown))


def _limit(word: str, bound: str, asked: Asked, nothing: float) -> str:
    """A limit and who asks for it; the value ``nothing`` asks for nothing."""
    return f"no limit ({asked.origin})" if asked.value == nothing else f"{word} {bound} ({asked.origin})"
