"""A target against the simulators that others made of its chip."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tclif_deploy.errors import TclifError
from tclif_deploy.oracles import ORACLES
from tclif_deploy.oracles.compare import TIMEOUT_S, OracleCheck, compare, oracles_of
from tclif_deploy.oracles.reached import not_reached
from tclif_deploy.progress import Bars, Say, no_bars, say_nothing
from tclif_deploy.target import Target, as_target, shipped_origin

CASES = 40
"""networks for each simulator"""


@dataclass(frozen=True)
class TargetCheck:
    """A target, compared with every simulator that it names."""

    target: str
    seed: int
    checks: tuple[OracleCheck, ...]
    not_covered: tuple[str, ...]
    """what none of them covers, as the target's file says"""
    no_difference: tuple[str, ...] = ()
    """rules of the target, other than those of the shipped one that it inherits, that changed nothing in any of the
    networks: nothing is shown of them"""

    @property
    def equal(self) -> bool:
        """Whether every bit was equal, in each of them."""
        return all(check.equal for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        checks = [{**asdict(check), "equal": check.equal} for check in self.checks]
        return {"target": self.target, "seed": self.seed, "equal": self.equal, "oracles": checks,
                "not_covered": list(self.not_covered), "no_difference": list(self.no_difference)}  # fmt: skip


def verify_target(
    target: Target | Path | str,
    *,
    cases: int = CASES,
    seed: int = 0,
    oracle: str | None = None,
    timeout_s: float = TIMEOUT_S,
    say: Say = say_nothing,
    progress: Bars = no_bars,
) -> TargetCheck:
    """Run ``cases`` random small networks, of the neurons that ``target`` has, through its arithmetic and through each
    simulator that it names, or through ``oracle`` alone, and compare every spike and state.

    Rules of a target's file that change nothing in any of them are named (`TargetCheck.no_difference`).

    Raises `TclifError` where the target names none, or not ``oracle``, and where one is not installed, fails or takes
    longer than ``timeout_s`` for `BATCH` networks. ``say`` gets a line a simulator, and ``progress(title)`` gives the
    callback of its run.
    """
    given, target = target, as_target(target)  # which refuses files that inherit each other
    origin = shipped_origin(given)
    if cases < 1:
        raise TclifError(f"verify-target: {cases} networks", "at least one is needed")
    if oracle is not None and oracle not in ORACLES:
        raise TclifError(f"oracle {oracle!r:.60} is not known", f"known: {', '.join(ORACLES)}")
    oracles = oracles_of(target)
    if oracle is not None:
        named = ", ".join(each.name for each in oracles)
        oracles = tuple(each for each in oracles if each.name == oracle)
        if not oracles:
            raise TclifError(f"target {target.name}: its file does not name {oracle} (proof)", f"it names {named}")
    for each in oracles:
        each.check_installed()
    checks = []
    for each in oracles:
        say(f"{target.name} against {each.name} {each.version} ({each.maker})")
        checks.append(compare(target, each, cases, seed=seed, timeout_s=timeout_s, progress=progress(each.name)))
    result = TargetCheck(target.name, seed, tuple(checks), () if target.proof is None else target.proof.not_covered)
    if origin is None or not result.equal:
        return result
    return replace(result, no_difference=not_reached(target, origin, oracles, cases, seed))
