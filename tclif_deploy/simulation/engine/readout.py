"""`tclif_deploy.readout.RunningReadout` in numba: one sample's running value, changed by one step."""

from __future__ import annotations

from typing import Any

import numpy as np

from tclif_deploy.fixed import Int
from tclif_deploy.jit import helper
from tclif_deploy.readout import DECIDING, SUMS, Readout

(LATEST, SUM, GREATEST, COUNT, SPIKES, DECISION) = range(6)
"""what a step does to the running value: takes the soma, adds it, takes the greater, adds spikes, takes them, waits"""


def readout_code(readout: Readout, spiking: bool) -> Int:
    """(2,): what `read_step` does for a rule over a last layer that fires or not, and how many neurons are averaged."""
    if readout.counts_spikes(spiking):
        does = SPIKES if readout.rule == "step" else COUNT
    elif readout.rule in SUMS:
        does = SUM
    elif readout.rule in DECIDING:
        does = DECISION
    else:
        does = GREATEST if readout.rule == "max" else LATEST
    return np.array([does, readout.votes], np.int64)


@helper
def read_step(  # type: ignore[no-untyped-def]
    code, t, v, charged, fired, threshold, strict, value, decided
) -> Any:
    """Change ``value`` (outputs,) by step ``t``: soma ``v``, ``charged`` before its reset, ``fired`` 0 or 1, each
    (neurons,); ``decided`` (1,) is the step of the decision, or -1."""
    does, votes = code[0], code[1]
    if does == DECISION:
        if decided[0] >= 0:
            return
        for n in range(len(charged)):
            value[n] = charged[n]
            if charged[n] > threshold[n] or (not strict and charged[n] == threshold[n]):
                decided[0] = t
        return
    if does == SPIKES:
        value[:] = 0
    for n in range(len(v)):
        if does == LATEST:
            value[n] = v[n]
        elif does == SUM:
            value[n] += v[n]
        elif does == GREATEST:
            value[n] = v[n] if t == 0 or v[n] > value[n] else value[n]
        else:
            value[n // votes] += fired[n]
