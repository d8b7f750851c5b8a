"""lava-dl's netx with our neuron type: a `Network` whose dense layers may hold TC-LIF neurons.

Needs lava-nc and lava-dl. Files are those of `tclif_deploy.formats.netx.write_fixed`.
"""

from __future__ import annotations

import sys
import types
from types import SimpleNamespace
from typing import Any

import numpy as np

from tclif_deploy.backends.lava.template.tclif_lava import compat

compat.prepare()
_OPTIONAL = "lava.lib.dl.slayer.object_detection"
_stands_in = _OPTIONAL not in sys.modules
if _stands_in:  # lava-dl imports its object detection, and with it OpenCV and torchvision; netx needs none of it
    sys.modules[_OPTIONAL] = types.ModuleType(_OPTIONAL)
from lava.lib.dl.netx import hdf5  # noqa: E402
from lava.lib.dl.netx.blocks.models import AbstractPyBlockModel  # noqa: E402
from lava.lib.dl.netx.blocks.process import Dense, RecurrentDense  # noqa: E402
from lava.lib.dl.netx.utils import optimize_weight_bits  # noqa: E402
from lava.magma.core.decorator import implements  # noqa: E402
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol  # noqa: E402

from tclif_deploy.backends.lava.template.tclif_lava.processes.tclif.process import TCLIF  # noqa: E402
from tclif_deploy.formats.netx.write_fixed import TYPE, read_neuron  # noqa: E402

if _stands_in:
    del sys.modules[_OPTIONAL]


class Network(hdf5.Network):  # type: ignore[misc]
    """lava-dl's `Network` for files with neurons of type TCLIF, on ``steps`` steps of input.

    Parameters
    ----------
    net_config : the file's name
    steps : steps of the one sample that is run; layer k's step t runs at Lava step t + k + 2, counted from 1
    input_message_bits : 16 where the input is graded, 0 for spikes

    The soma of a readout is ``layers[-1].neuron.v`` after a run of ``steps`` + the number of layers Lava steps.
    """

    def __init__(self, net_config: str, steps: int, input_message_bits: int = 0) -> None:
        self.steps, self.depth = steps, 0
        super().__init__(net_config=net_config, input_message_bits=input_message_bits)

    def create_dense(self, layer_config: Any, input_message_bits: int = 0, rec: bool = False, **options: Any) -> Any:
        """A dense block; lava-dl's own where the neuron is."""
        if "neuron" not in layer_config.keys() or layer_config["neuron"]["type"] != TYPE:  # noqa: SIM118
            self.depth += 1
            return super().create_dense(layer_config, input_message_bits=input_message_bits, rec=rec, **options)
        weight = layer_config["weight"]
        sources = weight.shape[1]
        if rec:
            weight = np.hstack((weight, layer_config["weight_rec"]))
        weight, bits, exponent, sign_mode = optimize_weight_bits(weight)
        size = (weight.shape[0],)
        params: dict[str, Any] = {
            "shape": size, "neuron_params": self.neuron_params(layer_config["neuron"].f, size),
            "weight": weight[:, :sources], "num_weight_bits": bits, "weight_exponent": exponent, "sign_mode": sign_mode,
            "input_message_bits": input_message_bits, "sparse_synapse": False,
        }  # fmt: skip
        if rec:
            params["weight_rec"] = weight[:, sources:]
        self.depth += 1
        block = (RecurrentDense if rec else Dense)(**params)
        return block, self._table_str(type_str="Dense", width=1, height=1, channel=size[0])

    def neuron_params(self, group: Any, size: tuple[int]) -> dict[str, Any]:
        """Keywords of the TCLIF process of the layer at the present depth."""
        parameters = read_neuron(group)
        names = ("frac_bits", "rounding", "bits_u", "bits_v", "overflow_u", "overflow_v")
        arithmetic = SimpleNamespace(**{name: parameters.pop(name) for name in names})
        zero = np.zeros((1, *size), np.int64)
        outputs = {
            "spikes": np.zeros((1, self.steps, *size), np.bool_), "u": zero.copy(), "v": zero.copy(),
            "readout": zero.copy(), "overflows": np.zeros((1, 4), np.int64),
        }  # fmt: skip
        return {
            "neuron_proc": TCLIF, **parameters, "arithmetic": arithmetic, "steps": self.steps, "idle": 1 << 30,
            "offset": self.depth + 1, "lengths": np.full((1,), self.steps), "outputs": outputs, "num_message_bits": 0,
        }  # fmt: skip


@implements(proc=Network, protocol=LoihiProtocol)
class PyTclifNetworkModel(AbstractPyBlockModel):  # type: ignore[misc]
    """The sub-processes and nothing else, as in lava-dl's own model."""

    def __init__(self, proc: Any) -> None:
        super().__init__(proc)
