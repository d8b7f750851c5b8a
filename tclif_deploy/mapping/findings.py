"""What a design rule looks at, what it returns, and the order in which findings are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.mapping.activity import Activity
from tclif_deploy.mapping.placement import Placement
from tclif_deploy.target.schema import Target

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""worst first"""


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit, or that one should know."""

    rule: str
    """name of the design rule"""
    severity: Severity
    subject: str
    """layer, connection, resource or target"""
    value: str
    limit: str
    remedy: str
    excess: Annotated[float, Field(exclude=True)] = field(default=0.0, compare=False)
    """how far beyond the limit, as a ratio; worse findings of one severity come first"""


@dataclass(frozen=True, eq=False)
class Context:
    """What the rules look at."""

    fixed: FixedNetwork
    target: Target
    placement: Placement | None
    """None where the network does not fit"""
    activity: Activity | None
    """None where no data was given"""


Rule = Callable[[Context], Iterator[Finding]]


def worst_first(findings: list[Finding]) -> tuple[Finding, ...]:
    """Errors before warnings before notes; within these the larger excess first."""
    return tuple(sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), -f.excess, f.rule, f.subject)))


def over(rule: str, subject: str, value: int, limit: int, unit: str, remedy: str) -> Finding:
    """An error: ``value`` is above ``limit``."""
    tail = f" {unit}" if unit else ""
    return Finding(rule, "error", subject, f"{value:,}{tail}", f"{limit:,}{tail}", remedy, value / limit)


def again(c: Context) -> str:
    """The remedy for integers that were made for another machine."""
    return f"quantize again, for {c.target.name}"
