"""Placement and cost in tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tclif_deploy.errors import TclifError
from tclif_deploy.mapping.cost import Cost, Pair
from tclif_deploy.mapping.findings import Finding
from tclif_deploy.mapping.placement import Placement

if TYPE_CHECKING:
    from tclif_deploy.workflows.cost import Price

MOST_CORES = 24
"""cores listed in a table; ``mapping.json`` has them all"""
COLORS = {"error": "bold red", "warning": "yellow", "note": "dim"}


def print_findings(console: Console, findings: Sequence[Finding], target: str) -> None:
    """Every finding, worst first, and how many there are of each kind."""
    for f in findings:
        color = COLORS[f.severity]
        limit = f" (limit: {f.limit})" if f.limit else ""
        console.print(
            f"[{color}]{f.severity}:[/] {f.rule}: {escape(f.subject)}: {escape(f.value)}{escape(limit)}; "
            f"{escape(f.remedy)}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    count = {s: sum(f.severity == s for f in findings) for s in COLORS}
    word = "[bold red]does not fit[/]" if count["error"] else "[bold green]fits[/]"
    parts = ", ".join(_count(n, s) for s, n in count.items())
    console.print(f"[bold]{escape(target)}:[/] {word}: {parts}", highlight=False, soft_wrap=True)


def print_placement(console: Console, placement: Placement) -> None:
    """One line a core, then how full the fullest is."""
    p = placement
    title = f"{p.target}: {_count(len(p.cores), 'core')} on {_count(p.chips, 'chip')} ({p.strategy})"
    table = Table(title=escape(title), title_justify="left")
    for column in ("chip", "core", "neurons"):
        table.add_column(column, justify="left" if column == "neurons" else "right")
    shown = [n for n, limit in enumerate(p.available) if limit is not None] or [0, 1, 2]
    names = list(p.utilization())
    for n in shown:
        table.add_column(names[n].replace("_", " "), justify="right")
    for core in p.cores[:MOST_CORES]:
        slices = ", ".join(f"{s.layer}[{s.start}:{s.stop}]" for s in core.slices)
        table.add_row(str(core.chip), str(core.number), escape(slices), *(f"{core.used[n]:,}" for n in shown))
    if len(p.cores) > MOST_CORES:
        table.add_row("", "", f"and {len(p.cores) - MOST_CORES:,} more (mapping.json)")
    limits = [p.available[n] for n in shown]
    table.add_row("", "", "available", *("-" if v is None else f"{v:,}" for v in limits), style="dim")
    console.print(table)


def print_cost(console: Console, cost: Cost) -> None:
    """Operations, energy by part with its evidence, latency, the paper's formula, and every assumption."""
    o = cost.operations
    table = Table(title=f"{escape(cost.target)}: an inference, mean of {o.samples:,} samples", title_justify="left")
    for column, justify in (("", "left"), ("count", "right"), ("energy low", "right"), ("energy high", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    messages = o.messages_within_core + o.messages_between_cores + o.messages_between_chips + o.messages_input
    counts = {
        "synapses": o.synaptic, "updates": o.updates_active + o.updates_idle, "messages": messages,
        "hops": o.hops_horizontal + o.hops_vertical,
    }  # fmt: skip
    for name, part in cost.energy.parts.items():
        table.add_row(name, f"{counts[name] / o.samples:,.0f}", *_range(part, "nJ"))
    table.add_row("[bold]all[/]", "", *_range(cost.energy.total, "nJ"))
    if cost.energy.static is not None:
        table.add_row("static power meanwhile (beside it)", "", *_range(cost.energy.static, "nJ"))
    console.print(table)
    print_cost_lines(console, cost)
    for note in cost.assumptions:
        console.print(f"[dim]assumed: {escape(note)}[/]", highlight=False, soft_wrap=True)
    for source in dict.fromkeys(cost.energy.sources.values()):
        names = ", ".join(name for name, other in cost.energy.sources.items() if other == source)
        console.print(f"[dim]{names}: {escape(source)}[/]", highlight=False, soft_wrap=True)


def print_cost_lines(console: Console, cost: Cost) -> None:
    """Energy, latency and the paper's formula in a line each."""
    total, latency, f = cost.energy.total, cost.latency, cost.formula_45nm
    if total is None:
        console.print(f"energy: no figure of {escape(cost.target)} is public", highlight=False)
    else:
        console.print(
            f"energy: {_si(total[0], 'nJ')} to {_si(total[1], 'nJ')} an inference (evidence: {cost.energy.evidence})",
            highlight=False,
        )
    if latency is not None:
        low, high = latency.us_per_step
        worst = latency.us_worst_step[1]
        console.print(
            f"latency: {low:.3g} to {high:.3g} us a step (worst {worst:.3g}), "
            f"{latency.us_per_inference[0] / 1e3:.3g} to {latency.us_per_inference[1] / 1e3:.3g} ms an inference "
            f"(evidence: {latency.evidence})",
            highlight=False,
        )
    console.print(
        f"45 nm formula of the paper, a step: TC-LIF {f.tclif:.1f} nJ, LIF at the same rates {f.lif:.1f} nJ, "
        f"LSTM of that size {f.lstm:,.1f} nJ",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def print_comparison(console: Console, results: Sequence[Price | tuple[str, TclifError]]) -> None:
    """One line a target: cores, fullness, energy and latency, or why it does not fit."""
    table = Table(title="what if", title_justify="left")
    columns = ("target", "cores", "chips", "synapses", "energy, nJ an inference", "us a step")
    for column in columns:
        table.add_column(column, justify="left" if column == "target" else "right")
    for result in results:
        if isinstance(result, tuple):
            table.add_row(escape(result[0]), f"[red]does not fit:[/] {escape(result[1].what)}")
            continue
        name, placement, cost = result.target, result.placement, result.cost
        total, latency = cost.energy.total, cost.latency
        peak = placement.utilization()["synaptic_memory"].peak
        absent = f" (no {'/'.join(cost.missing_neurons)} neuron)" if cost.missing_neurons else ""
        table.add_row(
            escape(name + absent), f"{len(placement.cores):,}", f"{placement.chips:,}",
            "-" if peak is None else f"{peak:.0%}",
            "-" if total is None else f"{total[0]:,.0f} to {total[1]:,.0f}",
            "-" if latency is None else f"{latency.us_per_step[0]:.3g} to {latency.us_per_step[1]:.3g}",
        )  # fmt: skip
    console.print(table)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _range(part: Pair | None, unit: str) -> tuple[str, str]:
    return ("-", "-") if part is None else (_si(part[0], unit), _si(part[1], unit))


def _si(value: float, unit: str) -> str:
    """``value`` in nJ with a unit that keeps it readable."""
    for factor, bigger in ((1e6, "mJ"), (1e3, "uJ")):
        if unit == "nJ" and value >= factor:
            return f"{value / factor:,.3g} {bigger}"
    return f"{value:,.3g} {unit}"
