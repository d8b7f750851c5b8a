"""Runs networks in SynSense's simulator xylosim.

In a process of its own: JSON cases in, JSON states out, by the file.

A case has ``x`` (time, channels) and the registers of the populations ``hidden`` and ``out``: ``w`` (neurons, sources),
``r`` (neurons, neurons) of the first, ``dash_syn``, ``dash_mem``, ``threshold``, ``bias`` (neurons,), and ``shift``, by
how many bits weights are shifted left (w, r).
"""

import json
import sys
from typing import Any

from xylosim.v2 import XyloLayer, XyloSynapse


def fan_out(weight: list[list[int]]) -> list[list[XyloSynapse]]:
    """Each source's synapses."""
    return [
        [XyloSynapse(target, 0, row[source]) for target, row in enumerate(weight) if row[source]]
        for source in range(len(weight[0]))
    ]


def run(case: dict[str, Any]) -> dict[str, Any]:
    """layer -> u, v and spikes, each (time, neurons)."""
    h, o = case["hidden"], case["out"]
    synapses = fan_out(h["w"]), fan_out(h["r"]), fan_out(o["w"])  # the layer holds no reference to them
    layer = XyloLayer(
        synapses_in=synapses[0],
        synapses_rec=synapses[1],
        synapses_out=synapses[2],
        aliases=[[] for _ in h["bias"]],
        threshold=h["threshold"],
        threshold_out=o["threshold"],
        has_bias=True,
        bias=h["bias"],
        bias_out=o["bias"],
        weight_shift_inp=h["shift"][0],
        weight_shift_rec=h["shift"][1],
        weight_shift_out=o["shift"][0],
        dash_mem=h["dash_mem"],
        dash_mem_out=o["dash_mem"],
        dash_syns=[[d] for d in h["dash_syn"]],
        dash_syns_out=[[d] for d in o["dash_syn"]],
        name="",
    )
    layer.evolve(case["x"])
    recorded = {
        "hidden": (layer.rec_i_syn, layer.rec_v_mem, layer.rec_recurrent_spikes),
        "out": (layer.rec_i_syn_out, layer.rec_v_mem_out, layer.rec_out_spikes),
    }
    by_step = {}
    for name, (u, v, spikes) in recorded.items():
        by_step[name] = {"u": list(zip(*u, strict=True)), "v": list(zip(*v, strict=True)), "spikes": spikes}
    return by_step


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        cases = json.load(file)
    with open(sys.argv[2], "w") as file:
        json.dump([run(case) for case in cases], file)
