"""Networks of lava-dl, run and written by lava-dl: ``python make_netx.py INPUTS.npz FOLDER TEMPLATE``.

INPUTS has spikes (features..., time) for each network's name. FOLDER gets NAME.net, and NAME.npz with the spikes
(time, neurons) of every layer with neurons, each a step later than the layer before it. TEMPLATE as in run_netx.py.
"""

import sys
import types
from pathlib import Path

import h5py
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.helpers.foreign_graphs import with_random_weights

LEAKY = {"threshold": 1.0, "current_decay": 0.5, "voltage_decay": 0.125}
EXACT = {"threshold": 1.0, "current_decay": 1.0, "voltage_decay": 0.0}
"""without decays, which Loihi truncates and a float network does not"""


def networks(cuba: types.ModuleType) -> dict[str, list[torch.nn.Module]]:
    """Blocks of `lava.lib.dl.slayer.block.cuba` by the network's name."""
    return {
        "dense": [cuba.Dense(LEAKY, 20, 16), cuba.Dense(LEAKY, 16, 12), cuba.Dense(LEAKY, 12, 5)],
        "recurrent": [cuba.Dense(EXACT, 20, 16), cuba.Recurrent(EXACT, 16, 12), cuba.Dense(EXACT, 12, 5)],
        "convolutional": [
            cuba.Input(None, delay_shift=False), cuba.Conv(EXACT, 2, 4, 3, stride=2, padding=1),
            cuba.Conv(EXACT, 4, 6, (3, 2), padding=(0, 1), groups=2), cuba.Flatten(), cuba.Dense(EXACT, 60, 7),
        ],
        "delayed": [cuba.Dense(EXACT, 20, 16, delay=True), cuba.Dense(EXACT, 16, 5)],
        "pooled": [cuba.Input(None, delay_shift=False), cuba.Pool(EXACT, 2), cuba.Flatten(), cuba.Dense(EXACT, 32, 5)],
    }  # fmt: skip


def main() -> None:
    inputs, folder = np.load(sys.argv[1]), Path(sys.argv[2])
    sys.path.insert(0, sys.argv[3])
    from tclif_lava import compat

    compat.prepare()
    sys.modules["lava.lib.dl.slayer.object_detection"] = types.ModuleType("object_detection")
    from lava.lib.dl.slayer.block import cuba

    for name, blocks in networks(cuba).items():
        spikes, seen = torch.from_numpy(inputs[name]).float()[None], {}
        with torch.no_grad(), h5py.File(folder / f"{name}.net", "w") as file:
            for n, block in enumerate(blocks):
                spikes = with_random_weights(block, seed=n, mean=0.1)(spikes)
                block.export_hdf5(file.create_group(f"layer/{n}"))
                if getattr(block, "neuron", None) is not None:
                    seen[f"layer{n}"] = spikes.reshape(-1, spikes.shape[-1]).numpy().T
        np.savez(folder / f"{name}.npz", **seen)


if __name__ == "__main__":
    main()
