"""What it costs on the chip: cores and what they use, energy and latency."""

from __future__ import annotations

import numpy as np

from tclif_deploy.builds import Build
from tclif_deploy.mapping.summary import EnergySummary, HardwareSummary, LatencySummary, PlacementSummary
from tclif_deploy.report.content import Bar, Bars, Block, Note, Plots, Section, Table
from tclif_deploy.report.figure import Cells, Figure, Panel, Series
from tclif_deploy.report.sections.synthesis import synthesis_blocks
from tclif_deploy.text import NONE, count, energy, microjoules, modelled, number, percent, span

CAPTION = (
    "What it takes of the chip and what it costs there. Energy and latency are modelled, not measured; the last table "
    "says from what."
)
CORES_LISTED = 24
"""in the table; the map shows all of them"""


def hardware(build: Build) -> Section:
    """The core map, the cost, the circuit where there is one."""
    circuit = () if build.synthesis is None else synthesis_blocks(build.synthesis)
    return Section("hardware", "Hardware", CAPTION, (*_cores(build), *_cost(build), *circuit))


def hardware_note(hardware: HardwareSummary, target: str) -> Note:
    """Cores, energy and latency in one line, with the one caveat."""
    m, e, t = hardware.mapping, hardware.energy, hardware.latency
    parts = [f"does not fit {target}" if m is None else f"{count(m.cores, 'core')} on {count(m.chips, 'chip')}"]
    placed = len(parts)
    if e is not None and e.nj_per_inference_low is not None:
        parts.append(f"{energy(e.nj_per_inference_low, e.nj_per_inference_high)} an inference")
    if t is not None and t.us_per_step is not None:
        parts.append(f"{span(t.us_per_step_low, t.us_per_step_high, 3)} µs a step")
    caveat = f" ({modelled(hardware.figures)})" if len(parts) > placed else ""
    return Note(", ".join(parts) + caveat, "hardware")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _cores(build: Build) -> list[Block]:
    m = build.placement
    if m is None:
        reason = "the network does not fit, see the findings" if not build.report.fits else "this build stores none"
        return [Note(f"No placement on cores: {reason}.")]
    return [fullness_bars(m), Plots(_map(m), on_page=len(m.cores) > 1), core_table(m)]


def fullness_bars(m: PlacementSummary) -> Block:
    """What the fullest core uses of each resource that the target limits."""
    title = f"{count(len(m.cores), 'core')} on {count(m.chips, 'chip')}"
    bars = []
    for name, row in m.utilization.items():
        if row.available is not None and row.peak is not None:
            text = f"{row.most:,} of {row.available:,} ({percent(row.peak, 1)}); mean {percent(row.mean, 1)}"
            bars.append(Bar(_words(name), row.peak, text))
    if not bars:
        return Note(f"{title}. The target states no limit of a core, so nothing can be full.")
    return Bars(f"How full the fullest core is ({title}, placed by strategy {m.strategy})", tuple(bars))


def core_table(m: PlacementSummary) -> Table:
    """A line a core: what lies there, and how much it uses."""
    shown = [name for name, limit in m.available.items() if limit is not None] or list(m.available)[:3]
    rows = [
        (
            str(core.chip), str(core.core),
            ", ".join(f"{s.layer}[{s.start}:{s.stop}]" for s in core.slices),
            *(f"{core.used[name]:,}" for name in shown),
        )
        for core in m.cores[:CORES_LISTED]
    ]  # fmt: skip
    if len(m.cores) > CORES_LISTED:
        rows.append(("", "", f"and {len(m.cores) - CORES_LISTED:,} more (mapping.json)", *("" for _ in shown)))
    return Table("Cores", ("chip", "core", "layers", *map(_words, shown)), tuple(rows), left=("layers",))


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
    caption = (
        f"{count(len(m.cores), 'core')} with the layers that lie there, shaded by fullness of the fullest "
        f"resource (at most {percent(float(np.nanmax(full)), 1)})."
    )
    panel = Panel("", "mesh, across", "mesh, down", cells=cells)
    return Figure("core-map", "Core map", caption, (panel,), height=max(160, min(520, 60 + 70 * height)))


