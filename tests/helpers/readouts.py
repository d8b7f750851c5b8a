"""What each readout rule says, from its words (docs/readouts.md), by plain Python loops over a run's traces."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from tclif_deploy.fixed import FixedNetwork
from tclif_deploy.readout import Readout

OF_STATES = ("last", "sum", "mean", "max", "step", "first", "threshold")
OF_SPIKES = ("last", "sum", "mean", "max", "count", "rate", "votes:2", "step", "first", "threshold")


def with_rule(network: FixedNetwork, text: str, threshold: int = 1) -> FixedNetwork:
    """``network`` read by another rule; an output that does not fire waits for ``threshold``."""
    out = network.output
    rule = Readout.parse(text)
    if rule.decides and not out.spiking:
        rule = replace(rule, threshold=1.0)
        out = replace(out, threshold=np.full(out.size, threshold))
    return replace(network, layers=(*network.layers[:-1], out), readout=rule)


def said(
    rule: Readout, soma: Any, charged: Any, fired: Any, spiking: bool, threshold: Any, multiplier: Any
) -> tuple[list[Any], int]:
    """The readout after the last of these steps, (outputs,), and its class; each argument [step][neuron]."""
    neurons = range(len(soma[0]))
    if rule.rule in ("first", "threshold"):
        there = [[n for n in neurons if charged[t][n] >= threshold[n]] for t in range(len(soma))]
        at = next((t for t, who in enumerate(there) if who), len(soma) - 1)
        values = list(charged[at])
        if rule.rule == "first" and there[at]:
            return values, there[at][0]
    elif rule.rule in ("count", "rate"):
        single = [sum(step[n] for step in fired) for n in neurons]
        values = [sum(single[n : n + rule.votes]) for n in range(0, len(single), rule.votes)]
    elif rule.rule == "step":
        values = list((fired if spiking else soma)[-1])
    elif rule.rule in ("sum", "mean"):
        values = [sum(step[n] for step in soma) for n in neurons]
    elif rule.rule == "max":
        values = [max(step[n] for step in soma) for n in neurons]
    elif rule.rule == "softmax":
        powers = [[math.exp(value) for value in step] for step in soma]
        values = [sum(step[n] / sum(step) for step in powers) for n in neurons]
    else:
        values = list(soma[-1])
    scores = [value * factor for value, factor in zip(values, multiplier, strict=False)]
    return values, max(range(len(scores)), key=lambda n: (scores[n], -n))
