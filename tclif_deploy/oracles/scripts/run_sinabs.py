"""Runs networks in SynSense's sinabs, as integers that its discretization for Speck has taken.

In a process of its own: JSON cases in, JSON states out, by the file.

A case has ``x`` (time, channels), events, and ``layers``, each with ``name``, ``threshold`` (one for all its neurons),
``bias`` (neurons,) and ``weight`` (neurons, sources); the first hears the input, each other one the one before.

sinabs makes a layer's numbers integers with one scale for weights, bias and threshold. Integers that its chip holds
come back as they are; others do not, and then nothing here is equal.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import sinabs
import torch
from sinabs.layers import IAF

LOWEST = -(2.0**15)
"""what its discretization takes where a layer states no end"""


def discretization() -> Any:
    """The module by its file: its package imports samna, which talks to chips and is not on PyPI."""
    path = Path(sinabs.__file__).parent / "backend" / "dynapcnn" / "discretize.py"
    spec = importlib.util.spec_from_file_location("discretize", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(case: dict[str, Any], discretize: Any) -> dict[str, Any]:
    """layer -> u (what arrives), v and spikes, each (time, neurons)."""
    arriving = torch.tensor(case["x"], dtype=torch.float32)
    states = {}
    for layer in case["layers"]:
        weight = torch.tensor(layer["weight"], dtype=torch.float32)
        convolution = torch.nn.Conv2d(weight.shape[1], weight.shape[0], 1)
        convolution.weight.data = weight[:, :, None, None]
        convolution.bias = torch.nn.Parameter(torch.tensor(layer["bias"], dtype=torch.float32))
        neurons = IAF(spike_threshold=float(layer["threshold"]), min_v_mem=LOWEST, record_states=True)
        convolution, neurons = discretize.discretize_conv_spike(convolution, neurons, to_int=False)
        current = convolution(arriving[:, :, None, None])
        spikes = neurons(current[None])[0, :, :, 0, 0]
        states[layer["name"]] = {
            "u": (current[:, :, 0, 0] - convolution.bias).long().tolist(),
            "v": neurons.recordings["v_mem"][0, :, :, 0, 0].long().tolist(),
            "spikes": spikes.long().tolist(),
        }
        arriving = spikes
    return states


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        cases = json.load(file)
    torch.set_num_threads(1)
    discretize = discretization()
    with torch.no_grad(), open(sys.argv[2], "w") as file:
        json.dump([run(case, discretize) for case in cases], file)
