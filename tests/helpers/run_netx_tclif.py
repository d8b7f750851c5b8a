"""Run a netx file with TC-LIF neurons: ``python run_netx_tclif.py FILE INPUT.npy OUT.npz``, input (time, features)."""

import sys

import numpy as np


def main() -> None:
    from tclif_deploy.formats.netx.lava_loader.network import Network  # first: it makes Lava importable

    # isort: split
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc import io

    x = np.load(sys.argv[2])
    network = Network(sys.argv[1], len(x), input_message_bits=16)
    depth = len(network.layers)
    steps = len(x) + depth
    source = io.source.RingBuffer(data=np.concatenate([x, np.zeros((depth, x.shape[1]), x.dtype)]).T)
    source.s_out.connect(network.inp)
    sinks = [io.sink.RingBuffer(shape=layer.out.shape, buffer=steps) for layer in network.layers[:-1]]
    for layer, sink in zip(network.layers, sinks, strict=False):
        layer.out.connect(sink.a_in)
    network.run(condition=RunSteps(num_steps=steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    outputs = {f"spikes{n}": sink.data.get().T for n, sink in enumerate(sinks)}
    outputs["readout"] = network.layers[-1].neuron.v.get()
    network.stop()
    np.savez(sys.argv[3], **outputs)


if __name__ == "__main__":
    main()
