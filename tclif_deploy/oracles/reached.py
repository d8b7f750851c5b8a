"""Which of a target's own rules the random networks reach: one that changes nothing on them was not compared."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.oracles import Oracle
from tclif_deploy.oracles.compare import ROADS
from tclif_deploy.oracles.draw import Case
from tclif_deploy.oracles.registers import NoRegister
from tclif_deploy.simulation import engine
from tclif_deploy.target import Target
from tclif_deploy.target.proof import COMPUTES, REACHES


def own_rules(target: Target, origin: Target) -> tuple[str, ...]:
    """The rules and widths of ``target`` that are not those of ``origin``, in the schema's order."""
    keys = [key for key in Target.model_fields if key in COMPUTES | REACHES]
    return tuple(key for key in keys if _value(target, key) != _value(origin, key))


def not_reached(target: Target, origin: Target, oracles: tuple[Oracle, ...], cases: int, seed: int) -> tuple[str, ...]:
    """Those of `own_rules` that change neither a random network nor anything that it does: with the value of
    ``origin`` each of ``cases`` networks for each of ``oracles`` is the same, in every spike and state."""
    return tuple(
        key
        for key in own_rules(target, origin)
        if not any(_differs(target, origin, key, oracle, [seed, n]) for oracle in oracles for n in range(cases))
    )


def _differs(target: Target, origin: Target, key: str, oracle: Oracle, seed: list[int]) -> bool:
    if key == "comparator" and target.threshold_step is None:  # thresholds count by one: it is all one
        return False
    draw, registers = ROADS[oracle.name]
    other = target.model_copy(update={key: getattr(origin, key)})  # whether a file may say so is no question here
    ours, theirs = (draw(each, np.random.default_rng(seed)) for each in (target, other))
    if not _same(ours, theirs):
        return True
    try:
        if registers(ours, target) != registers(theirs, other):
            return True
    except NoRegister:
        return True
    names = [layer.name for layer in ours.network.layers]
    runs = [engine.simulate(case.network, case.x[None], spikes=True, traces=names) for case in (ours, theirs)]
    return any(
        not np.array_equal(getattr(runs[0], values)[name], getattr(runs[1], values)[name])
        for values in ("spikes", "traces")
        for name in names
    )


def _same(a: Case, b: Case) -> bool:
    """Whether both are one network and one input, whatever the arithmetic."""
    return np.array_equal(a.x, b.x) and _plain(a.network) == _plain(b.network)


def _plain(network: FixedNetwork) -> list[Any]:
    parts: list[Any] = [part for layer in network.layers for part in (layer, *layer.connections)]
    values = [getattr(part, field.name) for part in parts for field in fields(part) if field.name != "connections"]
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in (network.input, *values)]


def _value(target: Target, key: str) -> Any:
    limit = getattr(target, key)
    return None if limit is None else limit.value
