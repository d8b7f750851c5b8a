"""Findings, placement and cost on a terminal, by the report's blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console

from tclif_deploy.backends.rtl.synthesis import Synthesis
from tclif_deploy.errors import TclifError
from tclif_deploy.mapping import Cost, Finding, Placement, hardware_summary, placement_summary
from tclif_deploy.quantization.calibration import Calibration
from tclif_deploy.report.content import Block, Note, Table
from tclif_deploy.report.sections.findings import finding_note
from tclif_deploy.report.sections.hardware import core_table, cost_blocks, fullness_bars
from tclif_deploy.report.sections.synthesis import synthesis_blocks
from tclif_deploy.report.terminal.blocks import show_blocks
from tclif_deploy.text import NONE, count, microjoules, number, percent, span


class Price(Protocol):
    """A network on a target."""

    @property
    def target(self) -> str: ...
    @property
    def calibration(self) -> Calibration | None: ...
    @property
    def placement(self) -> Placement: ...
    @property
    def cost(self) -> Cost: ...


def calibrated(calibration: Calibration | None) -> list[Block]:
    """What set the scales of the integers, where that is known."""
    return [] if calibration is None else [Note(str(calibration), "calibrated on")]


def print_findings(
    console: Console, findings: Sequence[Finding], target: str, calibration: Calibration | None = None,
    layers: Sequence[str] = (),
) -> None:  # fmt: skip
    """Every finding, worst first, what set the scales, and how many findings there are of each severity.

    ``layers`` are the names of the network's, in order.
    """
    counts = Counter(f.severity for f in findings)
    fits = not any(f.is_misfit for f in findings)
    total = f"{count(counts['error'], 'error')}, {count(counts['warning'], 'warning')}, {counts['info']} info"
    summary = Note(f"{'fits' if fits else 'does not fit'}: {total}", target, "bad" if counts["error"] else "good")
    show_blocks(console, [*map(finding_note, findings), *calibrated(calibration), summary], layers=layers)


def print_synthesis(console: Console, synthesis: Synthesis) -> None:
    """What a circuit takes of its FPGA, and how fast it is there."""
    show_blocks(console, synthesis_blocks(synthesis), layers=tuple(synthesis.clocks.layers if synthesis.clocks else ()))


def print_price(console: Console, price: Price, layers: Sequence[str] = ()) -> None:
    """What set the scales and what lies on each core, then energy, latency and what they rest on."""
    cores = placement_summary(price.placement)
    blocks = cost_blocks(hardware_summary(price.placement, price.cost), price.target)
    placed = fullness_bars(cores), core_table(cores)
    show_blocks(console, [*calibrated(price.calibration), *placed, *blocks], layers=layers)


def print_comparison(console: Console, results: Sequence[Price | tuple[str, TclifError]]) -> None:
    """One line a target: cores, fullness, energy and latency; then why the others cannot hold it."""
    columns = (
        "target",
        "cores",
        "chips",
        "fullness of synaptic memory",
        "energy, µJ an inference",
        "latency, µs a step",
        "modelled from",
    )
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
                percent(placement.utilization()["synaptic_memory"].peak, 0),
                NONE if energy is None else microjoules(*energy),
                NONE if latency is None else span(*latency.us_per_step, digits=3),
                cost.figures or NONE,
            )
        )  # fmt: skip
    table: list[Block] = [Table("What if", columns, tuple(rows), left=("target", "modelled from"))] if rows else []
    known = [calibrated(result.calibration) for result in results if not isinstance(result, tuple)]
    show_blocks(console, [*(known[0] if known else []), *table, *problems])
