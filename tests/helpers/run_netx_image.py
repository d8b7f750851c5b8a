"""Show an image to a netx file with an input layer: ``python run_netx_image.py FILE IMAGE.npy STEPS OUT.npz TEMPLATE``.

IMAGE has numbers (features,), whole once multiplied by the layer's weight, which enter its bias as lava-dl's
``transform`` of the layer says. Each layer is set to 0 before its first step, so that no bias acts earlier. OUT gets
the spikes (steps, neurons) of each layer, and the last one's voltage after its last step, in units of weights. The rest
as in run_netx.py.
"""

import sys
import types

import numpy as np


def main() -> None:
    sys.path.insert(0, sys.argv[5])
    from tclif_lava import compat

    compat.prepare()
    sys.modules["lava.lib.dl.slayer.object_detection"] = types.ModuleType("object_detection")
    from lava.lib.dl.netx import hdf5
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc import io

    image, steps = np.load(sys.argv[2]), int(sys.argv[3])
    network = hdf5.Network(net_config=sys.argv[1], reset_interval=1 << 20)
    first, total = network.layers[0], steps + len(network.layers) - 1
    shape = first.shape
    seen = image.reshape(shape[::-1]).transpose() if len(shape) == 3 else image
    bias = seen * first.transform["weight"] + first.transform["bias"]
    first.neuron.bias_mant.init = np.rint(bias).astype(np.int32)
    sinks = [io.sink.RingBuffer(shape=layer.out.shape, buffer=total + 1) for layer in network.layers]
    for layer, sink in zip(network.layers, sinks, strict=True):
        layer.out.connect(sink.a_in)
    network.run(condition=RunSteps(num_steps=total), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    spikes = {}
    for n, sink in enumerate(sinks):
        seen = sink.data.get()
        flat = seen.transpose(2, 1, 0, 3).reshape(-1, total + 1) if seen.ndim == 4 else seen
        spikes[f"spikes{n}"] = flat.T[n : n + steps].astype(bool)
    voltage = network.layers[-1].neuron.v.get()
    network.stop()
    np.savez(sys.argv[4], voltage=voltage / 64, **spikes)


if __name__ == "__main__":
    main()
