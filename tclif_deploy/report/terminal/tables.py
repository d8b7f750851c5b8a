"""Builds, verdicts and targets as tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tclif_deploy.builds import Build
from tclif_deploy.builds.report import Tuning, TuningControl
from tclif_deploy.target import Target
from tclif_deploy.verification.verdict import Verdict

if TYPE_CHECKING:
    from tclif_deploy.simulation.stream import RunSummary
    from tclif_deploy.workflows.fuzz import FuzzReport
    from tclif_deploy.workflows.sweep import Row


def percent(value: float | None) -> str:
    """A fraction as a percentage; a dash where undefined."""
    return "-" if value is None else f"{100 * value:.2f} %"


def print_build(console: Console, build: Build) -> None:
    """The verdict in one table, what to know, and where the files are."""
    for notice in build.notices:
        console.print(f"[yellow]note:[/] {escape(notice)}", highlight=False, soft_wrap=True)
    if build.verdict is None:
        console.print("[yellow]nothing was verified:[/] no --data given", highlight=False)
    else:
        console.print(verdict_table(build.verdict, f"{build.target.name}: float against fixed"))
        for name, check in build.verdict.backends.items():
            console.print(
                f"{name} against the reference, {check.samples} samples of {check.steps} steps: "
                f"{check.spike_mismatches} spikes and {check.state_mismatches} states differ",
                highlight=False, soft_wrap=True,
            )  # fmt: skip
    console.print(hardware_line(build), highlight=False, soft_wrap=True)
    for finding in build.report.findings:
        if finding.severity != "note":
            said = f"{finding.subject}: {finding.rule}: {finding.value} (limit {finding.limit or 'none'})"
            colour = "red" if finding.severity == "error" else "yellow"
            line = f"[{colour}]{finding.severity}:[/] {escape(said)}; {escape(finding.remedy)}"
            console.print(line, highlight=False, soft_wrap=True)
    for line in build.shortfalls:
        console.print(f"[bold red]falls short:[/] {escape(line)}", highlight=False, soft_wrap=True)
    console.print(verdict_line(build), highlight=False, soft_wrap=True)
    console.print(f"build: {escape(str(build.folder))}", highlight=False, soft_wrap=True)


def print_tuning(console: Console, found: Tuning) -> None:
    """What fine-tuning did: the report's ``finetune``."""
    table = Table(title=f"accuracy on {found.samples_tested:,} test samples", title_justify="left")
    for column in ("", "accuracy", "drop", "decides alike"):
        table.add_column(column, justify="left" if column == "" else "right")
    table.add_row("original, float", percent(found.original), "", "")
    table.add_row("quantized", percent(found.quantized), points(found.drop_quantized), "")
    table.add_row("fine-tuned", percent(found.tuned), points(found.drop), percent(found.agreement))
    control = found.control
    if isinstance(control, TuningControl):
        table.add_row("float, trained on alike", percent(control.accuracy), "", "")
        table.add_row("fine-tuned against it", "", points(control.drop), percent(control.agreement))
    console.print(table)
    if found.overflows:
        console.print(f"[yellow]note:[/] states left their range {found.overflows:,} times in training: more "
                      "--headroom helps", highlight=False, soft_wrap=True)  # fmt: skip


def points(value: float) -> str:
    """A difference of percentages."""
    return f"{value:.2f} points"


def hardware_line(build: Build) -> str:
    """Cores, energy and latency in one line, with the weakest evidence."""
    found, energy, latency = build.report.mapping, build.report.energy, build.report.latency
    if found is None:
        return f"[bold]hardware:[/] does not fit {escape(build.target.name)}"
    count = f"{found.cores:,} core{'s' if found.cores != 1 else ''}"
    parts = [f"{count} on {found.chips:,} chip{'s' if found.chips != 1 else ''}"]
    if energy and energy.nj_per_inference_low is not None and energy.nj_per_inference_high is not None:
        low, high = energy.nj_per_inference_low / 1000, energy.nj_per_inference_high / 1000
        parts.append(f"{_figure(low)} to {_figure(high)} uJ an inference ({energy.evidence})")
    if latency and latency.us_per_step_low is not None and latency.us_per_step_high is not None:
        low, high = latency.us_per_step_low, latency.us_per_step_high
        parts.append(f"{_figure(low)} to {_figure(high)} us a step (a model)")
    return f"[bold]hardware:[/] {', '.join(parts)}"


