"""Builds, verdicts, runs and targets on a terminal, by the report's blocks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from tclif_deploy.builds import Build
from tclif_deploy.builds.report import Tuning, TuningControl, TuningNumbers
from tclif_deploy.quantization.calibration import Calibration
from tclif_deploy.report.content import Block, Note, Table, notice_note
from tclif_deploy.report.sections.backends import comparison
from tclif_deploy.report.sections.fidelity import decision_table, layer_table
from tclif_deploy.report.sections.findings import finding_note, unproven_notes
from tclif_deploy.report.sections.hardware import hardware_note
from tclif_deploy.report.sections.quantization import width_blocks
from tclif_deploy.report.sweep import Row
from tclif_deploy.report.terminal.blocks import show_blocks
from tclif_deploy.report.terminal.hardware import calibrated
from tclif_deploy.report.terminal.proof import proof_notes
from tclif_deploy.report.verdict_text import LEVELS, headline
from tclif_deploy.simulation.stream import RunSummary
from tclif_deploy.target import Target
from tclif_deploy.text import NONE, count, microjoules, modelled, number, percent, points, span
from tclif_deploy.verification.fuzz_report import FuzzReport
from tclif_deploy.verification.requirements import Judgement
from tclif_deploy.verification.tables import figure, sentence
from tclif_deploy.verification.verdict import Verdict


def print_build(console: Console, build: Build) -> None:
    """What to know, the verdict by layer, what to worry about, and in the last lines the verdict and the folder."""
    report, verdict = build.report, headline(build)
    blocks: list[Block] = [*(notice_note(text) for text in report.notices), *width_blocks(report.widths)]
    compared = report.verdict()
    if compared is not None:
        blocks += [layer_table(compared), *(comparison(*item) for item in report.backends.items())]
    blocks.append(hardware_note(report, build.target.name))
    blocks += [finding_note(f) for f in report.findings if f.severity != "info"]
    if compared is not None:
        blocks += unproven_notes(report.unproven)
    blocks += [Note(str(verdict), "verdict", verdict.level), Note(str(build.folder), "build")]
    show_blocks(console, blocks, layers=[layer.name for layer in build.fixed.layers])


def print_rebuilt(console: Console, build: str, files: int, differ: Sequence[str]) -> None:
    """Which of a build's files came out otherwise, and how many were compared."""
    blocks = [Note(name, "differs", "bad") for name in differ]
    same = f"{count(files, 'file')}, every byte the same" if not differ else f"{len(differ)} of {files} files differ"
    show_blocks(console, [*blocks, Note(same, build, "bad" if differ else "good")])


def print_verdict(console: Console, verdict: Verdict, judgement: Judgement, unproven: str | None = None) -> None:
    """The verdict by layer, the decisions, what it is worth, and what is ``unproven`` of the target's arithmetic."""
    blocks: list[Block] = [layer_table(verdict), decision_table(verdict.summary())]
    blocks += [Note(line, "falls short", "bad") for line in judgement.shortfalls]
    blocks += [Note(line, "uncertain", "open") for line in judgement.uncertain]
    blocks += unproven_notes(unproven)
    blocks.append(Note(f"{judgement.word}: {sentence(verdict)}", "verdict", LEVELS[judgement.word]))
    show_blocks(console, blocks, layers=list(verdict.saturations))


def print_tuning(console: Console, tuning: Tuning) -> None:
    """What fine-tuning did: the report's ``finetune``."""
    if tuning.numbers is not None:
        show_blocks(console, [_tuning_numbers(tuning, tuning.numbers), *_tuning_overflows(tuning)])
        return
    before = "" if tuning.agreement_quantized is None else percent(tuning.agreement_quantized)
    rows = [
        ("original, float", percent(tuning.original), "", ""),
        ("quantized", percent(tuning.quantized), _change(tuning.drop_quantized), before),
        ("fine-tuned", percent(tuning.tuned), _change(tuning.drop), percent(tuning.agreement)),
    ]
    control = tuning.control
    if isinstance(control, TuningControl):
        rows.append(("control: float, trained on alike", percent(control.accuracy), "", ""))
        rows.append(("fine-tuned against control", "", _change(control.drop), percent(control.agreement)))
    of = " of steps" if tuning.epochs_tuned[-1].task == "step-label" else ""
    title, columns = (
        f"Accuracy{of} on {count(tuning.samples_tested, 'test sample')}",
        ("network", "accuracy", "change", "agreement"),
    )
    show_blocks(console, [Table(title, columns, tuple(rows), left=("network",)), *_tuning_overflows(tuning)])


def _tuning_numbers(tuning: Tuning, numbers: TuningNumbers) -> Block:
    """The table of a task whose targets are numbers."""
    fits = [
        ("original, float", numbers.original), ("quantized", numbers.quantized), ("fine-tuned", numbers.tuned),
        ("fine-tuned against original", numbers.agreement), ("control: float, trained on alike", numbers.control),
    ]  # fmt: skip
    rows = tuple((name, figure(fit.r2), figure(fit.rmse)) for name, fit in fits if fit is not None)
    title = f"Numbers on {count(tuning.samples_tested, 'test sample')}"
    return Table(title, ("network", "R²", "rmse"), rows, left=("network",))


