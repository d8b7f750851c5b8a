"""Runs networks of Lava's LIF, the bit-accurate model.

In a process of its own: JSON cases in, JSON states out, by the file.

A case is that of `run_nengo_loihi`. The model's own functions compute a step, in the order of its ``run_spk``; what its
input port would receive, the sum of the weights of those that fired, is added up here.
"""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np

compatible = Path(__file__).parents[2] / "backends" / "lava" / "template" / "tclif_lava" / "compat.py"
runpy.run_path(str(compatible))["prepare"]()
from lava.proc.lif.models import PyLifModelBitAcc  # noqa: E402  (Lava's import is made to work first)


def lif(layer: dict[str, Any]) -> PyLifModelBitAcc:
    """A layer's neurons, before their first step."""
    size = len(layer["vth"])
    model = PyLifModelBitAcc({})
    model.u, model.v = np.zeros(size, np.int32), np.zeros(size, np.int32)
    model.du, model.dv = np.array(layer["decay_u"]), np.array(layer["decay_v"])
    model.vth = np.array(layer["vth"], np.int32)
    model.bias_mant = np.array(layer["bias"], np.int16)
    model.bias_exp = np.array(layer["bias_exponent"], np.int16)
    model.scale_bias()
    model.scale_threshold()
    return model


def run(case: dict[str, Any]) -> dict[str, Any]:
    """layer -> u, v and spikes, each (time, neurons)."""
    x = np.array(case["x"])
    models = [lif(layer) for layer in case["layers"]]
    weights = [
        [(c["source"], np.array(c["weight"]) << c["exponent"]) for c in layer["connections"]]
        for layer in case["layers"]
    ]
    seen: dict[str, Any] = {layer["name"]: {"u": [], "v": [], "spikes": []} for layer in case["layers"]}
    sent: dict[int, Any] = {-1: x[0] * 0} | {
        n: np.zeros(len(layer["vth"]), int) for n, layer in enumerate(case["layers"])
    }
    for row in x:
        now = {-1: row}
        for n, (model, layer) in enumerate(zip(models, case["layers"], strict=True)):
            model.subthr_dynamics(activation_in=sum(weight @ sent[source] for source, weight in weights[n]))
            fired = model.spiking_activation()
            model.reset_voltage(spike_vector=fired)
            now[n] = fired.astype(int)
            for name, values in (("u", model.u), ("v", model.v), ("spikes", now[n])):
                seen[layer["name"]][name].append(values.tolist())
        sent = now
    return seen


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        cases = json.load(file)
    with open(sys.argv[2], "w") as file:
        json.dump([run(case) for case in cases], file)