def _figure(value: float) -> str:
    """Three digits, without an exponent where it is large."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def verdict_line(build: Build) -> str:
    """One sentence with the numbers and a word."""
    verdict = build.verdict
    if verdict is None:
        return "[bold]verdict: COMPILED, NOT VERIFIED[/]"
    asked = any(value is not None for value in vars(build.requirements).values())
    passed = "[bold green]PASS[/]" if asked else "[bold green]VERIFIED[/] (nothing was required)"
    word = "[bold red]FALLS SHORT[/]" if build.shortfalls else passed
    if not build.report.fits:
        word += f", but [bold red]DOES NOT FIT[/] {escape(build.target.name)}"
    parts = [f"agreement {percent(verdict.agreement_argmax)} on {verdict.samples} samples"]
    if verdict.accuracy_float is not None:
        parts.append(f"accuracy {percent(verdict.accuracy_float)} -> {percent(verdict.accuracy_fixed)}")
    agree = [name for name, check in verdict.backends.items() if check.equal]
    differ = [name for name, check in verdict.backends.items() if not check.equal]
    if agree:
        steps = sum(verdict.backends[name].neuron_steps for name in agree)
        verb = "equals" if len(agree) == 1 else "equal"
        parts.append(f"{', '.join(agree)} {verb} the reference in every bit of {steps:,} neuron steps")
    parts += [f"{name} DIFFERS from the reference" for name in differ]
    return f"[bold]verdict:[/] {word}: {', '.join(parts)}"


def verdict_table(verdict: Verdict, title: str) -> Table:
    """Every figure of a verdict: one row a layer, then the readout's, then each backend's."""
    table = Table(title=title, title_justify="left")
    table.caption = "first divergence: sample, step, neuron"
    table.caption_justify = "left"
    for column in ("", "Jaccard", "rate float", "rate fixed", "first divergence", "overflows"):
        table.add_column(column, justify="left" if column in ("", "first divergence") else "right")
    spiking = {layer.name for layer in verdict.layers}
    for layer in verdict.layers:
        at = layer.first_divergence
        table.add_row(
            escape(layer.name),
            "-" if layer.jaccard is None else f"{layer.jaccard:.4f}",
            percent(layer.spike_rate_float),
            percent(layer.spike_rate_fixed),
            "none" if at is None else f"{at.sample}, {at.step}, {at.neuron}",
            str(verdict.saturations.get(layer.name, 0)),
        )
    for name, count in verdict.saturations.items():
        if name not in spiking:
            snr = "exact" if verdict.logit_snr_db is None else f"SNR {verdict.logit_snr_db:.1f} dB"
            table.add_row(escape(name), "", "", "", snr, str(count))
    if verdict.input_clipped:
        table.add_row("input", "", "", "", "clipped", str(verdict.input_clipped))
    return table


def print_fuzz(console: Console, report: FuzzReport) -> None:
    """Each backend's comparison on a line, what was left out and why, and the count."""
    for name, check in report.backends.items():
        word = "[green]equal[/]" if check.equal else "[bold red]DIFFERS[/]"
        console.print(
            f"{name}: {word}, {check.neuron_steps:,} neuron steps of {check.samples} samples: "
            f"{check.spike_mismatches} spikes and {check.state_mismatches} states differ",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    for name, why in report.skipped.items():
        console.print(f"[yellow]not run:[/] {name}: {escape(why)}", highlight=False, soft_wrap=True)
    rates = ", ".join(f"{escape(name)} {percent(rate)}" for name, rate in report.rates.items())
    console.print(f"spike rates: {rates}; {report.saturations:,} states overflowed", highlight=False, soft_wrap=True)
    console.print(f"[bold]{report.neuron_steps:,} neuron steps compared with the reference[/]", highlight=False)


def print_targets(console: Console, targets: list[Target]) -> None:
    """One line a target."""
    table = Table(title="targets", title_justify="left")
    for column in ("name", "weights", "states", "coefficients", "rounding", "what it is"):
        table.add_column(column)
    for t in targets:
        table.add_row(
            t.name, f"{t.weight_bits.value} bit", f"{t.state_bits.value} bit", f"{t.coefficient_bits.value} bit",
            str(t.rounding.value), escape(t.description),
        )  # fmt: skip
    console.print(table)


def print_target(console: Console, target: Target) -> None:
    """Every limit of one target, with where it comes from."""
    table = Table(title=escape(f"{target.name}: {target.description}"), title_justify="left")
    for column in ("limit", "value", "unit", "evidence", "source"):
        table.add_column(column)
    for name, limit in target.limits().items():
        table.add_row(name, str(limit.value), limit.unit, limit.evidence, escape(limit.source))
    console.print(table)


def print_sweep(console: Console, rows: Sequence[Row], front: Sequence[Row]) -> None:
    """Every point of a sweep; ``best`` marks those that no other beats in both agreement and memory."""
    table = Table(title=f"{len(rows)} points", title_justify="left", caption="bits: weights/coefficients/states")
    for column in ("bits", "rounding", "agreement", "accuracy", "KiB", "cores", "uJ", "best"):
        table.add_column(column, justify="left" if column in ("bits", "rounding", "best") else "right", no_wrap=True)
    for row in rows:
        energy = "-"
        if row.energy_nj_low is not None and row.energy_nj_high is not None:
            energy = f"{_figure(row.energy_nj_low / 1000)}-{_figure(row.energy_nj_high / 1000)}"
        table.add_row(
            f"{row.weight_bits}/{row.coefficient_bits}/{row.state_bits}", row.rounding, percent(row.agreement),
            percent(row.accuracy), "-" if row.memory_bytes is None else f"{row.memory_bytes / 1024:,.1f}",
            "-" if row.cores is None else str(row.cores), energy, "*" if row in front else "",
        )  # fmt: skip
    console.print(table)
    for row in rows:
        if row.problem:
            where = f"weights {row.weight_bits}, coefficients {row.coefficient_bits}, states {row.state_bits}"
            console.print(f"[yellow]{where}:[/] {escape(row.problem)}", highlight=False, soft_wrap=True)


def print_run(console: Console, run: RunSummary) -> None:
    """What `tclif simulate` found."""
    table = Table(title=f"{run.samples:,} samples, {run.steps:,} steps", title_justify="left")
    for column in ("layer", "neurons", "spikes", "rate", "synaptic operations", "overflows"):
        table.add_column(column, justify="left" if column == "layer" else "right")
    for layer in run.layers:
        table.add_row(
            escape(layer.name), str(layer.neurons), f"{layer.spikes:,}" if layer.rate is not None else "-",
            percent(layer.rate), f"{layer.synaptic_operations:,}", f"{layer.saturations:,}",
        )  # fmt: skip
    console.print(table)
    if run.input_clipped:
        console.print(
            f"[yellow]note:[/] {run.input_clipped:,} input values were clipped to the payload", highlight=False
        )
    accuracy = "" if run.accuracy is None else f"accuracy {percent(run.accuracy)}, "
    console.print(f"{accuracy}{run.samples / run.seconds:,.0f} samples/s", highlight=False)
