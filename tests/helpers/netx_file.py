"""netx files in lava-dl's layout, written from its numbers by h5py alone: no helper of the package."""

from pathlib import Path

import h5py
import numpy as np


def write_netx_file(path: Path, layers: list[dict]) -> Path:
    """``layers`` of weight (out, in), bias, and a CUBA neuron's numbers, as lava-dl's ``export_hdf5`` names them."""
    with h5py.File(path, "w") as file:
        for n, layer in enumerate(layers):
            group = file.create_group(f"layer/{n}")
            weight = np.asarray(layer["weight"])
            group.create_dataset("type", (1,), "S10", [b"dense"])
            group["shape"] = np.array(weight.shape[:1])
            group["inFeatures"], group["outFeatures"] = weight.shape[1], weight.shape[0]
            group["weight"] = weight
            if "bias" in layer:
                group["bias"] = np.asarray(layer["bias"])
            neuron = group.create_group("neuron")
            neuron["type"], neuron["refDelay"], neuron["gradedSpike"] = "CUBA", 1, False
            neuron["iDecay"], neuron["vDecay"] = int(layer["u_decay"]), int(layer["v_decay"])
            neuron["vThMant"] = int(layer["threshold_mantissa"])
    return path