def _cost(build: Build) -> tuple[Block, ...]:
    if build.report.energy is None:
        reason = "" if build.report.verified else ": no data were given, so no activity is known"
        return (Note(f"Energy and latency were not computed in this build{reason}."),)
    return cost_blocks(build.report, build.target.name)


def cost_blocks(hardware: HardwareSummary, target: str) -> tuple[Block, ...]:
    """Energy by part with its evidence, latency, the paper's formula, and what all of it rests on."""
    e = hardware.energy
    assert e is not None
    formula = e.formula_45nm_nj_per_step
    note = Note(
        f"The paper's 45 nm formula on this activity, µJ a step: TC-LIF {_micro(formula.tclif)}, LIF at the same rates "
        f"{_micro(formula.lif)}, an LSTM of that size {_micro(formula.lstm)}."
    )
    used: dict[str, list[str]] = {}
    for name, source in e.sources.items():
        used.setdefault(source, []).append(_words(name))
    rests = [(", ".join(names), source) for source, names in used.items()]
    if e.evidence is not None:
        rests.append(("weakest evidence of energy", e.evidence))
    if hardware.latency is not None and hardware.latency.evidence is not None:
        rests.append(("weakest evidence of latency", hardware.latency.evidence))
    rests += [("assumed", text) for text in hardware.assumptions]
    rest = Table("What these figures rest on", ("quantity", "source"), tuple(rests), left=("quantity", "source"))
    return (
        *_energy(e, hardware, target),
        *_latency(hardware.latency, hardware.figures),
        note,
        *([rest] if rests else []),
    )


def _energy(e: EnergySummary, hardware: HardwareSummary, target: str) -> tuple[Block, ...]:
    low, high = e.nj_per_inference_low, e.nj_per_inference_high
    if low is None:
        return (Note(f"Energy: no figure of {target} is public."),)
    parts = {name: part for name, part in e.nj_by_part.items() if part is not None}
    done = hardware.operations
    counts = {} if done is None else {name: n / done.samples for name, n in done.by_part().items()}
    rows = [(name, number(counts.get(name)), *map(_micro, part)) for name, part in parts.items()]
    rows.append(("all", "", _micro(low), _micro(high)))
    if e.static_nj_per_inference is not None:
        rows.append(("static power meanwhile, beside it", "", *map(_micro, e.static_nj_per_inference)))
    title = f"Energy of an inference, lowest to highest, {modelled(hardware.figures)}"
    table = Table(title, ("part", "operations", "low, µJ", "high, µJ"), tuple(rows), left=("part",))
    ends = np.array([b / 1000 for _, b in parts.values()]), np.array([a / 1000 for a, _ in parts.values()])
    series = (Series("range", list(parts), ends[0], "bars", "plain", low=ends[1]),)
    caption = f"From {energy(low, high)} an inference; each bar spans one part's lowest to highest figure."
    figure = Figure("energy", "Energy by part", caption, (Panel("", "", "µJ an inference", series),))
    return table, Plots(figure, on_page=False)


def _micro(nanojoules: float | None) -> str:
    return microjoules(nanojoules, nanojoules)


def _latency(t: LatencySummary | None, figures: str | None) -> tuple[Block, ...]:
    if t is None or t.us_per_step is None:
        return ()
    rows = (
        ("a step, µs", number(t.us_per_step_low), number(t.us_per_step_high)),
        ("the longest step, µs", NONE, number(t.us_worst_step)),
        ("an inference, µs", number(t.us_per_inference_low), number(t.us_per_inference_high)),
    )
    return (Table(f"Latency, {modelled(figures)}", ("quantity", "low", "high"), rows, left=("quantity",)),)
