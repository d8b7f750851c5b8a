"""What it costs on the chip: cores and what they use, findings of the design rules, energy and latency."""

from __future__ import annotations

import numpy as np

from tclif_deploy.builds import Build
from tclif_deploy.mapping.summary import PlacementSummary
from tclif_deploy.report.content import Bar, Bars, Block, Note, Plots, Section, Table
from tclif_deploy.report.figure import Cells, Figure, Panel, Series, number, percent

SAYS = "What it takes of the chip and what it costs there: models, not measurements. Every figure names its evidence."
CORES_LISTED = 24
"""in the table; the map shows all of them"""


def hardware(build: Build) -> Section:
    """The core map, the findings, the cost."""
    blocks = [*_cores(build), *_findings(build), *_cost(build)]
    return Section("hardware", "Hardware", SAYS, tuple(blocks))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _cores(build: Build) -> list[Block]:
    m = build.placement
    if m is None:
        why = "the network does not fit, see the findings" if not build.report.fits else "this build stores none"
        return [Note(f"No placement on cores: {why}.")]
    bars = []
    for name, row in m.utilization.items():
        if row.available is not None and row.peak is not None:
            text = f"{row.most:,} of {row.available:,} ({percent(row.peak, 1)}); mean {percent(row.mean, 1)}"
            bars.append(Bar(_words(name), row.peak, text))
    cores = m.cores
    title = f"{len(cores):,} core{'' if len(cores) == 1 else 's'} on {m.chips:,} chip{'' if m.chips == 1 else 's'}"
    blocks: list[Block] = [
        Bars(f"How full the fullest core is ({title}, placed by strategy {m.strategy})", tuple(bars))
    ]
    if not bars:
        blocks = [Note(f"{title}. The target states no limit of a core, so nothing can be full.")]
    blocks.append(Plots(_map(m)))
    shown = [name for name, limit in m.available.items() if limit is not None] or list(m.available)[:3]
    rows = [
        (
            str(core.chip), str(core.core),
            ", ".join(f"{s.layer}[{s.start}:{s.stop}]" for s in core.slices),
            *(f"{core.used[name]:,}" for name in shown),
        )
        for core in cores[:CORES_LISTED]
    ]  # fmt: skip
    if len(cores) > CORES_LISTED:
        rows.append(("", "", f"and {len(cores) - CORES_LISTED:,} more in mapping.json", *("" for _ in shown)))
    columns = ("chip", "core", "layers", *map(_words, shown))
    blocks.append(Table("Cores", columns, tuple(rows), left=("layers",)))
    return blocks


def _map(m: PlacementSummary) -> Figure:
    """Every core at its place in the mesh; the colour is how full its fullest resource is."""
    limits = {name: limit for name, limit in m.available.items() if limit}
    x0, y0 = (min(getattr(core, axis) for core in m.cores) for axis in ("x", "y"))
    width, height = (max(getattr(core, axis) for core in m.cores) + 1 - low for axis, low in (("x", x0), ("y", y0)))
    full = np.full((height, width), np.nan)
    text = [["" for _ in range(width)] for _ in range(height)]
    for core in m.cores:
        share = max((core.used[name] / limit for name, limit in limits.items()), default=0.0)
        y, x = core.y - y0, core.x - x0
        full[y, x] = share if np.isnan(full[y, x]) else max(share, full[y, x])
        text[y][x] = ", ".join(dict.fromkeys([*filter(None, [text[y][x]]), *(s.layer for s in core.slices)]))
    names = [str(x0 + n) for n in range(width)], [str(y0 + n) for n in range(height)]
    cells = Cells(full, names[1], names[0], text if width * height <= 40 else None, 1.0)
    count = len(m.cores)
    says = (
        f"{count:,} core{'' if count == 1 else 's'} with the layers that lie there; the colour says how full the "
        f"fullest resource is (at most {percent(float(np.nanmax(full)), 1)})."
    )
    panel = Panel("", "mesh, across", "mesh, down", cells=cells)
    return Figure("core-map", "Core map", says, (panel,), height=max(160, min(520, 60 + 70 * height)))


def _findings(build: Build) -> list[Block]:
    found = build.report.findings
    if not found:
        return [Note("The design rules found nothing.")]
    columns = ("severity", "rule", "subject", "value", "limit", "remedy")
    rows = tuple((f.severity, _words(f.rule), f.subject, f.value, f.limit, f.remedy) for f in found)
    return [Table("Findings of the design rules, worst first", columns, rows, left=columns)]


def _cost(build: Build) -> list[Block]:
    energy, latency = build.report.energy, build.report.latency
    if energy is None:
        why = "" if build.report.verified else ": no data were given, so no activity is known"
        return [Note(f"Energy and latency were not computed in this build{why}.")]
    blocks: list[Block] = []
    parts = {name: part for name, part in energy.nj_by_part.items() if part is not None}
    low, high = energy.nj_per_inference_low, energy.nj_per_inference_high
    if low is None:
        blocks.append(Note(f"Energy: no figure of {build.target.name} is public."))
    else:
        rows = [(name, number(a), number(b)) for name, (a, b) in parts.items()] + [("all", number(low), number(high))]
        blocks.append(
            Table(
                f"Energy of an inference, lowest to highest public figures (evidence: {energy.evidence})",
                ("part", "low, nJ", "high, nJ"), tuple(rows), left=("part",),
            )
        )  # fmt: skip
        ends = np.array([b for _, b in parts.values()]), np.array([a for a, _ in parts.values()])
        series = (Series("range", list(parts), ends[0], "bars", "plain", low=ends[1]),)
        says = (
            f"From {number(low)} to {number(high)} nJ an inference; each bar spans one part's lowest to highest figure."
        )
        blocks.append(Plots(Figure("energy", "Energy by part", says, (Panel("", "", "nJ an inference", series),))))
    if latency is not None and latency.us_per_step is not None:
        blocks.append(
            Table(
                f"Latency (evidence: {latency.evidence})", ("what", "low", "high"),
                (
                    ("a step, µs", number(latency.us_per_step_low), number(latency.us_per_step_high)),
                    ("an inference, µs", number(latency.us_per_inference_low), number(latency.us_per_inference_high)),
                ),
                left=("what",),
            )
        )  # fmt: skip
    formula = energy.formula_45nm_nj_per_step
    blocks.append(
        Note(
            f"The paper's 45 nm formula on this activity, nJ a step: TC-LIF {formula.tclif:.1f}, LIF at the same "
            f"rates {formula.lif:.1f}, an LSTM of that size {formula.lstm:,.1f}."
        )
    )
    rests = [(_words(name), source) for name, source in energy.sources.items()]
    rests += [("assumed", text) for text in build.report.assumptions]
    if rests:
        blocks.append(Table("What these figures rest on", ("what", "source"), tuple(rests), left=("what", "source")))
    return blocks
