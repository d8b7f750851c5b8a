"""A target against the simulators that others made of its chip: random networks through both, every spike and state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tclif_deploy.errors import TclifError
from tclif_deploy.fixed import Int
from tclif_deploy.oracles import ORACLES, Oracle
from tclif_deploy.oracles.draw import Case, draw_loihi, draw_speck, draw_xylo
from tclif_deploy.oracles.process import States, run_cases
from tclif_deploy.oracles.registers import NoRegister, loihi_registers, speck_registers, xylo_registers
from tclif_deploy.progress import Progress, no_progress
from tclif_deploy.simulation import engine
from tclif_deploy.target import Target

BATCH = 20
"""networks that one process of an oracle runs"""
TIMEOUT_S = 300.0
"""how long an oracle may take for so many"""

TRIES = 100
"""networks that are drawn for one in which nothing overflows"""

Draw = Callable[[Target, np.random.Generator], Case]
Registers = Callable[[Case, Target], dict[str, Any]]


def _within(draw: Draw, target: Target, rng: np.random.Generator) -> Case:
    """A network in which nothing overflows: the simulator's states have no ends. Raises `TclifError` where there is
    none among `TRIES`."""
    for _ in range(TRIES):
        case = draw(target, rng)
        if not engine.simulate(case.network, case.x[None]).saturations:
            return case
    raise TclifError(
        f"target {target.name}: a state overflows in each of {TRIES} random networks, and brian2-loihi's have no ends",
        f"state_bits is {target.state_bits.value}; compare with another simulator (--oracle)",
    )


ROADS: dict[str, tuple[Draw, Registers]] = {
    "xylosim": (draw_xylo, xylo_registers),
    "nengo-loihi": (draw_loihi, loihi_registers),
    "brian2-loihi": (
        partial(_within, partial(draw_loihi, alike=True, regimes=("plain", "whole"), biases=False)),
        loihi_registers,
    ),
    "lava": (partial(draw_loihi, regimes=("plain", "whole", "wide v")), loihi_registers),
    "sinabs": (draw_speck, speck_registers),
}
"""oracle -> what draws networks that it has, and what writes their registers"""


@dataclass(frozen=True)
class Difference:
    """The first value in which a target and an oracle differ."""

    case: int
    layer: str
    value: str
    """``spikes``, ``u`` or ``v``"""
    step: int
    neuron: int
    ours: int
    theirs: int

    def __str__(self) -> str:
        where = f"network {self.case}, layer {self.layer}, step {self.step}, neuron {self.neuron}"
        return f"{where}: {self.value} is {self.ours} here and {self.theirs} there"


@dataclass(frozen=True)
class OracleCheck:
    """One oracle and one target, compared over random networks."""

    oracle: str
    version: str
    cases: int
    neuron_steps: int
    """neuron updates compared, each in u, v and spikes"""
    differing: int
    """of them"""
    first: Difference | None
    refused: str | None
    """which number of the first network of that kind the oracle's chip has no register for"""
    refusals: int
    """networks of that kind, which were not run"""
    spikes: int
    """that fired here: equality on silence would prove little"""
    several: int
    """neuron steps with more than one"""
    overflows: int
    """values that ovf changed here"""

    @property
    def equal(self) -> bool:
        """Whether all was compared, and every bit equal."""
        return self.differing == 0 and self.refusals == 0 and self.neuron_steps > 0


def oracles_of(target: Target) -> tuple[Oracle, ...]:
    """The oracles that ``target`` names. Raises `TclifError` where there is none."""
    named = () if target.proof is None else tuple(each.oracle for each in target.proof.compared)
    if not named:
        raise TclifError(
            f"target {target.name}: its file names no simulator of others to compare with (proof)",
            "targets of which there is one: tclif targets NAME says it",
        )
    return tuple(ORACLES[name] for name in named)


def compare(
    target: Target,
    oracle: Oracle,
    cases: int,
    *,
    seed: int = 0,
    timeout_s: float = TIMEOUT_S,
    progress: Progress = no_progress,
) -> OracleCheck:
    """Run ``cases`` random networks of ``target`` in ``oracle`` and in the engine. Raises `TclifError` where the oracle
    is missing, fails or takes longer than ``timeout_s`` for a batch."""
    oracle.check_installed()
    draw, registers = ROADS[oracle.name]
    check = OracleCheck(oracle.name, oracle.version, cases, 0, 0, None, None, 0, 0, 0, 0)
    for start in range(0, cases, BATCH):
        drawn: list[tuple[int, Case]] = []
        given: list[dict[str, Any]] = []
        for n in range(start, min(start + BATCH, cases)):
            case = draw(target, np.random.default_rng([seed, n]))  # the same network, however many follow
            try:
                given.append(registers(case, target))
            except NoRegister as error:
                refused = check.refused or f"network {n}, {error.what}"
                check = replace(check, refusals=check.refusals + 1, refused=refused)
                continue
            drawn.append((n, case))
        if drawn:
            for (n, case), theirs in zip(drawn, run_cases(oracle, given, timeout_s), strict=True):
                check = _add(check, n, case, theirs)
        progress(min(start + BATCH, cases), cases)
    return check


def _add(check: OracleCheck, n: int, case: Case, theirs: States) -> OracleCheck:
    names = [layer.name for layer in case.network.layers]
    result = engine.simulate(case.network, case.x[None], spikes=True, traces=names)
    for layer in case.network.layers:
        fired = result.spikes[layer.name][0].astype(np.int64)
        u, v = result.traces[layer.name][:, 0]
        if layer.name not in theirs or theirs[layer.name]["u"].shape != u.shape:
            raise TclifError(f"{check.oracle}: its answer to network {n} has no states of layer {layer.name}")
        ours: dict[str, Int] = {"spikes": fired, "u": u, "v": v}
        differs = np.any([ours[value] != theirs[layer.name][value] for value in ours], axis=0)
        first = check.first
        if differs.any() and (first is None or (first.case == n and int(np.argwhere(differs)[0][0]) < first.step)):
            step, neuron = (int(at) for at in np.argwhere(differs)[0])
            value = next(
                name
                for name in ("u", "v", "spikes")
                if ours[name][step, neuron] != theirs[layer.name][name][step, neuron]
            )
            numbers = int(ours[value][step, neuron]), int(theirs[layer.name][value][step, neuron])
            first = Difference(n, layer.name, value, step, neuron, *numbers)
        check = replace(
            check, neuron_steps=check.neuron_steps + fired.size, differing=check.differing + int(differs.sum()),
            first=first, spikes=check.spikes + int(fired.sum()), several=check.several + int((fired > 1).sum()),
        )  # fmt: skip
    return replace(check, overflows=check.overflows + result.saturations)
