"""Run a netx file with lava-dl's own netx: ``python run_netx.py FILE SPIKES.npy OUT.npy TEMPLATE``, spikes (time, n).

lava-dl's package imports its object detection, which wants OpenCV and a torchvision build: nothing of it is needed
here, so an empty module stands for it. TEMPLATE is the folder of this package's Lava processes, which mend Lava's
import on new Pythons.
"""

import sys
import types

import numpy as np


def main() -> None:
    sys.path.insert(0, sys.argv[4])
    from tclif_lava import compat

    compat.prepare()
    sys.modules["lava.lib.dl.slayer.object_detection"] = types.ModuleType("object_detection")
    from lava.lib.dl.netx import hdf5
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc import io

    spikes = np.load(sys.argv[2])
    network = hdf5.Network(net_config=sys.argv[1])
    steps = len(spikes) + len(network.layers)
    # each layer's output comes a step late, the source's too
    padded = np.concatenate([spikes, np.zeros((len(network.layers), spikes.shape[1]), spikes.dtype)])
    # a network of maps takes (x, y, channel)
    data = (
        padded.T
        if len(network.inp.shape) == 1
        else padded.T.reshape(*network.inp.shape[::-1], -1).transpose(2, 1, 0, 3)
    )
    source, sink = io.source.RingBuffer(data=data), io.sink.RingBuffer(shape=network.out.shape, buffer=steps)
    source.s_out.connect(network.inp)
    network.out.connect(sink.a_in)
    network.run(condition=RunSteps(num_steps=steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    out = sink.data.get().T
    network.stop()
    np.save(sys.argv[3], out)


if __name__ == "__main__":
    main()
