"""Error attribution, as ``tclif explain`` stores it, in tables and sentences."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from tclif_deploy.builds.attribution import Attribution
from tclif_deploy.mapping.findings import Finding
from tclif_deploy.network import INPUT
from tclif_deploy.report.content import Block, Note, Plots, Table
from tclif_deploy.report.figure import Cells, Figure, Panel
from tclif_deploy.report.sections.findings import finding_note
from tclif_deploy.text import NONE, number, percent, signed
from tclif_deploy.verification.error_attribution import Effect, Loss
from tclif_deploy.verification.remedies import Remedy

WORDS = {
    "weights": "weights", "coefficients": "coefficients", "states": "states", "thresholds": "thresholds",
    "bias": "biases", "input": "input",
}  # fmt: skip
"""what the sources of error are called"""


def attribution_blocks(a: Attribution, printed: Collection[Finding] = ()) -> tuple[Block, ...]:
    """Everything that ``explain.json`` says; of its findings those that were not ``printed`` already."""
    known = {(f.rule, f.subject) for f in printed}
    return (
        *(finding_note(f) for f in a.findings if (f.rule, f.subject) not in known),
        *(Note(text) for text in advice(a)), _sources(a), _layers(a), *_figure(a), Note(_divergence(a)), _states(a),
    )  # fmt: skip


def advice(a: Attribution) -> list[str]:
    """What is worst and what would help, as it was measured."""
    worst = a.worst
    if worst is None:
        return ["No source of error changes the readout: there is nothing to do."]
    if worst.layer == INPUT:
        name, effect = "the encoding of the input as integers", a.sources[worst.source]
    else:
        name, effect = f"{WORDS[worst.source]} of layer {worst.layer}", a.parts[worst.layer][worst.source]
    sentences = [
        f"Worst: {name}: with nothing else quantized, {_classes(effect.alone, a)} and the readout is "
        f"{_readout(effect.alone)} off; with everything quantized, {percent(a.loss.agreement)} and "
        f"{percent(a.loss.readout, 1)}."
    ]
    helping = [r for r in a.remedies if r.helps(a.loss)]
    sentences += [f"Measured, and it helps: {_measured(r, a)}." for r in helping]
    sentences += [f"Measured, and no help: {_measured(r, a)}." for r in a.remedies if r not in helping]
    if worst.source in TRAINED:
        sentences.append("Not measured here: fine-tuning trains through these very integers (tclif finetune).")
    return sentences


TRAINED = ("weights", "coefficients", "thresholds", "bias")
"""what fine-tuning can change"""


def _classes(loss: Loss, a: Attribution) -> str:
    return f"{percent(loss.agreement)} of {a.samples:,} samples change their class"


def _readout(loss: Loss) -> str:
    return f"{percent(loss.readout, 1)} of its spread"


def _measured(r: Remedy, a: Attribution) -> str:
    """What was tried, and what samples lose with it instead of without."""
    where = f" in layer {r.layer}" if r.layer else ""
    changed = f"{percent(a.loss.agreement)} → {_classes(r.loss, a)}"
    if r.loss.agreement == a.loss.agreement:
        changed = f"{_classes(r.loss, a)}, as before"
    return f"{r.what}{where}: {changed}; readout error {percent(a.loss.readout, 1)} → {_readout(r.loss)}"


def _sources(a: Attribution) -> Table:
    rows = [(WORDS[kind], *_losses(effect)) for kind, effect in _ordered(a.sources)]
    rows.append(("interaction", f"{signed(100 * a.interaction)} %", "", "", ""))
    rows.append(("all together", percent(a.loss.agreement), percent(a.loss.readout, 1), "", ""))
    title = (
        f"Where the error comes from: agreement lost, as a share of {a.samples:,} samples, and the readout's error, as "
        "a share of its spread. All together = the sum of alone + interaction"
    )
    return Table(title, ("source", *COLUMNS), tuple(rows), left=("source",))


COLUMNS = ("agreement lost, alone", "readout error, alone", "agreement lost, all but it", "readout error, all but it")
"""share of samples that change their class, and rms readout error over the readout's spread"""


def _ordered(effects: Mapping[str, Effect]) -> list[tuple[str, Effect]]:
    return [(kind, effects[kind]) for kind in WORDS if kind in effects]


def _losses(effect: Effect) -> tuple[str, ...]:
    cells: list[str] = []
    for loss in (effect.alone, effect.without):
        cells += [percent(loss.agreement), percent(loss.readout, 1)]
    return tuple(cells)


def _layers(a: Attribution) -> Table:
    rows = []
    given = a.sources.get(INPUT)
    if given is not None:
        rows.append((INPUT, WORDS[INPUT], *_losses(given)))
    for name, effect in a.layers.items():
        rows.append((name, "all", *_losses(effect)))
        rows += [(name, WORDS[kind], *_losses(part)) for kind, part in _ordered(a.parts[name])]
    rows.append(("interaction", "", f"{signed(100 * a.layer_interaction)} %", "", "", ""))
    return Table("The same by layer", ("layer", "source", *COLUMNS), tuple(rows), left=("layer", "source"))


def _figure(a: Attribution) -> tuple[Block, ...]:
    names = list(a.layers)
    kinds = [kind for kind in WORDS if any(kind in row for row in a.parts.values())]
    if not kinds:
        return ()
    effects = [[a.parts[n].get(kind) for kind in kinds] for n in names]
    shares = np.array([[0.0 if e is None else e.alone.readout for e in row] for row in effects])
    text = [["exact" if e is None else percent(e.alone.readout, 1) for e in row] for row in effects]
    cells = Cells(shares, names, [WORDS[kind] for kind in kinds], text, max(float(shares.max()), 1e-9))
    caption = "How far the readout moves when one source of one layer is quantized alone, as a share of its spread."
    height = 90 + 36 * len(names)
    panel = Panel("", "", "", cells=cells)
    figure = Figure("error-attribution", "What each source does alone", caption, (panel,), height=height)
    return (Plots(figure, on_page=False),)


def _divergence(a: Attribution) -> str:
    d = a.divergence
    if d is None:
        return "No spike differs from the float network's."
    causes = [WORDS[kind] for kind in d.causes]
    reason = f"Alone, {' or '.join(causes)} would do it" if causes else "No source does it alone: they add up"
    return (
        f"The first spike that differs: sample {d.sample}, step {d.step}, layer {d.layer}, neuron "
        f"{d.neuron}: only {d.fired} fires. Float's soma is {d.margin_float:+,.1f} LSB from the threshold, "
        f"fixed's {d.margin_fixed:+,.1f} LSB; the {d.compartment} is further off (dendrite {d.error_u:+,.1f} "
        f"LSB, soma {d.error_v:+,.1f} LSB). {reason}."
    )


def _states(a: Attribution) -> Table:
    rows = tuple(
        (
            s.layer, s.state, f"{(s.limit + 1).bit_length()} bit", percent(s.calibrated, 1),
            NONE if s.headroom is None else f"{s.headroom:.2f}×", percent(s.seen, 1),
            "none known" if s.bound is None else f"{s.bound:,.2f}×" + (" (safe)" if s.proven else ""),
            number(s.saturations),
        )
        for s in a.states
    )  # fmt: skip
    return Table(
        "States, the largest value as a share of what the width holds: on the calibration data, in fixed point on "
        "these, and for any input (a bound of at most 1× is a promise)",
        ("layer", "state", "width", "calibration", "headroom", "seen, fixed", "proven bound", "overflows"),
        rows, left=("layer", "state", "proven bound"),
    )  # fmt: skip