def _tuning_overflows(tuning: Tuning) -> list[Block]:
    if not tuning.overflows:
        return []
    text = f"states left their range {tuning.overflows:,} times in training: more --headroom helps"
    return [Note(text, "notice", "open")]


def _change(drop: float | None) -> str:
    """What is left of an accuracy by a drop in points."""
    return NONE if drop is None else points(-drop / 100)


def print_fuzz(console: Console, report: FuzzReport, layers: Sequence[str] = ()) -> None:
    """Each backend's comparison on a line, what was left out and why, and the count."""
    rates = ", ".join(f"{name} {percent(rate)}" for name, rate in report.rates.items())
    blocks = [
        *(comparison(*item) for item in report.backends.items()),
        *(Note(f"{name}: {reason}", "not run", "open") for name, reason in report.skipped.items()),
        Note(f"{rates}; {report.saturations:,} overflows of states", "spike rates"),
        Note(f"{report.neuron_steps:,} neuron steps compared with the reference"),
    ]
    show_blocks(console, blocks, layers=layers)


def print_targets(console: Console, targets: Sequence[Target]) -> None:
    """One line a target."""
    columns = ("name", "weights", "states", "coefficients", "rounding", "description")
    rows = tuple(
        (
            t.name, *(f"{bits.value} bit" for bits in (t.weight_bits, t.state_bits, t.coefficient_bits)),
            str(t.rounding.value), t.description,
        )
        for t in targets
    )  # fmt: skip
    show_blocks(console, [Table("Targets", columns, rows, left=columns)])


def print_target(console: Console, target: Target) -> None:
    """Every limit of one target; then where each comes from, a source once with all that rest on it."""
    columns = ("limit", "value", "unit", "evidence")
    rows = tuple((name, _plain(x.value), x.unit, x.evidence) for name, x in target.limits().items())
    sources: dict[str, list[str]] = {}
    for name, limit in target.limits().items():
        sources.setdefault(limit.source, []).append(name)
    table = Table(f"{target.name}: {target.description}", columns, rows, left=columns)
    notes = (Note(source, ", ".join(names)) for source, names in sources.items())
    show_blocks(console, [table, *proof_notes(target), *notes])


def _plain(value: object) -> str:
    """A limit's value: ``yes`` or ``no``, a number, or a range of two."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value):
        return span(*value)
    return ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def print_sweep(
    console: Console, rows: Sequence[Row], front: Sequence[Row], calibration: Calibration, figures: str | None = None
) -> None:
    """What set the scales, every point of a sweep, and whose ``figures`` its energies are modelled from; ``best``: no
    other beats it in both agreement and memory."""
    columns = ("bits", "rounding", "agreement", "accuracy", "KiB", "cores", "µJ", "best")
    cells = tuple(
        (
            f"{row.weight_bits}/{row.coefficient_bits}/{row.state_bits}", row.rounding, percent(row.agreement),
            percent(row.accuracy), NONE if row.memory_bytes is None else f"{row.memory_bytes / 1024:,.1f}",
            number(row.cores), microjoules(row.energy_nj_low, row.energy_nj_high), "*" if row in front else "",
        )
        for row in rows
    )  # fmt: skip
    title = f"{count(len(rows), 'point')} (bits: weights/coefficients/states)"
    blocks: list[Block] = [*calibrated(calibration), Table(title, columns, cells, left=("bits", "rounding", "best"))]
    if any(row.energy_nj_high is not None for row in rows):
        blocks.append(Note(modelled(figures), "energy"))
    for row in rows:
        if row.problem:
            widths = f"weights {row.weight_bits}, coefficients {row.coefficient_bits}, states {row.state_bits}"
            blocks.append(Note(row.problem, widths, "open"))
    show_blocks(console, blocks)


def print_run(console: Console, run: RunSummary) -> None:
    """What `tclif simulate` counted."""
    rows = tuple(
        (
            layer.name, f"{layer.neurons:,}", f"{layer.spikes:,}" if layer.rate is not None else NONE,
            percent(layer.rate), f"{layer.synaptic_operations:,}", f"{layer.saturations:,}",
        )
        for layer in run.layers
    )  # fmt: skip
    columns = ("layer", "neurons", "spikes", "firing rate", "synaptic operations", "overflows")
    title = f"{count(run.samples, 'sample')}, {count(run.steps, 'step')}"
    blocks: list[Block] = [Table(title, columns, rows, left=("layer",))]
    if run.input_clipped:
        blocks.append(Note(f"{run.input_clipped:,} input values were clipped to the payload", "notice", "open"))
    steps = " of steps" if run.task == "step-label" else ""
    accuracy = "" if run.accuracy is None else f"accuracy{steps} {percent(run.accuracy)}, "
    if run.rmse is not None:
        accuracy = f"R² {figure(run.r2)}, rmse {figure(run.rmse)}, sMAPE {figure(run.smape)}, "
    blocks.append(Note(f"{accuracy}{run.samples / run.seconds:,.0f} samples/s"))
    show_blocks(console, blocks, layers=[layer.name for layer in run.layers])
