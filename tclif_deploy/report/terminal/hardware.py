"""Findings, placement and cost on a terminal, by the report's blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console

from tclif_deploy.errors import TclifError
from tclif_deploy.mapping import Cost, Finding, Placement, hardware_summary, placement_summary
from tclif_deploy.report.content import Block, Note, Table
from tclif_deploy.report.sections.findings import finding_note
from tclif_deploy.report.sections.hardware import core_table, cost_blocks, fullness
from tclif_deploy.report.terminal.blocks import show_blocks
from tclif_deploy.text import NONE, count, number, percent, span


class Price(Protocol):
    """A network on a target."""

    @property
    def target(self) -> str: ...
    @property
    def placement(self) -> Placement: ...
    @property
    def cost(self) -> Cost: ...


def print_findings(console: Console, findings: Sequence[Finding], target: str) -> None:
    """Every finding, worst first, and how many there are of each severity."""
    counts = Counter(f.severity for f in findings)
    fits = not any(f.is_misfit for f in findings)
    total = f"{count(counts['error'], 'error')}, {count(counts['warning'], 'warning')}, {counts['info']} info"
    summary = Note(f"{'fits' if fits else 'does not fit'}: {total}", target, "bad" if counts["error"] else "good")
    show_blocks(console, [*map(finding_note, findings), summary], whole_lines=True)


def print_price(console: Console, price: Price) -> None:
    """What lies on each core, then energy, latency and what they rest on."""
    cores = placement_summary(price.placement)
    show_blocks(console, [fullness(cores), core_table(cores)])
    show_blocks(console, cost_blocks(hardware_summary(price.placement, price.cost), price.target))


def print_comparison(console: Console, results: Sequence[Price | tuple[str, TclifError]]) -> None:
    """One line a target: cores, fullness, energy and latency; then why the others hold it not."""
    columns = ("target", "cores", "chips", "synapses", "energy, nJ an inference", "µs a step")
    rows, problems = [], []
    for result in results:
        if isinstance(result, tuple):
            problems.append(Note(f"does not fit: {result[1].what}", result[0], "bad"))
            continue
        cost, placement = result.cost, result.placement
        energy, latency = cost.energy.total, cost.latency
        absent = f" (no {'/'.join(cost.missing_neurons)} neuron)" if cost.missing_neurons else ""
        rows.append(
            (
                result.target + absent, number(len(placement.cores)), number(placement.chips),
                percent(placement.utilization()["synaptic_memory"].peak, 0), NONE if energy is None else span(*energy),
                NONE if latency is None else span(*latency.us_per_step, digits=3),
            )
        )  # fmt: skip
    table: list[Block] = [Table("What if", columns, tuple(rows), left=("target",))] if rows else []
    show_blocks(console, [*table, *problems], whole_lines=True)
