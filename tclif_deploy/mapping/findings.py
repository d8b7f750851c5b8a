"""What a rule looks at, what it returns, and the order in which findings are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.mapping.activity import Activity, Behaviour
from tclif_deploy.mapping.placement import Placement
from tclif_deploy.target.schema import Target

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""worst first"""
Kind = Literal["fit", "network"]
"""what a finding is about: whether the network fits the target, or what became of the network itself"""


@dataclass(frozen=True)
class Finding:
    """One thing to worry about, or to know.

    Examples
    --------
    >>> import tclif_deploy as tc
    >>> model, data = "fixtures/spoken_digits/checkpoint.pth.tar", "fixtures/spoken_digits/test.npz"
    >>> digits, test = tc.load(model), tc.load_data(data)
    >>> fixed = tc.quantize(digits, "loihi2", test[:8], tc.QuantizeSettings(passes=()))  # passes take a second
    >>> small = tc.load_target("loihi2").override(synaptic_memory=4096)
    >>> worst = tc.mapping.check(fixed, small)[0]
    >>> worst.rule, worst.severity, worst.is_misfit
    ('placement', 'error', True)
    """

    rule: str
    """name of the rule"""
    severity: Severity
    subject: str
    """layer, connection, resource or target"""
    value: str
    limit: str
    remedy: str
    excess: Annotated[float, Field(exclude=True)] = field(default=0.0, compare=False)
    """how far beyond the limit, as a ratio; worse findings of one severity come first"""
    kind: Kind = "fit"

    @property
    def is_misfit(self) -> bool:
        """Whether the target cannot hold the network as it is."""
        return self.severity == "error" and self.kind == "fit"


@dataclass(frozen=True, eq=False)
class Context:
    """What the rules look at."""

    fixed: FixedNetwork
    target: Target
    placement: Placement | None
    """None where the network does not fit"""
    activity: Activity | None
    """what fired when, on some samples; None where no data was given"""
    behaviour: Behaviour | None
    """what the layers do on as many samples as were looked at; None where no data was given"""


Rule = Callable[[Context], Iterator[Finding]]


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors before warnings before infos; within these the larger excess first, then in the rules' own order."""
    return tuple(sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), -f.excess)))


def over(rule: str, subject: str, value: int, limit: int, unit: str, remedy: str) -> Finding:
    """An error: ``value`` is above ``limit``."""
    tail = f" {unit}" if unit else ""
    return Finding(rule, "error", subject, f"{value:,}{tail}", f"{limit:,}{tail}", remedy, value / limit)


def requantize_hint(c: Context) -> str:
    """The remedy for integers that were made for another machine."""
    return f"quantize again, for {c.target.name}"
