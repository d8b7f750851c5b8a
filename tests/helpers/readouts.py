"""What each readout rule says, from its words (docs/readouts.md), by plain Python loops over a run's traces."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tclif_deploy.fixed import LAYER_ARRAYS, FixedNetwork, Int
from tclif_deploy.readout import Readout
from tclif_deploy.simulation import reference
from tests.helpers.random_networks import random_network

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


def drawn_rule(network: FixedNetwork, x: Int, data: st.DataObject) -> FixedNetwork:
    """``network`` read by any rule that its last layer has what it takes for."""
    out = network.output
    rules = [text for text in (OF_SPIKES if out.spiking else OF_STATES) if out.size % 2 == 0 or ":" not in text]
    soma = reference.simulate(network, x, traces=[out.name]).traces[out.name][1]
    return with_rule(network, data.draw(st.sampled_from(rules)), int(np.quantile(soma, 0.9)))


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


def ruled(text: str, spiking: bool, seed: int = 3, **options: Any) -> tuple[FixedNetwork, Int, Int]:
    """A random network read by a rule, input for it, and its samples' lengths.

    Outputs 2 and 3 are copies of 0 and 1, so that equals meet; a rule that waits decides in some samples, at several
    steps. Thresholds are what the soma of one sample, did it not fire, just reaches.
    """
    options = {"sizes": (5, 19, 6), "samples": 6, "time": 30, "reset": "soft"} | options
    network, x = random_network(seed, spiking_output=spiking, **options)
    out = network.output
    copied = np.array([0, 1, 0, 1, *range(4, out.size)])
    arrays = {name: getattr(out, name)[copied] for name in (*LAYER_ARRAYS, "multiplier")}
    connections = tuple(replace(c, weight=c.weight[copied]) for c in out.connections)
    out = replace(out, connections=connections, **arrays)
    layers = (*network.layers[:-1], replace(out, spiking=False))
    silent = replace(network, layers=layers, readout=Readout("last"))
    lengths = np.array([x.shape[1], 1, *range(x.shape[1] // 2, x.shape[1])])[: len(x)]
    soma = reference.simulate(silent, x, lengths=lengths, traces=[out.name]).traces[out.name][1]
    peaks = np.array([states[:steps].max(axis=0) for states, steps in zip(soma, lengths, strict=True)])
    middle = int(np.argsort(peaks.max(axis=1))[len(x) // 3])
    level = np.maximum(peaks[middle], 1)
    if spiking:
        out = replace(out, threshold=level, r_v=level)
    ruled_network = with_rule(replace(network, layers=(*network.layers[:-1], out)), text)
    if ruled_network.readout.decides and not spiking:
        out = replace(ruled_network.output, threshold=level)
        ruled_network = replace(ruled_network, layers=(*network.layers[:-1], out))
    result = reference.simulate(ruled_network, x, lengths=lengths)
    assert not ruled_network.counts_spikes or result.spikes[out.name].any()
    assert result.decided is None or (result.decided.min() < 0 and len(set(result.decided.tolist())) > 2)
    return ruled_network, x, lengths


RULED = [(text, False) for text in OF_STATES] + [(text, True) for text in OF_SPIKES]
"""(rule, whether the last layer fires): every rule of integers"""
