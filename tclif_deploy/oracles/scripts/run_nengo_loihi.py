"""Runs networks in nengo-loihi's emulator of Loihi.

In a process of its own: JSON cases in, JSON states out, by the file.

A case has ``x`` (time, channels), 0 or 1, and ``layers``, each with ``name``, the registers ``decay_u``, ``decay_v``,
``vth``, ``bias`` and ``bias_exponent`` (neurons,), and ``connections``: ``source`` (-1 is the input, else the layer's
number), ``weight`` (neurons, sources) and ``exponent``. The chip counts thresholds in 2^6, weights in 2^(6 + exponent).
"""

import json
import sys
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
from nengo_loihi.block import Axon, LoihiBlock, Synapse
from nengo_loihi.emulator.interface import EmulatorInterface
from nengo_loihi.inputs import SpikeInput

TOP = 2**23 - 1


def block_of(layer: dict[str, Any]) -> LoihiBlock:
    """A layer's neurons, without synapses."""
    size = len(layer["vth"])
    block = LoihiBlock(size, label=layer["name"])
    neurons = block.compartment
    for name in ("decay_u", "decay_v"):
        setattr(neurons, name, np.array(layer[name], np.int32))
    neurons.vth = np.array(layer["vth"], np.int32) << 6
    neurons.bias = np.array(layer["bias"], np.int32) << np.array(layer["bias_exponent"], np.int32)
    neurons.refract_delay = np.ones(size, np.int32)
    neurons.vmin, neurons.vmax = -TOP, TOP
    neurons.scale_u = neurons.scale_v = False
    return block


def connect(source: list[Axon], block: LoihiBlock, weight: Any, exponent: int) -> None:
    """Synapses of ``weight`` (neurons, sources) into a block, and an axon to each of the source's neurons."""
    synapse = Synapse(len(weight[0]))
    weight = np.array(weight, np.int32) << (6 + exponent)
    synapse.weights = [row[None] for row in weight.T]
    synapse.indices = [np.arange(len(weight), dtype=np.int32)[None] for _ in weight.T]
    block.add_synapse(synapse)
    axon = Axon(len(weight[0]))
    axon.target, axon.compartment_map = synapse, np.arange(len(weight[0]))
    source.append(axon)


def run(case: dict[str, Any]) -> dict[str, Any]:
    """layer -> u, v and spikes, each (time, neurons)."""
    warnings.simplefilter("ignore")  # an overflow is what we come for
    x = np.array(case["x"])
    blocks = [block_of(layer) for layer in case["layers"]]
    spikes_in = SpikeInput(x.shape[1])
    for block, layer in zip(blocks, case["layers"], strict=True):
        for c in layer["connections"]:
            connect(
                spikes_in.axons if c["source"] < 0 else blocks[c["source"]].axons, block, c["weight"], c["exponent"]
            )
    model = SimpleNamespace(blocks=blocks, inputs=[spikes_in], probes=[], dt=0.001)
    emulator = EmulatorInterface(model, seed=0)
    for t, row in enumerate(x):
        spikes_in.add_spikes(t + 1, np.flatnonzero(row))
    slices = [emulator.block_info.slices[block] for block in blocks]
    seen: list[dict[str, Any]] = [{"u": [], "v": [], "spikes": []} for _ in blocks]
    for _ in range(len(x)):
        emulator.step()
        state = emulator.compartment
        for kept, at in zip(seen, slices, strict=True):
            for name, values in (("u", state.current), ("v", state.voltage), ("spikes", state.spiked.astype(int))):
                kept[name].append(values[at].tolist())
    return {layer["name"]: kept for layer, kept in zip(case["layers"], seen, strict=True)}


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        cases = json.load(file)
    with open(sys.argv[2], "w") as file:
        json.dump([run(case) for case in cases], file)
