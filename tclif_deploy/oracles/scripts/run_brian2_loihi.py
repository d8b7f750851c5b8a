"""Runs networks in brian2-loihi.

In a process of its own: JSON cases in, JSON states out, by the file.

A case is that of `run_nengo_loihi`, without biases; the neurons of a layer have the same registers.
"""

import json
import sys
from typing import Any

import numpy as np
from brian2 import StateMonitor, prefs, start_scope

prefs.codegen.target = "numpy"
from brian2_loihi import (  # noqa: E402  (it must know the target)
    LoihiNetwork,
    LoihiNeuronGroup,
    LoihiSpikeGeneratorGroup,
    LoihiSpikeMonitor,
    LoihiSynapses,
)

MIXED = 1
"""weights of both signs, the last of whose 9 bits is 0"""


def run(case: dict[str, Any]) -> dict[str, Any]:
    """layer -> u, v and spikes, each (time, neurons)."""
    start_scope()
    x = np.array(case["x"])
    steps = len(x)
    times, channels = np.nonzero(x)
    source = LoihiSpikeGeneratorGroup(x.shape[1], channels, times + 1)  # it is heard in the step in which it is sent
    groups = []
    for layer in case["layers"]:
        if any(layer["bias"]) or any(len(set(layer[name])) > 1 for name in ("vth", "decay_u", "decay_v")):
            sys.exit("brian2-loihi has no biases, and one threshold and one decay a group")
        groups.append(
            LoihiNeuronGroup(
                len(layer["vth"]),
                threshold_v_mant=layer["vth"][0],
                decay_v=layer["decay_v"][0],
                decay_I=layer["decay_u"][0] + 1,
            )
        )
    synapses = []
    for group, layer in zip(groups, case["layers"], strict=True):
        for c in layer["connections"]:
            weight = np.array(c["weight"])
            to, origin = (each.ravel() for each in np.indices(weight.shape))
            before = source if c["source"] < 0 else groups[c["source"]]
            link = LoihiSynapses(before, group, sign_mode=MIXED, num_weight_bits=8, w_exp=c["exponent"] - 1)
            link.connect(i=origin, j=to)
            link.w = 2 * weight.ravel()
            synapses.append(link)
    # a current is u before it decays for the next step, which is what `groups` does first
    currents = [StateMonitor(group, "I", record=True, when="after_synapses") for group in groups]
    voltages = [StateMonitor(group, "v", record=True, when="after_resets") for group in groups]
    fired = [LoihiSpikeMonitor(group) for group in groups]
    LoihiNetwork(source, *groups, *synapses, *currents, *voltages, *fired).run(steps)
    seen = {}
    for layer, u, v, spikes in zip(case["layers"], currents, voltages, fired, strict=True):
        events = np.zeros((steps, len(layer["vth"])), int)
        events[np.rint(np.asarray(spikes.t_) * 1000).astype(int), np.asarray(spikes.i)] = 1
        states = {name: np.rint(each).astype(int).T.tolist() for name, each in (("u", u.I), ("v", v.v))}
        seen[layer["name"]] = {**states, "spikes": events.tolist()}
    return seen


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        cases = json.load(file)
    with open(sys.argv[2], "w") as file:
        json.dump([run(case) for case in cases], file)
