"""How alike the spikes are: layer by layer, at the first divergence, and in the decisions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tclif_deploy.builds import Build
from tclif_deploy.builds.record import LayerRecord, Record, Window
from tclif_deploy.report.content import Block, Note, Plots, Section, Table
from tclif_deploy.report.figure import Cells, Figure, Panel, Series
from tclif_deploy.report.sections.error_attribution import attribution_blocks
from tclif_deploy.text import number, percent
from tclif_deploy.verification.changed_decisions import ChangedDecisions
from tclif_deploy.verification.requirements import NUMBER_NAMES
from tclif_deploy.verification.tables import LAYER_COLUMNS, LAYER_LEGEND, decibels, figure, layer_rows
from tclif_deploy.verification.verdict import Verdict, VerdictSummary

CAPTION = (
    "How alike float and fixed are. Spike overlap (Jaccard) is spikes in both over spikes in either; deep layers lose "
    "it first, because one shifted spike shifts those after it: judge by agreement and accuracy."
)
CHANGED_SHOWN = 20
"""samples that are decided differently, of those in ``report.json``, that are listed"""
MAX_CLASSES = 40
"""a larger confusion matrix is not drawn"""
Measured = tuple[str, Callable[[Any], Any], Callable[[Any], str]]
"""(name, the figure in a report, how that is written)"""


def _compared(name: str, of: str, report: Any) -> float | None:
    """A figure of numbers, where the answers are numbers."""
    figures = getattr(report, name)
    return None if figures is None else getattr(figures, OF[of])


OF_LABELS = ("accuracy", "agreement")
OF = {"float": "original", "fixed": "quantized", "fixed against float": "agreement"}
DECISIONS: tuple[Measured, ...] = (
    ("samples compared", lambda r: r.samples, number),
    ("accuracy, float", lambda r: r.accuracy.original, percent),
    ("accuracy, fixed", lambda r: r.accuracy.quantized, percent),
    ("agreement", lambda r: r.agreement.argmax, percent),
    *(
        (f"{NUMBER_NAMES[name]}, {of}", partial(_compared, name, of), figure)
        for name in NUMBER_NAMES
        for of in ("float", "fixed", "fixed against float")
    ),
    ("SNR of the readout", lambda r: r.agreement.logit_snr_db, decibels),
    ("overflows of states", lambda r: r.saturations, number),
    ("clipped input values", lambda r: r.input_clipped, number),
)


def fidelity(build: Build) -> Section:
    """The layers' table and bars, the divergences' traces, the confusion of decisions."""
    verdict = build.report.verdict()
    if verdict is None:
        return Section("fidelity", "Fidelity", CAPTION, (Note("Not measured: no data were given (--data FILE)."),))
    blocks: list[Block] = [decision_table(build.report), layer_table(verdict), Plots(_bars(build), on_page=False)]
    if build.attribution is not None:
        blocks += attribution_blocks(build.attribution, printed=build.report.findings)
    else:
        blocks.append(Note("Where the error comes from is shown by: tclif explain BUILD --data FILE."))
    blocks += changed_blocks(build.report.changed_decisions)
    record = build.record
    if record is None:
        blocks.append(Note("Traces and decisions are not stored in this build."))
        return Section("fidelity", "Fidelity", CAPTION, tuple(blocks))
    diverging = {layer.name for layer in build.report.layers if layer.first_divergence}
    for n, layer in enumerate(record.layers):
        if layer.window is not None:
            neuron = layer.window.at.neuron
            fixed = build.fixed.layers[n]
            window = _window(n, layer, layer.window, int(fixed.threshold[neuron]), fixed.reset == "hard")
            blocks.append(Plots(window))
        elif layer.name in diverging:
            blocks.append(Note(f"Layer {layer.name}: its first divergence lies beyond the steps that are stored."))
        elif layer.spikes.shape[1]:
            blocks.append(Note(f"Layer {layer.name}: no spike differs."))
    blocks += [Plots(_confusion(record))] if 0 < len(record.confusion) <= MAX_CLASSES else []
    return Section("fidelity", "Fidelity", CAPTION, tuple(blocks))


def decision_table(figures: VerdictSummary) -> Table:
    """Accuracy, agreement and what they rest on."""
    numbers = figures.r2 is not None
    shown = [row for row in DECISIONS if row[0].split(",")[0] not in (OF_LABELS if numbers else NUMBER_NAMES.values())]
    rows = [(name, show(get(figures))) for name, get, show in shown]
    if figures.changed_decisions is not None:
        changed = figures.changed_decisions
        rows.append(("decided differently", number(changed.count)))
        if changed.count:
            rows.append(("of these chaotic", f"{changed.chaotic} of {changed.looked_at} looked at"))
    if figures.rule is not None:
        rows.append(("readout", figures.rule))
    if figures.rule_loss is not None:
        rows.append((f"float alike by {figures.rule_loss.declared}", percent(figures.rule_loss.agreement)))
        rows.append((f"accuracy, float by {figures.rule}", percent(figures.rule_loss.accuracy)))
    if figures.undecided is not None:
        rows += [
            ("undecided, float", number(figures.undecided.original)),
            ("undecided, fixed", number(figures.undecided.quantized)),
        ]
    if figures.task is not None and figures.task.startswith("step"):
        rows.insert(1, ("steps judged", number(figures.judged)))
    return Table("Decisions", ("quantity", "value"), tuple(rows), left=("quantity",))


def changed_blocks(changed: ChangedDecisions | None) -> list[Block]:
    """The samples that float and fixed decide differently: how sure float was of them."""
    if changed is None or changed.count == 0:
        return []
    shown = changed.samples[:CHANGED_SHOWN]
    rows = tuple(
        (
            str(c.sample), str(c.original), str(c.quantized), f"{c.margin:.4g}", f"{c.margin_lost:.4g}",
            "yes" if c.chaotic else "no",
        )
        for c in shown
    )  # fmt: skip
    of = "" if len(shown) == changed.count else f", the first {len(shown)} of {changed.count:,}"
    title = f"Samples that float and fixed decide differently{of} (margins in float units)"
    columns = ("sample", "class, float", "class, fixed", "margin, float", "margin lost", "chaotic")
    looked = "" if changed.looked_at == changed.count else f" that were looked at, of {changed.count:,},"
    starts = f"whose somas start ±{changed.nudge:g} of a threshold away"
    if changed.chaotic:
        verb = "is" if changed.chaotic == 1 else "are"
        note = (
            f"{changed.chaotic} of {changed.looked_at}{looked} {verb} chaotic: float itself decides otherwise in at "
            f"least one of {changed.draws} runs {starts}. Integers keep such a decision by luck."
        )
    else:
        alike = f"float decides alike in all of {changed.draws} runs"
        note = f"None of {changed.looked_at}{looked} is chaotic: {alike} {starts}."
    return [Table(title, columns, rows, left=("chaotic",)), Note(note)]


def layer_table(verdict: Verdict) -> Table:
    """Every layer, float against fixed."""
    title, place = f"Float against fixed, by layer ({LAYER_LEGEND})", LAYER_COLUMNS[4]
    return Table(title, LAYER_COLUMNS, layer_rows(verdict), left=(LAYER_COLUMNS[0], place), whole=(place,))


def _bars(build: Build) -> Figure:
    layers = build.report.layers
    names = [layer.name for layer in layers]
    rates = tuple(
        Series(kind, names, np.array([100 * getattr(layer, f"spike_rate_{kind}") for layer in layers]), "bars", kind)
        for kind in ("float", "fixed")
    )  # fmt: skip
    overlap = Series(
        "spike overlap (Jaccard)", names, np.array([layer.jaccard or 0.0 for layer in layers]), "bars", "plain"
    )
    listed = "; ".join(f"{n}: {x.jaccard or 0:.3f}" for n, x in zip(names, layers, strict=True))
    return Figure(
        "fidelity-layers", "Firing rate and spike overlap (Jaccard) by layer",
        f"Spike overlap (Jaccard) by layer: {listed}.",
        (
            Panel("Firing rate", "", "spikes a neuron a step, %", rates),
            Panel("Spike overlap (Jaccard)", "", "spikes in both / in either", (overlap,)),
        ),
        columns=2,
    )  # fmt: skip


def _window(index: int, layer: LayerRecord, w: Window, threshold: int, hard: bool) -> Figure:
    """``threshold`` is the integer that the fixed soma is compared with; the float soma's is the real one. A ``hard``
    reset leaves nothing of what the soma was before it."""
    steps = np.arange(w.start, w.start + w.u.shape[1])
    index_of_step = w.at.step - w.start
    first = "float" if w.spikes[0, index_of_step] else "fixed"
    margins = (w.v[0, index_of_step] - w.threshold) / w.lsb, np.rint(w.v[1, index_of_step] / w.lsb) - threshold
    # where a reset sets the soma, what it was before is gone: then its margin is known of who did not fire
    known = [
        f"{kind}'s soma is {margin:+,.1f} LSB from the threshold"
        for n, (kind, margin) in enumerate(zip(("float", "fixed"), margins, strict=True))
        if not (hard and w.spikes[n, index_of_step])
    ]
    panels = []
    for title, rows, level in (
        ("Soma v" if hard else "Soma v, before a reset", w.v, w.threshold),
        ("Dendrite u", w.u, None),
    ):
        series = [Series(kind, steps, rows[n], "line", kind) for n, kind in ((0, "float"), (1, "fixed"))]  # type: ignore[arg-type]
        if level is not None:
            series += [
                Series(f"{kind} spike", steps[w.spikes[n]], rows[n][w.spikes[n]], "points", kind)  # type: ignore[arg-type]
                for n, kind in ((0, "float"), (1, "fixed"))
            ]
        panels.append(Panel(title, "step", "float units", tuple(series), level=level, mark=float(w.at.step)))
    caption = (
        f"Layer {layer.name}, sample {w.at.sample}, neuron {w.at.neuron}: at step {w.at.step} only {first} fires. "
        f"{'' if hard else 'Before the reset '}{', '.join(known)} (one LSB is {w.lsb:.3g})."
    )
    return Figure(
        f"divergence-{index}", f"First divergence in layer {layer.name}", caption, tuple(panels), columns=2, height=260
    )


def _confusion(record: Record) -> Figure:
    names = [str(n) for n in range(len(record.confusion))]
    counts = record.confusion
    text = [[str(v) if v else "" for v in row] for row in counts.tolist()]
    same, total = int(np.trace(counts)), int(counts.sum())
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    caption = (
        f"Agreement on {same:,} of {total:,} samples (the diagonal). Rows: the class of the float network; columns: "
        "that of the fixed-point network; shaded by its share of the row."
    )
    panel = Panel("", "class, fixed", "class, float", cells=Cells(shares, names, names, text, 1.0))
    return Figure("confusion", "Decisions, float against fixed", caption, (panel,), height=420, tags={"square": "yes"})
